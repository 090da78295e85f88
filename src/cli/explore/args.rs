//! What `messenger explore` is told.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;

use clap::{Args, value_parser};

use super::super::args::{millis, seconds};
use super::super::options::{
    Concurrency, LatencyDist, Models, Nemesis, Rate, concurrency, count, models, node_parser, rate,
    workload_parser,
};
use crate::nodes::own::{self, OtherNode};
use crate::time::Duration;
use crate::workbench::explore::{Drawn, Swarm};
use crate::workbench::fault::{Fault, PlannedFault};
use crate::workbench::settings::{Settings, TxnOptions};
use crate::workbench::workload::{self, Workload};

#[derive(Args)]
#[allow(clippy::struct_excessive_bools, reason = "they are options")]
#[command(after_help = EXAMPLES)]
pub struct ExploreArgs {
    /// What to ask of the nodes
    #[arg(short, long, value_parser = workload_parser(&workload::ALL))]
    pub workload: &'static dyn Workload,
    /// The node to test, as processes and in real time [default: this program's own, in virtual time]
    #[arg(long, value_name = "FILE")]
    pub bin: Option<PathBuf>,
    /// Test this program's own node in virtual time, as without --bin
    #[arg(long, conflicts_with = "bin")]
    pub sim: bool,
    /// One of this crate's nodes that does the workload in another way: raft does lin-kv, g-counter-over-seq-kv g-counter
    #[arg(long, value_name = "NAME", conflicts_with_all = ["bin", "planted"], value_parser = node_parser(&own::OTHERS))]
    pub node: Option<OtherNode>,
    /// Test a node with a bug that was put there on purpose, to see what is made of it: broadcast and lin-kv have one
    #[arg(long, conflicts_with = "bin")]
    pub planted: bool,
    /// Try so many seeds at most
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// The first seed
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub first_seed: u64,
    /// Stop after so many seconds
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub time: Option<Duration>,
    /// Cut a test that fails down for at most so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub shrink: Duration,
    /// Try one part of the seeds: 3/16 is the third of sixteen. Parts have no seed in common.
    #[arg(long, value_name = "PART/PARTS", default_value = "1/1", value_parser = shard)]
    pub shard: (u64, u64),
    /// So many tests at a time [default: the number of processors]
    #[arg(long, value_name = "COUNT", value_parser = value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Write a JSON object for each seed to stdout, a line each
    #[arg(long)]
    pub json: bool,
    /// Run each seed twice, and tell where the two runs part
    #[arg(long, conflicts_with = "bin")]
    pub check_determinism: bool,
    /// How many nodes [default: each seed draws 1 to 5]
    #[arg(long, value_name = "COUNT", value_parser = count)]
    pub node_count: Option<usize>,
    /// How many clients: a number, or 4n for four times the number of nodes [default: each seed draws 1n to 3n]
    #[arg(long, value_name = "COUNT", value_parser = concurrency)]
    pub concurrency: Option<Concurrency>,
    /// Operations a second, all clients together [default: each seed draws 1 to 100]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub rate: Option<Rate>,
    /// How long each test asks, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub time_limit: Duration,
    /// How long messages between nodes take, in milliseconds [default: each seed draws it]
    #[arg(long, value_name = "MILLIS", value_parser = millis)]
    pub latency: Option<Duration>,
    /// How that is spread around its mean, where --latency says it
    #[arg(long, value_name = "DISTRIBUTION", value_enum, default_value_t)]
    pub latency_dist: LatencyDist,
    /// What goes wrong in every test [default: each seed draws from partition, pause, loss and duplicate]
    #[arg(long, value_name = "FAULTS", value_enum, value_delimiter = ',')]
    pub nemesis: Option<Vec<Nemesis>>,
    /// How long it is on average until a fault begins, and until it ends, where --nemesis says which
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub nemesis_interval: Duration,
    /// A fault at its time, in every test: 'partition n0|n1,n2 at 3s for 1s'. Repeatable
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<PlannedFault>,
    /// What transactions have to keep: consistency models, with commas between them
    #[arg(long, value_name = "MODELS", default_value = "strict-serializable", value_parser = models)]
    pub consistency_models: Models,
    /// Where to write the report of a test that fails
    #[arg(long, value_name = "FOLDER", default_value = "store")]
    pub store: PathBuf,
    /// Arguments for the nodes
    #[arg(last = true, value_name = "ARGS", requires = "bin")]
    pub args: Vec<OsString>,
}

const EXAMPLES: &str = "Examples:
  Find a bug that was put there, and see it explained:
    messenger explore -w broadcast --planted
  Look for one in this program's own node, for a minute:
    messenger explore -w lin-kv --seeds 1000000 --for 60
  In a node of yours, in any language, eight tests side by side:
    messenger explore -w broadcast --bin ./my-node --seeds 100 --jobs 8 --time-limit 3

Exit status: 0 no seed failed, 1 one did, 2 none could be decided, 254 wrong arguments, 255 it did not come to its end.";

/// What each seed draws, and what is the same for all.
pub fn swarm(args: &ExploreArgs) -> io::Result<Swarm> {
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

/// Says something to people: on stdout, unless that is for programs. Whoever reads it may have had enough.
pub fn say(args: &ExploreArgs, text: &str) {
    let _ = if args.json {
        writeln!(anstream::stderr(), "{text}")
    } else {
        writeln!(anstream::stdout(), "{text}")
    };
}

fn shard(text: &str) -> Result<(u64, u64), String> {
    let parts =
        text.split_once('/').and_then(|(part, parts)| Some((part.parse().ok()?, parts.parse().ok()?)));
    parts
        .filter(|(part, parts)| (1..=*parts).contains(part))
        .ok_or_else(|| "expected a part and how many there are, such as 3/16".to_owned())
}
