//! The `messenger` command.

mod cli;

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};
use log::{LevelFilter, warn};
use messenger::boundary::chaos::ChaosConfig;
use messenger::boundary::dedup::DedupConfig;
use messenger::json;
use messenger::node::{Config, Node};
use messenger::nodes::broadcast::Broadcast;
use messenger::nodes::counter::Counter;
use messenger::nodes::g_set::GSet;
use messenger::nodes::lin_kv::{self, LinKv};
use messenger::nodes::messenger::Messenger;
use messenger::nodes::unique_ids::UniqueIds;
use messenger::reactor::{self, Options};
use messenger::time::Duration;
use messenger::wire::envelope::{SchemaError, UncheckedEnvelope};
use messenger::wire::lines::{LineBuffer, NextLine};

use self::cli::seconds;

/// A node for Maelstrom, the workbench for learning distributed systems by writing your own.
///
/// Without a subcommand it is a node: it reads messages from stdin, one JSON object a line, and writes
/// its own to stdout. That is how Maelstrom starts it. It reports to stderr.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    node: NodeArgs,
}

const EXAMPLES: &str = r#"Examples:
  Talk to it:
    echo '{"src":"c1","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1"]}}' | messenger
  Under Maelstrom:
    maelstrom test -w echo --bin "$(which messenger)" --node-count 1 --time-limit 10
    maelstrom test -w broadcast --bin "$(which messenger)" --node-count 25 --time-limit 20 --rate 100 --latency 100 -- node broadcast
  What is in a recording:
    messenger parse < messages.jsonl
  What happened between nodes that wrote trace files:
    messenger trace n1.jsonl n2.jsonl --svg messages.svg"#;

#[derive(Subcommand)]
enum Command {
    /// Run a node (the same as no subcommand, with a choice of workload)
    Node {
        /// What the node does
        #[arg(value_enum, default_value_t)]
        workload: Workload,
        #[command(flatten)]
        args: NodeArgs,
    },
    /// Print `PARSED: <src>|<dest>|<type>` for each message on stdin
    Parse {
        #[command(flatten)]
        log: LogArgs,
        #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size)]
        /// Skip lines longer than this (bytes, or with KiB, MiB, GiB)
        max_line: usize,
    },
    /// Test a node: start some, ask them as clients do, make things go wrong, and tell whether the answers are right
    Test(cli::test::TestArgs),
    /// Print what happened between nodes that wrote trace files, and draw it
    Trace {
        #[command(flatten)]
        log: LogArgs,
        #[command(flatten)]
        args: cli::trace::TraceArgs,
    },
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Workload {
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
}

#[derive(Args)]
struct NodeArgs {
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

#[derive(Args)]
struct LogArgs {
    /// What to report on stderr: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: LevelFilter,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = |()| ExitCode::SUCCESS;
    let outcome = match cli.command {
        None => run_node(Workload::default(), &cli.node).map(done),
        Some(Command::Node { workload, args }) => run_node(workload, &args).map(done),
        Some(Command::Test(args)) => Ok(cli::test::run(&args)),
        Some(Command::Parse { log, max_line }) => {
            reactor::log_to_stderr(log.log_level);
            parse(LineBuffer::new(max_line)).map(done)
        }
        Some(Command::Trace { log, args }) => {
            reactor::log_to_stderr(log.log_level);
            cli::trace::run(args).map(done)
        }
    };
    match outcome {
        Ok(code) => code,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("messenger: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_node(workload: Workload, args: &NodeArgs) -> io::Result<()> {
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
    };
    match workload {
        Workload::Messenger => serve(Messenger::default(), config, &options),
        Workload::UniqueIds => serve(UniqueIds::default(), config, &options),
        Workload::Broadcast => serve(Broadcast::default(), config, &options),
        Workload::GSet => serve(GSet::default(), config, &options),
        Workload::GCounter => serve(Counter::growing(), config, &options),
        Workload::PnCounter => serve(Counter::any(), config, &options),
        Workload::LinKv => serve(LinKv::new(answer_within), config, &options),
    }
}

fn serve(workload: impl messenger::Handler, config: Config, options: &Options) -> io::Result<()> {
    reactor::run(&mut Node::new(workload, config), options)
}

/// Prints the gist of each message, and reports what is none.
fn parse(mut lines: LineBuffer) -> io::Result<()> {
    let (mut stdin, mut stdout) = (io::stdin().lock(), io::BufWriter::new(io::stdout().lock()));
    let mut parser = json::index::Parser::new();
    let mut number = 0;
    loop {
        let count = stdin.read(lines.space())?;
        lines.filled(count);
        for line in lines.lines() {
            number += 1;
            print_gist(&mut parser, number, line, &mut stdout)?;
        }
        if count == 0 {
            if let Some(line) = lines.last_line() {
                print_gist(&mut parser, number + 1, line, &mut stdout)?;
            }
            return stdout.flush();
        }
        stdout.flush()?;
    }
}

fn print_gist(
    parser: &mut json::index::Parser,
    number: u64,
    line: NextLine<'_>,
    out: &mut impl Write,
) -> io::Result<()> {
    let line = match line {
        NextLine::Line(line) => line,
        NextLine::TooLong(length) => {
            warn!("line {number}: {length} bytes are more than a line may have: skipped");
            return Ok(());
        }
    };
    let unchecked = match UncheckedEnvelope::parse(parser, line) {
        Ok(unchecked) => unchecked,
        Err(error) => {
            warn!("line {number}: not JSON: {error}");
            return Ok(());
        }
    };
    let gist = || -> Result<String, SchemaError> {
        let (src, dest, _) = (unchecked.src()?, unchecked.dest()?, unchecked.body()?);
        let kind = if unchecked.has_kind() { unchecked.kind()? } else { "unknown".into() };
        let gist = format!("PARSED: {src}|{dest}|{kind}");
        // A name may have any character; a line of output and a terminal may not.
        let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
        Ok(if gist.contains(char::is_control) { gist.chars().map(shown).collect() } else { gist })
    };
    match gist() {
        Ok(gist) => writeln!(out, "{gist}"),
        Err(error) => {
            warn!("line {number}: not a message: {error}");
            Ok(())
        }
    }
}

/// A number of bytes, up to 1 GiB: `1000`, `64KiB`, `64MiB`.
fn size(text: &str) -> Result<usize, String> {
    const MAX: usize = 1 << 30;
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "" | "B" => 0,
        "KiB" | "K" => 10,
        "MiB" | "M" => 20,
        "GiB" | "G" => 30,
        unit => return Err(format!("expected a unit of KiB, MiB or GiB, found {unit}")),
    };
    let number: usize = digits.parse().map_err(|_| "expected a number of bytes, such as 64MiB".to_owned())?;
    number
        .checked_mul(1 << shift)
        .filter(|&size| (1..=MAX).contains(&size))
        .ok_or_else(|| "expected 1 byte to 1 GiB".to_owned())
}
