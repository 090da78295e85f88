//! Workloads: what a test asks of its nodes, and what it takes for right. There is a file for each of Maelstrom's, under
//! its name there; a workload of your own, in a crate of your own, has the same rights.
//!
//! A [`Workload`] makes a [`Generator`], which thinks up operations, and for each process a [`Client`], which carries
//! one out at a time by requests to its node. The [`World`](super::world::World) drives them, and keeps the history;
//! at last the workload [checks](Workload::check) it. Nothing else knows one workload from another.
//!
//! In the order in which things happen:
//!
//! 1. Each node gets its `init`. Then each client sends what [`Workload::setup`] writes, if it writes anything, and
//!    waits for the reply.
//! 2. For as long as [`Settings::time_limit`] says, whichever worker is free asks [`Generator::next`] for an operation
//!    and hands it to its client. [`Client::begin`] and, for each answer, [`Client::reply`] or [`Client::failed`] say
//!    what comes next: a request, or the [`Outcome`]. [`Generator::completed`] hears of each end. After an indefinite
//!    outcome the worker goes on as another process with a new client.
//! 3. What was wrong is healed, and the nodes rest for ten seconds. If the workload has a
//!    [final phase](Workload::final_phase), each worker then does what [`Generator::final_step`] says, until that is
//!    [`FinalStep::Done`] or the phase is over.

pub mod broadcast;
pub mod counter;
mod cycle_picture;
mod drawing;
pub mod echo;
pub mod g_set;
mod growing_set;
pub mod kafka;
mod key_pool;
pub mod lin_kv;
pub mod list_append;
pub mod manual;
mod order_picture;
mod register_picture;
mod rpc;
pub mod rw_register;
mod set_picture;
mod transactions;
pub mod unique_ids;

use std::fmt;

use fastrand::Rng;

pub use self::rpc::{ErrorReply, Field, MalformedReply, Reply, RequestBody, Rpc, Shape};
use super::checker::Verdict;
pub use super::data::Data;
pub use super::history::{Invocation, Operation, Outcome};
use super::question::Question;
use super::settings::Settings;
use crate::json::text::excerpt;
use crate::time::{Duration, Instant};
use crate::wire::error::ErrorCode;

/// Every workload of this crate, as Maelstrom lists them.
pub static ALL: [&dyn Workload; 10] = [
    &echo::Echo,
    &unique_ids::UniqueIds,
    &broadcast::Broadcast,
    &g_set::GSet,
    &counter::GCounter,
    &counter::PnCounter,
    &lin_kv::LinKv,
    &kafka::Kafka,
    &list_append::ListAppend,
    &rw_register::RwRegister,
];

/// The workload that Maelstrom calls so.
pub fn by_name(name: &str) -> Option<&'static dyn Workload> {
    ALL.into_iter().find(|workload| workload.name() == name)
}

/// How long a client waits for an answer, unless the workload has it otherwise.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// One kind of test. See the [module](self).
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

    /// How long a client waits for an answer.
    fn patience(&self, settings: &Settings) -> Duration {
        let _ = settings;
        PATIENCE
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
pub(super) fn reason_prefix(code: ErrorCode) -> String {
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

/// A final phase in which each worker does one operation.
#[derive(Debug)]
struct OnceEach {
    is_done: Vec<bool>,
}

impl OnceEach {
    fn new(settings: &Settings) -> Self {
        Self { is_done: vec![false; settings.workers] }
    }

    fn step(&mut self, worker: usize, operation: Operation) -> FinalStep {
        if std::mem::replace(&mut self.is_done[worker], true) {
            FinalStep::Done
        } else {
            FinalStep::Do(operation)
        }
    }
}

/// How long a final phase may be in which each worker does one operation: longer than it waits for the answer.
const ONCE_EACH: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parser::Parser;

    #[test]
    fn every_workload_has_a_name_of_its_own() {
        for workload in ALL {
            let found = by_name(workload.name()).unwrap();
            assert_eq!(found.about(), workload.about());
        }
        assert!(by_name("no-such-workload").is_none());
    }

    #[test]
    fn examples_are_what_they_are_examples_of() {
        for field in
            ALL.iter().flat_map(|of| of.rpcs()).flat_map(|rpc| rpc.fields.iter().chain(rpc.reply_fields))
        {
            let line = format!("[{}]", field.example);
            let mut parser = Parser::new();
            let array = parser.value(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert!(array.as_array().unwrap().all(|value| field.shape.matches(value)), "{field:?}");
        }
    }
}
