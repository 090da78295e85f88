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
//! 2. For as long as [`Settings::time_limit`](super::settings::Settings::time_limit) says, whichever worker is free asks
//!    [`Generator::next`] for an operation and hands it to its client. [`Client::begin`] and, for each answer,
//!    [`Client::reply`] or [`Client::failed`] say what comes next: a request, or the [`Outcome`].
//!    [`Generator::completed`] hears of each end. After an indefinite outcome the worker goes on as another process with
//!    a new client.
//! 3. What was wrong is healed, and the nodes rest for ten seconds. If the workload has a
//!    [final phase](Workload::final_phase), each worker then does what [`Generator::final_step`] says, until that is
//!    [`FinalStep::Done`] or the phase is over.

pub mod broadcast;
mod contract;
pub mod counter;
mod cycle_picture;
mod drawing;
pub mod echo;
mod final_phase;
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

pub(super) use self::contract::reason_prefix;
pub use self::contract::{
    CallFailure, Client, Fact, FinalStep, Finding, Generator, GeneratorContext, PATIENCE, Picture, Step,
    Workload,
};
pub use self::rpc::{ErrorReply, Field, MalformedReply, Reply, RequestBody, Rpc, Shape};
pub use super::data::Data;
pub use super::history::{Invocation, Operation, Outcome};

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
