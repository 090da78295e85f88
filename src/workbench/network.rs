//! The network between nodes: how long a message takes, and whether it arrives.

use fastrand::Rng;
use smallvec::{SmallVec, smallvec};

use crate::time::Duration;

/// How long messages between nodes take. Those from and to clients take no time, as in Maelstrom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// The mean.
    pub mean: Duration,
    /// How it is spread.
    pub spread: Distribution,
}

/// How latencies are spread around their mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    /// All the same.
    #[default]
    Constant,
    /// Evenly from nothing to twice the mean.
    Uniform,
    /// Most are short, and some are very long.
    Exponential,
}

impl Distribution {
    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Uniform => "uniform",
            Self::Exponential => "exponential",
        }
    }
}

impl Latency {
    /// The latency of one message: at least a microsecond, or virtual time might stand still.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "latencies are seconds at most, and positive"
    )]
    fn draw(&self, rng: &mut Rng) -> Duration {
        let mean = self.mean.as_micros();
        let latency = Duration::from_micros(match self.spread {
            Distribution::Constant => mean,
            Distribution::Uniform => rng.u64(0..=2 * mean),
            // The draw is below 1, so the logarithm is of more than 0.
            Distribution::Exponential => (-(1.0 - rng.f64()).ln() * mean as f64) as u64,
        });
        latency.max(Duration::from_micros(1))
    }
}

/// The network between the nodes of a cluster.
#[derive(Debug)]
pub struct Network {
    latency: Latency,
    nodes: usize,
    /// Whether what `sender` sent is dropped when it arrives at `receiver`: at `receiver * nodes + sender`.
    blocked: Vec<bool>,
    /// The rate of messages between nodes that are lost.
    pub loss: f64,
    /// The rate of messages between nodes that come twice.
    pub duplicate: f64,
}

impl Network {
    /// A network without faults.
    pub fn new(latency: Latency, nodes: usize) -> Self {
        Self { latency, nodes, blocked: vec![false; nodes * nodes], loss: 0.0, duplicate: 0.0 }
    }

    /// How long each copy of a message between two nodes, or a node and a service, takes; no copy if it is lost.
    pub fn copies(&self, is_between_nodes: bool, rng: &mut Rng) -> SmallVec<[Duration; 2]> {
        let mut copies = smallvec![self.latency.draw(rng)];
        if is_between_nodes {
            if self.loss > 0.0 && rng.f64() < self.loss {
                copies.clear();
            } else if self.duplicate > 0.0 && rng.f64() < self.duplicate {
                copies.push(self.latency.draw(rng));
            }
        }
        copies
    }

    /// Whether a message that arrives now is dropped.
    pub fn is_blocked(&self, sender: usize, receiver: usize) -> bool {
        self.blocked[receiver * self.nodes + sender]
    }

    /// From now on `receiver` gets nothing from `sender`.
    pub fn block(&mut self, sender: usize, receiver: usize) {
        self.blocked[receiver * self.nodes + sender] = true;
    }

    /// Ends every partition.
    pub fn unblock(&mut self) {
        self.blocked.fill(false);
    }
}
