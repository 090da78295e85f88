//! What a node may be told beyond its handler.

use crate::boundary::chaos::ChaosConfig;
use crate::boundary::dedup::DedupConfig;
use crate::rpc::breaker::BreakerConfig;
use crate::time::Duration;

/// What a node may be told beyond its handler. It may grow: end yours with `..Config::default()`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The seed of everything that is left to chance, together with the node's id: several nodes may have the same. A
    /// shell on real time takes it from chance itself.
    pub seed: u64,
    /// How many calls may wait for their answers at once. Beyond it a call is not sent, with error 11.
    pub max_pending: usize,
    /// How many handlers may wait at once. Beyond it a request is answered with error 11.
    pub max_waiting: usize,
    /// How many things may wait that other threads want done. Beyond it [`Remote::run`](super::Remote::run) is an
    /// error.
    pub max_remote: usize,
    /// A deferred answer to a client that would leave later than this after its request is dropped and counted. A client
    /// gives up after 5 seconds, and Maelstrom goes deaf to a node that answers one which is gone.
    pub answer_within: Duration,
    /// Whether, and when, to stop calling a peer that does not answer.
    pub breaker: Option<BreakerConfig>,
    /// Whether to answer a request that comes again with its first answer, and how many of those to keep.
    pub dedup: Option<DedupConfig>,
    /// What happens to the messages that the node sends, from the start.
    pub chaos: Option<ChaosConfig>,
    /// How many of the newest messages to remember; at least one.
    pub trace_size: usize,
    /// Lets what a handler says leave before what it persisted in that turn is durable: then a crash loses what was
    /// acknowledged. It is for those who want to see a test find that.
    pub loses_acknowledged_writes: bool,
}

impl Default for Config {
    /// A million calls, 10,000 handlers, 4.5 seconds, 100 messages; no breaker, dedup or chaos; seed 0; nothing leaves
    /// before what it depends on is durable.
    fn default() -> Self {
        Self {
            seed: 0,
            max_pending: 1_000_000,
            max_waiting: 10_000,
            max_remote: 1000,
            answer_within: Duration::from_millis(4500),
            breaker: None,
            dedup: None,
            chaos: None,
            trace_size: 100,
            loses_acknowledged_writes: false,
        }
    }
}
