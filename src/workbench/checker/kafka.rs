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

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use foldhash::fast::RandomState;

use super::{Completion, Findings, Interval, Place, Seconds, Verdict};
use crate::time::{Duration, Instant};

/// What clients did, in a compact form: keys and messages are numbers here.
#[derive(Clone, Debug, Default)]
pub struct History {
    operations: Vec<Operation>,
    keys: Vec<Box<str>>,
    key_ids: HashMap<Box<str>, u32, RandomState>,
    /// The key and the value of each message.
    messages: Vec<(u32, Payload)>,
    message_ids: HashMap<(u32, Payload), u32, RandomState>,
}

/// A message's value. Two are the same if they are equal, so other texts than integers have to be canonical.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    /// What Maelstrom sends.
    Integer(i64),
    /// The JSON text of anything else.
    Text(Box<str>),
}

/// A key of a [`History`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u32);

/// A value that was sent to a key, or polled from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message(u32);

/// What one client did.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Whose it is. A process does one operation after the other.
    pub process: u64,
    /// Who was asked, if that is known: the number in the node's name.
    pub node: Option<usize>,
    /// From when to when.
    pub interval: Interval,
    /// How it ended.
    pub completion: Completion,
    /// What it was.
    pub action: Action,
}

/// See [`Operation`].
#[derive(Clone, Debug)]
pub enum Action {
    /// `send` of a message.
    Send {
        /// What was sent.
        message: Message,
        /// Where it was put, if that was answered.
        offset: Option<i64>,
    },
    /// `poll`, and `commit_offsets` of what came.
    Poll {
        /// The keys of the answer, each with its messages and their offsets in the order of the answer.
        lists: Vec<(Key, Vec<(i64, Message)>)>,
        /// What became of the commit.
        commit: Commit,
    },
    /// From here on the process polls exactly these keys.
    Assign {
        /// Which.
        keys: Vec<Key>,
        /// Where it starts with those that it did not have.
        start: Start,
        /// The committed offsets that it was told, as far as that is known.
        committed: Vec<(Key, i64)>,
    },
    /// The client forgets all and goes on as another process.
    Crash,
}

/// Where a process begins to poll a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At offset 0, as in Maelstrom.
    #[default]
    Zero,
    /// After what was committed; at 0 if nothing was.
    Committed,
    /// At offset 0, also of keys that it had.
    Rewind,
}

/// What became of the commit after a poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Commit {
    /// There was nothing to commit, or it is not known.
    #[default]
    None,
    /// It was acknowledged.
    Ok,
    /// It was refused. The poll counts nevertheless.
    Failed,
}

/// A kind of anomaly. The names are Jepsen's where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Two messages at one offset.
    InconsistentOffsets,
    /// One message at two offsets.
    Duplicate,
    /// An acknowledged message that no poll returned, though one returned what comes after it.
    LostWrite,
    /// An acknowledged message that no poll returned.
    Unseen,
    /// A poll returned a message whose send had failed.
    AbortedRead,
    /// A poll returned a message that nobody sent.
    Phantom,
    /// A poll returned a message before it was sent.
    ReadBeforeSend,
    /// One poll leaves out messages between two that it returns.
    SkipInPoll,
    /// One poll returns a message and then one from before it, or the same.
    NonmonotonicInPoll,
    /// A process polls on beyond messages that it was not given.
    Skip,
    /// A process is given again what it had, or what comes before that.
    Nonmonotonic,
    /// A process's message comes before one that it had sent earlier.
    NonmonotonicSend,
    /// A poll's answer has a key that was not asked for.
    UnaskedKey,
    /// A poll's answer begins before the offset that was asked for.
    BelowRequested,
    /// A committed offset is above all that anybody committed.
    CommitFromNowhere,
}

impl Kind {
    /// All of them, the gravest first.
    pub const ALL: [Self; 15] = [
        Self::InconsistentOffsets,
        Self::Duplicate,
        Self::LostWrite,
        Self::Unseen,
        Self::AbortedRead,
        Self::Phantom,
        Self::ReadBeforeSend,
        Self::SkipInPoll,
        Self::NonmonotonicInPoll,
        Self::Skip,
        Self::Nonmonotonic,
        Self::NonmonotonicSend,
        Self::UnaskedKey,
        Self::BelowRequested,
        Self::CommitFromNowhere,
    ];

    /// Jepsen's name for it, where it has one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InconsistentOffsets => "inconsistent-offsets",
            Self::Duplicate => "duplicate",
            Self::LostWrite => "lost-write",
            Self::Unseen => "unseen",
            Self::AbortedRead => "G1a",
            Self::Phantom => "phantom",
            Self::ReadBeforeSend => "G1c-realtime",
            Self::SkipInPoll => "int-poll-skip",
            Self::NonmonotonicInPoll => "int-nonmonotonic-poll",
            Self::Skip => "poll-skip",
            Self::Nonmonotonic => "nonmonotonic-poll",
            Self::NonmonotonicSend => "nonmonotonic-send",
            Self::UnaskedKey => "unasked-key",
            Self::BelowRequested => "below-requested-offset",
            Self::CommitFromNowhere => "commit-from-nowhere",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One case of an anomaly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// The key.
    pub key: Box<str>,
    /// Where in the log of the key: the offset, if it has one.
    pub offset: Option<i64>,
    /// The place of the operation in the history.
    pub operation: usize,
    /// What happened, in a sentence without an end.
    pub sentence: String,
}

/// How far a poll was behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// Invalid if there is an anomaly, or if no commit ever succeeded; unknown if nothing was sent or polled, or if
    /// messages were not seen in the end by a client whose final polls all failed.
    pub verdict: Verdict,
    /// How many messages were sent, with success.
    pub sent: usize,
    /// How many of the messages some poll returned.
    pub polled: usize,
    /// How many commits there were, as far as that is known.
    pub commits: usize,
    /// How many of them succeeded.
    pub commits_ok: usize,
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

impl History {
    /// The key of that name.
    pub fn key(&mut self, name: &str) -> Key {
        if let Some(&id) = self.key_ids.get(name) {
            return Key(id);
        }
        let id = count(self.keys.len());
        self.keys.push(name.into());
        self.key_ids.insert(name.into(), id);
        Key(id)
    }

    /// The message of that value in a key's log.
    pub fn message(&mut self, key: Key, value: Payload) -> Message {
        let Self { messages, message_ids, .. } = self;
        let id = *message_ids.entry((key.0, value)).or_insert_with_key(|entry| {
            messages.push(entry.clone());
            count(messages.len() - 1)
        });
        Message(id)
    }

    /// Adds an operation.
    pub fn push(&mut self, operation: Operation) {
        self.operations.push(operation);
    }

    /// The operations, in the order in which they were added.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The name of a key.
    pub fn key_name(&self, key: Key) -> &str {
        &self.keys[key.0 as usize]
    }

    /// The key of a message.
    pub fn key_of(&self, message: Message) -> Key {
        Key(self.messages[message.0 as usize].0)
    }

    /// The value of a message, as JSON.
    pub fn value(&self, message: Message) -> Cow<'_, str> {
        match &self.messages[message.0 as usize].1 {
            Payload::Integer(value) => Cow::Owned(value.to_string()),
            Payload::Text(text) => Cow::Borrowed(text),
        }
    }
}

/// A number of keys, messages or places in a log.
fn count(length: usize) -> u32 {
    u32::try_from(length).expect("no history has four billion messages")
}

/// Checks a test of logs.
pub fn check(history: &History) -> Report {
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
    let (mut commits, mut commits_ok) = (0, 0);
    for operation in &history.operations {
        if let Action::Poll { commit, .. } = operation.action {
            commits += usize::from(commit != Commit::None);
            commits_ok += usize::from(commit == Commit::Ok);
        }
    }
    let blind = blind(history, &order);
    let is_certain = |kind: &Kind| *kind != Kind::Unseen || blind.is_empty();
    let verdict = if anomalies.keys().any(is_certain) || (commits > 0 && commits_ok == 0) {
        Verdict::Invalid
    } else if !anomalies.is_empty() || sent + polled == 0 {
        Verdict::Unknown
    } else {
        Verdict::Valid
    };
    Report {
        verdict,
        sent,
        polled,
        commits,
        commits_ok,
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

/// A message that was seen at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sighting {
    key: u32,
    offset: i64,
    /// When, and by which operation.
    at: Instant,
    operation: u32,
    message: u32,
}

/// The logs of all keys, one after the other.
struct Logs {
    /// In order. What was seen several times at the same offset is there once, when it was seen first.
    sightings: Vec<Sighting>,
    /// The key and offset of each index, over all keys, in order.
    offsets: Vec<(u32, i64)>,
    /// Which message has each index: the first that was seen there.
    picked: Vec<u32>,
    /// Of each message the first and the last place in `offsets` where it was seen.
    first: Vec<Option<u32>>,
    last: Vec<Option<u32>>,
    /// Of each message the last place where it was picked: its index, plus the places of the keys before.
    index: Vec<Option<u32>>,
}

impl Logs {
    fn of(history: &History) -> Self {
        let mut sightings = Vec::new();
        for (place, operation) in history.operations.iter().enumerate() {
            let (at, operation_id) = (operation.interval.completed, count(place));
            let mut see = |offset, message: Message| {
                let key = history.messages[message.0 as usize].0;
                sightings.push(Sighting { key, offset, at, operation: operation_id, message: message.0 });
            };
            match &operation.action {
                Action::Send { message, offset: Some(offset) }
                    if operation.completion != Completion::Fail =>
                {
                    see(*offset, *message);
                }
                Action::Poll { lists, .. } => {
                    for &(offset, message) in lists.iter().flat_map(|(_, list)| list) {
                        see(offset, message);
                    }
                }
                _ => {}
            }
        }
        keep_first(&mut sightings);

        let messages = history.messages.len();
        let (mut offsets, mut picked) = (Vec::new(), Vec::new());
        let (mut first, mut last, mut index) =
            (vec![None; messages], vec![None; messages], vec![None; messages]);
        for sighting in &sightings {
            let message = sighting.message as usize;
            if offsets.last() != Some(&(sighting.key, sighting.offset)) {
                index[message] = Some(count(offsets.len()));
                offsets.push((sighting.key, sighting.offset));
                picked.push(sighting.message);
            }
            let place = count(offsets.len() - 1);
            first[message].get_or_insert(place);
            last[message] = Some(place);
        }
        Self { sightings, offsets, picked, first, last, index }
    }

    /// The place of an offset.
    fn place(&self, key: Key, offset: i64) -> Option<u32> {
        self.offsets.binary_search(&(key.0, offset)).ok().map(count)
    }

    /// How much further the one message is in the log than the other. Between such as have no place, one step.
    fn distance(&self, from: Message, to: Message) -> i64 {
        match (self.index[from.0 as usize], self.index[to.0 as usize]) {
            (Some(from), Some(to)) => i64::from(to) - i64::from(from),
            _ => 1,
        }
    }

    fn offset_of(&self, message: Message) -> Option<i64> {
        self.last[message.0 as usize].map(|place| self.offsets[place as usize].1)
    }
}

/// Sorts them, and of the sightings of a message at an offset keeps the first.
fn keep_first(sightings: &mut Vec<Sighting>) {
    sightings.sort_unstable_by_key(|&Sighting { key, offset, at, operation, message }| {
        (key, offset, message, at, operation)
    });
    sightings.dedup_by_key(|&mut Sighting { key, offset, message, .. }| (key, offset, message));
    sightings.sort_unstable();
}

/// What there is to know of a message without its place. Operations are meant by their places in the history.
#[derive(Clone, Copy, Default)]
struct Known {
    /// The first send of it that was invoked.
    sent: Option<u32>,
    /// The first that was acknowledged.
    sent_ok: Option<u32>,
    /// One that failed.
    sent_fail: Option<u32>,
    /// Whether a send may have happened.
    may_be_sent: bool,
    /// The first poll that returned it and succeeded, by its completion.
    read_ok: Option<u32>,
}

struct Facts {
    messages: Vec<Known>,
}

impl Facts {
    fn of(history: &History) -> Self {
        let mut messages = vec![Known::default(); history.messages.len()];
        let at = |place: u32| history.operations[place as usize].interval;
        let earlier = |slot: &mut Option<u32>, place: u32, time: fn(Interval) -> Instant| {
            if slot.is_none_or(|old| time(at(place)) < time(at(old))) {
                *slot = Some(place);
            }
        };
        for (place, operation) in history.operations.iter().enumerate() {
            let place = count(place);
            match &operation.action {
                Action::Send { message, .. } => {
                    let known = &mut messages[message.0 as usize];
                    earlier(&mut known.sent, place, |interval| interval.invoked);
                    match operation.completion {
                        Completion::Ok => earlier(&mut known.sent_ok, place, |interval| interval.completed),
                        Completion::Fail => {
                            earlier(&mut known.sent_fail, place, |interval| interval.completed);
                        }
                        Completion::Info => {}
                    }
                    known.may_be_sent |= operation.completion != Completion::Fail;
                }
                Action::Poll { lists, .. } if operation.completion == Completion::Ok => {
                    for (_, message) in lists.iter().flat_map(|(_, list)| list) {
                        let known = &mut messages[message.0 as usize];
                        earlier(&mut known.read_ok, place, |interval| interval.completed);
                    }
                }
                _ => {}
            }
        }
        Self { messages }
    }
}

/// What there is to say about an anomaly, before it is put into words.
#[derive(Clone, Copy, Debug)]
struct Case {
    key: u32,
    /// How grave it is among those of its kind.
    weight: u64,
    offset: Option<i64>,
    /// Places in the history.
    operation: u32,
    other: Option<u32>,
    message: Option<Message>,
    other_message: Option<Message>,
    other_offset: Option<i64>,
}

struct Found<'a> {
    history: &'a History,
    logs: &'a Logs,
    facts: &'a Facts,
    /// Whether the history tells who asked for which keys: one made by hand may have polls alone.
    has_assigns: bool,
    cases: BTreeMap<Kind, Vec<Case>>,
}

impl<'a> Found<'a> {
    fn add(&mut self, kind: Kind, case: Case) {
        self.cases.entry(kind).or_default().push(case);
    }

    fn operation(&self, place: u32) -> &'a Operation {
        &self.history.operations[place as usize]
    }

    /// Offsets with two messages, and messages with two offsets.
    fn in_logs(&mut self) {
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
    fn in_messages(&mut self) {
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
    fn in_processes(&mut self, order: &[u32]) -> Lags {
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
    fn commits_from_nowhere(&mut self) {
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

    /// The cases in words, the worst of each kind first.
    fn told(&mut self) -> BTreeMap<Kind, Findings<Anomaly>> {
        let mut told = BTreeMap::new();
        let mut cases = std::mem::take(&mut self.cases);
        for (&kind, cases) in &mut cases {
            cases.sort_by_key(|case| {
                let operation = self.operation(case.operation);
                (std::cmp::Reverse(case.weight), operation.interval.completed, case.key, case.offset)
            });
            let anomaly = |case: &Case| Anomaly {
                key: self.history.keys[case.key as usize].clone(),
                offset: case.offset,
                operation: case.operation as usize,
                sentence: self.sentence(kind, case),
            };
            let listed = cases.iter().take(Findings::LISTED).map(anomaly).collect();
            told.insert(kind, Findings { total: cases.len(), listed });
        }
        self.cases = cases;
        told
    }

    fn sentence(&self, kind: Kind, case: &Case) -> String {
        let history = self.history;
        let who = |place: u32| Who(self.operation(place));
        let value =
            |message: Option<Message>| message.map_or(Cow::Borrowed("?"), |message| history.value(message));
        let at = |offset: Option<i64>| {
            offset.map_or_else(|| "an unknown offset".into(), |offset| format!("offset {offset}"))
        };
        let key = history.keys[case.key as usize].as_ref();
        let (operation, other) = (who(case.operation), case.other.map(who));
        let other = other.as_ref().map_or("?".to_owned(), ToString::to_string);
        let (message, before) = (value(case.message), value(case.other_message));
        let (offset, other_offset) = (at(case.offset), at(case.other_offset));
        let between = || self.between(case);
        match kind {
            Kind::InconsistentOffsets => format!(
                "key {key}: two messages are at {offset}: {before} ({other}) and {message} ({operation})"
            ),
            Kind::Duplicate => format!(
                "key {key}: message {message} is in the log twice, at {other_offset} ({other}) and at {offset} \
                 ({operation}), but it was sent once"
            ),
            Kind::LostWrite => format!(
                "key {key}: message {message} at {offset} was acknowledged ({operation}), and no poll ever returned \
                 it, though {before} at {other_offset}, which comes after it, was polled ({other}): it is lost"
            ),
            Kind::Unseen => format!(
                "key {key}: message {message} at {offset} was acknowledged ({operation}), and no poll had returned it \
                 by the end of the test"
            ),
            Kind::AbortedRead => format!(
                "key {key}: message {message} was polled at {offset} ({operation}), but its send had failed ({other}), \
                 which says that it is not in the log"
            ),
            Kind::Phantom => format!(
                "key {key}: message {message} was polled at {offset} ({operation}), but nobody ever sent it"
            ),
            Kind::ReadBeforeSend => format!(
                "key {key}: message {message} was polled at {offset} ({operation}) before it was sent ({other})"
            ),
            Kind::SkipInPoll => format!(
                "key {key}: one poll ({operation}) returned {before} at {other_offset} and next {message} at {offset}, \
                 without {}",
                between()
            ),
            Kind::NonmonotonicInPoll => format!(
                "key {key}: one poll ({operation}) returned {before} at {other_offset} and after it {message} at \
                 {offset}, which does not come after it"
            ),
            Kind::Skip => format!(
                "key {key}: a client's poll ended with {before} at {other_offset} ({other}), and its next one began \
                 with {message} at {offset} ({operation}): it was never given {}",
                between()
            ),
            Kind::Nonmonotonic => format!(
                "key {key}: a client's poll ended with {before} at {other_offset} ({other}), and its next one began \
                 with {message} at {offset} ({operation}), which it had passed already"
            ),
            Kind::NonmonotonicSend => format!(
                "key {key}: a client's message {message} went to {offset} ({operation}), which is not above \
                 {other_offset}, where its earlier message {before} is ({other})"
            ),
            Kind::UnaskedKey => format!(
                "key {key}: a poll ({operation}) returned {message} at {offset}, but the client had not asked for \
                 this key"
            ),
            Kind::BelowRequested => format!(
                "key {key}: a poll ({operation}) asked for {other_offset} and what follows, and was given {message} \
                 at {offset}, too"
            ),
            Kind::CommitFromNowhere => {
                let most = match case.other_offset {
                    Some(_) => format!("nobody had committed more than {other_offset} by then"),
                    None => "nobody had committed anything there by then".to_owned(),
                };
                format!("key {key}: {offset} was said to be committed ({operation}), but {most}")
            }
        }
    }

    /// `3 at offset 7`, or `3 at offset 7 and 2 more`: what is between the two messages of a case.
    fn between(&self, case: &Case) -> String {
        let index =
            |message: Option<Message>| message.and_then(|message| self.logs.index[message.0 as usize]);
        let (Some(from), Some(to)) = (index(case.other_message), index(case.message)) else {
            return String::new();
        };
        let place = from as usize + 1;
        let (value, (_, offset)) =
            (self.history.value(Message(self.logs.picked[place])), self.logs.offsets[place]);
        match to as usize - place {
            1 => format!("{value} at offset {offset}"),
            more => format!("{value} at offset {offset} and {} more", more - 1),
        }
    }
}

impl Case {
    const fn of(key: u32, operation: u32) -> Self {
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

    const fn at(sighting: Sighting) -> Self {
        let Sighting { key, offset, operation, message, .. } = sighting;
        Self { offset: Some(offset), message: Some(Message(message)), ..Self::of(key, operation) }
    }
}

/// `process 3 at n1, 1.203 s`
struct Who<'a>(&'a Operation);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Operation { process, node, interval, .. } = self.0;
        match *node {
            Some(node) => write!(f, "process {process}, {}", Place { node, at: interval.completed }),
            None => write!(f, "process {process}, {}", Seconds(interval.completed)),
        }
    }
}

/// What a process knows.
#[derive(Default)]
struct Process {
    /// The last message of each key that it polled, with the poll.
    read: BTreeMap<Key, (u32, (i64, Message))>,
    /// Its last message to each key: the place in the log, and the send.
    sent: BTreeMap<Key, (u32, u32, Message)>,
    /// What it asks for next: its client's offsets.
    next: BTreeMap<Key, i64>,
    /// The highest offset of each key that it polled, or -1.
    position: BTreeMap<Key, i64>,
}

impl Process {
    fn assign(&mut self, keys: &[Key], start: Start, committed: &[(Key, i64)]) {
        if start == Start::Rewind {
            *self = Self { sent: std::mem::take(&mut self.sent), ..Self::default() };
        }
        let keys: BTreeSet<Key> = keys.iter().copied().collect();
        let committed: BTreeMap<Key, i64> = match start {
            Start::Committed => committed.iter().copied().collect(),
            Start::Zero | Start::Rewind => BTreeMap::new(),
        };
        let is_kept = |key: &Key| keys.contains(key);
        self.read.retain(|key, _| is_kept(key));
        self.next.retain(|key, _| is_kept(key));
        self.position.retain(|key, _| is_kept(key));
        for key in keys {
            let start = committed.get(&key).map_or(0, |offset| offset.saturating_add(1));
            self.next.entry(key).or_insert(start);
            self.position.entry(key).or_insert(start - 1);
        }
    }
}

/// How many stretches of a test are told apart where lags are collected.
const STRETCHES: u64 = 200;

/// When which offsets were known to be in the logs, and the lags that follow.
struct Lags {
    /// Of each key the offsets that were higher than all before, and when they were first known. In order.
    records: Vec<Vec<(i64, Instant)>>,
    /// How long a stretch is, in microseconds.
    stretch: u64,
    worst: Option<Lag>,
    /// By stretch and process.
    by_process: BTreeMap<(u64, u64), Lag>,
    /// By stretch and key.
    by_key: BTreeMap<(u64, Key), Lag>,
}

impl Lags {
    fn of(history: &History) -> Self {
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
    fn poll(&mut self, operation: &Operation, process: &Process) {
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

/// The offsets that the clients asked to commit.
struct Commits {
    /// Of each key when an offset was asked for that is higher than all before. In order.
    asked: Vec<Vec<(Instant, i64)>>,
    /// When the first poll began of which nobody knows what it returned, and so what it committed.
    unknown: Option<Instant>,
}

impl Commits {
    fn of(history: &History) -> Self {
        let mut asked: Vec<Vec<(Instant, i64)>> = vec![Vec::new(); history.keys.len()];
        let mut unknown = None::<Instant>;
        for operation in &history.operations {
            let Action::Poll { lists, .. } = &operation.action else { continue };
            let at = operation.interval.invoked;
            if operation.completion != Completion::Ok {
                unknown = Some(unknown.map_or(at, |earlier| earlier.min(at)));
            }
            for (key, list) in lists {
                let highest = list.iter().map(|(offset, _)| *offset).max();
                asked[key.0 as usize].extend(highest.map(|offset| (at, offset)));
            }
        }
        for asked in &mut asked {
            asked.sort_unstable();
            let mut highest = None;
            asked.retain(|&(_, offset)| {
                let is_higher = highest.is_none_or(|highest| offset > highest);
                highest = highest.max(Some(offset));
                is_higher
            });
        }
        Self { asked, unknown }
    }

    /// The highest offset of a key that somebody had asked to commit by then.
    fn highest_before(&self, key: Key, at: Instant) -> Option<i64> {
        let asked = &self.asked[key.0 as usize];
        let before = asked.partition_point(|&(invoked, _)| invoked <= at);
        before.checked_sub(1).map(|last| asked[last].1)
    }
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
        let Operation { process, node, interval, .. } = operation(places[start]);
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

/// How many messages of each key were acknowledged and not polled yet.
fn unseen_over_time(history: &History, facts: &Facts) -> Vec<(Instant, Key, usize)> {
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

impl Report {
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
        sentences
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// One operation each, in the order in which they are done, one after the other.
    #[derive(Default)]
    struct Script {
        history: History,
        now: u64,
    }

    impl Script {
        fn message(&mut self, key: &str, value: i64) -> Message {
            let key = self.history.key(key);
            self.history.message(key, Payload::Integer(value))
        }

        fn push(&mut self, process: u64, completion: Completion, action: Action) -> &mut Self {
            self.now += 1_000_000;
            let (invoked, completed) =
                (Instant::from_micros(self.now), Instant::from_micros(self.now + 500_000));
            let interval = Interval { invoked, completed };
            self.history.push(Operation { process, node: None, interval, completion, action });
            self
        }

        fn send(&mut self, process: u64, key: &str, value: i64, offset: i64) -> &mut Self {
            let message = self.message(key, value);
            self.push(process, Completion::Ok, Action::Send { message, offset: Some(offset) })
        }

        /// A send without an answer, or one that failed.
        fn attempt(&mut self, process: u64, key: &str, value: i64, completion: Completion) -> &mut Self {
            let message = self.message(key, value);
            self.push(process, completion, Action::Send { message, offset: None })
        }

        fn poll(&mut self, process: u64, key: &str, pairs: &[(i64, i64)]) -> &mut Self {
            let list = pairs.iter().map(|&(offset, value)| (offset, self.message(key, value))).collect();
            let lists = vec![(self.history.key(key), list)];
            self.push(process, Completion::Ok, Action::Poll { lists, commit: Commit::None })
        }

        fn assign(&mut self, process: u64, keys: &[&str], committed: &[(&str, i64)]) -> &mut Self {
            let committed = committed.iter().map(|&(key, offset)| (self.history.key(key), offset)).collect();
            let keys = keys.iter().map(|key| self.history.key(key)).collect();
            self.push(process, Completion::Ok, Action::Assign { keys, start: Start::Committed, committed })
        }

        fn rewind(&mut self, process: u64, keys: &[&str]) -> &mut Self {
            let keys = keys.iter().map(|key| self.history.key(key)).collect();
            let action = Action::Assign { keys, start: Start::Rewind, committed: Vec::new() };
            self.push(process, Completion::Ok, action)
        }

        /// The names of the anomalies.
        fn found(&self) -> Vec<&'static str> {
            check(&self.history).anomalies.keys().map(|kind| kind.name()).collect()
        }

        fn explain(&self) -> Vec<String> {
            check(&self.history).explain()
        }

        fn verdict(&self) -> Verdict {
            check(&self.history).verdict
        }
    }

    fn script() -> Script {
        Script::default()
    }

    /// The cases K04, K10, K12 and K13 of the oracles.
    #[test]
    fn agrees_with_small_histories_that_were_judged() {
        let mut skips = script();
        for (process, value) in [(3, 1), (4, 2), (5, 3), (6, 4), (7, 7)] {
            skips.attempt(process, "x", value, Completion::Info);
        }
        skips.poll(0, "x", &[(1, 1), (2, 2)]).poll(1, "x", &[(3, 3)]).poll(0, "x", &[(4, 4)]);
        skips.send(2, "x", 6, 6).poll(0, "x", &[(7, 7)]);
        assert_eq!(skips.found(), ["lost-write", "unseen", "poll-skip"]);
        assert_eq!(check(&skips.history).anomalies[&Kind::Skip].total, 2);

        let mut twice = script();
        twice.send(0, "x", 1, 1).attempt(1, "x", 2, Completion::Info).poll(2, "x", &[(2, 2), (3, 1)]);
        assert_eq!(twice.found(), ["duplicate"]);

        let mut early = script();
        early.poll(1, "x", &[(0, 1)]).send(0, "x", 1, 0);
        assert_eq!(early.found(), ["G1c-realtime"]);

        let mut sparse = script();
        sparse.send(0, "x", 1, 5).send(0, "x", 2, 9).poll(1, "x", &[(5, 1), (9, 2)]);
        assert_eq!((sparse.found(), sparse.verdict()), (vec![], Verdict::Valid));
    }

    #[test]
    fn offsets_of_any_size_cost_nothing() {
        let mut huge = script();
        let last = i64::MAX;
        huge.assign(1, &["x"], &[]).send(0, "x", 1, 1 << 53).send(0, "x", 2, last);
        huge.poll(1, "x", &[(1 << 53, 1), (last, 2)]);
        assert_eq!((huge.found(), huge.verdict()), (vec![], Verdict::Valid));
    }

    #[test]
    fn without_messages_nothing_is_known() {
        assert_eq!(script().verdict(), Verdict::Unknown);
        let mut nothing = script();
        nothing.attempt(0, "x", 1, Completion::Info).poll(1, "x", &[]);
        assert_eq!(nothing.verdict(), Verdict::Unknown);
        assert_eq!(nothing.explain(), ["no message was sent or polled, so nothing can be said about them"]);
    }

    #[test]
    fn what_failed_is_not_polled_and_what_may_have_happened_may() {
        let mut failed = script();
        failed.attempt(0, "x", 1, Completion::Fail).poll(1, "x", &[(0, 1)]);
        assert_eq!(failed.found(), ["G1a"]);
        let mut maybe = script();
        maybe.attempt(0, "x", 1, Completion::Info).poll(1, "x", &[(0, 1)]);
        assert_eq!((maybe.found(), maybe.verdict()), (vec![], Verdict::Valid));
        let mut unsent = script();
        unsent.send(0, "x", 1, 0).poll(1, "x", &[(0, 1), (1, 9)]);
        assert_eq!(unsent.found(), ["phantom"]);
        assert_eq!(
            unsent.explain(),
            [
                "phantom: key x: message 9 was polled at offset 1 (process 1, 2.500 s), but nobody ever sent it"
            ]
        );
    }

    #[test]
    fn two_messages_at_one_offset_and_what_comes_of_it() {
        let mut reused = script();
        reused.send(0, "x", 1, 0).send(1, "x", 2, 0).poll(2, "x", &[(0, 2)]);
        assert_eq!(reused.found(), ["inconsistent-offsets", "lost-write", "unseen"]);
        assert_eq!(
            reused.explain()[0],
            "inconsistent-offsets: key x: two messages are at offset 0: 1 (process 0, 1.500 s) and 2 (process 1, \
             2.500 s)"
        );
    }

    #[test]
    fn a_poll_follows_the_log() {
        let mut sent = script();
        for value in 0..5 {
            sent.send(0, "x", value, 10 * value);
        }
        let with = |pairs: &[(i64, i64)]| {
            let mut script = Script { history: sent.history.clone(), now: sent.now };
            script.poll(8, "x", &[(0, 0), (10, 1), (20, 2), (30, 3), (40, 4)]).poll(1, "x", pairs);
            (script.found(), script.explain())
        };
        assert_eq!(with(&[(0, 0), (10, 1)]).0, [""; 0]);
        let (found, explained) = with(&[(0, 0), (30, 3)]);
        assert_eq!(found, ["int-poll-skip"]);
        assert_eq!(
            explained,
            [
                "int-poll-skip: key x: one poll (process 1, 7.500 s) returned 0 at offset 0 and next 3 at offset 30, \
              without 1 at offset 10 and 1 more"
            ]
        );
        assert_eq!(with(&[(10, 1), (0, 0)]).0, ["int-nonmonotonic-poll"]);
        assert_eq!(with(&[(10, 1), (10, 1)]).0, ["int-nonmonotonic-poll"]);
    }

    #[test]
    fn a_process_polls_on_where_it_was_until_it_is_assigned_anew() {
        let mut sent = script();
        for value in 0..4 {
            sent.send(0, "x", value, value).send(0, "y", value, value);
        }
        sent.assign(9, &["x", "y"], &[]);
        for key in ["x", "y"] {
            sent.poll(9, key, &[(0, 0), (1, 1), (2, 2), (3, 3)]);
        }
        let with = |act: &dyn Fn(&mut Script)| {
            let mut script = Script { history: sent.history.clone(), now: sent.now };
            script.assign(1, &["x"], &[]).poll(1, "x", &[(0, 0), (1, 1)]);
            act(&mut script);
            script.found()
        };
        assert_eq!(
            with(&|script| {
                script.poll(1, "x", &[(2, 2)]);
            }),
            [""; 0]
        );
        assert_eq!(
            with(&|script| {
                script.poll(1, "x", &[(3, 3)]);
            }),
            ["poll-skip"]
        );
        let again = ["nonmonotonic-poll", "below-requested-offset"];
        assert_eq!(
            with(&|script| {
                script.poll(1, "x", &[(1, 1)]);
            }),
            again
        );
        // An empty list is no reason to forget.
        assert_eq!(
            with(&|script| {
                script.poll(1, "x", &[]).poll(1, "x", &[(3, 3)]);
            }),
            ["poll-skip"]
        );
        let kept = |script: &mut Script| {
            script.assign(1, &["y", "x"], &[("x", 0)]).poll(1, "x", &[(3, 3)]);
        };
        assert_eq!(with(&kept), ["poll-skip"]);
        let away = |script: &mut Script| {
            script.assign(1, &["y"], &[]).assign(1, &["x"], &[]).poll(1, "x", &[(0, 0)]);
        };
        assert_eq!(with(&away), [""; 0]);
        assert_eq!(
            with(&|script| {
                script.rewind(1, &["x"]).poll(1, "x", &[(0, 0)]);
            }),
            [""; 0]
        );
        let failed = |script: &mut Script| {
            let action = Action::Poll { lists: Vec::new(), commit: Commit::None };
            script.push(1, Completion::Fail, action).poll(1, "x", &[(3, 3)]);
        };
        assert_eq!(with(&failed), [""; 0], "it may have been given what it does not tell");
        assert_eq!(
            with(&|script| {
                script.poll(1, "y", &[(0, 0)]);
            }),
            ["unasked-key"]
        );
        assert_eq!(
            with(&|script| {
                script.poll(2, "x", &[(0, 0)]);
            }),
            ["unasked-key"],
            "asks for nothing"
        );
    }

    #[test]
    fn committed_offsets_were_committed_by_somebody() {
        let with = |committed: &[(&str, i64)]| {
            let mut script = script();
            script.send(0, "x", 1, 0).send(0, "x", 2, 1).assign(1, &["x"], &[]).poll(
                1,
                "x",
                &[(0, 1), (1, 2)],
            );
            script.assign(2, &["x", "y"], committed);
            script.found()
        };
        assert_eq!(with(&[]), [""; 0]);
        assert_eq!(with(&[("x", 0)]), [""; 0], "it need not be fresh");
        assert_eq!(with(&[("x", 1)]), [""; 0]);
        assert_eq!(with(&[("x", 2)]), ["commit-from-nowhere"]);
        assert_eq!(with(&[("y", 0)]), ["commit-from-nowhere"]);

        let mut unsure = script();
        unsure.send(0, "x", 1, 0).assign(1, &["x"], &[]).poll(1, "x", &[(0, 1)]);
        unsure.push(2, Completion::Info, Action::Poll { lists: Vec::new(), commit: Commit::None });
        assert_eq!(
            unsure.assign(3, &["x"], &[("x", 9)]).found(),
            [""; 0],
            "nobody knows what process 2 committed"
        );
    }

    #[test]
    fn a_consumer_starts_after_what_was_committed() {
        let mut script = script();
        script.send(0, "x", 1, 0).send(0, "x", 2, 1).send(0, "x", 3, 2).assign(1, &["x"], &[]);
        script.poll(1, "x", &[(0, 1), (1, 2), (2, 3)]).assign(2, &["x"], &[("x", 1)]).poll(
            2,
            "x",
            &[(1, 2), (2, 3)],
        );
        assert_eq!(script.found(), ["below-requested-offset"]);
        assert_eq!(
            script.explain(),
            [
                "below-requested-offset: key x: a poll (process 2, 7.500 s) asked for offset 2 and what follows, and was \
              given 2 at offset 1, too"
            ]
        );
    }

    #[test]
    fn commits_that_never_succeed_are_no_commits() {
        let with = |commits: &[Commit]| {
            let mut script = script();
            script.send(0, "x", 1, 0).assign(1, &["x"], &[]).poll(1, "x", &[(0, 1)]);
            for &commit in commits {
                script.push(1, Completion::Ok, Action::Poll { lists: Vec::new(), commit });
            }
            script.verdict()
        };
        assert_eq!(with(&[]), Verdict::Valid);
        assert_eq!(with(&[Commit::Failed, Commit::Ok]), Verdict::Valid);
        assert_eq!(with(&[Commit::Failed, Commit::None]), Verdict::Invalid);
    }

    #[test]
    fn what_was_sent_comes_after_what_was_sent_before() {
        let mut back = script();
        back.send(0, "x", 1, 5).assign(0, &["y"], &[]).send(0, "x", 2, 4);
        back.assign(1, &["x"], &[]).poll(1, "x", &[(4, 2), (5, 1)]);
        assert_eq!(back.found(), ["nonmonotonic-send"], "an assign does not change what was sent");
    }

    #[test]
    fn who_could_not_look_in_the_end_saw_nothing() {
        let with = |completion| {
            let mut script = script();
            script.send(0, "x", 1, 0).rewind(1, &["x"]).rewind(2, &["x"]).poll(1, "x", &[]);
            script.push(2, completion, Action::Poll { lists: Vec::new(), commit: Commit::None });
            (script.verdict(), script.found(), script.explain().len())
        };
        assert_eq!(with(Completion::Ok), (Verdict::Invalid, vec!["unseen"], 1));
        assert_eq!(with(Completion::Info), (Verdict::Unknown, vec!["unseen"], 2));
    }

    #[test]
    fn lag_is_how_long_there_was_something_newer() {
        let mut script = script();
        script.send(0, "x", 1, 0).send(0, "x", 2, 1).assign(1, &["x"], &[]).poll(1, "x", &[(0, 1)]);
        script.poll(1, "x", &[(1, 2)]);
        let report = check(&script.history);
        // The second message was there at 2.5 s, and at 4 s a poll began that ends before it.
        let worst = report.worst_lag.map(|lag| (lag.at.as_micros(), lag.process, lag.lag.as_micros()));
        assert_eq!(worst, Some((4_000_000, 1, 1_500_000)));
        assert_eq!((report.lags_by_process.len(), report.lags_by_key.len()), (1, 1));
    }

    #[test]
    fn unseen_messages_are_counted_over_time() {
        let mut script = script();
        script.send(0, "x", 1, 0).send(0, "x", 2, 1).poll(1, "x", &[(0, 1)]).send(0, "y", 1, 0);
        let counts: Vec<_> = check(&script.history)
            .unseen
            .into_iter()
            .map(|(at, Key(key), count)| (at.as_micros() / 1_000, key, count))
            .collect();
        assert_eq!(counts, [(1_500, 0, 1), (2_500, 0, 2), (3_500, 0, 1), (4_500, 1, 1)]);
    }

    /// A broken node answers every send with the same offset.
    #[test]
    fn many_messages_at_one_offset_are_sorted_once() {
        let mut script = script();
        for value in 0..100_000 {
            script.send(0, "x", value, 0);
        }
        let report = check(&script.history);
        assert_eq!(report.anomalies[&Kind::InconsistentOffsets].total, 1);
        assert_eq!(report.anomalies[&Kind::Unseen].total, 100_000);
    }

    /// The definitions again, each in the plainest way, on small histories: how many cases of each kind.
    fn naive(history: &History) -> BTreeMap<&'static str, usize> {
        let operations = history.operations();
        let key_of = |message: Message| Key(history.messages[message.0 as usize].0);
        let mut seen: Vec<(Instant, usize, Key, i64, Message)> = Vec::new();
        for (place, operation) in operations.iter().enumerate() {
            let at = operation.interval.completed;
            match &operation.action {
                Action::Send { message, offset: Some(offset) }
                    if operation.completion != Completion::Fail =>
                {
                    seen.push((at, place, key_of(*message), *offset, *message));
                }
                Action::Poll { lists, .. } => {
                    for (key, list) in lists {
                        seen.extend(list.iter().map(|&(offset, message)| (at, place, *key, offset, message)));
                    }
                }
                _ => {}
            }
        }
        seen.sort_by_key(|&(at, place, _, _, message)| (at, place, message));
        let log = |key: Key| {
            let mut log: BTreeMap<i64, Vec<Message>> = BTreeMap::new();
            for &(_, _, of, offset, message) in &seen {
                if of == key && !log.entry(offset).or_default().contains(&message) {
                    log.get_mut(&offset).unwrap().push(message);
                }
            }
            log
        };
        let index = |message: Message| log(key_of(message)).values().rposition(|at| at[0] == message);
        let distance = |from, to| match (index(from), index(to)) {
            (Some(from), Some(to)) => i64::from(count(to)) - i64::from(count(from)),
            _ => 1,
        };
        let is_read = |message: Message| {
            operations.iter().any(|operation| match &operation.action {
                Action::Poll { lists, .. } => {
                    operation.completion == Completion::Ok
                        && lists.iter().flat_map(|(_, list)| list).any(|&(_, read)| read == message)
                }
                _ => false,
            })
        };
        let sends = |message: Message, completion: Completion| {
            operations
                .iter()
                .filter(|operation| {
                    matches!(operation.action, Action::Send { message: sent, .. } if sent == message)
                        && operation.completion == completion
                })
                .collect::<Vec<_>>()
        };
        let reads = |message: Message| {
            let all = operations.iter().filter(|operation| match &operation.action {
                Action::Poll { lists, .. } => {
                    operation.completion == Completion::Ok
                        && lists.iter().flat_map(|(_, list)| list).any(|&(_, read)| read == message)
                }
                _ => false,
            });
            all.collect::<Vec<_>>()
        };

        let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
        let mut add = |kind: Kind, count: usize| {
            if count > 0 {
                *counts.entry(kind.name()).or_default() += count;
            }
        };
        let messages: Vec<Message> = (0..count(history.messages.len())).map(Message).collect();
        for key in (0..count(history.keys.len())).map(Key) {
            let log = log(key);
            add(Kind::InconsistentOffsets, log.values().filter(|at| at.len() > 1).count());
            let at: Vec<&Vec<Message>> = log.values().collect();
            let of_key = || messages.iter().copied().filter(|&message| key_of(message) == key);
            let first = |message| at.iter().position(|at| at.contains(&message));
            let last = |message| at.iter().rposition(|at| at.contains(&message));
            add(Kind::Duplicate, of_key().filter(|&message| first(message) != last(message)).count());
            let bound = of_key().filter(|&message| is_read(message)).filter_map(first).max();
            for message in of_key() {
                let (ok, failed) = (sends(message, Completion::Ok), sends(message, Completion::Fail));
                let maybe = sends(message, Completion::Info);
                if !ok.is_empty() && !is_read(message) {
                    add(Kind::Unseen, 1);
                    add(Kind::LostWrite, usize::from(last(message) <= bound && bound.is_some()));
                }
                if is_read(message) {
                    let all = [&ok[..], &failed, &maybe].concat();
                    add(Kind::Phantom, usize::from(all.is_empty()));
                    let is_aborted = !failed.is_empty() && ok.is_empty() && maybe.is_empty();
                    add(Kind::AbortedRead, usize::from(is_aborted));
                    let is_early = !is_aborted
                        && reads(message).iter().any(|read| {
                            !all.is_empty()
                                && all.iter().all(|sent| read.interval.completed < sent.interval.invoked)
                        });
                    add(Kind::ReadBeforeSend, usize::from(is_early));
                }
            }
        }
        let mut distances = |kinds: (Kind, Kind), from, to| match distance(from, to) {
            1 => {}
            2.. => add(kinds.0, 1),
            _ => add(kinds.1, 1),
        };
        let processes: BTreeSet<u64> = operations.iter().map(|operation| operation.process).collect();
        for process in processes {
            let mut read: BTreeMap<Key, Message> = BTreeMap::new();
            for operation in operations.iter().filter(|operation| operation.process == process) {
                match &operation.action {
                    Action::Poll { lists, .. } => {
                        for (key, list) in lists {
                            for pair in list.windows(2) {
                                distances((Kind::SkipInPoll, Kind::NonmonotonicInPoll), pair[0].1, pair[1].1);
                            }
                            if let (Some(&before), Some(first)) = (read.get(key), list.first()) {
                                distances((Kind::Skip, Kind::Nonmonotonic), before, first.1);
                            }
                        }
                        match operation.completion {
                            Completion::Ok => {
                                read.extend(
                                    lists.iter().filter_map(|(key, list)| Some((*key, list.last()?.1))),
                                );
                            }
                            Completion::Fail => read.clear(),
                            Completion::Info => {}
                        }
                    }
                    Action::Assign { keys, .. } if operation.completion != Completion::Fail => {
                        read.retain(|key, _| keys.contains(key));
                    }
                    _ => {}
                }
            }
        }
        counts
    }

    #[derive(Clone, Debug)]
    enum Step {
        Send { key: usize, value: i64, offset: i64, ended: usize },
        Poll { key: usize, pairs: Vec<(i64, i64)>, ended: usize },
        Assign(Vec<usize>),
    }

    fn step() -> impl Strategy<Value = (u64, Step, u64)> {
        let completion = || prop_oneof![6 => Just(0_usize), 1 => Just(1_usize), 1 => Just(2_usize)];
        let step = prop_oneof![
            4 => (0..2_usize, 0..6_i64, 0..5_i64, completion())
                .prop_map(|(key, value, offset, ended)| Step::Send { key, value, offset, ended }),
            4 => (0..2_usize, prop::collection::vec((0..5_i64, 0..6_i64), 0..4), completion())
                .prop_map(|(key, pairs, ended)| Step::Poll { key, pairs, ended }),
            1 => prop::collection::vec(0..2_usize, 0..3).prop_map(Step::Assign),
        ];
        (0..3_u64, step, 0..4_000_000_u64)
    }

    /// Kinds that depend on more than the naive definitions tell.
    const ELSEWHERE: [Kind; 4] =
        [Kind::NonmonotonicSend, Kind::UnaskedKey, Kind::BelowRequested, Kind::CommitFromNowhere];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn agrees_with_the_definitions(steps in prop::collection::vec(step(), 0..16)) {
            let mut script = script();
            // A process does one operation after the other; those of several overlap.
            let mut busy = [0; 3];
            for (process, step, lasts) in steps {
                let completions = [Completion::Ok, Completion::Info, Completion::Fail];
                let (completion, action) = match step {
                    Step::Send { key, value, offset, ended } => {
                        let message = script.message(["x", "y"][key], value);
                        let completion = completions[ended];
                        let offset = (completion == Completion::Ok).then_some(offset);
                        (completion, Action::Send { message, offset })
                    }
                    Step::Poll { key, pairs, ended } => {
                        let key = ["x", "y"][key];
                        let list = pairs.iter().map(|&(offset, value)| (offset, script.message(key, value)));
                        let list = list.collect();
                        let lists = vec![(script.history.key(key), list)];
                        (completions[ended], Action::Poll { lists, commit: Commit::None })
                    }
                    Step::Assign(keys) => {
                        let keys = keys.iter().map(|&key| script.history.key(["x", "y"][key])).collect();
                        let action = Action::Assign { keys, start: Start::Zero, committed: Vec::new() };
                        (Completion::Ok, action)
                    }
                };
                let slot = &mut busy[usize::try_from(process).unwrap()];
                let invoked = *slot + 1_000_000;
                *slot = invoked + lasts;
                let interval =
                    Interval { invoked: Instant::from_micros(invoked), completed: Instant::from_micros(*slot) };
                script.history.push(Operation { process, node: None, interval, completion, action });
            }
            let found: BTreeMap<&'static str, usize> = check(&script.history)
                .anomalies
                .iter()
                .filter(|(kind, _)| !ELSEWHERE.contains(kind))
                .map(|(kind, findings)| (kind.name(), findings.total))
                .collect();
            prop_assert_eq!(found, naive(&script.history));
        }

        /// Whatever a log does that is one, with offsets of any size, is right.
        #[test]
        fn a_log_is_never_accused(
            steps in prop::collection::vec((0..4_u64, 0..3_usize, 0..3_usize, 1..1_000_000_000_i64), 1..120),
        ) {
            let mut script = script();
            let mut logs: [Vec<(i64, i64)>; 3] = Default::default();
            let mut places: BTreeMap<u64, [usize; 3]> = BTreeMap::new();
            let (mut value, names) = (0, ["x", "y", "z"]);
            for process in 0..4 {
                script.assign(process, &names, &[]);
            }
            for (process, kind, key, more) in steps {
                let log = &mut logs[key];
                if kind == 0 {
                    value += 1;
                    let offset = log.last().map_or(more, |(last, _)| last + more);
                    log.push((offset, value));
                    script.send(process, names[key], value, offset);
                } else {
                    let place = &mut places.entry(process).or_default()[key];
                    let end = log.len().min(*place + usize::try_from(more).unwrap() % 5);
                    script.poll(process, names[key], &log[*place..end]);
                    *place = end;
                }
            }
            for (name, log) in names.iter().zip(&logs) {
                script.rewind(9, &[name]).poll(9, name, log);
            }
            let expected = if value == 0 { Verdict::Unknown } else { Verdict::Valid };
            prop_assert_eq!((script.verdict(), script.explain().len()), (expected, usize::from(value == 0)));
        }
    }
}
