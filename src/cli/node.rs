//! `messenger node`: a node of this crate.

use std::io;

use crate::args::NodeArgs;
use crate::node::{Config, Node};
use crate::nodes::broadcast::Broadcast;
use crate::nodes::counter::Counter;
use crate::nodes::course::Messenger;
use crate::nodes::g_set::GSet;
use crate::nodes::kafka::Kafka;
use crate::nodes::lin_kv::{self, LinKv};
use crate::nodes::raft::Raft;
use crate::nodes::seq_kv_counter::SeqKvCounter;
use crate::nodes::txn_list_append::TxnListAppend;
use crate::nodes::txn_rw_register::TxnRwRegister;
use crate::nodes::unique_ids::UniqueIds;
use crate::reactor::{self, Options};
use clap::ValueEnum;

use super::args::greet;

#[derive(Clone, Copy, Default, ValueEnum)]
pub enum Workload {
    /// The messages of the course: echo, validate, proxy, relay and more
    #[default]
    Messenger,
    /// Ids that no node gives twice
    UniqueIds,
    /// What is told to one node is known to all
    Broadcast,
    /// A set that only grows
    GSet,
    /// A sum that only grows
    GCounter,
    /// A sum
    PnCounter,
    /// Registers that behave like one copy, kept by Maelstrom's service
    LinKv,
    /// Logs that every node appends to by itself
    Kafka,
    /// The same registers, kept by the nodes themselves, of which a majority has to be up: Raft
    Raft,
    /// Transactions over lists, strictly serializable by a log in Maelstrom's service
    TxnListAppend,
    /// Transactions over registers, read atomic and always available
    TxnRwRegister,
}

/// A service that a node may keep everything in.
#[derive(Clone, Copy, ValueEnum)]
pub enum Over {
    SeqKv,
}

pub fn run(workload: Workload, over: Option<Over>, args: &NodeArgs) -> io::Result<()> {
    reactor::log_to_stderr(args.log_level);
    greet();
    let (mut config, options) = (args.config(), args.options());
    if args.answer_within.is_none() && matches!(workload, Workload::LinKv | Workload::Raft) {
        config.answer_within = lin_kv::ANSWER_WITHIN;
    }
    let answer_within = config.answer_within;
    if let Some(Over::SeqKv) = over {
        if matches!(workload, Workload::GCounter) {
            return serve(SeqKvCounter::new(config.answer_within), config, &options);
        }
        let text = "--over seq-kv: expected the workload g-counter, which alone can do with it";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    match workload {
        Workload::Messenger => serve(Messenger::default(), config, &options),
        Workload::UniqueIds => serve(UniqueIds::default(), config, &options),
        Workload::Broadcast => serve(Broadcast::default(), config, &options),
        Workload::GSet => serve(GSet::default(), config, &options),
        Workload::GCounter => serve(Counter::growing(), config, &options),
        Workload::PnCounter => serve(Counter::any(), config, &options),
        Workload::LinKv => serve(LinKv::new(answer_within), config, &options),
        Workload::Kafka => serve(Kafka::default(), config, &options),
        Workload::Raft => serve(Raft::new(answer_within), config, &options),
        Workload::TxnListAppend => serve(TxnListAppend::new(answer_within), config, &options),
        Workload::TxnRwRegister => serve(TxnRwRegister::default(), config, &options),
    }
}

fn serve(workload: impl crate::node::Handler, config: Config, options: &Options) -> io::Result<()> {
    reactor::run(&mut Node::new(workload, config), options)
}
