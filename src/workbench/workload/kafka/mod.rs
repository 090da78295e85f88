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
mod compact;
mod generator;
mod messages;
mod pictures;
mod value;

use serde_json::json;

use self::client::Consumer;
use self::compact::compact;
use self::generator::Logs;
use self::messages::{COMMIT, LIST, POLL, SEND};
use self::pictures::draw;
use self::value::{assign, keys_of, misfit};
use super::super::checker::Verdict;
use super::super::checker::kafka::{self, Cause};
use super::super::data::Data;
use super::super::history::{Invocation, Operation};
use super::contract::{Client, Fact, Finding, Generator, Picture, Workload};
use super::rpc::Rpc;
use crate::time::Duration;
use crate::workbench::format::thousands;
use crate::workbench::question::{Mark, Missed, Question};
use crate::workbench::settings::Settings;

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

    fn may_need_a_leader(&self) -> bool {
        true
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

    fn misfit(&self, operation: &Operation, answer: Option<&Data>) -> Option<&'static str> {
        misfit(operation, answer)
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

impl Finding for kafka::KafkaResults {
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
