//! The options of the command line, for every node that is written with this crate (feature `args`).
//!
//! ```no_run
//! # use messenger::{RpcError, handler_fn};
//! # let handler = handler_fn(|request, _| Err(RpcError::not_supported(request.kind())));
//! messenger::args::run(handler)
//! # .unwrap();
//! ```
//!
//! Then `my-node --help` tells of them; Maelstrom and `messenger test` hand on what comes after `--`.

#[cfg(unix)]
use std::io;
use std::path::PathBuf;

#[cfg(unix)]
use clap::Parser;
use clap::{Args, value_parser};
use log::LevelFilter;

use crate::boundary::chaos::ChaosConfig;
use crate::boundary::dedup::DedupConfig;
use crate::node::Config;
#[cfg(unix)]
use crate::node::{Handler, Node};
#[cfg(unix)]
use crate::reactor::{self, Options};
use crate::time::Duration;

/// Runs a node as [`run`](crate::run) does, with the options of the process's arguments. With wrong ones, and after
/// `--help`, the process ends.
///
/// # Errors
/// Where stdin cannot be read or stdout cannot be written. A closed stdout is no error.
#[cfg(unix)]
pub fn run<H: Handler>(handler: H) -> io::Result<()> {
    /// A node for Maelstrom: it reads messages from stdin, one JSON object a line, and writes its own to stdout
    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        node: NodeArgs,
    }
    let Cli { node } = Cli::parse();
    reactor::log_to_stderr(node.log_level);
    reactor::run(&mut Node::new(handler, node.config()), &node.options())
}

/// The options. Where a program has more of its own, it flattens these into them.
#[derive(Args, Clone, Debug)]
#[non_exhaustive]
pub struct NodeArgs {
    /// Skip lines longer than this (bytes, or with KiB, MiB, GiB)
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size)]
    pub max_line: usize,
    /// At the end of stdin, wait this long for pending calls; after SIGTERM, for stdout to be read
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub drain_timeout: Duration,
    /// Let at most so many calls to other nodes wait at once
    #[arg(long, value_name = "COUNT", default_value_t = Config::default().max_pending)]
    pub max_pending: usize,
    /// Drop an answer that a client would get later than this after its request; clients give up after 5, but those of
    /// lin-kv after 1 or ten latencies [default: 4.5, for lin-kv 0.95]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub answer_within: Option<Duration>,
    /// Seed of the random numbers (jitter), to repeat a run [default: a random one]
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Answer a request that comes again with its first answer, if it is among the newest so many [without a number:
    /// 10000]. Then `dedup_echo` sees no duplicates.
    #[arg(long, value_name = "COUNT", num_args = 0..=1, require_equals = true,
        default_missing_value = "10000", value_parser = value_parser!(u32).range(1..=10_000_000))]
    pub dedup: Option<u32>,
    /// Lose what the node sends, or send it twice or late. All of it:
    /// drop=0.1,duplicate=0.01,delay=5ms,reorder=5ms,peer=n2,seed=7
    #[arg(long, value_name = "FAULTS")]
    pub chaos: Option<ChaosConfig>,
    /// Write every message that comes or goes to this file, for `messenger trace`; {node} in it becomes the node's id
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Keep what the node persists in this folder, and go on from there at the next start [default: the folder that
    /// `MESSENGER_DATA` names; without one, memory]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Remember so many of the newest messages, for `get_log`
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub trace_size: u32,
    /// Report counts and times on stderr this often while messages come; 0: only at the end and on SIGUSR1. It is logged
    /// at level info.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub stats_interval: Duration,
    /// What to report on stderr: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: LevelFilter,
}

impl NodeArgs {
    /// What they say about the node.
    pub fn config(&self) -> Config {
        let dedup =
            self.dedup.map(|entries| DedupConfig { entries: entries as usize, ..DedupConfig::default() });
        Config {
            seed: self.seed.unwrap_or_else(|| fastrand::u64(..)),
            max_pending: self.max_pending,
            answer_within: self.answer_within.unwrap_or(Config::default().answer_within),
            dedup,
            chaos: self.chaos.clone(),
            trace_size: self.trace_size as usize,
            ..Config::default()
        }
    }

    /// What they say about its surroundings.
    #[cfg(unix)]
    pub fn options(&self) -> Options {
        let is_quiet = self.stats_interval == Duration::ZERO;
        Options {
            max_line: self.max_line,
            drain_timeout: self.drain_timeout,
            stats_interval: if is_quiet { Duration::MAX } else { self.stats_interval },
            trace: self.trace.clone(),
            data: self.data.clone().or_else(reactor::data_folder),
        }
    }
}

/// Seconds, with a fraction if need be, up to a day: `0.5`.
///
/// # Errors
/// What was expected instead of the text.
pub fn seconds(text: &str) -> Result<Duration, String> {
    span(text, 1.0, 86_400.0, "a number of seconds from 0 to 86400, such as 0.5")
}

/// Milliseconds, with a fraction if need be, up to a day: `100`.
///
/// # Errors
/// What was expected instead of the text.
pub fn millis(text: &str) -> Result<Duration, String> {
    span(text, 1e-3, 86_400_000.0, "a number of milliseconds from 0 to 86400000, such as 100")
}

fn span(text: &str, unit: f64, max: f64, expected: &str) -> Result<Duration, String> {
    let number: Option<f64> = text.parse().ok().filter(|number| (0.0..=max).contains(number));
    let number = number.ok_or_else(|| format!("expected {expected}"))?;
    Ok(std::time::Duration::from_secs_f64(number * unit).into())
}

/// A number of bytes, up to 1 GiB: `1000`, `64KiB`, `64MiB`.
///
/// # Errors
/// What was expected instead of the text.
pub fn size(text: &str) -> Result<usize, String> {
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
