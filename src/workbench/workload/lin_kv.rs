//! `lin-kv`: registers that are read, written, and compared and set, each operation as if at one moment.

use std::collections::{BTreeSet, HashMap};

use serde_json::json;

use super::super::checker::{Verdict, linearizable};
use super::super::data::Data;
use super::super::history::{Invocation, Operation, Outcome};
use super::contract::{
    CallFailure, Client, Fact, Finding, Generator, GeneratorContext, Picture, Step, Workload,
};
use super::register_picture;
use super::rpc::{Field, MalformedReply, Reply, RequestBody, Rpc, Shape};
use crate::time::Duration;
use crate::wire::error::ErrorCode;
use crate::workbench::format::thousands;
use crate::workbench::question::{Mark, Missed, Question};
use crate::workbench::settings::Settings;

const KEY: Field = Field { name: "key", shape: Shape::Integer, about: "which register", example: "5" };

static READ: Rpc = Rpc {
    request: "read",
    about: "Asks for the value of a key",
    fields: &[KEY],
    reply: "read_ok",
    reply_fields: &[Field {
        name: "value",
        shape: Shape::Nullable(&Shape::Integer),
        about: "the value; null, or error 20, if the key was never written",
        example: "3",
    }],
    errors: &[(ErrorCode::KEY_DOES_NOT_EXIST, "the key was never written")],
};

static WRITE: Rpc = Rpc {
    request: "write",
    about: "Sets the value of a key",
    fields: &[
        KEY,
        Field { name: "value", shape: Shape::Integer, about: "its value from then on", example: "3" },
    ],
    reply: "write_ok",
    reply_fields: &[],
    errors: &[],
};

static CAS: Rpc = Rpc {
    request: "cas",
    about: "Sets the value of a key, if it is what the client expects",
    fields: &[
        KEY,
        Field { name: "from", shape: Shape::Integer, about: "what the value has to be", example: "3" },
        Field { name: "to", shape: Shape::Integer, about: "its value from then on", example: "4" },
    ],
    reply: "cas_ok",
    reply_fields: &[],
    errors: &[
        (ErrorCode::KEY_DOES_NOT_EXIST, "the key was never written"),
        (ErrorCode::PRECONDITION_FAILED, "the value is not `from`"),
    ],
};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct LinKv;

impl Workload for LinKv {
    fn name(&self) -> &'static str {
        "lin-kv"
    }

    fn about(&self) -> &'static str {
        "Registers that are read, written, and compared and set, each operation as if at one moment"
    }

    fn rpcs(&self) -> Vec<&'static Rpc> {
        vec![&READ, &WRITE, &CAS]
    }

    fn generator(&self, settings: &Settings) -> Box<dyn Generator> {
        Box::new(Registers::new(settings))
    }

    fn client(&self, _: &Settings) -> Box<dyn Client> {
        Box::new(RegisterClient)
    }

    fn may_need_a_leader(&self) -> bool {
        true
    }

    fn is_idempotent(&self, f: &str) -> bool {
        f == "read"
    }

    /// As in Maelstrom: linearizability is checked faster if fewer operations are concurrent.
    fn patience(&self, settings: &Settings) -> Duration {
        settings.latency.times(10).max(Duration::from_secs(1))
    }

    fn misfit(&self, operation: &Operation, answer: Option<&Data>) -> Option<&'static str> {
        let Some((key, _)) = parts(operation) else {
            return Some(
                "the value to be [key, null] of a read, [key, value] or [key, [from, to]], of integers of 64 bits",
            );
        };
        let answer = answer.filter(|_| operation.f == "read")?;
        let is_value = |value: &Data| matches!(value, Data::Null | Data::Int(_));
        let fits = answer.item(0).is_some_and(|of| of.as_int() == Some(key))
            && answer.item(1).is_some_and(|value| is_value(&value));
        (!fits).then_some("the value of a read to be [key, value], of the key that was asked for and null or an integer of 64 bits")
    }

    fn check(&self, history: &[Invocation], _: &Settings) -> Box<dyn Finding> {
        let operations: Vec<_> = history.iter().filter_map(register_operation).collect();
        Box::new(linearizable::check(&operations, STEPS))
    }
}

/// How much work it may be to find an order for the operations of one key: some seconds.
const STEPS: u64 = 100_000_000;

/// How many processes a key gets before another takes its place: each operation whose end nobody knows is one more that
/// may come at any time, and makes it harder to find an order. Without such a key stays for the whole test.
const PROCESSES_PER_KEY: usize = 20;

/// Values are below this, so that some of them match.
const VALUES: i64 = 5;

/// A register for each group of workers, as in Maelstrom: twice as many workers as there are nodes, of which one half
/// only reads. Of the others' operations one in three writes, and two compare.
#[derive(Debug)]
struct Registers {
    next: i64,
    /// The key that each group works on.
    keys: Vec<Key>,
    /// How many workers work on the same key.
    group: usize,
    /// How many of them only read. In a smaller group, which Maelstrom refuses, everybody reads half of the time.
    readers: Option<usize>,
}

#[derive(Clone, Debug, Default)]
struct Key {
    name: i64,
    processes: BTreeSet<usize>,
}

impl Registers {
    fn new(settings: &Settings) -> Self {
        let group = (2 * settings.nodes).min(settings.workers);
        let groups = settings.workers.div_ceil(group);
        let keys: Vec<_> = (0..).take(groups).map(|name| Key { name, processes: BTreeSet::new() }).collect();
        let is_whole = settings.workers.is_multiple_of(2 * settings.nodes);
        let readers = is_whole.then_some(settings.nodes);
        Self { next: i64::try_from(groups).unwrap_or(i64::MAX), keys, group, readers }
    }

    fn key(&mut self, worker: usize, process: usize) -> i64 {
        let key = &mut self.keys[worker / self.group];
        if key.processes.len() == PROCESSES_PER_KEY.max(self.group) && !key.processes.contains(&process) {
            *key = Key { name: self.next, processes: BTreeSet::new() };
            self.next += 1;
        }
        key.processes.insert(process);
        key.name
    }
}

impl Generator for Registers {
    fn next(&mut self, worker: usize, cx: &mut GeneratorContext<'_>) -> Operation {
        let key = self.key(worker, cx.process);
        let reads = match self.readers {
            Some(readers) => worker % self.group < readers,
            None => cx.rng.bool(),
        };
        let mut value = || cx.rng.i64(0..VALUES);
        let (from, to) = (value(), value());
        match cx.rng.u8(0..3) {
            _ if reads => read(key),
            0 => Operation::new("write", Data::Ints(vec![key, to])),
            _ => Operation::new("cas", Data::List(vec![key.into(), Data::Ints(vec![from, to])])),
        }
    }

    fn probe(&mut self, worker: usize, cx: &mut GeneratorContext<'_>) -> Operation {
        read(self.key(worker, cx.process))
    }
}

fn read(key: i64) -> Operation {
    Operation::new("read", Data::List(vec![key.into(), Data::Null]))
}

/// What an operation is about: its value is `[key, null]`, `[key, value]` or `[key, [from, to]]`.
fn parts(operation: &Operation) -> Option<(i64, linearizable::Action)> {
    let key = operation.value.item(0)?.as_int()?;
    let argument = operation.value.item(1)?;
    let action = match (operation.f, &*argument) {
        ("read", _) => linearizable::Action::Read(argument.as_int()),
        ("write", Data::Int(value)) => linearizable::Action::Write(*value),
        ("cas", Data::Ints(values)) => {
            let &[from, to] = &**values else { return None };
            linearizable::Action::Cas { from, to }
        }
        _ => return None,
    };
    Some((key, action))
}

#[derive(Debug)]
struct RegisterClient;

impl Client for RegisterClient {
    fn begin(&mut self, operation: &Operation, request: &mut RequestBody) -> Step {
        match parts(operation) {
            Some((key, linearizable::Action::Read(_))) => request.call(&READ).field("key", key),
            Some((key, linearizable::Action::Write(value))) => {
                request.call(&WRITE).field("key", key).field("value", value)
            }
            Some((key, linearizable::Action::Cas { from, to })) => {
                request.call(&CAS).field("key", key).field("from", from).field("to", to)
            }
            None => return Step::Done(Outcome::Fail("it is no operation of lin-kv".into())),
        };
        Step::Call
    }

    fn reply(
        &mut self,
        operation: &Operation,
        reply: Reply<'_>,
        _: &mut RequestBody,
    ) -> Result<Step, MalformedReply> {
        if operation.f != "read" {
            return Ok(Step::ok(operation.value.clone()));
        }
        let key = operation.value.item(0).unwrap_or_default().into_owned();
        Ok(Step::ok(Data::list([key, reply.data("value")])))
    }

    /// That there is no such key is an answer. Maelstrom throws it away.
    fn failed(&mut self, operation: &Operation, failure: &CallFailure, _: &mut RequestBody) -> Step {
        match failure {
            CallFailure::Error(error)
                if operation.f == "read" && error.code == ErrorCode::KEY_DOES_NOT_EXIST =>
            {
                Step::ok(operation.value.clone())
            }
            failure => Step::Done(failure.outcome()),
        }
    }
}

fn register_operation(invocation: &Invocation) -> Option<linearizable::RegisterOperation> {
    let (key, mut action) = parts(&invocation.operation)?;
    if let linearizable::Action::Read(value) = &mut action {
        *value = invocation.answer().and_then(|answer| answer.item(1)?.as_int());
    }
    Some(linearizable::RegisterOperation {
        key,
        process: invocation.process as u64,
        action,
        interval: invocation.interval,
        completion: invocation.outcome.completion(),
    })
}

/// Of so many keys the journal is asked why.
const ASKED: usize = 3;

/// So many keys are drawn.
const PICTURES: usize = 8;

/// The write that an operation is without: the newest that it should have gone by.
fn question(anomaly: &linearizable::Anomaly, history: &[Invocation]) -> Option<Question> {
    let (key, write) = (anomaly.operation.key, anomaly.missed_write()?);
    let (value, name) = match write.action {
        linearizable::Action::Write(value) => (value, format!("the write of {value} to key {key}")),
        linearizable::Action::Cas { from, to } => {
            (to, format!("the change of key {key} from {from} to {to}"))
        }
        linearizable::Action::Read(_) => return None,
    };
    let saw = match anomaly.operation.action {
        linearizable::Action::Read(Some(value)) => Some((value.to_string(), value.to_string())),
        linearizable::Action::Read(None) => {
            let code = ErrorCode::KEY_DOES_NOT_EXIST.0.to_string();
            Some((format!("error {code}: there is nothing"), code))
        }
        _ => None,
    };
    let is_meant = |of: &Invocation| {
        let same = match parts(&of.operation) {
            Some((of_key, linearizable::Action::Write(to) | linearizable::Action::Cas { to, .. })) => {
                (of_key, to) == (key, value)
            }
            _ => false,
        };
        same && of.interval.invoked <= anomaly.operation.interval.completed
            && of.interval.completed >= write.interval.invoked
    };
    Some(Question::Missed(Missed {
        write: place_of(write, history)?,
        name,
        mark: Mark::of(&key, &value),
        is_unique: history.iter().filter(|of| is_meant(of)).count() == 1,
        read: place_of(&anomaly.operation, history)?,
        saw,
    }))
}

fn place_of(operation: &linearizable::RegisterOperation, history: &[Invocation]) -> Option<usize> {
    history.iter().position(|invocation| {
        (invocation.process as u64, invocation.interval) == (operation.process, operation.interval)
    })
}

impl Finding for linearizable::LinearizableResults {
    fn verdict(&self) -> Verdict {
        self.verdict
    }

    fn explain(&self) -> Vec<String> {
        self.explain()
    }

    fn anomalies(&self) -> Vec<String> {
        if self.anomalies.is_empty() { Vec::new() } else { vec!["nonlinearizable".to_owned()] }
    }

    fn offending(&self, history: &[Invocation]) -> Vec<usize> {
        let place = |anomaly: &linearizable::Anomaly| place_of(&anomaly.operation, history);
        self.anomalies.listed.iter().filter_map(place).collect()
    }

    fn questions(&self, history: &[Invocation]) -> Vec<Question> {
        self.anomalies.listed.iter().take(ASKED).filter_map(|anomaly| question(anomaly, history)).collect()
    }

    fn pictures(&self, history: &[Invocation]) -> Vec<Picture> {
        let places: HashMap<_, _> = history
            .iter()
            .enumerate()
            .map(|(place, of)| ((of.process as u64, of.interval), (place, of.node)))
            .collect();
        let place = |of: &linearizable::RegisterOperation| places.get(&(of.process, of.interval)).copied();
        self.anomalies
            .listed
            .iter()
            .take(PICTURES)
            .map(|anomaly| register_picture::draw(anomaly, place))
            .collect()
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "keys": self.keys,
            "anomalies": self.anomalies.total,
            "undecided": self.undecided.total,
        })
    }

    fn facts(&self) -> Vec<Fact> {
        vec![
            ("keys", thousands(self.keys)),
            ("not linearizable", thousands(self.anomalies.total)),
            ("undecided", thousands(self.undecided.total)),
            ("operations explained", thousands(self.explained)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    fn operations(settings: &Settings, process: fn(usize, usize) -> usize) -> Vec<(usize, Operation)> {
        let (mut registers, mut rng) = (Registers::new(settings), fastrand::Rng::with_seed(1));
        let mut next = |turn: usize| {
            let worker = turn % settings.workers;
            let process = process(turn, worker);
            let mut cx = GeneratorContext { rng: &mut rng, now: Instant::START, process };
            (worker, registers.next(worker, &mut cx))
        };
        (0..6_000).map(&mut next).collect()
    }

    fn key(operation: &Operation) -> i64 {
        parts(operation).unwrap().0
    }

    #[test]
    fn a_key_stays_and_half_of_its_workers_only_read() {
        let settings = Settings { nodes: 3, workers: 12, ..Settings::default() };
        let operations = operations(&settings, |_, worker| worker);
        assert!(operations.iter().all(|(worker, of)| key(of) == [0, 1][worker / 6]));
        assert!(operations.iter().all(|(worker, of)| (of.f == "read") == (worker % 6 < 3)));
        let count = |f| operations.iter().filter(|(_, of)| of.f == f).count();
        assert_eq!(count("read"), 3_000);
        assert!((900..1_100).contains(&count("write")), "{}", count("write"));
    }

    #[test]
    fn a_key_has_twenty_processes() {
        let settings = Settings { nodes: 1, workers: 2, ..Settings::default() };
        // Each worker goes on as another process after a hundred operations of its own.
        let operations = operations(&settings, |turn, worker| 2 * (turn / 200) + worker);
        for (turn, (_, operation)) in operations.iter().enumerate() {
            assert_eq!(usize::try_from(key(operation)).unwrap(), turn / 200 / 10, "{turn}");
        }
    }

    #[test]
    fn fewer_workers_than_a_group_read_and_write() {
        let settings = Settings { nodes: 3, workers: 1, ..Settings::default() };
        let operations = operations(&settings, |_, worker| worker);
        let reads = operations.iter().filter(|(_, of)| of.f == "read").count();
        assert!((2_800..3_200).contains(&reads), "{reads}");
    }
}
