//! `broadcast`: nodes tell each other what they were told.

use super::super::data::Data;
use super::super::history::{Invocation, Operation};
use super::contract::{Client, Fact, Finding, Generator, Workload};
use super::final_phase::ONCE_EACH;
use super::growing_set::{Elements, READ, SetClient, Words, check, misfit};
use super::rpc::{Field, RequestBody, Rpc, Shape};
use crate::time::Duration;
use crate::workbench::settings::Settings;

static TOPOLOGY: Rpc = Rpc {
    request: "topology",
    about: "Suggests which nodes should talk to which; each client sends it once, before anything else",
    fields: &[Field {
        name: "topology",
        shape: Shape::Map(&Shape::List(&Shape::Text)),
        about: "the neighbours of each node",
        example: r#"{"n1":["n2","n3"],"n2":["n1"],"n3":["n1"]}"#,
    }],
    reply: "topology_ok",
    reply_fields: &[],
    errors: &[],
};

static BROADCAST: Rpc = Rpc {
    request: "broadcast",
    about: "Adds a message, which every node should know soon",
    fields: &[Field {
        name: "message",
        shape: Shape::Integer,
        about: "the message; no two are the same",
        example: "1000",
    }],
    reply: "broadcast_ok",
    reply_fields: &[],
    errors: &[],
};

static READ_MESSAGES: Rpc = Rpc {
    request: "read",
    about: "Asks for all messages that the node knows",
    fields: &[],
    reply: "read_ok",
    reply_fields: &[Field {
        name: "messages",
        shape: Shape::List(&Shape::Integer),
        about: "the messages in any order, each once",
        example: "[1,8,72,25]",
    }],
    errors: &[],
};

static WORDS: Words = Words { add: ("broadcast", &BROADCAST, "message"), read: (&READ_MESSAGES, "messages") };

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Broadcast;

impl Workload for Broadcast {
    fn name(&self) -> &'static str {
        "broadcast"
    }

    fn about(&self) -> &'static str {
        "Nodes tell each other what they were told"
    }

    fn rpcs(&self) -> Vec<&'static Rpc> {
        vec![&TOPOLOGY, &BROADCAST, &READ_MESSAGES]
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

    fn setup(&self, settings: &Settings, request: &mut RequestBody) {
        let name = |node| format!("n{node}");
        let neighbours = (0..settings.nodes).map(|node| {
            let neighbours = settings.topology.neighbours(node, settings.nodes);
            (name(node), neighbours.into_iter().map(name).collect::<Vec<_>>())
        });
        request.call(&TOPOLOGY).object("topology", neighbours);
    }

    fn final_phase(&self) -> Option<Duration> {
        Some(ONCE_EACH)
    }

    fn facts(&self, settings: &Settings) -> Vec<Fact> {
        vec![("topology", settings.topology.to_string())]
    }

    fn misfit(&self, operation: &Operation, answer: Option<&Data>) -> Option<&'static str> {
        misfit(operation, answer)
    }

    fn check(&self, history: &[Invocation], _: &Settings) -> Box<dyn Finding> {
        Box::new(check(history))
    }
}
