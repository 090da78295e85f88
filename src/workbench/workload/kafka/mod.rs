//! `kafka`: logs. Each key has an order of messages; clients send to it, and poll it without gaps.
//!
//! A process's client keeps, for each key that it is assigned, the offset from which it polls next. A `poll` asks for
//! all of them, and then commits what came. An `assign` asks for the committed offsets, and begins to poll new keys
//! after them, or at 0. A `crash` is no request: the client forgets everything, and goes on as another process.
//!
//! Operations have the values that they have in Jepsen's histories:
//!
//! | `f` | asked for | what came of it |
//! | --- | --- | --- |
//! | `send` | `[["send", key, message]]` | `[["send", key, [offset, message]]]` |
//! | `poll` | `[["poll"]]` | `[["poll", {key: [[offset, message], …]}]]`; at the end the error of a commit, if it was refused |
//! | `assign` | `[key, …]`, or `{"keys": …, "from": "committed"}` | `{"keys": …, "from": …, "committed": {key: offset}}` |
//! | `assign` | `{"keys": …, "from": "beginning"}` | the same |
//! | `crash` | `null` | always indefinite |

mod client;
mod generator;
mod pictures;

use serde_json::json;

use self::client::Consumer;
use self::generator::Logs;
use self::pictures::draw;
use super::super::checker::canonical::canonical;
use super::super::checker::kafka::{self, Action, Cause, Commit, History, Key, Message, Payload, Start};
use super::super::checker::{UNKNOWN_NODE, Verdict};
use super::{Client, Data, Fact, Field, Finding, Generator, Invocation, Picture, Rpc, Shape, Workload};
use crate::telemetry::diagram::thousands;
use crate::time::Duration;
use crate::workbench::question::{Mark, Missed, Question};
use crate::workbench::settings::Settings;

const KEY: Field = Field { name: "key", shape: Shape::Text, about: "which log", example: "\"9\"" };

static SEND: Rpc = Rpc {
    request: "send",
    about: "Appends a message to a log",
    fields: &[KEY, Field { name: "msg", shape: Shape::Any, about: "the message", example: "3" }],
    reply: "send_ok",
    reply_fields: &[Field {
        name: "offset",
        shape: Shape::Natural,
        about: "where it is in the log: above those before it, and no other message of the key has it",
        example: "1000",
    }],
    errors: &[],
};

static POLL: Rpc = Rpc {
    request: "poll",
    about: "Asks for messages",
    fields: &[Field {
        name: "offsets",
        shape: Shape::Map(&Shape::Natural),
        about: "for each log that is asked for, the first offset of interest",
        example: "{\"9\":1000,\"8\":0}",
    }],
    reply: "poll_ok",
    reply_fields: &[Field {
        name: "msgs",
        shape: Shape::Map(&Shape::List(&Shape::Tuple(&[Shape::Natural, Shape::Any]))),
        about: "for each log any number of the messages from there on, each with its offset, and none left out between \
                two; a log without new ones may be left out",
        example: "{\"9\":[[1000,3],[1001,4]]}",
    }],
    errors: &[],
};

static COMMIT: Rpc = Rpc {
    request: "commit_offsets",
    about: "Says that the messages up to these offsets, and those at them, are processed",
    fields: &[Field {
        name: "offsets",
        shape: Shape::Map(&Shape::Natural),
        about: "for each log the highest offset that is processed",
        example: "{\"9\":1001}",
    }],
    reply: "commit_offsets_ok",
    reply_fields: &[],
    errors: &[],
};

static LIST: Rpc = Rpc {
    request: "list_committed_offsets",
    about: "Asks up to where messages are processed",
    fields: &[Field {
        name: "keys",
        shape: Shape::List(&Shape::Text),
        about: "which logs",
        example: "[\"9\",\"8\"]",
    }],
    reply: "list_committed_offsets_ok",
    reply_fields: &[Field {
        name: "offsets",
        shape: Shape::Map(&Shape::Natural),
        about: "for each of these logs the offset that was committed; none where nothing was",
        example: "{\"9\":1001}",
    }],
    errors: &[],
};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Kafka;

impl Workload for Kafka {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn about(&self) -> &'static str {
        "Logs: each key has an order of messages, which clients append to and poll without gaps"
    }

    fn rpcs(&self) -> Vec<&'static Rpc> {
        vec![&SEND, &POLL, &COMMIT, &LIST]
    }

    fn operations(&self) -> Vec<&'static str> {
        vec!["send", "poll", "assign", "crash"]
    }

    fn generator(&self, settings: &Settings) -> Box<dyn Generator> {
        Box::new(Logs::new(settings))
    }

    fn client(&self, _: &Settings) -> Box<dyn Client> {
        Box::new(Consumer::default())
    }

    fn is_idempotent(&self, f: &str) -> bool {
        f == "assign"
    }

    fn counts(&self, f: &str) -> bool {
        f != "crash"
    }

    fn final_phase(&self) -> Option<Duration> {
        Some(FINAL_PHASE)
    }

    fn import(&self, f: &str, value: Data, more: &[(Box<str>, Data)]) -> Data {
        if f != "assign" || matches!(value, Data::Map(_)) {
            return value;
        }
        let member = |of: &str| more.iter().find(|(name, _)| &**name == of).map(|(_, value)| value);
        let from = match member("seek-to-beginning?") {
            Some(Data::Bool(true)) => "beginning",
            _ => member("from").and_then(Data::as_text).unwrap_or("zero"),
        };
        assign(value, from, member("committed").cloned())
    }

    fn export(&self, f: &str, value: &Data) -> (Data, Vec<(&'static str, Data)>) {
        if f != "assign" {
            return (value.clone(), Vec::new());
        }
        let mut more = Vec::new();
        match value.get("from").and_then(Data::as_text) {
            Some("beginning") => more.push(("seek-to-beginning?", Data::Bool(true))),
            Some("committed") => more.push(("from", "committed".into())),
            _ => {}
        }
        more.extend(value.get("committed").map(|committed| ("committed", committed.clone())));
        (keys_of(value).clone(), more)
    }

    fn check(&self, history: &[Invocation], _: &Settings) -> Box<dyn Finding> {
        Box::new(kafka::check(&compact(history)))
    }
}

/// Of so many anomalies of a kind the journal is asked why.
const ASKED: usize = 1;

/// What the journal may know of an anomaly.
fn ask(anomaly: &kafka::Anomaly, history: &[Invocation]) -> Vec<Question> {
    let key = &anomaly.key;
    let name = |message: &str| format!("message {message} of key {key}");
    match &anomaly.cause {
        Some(Cause::Missed { send, message, polls }) => {
            let missed = |poll: &usize| Missed {
                write: *send,
                name: name(message),
                mark: Mark::of(key, message),
                is_unique: true,
                read: *poll,
                saw: None,
            };
            polls.iter().map(missed).map(Question::Missed).collect()
        }
        Some(Cause::Twice { send, message, seen }) => {
            let what = (name(message), Mark::of(key, message));
            vec![Question::Doubled { write: *send, what, read: *seen }]
        }
        Some(Cause::SameOffset { first, again }) => {
            // What a send in doubt was given nobody knows.
            let is_given = |place: &usize| history.get(*place).is_some_and(|of| of.answer().is_some());
            let what = format!("offset {} of key {key}", anomaly.offset.unwrap_or_default());
            let question = Question::GivenTwice { first: *first, again: *again, what };
            if is_given(first) && is_given(again) { vec![question] } else { Vec::new() }
        }
        None => Vec::new(),
    }
}

/// How long clients read the logs at the end.
const FINAL_PHASE: Duration = Duration::from_secs(10);

/// An `assign`'s value.
fn assign(keys: Data, from: &str, committed: Option<Data>) -> Data {
    let mut members = vec![("keys".into(), keys), ("from".into(), from.into())];
    members.extend(committed.map(|committed| ("committed".into(), committed)));
    Data::Map(members)
}

/// The keys of an `assign`'s value.
fn keys_of(value: &Data) -> &Data {
    value.get("keys").unwrap_or(value)
}

/// The keys of an `assign`'s value, and where it starts.
fn assigned(value: &Data) -> (Vec<Box<str>>, Start) {
    let start = match value.get("from").and_then(Data::as_text) {
        Some("beginning") => Start::Rewind,
        Some("committed") => Start::Committed,
        _ => Start::Zero,
    };
    (keys_of(value).items().map(|key| key_text(&key)).collect(), start)
}

/// The key, offset and message of a `send`'s value. It has an offset with its message once it is acknowledged.
fn sent(value: &Data, is_acknowledged: bool) -> Option<(Box<str>, Option<i64>, Data)> {
    let send = value.item(0)?;
    let (key, what) = (key_text(&*send.item(1)?), send.item(2)?);
    if is_acknowledged {
        return Some((key, what.item(0)?.as_int(), what.item(1)?.into_owned()));
    }
    Some((key, None, what.into_owned()))
}

/// The keys of a `poll`'s value, each with its messages.
fn polled(value: &Data) -> impl Iterator<Item = (&Data, &Data)> {
    let lists = match value {
        Data::List(operations) => match operations.first() {
            Some(Data::List(poll)) => match poll.get(1) {
                Some(Data::Map(lists)) => &lists[..],
                _ => &[],
            },
            _ => &[],
        },
        _ => &[],
    };
    lists.iter().map(|(key, list)| (key, list))
}

/// The highest offset of each key of a `poll`'s value.
fn highest(value: &Data) -> impl Iterator<Item = (Box<str>, i64)> {
    polled(value).filter_map(|(key, list)| {
        let offsets = list.items().filter_map(|pair| pair.item(0)?.as_int());
        Some((key_text(key), offsets.max()?))
    })
}

/// Keys are strings; in a history that somebody wrote by hand they may be numbers.
fn key_text(key: &Data) -> Box<str> {
    match key {
        Data::Text(text) => text.clone(),
        other => other.to_string().into(),
    }
}

/// The history as its checker takes it.
fn compact(history: &[Invocation]) -> History {
    let mut compact = History::default();
    for invocation in history {
        let answer = invocation.answer();
        let value = answer.unwrap_or(&invocation.operation.value);
        let action = match invocation.operation.f {
            // What cannot be read says nothing, as a crash does.
            "send" => send_action(&mut compact, value, answer.is_some()).unwrap_or(Action::Crash),
            "poll" => poll_action(&mut compact, value),
            "assign" => assign_action(&mut compact, value),
            _ => Action::Crash,
        };
        compact.push(kafka::Operation {
            process: invocation.process as u64,
            node: Some(invocation.node).filter(|node| *node != UNKNOWN_NODE),
            interval: invocation.interval,
            completion: invocation.outcome.completion(),
            action,
        });
    }
    compact
}

fn message(history: &mut History, key: Key, value: &Data) -> Message {
    let payload = match value {
        Data::Int(integer) => Payload::Integer(*integer),
        other => Payload::Text(canonical(&other.to_string()).into()),
    };
    history.message(key, payload)
}

fn send_action(history: &mut History, value: &Data, is_acknowledged: bool) -> Option<Action> {
    let (key, offset, what) = sent(value, is_acknowledged)?;
    let key = history.key(&key);
    Some(Action::Send { message: message(history, key, &what), offset })
}

fn poll_action(history: &mut History, value: &Data) -> Action {
    let mut lists = Vec::new();
    for (key, list) in polled(value) {
        let key = history.key(&key_text(key));
        let mut pairs = Vec::with_capacity(list.item_count().unwrap_or_default());
        for pair in list.items() {
            if let (Some(Some(offset)), Some(sent)) = (pair.item(0).map(|of| of.as_int()), pair.item(1)) {
                pairs.push((offset, message(history, key, &sent)));
            }
        }
        lists.push((key, pairs));
    }
    let is_refused = value.item(0).is_some_and(|poll| poll.item(2).is_some());
    let commit = match lists.iter().any(|(_, list)| !list.is_empty()) {
        true if is_refused => Commit::Failed,
        true => Commit::Ok,
        false => Commit::None,
    };
    Action::Poll { lists, commit }
}

fn assign_action(history: &mut History, value: &Data) -> Action {
    let (keys, start) = assigned(value);
    let keys = keys.iter().map(|key| history.key(key)).collect();
    let mut committed = Vec::new();
    if let Some(Data::Map(offsets)) = value.get("committed") {
        for (key, offset) in offsets {
            committed.extend(offset.as_int().map(|offset| (history.key(&key_text(key)), offset)));
        }
    }
    Action::Assign { keys, start, committed }
}

impl Finding for kafka::Report {
    fn verdict(&self) -> Verdict {
        self.verdict
    }

    fn explain(&self) -> Vec<String> {
        self.explain()
    }

    /// The checker has an operation for each of the history's.
    fn offending(&self, _: &[Invocation]) -> Vec<usize> {
        let first = self.anomalies.values().flat_map(|findings| findings.listed.iter().take(3));
        first.map(|anomaly| anomaly.operation).collect()
    }

    fn questions(&self, history: &[Invocation]) -> Vec<Question> {
        let mut questions: Vec<Question> = Vec::new();
        for findings in self.anomalies.values() {
            let caused = findings.listed.iter().filter(|anomaly| anomaly.cause.is_some());
            questions.extend(caused.take(ASKED).flat_map(|anomaly| ask(anomaly, history)));
        }
        questions
    }

    fn anomalies(&self) -> Vec<String> {
        self.anomalies.keys().map(ToString::to_string).collect()
    }

    fn json(&self) -> serde_json::Value {
        let report = self;
        let anomalies: serde_json::Map<_, _> = report
            .anomalies
            .iter()
            .map(|(kind, findings)| {
                let examples: Vec<_> = findings
                    .listed
                    .iter()
                    .map(|of| json!({"key": of.key, "offset": of.offset, "what": of.sentence}))
                    .collect();
                (kind.name().to_owned(), json!({"count": findings.total, "examples": examples}))
            })
            .collect();
        let lag = report.worst_lag.map(|lag| {
            json!({
                "time_us": lag.at.as_micros(),
                "process": lag.process,
                "key": report.key_name(lag.key),
                "lag_us": lag.lag.as_micros(),
            })
        });
        json!({
            "sent": report.sent,
            "polled": report.polled,
            "commits": report.commits,
            "commits_ok": report.commits_ok,
            "anomalies": anomalies,
            "worst_realtime_lag": lag,
        })
    }

    fn facts(&self) -> Vec<Fact> {
        let report = self;
        let anomalies = report.anomalies.values().map(|findings| findings.total).sum::<usize>();
        let lag = report.worst_lag.map_or_else(
            || "never".to_owned(),
            |lag| {
                let (millis, key) = (lag.lag.as_micros() / 1_000, report.key_name(lag.key));
                format!("{millis} ms, process {} with key {key}", lag.process)
            },
        );
        vec![
            ("messages acknowledged", thousands(report.sent)),
            ("messages polled", thousands(report.polled)),
            ("anomalies", thousands(anomalies)),
            ("furthest behind", lag),
        ]
    }

    fn pictures(&self, history: &[Invocation]) -> Vec<Picture> {
        draw(&compact(history), self)
    }
}
