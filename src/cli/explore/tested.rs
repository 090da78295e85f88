//! What is tested, and how a plan is run on it.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Mutex;
use std::{fs, io, thread};

use super::super::own_node::OwnNode;
use crate::time::Duration;
use crate::workbench::explore::{run_plan, signature};
use crate::workbench::plan::Plan;
use crate::workbench::processes::{self, Program};
use crate::workbench::shrink::{Shrunk, shrink};
use crate::workbench::verdict::Results;
use crate::workbench::workload::Workload;
use crate::workbench::world::World;

/// What is tested.
pub enum Tested<'a> {
    Own {
        own: &'a dyn OwnNode,
        is_planted: bool,
    },
    Program {
        path: &'a Path,
        args: &'a [OsString],
        store: &'a Path,
        /// Why it goes no further, if it does not: a signal, or a program that cannot be started.
        stopped: Mutex<Option<io::Error>>,
    },
}

/// How long nodes rest in tries to cut a test of processes down, where that is enough to see it fail. A report is of a test
/// in which they rested as long as ever.
const REST_OF_TRIES: Duration = Duration::from_secs(1);

/// With how many seeds a plan in virtual time may fail, in tries to cut it down.
const SEEDS_OF_TRIES: u64 = 100;

impl Tested<'_> {
    pub fn run(&self, world: &mut World) {
        match self {
            Self::Own { own, is_planted } => own.simulate(world, *is_planted),
            Self::Program { path, args, store, stopped } => {
                let mut run = || {
                    let logs =
                        store.join(format!("explore-{}-{:?}", std::process::id(), thread::current().id()));
                    fs::create_dir_all(&logs)
                        .map_err(|error| io::Error::other(format!("{}: {error}", logs.display())))?;
                    let program = Program {
                        path: path.to_path_buf(),
                        args: args.to_vec(),
                        logs: logs.clone(),
                        data: logs.join("data"),
                        shows_stderr: false,
                    };
                    let ended = processes::run(world, &program, |_, _| {});
                    let _ = fs::remove_dir_all(&logs);
                    ended?.cut_short.map_or(Ok(()), |reason| Err(io::Error::other(reason)))
                };
                if let Err(error) = run() {
                    stopped.lock().expect("no thread panicked").get_or_insert(error);
                }
            }
        }
    }

    pub fn check_stopped(&self) -> io::Result<()> {
        match self {
            Self::Own { .. } => Ok(()),
            Self::Program { stopped, .. } => {
                stopped.lock().expect("no thread panicked").take().map_or(Ok(()), Err)
            }
        }
    }

    pub fn is_stopped(&self) -> bool {
        match self {
            Self::Own { .. } => false,
            Self::Program { stopped, .. } => stopped.lock().expect("no thread panicked").is_some(),
        }
    }

    /// Whether a plan fails in this way. What runs in real time does not do the same twice: two of three tries count.
    pub fn fails(&self, plan: &Plan, wanted: &str) -> bool {
        let try_once =
            || signature(&run_plan(plan.clone(), |world| self.run(world)).1).as_deref() == Some(wanted);
        match self {
            Self::Own { .. } => try_once(),
            Self::Program { .. } => {
                // Side by side: most of such a test is waiting.
                let (first, second) = thread::scope(|scope| {
                    let second = scope.spawn(try_once);
                    (try_once(), second.join().expect("a test does not panic"))
                });
                if first == second { first } else { try_once() }
            }
        }
    }

    /// Cuts a plan down to what it takes to fail in this way.
    pub fn cut_down(&self, plan: Plan, wanted: &str, may_go_on: impl Fn() -> bool) -> Shrunk {
        let fails = |plan: &Plan| self.fails(plan, wanted);
        let may_go_on = || may_go_on() && !self.is_stopped();
        if let Self::Program { .. } = self {
            let recovery = plan.settings.recovery;
            let mut hasty = plan.clone();
            hasty.settings.recovery = recovery.min(REST_OF_TRIES);
            if fails(&hasty) {
                let mut shrunk = shrink(hasty, 1, fails, may_go_on);
                shrunk.plan.settings.recovery = recovery;
                // What recovers in the time that it has did not fail.
                if fails(&shrunk.plan) {
                    return shrunk;
                }
            }
        }
        let seeds = if matches!(self, Self::Own { .. }) { SEEDS_OF_TRIES } else { 1 };
        shrink(plan, seeds, fails, may_go_on)
    }

    /// A test of the plan, for its report; one that fails in this way, if one of three does.
    pub fn failing(&self, plan: &Plan, wanted: &str) -> (World, Results) {
        let run = || run_plan(plan.clone(), |world| self.run(world));
        let fails = |(_, results): &(World, Results)| signature(results).as_deref() == Some(wanted);
        let first = run();
        if matches!(self, Self::Own { .. }) || fails(&first) {
            return first;
        }
        (0..2).map(|_| run()).find(fails).unwrap_or(first)
    }

    pub fn name(&self, workload: &dyn Workload) -> String {
        match self {
            Self::Own { is_planted: true, .. } => {
                format!("a node for {} with a planted bug, in virtual time", workload.name())
            }
            Self::Own { own, .. } => format!("{}, in virtual time", own.name(workload.name())),
            Self::Program { path, .. } => path.display().to_string(),
        }
    }
}
