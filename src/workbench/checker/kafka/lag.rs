//! How far behind clients were: how long there had been messages that they did not have.

use std::collections::BTreeMap;

use super::super::Completion;
use super::history::{Action, History, Key, LogOperation, Message};
use super::logs::Facts;
use super::process::Process;
use crate::time::{Duration, Instant};

/// How far a poll was behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Lag {
    /// When the poll was invoked.
    pub at: Instant,
    /// Whose it was.
    pub process: u64,
    /// Of which key.
    pub key: Key,
    /// How long there had been, by then, a message that the process still does not have after the poll.
    pub lag: Duration,
}

/// How many stretches of a test are told apart where lags are collected.
pub(super) const STRETCHES: u64 = 200;

/// When which offsets were known to be in the logs, and the lags that follow.
pub(super) struct Lags {
    /// Of each key the offsets that were higher than all before, and when they were first known. In order.
    pub(super) records: Vec<Vec<(i64, Instant)>>,
    /// How long a stretch is, in microseconds.
    pub(super) stretch: u64,
    pub(super) worst: Option<Lag>,
    /// By stretch and process.
    pub(super) by_process: BTreeMap<(u64, u64), Lag>,
    /// By stretch and key.
    pub(super) by_key: BTreeMap<(u64, Key), Lag>,
}

impl Lags {
    pub(super) fn of(history: &History) -> Self {
        let mut sightings: Vec<(Instant, u32, i64)> = Vec::new();
        for operation in
            history.operations.iter().filter(|operation| operation.completion != Completion::Fail)
        {
            let at = operation.interval.completed;
            match &operation.action {
                Action::Send { message, offset: Some(offset) } => {
                    sightings.push((at, history.messages[message.0 as usize].0, *offset));
                }
                Action::Poll { lists, .. } => {
                    let highest = |list: &Vec<(i64, Message)>| list.iter().map(|(offset, _)| *offset).max();
                    sightings
                        .extend(lists.iter().filter_map(|(key, list)| Some((at, key.0, highest(list)?))));
                }
                _ => {}
            }
        }
        sightings.sort_unstable();
        let mut records: Vec<Vec<(i64, Instant)>> = vec![Vec::new(); history.keys.len()];
        for (at, key, offset) in sightings {
            let records = &mut records[key as usize];
            if records.last().is_none_or(|&(highest, _)| highest < offset) {
                records.push((offset, at));
            }
        }
        let last = history.operations.iter().map(|operation| operation.interval.invoked.as_micros()).max();
        let stretch = last.unwrap_or(0) / STRETCHES + 1;
        Self { records, stretch, worst: None, by_process: BTreeMap::new(), by_key: BTreeMap::new() }
    }

    /// Notes how far behind a process is with each key after a poll.
    pub(super) fn poll(&mut self, operation: &LogOperation, process: &Process) {
        for (&key, &position) in &process.position {
            let records = &self.records[key.0 as usize];
            let newer = records.partition_point(|&(offset, _)| offset <= position);
            let at = operation.interval.invoked;
            let Some(&(_, since)) = records.get(newer).filter(|(_, since)| *since < at) else { continue };
            let lag = Lag { at, process: operation.process, key, lag: at.saturating_since(since) };
            let stretch = at.as_micros() / self.stretch;
            let worse = |old: &mut Lag| *old = if lag.lag > old.lag { lag } else { *old };
            self.by_process.entry((stretch, lag.process)).and_modify(worse).or_insert(lag);
            self.by_key.entry((stretch, key)).and_modify(worse).or_insert(lag);
            worse(self.worst.get_or_insert(lag));
        }
    }
}

/// How many messages of each key were acknowledged and not polled yet.
pub(super) fn unseen_over_time(history: &History, facts: &Facts) -> Vec<(Instant, Key, usize)> {
    let completed = |place: u32| history.operations[place as usize].interval.completed;
    let mut changes: Vec<(Instant, Key, bool)> = Vec::new();
    for (known, (key, _)) in facts.messages.iter().zip(&history.messages) {
        let Some(sent) = known.sent_ok.map(completed) else { continue };
        let read = known.read_ok.map(completed);
        if read.is_none_or(|read| read > sent) {
            changes.push((sent, Key(*key), true));
            changes.extend(read.map(|read| (read, Key(*key), false)));
        }
    }
    changes.sort_unstable();
    let mut unseen = vec![0_usize; history.keys.len()];
    let mut points: Vec<(Instant, Key, usize)> = Vec::new();
    for (at, key, is_more) in changes {
        let count = &mut unseen[key.0 as usize];
        *count = if is_more { *count + 1 } else { *count - 1 };
        match points.last_mut() {
            Some(last) if (last.0, last.1) == (at, key) => last.2 = *count,
            _ => points.push((at, key, *count)),
        }
    }
    points
}
