//! Which node of this crate is for which workload.

use super::broadcast::Broadcast;
use super::counter::Counter;
use super::g_set::GSet;
use super::kafka::Kafka;
use super::lin_kv::LinKv;
use super::messenger::Messenger;
use super::planted::{ReadsThePast, TellsOnce};
use super::txn_list_append::TxnListAppend;
use super::txn_rw_register::TxnRwRegister;
use super::unique_ids::UniqueIds;
use crate::node::{Config, Node};
use crate::workbench::simulation::{self, SimulatedNode};
use crate::workbench::world::World;

/// This crate's node for the workload of that name, if there is one.
pub fn node(workload: &str, config: Config) -> Option<Box<dyn SimulatedNode>> {
    Some(match workload {
        "echo" => Box::new(Node::new(Messenger::default(), config)),
        "unique-ids" => Box::new(Node::new(UniqueIds::default(), config)),
        "broadcast" => Box::new(Node::new(Broadcast::default(), config)),
        "g-set" => Box::new(Node::new(GSet::default(), config)),
        "g-counter" => Box::new(Node::new(Counter::growing(), config)),
        "pn-counter" => Box::new(Node::new(Counter::any(), config)),
        "lin-kv" => Box::new(Node::new(LinKv::new(config.answer_within), config)),
        "kafka" => Box::new(Node::new(Kafka::default(), config)),
        "txn-list-append" => Box::new(Node::new(TxnListAppend::default(), config)),
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
    simulate_with(world, node)
}

/// Runs a test of nodes with a planted bug to its end. Whether there are such nodes for its workload.
pub fn simulate_planted(world: &mut World) -> bool {
    simulate_with(world, planted)
}

fn simulate_with(world: &mut World, node: fn(&str, Config) -> Option<Box<dyn SimulatedNode>>) -> bool {
    let (workload, answer_within) = (world.workload().name(), world.answer_within());
    let start = |seed| node(workload, Config { seed, answer_within, ..Config::default() });
    let is_known = start(0).is_some();
    if is_known {
        simulation::run(world, |_, seed| start(seed).expect("there is one for each seed"));
    }
    is_known
}
