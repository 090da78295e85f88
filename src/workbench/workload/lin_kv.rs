//! `lin-kv`: registers that are read, written, and compared and set, each operation as if at one moment.

use serde_json::json;

use super::super::checker::{Verdict, linearizable};
use super::{
    CallFailure, Client, Data, Fact, Field, Finding, Generator, GeneratorContext, Invocation, MalformedReply,
    Operation, Outcome, Reply, RequestBody, Rpc, Shape, Step, Workload,
};
use crate::telemetry::diagram::thousands;
use crate::time::Duration;
use crate::wire::error::ErrorCode;
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

    fn is_idempotent(&self, f: &str) -> bool {
        f == "read"
    }

    /// As in Maelstrom: linearizability is checked faster if fewer operations are concurrent.
    fn patience(&self, settings: &Settings) -> Duration {
        Duration::from_micros(10 * settings.latency.mean.as_micros()).max(Duration::from_secs(1))
    }

    fn check(&self, history: &[Invocation], _: &Settings) -> Box<dyn Finding> {
        let operations: Vec<_> = history.iter().filter_map(register_operation).collect();
        Box::new(linearizable::check(&operations, STEPS))
    }
}

/// How much work it may be to find an order for the operations of one key: some seconds.
const STEPS: u64 = 20_000_000;

/// How many operations a key gets: enough to find faults, few enough to check them.
const OPERATIONS_PER_KEY: u32 = 100;

/// Values are below this, so that some of them match.
const VALUES: i64 = 5;

/// A register for each group of workers.
#[derive(Debug)]
struct Registers {
    next: i64,
    /// The key that each group works on.
    keys: Vec<Key>,
    /// How many workers work on the same key.
    group: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Key {
    name: i64,
    /// How many more operations it gets.
    left: u32,
    /// What is likely to be there.
    value: i64,
}

impl Registers {
    fn new(settings: &Settings) -> Self {
        let group = (2 * settings.nodes).min(settings.workers);
        Self { next: 0, keys: vec![Key::default(); settings.workers.div_ceil(group)], group }
    }
}

impl Generator for Registers {
    fn next(&mut self, worker: usize, cx: &mut GeneratorContext<'_>) -> Operation {
        let rng = &mut *cx.rng;
        let reads = rng.bool();
        let state = &mut self.keys[worker / self.group];
        if state.left == 0 {
            *state = Key { name: self.next, left: OPERATIONS_PER_KEY, value: 0 };
            self.next += 1;
        }
        state.left -= 1;
        let key = state.name;
        if reads {
            return read(key);
        }
        // Every other comparison is with what is likely to be there.
        let from = if rng.bool() { state.value } else { rng.i64(0..VALUES) };
        let (is_write, value) = (rng.bool(), rng.i64(0..VALUES));
        if is_write || from == state.value {
            state.value = value;
        }
        if is_write {
            Operation::new("write", Data::Ints(vec![key, value]))
        } else {
            Operation::new("cas", Data::List(vec![key.into(), Data::Ints(vec![from, value])]))
        }
    }

    fn probe(&mut self, worker: usize, _: &mut GeneratorContext<'_>) -> Operation {
        read(self.keys[worker / self.group].name)
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

fn register_operation(invocation: &Invocation) -> Option<linearizable::Operation> {
    let (key, mut action) = parts(&invocation.operation)?;
    if let linearizable::Action::Read(value) = &mut action {
        *value = invocation.answer().and_then(|answer| answer.item(1)?.as_int());
    }
    Some(linearizable::Operation {
        key,
        process: invocation.process as u64,
        action,
        interval: invocation.interval,
        completion: invocation.outcome.completion(),
    })
}

impl Finding for linearizable::Report {
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
        let is_it = |anomaly: &linearizable::Anomaly, invocation: &Invocation| {
            (invocation.process as u64, invocation.interval)
                == (anomaly.operation.process, anomaly.operation.interval)
        };
        let place = |anomaly| history.iter().position(|invocation| is_it(anomaly, invocation));
        self.anomalies.listed.iter().filter_map(place).collect()
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
