//! Why a sum is not whole: which adds its node cannot have heard of.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::super::journal::{Address, Entry};
use super::evidence::{Evidence, first, is_there, numbers};
use super::reason::Why;
use crate::time::Instant;
use crate::workbench::format::{Seconds, list};

pub(super) fn why(evidence: Evidence<'_>, read: usize, missing: i64, adds: &[(usize, i64)]) -> Option<Why> {
    if evidence.are_names_borrowed() {
        return None;
    }
    let of_read = evidence.operation(read)?;
    let node = of_read.node;
    let asked = evidence.asked(of_read)?.arrived;
    let reaches = reaching(evidence, node, asked);
    let (mut sum, mut unheard) = (0_i64, Vec::new());
    for &(place, delta) in adds {
        let add = evidence.operation(place)?;
        let arrived = evidence.asked(add)?.arrived;
        if reaches.get(&Address::Node(add.node)).is_none_or(|last| *last < arrived) {
            sum = sum.checked_add(delta)?;
            unheard.push((arrived, add.node, place));
        }
    }
    let is_alone = reaches.len() == 1;
    let of_itself = || match evidence.killed(node, Instant::START, asked) {
        Some(window) => format!(
            " of what it had acknowledged itself: it was killed at {}, and came back without what it had in memory",
            Seconds(window.from)
        ),
        None => " of what it had acknowledged itself".to_owned(),
    };
    let Some(&(since, ..)) = unheard.iter().min() else {
        // Somebody else's it may have heard of, and nobody can tell which it did not count.
        let is_its_own = is_alone && missing > 0;
        let sentence = format!("n{node} heard of nobody else's adds: {missing} is missing{}", of_itself());
        return is_its_own.then(|| Why::new(sentence, &[], &[read]));
    };
    let nodes: BTreeSet<Address> = unheard.iter().map(|of| Address::Node(of.1)).collect();
    let mut sentence = format!(
        "n{node} cannot have heard of {} that {} acknowledged from {} on: nothing that could tell of them arrived there \
         before the read",
        if unheard.len() == 1 { "an add".to_owned() } else { format!("{} adds", unheard.len()) },
        list(&nodes),
        Seconds(since)
    );
    let mut proof = Vec::new();
    if let Some(last) = last_lost(evidence, node, &nodes, (since, asked)) {
        // Writing to a string cannot fail.
        let _ = write!(
            sentence,
            "; the last that was sent was {}, from {} at {}; {}",
            numbers(last).kind,
            last.src,
            Seconds(last.sent),
            evidence.fate(last)
        );
        proof.push(last);
    }
    let _ = match missing.checked_sub(sum)? {
        0 => write!(sentence, "; they come to {sum}, which is what is missing"),
        rest if is_alone && rest > 0 => {
            write!(sentence, "; they come to {sum}, and {rest} more is missing{}", of_itself())
        }
        _ => write!(sentence, "; they come to {sum} of the {missing} that are missing"),
    };
    let operations: Vec<usize> = [read].into_iter().chain(unheard.iter().map(|of| of.2).take(3)).collect();
    Some(Why::new(sentence, &proof, &operations))
}

/// Until when each node and service could learn of something and pass it on to a node by some time.
fn reaching(evidence: Evidence<'_>, node: usize, by: Instant) -> BTreeMap<Address, Instant> {
    let mut last = BTreeMap::from([(Address::Node(node), by)]);
    // Messages are in the order in which they were sent, so those that pass on come after those that are passed on.
    let all: Vec<&Entry> = evidence.between_servers(Instant::START, by).collect();
    for entry in all.into_iter().rev() {
        if let Some(arrived) = first(entry)
            && last.get(&entry.dest).is_some_and(|last| arrived <= *last)
        {
            let sent = last.entry(entry.src).or_insert(entry.sent);
            *sent = entry.sent.max(*sent);
        }
    }
    last
}

/// The last message that some nodes sent another one, and that was not there in time.
fn last_lost<'a>(
    evidence: Evidence<'a>,
    node: usize,
    from: &BTreeSet<Address>,
    (since, by): (Instant, Instant),
) -> Option<&'a Entry> {
    let sent = evidence.between_servers(since, by);
    sent.filter(|entry| entry.dest.node() == Some(node) && from.contains(&entry.src))
        .filter(|entry| !is_there(entry, by))
        .last()
}
