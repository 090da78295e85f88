//! The node that a program is by itself: what its subcommands test where no other one is named.

use std::ffi::OsString;

use crate::nodes::own::{self, OtherNode};
use crate::workbench::workload::{self, Workload};
use crate::workbench::world::World;

/// See the [module](self).
pub trait OwnNode: Sync {
    /// The program, as a shell takes it.
    fn command(&self) -> String;

    /// What `-w` may name.
    fn workloads(&self) -> &[&'static dyn Workload];

    /// The node for that workload, for people.
    fn name(&self, workload: &str) -> String;

    /// Whether it is there to look at, and people have another one to test.
    fn is_example(&self) -> bool;

    /// Whether there is a node for that workload, or one with a planted bug.
    fn has_node(&self, workload: &str, is_planted: bool) -> bool;

    /// Runs a test of such nodes to its end, in virtual time.
    fn simulate(&self, world: &mut World, is_planted: bool);

    /// The arguments with which the program is that node.
    fn arguments(&self, workload: &str) -> Vec<OsString>;
}

/// The binary of this crate: its nodes are those of this crate.
#[derive(Default)]
pub struct Messenger {
    /// This one, in place of the one with the workload's name.
    pub other: Option<OtherNode>,
}

impl OwnNode for Messenger {
    fn command(&self) -> String {
        "messenger".to_owned()
    }

    fn workloads(&self) -> &[&'static dyn Workload] {
        &workload::ALL
    }

    fn name(&self, workload: &str) -> String {
        match self.other {
            Some(other) => format!("messenger's node {} for {workload}", other.name),
            None => format!("messenger's own node for {workload}"),
        }
    }

    fn is_example(&self) -> bool {
        true
    }

    fn has_node(&self, workload: &str, is_planted: bool) -> bool {
        match self.other {
            Some(other) => other.workload == workload && !is_planted,
            None => own::has_node(workload, is_planted),
        }
    }

    fn simulate(&self, world: &mut World, is_planted: bool) {
        let is_there = match self.other {
            Some(other) => own::simulate_named(world, other.name),
            None if is_planted => own::simulate_planted(world),
            None => own::simulate(world),
        };
        assert!(is_there, "it was looked whether there is such a node");
    }

    fn arguments(&self, workload: &str) -> Vec<OsString> {
        let workload = if workload == "echo" { "messenger" } else { workload };
        let arguments = self.other.map_or_else(|| vec![workload], |other| other.arguments.to_vec());
        ["node"].into_iter().chain(arguments).map(OsString::from).collect()
    }
}
