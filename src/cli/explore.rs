//! `messenger explore`: many seeds, to find one that fails, cut down to what it takes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration as RealDuration, Instant as Clock};

use crate::nodes::own::{self, OtherNode};
use crate::reactor;
use crate::time::Duration;
use crate::workbench::checker::Verdict;
use crate::workbench::explore::{
    Drawn, FoundFailure, Swarm, Tried, difference, run_plan, signature, try_seed,
};
use crate::workbench::fault::{Fault, PlannedFault};
use crate::workbench::plan::Plan;
use crate::workbench::processes::{self, Program};
use crate::workbench::settings::{Settings, TxnOptions};
use crate::workbench::shrink::{Shrunk, shrink};
use crate::workbench::verdict::Results;
use crate::workbench::workload::{self, Workload};
use crate::workbench::world::World;
use clap::{Args, value_parser};
use serde_json::json;

use super::args::{self, NOT_ENDED, complain, millis, seconds};
use super::own_node::OwnNode;
use super::test::{
    Concurrency, LatencyDist, Models, Nemesis, Rate, concurrency, count, create_folder, models, no_own_node,
    node_parser, quoted, rate, workload_parser, write_report,
};

#[derive(Args)]
#[allow(clippy::struct_excessive_bools, reason = "they are options")]
#[command(after_help = EXAMPLES)]
pub struct ExploreArgs {
    /// What to ask of the nodes
    #[arg(short, long, value_parser = workload_parser(&workload::ALL))]
    workload: &'static dyn Workload,
    /// The node to test, as processes and in real time [default: this program's own, in virtual time]
    #[arg(long, value_name = "FILE")]
    bin: Option<PathBuf>,
    /// Test this program's own node in virtual time, as without --bin
    #[arg(long, conflicts_with = "bin")]
    sim: bool,
    /// One of this crate's nodes that does the workload in another way: raft does lin-kv, g-counter-over-seq-kv g-counter
    #[arg(long, value_name = "NAME", conflicts_with_all = ["bin", "planted"], value_parser = node_parser(&own::OTHERS))]
    pub(super) node: Option<OtherNode>,
    /// Test a node with a bug that was put there on purpose, to see what is made of it: broadcast and lin-kv have one
    #[arg(long, conflicts_with = "bin")]
    planted: bool,
    /// Try so many seeds at most
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    first_seed: u64,
    /// Stop after so many seconds
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    time: Option<Duration>,
    /// Cut a test that fails down for at most so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    shrink: Duration,
    /// Try one part of the seeds: 3/16 is the third of sixteen. Parts have no seed in common.
    #[arg(long, value_name = "PART/PARTS", default_value = "1/1", value_parser = shard)]
    shard: (u64, u64),
    /// So many tests at a time [default: the number of processors]
    #[arg(long, value_name = "COUNT", value_parser = value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Write a JSON object for each seed to stdout, a line each
    #[arg(long)]
    json: bool,
    /// Run each seed twice, and tell where the two runs part
    #[arg(long, conflicts_with = "bin")]
    check_determinism: bool,
    /// How many nodes [default: each seed draws 1 to 5]
    #[arg(long, value_name = "COUNT", value_parser = count)]
    node_count: Option<usize>,
    /// How many clients: a number, or 4n for four times the number of nodes [default: each seed draws 1n to 3n]
    #[arg(long, value_name = "COUNT", value_parser = concurrency)]
    concurrency: Option<Concurrency>,
    /// Operations a second, all clients together [default: each seed draws 1 to 100]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    rate: Option<Rate>,
    /// How long each test asks, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    time_limit: Duration,
    /// How long messages between nodes take, in milliseconds [default: each seed draws it]
    #[arg(long, value_name = "MILLIS", value_parser = millis)]
    latency: Option<Duration>,
    /// How that is spread around its mean, where --latency says it
    #[arg(long, value_name = "DISTRIBUTION", value_enum, default_value_t)]
    latency_dist: LatencyDist,
    /// What goes wrong in every test [default: each seed draws from partition, pause, loss and duplicate]
    #[arg(long, value_name = "FAULTS", value_enum, value_delimiter = ',')]
    nemesis: Option<Vec<Nemesis>>,
    /// How long it is on average until a fault begins, and until it ends, where --nemesis says which
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    nemesis_interval: Duration,
    /// A fault at its time, in every test: 'partition n0|n1,n2 at 3s for 1s'. Repeatable
    #[arg(long, value_name = "FAULT")]
    fault: Vec<PlannedFault>,
    /// What transactions have to keep: consistency models, with commas between them
    #[arg(long, value_name = "MODELS", default_value = "strict-serializable", value_parser = models)]
    consistency_models: Models,
    /// Where to write the report of a test that fails
    #[arg(long, value_name = "FOLDER", default_value = "store")]
    store: PathBuf,
    /// Arguments for the nodes
    #[arg(last = true, value_name = "ARGS", requires = "bin")]
    args: Vec<OsString>,
}

const EXAMPLES: &str = "Examples:
  Find a bug that was put there, and see it explained:
    messenger explore -w broadcast --planted
  Look for one in this program's own node, for a minute:
    messenger explore -w lin-kv --seeds 1000000 --for 60
  In a node of yours, in any language, eight tests side by side:
    messenger explore -w broadcast --bin ./my-node --seeds 100 --jobs 8 --time-limit 3

Exit status: 0 no seed failed, 1 one did, 254 wrong arguments, 255 it did not come to its end.";

/// What is tested.
enum Tested<'a> {
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
    fn run(&self, world: &mut World) {
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

    fn check_stopped(&self) -> io::Result<()> {
        match self {
            Self::Own { .. } => Ok(()),
            Self::Program { stopped, .. } => {
                stopped.lock().expect("no thread panicked").take().map_or(Ok(()), Err)
            }
        }
    }

    fn is_stopped(&self) -> bool {
        match self {
            Self::Own { .. } => false,
            Self::Program { stopped, .. } => stopped.lock().expect("no thread panicked").is_some(),
        }
    }

    /// Whether a plan fails in this way. What runs in real time does not do the same twice: two of three tries count.
    fn fails(&self, plan: &Plan, wanted: &str) -> bool {
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
    fn cut_down(&self, plan: Plan, wanted: &str, may_go_on: impl Fn() -> bool) -> Shrunk {
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
    fn failing(&self, plan: &Plan, wanted: &str) -> (World, Results) {
        let run = || run_plan(plan.clone(), |world| self.run(world));
        let fails = |(_, results): &(World, Results)| signature(results).as_deref() == Some(wanted);
        let first = run();
        if matches!(self, Self::Own { .. }) || fails(&first) {
            return first;
        }
        (0..2).map(|_| run()).find(fails).unwrap_or(first)
    }

    fn name(&self, workload: &dyn Workload) -> String {
        match self {
            Self::Own { is_planted: true, .. } => {
                format!("a node for {} with a planted bug, in virtual time", workload.name())
            }
            Self::Own { own, .. } => format!("{}, in virtual time", own.name(workload.name())),
            Self::Program { path, .. } => path.display().to_string(),
        }
    }
}

/// Tries seeds until one fails or there are no more.
pub fn run(args: &ExploreArgs, own: &dyn OwnNode) -> ExitCode {
    reactor::log_to_stderr(log::LevelFilter::Info);
    match explore(args, own) {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::from(if error.kind() == ErrorKind::InvalidInput {
                args::INVALID_ARGUMENTS
            } else {
                NOT_ENDED
            })
        }
    }
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
    let Some(found) = found else { return Ok(ExitCode::SUCCESS) };
    match found {
        Found::Difference { seed, text } => {
            say(args, &format!("seed {seed}: two runs of it are not the same: {text}"));
        }
        Found::Failure { seed, failure } => report(args, own, &tested, seed, *failure)?,
    }
    Ok(ExitCode::from(args::status(Verdict::Invalid)))
}

fn swarm(args: &ExploreArgs) -> io::Result<Swarm> {
    let mut fixed = Settings {
        time_limit: args.time_limit,
        planned_faults: args.fault.clone(),
        fault_interval: args.nemesis_interval.max(Duration::from_millis(1)),
        transactions: TxnOptions { models: args.consistency_models.0.clone(), ..TxnOptions::default() },
        // Nobody reads a journal but that of the test which is reported, and that one runs again.
        journal_size: 0,
        ..Settings::default()
    };
    let mut drawn = Drawn::ALL;
    if let Some(nodes) = args.node_count {
        (fixed.nodes, drawn.nodes) = (nodes, false);
    }
    match args.concurrency {
        Some(Concurrency::Clients(workers)) => (fixed.workers, drawn.workers) = (workers, false),
        Some(Concurrency::PerNode(each)) => {
            let Some(nodes) = args.node_count else {
                let text = "--concurrency by node needs --node-count, since each seed draws another one";
                return Err(io::Error::new(ErrorKind::InvalidInput, text));
            };
            (fixed.workers, drawn.workers) = (each * nodes, false);
        }
        None => {}
    }
    match args.rate {
        Some(Rate::PerSecond(rate)) => (fixed.rate, drawn.rate) = (Some(rate), false),
        Some(Rate::Max) if args.bin.is_some() => (fixed.rate, drawn.rate) = (None, false),
        Some(Rate::Max) => {
            let text = "--rate max measures real time, which virtual time has none of: give a number";
            return Err(io::Error::new(ErrorKind::InvalidInput, text));
        }
        None => {}
    }
    if let Some(mean) = args.latency {
        fixed.latency.mean = mean;
        fixed.latency.spread = args.latency_dist.into();
        drawn.latency = false;
    }
    if let Some(faults) = &args.nemesis {
        fixed.faults = faults.iter().copied().map(Fault::from).collect();
        drawn.faults = &[];
    } else if !args.fault.is_empty() {
        drawn.faults = &[];
    }
    let swarm = Swarm { workload: args.workload, fixed, drawn };
    swarm
        .settings(args.first_seed)
        .check()
        .map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
    Ok(swarm)
}

enum Found {
    Failure { seed: u64, failure: Box<FoundFailure> },
    Difference { seed: u64, text: String },
}

/// The seeds that are tried, by several threads.
struct Search<'a> {
    args: &'a ExploreArgs,
    swarm: &'a Swarm,
    tested: &'a Tested<'a>,
    started: Clock,
    next: AtomicU64,
    is_over: AtomicBool,
    counts: Mutex<Counts>,
    shows: bool,
}

#[derive(Default)]
struct Counts {
    seeds: u64,
    unknown: u64,
    /// The first seed that could not be decided.
    first_unknown: Option<u64>,
    messages: u64,
    simulated: RealDuration,
    faults: BTreeMap<&'static str, usize>,
    /// Situations that nodes looked for: in how many seeds, and in how many of those they occurred.
    sometimes: BTreeMap<String, (u64, u64)>,
    shown: Option<Clock>,
    found: Option<Found>,
}

impl<'a> Search<'a> {
    fn new(args: &'a ExploreArgs, swarm: &'a Swarm, tested: &'a Tested<'a>) -> Self {
        Self {
            args,
            swarm,
            tested,
            started: Clock::now(),
            next: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            counts: Mutex::default(),
            shows: io::stderr().is_terminal(),
        }
    }

    fn run(&self) -> Option<Found> {
        let jobs = self
            .args
            .jobs
            .map_or_else(|| thread::available_parallelism().map_or(1, std::num::NonZero::get), usize::from);
        thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| self.work());
            }
        });
        self.counts.lock().expect("no thread panicked").found.take()
    }

    fn work(&self) {
        let (part, parts) = self.args.shard;
        while !self.is_over.load(Ordering::Relaxed) && self.is_in_time() && !self.tested.is_stopped() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.args.seeds {
                return;
            }
            // Every part takes each so-manieth seed, so that no two have one in common.
            let seed = self.args.first_seed.wrapping_add(number.wrapping_mul(parts)).wrapping_add(part - 1);
            let run = |world: &mut World| self.tested.run(world);
            let difference = self.args.check_determinism.then(|| difference(self.swarm, seed, run)).flatten();
            let tried = try_seed(self.swarm, seed, run);
            if self.tested.is_stopped() {
                return;
            }
            self.take(tried, difference);
        }
    }

    fn is_in_time(&self) -> bool {
        self.args.time.is_none_or(|time| self.started.elapsed() < time.into())
    }

    fn take(&self, tried: Tried, difference: Option<String>) {
        if self.args.json {
            let line = seed_json(&tried, difference.as_deref());
            let _ = writeln!(io::stdout(), "{line}");
        }
        let mut counts = self.counts.lock().expect("no thread panicked");
        counts.seeds += 1;
        if tried.verdict == Verdict::Unknown {
            counts.unknown += 1;
            counts.first_unknown =
                Some(counts.first_unknown.map_or(tried.seed, |first| first.min(tried.seed)));
        }
        counts.messages += tried.messages;
        counts.simulated += RealDuration::from(tried.simulated);
        for (fault, count) in &tried.faults {
            *counts.faults.entry(fault).or_default() += count;
        }
        for (text, &occurred) in &tried.sometimes {
            let (looked, occurrences) = counts.sometimes.entry(text.clone()).or_default();
            *looked += 1;
            *occurrences += u64::from(occurred);
        }
        let seed = tried.seed;
        let found = difference
            .map(|text| Found::Difference { seed, text })
            .or_else(|| tried.failure.map(|failure| Found::Failure { seed, failure: Box::new(failure) }));
        if let Some(found) = found {
            self.is_over.store(true, Ordering::Relaxed);
            counts.found.get_or_insert(found);
        }
        let is_due = counts.shown.is_none_or(|shown| shown.elapsed() > RealDuration::from_millis(200));
        if self.shows && is_due {
            counts.shown = Some(Clock::now());
            eprint!("\r\x1b[K{}", self.line(&counts));
        }
    }

    fn finish(&self) {
        if self.shows {
            eprint!("\r\x1b[K");
        }
        let counts = self.counts.lock().expect("no thread panicked");
        let line = self.line(&counts);
        say(self.args, &line);
        for (text, (looked, occurrences)) in &counts.sometimes {
            let line = match occurrences {
                0 => format!("  NEVER: {text} (looked for in {looked} seeds)"),
                _ => format!("  sometimes: {text} (in {occurrences} of {looked} seeds)"),
            };
            say(self.args, &line);
        }
    }

    fn line(&self, counts: &Counts) -> String {
        let elapsed = self.started.elapsed().as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let rate = counts.seeds as f64 / elapsed.max(0.001);
        let faults: Vec<String> =
            counts.faults.iter().map(|(fault, count)| format!("{count} {fault}")).collect();
        let unknown = counts.first_unknown.map_or_else(String::new, |seed| {
            let first = if counts.unknown == 1 { "seed" } else { "the first is seed" };
            format!(", {} undecided ({first} {seed})", counts.unknown)
        });
        let noun = if counts.seeds == 1 { "seed" } else { "seeds" };
        format!(
            "{} {noun}{unknown}, {rate:.0} a second, {:.0} s simulated in {elapsed:.1} s, {} messages; faults: {}",
            counts.seeds,
            counts.simulated.as_secs_f64(),
            counts.messages,
            if faults.is_empty() { "none".to_owned() } else { faults.join(", ") }
        )
    }
}

fn seed_json(tried: &Tried, difference: Option<&str>) -> serde_json::Value {
    let Settings { nodes, workers, rate, latency, faults, fault_interval, .. } = &tried.settings;
    json!({
        "seed": tried.seed,
        "verdict": tried.verdict.name(),
        "failure": tried.failure.as_ref().map(|failure| &failure.signature),
        "difference": difference,
        "settings": {
            "nodes": nodes,
            "workers": workers,
            "rate": rate,
            "latency_us": latency.mean.as_micros(),
            "latency_dist": latency.spread.name(),
            "nemesis": faults.iter().map(|fault| fault.name()).collect::<Vec<_>>(),
            "nemesis_interval_us": fault_interval.as_micros(),
        },
        "simulated_us": tried.simulated.as_micros(),
        "operations": tried.operations,
        "messages": tried.messages,
        "faults": tried.faults,
        "sometimes": tried.sometimes,
    })
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

/// Says something to people: on stdout, unless that is for programs. Whoever reads it may have had enough.
fn say(args: &ExploreArgs, text: &str) {
    let _ = if args.json {
        writeln!(anstream::stderr(), "{text}")
    } else {
        writeln!(anstream::stdout(), "{text}")
    };
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

fn shard(text: &str) -> Result<(u64, u64), String> {
    let parts =
        text.split_once('/').and_then(|(part, parts)| Some((part.parse().ok()?, parts.parse().ok()?)));
    parts
        .filter(|(part, parts)| (1..=*parts).contains(part))
        .ok_or_else(|| "expected a part and how many there are, such as 3/16".to_owned())
}
