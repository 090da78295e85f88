//! Messages that a node sends and the network loses, doubles, delays or mixes up: on purpose, and by a seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::str::FromStr;

use fastrand::Rng;
use log::debug;
use thiserror::Error;

use crate::telemetry::trace::Sent;
use crate::time::{Duration, Instant};
use crate::wire::out::OutBuffer;

/// What chaos never touches, so that whoever switches it on can switch it off.
const SPARED: [&str; 4] = ["init_ok", "chaos_on_ok", "chaos_off_ok", "chaos_stats_ok"];

/// So many bytes of messages are held back at once. Beyond that the next ones to leave do so early.
const HELD_MAX: usize = 16 * 1024 * 1024;

/// The longest delay.
const DELAY_MAX: Duration = Duration::from_secs(60);

/// What becomes of outgoing messages. Reads from text such as `drop=0.1,duplicate=0.01,delay=5ms,seed=7`.
///
/// It may grow: end yours with `..ChaosConfig::default()`.
#[derive(Clone, Debug, PartialEq)]
pub struct ChaosConfig {
    /// The rate of messages that are lost: 0 to 1.
    pub drop: f64,
    /// The rate of messages that come twice: 0 to 1.
    pub duplicate: f64,
    /// Every message leaves so much later.
    pub delay: Duration,
    /// Every message leaves up to so much later, by chance: one that is sent within that time may overtake it.
    pub reorder: Duration,
    /// Whose messages to touch; everybody's if empty.
    pub peers: Vec<String>,
    /// The same seed, node and messages make the same chaos.
    pub seed: u64,
}

impl Default for ChaosConfig {
    /// Nothing is lost, doubled or delayed. Seed 42.
    fn default() -> Self {
        Self {
            drop: 0.0,
            duplicate: 0.0,
            delay: Duration::ZERO,
            reorder: Duration::ZERO,
            peers: Vec::new(),
            seed: 42,
        }
    }
}

/// Why a text or a value is no [`ChaosConfig`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{name}: expected {expected}, found {found:?}")]
#[non_exhaustive]
pub struct ChaosError {
    name: String,
    expected: &'static str,
    found: String,
}

impl FromStr for ChaosConfig {
    type Err = ChaosError;

    fn from_str(text: &str) -> Result<Self, ChaosError> {
        let mut config = Self::default();
        let mut names = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let error = |expected| ChaosError { name: name.into(), expected, found: value.into() };
            let rate = || value.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
            let delay = || {
                let delay = Duration::from(humantime::parse_duration(value).ok()?);
                (delay <= DELAY_MAX).then_some(delay)
            };
            // Only peers may be several.
            if name != "peer" && names.contains(&name) {
                let expected = "drop, duplicate, delay, reorder and seed once each";
                return Err(ChaosError { name: "chaos".into(), expected, found: format!("{name} twice") });
            }
            names.push(name);
            match name {
                "drop" => config.drop = rate().ok_or_else(|| error(RATE))?,
                "duplicate" => config.duplicate = rate().ok_or_else(|| error(RATE))?,
                "delay" => config.delay = delay().ok_or_else(|| error(DELAY))?,
                "reorder" => config.reorder = delay().ok_or_else(|| error(DELAY))?,
                "peer" if !value.is_empty() => config.peers.push(value.into()),
                "peer" => return Err(error("a name, such as n2")),
                "seed" => config.seed = value.parse().map_err(|_| error("an integer of 64 bits"))?,
                _ => {
                    let (expected, found) = ("drop, duplicate, delay, reorder, peer or seed", part.into());
                    return Err(ChaosError { name: "chaos".into(), expected, found });
                }
            }
        }
        Ok(config)
    }
}

const RATE: &str = "a rate from 0 to 1";
const DELAY: &str = "a time of up to a minute, such as 5ms";

/// Stands between a node and its output.
#[derive(Debug)]
pub struct Chaos {
    config: ChaosConfig,
    is_on: bool,
    rng: Rng,
    stats: ChaosStats,
    held: BinaryHeap<Reverse<Held>>,
    held_bytes: usize,
    /// Numbers what was held back, so that what leaves at the same time keeps its order.
    held_ever: u64,
}

/// What chaos did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChaosStats {
    /// Messages that were to be sent while it was on, without those that it never touches.
    pub offered: u64,
    /// Messages that it lost.
    pub dropped: u64,
    /// Messages that it doubled.
    pub duplicated: u64,
}

/// A message that leaves later.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    at: Instant,
    number: u64,
    line: Box<[u8]>,
}

impl Chaos {
    /// Chaos that is off, or on from the start.
    pub fn new(config: Option<ChaosConfig>) -> Self {
        let is_on = config.is_some();
        let config = config.unwrap_or_default();
        Self {
            rng: Rng::with_seed(config.seed),
            config,
            is_on,
            stats: ChaosStats::default(),
            held: BinaryHeap::new(),
            held_bytes: 0,
            held_ever: 0,
        }
    }

    /// Whether it has its way with what is sent.
    #[inline]
    pub const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Says who the node is. Nodes of one seed do not all lose the same messages.
    pub(crate) fn identify(&mut self, node: &str) {
        let seed =
            node.bytes().fold(self.config.seed, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        self.rng = Rng::with_seed(seed);
    }

    /// What becomes of messages while chaos is on.
    pub const fn config(&self) -> &ChaosConfig {
        &self.config
    }

    /// What it did so far.
    pub const fn stats(&self) -> ChaosStats {
        self.stats
    }

    /// From the next message on, this happens to messages. The seed starts again, so that a run repeats.
    pub fn switch_on(&mut self, config: ChaosConfig) {
        self.rng = Rng::with_seed(config.seed);
        self.config = config;
        self.is_on = true;
    }

    /// From the next message on, nothing happens to messages. What is held back still leaves at its time.
    pub const fn switch_off(&mut self) {
        self.is_on = false;
    }

    /// When the next message that is held back leaves.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.held.peek().map(|Reverse(held)| held.at)
    }

    /// Lets go of the messages whose time has come.
    pub(crate) fn release(&mut self, now: Instant, out: &mut OutBuffer) {
        while let Some(Reverse(held)) = self.held.peek()
            && (held.at <= now || self.held_bytes > HELD_MAX)
        {
            let Some(Reverse(held)) = self.held.pop() else { return };
            self.held_bytes -= held.line.len();
            send(&held.line, out);
        }
    }

    /// Passes on what is left of a message, which is this line.
    pub(crate) fn pass(&mut self, now: Instant, message: &Sent, line: &[u8], out: &mut OutBuffer) {
        let Sent { dest, kind, in_reply_to, .. } = message;
        let is_spared = !in_reply_to.is_empty() && SPARED.iter().any(|spared| kind.is(spared));
        if !self.is_on || is_spared {
            return send(line, out);
        }
        self.stats.offered += 1;
        if !self.config.peers.is_empty() && !self.config.peers.iter().any(|peer| dest.is(peer)) {
            return send(line, out);
        }
        if self.rng.f64() < self.config.drop {
            self.stats.dropped += 1;
            debug!("chaos drops {} to {}", kind.text(), dest.text());
            return;
        }
        let copies = if self.config.duplicate > 0.0 && self.rng.f64() < self.config.duplicate {
            self.stats.duplicated += 1;
            2
        } else {
            1
        };
        for _ in 0..copies {
            let reorder = self.config.reorder.as_micros();
            let by_chance = if reorder > 0 { self.rng.u64(0..=reorder) } else { 0 };
            let delay = self.config.delay + Duration::from_micros(by_chance);
            if delay == Duration::ZERO {
                send(line, out);
            } else {
                self.held_ever += 1;
                self.held_bytes += line.len();
                let held = Held { at: now + delay, number: self.held_ever, line: line.into() };
                self.held.push(Reverse(held));
            }
        }
    }
}

fn send(line: &[u8], out: &mut OutBuffer) {
    out.start_line().extend_from_slice(line);
    out.end_line();
}
