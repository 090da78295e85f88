//! The subcommands that a node's program has, whether it is `messenger` or somebody's own.

use std::io;
use std::process::ExitCode;

use clap::Subcommand;

use super::own_node::OwnNode;
use super::{check, explore, grade, test, trace};
use crate::nodes::own::OtherNode;

#[derive(Subcommand)]
pub enum WorkbenchCommand {
    /// Test a node: start some, ask them as clients do, make things go wrong, and tell whether the answers are right
    Test(test::TestArgs),
    /// Judge a history that somebody else made: of Maelstrom, of Jepsen, or of a test before
    Check(check::CheckArgs),
    /// Try many seeds in virtual time, or many tests of your node; cut the first failure down, and show why
    Explore(explore::ExploreArgs),
    /// Grade programs by a suite of tests and conversations: the Gossip Glomers exercises, a course, or one of your own
    Grade(grade::GradeArgs),
    /// Print what happened between nodes that wrote trace files, and draw it
    Trace(trace::TraceArgs),
}

impl WorkbenchCommand {
    /// The node that it names in place of the program's own.
    pub const fn node(&self) -> Option<OtherNode> {
        match self {
            Self::Test(args) => args.node,
            Self::Explore(args) => args.node,
            _ => None,
        }
    }

    pub fn run(self, own: &dyn OwnNode) -> io::Result<ExitCode> {
        match self {
            Self::Test(args) => Ok(test::run(&args, own)),
            Self::Check(args) => Ok(check::run(&args)),
            Self::Explore(args) => Ok(explore::run(&args, own)),
            Self::Grade(args) => Ok(grade::run(&args, own)),
            Self::Trace(args) => trace::run(args).map(|()| ExitCode::SUCCESS),
        }
    }
}
