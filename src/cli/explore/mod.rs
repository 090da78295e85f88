//! `messenger explore`: many seeds, to find one that fails, cut down to what it takes.

mod args;
mod search;
mod tested;

use std::io;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant as Clock;

pub use self::args::ExploreArgs;
use self::args::{say, swarm};
use self::search::{Found, Search};
use self::tested::Tested;
use super::args::{quoted, refuse, status};
use super::options::no_own_node;
use super::outcome::{create_folder, write_report};
use super::own_node::OwnNode;
use crate::reactor;
use crate::workbench::checker::Verdict;
use crate::workbench::explore::FoundFailure;
use crate::workbench::plan::Plan;
use crate::workbench::settings::Settings;
use crate::workbench::shrink::Shrunk;

/// Tries seeds until one fails or there are no more.
pub fn run(args: &ExploreArgs, own: &dyn OwnNode) -> ExitCode {
    reactor::log_to_stderr(log::LevelFilter::Info);
    explore(args, own).unwrap_or_else(|error| refuse(&error))
}

fn explore(args: &ExploreArgs, own: &dyn OwnNode) -> io::Result<ExitCode> {
    let tested = match &args.bin {
        Some(path) => {
            Tested::Program { path, args: &args.args, store: &args.store, stopped: Mutex::default() }
        }
        None => Tested::Own { own, is_planted: args.planted },
    };
    let swarm = swarm(args)?;
    if args.bin.is_none() && !own.has_node(args.workload.name(), args.planted) {
        return Err(no_own_node(args.planted, args.node, args.workload));
    }
    let search = Search::new(args, &swarm, &tested);
    let found = search.run();
    search.finish();
    tested.check_stopped()?;
    let Some(found) = found else {
        let verdict = if search.is_undecided() { Verdict::Unknown } else { Verdict::Valid };
        return Ok(ExitCode::from(status(verdict)));
    };
    match found {
        Found::Difference { seed, text } => {
            say(args, &format!("seed {seed}: two runs of it are not the same: {text}"));
        }
        Found::Failure { seed, failure } => report(args, own, &tested, seed, *failure)?,
    }
    Ok(ExitCode::from(status(Verdict::Invalid)))
}

/// Cuts a failure down, and writes its report.
fn report(
    args: &ExploreArgs,
    own: &dyn OwnNode,
    tested: &Tested<'_>,
    seed: u64,
    failure: FoundFailure,
) -> io::Result<()> {
    let FoundFailure { plan, signature } = failure;
    let before = size(&plan);
    let started = Clock::now();
    let may_go_on = || started.elapsed() < args.shrink.into();
    let Shrunk { mut plan, tries, is_minimal } = tested.cut_down(plan, &signature, may_go_on);
    let took = started.elapsed();
    tested.check_stopped()?;
    plan.settings.journal_size = Settings::default().journal_size;
    let folder = create_folder(&args.store, args.workload)?;
    let plan_file = folder.join("plan.json");
    let mut again = vec![own.command(), "test --plan".to_owned(), quoted(plan_file.as_os_str())];
    match tested {
        Tested::Own { is_planted: false, .. } => {
            again.push("--sim".to_owned());
            again.extend(args.node.map(|node| format!("--node {}", node.name)));
        }
        Tested::Own { is_planted: true, .. } => again.push("--sim --planted".to_owned()),
        Tested::Program { path, args, .. } => {
            again.extend(["--bin".to_owned(), quoted(path.as_os_str())]);
            if !args.is_empty() {
                again.push("--".to_owned());
                again.extend(args.iter().map(|word| quoted(word)));
            }
        }
    }
    let again = again.join(" ");
    let after = size(&plan);
    let (world, results) = tested.failing(&plan, &signature);
    tested.check_stopped()?;
    let done = match (is_minimal, before == after) {
        (true, _) => "",
        (false, true) => ", but the time did not suffice to cut anything: --shrink gives it more",
        (false, false) => ", as far as the time went",
    };
    let text = format!(
        "seed {seed} fails; cut down in {:.1} s and {tries} tests{done}\n  before: {before}\n  after:  {after}",
        took.as_secs_f64(),
    );
    say(args, &text);
    let name = tested.name(args.workload);
    let summary = write_report(&world, &results, &folder, &args.store, &name, &again)?;
    say(args, summary.trim_end());
    Ok(())
}

/// "3 nodes, 4 operations, 1 fault, 1.2 s"
fn size(plan: &Plan) -> String {
    let counted = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let Settings { nodes, workers, planned_faults, time_limit, .. } = &plan.settings;
    #[allow(clippy::cast_precision_loss, reason = "tests are short")]
    let seconds = time_limit.as_micros() as f64 / 1e6;
    format!(
        "{}, {}, {}, {}, {seconds:.3} s",
        counted(*nodes, "node"),
        counted(*workers, "client"),
        counted(plan.operations.as_ref().map_or(0, Vec::len), "operation"),
        counted(planned_faults.len(), "fault"),
    )
}
