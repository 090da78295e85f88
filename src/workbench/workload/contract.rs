//! What a workload is made of: the traits that each implements, and what they hand each other.

use std::fmt;

use fastrand::Rng;

use super::super::checker::Verdict;
use super::super::data::Data;
use super::super::history::{Invocation, Operation, Outcome};
use super::super::question::Question;
use super::super::settings::Settings;
use super::rpc::{ErrorReply, MalformedReply, Reply, RequestBody, Rpc};
use crate::json::text::excerpt;
use crate::time::{Duration, Instant};
use crate::wire::error::ErrorCode;

/// How long a client waits for an answer, unless the workload has it otherwise or messages take long.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// One kind of test. See the [module](super).
pub trait Workload: fmt::Debug + Send + Sync {
    /// Its name: a word for `-w` and for a folder of reports.
    fn name(&self) -> &'static str;

    /// What it is about, in a sentence without its end.
    fn about(&self) -> &'static str;

    /// Its requests and replies.
    fn rpcs(&self) -> Vec<&'static Rpc>;

    /// The kinds of its operations, as a history has them. Most are named as their requests.
    fn operations(&self) -> Vec<&'static str> {
        self.rpcs().iter().map(|rpc| rpc.request).collect()
    }

    /// Thinks up the operations of one test.
    fn generator(&self, settings: &Settings) -> Box<dyn Generator>;

    /// Carries out the operations of one process.
    fn client(&self, settings: &Settings) -> Box<dyn Client>;

    /// Whether an operation of that kind changes nothing. When in doubt it did not happen, and its process goes on.
    fn is_idempotent(&self, f: &str) -> bool;

    /// Whether an operation of that kind writes a value that no other one writes: a message that has it in its body has
    /// it from there.
    fn writes_once(&self, f: &str) -> bool {
        let _ = f;
        false
    }

    /// Whether operations of that kind count: at least one has to succeed, and all of them are what `--availability`
    /// is about.
    fn counts(&self, f: &str) -> bool {
        let _ = f;
        true
    }

    /// Whether right nodes may be unavailable at first: until they have a leader, say.
    fn may_need_a_leader(&self) -> bool {
        false
    }

    /// How long a client waits for an answer: ten times the mean latency at least, as Maelstrom has it for `lin-kv`, or a
    /// node that has to ask others could not answer in time.
    fn patience(&self, settings: &Settings) -> Duration {
        settings.latency.times(10).max(PATIENCE)
    }

    /// Writes the request that each client sends before its first operation, and that a node gets again after it was
    /// started again. It may not be refused. Most workloads write none.
    fn setup(&self, settings: &Settings, request: &mut RequestBody) {
        let _ = (settings, request);
    }

    /// How long the final phase is at most, if there is one. No step is taken after that; what was asked before may
    /// still be answered.
    fn final_phase(&self) -> Option<Duration> {
        None
    }

    /// Settings that belong to this workload, for the page.
    fn facts(&self, settings: &Settings) -> Vec<Fact> {
        let _ = settings;
        Vec::new()
    }

    /// The value of an operation, or of what came of it, from how a history of Jepsen's has it: its value, and what else
    /// stands in the record. The same by default.
    fn import(&self, f: &str, value: Data, more: &[(Box<str>, Data)]) -> Data {
        let _ = (f, more);
        value
    }

    /// The opposite of [`import`](Self::import): the value, and what else is to stand in the record.
    fn export(&self, f: &str, value: &Data) -> (Data, Vec<(&'static str, Data)>) {
        let _ = f;
        (value.clone(), Vec::new())
    }

    /// What should be there where an operation has a value, or an answer, that none of this workload has. Clients let none
    /// through; a history that somebody else made may have anything, and what its checker passed over would be called
    /// right.
    fn misfit(&self, operation: &Operation, answer: Option<&Data>) -> Option<&'static str> {
        let _ = (operation, answer);
        None
    }

    /// Whether what the clients saw is right. The history is in the order in which its operations were invoked.
    fn check(&self, history: &[Invocation], settings: &Settings) -> Box<dyn Finding>;
}

/// Thinks up operations. The same calls have to come to the same operations: chance is what the context gives.
pub trait Generator: fmt::Debug {
    /// What that worker does next.
    fn next(&mut self, worker: usize, cx: &mut GeneratorContext<'_>) -> Operation;

    /// An operation of that worker ended.
    fn completed(&mut self, worker: usize, invocation: &Invocation) {
        let _ = (worker, invocation);
    }

    /// What that worker does next in the final phase.
    fn final_step(&mut self, worker: usize, cx: &mut GeneratorContext<'_>) -> FinalStep {
        let _ = (worker, cx);
        FinalStep::Done
    }

    /// An operation that tells whether a node still answers. It is asked of nodes that left requests without an answer,
    /// after everything else, so it should change nothing that was judged before; a read is good.
    fn probe(&mut self, worker: usize, cx: &mut GeneratorContext<'_>) -> Operation {
        self.next(worker, cx)
    }
}

/// What a generator is told.
#[derive(Debug)]
#[non_exhaustive]
pub struct GeneratorContext<'a> {
    /// Chance, the same for the same seed.
    pub rng: &'a mut Rng,
    /// What time it is.
    pub now: Instant,
    /// The process as which the worker goes on.
    pub process: usize,
}

/// What a worker does in the final phase.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FinalStep {
    /// This operation.
    Do(Operation),
    /// Nothing for so long; then it asks again.
    Wait(Duration),
    /// Nothing more.
    Done,
}

/// Carries out operations, one at a time, by requests to one node. It belongs to one process and is gone with it.
pub trait Client: fmt::Debug {
    /// An operation begins: writes its first request, or says how it ended without one.
    fn begin(&mut self, operation: &Operation, request: &mut RequestBody) -> Step;

    /// The reply to the request that was written last.
    ///
    /// # Errors
    /// A reply that says what no node may say ends the test.
    fn reply(
        &mut self,
        operation: &Operation,
        reply: Reply<'_>,
        request: &mut RequestBody,
    ) -> Result<Step, MalformedReply>;

    /// The request that was written last was refused, or not answered in time. Unless a client knows better, that is
    /// how the operation ended.
    fn failed(&mut self, operation: &Operation, failure: &CallFailure, request: &mut RequestBody) -> Step {
        let _ = (operation, request);
        Step::Done(failure.outcome())
    }
}

/// What a client does next.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// It wrote a request, which is sent.
    Call,
    /// The operation ended so.
    Done(Outcome),
}

impl Step {
    /// The operation happened, and this came of it.
    pub fn ok(value: impl Into<Data>) -> Self {
        Self::Done(Outcome::Ok(value.into()))
    }
}

/// Why a request has no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallFailure {
    /// It was answered with an error.
    Error(ErrorReply),
    /// It was not answered in time.
    Timeout,
}

impl CallFailure {
    /// How the operation ended, if this is its end.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Timeout => Outcome::Silence { is_indefinite: true },
            Self::Error(ErrorReply { code, text }) => {
                let reason = format!("{}{}", reason_prefix(*code), excerpt(text)).into();
                if code.is_definite() { Outcome::Fail(reason) } else { Outcome::Info(reason) }
            }
        }
    }
}

/// How the reason begins of an operation that was answered with this error.
pub(in crate::workbench) fn reason_prefix(code: ErrorCode) -> String {
    format!("error {}: ", code.0)
}

/// What a workload says of a history: its part of the report.
pub trait Finding: fmt::Debug {
    /// Whether it is right.
    fn verdict(&self) -> Verdict;

    /// What a person should know, in sentences, the gravest first.
    fn explain(&self) -> Vec<String>;

    /// The names of the anomalies that were found, the gravest first.
    fn anomalies(&self) -> Vec<String> {
        Vec::new()
    }

    /// Of the promises that it does not keep, the weakest: what Jepsen calls `not`.
    fn refuted(&self) -> Vec<String> {
        Vec::new()
    }

    /// The places in the history of the operations that are wrong, the gravest first: what the page shows first.
    fn offending(&self, history: &[Invocation]) -> Vec<usize> {
        let _ = history;
        Vec::new()
    }

    /// What the journal may know a reason for: a few questions, the gravest first.
    fn questions(&self, history: &[Invocation]) -> Vec<Question> {
        let _ = history;
        Vec::new()
    }

    /// Whether nothing worse is found than that nodes do not know what others were told: where no node ever spoke to
    /// another, that says all.
    fn is_mere_lack(&self) -> bool {
        false
    }

    /// `details` in `results.json`.
    fn json(&self) -> serde_json::Value;

    /// What the page has of it.
    fn facts(&self) -> Vec<Fact>;

    /// Lines of the summary on the terminal, beyond what is counted for every workload.
    fn summary(&self) -> Vec<String> {
        Vec::new()
    }

    /// Pictures for the page.
    fn pictures(&self, history: &[Invocation]) -> Vec<Picture> {
        let _ = history;
        Vec::new()
    }
}

/// Something that the page says in a word and a value.
pub type Fact = (&'static str, String);

/// A picture for the page, and a file of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The file's name.
    pub file: String,
    /// What it does not tell itself.
    pub caption: String,
    /// The picture: an `svg` element of its own.
    pub svg: String,
}
