//! What a test asks of its nodes: the operations of Maelstrom's workloads, and the answers that they may have.

use std::fmt;

use fastrand::Rng;

use super::checker::Completion;
use crate::json::text::excerpt;
use crate::json::value::{Kind, Value};
use crate::json::write::WriteJson;
use crate::wire::envelope::Body;
use crate::wire::error::ErrorCode;

/// What is tested. Maelstrom calls it the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exercise {
    /// Nodes answer with what they were sent.
    Echo,
    /// Nodes make up ids, none of them twice.
    UniqueIds,
    /// Nodes tell each other what they were told.
    Broadcast,
    /// A set that only grows.
    GSet,
    /// A counter that only grows.
    GCounter,
    /// A counter that grows and shrinks.
    PnCounter,
    /// Registers that are read, written, and compared and set, each operation as if at one moment.
    LinKv,
}

impl Exercise {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Echo,
        Self::UniqueIds,
        Self::Broadcast,
        Self::GSet,
        Self::GCounter,
        Self::PnCounter,
        Self::LinKv,
    ];

    /// Maelstrom's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::UniqueIds => "unique-ids",
            Self::Broadcast => "broadcast",
            Self::GSet => "g-set",
            Self::GCounter => "g-counter",
            Self::PnCounter => "pn-counter",
            Self::LinKv => "lin-kv",
        }
    }

    /// What every worker does at the very end, when the cluster had time to recover.
    pub const fn final_operation(self) -> Option<Operation> {
        match self {
            Self::Echo | Self::UniqueIds | Self::LinKv => None,
            Self::Broadcast | Self::GSet | Self::GCounter | Self::PnCounter => Some(Operation::Read),
        }
    }
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `echo`: `Please echo 7`.
    Echo(u8),
    /// `generate`
    Generate,
    /// `broadcast` of this message.
    Broadcast(i64),
    /// `add` of this element or delta.
    Add {
        /// Whether it is a delta.
        is_delta: bool,
        /// The element or delta.
        value: i64,
    },
    /// `read` of everything.
    Read,
    /// `read` of a key.
    ReadKey(i64),
    /// `write`
    Write {
        /// Where.
        key: i64,
        /// What.
        value: i64,
    },
    /// `cas`: write `to` if the value is `from`.
    Cas {
        /// Where.
        key: i64,
        /// What has to be there.
        from: i64,
        /// What is there then.
        to: i64,
    },
}

/// What a node answered, where the answer says more than that it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was done, or said what was expected.
    Done,
    /// A value's text.
    Raw(Box<str>),
    /// The elements of a set.
    Elements(Vec<i64>),
    /// A counter's or register's value.
    Integer(i64),
    /// There is no such key.
    Missing,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer.
    Ok(Answer),
    /// It was refused, for this reason, and did not happen.
    Fail(Box<str>),
    /// Nobody knows, for this reason.
    Info(Box<str>),
    /// There was no answer in time.
    Silence {
        /// Whether it may have happened.
        is_indefinite: bool,
    },
}

impl Outcome {
    /// Its sort.
    pub const fn completion(&self) -> Completion {
        match self {
            Self::Ok(_) => Completion::Ok,
            Self::Fail(_) | Self::Silence { is_indefinite: false } => Completion::Fail,
            Self::Info(_) | Self::Silence { is_indefinite: true } => Completion::Info,
        }
    }
}

impl Operation {
    /// `type` of its request.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Echo(_) => "echo",
            Self::Generate => "generate",
            Self::Broadcast(_) => "broadcast",
            Self::Add { .. } => "add",
            Self::Read | Self::ReadKey(_) => "read",
            Self::Write { .. } => "write",
            Self::Cas { .. } => "cas",
        }
    }

    /// Whether it changes nothing: when in doubt it did not happen.
    pub const fn is_idempotent(self) -> bool {
        matches!(self, Self::Read | Self::ReadKey(_))
    }

    /// Appends the members of its request's body, after the type.
    pub fn write_fields(self, out: &mut Vec<u8>) {
        let mut field = |name: &str, value: i64| {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            value.write_json(out);
        };
        match self {
            Self::Generate | Self::Read => {}
            Self::Broadcast(message) => field("message", message),
            Self::Add { is_delta, value } => field(if is_delta { "delta" } else { "element" }, value),
            Self::ReadKey(key) => field("key", key),
            Self::Write { key, value } => {
                field("key", key);
                field("value", value);
            }
            Self::Cas { key, from, to } => {
                field("key", key);
                field("from", from);
                field("to", to);
            }
            Self::Echo(_) => {
                out.extend_from_slice(b",\"echo\":");
                self.write_echo(out);
            }
        }
    }

    /// Appends what is to be echoed.
    pub fn write_echo(self, out: &mut Vec<u8>) {
        if let Self::Echo(number) = self {
            out.extend_from_slice(b"\"Please echo ");
            number.write_json(out);
            out.push(b'"');
        }
    }

    /// Reads the answer to it. Nothing may be in it that the workload does not name.
    pub fn read_answer(self, exercise: Exercise, body: &Body<'_>) -> Result<Outcome, MalformedReply> {
        if body.kind == "error" {
            return self.read_error(body);
        }
        let (kind, field) = match self {
            Self::Echo(_) => ("echo_ok", Some("echo")),
            Self::Generate => ("generate_ok", Some("id")),
            Self::Broadcast(_) => ("broadcast_ok", None),
            Self::Add { .. } => ("add_ok", None),
            Self::Read if exercise == Exercise::Broadcast => ("read_ok", Some("messages")),
            Self::Read | Self::ReadKey(_) => ("read_ok", Some("value")),
            Self::Write { .. } => ("write_ok", None),
            Self::Cas { .. } => ("cas_ok", None),
        };
        closed(body, kind, field.as_slice())?;
        let Some(field) = field else { return Ok(Outcome::Ok(Answer::Done)) };
        let answer = match self {
            Self::Echo(_) => body.required(field).map(|value| self.echo_answer(value)),
            Self::Read if matches!(exercise, Exercise::Broadcast | Exercise::GSet) => {
                body.typed(field, "an array of integers", |elements| {
                    elements.as_array()?.map(Value::as_i64).collect::<Option<_>>().map(Answer::Elements)
                })
            }
            // A key that was never written may be said to be null.
            Self::ReadKey(_) if body.get(field).is_some_and(|value| value.kind() == Kind::Null) => {
                Ok(Answer::Missing)
            }
            Self::Read | Self::ReadKey(_) => body.integer(field).map(Answer::Integer),
            _ => body.required(field).map(|value| Answer::Raw(value.raw().into())),
        };
        answer.map(Outcome::Ok).map_err(|error| MalformedReply(error.to_string()))
    }

    fn echo_answer(self, value: Value<'_>) -> Answer {
        let mut sent = Vec::new();
        self.write_echo(&mut sent);
        if sent == value.raw().as_bytes() { Answer::Done } else { Answer::Raw(value.raw().into()) }
    }

    /// Whether the operation failed, or may yet happen.
    fn read_error(self, body: &Body<'_>) -> Result<Outcome, MalformedReply> {
        closed(body, "error", &["code", "text"])?;
        let code = body.integer("code").map_err(|error| MalformedReply(error.to_string()))?;
        if matches!(self, Self::ReadKey(_)) && ErrorCode(code) == ErrorCode::KEY_DOES_NOT_EXIST {
            return Ok(Outcome::Ok(Answer::Missing));
        }
        let text = body.string("text").unwrap_or_default();
        let reason = format!("error {code}: {}", excerpt(&text)).into();
        let is_definite = self.is_idempotent() || ErrorCode(code).is_definite();
        Ok(if is_definite { Outcome::Fail(reason) } else { Outcome::Info(reason) })
    }
}

/// As in a history: `broadcast 5`, `cas 3 1 2`.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self {
            Self::Generate | Self::Read => Ok(()),
            Self::Echo(number) => write!(f, " {number}"),
            Self::Broadcast(value) | Self::Add { value, .. } | Self::ReadKey(value) => write!(f, " {value}"),
            Self::Write { key, value } => write!(f, " {key} {value}"),
            Self::Cas { key, from, to } => write!(f, " {key} {from} {to}"),
        }
    }
}

/// An answer that is not what its operation may be answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedReply(pub String);

/// Checks that a body has this type and no fields but these.
pub(super) fn closed(body: &Body<'_>, kind: &str, fields: &[&str]) -> Result<(), MalformedReply> {
    if body.kind != kind {
        return Err(MalformedReply(format!("type: expected {kind:?}, found {:?}", excerpt(&body.kind))));
    }
    for (key, _) in body.value().as_object().into_iter().flatten() {
        let name = key.as_str().unwrap_or_default();
        if !matches!(&*name, "type" | "msg_id" | "in_reply_to") && !fields.contains(&&*name) {
            let known = ["type", "in_reply_to", "msg_id"].iter().chain(fields).copied().collect::<Vec<_>>();
            let name = excerpt(&name);
            return Err(MalformedReply(format!(
                "expected no fields but {}, found {name:?}",
                known.join(", ")
            )));
        }
    }
    Ok(())
}

/// Makes up operations.
#[derive(Debug)]
pub struct Generator {
    exercise: Exercise,
    /// The next element, message or key.
    next: i64,
    /// The key that each group of workers works on.
    keys: Vec<Key>,
    /// How many workers work on the same key.
    group: usize,
}

/// A key of lin-kv.
#[derive(Clone, Copy, Debug, Default)]
struct Key {
    name: i64,
    /// How many more operations it gets.
    left: u32,
    /// What is likely to be there.
    value: i64,
}

/// How many operations a key of lin-kv gets: enough to find faults, few enough to check them.
const OPERATIONS_PER_KEY: u32 = 100;

/// Values of lin-kv are below this, so that some of them match.
const VALUES: i64 = 5;

impl Generator {
    /// For so many nodes and workers.
    pub fn new(exercise: Exercise, nodes: usize, workers: usize) -> Self {
        let group = (2 * nodes).min(workers).max(1);
        Self { exercise, next: 0, keys: vec![Key::default(); workers.div_ceil(group)], group }
    }

    /// What that worker does next.
    pub fn next(&mut self, worker: usize, rng: &mut Rng) -> Operation {
        let reads = rng.bool();
        match self.exercise {
            Exercise::Echo => Operation::Echo(rng.u8(0..128)),
            Exercise::UniqueIds => Operation::Generate,
            Exercise::LinKv => {
                let state = &mut self.keys[worker / self.group];
                if state.left == 0 {
                    *state = Key { name: self.next, left: OPERATIONS_PER_KEY, value: 0 };
                    self.next += 1;
                }
                state.left -= 1;
                let key = state.name;
                if reads {
                    return Operation::ReadKey(key);
                }
                // Every other comparison is with what is likely to be there.
                let from = if rng.bool() { state.value } else { rng.i64(0..VALUES) };
                let (is_write, value) = (rng.bool(), rng.i64(0..VALUES));
                if is_write || from == state.value {
                    state.value = value;
                }
                if is_write {
                    Operation::Write { key, value }
                } else {
                    Operation::Cas { key, from, to: value }
                }
            }
            _ if reads => Operation::Read,
            Exercise::Broadcast => Operation::Broadcast(self.element()),
            Exercise::GSet => Operation::Add { is_delta: false, value: self.element() },
            Exercise::GCounter => Operation::Add { is_delta: true, value: rng.i64(0..5) },
            Exercise::PnCounter => Operation::Add { is_delta: true, value: rng.i64(-5..5) },
        }
    }

    fn element(&mut self) -> i64 {
        self.next += 1;
        self.next - 1
    }
}
