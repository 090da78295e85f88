//! `messenger test`: the workbench.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant as Clock;

use crate::nodes::own::{self, OtherNode};
use crate::reactor;
use crate::time::{Duration, Instant};
use crate::workbench::checker::stats::Availability;
use crate::workbench::fault::{Fault, PlannedFault};
use crate::workbench::journal::Logging;
use crate::workbench::network::Latency;
use crate::workbench::plan::Plan;
use crate::workbench::processes::{self, Ending, Program};
use crate::workbench::report::junit::{self, Case};
use crate::workbench::report::{self, Report};
use crate::workbench::settings::{Settings, Topology, TxnOptions};
use crate::workbench::verdict::Results;
use crate::workbench::workload::{self, Workload};
use crate::workbench::world::World;
use clap::{Args, ValueEnum, value_parser};
use indicatif::{ProgressBar, ProgressStyle};

use super::args::{NOT_ENDED, complain, harmless, millis, print, quoted, refuse, seconds, show, status};
use super::grade::write_junit;
use super::interrupt::Interrupts;
use super::options::{
    Concurrency, LatencyDist, Models, Nemesis, Rate, concurrency, count, models, no_own_node, node_parser,
    rate, workload_parser,
};
use super::outcome::{create_folder, link, list_runs, summary};
use super::own_node::OwnNode;

#[derive(Args)]
#[allow(clippy::struct_excessive_bools, reason = "they are options")]
#[command(after_help = EXAMPLES)]
pub struct TestArgs {
    /// What to ask of the nodes
    #[arg(short, long, value_parser = workload_parser(&workload::ALL), required_unless_present = "plan")]
    workload: Option<&'static dyn Workload>,
    /// The plan.json of an earlier test, or one written by hand: the same operations and faults at the same times
    #[arg(long, value_name = "FILE", conflicts_with_all = PLANNED)]
    plan: Option<PathBuf>,
    /// The node to test [default: this program's own]
    #[arg(long, value_name = "FILE", conflicts_with = "sim")]
    bin: Option<PathBuf>,
    /// One of this crate's nodes that does the workload in another way: raft does lin-kv, g-counter-over-seq-kv g-counter
    #[arg(long, value_name = "NAME", conflicts_with_all = ["bin", "planted"], value_parser = node_parser(&own::OTHERS))]
    pub(super) node: Option<OtherNode>,
    /// How many nodes to start
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = count)]
    node_count: usize,
    /// How many clients ask at once: a number, or 4n for four times the number of nodes
    #[arg(long, value_name = "COUNT", default_value = "1n", value_parser = concurrency)]
    concurrency: Concurrency,
    /// Operations a second, all clients together; 0: none but the final ones; max: each client asks again as soon as it is answered
    #[arg(long, value_name = "RATE", default_value = "5", value_parser = rate)]
    rate: Rate,
    /// How long to ask, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    time_limit: Duration,
    /// How long messages between nodes take, in milliseconds
    #[arg(long, value_name = "MILLIS", default_value = "0", value_parser = millis)]
    latency: Duration,
    /// How that is spread around its mean
    #[arg(long, value_name = "DISTRIBUTION", value_enum, default_value_t)]
    latency_dist: LatencyDist,
    /// What goes wrong
    #[arg(long, value_name = "FAULTS", value_enum, value_delimiter = ',')]
    nemesis: Vec<Nemesis>,
    /// How long it is on average until a fault begins, and until it ends, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    nemesis_interval: Duration,
    /// A fault at its time, besides those of --nemesis: 'partition n0|n1,n2 at 3s for 5s'. Repeatable; see below
    #[arg(long, value_name = "FAULT")]
    fault: Vec<PlannedFault>,
    /// Which neighbours a broadcast test suggests to the nodes
    #[arg(long, value_enum, default_value_t)]
    topology: TopologyArg,
    /// How many operations have to succeed: total, or a fraction such as 0.99
    #[arg(long, value_name = "FRACTION", value_parser = availability)]
    availability: Option<Availability>,
    /// What transactions have to keep: consistency models, with commas between them
    #[arg(long, value_name = "MODELS", default_value = "strict-serializable", value_parser = models)]
    consistency_models: Models,
    /// How many keys are in use at a time [default: the workload's own number]
    #[arg(long, value_name = "COUNT", value_parser = count)]
    key_count: Option<usize>,
    /// How many micro-operations a transaction has at most
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = count)]
    max_txn_length: usize,
    /// How often a key is written before another one takes its place
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = writes)]
    max_writes_per_key: usize,
    /// Let transactions write some keys a few times and some up to 256 times, by Zipf's law
    #[arg(long)]
    zipf_writes: bool,
    /// Show what the nodes write to stderr
    #[arg(long)]
    log_stderr: bool,
    /// Show each message when it is sent
    #[arg(long)]
    log_net_send: bool,
    /// Show each message when it arrives
    #[arg(long)]
    log_net_recv: bool,
    /// Repeat the test so many times, each with the next seed
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = value_parser!(u64).range(1..))]
    test_count: u64,
    /// Seed of the operations, latencies and faults, and with --sim of the nodes [default: a random one]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Run this program's own nodes in this process and in virtual time: no waiting, and the same again for the same seed
    #[arg(long)]
    sim: bool,
    /// With --sim: a node with a bug that was put there on purpose, as `messenger explore --planted` finds it
    #[arg(long, requires = "sim")]
    planted: bool,
    /// Print the results as JSON, a line for each test
    #[arg(long)]
    json: bool,
    /// Also write the verdicts to this file as `JUnit` XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Where to write reports
    #[arg(long, value_name = "FOLDER", default_value = "store")]
    store: PathBuf,
    /// Arguments for the nodes
    #[arg(last = true, value_name = "ARGS", conflicts_with = "sim")]
    args: Vec<OsString>,
}

const EXAMPLES: &str = "Examples:
  This program's own node:
    messenger test -w echo --time-limit 5
  Yours, with a network that is slow and falls apart:
    messenger test -w broadcast --bin ./my-node --node-count 25 --rate 100 --latency 100 --time-limit 60 \
      --nemesis partition
  A minute of a cluster in a moment:
    messenger test -w broadcast --sim --time-limit 60 --rate 100 --latency 100 --nemesis partition,loss

Faults at their times, for --fault:
  partition LINKS at TIME for TIME           LINKS carry nothing
  loss RATE [LINKS] at TIME for TIME         so many messages are lost, from 0 to 1
  duplicate RATE [LINKS] at TIME for TIME    so many messages come twice, from 0 to 1
  slow [LINKS] TIME at TIME for TIME         messages take that much longer
  reorder [LINKS] TIME at TIME for TIME      messages take up to that much longer, each another time
  kill NODES at TIME for TIME                they are killed, and started again with nothing but their disks
  pause NODES at TIME for TIME               they stop, and go on
  NODES is n0 or n0,n1. LINKS is n0,n1|n2 (both ways), n0->n1 (one way), or several of these; without LINKS all
  messages between nodes are meant. TIME is 3s, 0.5s or 200ms, from when the operations begin; without `for` a fault
  lasts until the time limit.

Exit status: 0 valid, 1 invalid, 2 unknown, 254 wrong arguments, 255 the test did not come to its end.";

/// What a plan says, and nothing else can.
const PLANNED: [&str; 17] = [
    "workload",
    "node_count",
    "concurrency",
    "rate",
    "time_limit",
    "latency",
    "latency_dist",
    "nemesis",
    "nemesis_interval",
    "fault",
    "topology",
    "availability",
    "consistency_models",
    "key_count",
    "max_txn_length",
    "max_writes_per_key",
    "zipf_writes",
];

#[derive(Clone, Copy, Default, ValueEnum)]
enum TopologyArg {
    #[default]
    Grid,
    Line,
    Total,
    Tree,
    Tree2,
    Tree3,
    Tree4,
}

/// Runs the tests, until one is not valid.
pub fn run(args: &TestArgs, own: &dyn OwnNode) -> ExitCode {
    reactor::log_to_stderr(log::LevelFilter::Info);
    let interrupts = match Interrupts::new() {
        Ok(interrupts) => interrupts,
        Err(error) => return refuse(&error),
    };
    let drawn = fastrand::u64(..1 << 32);
    let mut cases = Vec::new();
    let mut plans = (0..args.test_count).map(|number| {
        let mut plan = plan(args, own.workloads(), drawn)?;
        plan.settings.seed = plan.settings.seed.wrapping_add(number);
        Ok(plan)
    });
    let ended = plans.try_for_each(|plan| match run_one(args, own, plan, &interrupts, &mut cases) {
        Ok(0) => Ok(()),
        Ok(status) => Err(ExitCode::from(status)),
        Err(error) => Err(refuse(&error)),
    });
    let written = args.junit.as_ref().map_or(Ok(()), |path| {
        write_junit(path, args.workload.map_or("plan", |workload| workload.name()), &cases)
    });
    match (ended, written) {
        (_, Err(error)) => refuse(&error),
        (Ok(()), Ok(())) => ExitCode::SUCCESS,
        (Err(status), Ok(())) => status,
    }
}

/// Runs one test; its exit status.
fn run_one(
    args: &TestArgs,
    own: &dyn OwnNode,
    plan: io::Result<Plan>,
    interrupts: &Interrupts,
    cases: &mut Vec<Case>,
) -> io::Result<u8> {
    let began = Clock::now();
    let invalid = |error| io::Error::new(ErrorKind::InvalidInput, error);
    let plan = plan?;
    let (workload, seed) = (plan.workload, plan.settings.seed);
    let mut world = World::of_plan(plan).map_err(invalid)?;
    if args.bin.is_none() && !own.has_node(workload.name(), args.planted) {
        return Err(no_own_node(args.planted, args.node, workload));
    }
    let tested = tested(args, own, workload);
    if !args.json {
        // Whoever reads it may have had enough.
        let _ = writeln!(io::stdout(), "testing {}", harmless(&tested));
    }
    let folder = create_folder(&args.store, workload)?;
    link(&args.store, "current", &folder);
    let mut ending = Ending::default();
    if args.sim {
        own.simulate(&mut world, args.planted);
    } else {
        let program = program(args, own, &world, &folder)?;
        let progress = progress(world.settings().time_limit);
        interrupts.hold();
        let end = processes::run(&mut world, &program, |world, now| draw(&progress, world, now));
        interrupts.release();
        progress.finish_and_clear();
        ending = end?;
    }
    let guard = interrupts.guard(&folder)?;
    let recorded = report::write_recordings(&world, &folder);
    let results = Results::of(&world);
    let command = command_line(std::env::args_os(), seed);
    let report = Report {
        world: &world,
        results: &results,
        program: &tested,
        cut_short: ending.cut_short.as_deref(),
        hints: &ending.hints,
        last_words: &ending.last_words,
        command: Some(&command),
    };
    if !args.json {
        show(&summary(&report, args.sim));
    }
    let written = recorded.and(report.write_judged(&folder));
    drop(guard);
    let page = folder.join("index.html");
    if args.json {
        let mut results = report.json();
        results["report"] = page.to_string_lossy().into();
        print(format!("{results}\n").as_bytes())?;
    }
    let reason = report.explain().into_iter().next().unwrap_or_default();
    cases.push(Case {
        name: format!("{} with seed {seed}", workload.name()),
        took: began.elapsed(),
        outcome: match report.verdict() {
            "valid" => junit::CaseOutcome::Passed,
            "invalid" => junit::CaseOutcome::Failed(reason),
            verdict => junit::CaseOutcome::Error(format!("{verdict}: {reason}")),
        },
    });
    match &written {
        Ok(()) => {
            link(&args.store, "latest", &folder);
            list_runs(&args.store);
            if !args.json {
                let _ = writeln!(io::stdout(), "  report: {}", page.display());
            }
        }
        Err(error) => complain(&format_args!("the report was not written whole: {error}")),
    }
    let is_whole = ending.cut_short.is_none() && written.is_ok();
    Ok(if is_whole { status(results.verdict) } else { NOT_ENDED })
}

/// What is tested, for people.
fn tested(args: &TestArgs, own: &dyn OwnNode, workload: &dyn Workload) -> String {
    let workload = workload.name();
    match &args.bin {
        Some(path) => {
            let words = [path.as_os_str()].into_iter().chain(args.args.iter().map(OsString::as_os_str));
            words.map(quoted).collect::<Vec<_>>().join(" ")
        }
        None if args.planted => format!("a node for {workload} with a planted bug, in virtual time"),
        None if args.sim => format!("{}, in virtual time", own.name(workload)),
        None if own.is_example() => format!("{}: --bin tests yours", own.name(workload)),
        None => own.name(workload),
    }
}

/// The plan of the file, or one whose operations are made up. If nobody gave a seed, it is the one that was drawn.
fn plan(args: &TestArgs, workloads: &[&'static dyn Workload], drawn: u64) -> io::Result<Plan> {
    let Some(path) = &args.plan else {
        let workload = args.workload.expect("it is required where there is no plan");
        return Ok(Plan {
            workload,
            settings: settings(args, args.seed.unwrap_or(drawn))?,
            operations: None,
        });
    };
    let in_file =
        |kind, error: &dyn fmt::Display| io::Error::new(kind, format!("{}: {error}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| in_file(error.kind(), &error))?;
    let mut plan =
        Plan::of_workloads(workloads, &text).map_err(|error| in_file(ErrorKind::InvalidInput, &error))?;
    plan.settings.logging = Logging { sent: args.log_net_send, received: args.log_net_recv };
    plan.settings.seed = args.seed.unwrap_or(plan.settings.seed);
    Ok(plan)
}

fn settings(args: &TestArgs, seed: u64) -> io::Result<Settings> {
    let workers = match args.concurrency {
        Concurrency::Clients(count) => count,
        Concurrency::PerNode(count) => count * args.node_count,
    };
    let rate = match args.rate {
        Rate::PerSecond(rate) => Some(rate),
        Rate::Max if args.sim => {
            let text = "--rate max measures real time, which --sim has none of: give a number";
            return Err(io::Error::new(ErrorKind::InvalidInput, text));
        }
        Rate::Max => None,
    };
    Ok(Settings {
        nodes: args.node_count,
        workers,
        rate,
        time_limit: args.time_limit,
        latency: Latency { mean: args.latency, spread: args.latency_dist.into() },
        faults: args.nemesis.iter().copied().map(Fault::from).collect(),
        fault_interval: args.nemesis_interval.max(Duration::from_millis(1)),
        planned_faults: args.fault.clone(),
        topology: match args.topology {
            TopologyArg::Grid => Topology::Grid,
            TopologyArg::Line => Topology::Line,
            TopologyArg::Total => Topology::Total,
            TopologyArg::Tree | TopologyArg::Tree2 => Topology::Tree(2),
            TopologyArg::Tree3 => Topology::Tree(3),
            TopologyArg::Tree4 => Topology::Tree(4),
        },
        availability: args.availability.unwrap_or_default(),
        key_count: args.key_count,
        max_txn_length: args.max_txn_length,
        max_writes_per_key: args.max_writes_per_key,
        transactions: TxnOptions { models: args.consistency_models.0.clone(), zipf_writes: args.zipf_writes },
        seed,
        logging: Logging { sent: args.log_net_send, received: args.log_net_recv },
        ..Settings::default()
    })
}

fn program(args: &TestArgs, own: &dyn OwnNode, world: &World, folder: &Path) -> io::Result<Program> {
    let (path, mut arguments) = if let Some(path) = &args.bin {
        (path.clone(), Vec::new())
    } else {
        let mut words = own.arguments(world.workload().name());
        let answer_within = world.answer_within().as_micros() / 1000;
        words.push("--answer-within".into());
        words.push(format!("{}.{:03}", answer_within / 1000, answer_within % 1000).into());
        (std::env::current_exe()?, words)
    };
    arguments.extend_from_slice(&args.args);
    Ok(Program {
        path,
        args: arguments,
        data: folder.join("data"),
        logs: folder.join("node-logs"),
        shows_stderr: args.log_stderr,
    })
}

/// A line that shows how far the test is; none where stderr is no terminal.
fn progress(time_limit: Duration) -> ProgressBar {
    let bar = ProgressBar::new(time_limit.as_micros() / 1000);
    let style = ProgressStyle::with_template("{bar:30} {msg}").expect("the template is well formed");
    bar.set_style(style);
    bar
}

fn draw(bar: &ProgressBar, world: &World, now: Instant) {
    let elapsed = (now - world.started()).as_micros() / 1000;
    // It is drawn some times a second; to ask more often costs time.
    if elapsed >= bar.position() + 100 {
        bar.set_position(elapsed);
        bar.set_message(format!("{} s, {} operations", elapsed / 1000, world.history().len()));
    }
}

/// This test's command with this seed, for a shell.
fn command_line(mut given: impl Iterator<Item = OsString>, seed: u64) -> String {
    let mut words = Vec::new();
    while let Some(word) = given.next() {
        match &*word.to_string_lossy() {
            "--seed" | "--test-count" => drop(given.next()),
            // The rest is for the nodes.
            "--" => {
                words.extend(["--seed".to_owned(), seed.to_string(), "--".to_owned()]);
                words.extend(given.map(|word| quoted(&word)));
                return words.join(" ");
            }
            word if word.starts_with("--seed=") || word.starts_with("--test-count=") => {}
            _ => words.push(quoted(&word)),
        }
    }
    format!("{} --seed {seed}", words.join(" "))
}

fn writes(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|count| (1..=1_000_000).contains(count))
        .ok_or("expected 1 to 1000000".to_owned())
}

fn availability(text: &str) -> Result<Availability, String> {
    if text == "total" {
        return Ok(Availability::Total);
    }
    let fraction: Option<f64> = text.parse().ok().filter(|fraction| (0.0..=1.0).contains(fraction));
    fraction.map(Availability::AtLeast).ok_or_else(|| "expected total, or a fraction from 0 to 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_given_again() {
        let again = |line: &str| command_line(line.split('|').map(OsString::from), 7);
        assert_eq!(again("m|test|-w|echo|--seed|3|--sim"), "m test -w echo --sim --seed 7");
        assert_eq!(
            again("m|test|--seed=3|--test-count=2|--bin|./my node"),
            "m test --bin './my node' --seed 7"
        );
        assert_eq!(again("m|--|--seed|it's"), r"m --seed 7 -- --seed 'it'\''s'");
    }
}
