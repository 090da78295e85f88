//! What `broadcast` and `g-set` share: elements 0, 1, 2, … are added and read, half each, and at last everybody reads.

use serde_json::json;

use super::super::checker::{Quantiles, Verdict, set_full};
use super::super::data::Data;
use super::super::history::{Invocation, Operation, answered_at};
use super::contract::{Client, Fact, FinalStep, Finding, Generator, GeneratorContext, Picture, Step};
use super::final_phase::OnceEach;
use super::rpc::{MalformedReply, Reply, RequestBody, Rpc};
use super::set_picture;
use crate::workbench::format::thousands;
use crate::workbench::question::{Mark, Missed, Question};
use crate::workbench::settings::Settings;

/// How a workload says these things.
#[derive(Debug)]
pub struct Words {
    /// Adds an element: its kind of operation, its request, and the field with the element.
    pub add: (&'static str, &'static Rpc, &'static str),
    /// Reads all elements: its request, and the field of the reply that has them.
    pub read: (&'static Rpc, &'static str),
}

/// Of so many elements of a sort the journal is asked why.
const ASKED: usize = 3;

/// The kind of operation that reads.
pub const READ: &str = "read";

/// Adds or reads, by the toss of a coin.
#[derive(Debug)]
pub struct Elements {
    words: &'static Words,
    next: i64,
    final_reads: OnceEach,
}

impl Elements {
    pub fn new(words: &'static Words, settings: &Settings) -> Self {
        Self { words, next: 0, final_reads: OnceEach::new(settings) }
    }
}

impl Generator for Elements {
    fn next(&mut self, _: usize, cx: &mut GeneratorContext<'_>) -> Operation {
        if cx.rng.bool() {
            return Operation::new(READ, Data::Null);
        }
        self.next += 1;
        Operation::new(self.words.add.0, self.next - 1)
    }

    fn final_step(&mut self, worker: usize, _: &mut GeneratorContext<'_>) -> FinalStep {
        self.final_reads.step(worker, Operation::new(READ, Data::Null))
    }

    fn probe(&mut self, _: usize, _: &mut GeneratorContext<'_>) -> Operation {
        Operation::new(READ, Data::Null)
    }
}

#[derive(Debug)]
pub struct SetClient {
    pub words: &'static Words,
}

impl Client for SetClient {
    fn begin(&mut self, operation: &Operation, request: &mut RequestBody) -> Step {
        let Words { add: (_, add, element), read: (read, _) } = self.words;
        if operation.f == READ {
            request.call(read);
        } else {
            request.call(add).field(element, &operation.value);
        }
        Step::Call
    }

    fn reply(
        &mut self,
        operation: &Operation,
        reply: Reply<'_>,
        _: &mut RequestBody,
    ) -> Result<Step, MalformedReply> {
        let is_read = operation.f == READ;
        Ok(Step::ok(if is_read { reply.data(self.words.read.1) } else { operation.value.clone() }))
    }
}

/// What should be there instead of a value that neither adds an element nor reads them.
pub fn misfit(operation: &Operation, answer: Option<&Data>) -> Option<&'static str> {
    match (operation.f, answer) {
        (READ, None) => None,
        (READ, Some(answer)) => {
            answer.as_ints().is_none().then_some("the value of a read to be a list of integers of 64 bits")
        }
        _ => operation
            .value
            .as_int()
            .is_none()
            .then_some("the value to be the element that is added, an integer of 64 bits"),
    }
}

pub fn check(history: &[Invocation]) -> set_full::SetFullResults {
    let adds: Vec<_> = history
        .iter()
        .filter_map(|invocation| {
            let element = invocation.operation.value.as_int()?;
            let completion = invocation.outcome.completion();
            Some(set_full::Add { element, interval: invocation.interval, completion })
        })
        .collect();
    let reads: Vec<_> = history
        .iter()
        .filter_map(|invocation| {
            let elements = invocation.answer()?.as_ints()?;
            Some(set_full::Read { node: invocation.node, interval: invocation.interval, elements })
        })
        .collect();
    set_full::check(&adds, &reads)
}

impl Finding for set_full::SetFullResults {
    fn verdict(&self) -> Verdict {
        self.verdict
    }

    fn explain(&self) -> Vec<String> {
        self.explain()
    }

    fn offending(&self, history: &[Invocation]) -> Vec<usize> {
        let missing = self.lost.listed.iter().chain(&self.stale.listed).map(|missing| missing.from);
        let duplicated = self.duplicated.listed.iter().map(|duplicate| duplicate.read);
        let unexpected = self.unexpected.listed.iter().map(|unexpected| unexpected.read);
        answered_at(history, missing.chain(duplicated).chain(unexpected))
    }

    fn questions(&self, history: &[Invocation]) -> Vec<Question> {
        let written = |element: i64| {
            history
                .iter()
                .position(|of| of.operation.f != READ && of.operation.value.as_int() == Some(element))
        };
        let missing = |missing: &set_full::Missing| {
            let is_it = |of: &Invocation| {
                (of.node, of.interval.invoked) == (missing.from.node, missing.from.at)
                    && of
                        .answer()
                        .and_then(Data::as_ints)
                        .is_some_and(|read| !read.contains(&missing.element))
            };
            Some(Question::Missed(Missed {
                write: written(missing.element)?,
                name: missing.element.to_string(),
                mark: Mark::value(&missing.element),
                is_unique: true,
                read: history.iter().position(is_it)?,
                saw: None,
            }))
        };
        let doubled = |duplicate: &set_full::Duplicate| {
            Some(Question::Doubled {
                write: written(duplicate.element)?,
                what: (duplicate.element.to_string(), Mark::value(&duplicate.element)),
                read: history.iter().position(|of| of.answered() == duplicate.read)?,
            })
        };
        let missing = self.lost.listed.iter().chain(&self.stale.listed).filter_map(missing).take(ASKED);
        missing.chain(self.duplicated.listed.iter().filter_map(doubled).take(ASKED)).collect()
    }

    fn is_mere_lack(&self) -> bool {
        !(self.lost.is_empty() && self.stale.is_empty())
            && self.duplicated.is_empty()
            && self.unexpected.is_empty()
            && self.denied.is_empty()
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "attempts": self.attempts,
            "acknowledged": self.acknowledged,
            "stable": self.stable,
            "lost": self.lost.total,
            "stale": self.stale.total,
            "never_read": self.never_read.total,
            "duplicated": self.duplicated.total,
            "unexpected": self.unexpected.total,
            "denied": self.denied.total,
            "stable_latencies_ms": self.stable_latencies.as_ref().map(Quantiles::json),
        })
    }

    fn facts(&self) -> Vec<Fact> {
        let mut facts = vec![
            ("tried to add", thousands(self.attempts)),
            ("acknowledged", thousands(self.acknowledged)),
            ("stable", thousands(self.stable)),
            ("lost", thousands(self.lost.total)),
            ("late on some node (stale)", thousands(self.stale.total)),
            ("never read", thousands(self.never_read.total)),
            ("duplicated", thousands(self.duplicated.total)),
            ("unexpected", thousands(self.unexpected.total)),
            ("there although refused", thousands(self.denied.total)),
        ];
        if let Some(latencies) = &self.stable_latencies {
            facts.push(("ms until stable: quantiles 0, 0.5, 0.95, 0.99, 1", latencies.row()));
        }
        facts
    }

    fn pictures(&self, history: &[Invocation]) -> Vec<Picture> {
        set_picture::draw(self, history).into_iter().collect()
    }

    fn summary(&self) -> Vec<String> {
        self.stable_latencies.iter().map(|latencies| format!("everywhere after {latencies}")).collect()
    }
}
