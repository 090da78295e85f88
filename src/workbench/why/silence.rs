//! What a node was doing that answers nothing more: which call of its own has no answer either.

use std::collections::BTreeMap;

use super::super::journal::{Address, Entry};
use super::evidence::{Evidence, first, is_there, numbers};
use super::reason::{Why, plural};
use crate::time::Instant;
use crate::workbench::format::Seconds;

pub(super) fn why(evidence: Evidence<'_>, node: usize, since: Instant) -> Option<Why> {
    let (end, address) = (evidence.world.now(), Address::Node(node));
    let asked = evidence
        .sent(since, end)
        .iter()
        .find(|entry| entry.src.is_client() && entry.dest == address && numbers(entry).msg_id.is_some())?;
    let what = format!("{} of {} at {}", numbers(asked).kind, asked.src, Seconds(asked.sent));
    let Some(arrived) = first(asked) else {
        let sentence =
            format!("the first that it did not answer, {what}, did not reach it; {}", evidence.fate(asked));
        return Some(Why::new(sentence, &[asked], &[]));
    };
    if let Some(call) = unanswered(evidence, address, busy_since(evidence, address, asked)) {
        let sentence = format!(
            "n{node} asked {} at {} ({}), and got no answer: {}; the first that it did not answer itself is {what}",
            call.dest,
            Seconds(call.sent),
            numbers(call).kind,
            end_of_call(evidence, call)
        );
        return Some(Why::new(sentence, &[call, asked], &[]));
    }
    let sent: Vec<&Entry> =
        evidence.between_servers(arrived, end).filter(|entry| entry.src == address).collect();
    let sentence = match sent.last() {
        None => format!(
            "the first that it did not answer, {what}, arrived there, and n{node} sent nothing to anybody from then on"
        ),
        Some(last) => format!(
            "the first that it did not answer, {what}, arrived there; n{node} went on to send {} {} to others, the last \
             at {}, and waits for none of them",
            sent.len(),
            plural(sent.len()),
            Seconds(last.sent)
        ),
    };
    Some(Why::new(sentence, &[asked], &[]))
}

/// When the last request arrived that a node answered before it was asked what it did not answer: what it waits for, it
/// may wait for since then.
fn busy_since(evidence: Evidence<'_>, node: Address, asked: &Entry) -> Instant {
    let before = evidence.sent(Instant::START, asked.sent);
    let answer = before.iter().rev().find(|entry| entry.src == node && entry.dest.is_client());
    let request = answer.and_then(|answer| {
        let id = numbers(answer).in_reply_to;
        let is_it =
            |entry: &&Entry| (entry.src, entry.dest) == (answer.dest, node) && numbers(entry).msg_id == id;
        before.iter().rev().find(is_it)
    });
    request.and_then(first).unwrap_or(asked.sent)
}

/// The first request of a node since some time that never had an answer.
fn unanswered(evidence: Evidence<'_>, node: Address, since: Instant) -> Option<&Entry> {
    let end = evidence.world.now();
    let mut open: BTreeMap<(Address, i64), &Entry> = BTreeMap::new();
    for entry in evidence.between_servers(since, end) {
        let of = numbers(entry);
        match (of.msg_id, of.in_reply_to) {
            (Some(id), None) if entry.src == node => {
                open.insert((entry.dest, id), entry);
            }
            (_, Some(id)) if entry.dest == node && is_there(entry, end) => {
                open.remove(&(entry.src, id));
            }
            _ => {}
        }
    }
    open.into_values().min_by_key(|entry| entry.id)
}

/// What became of a call without an answer.
fn end_of_call(evidence: Evidence<'_>, call: &Entry) -> String {
    let Some(arrived) = first(call) else { return evidence.fate(call) };
    let (id, end) = (numbers(call).msg_id, evidence.world.now());
    let is_answer =
        |entry: &&Entry| (entry.src, entry.dest) == (call.dest, call.src) && numbers(entry).in_reply_to == id;
    match evidence.between_servers(arrived, end).find(is_answer) {
        Some(answer) => format!("that was sent at {}, but {}", Seconds(answer.sent), evidence.fate(answer)),
        None => format!("it arrived at {}, and {} did not answer it", Seconds(arrived), call.dest),
    }
}
