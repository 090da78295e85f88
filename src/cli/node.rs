//! `messenger node`: a node of this crate.

use std::io;

use clap::ValueEnum;
use messenger::args::NodeArgs;
use messenger::node::{Config, Node};
use messenger::nodes::broadcast::Broadcast;
use messenger::nodes::counter::Counter;
use messenger::nodes::g_set::GSet;
use messenger::nodes::kafka::Kafka;
use messenger::nodes::lin_kv::{self, LinKv};
use messenger::nodes::messenger::Messenger;
use messenger::nodes::raft::Raft;
use messenger::nodes::txn_list_append::TxnListAppend;
use messenger::nodes::txn_rw_register::TxnRwRegister;
use messenger::nodes::unique_ids::UniqueIds;
use messenger::reactor::{self, Options};

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

pub fn run(workload: Workload, args: &NodeArgs) -> io::Result<()> {
    reactor::log_to_stderr(args.log_level);
    let (mut config, options) = (args.config(), args.options());
    if args.answer_within.is_none() && matches!(workload, Workload::LinKv | Workload::Raft) {
        config.answer_within = lin_kv::ANSWER_WITHIN;
    }
    let answer_within = config.answer_within;
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
        Workload::TxnListAppend => serve(TxnListAppend::default(), config, &options),
        Workload::TxnRwRegister => serve(TxnRwRegister::default(), config, &options),
    }
}

fn serve(workload: impl messenger::Handler, config: Config, options: &Options) -> io::Result<()> {
    reactor::run(&mut Node::new(workload, config), options)
}
