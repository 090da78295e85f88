//! What clients send, and who polls what.

use std::collections::BTreeMap;

use super::super::super::data::Data;
use super::super::super::history::{Invocation, Operation, Outcome};
use super::super::contract::{FinalStep, Generator, GeneratorContext};
use super::super::key_pool::{KeyPool, Writes};
use super::value::{assign, highest, sent};
use crate::time::{Duration, Instant};
use crate::workbench::settings::Settings;

/// As in Maelstrom, unless it is asked for others.
const KEYS: usize = 10;

/// One in so many operations is an assign. Maelstrom's is one in 64, so that at a low rate most polls are of clients
/// that poll nothing yet.
const ASSIGN_EACH: u32 = 8;

/// How often a client crashes, on average.
const CRASH_EACH: Duration = Duration::from_secs(30);

/// The longest pause between two final polls of a client.
const FINAL_PAUSE: Duration = Duration::from_millis(400);

/// Thinks up the operations of a test.
#[derive(Debug)]
pub(super) struct Logs {
    keys: KeyPool,
    /// An operation that waits while the assign before it is done.
    pending: Option<Operation>,
    /// What is known of each key.
    known: BTreeMap<Box<str>, Ends>,
    crash_each: Duration,
    crash_at: Option<Instant>,
    workers: Vec<Worker>,
}

/// The highest offsets of a key that were acknowledged and polled.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    sent: Option<i64>,
    polled: Option<i64>,
}

#[derive(Clone, Debug, Default)]
struct Worker {
    /// The process that was assigned keys.
    assigned: Option<usize>,
    last: LastSteps,
    /// The highest offset of each key that its final polls returned.
    reached: BTreeMap<Box<str>, i64>,
    /// Its last poll returned something that none of them had returned before.
    goes_on: bool,
}

/// How far a worker is with the final phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LastSteps {
    #[default]
    Before,
    Crashed,
    /// It is assigned all keys, and polls as soon as it waited.
    Waiting,
    Polling,
}

impl Logs {
    pub fn new(settings: &Settings) -> Self {
        let workers = settings.workers.max(1);
        Self {
            keys: KeyPool::new(
                settings.key_count.unwrap_or(KEYS),
                Writes::AtMost(settings.max_writes_per_key),
            ),
            pending: None,
            known: BTreeMap::new(),
            crash_each: Duration::from_micros(CRASH_EACH.as_micros() / workers as u64),
            crash_at: None,
            workers: vec![Worker::default(); workers],
        }
    }

    /// A client crashes from time to time: the spans between are drawn evenly, up to twice their mean.
    fn is_crash_due(&mut self, cx: &mut GeneratorContext<'_>) -> bool {
        let is_due = self.crash_at.is_some_and(|at| at <= cx.now);
        if is_due || self.crash_at.is_none() {
            let span = cx.rng.u64(0..=2 * self.crash_each.as_micros());
            self.crash_at = Some(cx.now + Duration::from_micros(span));
        }
        is_due
    }

    /// An assign of a key, and now and then of all those of which somebody has to catch up. Every other one begins
    /// after what was committed.
    fn assign(&self, key: i64, cx: &mut GeneratorContext<'_>) -> Operation {
        let mut keys: Vec<Box<str>> = vec![key.to_string().into()];
        if cx.rng.u32(0..3) == 0 {
            let behind = self.known.iter().filter(|(_, ends)| ends.sent > ends.polled).map(|(key, _)| key);
            let others: Vec<_> = behind.filter(|other| **other != keys[0]).cloned().collect();
            keys.extend(others);
        }
        let keys = Data::list(keys.into_iter().map(Data::Text));
        Operation::new("assign", if cx.rng.bool() { assign(keys, "committed", None) } else { keys })
    }

    /// A send or a poll, and the key that it is about. A poll is about a key only for the assign before it.
    fn send_or_poll(&mut self, cx: &mut GeneratorContext<'_>) -> (i64, Operation) {
        loop {
            if cx.rng.bool() {
                return (self.keys.key(cx.rng), poll());
            }
            if let Some((key, message)) = self.keys.try_write(cx.rng) {
                let send = Data::List(vec!["send".into(), (&*key.to_string()).into(), message.into()]);
                return (key, Operation::new("send", Data::List(vec![send])));
            }
        }
    }

    /// Whether a worker's final polls returned all that is known to be there.
    fn has_all(&self, worker: usize) -> bool {
        let reached = &self.workers[worker].reached;
        self.known.iter().all(|(key, ends)| reached.get(key).copied() >= ends.sent.max(ends.polled))
    }
}

fn poll() -> Operation {
    Operation::new("poll", Data::List(vec![Data::List(vec!["poll".into()])]))
}

fn crash() -> Operation {
    Operation::new("crash", Data::Null)
}

impl Generator for Logs {
    fn next(&mut self, worker: usize, cx: &mut GeneratorContext<'_>) -> Operation {
        if self.is_crash_due(cx) {
            return crash();
        }
        if self.workers[worker].assigned != Some(cx.process) {
            self.workers[worker].assigned = Some(cx.process);
            return self.assign(self.keys.key(cx.rng), cx);
        }
        if let Some(pending) = self.pending.take() {
            return pending;
        }
        let (key, operation) = self.send_or_poll(cx);
        if cx.rng.u32(0..ASSIGN_EACH) == 0 {
            self.pending = Some(operation);
            return self.assign(key, cx);
        }
        operation
    }

    fn completed(&mut self, worker: usize, invocation: &Invocation) {
        let is_refused = matches!(invocation.outcome, Outcome::Fail(_) | Outcome::Silence { .. });
        if invocation.operation.f == "assign" && is_refused {
            // In the end nothing is asked for it. Before that it is not tried at once again, or a node that refuses it
            // would be asked for nothing else.
            let worker = &mut self.workers[worker];
            worker.assigned = worker.assigned.filter(|_| !invocation.is_final);
        }
        let Some(answer) = invocation.answer() else { return };
        match invocation.operation.f {
            "send" => {
                let Some((key, offset, _)) = sent(answer, true) else { return };
                let ends = self.known.entry(key).or_default();
                ends.sent = ends.sent.max(offset);
            }
            "poll" => {
                let of = &mut self.workers[worker];
                of.goes_on = false;
                for (key, offset) in highest(answer) {
                    let reached = of.reached.entry(key.clone()).or_insert(i64::MIN);
                    of.goes_on |= offset > *reached;
                    *reached = offset.max(*reached);
                    let ends = self.known.entry(key).or_default();
                    ends.polled = ends.polled.max(Some(offset));
                }
            }
            _ => {}
        }
    }

    /// It crashes, begins anew at the beginning of all logs, and polls until it has all. In Maelstrom it gives up if a
    /// poll is not answered; here it begins again.
    fn final_step(&mut self, worker: usize, cx: &mut GeneratorContext<'_>) -> FinalStep {
        let of = &mut self.workers[worker];
        match of.last {
            LastSteps::Before => {
                of.last = LastSteps::Crashed;
                FinalStep::Do(crash())
            }
            _ if of.last == LastSteps::Crashed || of.assigned != Some(cx.process) => {
                of.last = LastSteps::Polling;
                of.assigned = Some(cx.process);
                of.reached.clear();
                let keys = Data::list(self.known.keys().cloned().map(Data::Text));
                FinalStep::Do(Operation::new("assign", assign(keys, "beginning", None)))
            }
            LastSteps::Polling => {
                if self.has_all(worker) {
                    return FinalStep::Done;
                }
                let of = &mut self.workers[worker];
                of.last = LastSteps::Waiting;
                // Who is given a little at a time has no time to lose.
                let pause = if of.goes_on { 1 } else { cx.rng.u64(1..=FINAL_PAUSE.as_micros()) };
                FinalStep::Wait(Duration::from_micros(pause))
            }
            LastSteps::Crashed | LastSteps::Waiting => {
                of.last = LastSteps::Polling;
                FinalStep::Do(poll())
            }
        }
    }

    fn probe(&mut self, _: usize, _: &mut GeneratorContext<'_>) -> Operation {
        poll()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operations(count: usize) -> (Logs, Vec<Operation>) {
        let mut logs = Logs::new(&Settings { workers: 2, ..Settings::default() });
        let mut rng = fastrand::Rng::with_seed(3);
        let operations = (0..count)
            .map(|place| {
                let now = Instant::from_micros(10_000 * place as u64);
                logs.next(place % 2, &mut GeneratorContext { rng: &mut rng, now, process: place % 2 })
            })
            .collect();
        (logs, operations)
    }

    #[test]
    fn a_process_is_assigned_keys_first_and_then_sends_and_polls_as_often() {
        let (_, operations) = operations(20_000);
        assert_eq!((operations[0].f, operations[1].f), ("assign", "assign"));
        let count = |f| operations.iter().filter(|operation| operation.f == f).count();
        assert!((8_000..9_500).contains(&count("send")), "{}", count("send"));
        assert!((8_000..9_500).contains(&count("poll")), "{}", count("poll"));
        assert!((1_900..2_600).contains(&count("assign")), "{}", count("assign"));
        // 200 s with two clients, each of which crashes every 30 s.
        assert!((8..20).contains(&count("crash")), "{}", count("crash"));
    }

    #[test]
    fn no_message_is_sent_twice() {
        let (_, operations) = operations(5_000);
        let mut sends: Vec<_> =
            operations.iter().filter(|of| of.f == "send").map(ToString::to_string).collect();
        let count = sends.len();
        sends.sort();
        sends.dedup();
        assert_eq!(sends.len(), count);
    }
}
