//! Why something is there twice: whether it came twice, or was given out by nodes that could not know of each other.

use super::super::history::Invocation;
use super::super::journal::{Address, Entry};
use super::super::question::Mark;
use super::evidence::{Evidence, is_there};
use super::reason::Why;
use crate::workbench::format::Seconds;

/// Why a node shows something twice that one operation wrote.
pub(super) fn shown_twice(
    evidence: Evidence<'_>,
    write: usize,
    name: &str,
    mark: &Mark,
    read: usize,
) -> Option<Why> {
    let (by, shown) = (evidence.operation(write)?, evidence.operation(read)?);
    let (written, asked) = (evidence.asked(by)?.arrived, evidence.asked(shown)?.arrived);
    let node = shown.node;
    let came: Vec<&Entry> = evidence
        .carrying(mark, written, asked)
        .filter(|entry| entry.dest.node() == Some(node) && is_there(entry, asked))
        .collect();
    if let Some(entry) = came.iter().find(|entry| entry.received.len() > 1) {
        let [one, two] = [entry.received[0], entry.received[1]].map(Seconds);
        let sentence = format!(
            "the network doubled what {} sent n{node} of {name} at {}: it arrived at {one} and at {two}, and n{node} took it \
             twice",
            entry.src,
            Seconds(entry.sent)
        );
        return Some(Why::new(sentence, &[entry], &[write, read]));
    }
    let told = |entry: &Entry| format!("{} at {}", entry.src, Seconds(entry.sent));
    let sentence = match &came[..] {
        [one, two, ..] => {
            format!("n{node} was sent {name} by {} and by {}, and took it twice", told(one), told(two))
        }
        [one] if by.node != node => {
            format!("n{node} was sent {name} once, by {}, and has it twice all the same", told(one))
        }
        [one] => {
            format!(
                "n{node} was asked to write {name} itself, and was sent it by {}: it took both",
                told(one)
            )
        }
        [] if by.node == node => {
            format!("n{node} was asked once to write {name}, by its client, and was sent it by nobody else")
        }
        [] => return None,
    };
    Some(Why::new(sentence, &came, &[write, read]))
}

/// Why two operations were given what only one of them could have.
pub(super) fn given_twice(evidence: Evidence<'_>, first: usize, again: usize, what: &str) -> Option<Why> {
    let (one, two) = (evidence.operation(first)?, evidence.operation(again)?);
    let (one_at, two_at) = (one.interval.completed, two.interval.completed);
    let sentence = if one.node == two.node {
        let node = one.node;
        let window = evidence.killed(node, one_at, two_at)?;
        format!(
            "n{node} gave out {what} at {}, was killed at {}, and came back without knowing that it had",
            Seconds(one_at),
            Seconds(window.from)
        )
    } else {
        let heard = evidence.heard(one, two_at)?;
        if heard.contains_key(&Address::Node(two.node)) {
            return None;
        }
        let gave =
            |of: &Invocation| format!("n{} gave out {what} at {}", of.node, Seconds(of.interval.completed));
        format!(
            "{}, and n{} cannot have heard of that: nothing led there from n{} before it gave it out at {}",
            gave(one),
            two.node,
            one.node,
            Seconds(two_at)
        )
    };
    Some(Why::new(sentence, &[], &[first, again]))
}
