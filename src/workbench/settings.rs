//! What a test is like, whatever its workload.

use std::fmt;

use thiserror::Error;

use super::checker::models::Model;
use super::checker::stats::Availability;
use super::fault::{Fault, PlannedFault};
use super::journal::Logging;
use super::limits::Limits;
use super::network::{Distribution, Latency};
use crate::time::Duration;

/// What a test is like. What makes no test is [refused](Self::check), by the name of the field.
///
/// It may grow: end yours with `..Settings::default()`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many nodes there are: 1 to [`NODES_MAX`](Self::NODES_MAX).
    pub nodes: usize,
    /// How many clients ask at once: 1 to [`WORKERS_MAX`](Self::WORKERS_MAX).
    pub workers: usize,
    /// How many operations there are a second, all clients together: at most [`RATE_MAX`](Self::RATE_MAX). With 0 there
    /// are only the final ones. Without a rate every client asks again as soon as it has its answer.
    pub rate: Option<f64>,
    /// For how long operations are invoked: at most [`TIME_MAX`](Self::TIME_MAX). What was asked before that is waited for.
    pub time_limit: Duration,
    /// How long messages between nodes take, one way: a mean of at most [`TIME_MAX`](Self::TIME_MAX).
    pub latency: Latency,
    /// The kinds of faults that begin and end by chance.
    pub faults: Vec<Fault>,
    /// How long it is on average until one of them begins, and until it ends: a millisecond or more if there are any, and
    /// at most [`TIME_MAX`](Self::TIME_MAX).
    pub fault_interval: Duration,
    /// Faults that begin and end at their times, of nodes that there are.
    pub planned_faults: Vec<PlannedFault>,
    /// How long the nodes rest before the final operations, with nothing wrong any more. With a mean latency of more than
    /// a third of a second it is as much longer as messages take longer: with 2 s it is six times this.
    pub recovery: Duration,
    /// Which neighbours the nodes are told to have, where the workload tells them.
    pub topology: Topology,
    /// How many operations have to succeed.
    pub availability: Availability,
    /// How many keys are in use at a time, where the workload has keys: 1 to 1,000,000; the workload's own number if
    /// `None`.
    pub key_count: Option<usize>,
    /// How many operations a transaction has at most: 1 to 1,000.
    pub max_txn_length: usize,
    /// How often a key is written before another takes its place, where the workload has it so: at least once.
    pub max_writes_per_key: usize,
    /// What transactions are judged by, where the workload has transactions.
    pub transactions: TxnOptions,
    /// The same seed and the same nodes make the same test.
    pub seed: u64,
    /// How many messages are kept for the journal; later ones are counted alone. Without a journal nothing says why.
    pub journal_size: usize,
    /// Which messages are logged.
    pub logging: Logging,
    /// How much the test holds.
    pub limits: Limits,
}

/// Five nodes, each with a client, five operations a second for ten seconds, no latency and no faults.
impl Default for Settings {
    fn default() -> Self {
        Self {
            nodes: 5,
            workers: 5,
            rate: Some(5.0),
            time_limit: Duration::from_secs(10),
            latency: Latency { mean: Duration::ZERO, spread: Distribution::Constant },
            faults: Vec::new(),
            fault_interval: Duration::from_secs(10),
            planned_faults: Vec::new(),
            recovery: Duration::from_secs(10),
            topology: Topology::Grid,
            availability: Availability::None,
            key_count: None,
            max_txn_length: 4,
            max_writes_per_key: 16,
            transactions: TxnOptions::default(),
            seed: 0,
            journal_size: 200_000,
            logging: Logging { sent: false, received: false },
            limits: Limits::DEFAULT,
        }
    }
}

/// What only transactions have. It may grow: end yours with `..TxnOptions::default()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnOptions {
    /// What has to hold. Whatever is found that these allow is told and does not count.
    pub models: Vec<Model>,
    /// Whether each key's number of writes is drawn by Zipf's law, up to 256, instead of being `max_writes_per_key`: keys
    /// that live shortly and keys that live long find different bugs.
    pub zipf_writes: bool,
}

/// Strict serializability, as in Maelstrom, and all keys alike.
impl Default for TxnOptions {
    fn default() -> Self {
        Self { models: vec![Model::StrictSerializable], zipf_writes: false }
    }
}

/// A setting with which there is no test.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{setting}: expected {expected}, found {found}")]
#[non_exhaustive]
pub struct InvalidSetting {
    /// The field of [`Settings`].
    pub setting: &'static str,
    /// What it may be.
    pub expected: String,
    /// What it is.
    pub found: String,
}

impl Settings {
    /// The most nodes of a test.
    pub const NODES_MAX: usize = 1_000;

    /// The most clients at once: ten thousand for each of the most nodes would be more than a machine bears.
    pub const WORKERS_MAX: usize = 100_000;

    /// The most operations a second: a process starts one a microsecond.
    pub const RATE_MAX: f64 = 1e6;

    /// The longest time of a test: a day.
    pub const TIME_MAX: Duration = Duration::from_secs(86_400);

    /// What nodes have this long for while messages take a third of a second, or less: with longer ones as much longer.
    ///
    /// What one of them knows has to come to all others in the time that they rest, even if each tells its neighbours alone.
    /// Of 25 nodes in a line the first and the last are 24 messages from each other, and in ten seconds there is time for
    /// thirty.
    pub(super) fn stretched(&self, span: Duration) -> Duration {
        const THIRD_OF_A_SECOND: u64 = 1_000_000 / 3;
        let mean = self.latency.mean.as_micros().max(THIRD_OF_A_SECOND);
        let stretched = u128::from(span.as_micros()) * u128::from(mean) / u128::from(THIRD_OF_A_SECOND);
        Duration::from_micros(u64::try_from(stretched).unwrap_or(u64::MAX))
    }

    /// Whether there is a test with these.
    ///
    /// # Errors
    /// The first setting with which there is none.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        let count = |setting, found: usize, max: usize| {
            require((1..=max).contains(&found), setting, || format!("1 to {max}"), found)
        };
        let span = |setting, found: Duration, min: Duration| {
            let expected = || format!("{min:?} to {:?}", Self::TIME_MAX);
            require((min..=Self::TIME_MAX).contains(&found), setting, expected, format!("{found:?}"))
        };
        count("nodes", self.nodes, Self::NODES_MAX)?;
        count("workers", self.workers, Self::WORKERS_MAX)?;
        if let Some(rate) = self.rate {
            let expected = || format!("0 to {}", Self::RATE_MAX);
            require((0.0..=Self::RATE_MAX).contains(&rate), "rate", expected, rate)?;
        }
        span("time_limit", self.time_limit, Duration::ZERO)?;
        span("latency.mean", self.latency.mean, Duration::ZERO)?;
        let shortest = if self.faults.is_empty() { Duration::ZERO } else { Duration::from_millis(1) };
        span("fault_interval", self.fault_interval, shortest)?;
        for fault in &self.planned_faults {
            if let Some(node) = fault.unknown_node(self.nodes) {
                let expected = || format!("nodes from n0 to n{}", self.nodes - 1);
                require(false, "planned_faults", expected, format!("n{node} in {fault}"))?;
            }
        }
        if let Topology::Tree(children) = self.topology {
            count("topology", children, usize::MAX)?;
        }
        if let Availability::AtLeast(fraction) = self.availability {
            let expected = || "a fraction from 0 to 1".to_owned();
            require((0.0..=1.0).contains(&fraction), "availability", expected, fraction)?;
        }
        if let Some(keys) = self.key_count {
            count("key_count", keys, 1_000_000)?;
        }
        count("max_txn_length", self.max_txn_length, 1_000)?;
        count("max_writes_per_key", self.max_writes_per_key, usize::MAX)
    }
}

fn require(
    holds: bool,
    setting: &'static str,
    expected: impl FnOnce() -> String,
    found: impl fmt::Display,
) -> Result<(), InvalidSetting> {
    if holds {
        Ok(())
    } else {
        Err(InvalidSetting { setting, expected: expected(), found: found.to_string() })
    }
}

/// The neighbours that a broadcast test suggests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Topology {
    /// Rows of about the square root of the number of nodes.
    #[default]
    Grid,
    /// Each to the next.
    Line,
    /// Each to all others.
    Total,
    /// Each to so many children, at least one.
    Tree(usize),
}

/// As on the command line: `grid`, `tree3`.
impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grid => f.write_str("grid"),
            Self::Line => f.write_str("line"),
            Self::Total => f.write_str("total"),
            Self::Tree(children) => write!(f, "tree{children}"),
        }
    }
}

impl Topology {
    /// The neighbours of a node among so many.
    pub fn neighbours(self, node: usize, nodes: usize) -> Vec<usize> {
        let width = (1..=nodes).find(|width| width * width >= nodes).unwrap_or(1);
        let is_next = |a: usize, b: usize| match self {
            Self::Grid => b == a + width || b == a + 1 && !b.is_multiple_of(width),
            Self::Line => b == a + 1,
            Self::Total => a < b,
            Self::Tree(children) => b > 0 && (b - 1) / children == a,
        };
        (0..nodes).filter(|&other| is_next(node, other) || is_next(other, node)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_test_is_refused_by_name() {
        let refused = |settings: Settings| settings.check().unwrap_err().setting;
        assert_eq!(Settings::default().check(), Ok(()));
        assert_eq!(refused(Settings { nodes: 0, ..Settings::default() }), "nodes");
        assert_eq!(refused(Settings { nodes: 1001, ..Settings::default() }), "nodes");
        assert_eq!(refused(Settings { workers: 0, ..Settings::default() }), "workers");
        for rate in [-1.0, f64::NAN, f64::INFINITY, 1.1e6] {
            assert_eq!(refused(Settings { rate: Some(rate), ..Settings::default() }), "rate");
        }
        assert_eq!(refused(Settings { time_limit: Duration::MAX, ..Settings::default() }), "time_limit");
        let mut settings = Settings { fault_interval: Duration::ZERO, ..Settings::default() };
        assert_eq!(settings.check(), Ok(()), "without a fault it is of no account");
        settings.faults.push(Fault::Loss);
        assert_eq!(refused(settings), "fault_interval");
        let planned_faults = vec!["kill n5 at 1s".parse().unwrap()];
        let error = Settings { planned_faults, ..Settings::default() }.check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "planned_faults: expected nodes from n0 to n4, found n5 in kill n5 at 1s"
        );
        assert_eq!(refused(Settings { topology: Topology::Tree(0), ..Settings::default() }), "topology");
        let availability = Availability::AtLeast(1.5);
        let error = Settings { availability, ..Settings::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "availability: expected a fraction from 0 to 1, found 1.5");
    }

    #[test]
    fn neighbours_are_those_of_the_topology() {
        let all = |topology: Topology, nodes| {
            (0..nodes).map(|node| topology.neighbours(node, nodes)).collect::<Vec<_>>()
        };
        assert!(Topology::Line.neighbours(0, 1).is_empty());
        assert_eq!(all(Topology::Line, 3), [vec![1], vec![0, 2], vec![1]]);
        assert_eq!(all(Topology::Total, 3), [vec![1, 2], vec![0, 2], vec![0, 1]]);
        // Rows of three: 0 1 2, then 3 4.
        assert_eq!(all(Topology::Grid, 5), [vec![1, 3], vec![0, 2, 4], vec![1], vec![0, 4], vec![1, 3]]);
        assert_eq!(
            all(Topology::Tree(2), 6),
            [vec![1, 2], vec![0, 3, 4], vec![0, 5], vec![1], vec![1], vec![2]]
        );
    }
}
