//! The definitions again, each in the plainest way, and histories by chance.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::super::Interval;
use super::super::history::count;
use super::super::*;
use super::script;
use crate::time::Instant;

/// The definitions again, each in the plainest way, on small histories: how many cases of each kind.
fn naive(history: &History) -> BTreeMap<&'static str, usize> {
    let operations = history.operations();
    let key_of = |message: Message| Key(history.messages[message.0 as usize].0);
    let mut seen: Vec<(Instant, usize, Key, i64, Message)> = Vec::new();
    for (place, operation) in operations.iter().enumerate() {
        let at = operation.interval.completed;
        match &operation.action {
            Action::Send { message, offset: Some(offset) } if operation.completion != Completion::Fail => {
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
                            read.extend(lists.iter().filter_map(|(key, list)| Some((*key, list.last()?.1))));
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
            script.history.push(LogOperation { process, node: None, interval, completion, action });
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
