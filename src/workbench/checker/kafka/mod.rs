//! Logs, as in Kafka: each key has one order of messages, every acknowledged message is in it and is polled, and a
//! client polls without gaps and never backwards.
//!
//! The conditions are those of Jepsen's `kafka` workload, with what it is loose about made strict. For each key, all
//! that was ever seen at an offset makes its *log*: by every poll, and by sends that were acknowledged. Offsets may
//! have gaps and be large, so they are ranked: the *index* of a message is how many offsets of the log are below its
//! own. Where an offset has several messages, the first that was seen there has the index; a message at several
//! offsets has the last of its indices. Nothing is ever indexed by an offset, so an offset of 2^53 costs nothing.
//!
//! The work is that of sorting: O(n log n) in the messages sent and polled.

mod commits;
mod found;
mod history;
mod kind;
mod lag;
mod logs;
mod process;
mod sentence;

use std::collections::{BTreeMap, BTreeSet};

use self::found::{Case, Found};
use self::history::count;
pub use self::history::{Action, Commit, History, Key, LogOperation, Message, Payload, Start};
pub use self::kind::Kind;
pub use self::lag::Lag;
use self::lag::unseen_over_time;
use self::logs::{Facts, Logs};
use super::{Completion, Findings, Verdict};
use crate::time::Instant;

/// What came of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KafkaResults {
    /// Invalid if there is an anomaly, or if of ten commits or more none succeeded; unknown if none of fewer did, if nothing
    /// was sent or polled, or if messages were not seen in the end by a client whose final polls all failed, or if no client was ever told what was
    /// committed.
    pub verdict: Verdict,
    /// How many messages were sent, with success.
    pub sent: usize,
    /// How many of the messages some poll returned.
    pub polled: usize,
    /// How many commits there were, as far as that is known.
    pub commits: usize,
    /// How many of them succeeded.
    pub commits_ok: usize,
    /// How often a client asked what was committed, and how often it was told.
    pub lists: (usize, usize),
    /// Processes that polled from the beginning at the end of the test, none of whose polls succeeded.
    pub blind: Vec<u64>,
    /// The anomalies that there are, the gravest first, each with its first or worst cases.
    pub anomalies: BTreeMap<Kind, Findings<Anomaly>>,
    /// The poll that was the furthest behind, if one was.
    pub worst_lag: Option<Lag>,
    /// Of each stretch of the test, in order, each process's poll that was the furthest behind, if one was.
    pub lags_by_process: Vec<Lag>,
    /// The same of each key.
    pub lags_by_key: Vec<Lag>,
    /// When the number of acknowledged messages of a key that no poll has returned yet changed, and to what. In order.
    pub unseen: Vec<(Instant, Key, usize)>,
    /// The keys' names.
    pub keys: Vec<Box<str>>,
    /// Keys with anomalies, and an offset of each where there is something to see. The gravest first, and no key twice.
    pub broken: Vec<(Key, Option<i64>)>,
}

/// One case of an anomaly.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Anomaly {
    /// The key.
    pub key: Box<str>,
    /// Where in the log of the key: the offset, if it has one.
    pub offset: Option<i64>,
    /// The place of the operation in the history.
    pub operation: usize,
    /// What happened, in a sentence without an end.
    pub sentence: String,
    /// What it comes from, of the first few of each kind, if that is the fate of one message.
    pub cause: Option<Cause>,
}

/// What an anomaly comes from. Operations are meant by their places in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A poll is without a message that was sent.
    Missed {
        /// Who sent it.
        send: usize,
        /// The message, as JSON.
        message: String,
        /// Who should have been given it: the poll that shows it, or the last at the node that acknowledged it and the last
        /// at another.
        polls: Vec<usize>,
    },
    /// A message is at two offsets of one node.
    Twice {
        /// Who sent it.
        send: usize,
        /// The message, as JSON.
        message: String,
        /// Who saw it at the second.
        seen: usize,
    },
    /// Two sends were given the same offset.
    SameOffset {
        /// The one.
        first: usize,
        /// The other.
        again: usize,
    },
}

impl KafkaResults {
    /// The name of a key.
    pub fn key_name(&self, key: Key) -> &str {
        &self.keys[key.0 as usize]
    }

    /// Why it is not valid.
    pub fn explain(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.sent + self.polled == 0 && self.anomalies.is_empty() {
            sentences.push("no message was sent or polled, so nothing can be said about them".to_owned());
        }
        for (kind, findings) in &self.anomalies {
            let mut of_kind = Vec::new();
            findings.explain(&mut of_kind, |anomaly| format!("{kind}: {}", anomaly.sentence));
            sentences.extend(of_kind);
        }
        if self.anomalies.contains_key(&Kind::Unseen) && !self.blind.is_empty() {
            let processes: Vec<_> = self.blind.iter().map(ToString::to_string).collect();
            sentences.push(format!(
                "what nobody saw may be where nobody could look: at the end no poll of process {} succeeded",
                processes.join(", ")
            ));
        }
        if self.commits > 0 && self.commits_ok == 0 {
            sentences.push(format!("none of {} commit_offsets succeeded", self.commits));
        }
        if let (lists @ 1.., 0) = self.lists {
            sentences.push(format!(
                "none of {lists} list_committed_offsets succeeded, so nobody knows whether what was committed is there"
            ));
        }
        sentences
    }
}

/// Of fewer commits none may succeed while a fault lasts, though polls do.
const COMMITS_MIN: usize = 10;

/// Checks a test of logs.
pub fn check(history: &History) -> KafkaResults {
    let logs = Logs::of(history);
    let facts = Facts::of(history);
    let has_assigns =
        history.operations.iter().any(|operation| matches!(operation.action, Action::Assign { .. }));
    let mut found = Found { history, logs: &logs, facts: &facts, has_assigns, cases: BTreeMap::new() };
    found.in_logs();
    found.in_messages();
    let order = by_process(history);
    let behind = found.in_processes(&order);
    found.commits_from_nowhere();
    let anomalies = found.told();
    let broken = broken(&found.cases);

    let sent = facts.messages.iter().filter(|message| message.sent_ok.is_some()).count();
    let polled = facts.messages.iter().filter(|message| message.read_ok.is_some()).count();
    let (mut commits, mut commits_ok, mut lists) = (0, 0, (0, 0));
    for operation in &history.operations {
        if let Action::Poll { commit, .. } = operation.action {
            commits += usize::from(commit != Commit::None);
            commits_ok += usize::from(commit == Commit::Ok);
        }
        if let Action::Assign { start: Start::Zero | Start::Committed, .. } = operation.action {
            lists.0 += 1;
            lists.1 += usize::from(operation.completion == Completion::Ok);
        }
    }
    let blind = blind(history, &order);
    let is_certain = |kind: &Kind| *kind != Kind::Unseen || blind.is_empty();
    let commits_refused = if commits_ok == 0 { commits } else { 0 };
    let verdict = if anomalies.keys().any(is_certain) || commits_refused >= COMMITS_MIN {
        Verdict::Invalid
    } else if !anomalies.is_empty()
        || commits_refused > 0
        || sent + polled == 0
        || lists.0 > 0 && lists.1 == 0
    {
        Verdict::Unknown
    } else {
        Verdict::Valid
    };
    KafkaResults {
        verdict,
        sent,
        polled,
        commits,
        commits_ok,
        lists,
        blind,
        anomalies,
        worst_lag: behind.worst,
        lags_by_process: behind.by_process.into_values().collect(),
        lags_by_key: behind.by_key.into_values().collect(),
        unseen: unseen_over_time(history, &facts),
        keys: history.keys.clone(),
        broken,
    }
}

/// The operations of each process together, in the order in which it did them.
fn by_process(history: &History) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count(history.operations.len())).collect();
    order.sort_by_key(|&place| {
        let operation = &history.operations[place as usize];
        (operation.process, operation.interval.invoked)
    });
    order
}

/// Processes that went to the beginning, as all do at the end of a test, and then polled without any success. Such a
/// one is made good by another that began later, at the same node, and saw something.
fn blind(history: &History, order: &[u32]) -> Vec<u64> {
    let operation = |place: u32| &history.operations[place as usize];
    let (mut blind, mut seeing) = (Vec::new(), Vec::new());
    for places in order.chunk_by(|&a, &b| operation(a).process == operation(b).process) {
        let is_start =
            |&place: &u32| matches!(operation(place).action, Action::Assign { start: Start::Rewind, .. });
        let Some(start) = places.iter().position(is_start) else { continue };
        let LogOperation { process, node, interval, .. } = operation(places[start]);
        let is_poll = |place: &&u32| matches!(operation(**place).action, Action::Poll { .. });
        let mut polls = places[start..].iter().filter(is_poll).map(|&place| operation(place).completion);
        match polls.next() {
            None => {}
            Some(first) if first == Completion::Ok || polls.any(|of| of == Completion::Ok) => {
                seeing.push((*node, interval.invoked));
            }
            Some(_) => blind.push((*process, *node, interval.invoked)),
        }
    }
    blind.retain(|(_, node, since)| {
        let is_same = |(other, later): &(Option<usize>, Instant)| other == node && later > since;
        node.is_none() || !seeing.iter().any(is_same)
    });
    blind.into_iter().map(|(process, ..)| process).collect()
}

/// The keys with anomalies, the gravest first.
fn broken(cases: &BTreeMap<Kind, Vec<Case>>) -> Vec<(Key, Option<i64>)> {
    let mut keys: Vec<(Key, Option<i64>)> = Vec::new();
    let mut known = BTreeSet::new();
    for case in cases.values().flatten() {
        if known.insert(case.key) {
            keys.push((Key(case.key), case.offset));
        }
    }
    keys
}

#[cfg(test)]
mod tests;
