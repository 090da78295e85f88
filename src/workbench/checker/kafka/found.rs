//! The search for anomalies: in the logs, in what became of each message, and in what each process saw.

use std::collections::BTreeMap;

use super::super::Completion;
use super::commits::Commits;
use super::history::{Action, History, Key, LogOperation, Message, count};
use super::kind::Kind;
use super::lag::Lags;
use super::logs::{Facts, Logs, Sighting};
use super::process::Process;
use crate::time::Instant;

/// What there is to say about an anomaly, before it is put into words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) key: u32,
    /// How grave it is among those of its kind.
    pub(super) weight: u64,
    pub(super) offset: Option<i64>,
    /// Places in the history.
    pub(super) operation: u32,
    pub(super) other: Option<u32>,
    pub(super) message: Option<Message>,
    pub(super) other_message: Option<Message>,
    pub(super) other_offset: Option<i64>,
}

pub(super) struct Found<'a> {
    pub(super) history: &'a History,
    pub(super) logs: &'a Logs,
    pub(super) facts: &'a Facts,
    /// Whether the history tells who asked for which keys: one made by hand may have polls alone.
    pub(super) has_assigns: bool,
    pub(super) cases: BTreeMap<Kind, Vec<Case>>,
}

impl<'a> Found<'a> {
    fn add(&mut self, kind: Kind, case: Case) {
        self.cases.entry(kind).or_default().push(case);
    }

    pub(super) fn operation(&self, place: u32) -> &'a LogOperation {
        &self.history.operations[place as usize]
    }

    /// Offsets with two messages, and messages with two offsets.
    pub(super) fn in_logs(&mut self) {
        let sightings = &self.logs.sightings;
        for at_offset in sightings.chunk_by(|a, b| (a.key, a.offset) == (b.key, b.offset)) {
            if let [one, two, more @ ..] = at_offset {
                let case = Case {
                    weight: more.len() as u64,
                    other: Some(one.operation),
                    other_message: Some(Message(one.message)),
                    ..Case::at(*two)
                };
                self.add(Kind::InconsistentOffsets, case);
            }
        }
        let mut by_message: Vec<&Sighting> = sightings.iter().collect();
        by_message.sort_by_key(|sighting| sighting.message);
        for of_message in by_message.chunk_by(|a, b| a.message == b.message) {
            if let [one, two, more @ ..] = of_message {
                let case = Case {
                    weight: more.len() as u64,
                    other: Some(one.operation),
                    other_offset: Some(one.offset),
                    ..Case::at(**two)
                };
                self.add(Kind::Duplicate, case);
            }
        }
    }

    /// Messages that were lost, not seen, or seen although they should not be there.
    pub(super) fn in_messages(&mut self) {
        let keys = self.history.keys.len();
        // The last message of each key of which all before it should have been polled, too.
        let mut bound: Vec<Option<(u32, u32)>> = vec![None; keys];
        for (id, known) in self.facts.messages.iter().enumerate() {
            let (Some(_), Some(first)) = (known.read_ok, self.logs.first[id]) else { continue };
            let slot = &mut bound[self.history.messages[id].0 as usize];
            if slot.is_none_or(|(place, _)| first > place) {
                *slot = Some((first, count(id)));
            }
        }
        for (id, known) in self.facts.messages.iter().enumerate() {
            let (message, key) = (Message(count(id)), self.history.messages[id].0);
            let case = |operation| Case {
                offset: self.logs.offset_of(message),
                message: Some(message),
                ..Case::of(key, operation)
            };
            if let (Some(sent), None) = (known.sent_ok, known.read_ok) {
                let last = self.logs.last[id];
                let later = bound[key as usize].filter(|&(place, _)| last.is_some_and(|last| last <= place));
                self.add(Kind::Unseen, case(sent));
                if let Some((place, later)) = later {
                    let case = Case {
                        other: self.facts.messages[later as usize].read_ok,
                        other_message: Some(Message(later)),
                        other_offset: Some(self.logs.offsets[place as usize].1),
                        ..case(sent)
                    };
                    self.add(Kind::LostWrite, case);
                }
            }
            let Some(read) = known.read_ok else { continue };
            match (known.sent, known.sent_fail) {
                (None, _) => self.add(Kind::Phantom, case(read)),
                (_, Some(failed)) if !known.may_be_sent => {
                    self.add(Kind::AbortedRead, Case { other: Some(failed), ..case(read) });
                }
                (Some(sent), _)
                    if self.operation(read).interval.completed < self.operation(sent).interval.invoked =>
                {
                    self.add(Kind::ReadBeforeSend, Case { other: Some(sent), ..case(read) });
                }
                _ => {}
            }
        }
    }

    /// What each process saw and sent, one operation after the other.
    pub(super) fn in_processes(&mut self, order: &[u32]) -> Lags {
        let mut lags = Lags::of(self.history);
        let history = self.history;
        let process_of = |place: u32| history.operations[place as usize].process;
        for places in order.chunk_by(|&a, &b| process_of(a) == process_of(b)) {
            let mut process = Process::default();
            for &place in places {
                self.step(&mut process, place, &mut lags);
            }
        }
        lags
    }

    fn step(&mut self, process: &mut Process, place: u32, lags: &mut Lags) {
        let operation = self.operation(place);
        match &operation.action {
            Action::Send { message, offset } if operation.completion != Completion::Fail => {
                self.send(process, place, *message, *offset);
            }
            Action::Poll { lists, .. } => {
                for (key, list) in lists {
                    self.poll(process, place, *key, list);
                }
                match operation.completion {
                    Completion::Ok => lags.poll(operation, process),
                    // It may have moved on by what it does not tell: Jepsen's client fails a poll whose commit is
                    // refused.
                    Completion::Fail => process.read.clear(),
                    Completion::Info => {}
                }
            }
            Action::Assign { keys, start, committed } if operation.completion != Completion::Fail => {
                process.assign(keys, *start, committed);
            }
            _ => {}
        }
    }

    fn send(&mut self, process: &mut Process, place: u32, message: Message, offset: Option<i64>) {
        let key = Key(self.history.messages[message.0 as usize].0);
        let index = match offset {
            Some(offset) => self.logs.place(key, offset),
            None => self.logs.index[message.0 as usize],
        };
        let Some(index) = index else { return };
        if let Some((before, earlier, sent)) = process.sent.insert(key, (index, place, message))
            && index <= before
        {
            let case = Case {
                weight: u64::from(before - index),
                offset: Some(self.logs.offsets[index as usize].1),
                message: Some(message),
                other: Some(earlier),
                other_message: Some(sent),
                other_offset: Some(self.logs.offsets[before as usize].1),
                ..Case::of(key.0, place)
            };
            self.add(Kind::NonmonotonicSend, case);
        }
    }

    /// One key of a poll.
    fn poll(&mut self, process: &mut Process, place: u32, key: Key, list: &[(i64, Message)]) {
        for pair in list.windows(2) {
            self.compare(place, place, pair[0], pair[1], (Kind::SkipInPoll, Kind::NonmonotonicInPoll));
        }
        let (Some(&first), Some(&newest)) = (list.first(), list.last()) else { return };
        if let Some(&(earlier, before)) = process.read.get(&key) {
            self.compare(earlier, place, before, first, (Kind::Skip, Kind::Nonmonotonic));
        }
        let lowest = list.iter().copied().min_by_key(|(offset, _)| *offset).unwrap_or(first);
        let case = Case { offset: Some(lowest.0), message: Some(lowest.1), ..Case::of(key.0, place) };
        match process.next.get(&key) {
            _ if !self.has_assigns => {}
            None => self.add(Kind::UnaskedKey, case),
            Some(&next) if lowest.0 < next => {
                let weight = next.abs_diff(lowest.0);
                self.add(Kind::BelowRequested, Case { weight, other_offset: Some(next), ..case });
            }
            Some(_) => {}
        }
        if self.operation(place).completion == Completion::Ok {
            process.read.insert(key, (place, newest));
            let highest = list.iter().map(|(offset, _)| offset.saturating_add(1)).max().unwrap_or(0);
            let next = process.next.entry(key).or_insert(highest);
            *next = highest.max(*next);
            let position = process.position.entry(key).or_insert(-1);
            *position = (highest - 1).max(*position);
        }
    }

    /// Whether the second of two polled messages is the one after the first.
    fn compare(
        &mut self,
        earlier: u32,
        place: u32,
        one: (i64, Message),
        two: (i64, Message),
        kinds: (Kind, Kind),
    ) {
        let distance = self.logs.distance(one.1, two.1);
        if distance == 1 {
            return;
        }
        let case = Case {
            weight: distance.unsigned_abs(),
            offset: Some(two.0),
            message: Some(two.1),
            other: Some(earlier),
            other_message: Some(one.1),
            other_offset: Some(one.0),
            ..Case::of(self.history.messages[two.1.0 as usize].0, place)
        };
        self.add(if distance > 1 { kinds.0 } else { kinds.1 }, case);
    }

    /// Committed offsets that nobody had committed.
    pub(super) fn commits_from_nowhere(&mut self) {
        let asked = Commits::of(self.history);
        let mut told: Vec<(Instant, u32, Key, i64)> = Vec::new();
        for (place, operation) in self.history.operations.iter().enumerate() {
            if let Action::Assign { committed, .. } = &operation.action {
                let at = operation.interval.completed;
                told.extend(committed.iter().map(|&(key, offset)| (at, count(place), key, offset)));
            }
        }
        told.sort_unstable();
        for (at, place, key, offset) in told {
            if asked.unknown.is_some_and(|unknown| unknown <= at) {
                // From here on anything may have been committed.
                break;
            }
            let highest = asked.highest_before(key, at);
            if highest.is_none_or(|highest| offset > highest) {
                let case = Case { offset: Some(offset), other_offset: highest, ..Case::of(key.0, place) };
                self.add(Kind::CommitFromNowhere, case);
            }
        }
    }
}

impl Case {
    pub(super) const fn of(key: u32, operation: u32) -> Self {
        Self {
            key,
            weight: 0,
            offset: None,
            operation,
            other: None,
            message: None,
            other_message: None,
            other_offset: None,
        }
    }

    pub(super) const fn at(sighting: Sighting) -> Self {
        let Sighting { key, offset, operation, message, .. } = sighting;
        Self { offset: Some(offset), message: Some(Message(message)), ..Self::of(key, operation) }
    }
}
