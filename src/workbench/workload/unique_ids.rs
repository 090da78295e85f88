//! `unique-ids`: nodes make up ids, none of them twice.

use serde_json::json;

use super::super::checker::{Verdict, unique_ids};
use super::super::data::Data;
use super::super::history::{Invocation, Operation, answered_at};
use super::contract::{Client, Fact, Finding, Generator, GeneratorContext, Step, Workload};
use super::rpc::{Field, MalformedReply, Reply, RequestBody, Rpc, Shape};
use crate::workbench::format::thousands;
use crate::workbench::question::Question;
use crate::workbench::settings::Settings;

static GENERATE: Rpc = Rpc {
    request: "generate",
    about: "Asks for an id that nobody was given yet, by any node",
    fields: &[],
    reply: "generate_ok",
    reply_fields: &[Field { name: "id", shape: Shape::Any, about: "the id, any value", example: "\"n1-7\"" }],
    errors: &[],
};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct UniqueIds;

impl Workload for UniqueIds {
    fn name(&self) -> &'static str {
        "unique-ids"
    }

    fn about(&self) -> &'static str {
        "Nodes make up ids, none of them twice"
    }

    fn rpcs(&self) -> Vec<&'static Rpc> {
        vec![&GENERATE]
    }

    fn generator(&self, _: &Settings) -> Box<dyn Generator> {
        Box::new(Requests)
    }

    fn client(&self, _: &Settings) -> Box<dyn Client> {
        Box::new(IdClient)
    }

    fn is_idempotent(&self, _: &str) -> bool {
        false
    }

    fn check(&self, history: &[Invocation], _: &Settings) -> Box<dyn Finding> {
        let ids = history.iter().filter_map(|invocation| {
            Some(unique_ids::Id { answered: invocation.answered(), raw: invocation.answer()?.to_string() })
        });
        let ids: Vec<_> = ids.collect();
        Box::new(unique_ids::check(history.len(), &ids))
    }
}

/// Of so many ids the journal is asked why.
const ASKED: usize = 3;

#[derive(Debug)]
struct Requests;

impl Generator for Requests {
    fn next(&mut self, _: usize, _: &mut GeneratorContext<'_>) -> Operation {
        Operation::new("generate", Data::Null)
    }
}

#[derive(Debug)]
struct IdClient;

impl Client for IdClient {
    fn begin(&mut self, _: &Operation, request: &mut RequestBody) -> Step {
        request.call(&GENERATE);
        Step::Call
    }

    fn reply(
        &mut self,
        _: &Operation,
        reply: Reply<'_>,
        _: &mut RequestBody,
    ) -> Result<Step, MalformedReply> {
        Ok(Step::ok(reply.data("id")))
    }
}

impl Finding for unique_ids::UniqueIdsResults {
    fn verdict(&self) -> Verdict {
        self.verdict
    }

    fn explain(&self) -> Vec<String> {
        self.explain()
    }

    fn questions(&self, history: &[Invocation]) -> Vec<Question> {
        let question = |duplicate: &unique_ids::Duplicate| {
            let place = |answered| history.iter().position(|of| of.answered() == answered);
            Some(Question::GivenTwice {
                first: place(duplicate.first)?,
                again: place(duplicate.again)?,
                what: duplicate.id.clone(),
            })
        };
        self.duplicated.listed.iter().take(ASKED).filter_map(question).collect()
    }

    fn offending(&self, history: &[Invocation]) -> Vec<usize> {
        answered_at(
            history,
            self.duplicated.listed.iter().flat_map(|duplicate| [duplicate.again, duplicate.first]),
        )
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "attempted": self.attempted,
            "acknowledged": self.acknowledged,
            "duplicated": self.duplicated.total,
            "range": self.range,
        })
    }

    fn facts(&self) -> Vec<Fact> {
        vec![
            ("asked for", thousands(self.attempted)),
            ("acknowledged", thousands(self.acknowledged)),
            ("given twice", thousands(self.duplicated.total)),
        ]
    }
}
