//! `messenger node`: a node of this crate.

use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum, value_parser};
use messenger::boundary::chaos::ChaosConfig;
use messenger::boundary::dedup::DedupConfig;
use messenger::node::{Config, Node};
use messenger::nodes::broadcast::Broadcast;
use messenger::nodes::counter::Counter;
use messenger::nodes::g_set::GSet;
use messenger::nodes::kafka::Kafka;
use messenger::nodes::lin_kv::{self, LinKv};
use messenger::nodes::messenger::Messenger;
use messenger::nodes::txn_list_append::TxnListAppend;
use messenger::nodes::txn_rw_register::TxnRwRegister;
use messenger::nodes::unique_ids::UniqueIds;
use messenger::reactor::{self, Options};
use messenger::time::Duration;

use super::args::{LogArgs, seconds, size};

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
    /// Transactions over lists, strictly serializable by a log in Maelstrom's service
    TxnListAppend,
    /// Transactions over registers, read atomic and always available
    TxnRwRegister,
}

#[derive(Args)]
pub struct NodeArgs {
    /// Skip lines longer than this (bytes, or with KiB, MiB, GiB)
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size)]
    max_line: usize,
    /// At the end of stdin, wait this long for pending calls; after SIGTERM, for stdout to be read
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    drain_timeout: Duration,
    /// Let at most so many calls to other nodes wait at once
    #[arg(long, value_name = "COUNT", default_value_t = Config::default().max_pending)]
    max_pending: usize,
    /// Drop an answer that a client would get later than this after its request; clients give up after 5, but those of
    /// lin-kv after 1 or ten latencies [default: 4.5, for lin-kv 0.95]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    answer_within: Option<Duration>,
    /// Seed of the random numbers (jitter), to repeat a run [default: a random one]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Answer a request that comes again with its first answer, if it is among the newest so many [without a number:
    /// 10000]. Then `dedup_echo` sees no duplicates.
    #[arg(long, value_name = "COUNT", num_args = 0..=1, require_equals = true,
        default_missing_value = "10000", value_parser = value_parser!(u32).range(1..=10_000_000))]
    dedup: Option<u32>,
    /// Lose what the node sends, or send it twice or late. All of it:
    /// drop=0.1,duplicate=0.01,delay=5ms,reorder=5ms,peer=n2,seed=7
    #[arg(long, value_name = "FAULTS")]
    chaos: Option<ChaosConfig>,
    /// Write every message that comes or goes to this file, for `messenger trace`; {node} in it becomes the node's id
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Keep what the node persists in this folder, and go on from there at the next start [default: the folder that
    /// `MESSENGER_DATA` names; without one, memory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Remember so many of the newest messages, for `get_log`
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = value_parser!(u32).range(1..=1_000_000))]
    trace_size: u32,
    /// Report counts and times on stderr this often while messages come; 0: only at the end and on SIGUSR1. It is logged
    /// at level info.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    stats_interval: Duration,
    #[command(flatten)]
    log: LogArgs,
}

pub fn run(workload: Workload, args: &NodeArgs) -> io::Result<()> {
    reactor::log_to_stderr(args.log.log_level);
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    let answer_within = args.answer_within.unwrap_or(match workload {
        Workload::LinKv => lin_kv::ANSWER_WITHIN,
        _ => Config::default().answer_within,
    });
    let config = Config {
        seed,
        max_pending: args.max_pending,
        answer_within,
        dedup: args.dedup.map(|entries| DedupConfig { entries: entries as usize, ..DedupConfig::default() }),
        chaos: args.chaos.clone(),
        trace_size: args.trace_size as usize,
        ..Config::default()
    };
    let is_quiet = args.stats_interval == Duration::ZERO;
    let options = Options {
        max_line: args.max_line,
        drain_timeout: args.drain_timeout,
        stats_interval: if is_quiet { Duration::MAX } else { args.stats_interval },
        trace: args.trace.clone(),
        data: args.data.clone().or_else(reactor::data_folder),
    };
    match workload {
        Workload::Messenger => serve(Messenger::default(), config, &options),
        Workload::UniqueIds => serve(UniqueIds::default(), config, &options),
        Workload::Broadcast => serve(Broadcast::default(), config, &options),
        Workload::GSet => serve(GSet::default(), config, &options),
        Workload::GCounter => serve(Counter::growing(), config, &options),
        Workload::PnCounter => serve(Counter::any(), config, &options),
        Workload::LinKv => serve(LinKv::new(answer_within), config, &options),
        Workload::Kafka => serve(Kafka::default(), config, &options),
        Workload::TxnListAppend => serve(TxnListAppend::default(), config, &options),
        Workload::TxnRwRegister => serve(TxnRwRegister::default(), config, &options),
    }
}

fn serve(workload: impl messenger::Handler, config: Config, options: &Options) -> io::Result<()> {
    reactor::run(&mut Node::new(workload, config), options)
}
