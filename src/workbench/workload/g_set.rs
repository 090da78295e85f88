//! `g-set`: a set that only grows.

use super::super::data::Data;
use super::super::history::{Invocation, Operation};
use super::contract::{Client, Finding, Generator, Workload};
use super::final_phase::ONCE_EACH;
use super::growing_set::{Elements, READ, SetClient, Words, check, misfit};
use super::rpc::{Field, Rpc, Shape};
use crate::time::Duration;
use crate::workbench::settings::Settings;

static ADD: Rpc = Rpc {
    request: "add",
    about: "Adds an element to the set, which every node should show soon",
    fields: &[Field {
        name: "element",
        shape: Shape::Integer,
        about: "the element; no two are the same",
        example: "7",
    }],
    reply: "add_ok",
    reply_fields: &[],
    errors: &[],
};

static READ_SET: Rpc = Rpc {
    request: "read",
    about: "Asks for the set",
    fields: &[],
    reply: "read_ok",
    reply_fields: &[Field {
        name: "value",
        shape: Shape::List(&Shape::Integer),
        about: "the elements in any order, each once",
        example: "[0,1,2,7]",
    }],
    errors: &[],
};

static WORDS: Words = Words { add: ("add", &ADD, "element"), read: (&READ_SET, "value") };

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct GSet;

impl Workload for GSet {
    fn name(&self) -> &'static str {
        "g-set"
    }

    fn about(&self) -> &'static str {
        "A set that only grows"
    }

    fn rpcs(&self) -> Vec<&'static Rpc> {
        vec![&ADD, &READ_SET]
    }

    fn generator(&self, settings: &Settings) -> Box<dyn Generator> {
        Box::new(Elements::new(&WORDS, settings))
    }

    fn client(&self, _: &Settings) -> Box<dyn Client> {
        Box::new(SetClient { words: &WORDS })
    }

    fn is_idempotent(&self, f: &str) -> bool {
        f == READ
    }

    fn writes_once(&self, f: &str) -> bool {
        f != READ
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
