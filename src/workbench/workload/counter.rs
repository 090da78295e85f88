//! `g-counter` and `pn-counter`: a counter that only grows, and one that also shrinks.

use std::ops::{Range, RangeInclusive};

use serde_json::json;

use super::super::checker::{Place, Verdict, counter};
use super::super::data::Data;
use super::super::history::{Invocation, Operation, answered_at};
use super::contract::{Client, Fact, FinalStep, Finding, Generator, GeneratorContext, Step, Workload};
use super::final_phase::{ONCE_EACH, OnceEach};
use super::rpc::{Field, MalformedReply, Reply, RequestBody, Rpc, Shape};
use crate::time::Duration;
use crate::workbench::format::thousands;
use crate::workbench::question::Question;
use crate::workbench::settings::Settings;

static ADD: Rpc = Rpc {
    request: "add",
    about: "Adds to the counter, which every node should show soon",
    fields: &[Field {
        name: "delta",
        shape: Shape::Integer,
        about: "how much to add; never negative for a g-counter",
        example: "3",
    }],
    reply: "add_ok",
    reply_fields: &[],
    errors: &[],
};

static READ: Rpc = Rpc {
    request: "read",
    about: "Asks for the counter's value",
    fields: &[],
    reply: "read_ok",
    reply_fields: &[Field {
        name: "value",
        shape: Shape::Integer,
        about: "the sum of the deltas",
        example: "42",
    }],
    errors: &[],
};

/// A counter that only grows.
#[derive(Clone, Copy, Debug, Default)]
pub struct GCounter;

/// A counter that grows and shrinks.
#[derive(Clone, Copy, Debug, Default)]
pub struct PnCounter;

macro_rules! workloads {
    ($($counter:ident, $name:literal, $about:literal, $deltas:expr;)*) => {$(
        impl Workload for $counter {
            fn name(&self) -> &'static str {
                $name
            }

            fn about(&self) -> &'static str {
                $about
            }

            fn rpcs(&self) -> Vec<&'static Rpc> {
                vec![&ADD, &READ]
            }

            fn generator(&self, settings: &Settings) -> Box<dyn Generator> {
                Box::new(Deltas { range: $deltas, final_reads: OnceEach::new(settings) })
            }

            fn client(&self, _: &Settings) -> Box<dyn Client> {
                Box::new(CounterClient)
            }

            fn is_idempotent(&self, f: &str) -> bool {
                f == "read"
            }

            fn final_phase(&self) -> Option<Duration> {
                Some(ONCE_EACH)
            }

            fn misfit(&self, operation: &Operation, answer: Option<&Data>) -> Option<&'static str> {
                misfit(operation, answer)
            }

            fn check(&self, history: &[Invocation], _: &Settings) -> Box<dyn Finding> {
                Box::new(check(history))
            }
        }
    )*};
}

workloads! {
    GCounter, "g-counter", "A counter that only grows", 0..5;
    PnCounter, "pn-counter", "A counter that grows and shrinks", -5..5;
}

/// Adds or reads, by the toss of a coin.
#[derive(Debug)]
struct Deltas {
    range: Range<i64>,
    final_reads: OnceEach,
}

impl Generator for Deltas {
    fn next(&mut self, _: usize, cx: &mut GeneratorContext<'_>) -> Operation {
        if cx.rng.bool() {
            return Operation::new("read", Data::Null);
        }
        Operation::new("add", cx.rng.i64(self.range.clone()))
    }

    fn final_step(&mut self, worker: usize, _: &mut GeneratorContext<'_>) -> FinalStep {
        self.final_reads.step(worker, Operation::new("read", Data::Null))
    }

    fn probe(&mut self, _: usize, _: &mut GeneratorContext<'_>) -> Operation {
        Operation::new("read", Data::Null)
    }
}

#[derive(Debug)]
struct CounterClient;

impl Client for CounterClient {
    fn begin(&mut self, operation: &Operation, request: &mut RequestBody) -> Step {
        if operation.f == "read" {
            request.call(&READ);
        } else {
            request.call(&ADD).field("delta", &operation.value);
        }
        Step::Call
    }

    fn reply(
        &mut self,
        operation: &Operation,
        reply: Reply<'_>,
        _: &mut RequestBody,
    ) -> Result<Step, MalformedReply> {
        Ok(Step::ok(if operation.f == "read" { reply.data("value") } else { operation.value.clone() }))
    }
}

fn misfit(operation: &Operation, answer: Option<&Data>) -> Option<&'static str> {
    match (operation.f, answer) {
        ("read", None) => None,
        ("read", Some(answer)) => {
            answer.as_int().is_none().then_some("the value of a read to be an integer of 64 bits")
        }
        _ => operation
            .value
            .as_int()
            .is_none()
            .then_some("the value to be what is added, an integer of 64 bits"),
    }
}

fn check(history: &[Invocation]) -> counter::CounterResults {
    let adds: Vec<_> = history
        .iter()
        .filter_map(|invocation| {
            let delta = invocation.operation.value.as_int()?;
            Some(counter::Add { delta, completion: invocation.outcome.completion() })
        })
        .collect();
    let reads: Vec<_> = history
        .iter()
        .filter(|invocation| invocation.is_final && invocation.operation.f == "read")
        .filter_map(|invocation| {
            let value = invocation.answer()?.as_int()?;
            Some(counter::Read { node: invocation.node, interval: invocation.interval, value })
        })
        .collect();
    counter::check(&adds, &reads)
}

/// Of so many wrong reads the journal is asked why.
const ASKED: usize = 3;

/// So many ranges of acceptable values are shown.
const RANGES_SHOWN: usize = 40;

impl Finding for counter::CounterResults {
    fn verdict(&self) -> Verdict {
        self.verdict
    }

    fn explain(&self) -> Vec<String> {
        self.explain()
    }

    fn offending(&self, history: &[Invocation]) -> Vec<usize> {
        let answered = |read: &counter::Read| Place { node: read.node, at: read.interval.completed };
        answered_at(history, self.wrong.listed.iter().map(answered))
    }

    fn questions(&self, history: &[Invocation]) -> Vec<Question> {
        let adds: Vec<(usize, i64)> = history
            .iter()
            .enumerate()
            .filter(|(_, of)| of.operation.f == "add" && of.answer().is_some())
            .filter_map(|(place, of)| Some((place, of.operation.value.as_int().filter(|delta| *delta != 0)?)))
            .collect();
        // With adds in doubt nobody knows what is missing.
        let Some([sum]) = self.acceptable.as_deref().filter(|_| self.indefinite == 0) else {
            return Vec::new();
        };
        let question = |read: &counter::Read| {
            let is_it = |of: &Invocation| (of.node, of.interval) == (read.node, read.interval);
            Some(Question::Sum {
                read: history.iter().position(is_it)?,
                missing: sum.start().checked_sub(read.value)?,
                adds: adds.clone(),
            })
        };
        self.wrong.listed.iter().take(ASKED).filter_map(question).collect()
    }

    fn json(&self) -> serde_json::Value {
        let acceptable = self.acceptable.as_ref();
        json!({
            "final_reads": self.reads,
            "indefinite_adds": self.indefinite,
            "acceptable": acceptable.map(|ranges| {
                ranges.iter().map(|range| [*range.start(), *range.end()]).collect::<Vec<_>>()
            }),
            "wrong": self.wrong.total,
        })
    }

    fn facts(&self) -> Vec<Fact> {
        let range = |range: &RangeInclusive<i64>| match (range.start(), range.end()) {
            (start, end) if start == end => start.to_string(),
            (start, end) => format!("{start} to {end}"),
        };
        let ranges = self.acceptable.as_ref().map(|ranges| {
            let mut shown: Vec<_> = ranges.iter().take(RANGES_SHOWN).map(range).collect();
            if ranges.len() > RANGES_SHOWN {
                shown.push(format!("and {} more", ranges.len() - RANGES_SHOWN));
            }
            shown.join(", ")
        });
        vec![
            ("final reads", thousands(self.reads)),
            ("wrong", thousands(self.wrong.total)),
            ("adds that may have happened", thousands(self.indefinite)),
            ("acceptable", ranges.unwrap_or_else(|| "cannot be computed".to_owned())),
        ]
    }
}
