//! This crate's nodes by their names, and which of them is for which workload.

use super::broadcast::Broadcast;
use super::counter::Counter;
use super::course::Messenger;
use super::g_set::GSet;
use super::kafka::Kafka;
use super::lin_kv::LinKv;
use super::planted::{ReadsThePast, TellsOnce};
#[cfg(feature = "serde")]
use super::raft::Raft;
use super::seq_kv_counter::SeqKvCounter;
use super::txn_list_append::TxnListAppend;
use super::txn_rw_register::TxnRwRegister;
use super::unique_ids::UniqueIds;
use crate::node::{Config, Node};
use crate::workbench::simulation::{self, SimulatedNode};
use crate::workbench::world::World;

/// A node that does a workload in another way than the one with the workload's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherNode {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub workload: &'static str,
    /// What `messenger node` runs it with.
    pub arguments: &'static [&'static str],
}

/// All of those.
///
/// The one with the name `lin-kv` hands everything on to Maelstrom's service, which hears everybody. So it is available
/// whatever happens, it is fast, and what goes wrong in a test of it is the workbench's fault. Raft needs a majority, and
/// elections.
pub const OTHERS: [OtherNode; 2] = [
    OtherNode { name: "raft", workload: "lin-kv", arguments: &["raft"] },
    OtherNode {
        name: "g-counter-over-seq-kv",
        workload: "g-counter",
        arguments: &["g-counter", "--over", "seq-kv"],
    },
];

/// This crate's node of that name, if there is one.
pub fn node(name: &str, config: Config) -> Option<Box<dyn SimulatedNode>> {
    Some(match name {
        "echo" => Box::new(Node::new(Messenger::default(), config)),
        "unique-ids" => Box::new(Node::new(UniqueIds::default(), config)),
        "broadcast" => Box::new(Node::new(Broadcast::default(), config)),
        "g-set" => Box::new(Node::new(GSet::default(), config)),
        "g-counter" => Box::new(Node::new(Counter::growing(), config)),
        "g-counter-over-seq-kv" => Box::new(Node::new(SeqKvCounter::new(config.answer_within), config)),
        "pn-counter" => Box::new(Node::new(Counter::any(), config)),
        "lin-kv" => Box::new(Node::new(LinKv::new(config.answer_within), config)),
        #[cfg(feature = "serde")]
        "raft" => Box::new(Node::new(Raft::new(config.answer_within), config)),
        "kafka" => Box::new(Node::new(Kafka::default(), config)),
        "txn-list-append" => Box::new(Node::new(TxnListAppend::new(config.answer_within), config)),
        "txn-rw-register" => Box::new(Node::new(TxnRwRegister::default(), config)),
        _ => return None,
    })
}

/// A node for the workload of that name with a [planted](super::planted) bug, if there is one.
pub fn planted(workload: &str, config: Config) -> Option<Box<dyn SimulatedNode>> {
    Some(match workload {
        "broadcast" => Box::new(Node::new(TellsOnce::default(), config)),
        "lin-kv" => Box::new(Node::new(ReadsThePast, config)),
        _ => return None,
    })
}

/// Whether there is a node of this crate for the workload of that name, or one with a planted bug.
pub fn has_node(workload: &str, is_planted: bool) -> bool {
    let node = if is_planted { planted } else { node };
    node(workload, Config::default()).is_some()
}

/// Runs a test of this crate's own nodes to its end, in virtual time. Whether there are nodes for its workload.
pub fn simulate(world: &mut World) -> bool {
    simulate_named(world, world.workload().name())
}

/// Runs a test of this crate's nodes of that name to its end, in virtual time. Whether there are such nodes.
pub fn simulate_named(world: &mut World, name: &str) -> bool {
    simulate_with(world, |config| node(name, config))
}

/// Runs a test of nodes with a planted bug to its end. Whether there are such nodes for its workload.
pub fn simulate_planted(world: &mut World) -> bool {
    let workload = world.workload().name();
    simulate_with(world, |config| planted(workload, config))
}

fn simulate_with(world: &mut World, node: impl Fn(Config) -> Option<Box<dyn SimulatedNode>>) -> bool {
    let answer_within = world.answer_within();
    let start = |seed| node(Config { seed, answer_within, ..Config::default() });
    let is_known = start(0).is_some();
    if is_known {
        simulation::run(world, |_, seed| start(seed).expect("there is one for each seed"));
    }
    is_known
}
