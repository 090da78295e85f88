//! Many tests in virtual time, each with another seed, to find the one that fails.
//!
//! A seed draws the settings of its test too, as far as they are left open, so that what takes an odd number of nodes and
//! an odd fault to fail is found without anybody thinking of it. What is found is cut down by
//! [`shrink`](super::shrink).

use std::collections::BTreeMap;

use fastrand::Rng;

use super::checker::Verdict;
use super::fault::Fault;
use super::network::{Distribution, Latency, mix};
use super::plan::Plan;
use super::settings::Settings;
use super::verdict::Results;
use super::workload::Workload;
use super::world::World;
use crate::time::Duration;

/// The tests to explore: settings, and which of them each seed draws anew.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// What is asked of the nodes.
    pub workload: &'static dyn Workload,
    /// The settings that are not drawn.
    pub fixed: Settings,
    /// What is drawn.
    pub drawn: Drawn,
}

/// Settings that each seed draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each setting is drawn or not")]
#[non_exhaustive]
pub struct Drawn {
    /// One to five nodes.
    pub nodes: bool,
    /// One to three clients for each node.
    pub workers: bool,
    /// 1 to 100 operations a second.
    pub rate: bool,
    /// 0 to 100 ms, and how that is spread.
    pub latency: bool,
    /// Any of these, each as likely in a test as not, and how often they change.
    pub faults: &'static [Fault],
}

impl Drawn {
    /// Everything; of the faults those that a node without a disk can bear.
    pub const ALL: Self = Self {
        nodes: true,
        workers: true,
        rate: true,
        latency: true,
        faults: &[Fault::Partition, Fault::Pause, Fault::Loss, Fault::Duplicate],
    };
}

impl Swarm {
    /// The settings of a seed. Each is drawn by itself, so that fixing one leaves the others as they are.
    pub fn settings(&self, seed: u64) -> Settings {
        let mut settings = Settings { seed, ..self.fixed.clone() };
        let die = |number: u64| Rng::with_seed(mix(seed ^ mix(number)));
        if self.drawn.nodes {
            settings.nodes = die(1).usize(1..=5);
        }
        if self.drawn.workers {
            settings.workers = settings.nodes * die(2).usize(1..=3);
        }
        if self.drawn.rate {
            // As likely between 1 and 10 as between 10 and 100.
            settings.rate = Some(10f64.powf(2.0 * die(3).f64()));
        }
        if self.drawn.latency {
            let mut rng = die(4);
            let means = [0, 1, 10, 30, 100];
            let spreads = [Distribution::Constant, Distribution::Uniform, Distribution::Exponential];
            settings.latency = Latency {
                mean: Duration::from_millis(means[rng.usize(0..means.len())]),
                spread: spreads[rng.usize(0..spreads.len())],
            };
        }
        if !self.drawn.faults.is_empty() {
            let mut rng = die(5);
            settings.faults = self.drawn.faults.iter().copied().filter(|_| rng.bool()).collect();
            settings.fault_interval = Duration::from_millis(rng.u64(300..3_000));
        }
        settings
    }
}

/// What came of a seed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Tried {
    /// Which.
    pub seed: u64,
    /// The settings that it drew.
    pub settings: Settings,
    /// Whether the nodes did right.
    pub verdict: Verdict,
    /// How they failed, if they did.
    pub failure: Option<FoundFailure>,
    /// How long the test was, in virtual time.
    pub simulated: Duration,
    /// How many operations there were.
    pub operations: usize,
    /// How many messages.
    pub messages: u64,
    /// How many faults of each kind.
    pub faults: BTreeMap<&'static str, usize>,
    /// The situations that nodes looked for by [`sometimes!`](crate::sometimes), and whether they occurred.
    pub sometimes: BTreeMap<String, bool>,
}

/// A test that failed, as one that can be run again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FoundFailure {
    /// What happened.
    pub plan: Plan,
    /// In which way it failed: what two failures of the same kind have in common.
    pub signature: String,
}

/// Runs the test of a seed. `run` brings a world to its end.
pub fn try_seed(swarm: &Swarm, seed: u64, run: impl Fn(&mut World)) -> Tried {
    try_settings(swarm.workload, swarm.settings(seed), run)
}

/// Runs the test of these settings.
pub fn try_settings(workload: &'static dyn Workload, settings: Settings, run: impl Fn(&mut World)) -> Tried {
    let seed = settings.seed;
    let plan = Plan { workload, settings: settings.clone(), operations: None };
    let (world, results) = run_plan(plan, run);
    let mut faults = BTreeMap::new();
    for window in world.faults() {
        *faults.entry(window.fault.name()).or_default() += 1;
    }
    let failure = signature(&results).map(|signature| FoundFailure { plan: Plan::of(&world), signature });
    Tried {
        seed,
        settings,
        verdict: results.verdict,
        failure,
        simulated: world.now() - crate::time::Instant::START,
        operations: world.history().len(),
        messages: world.journal().clients.sent + world.journal().servers.sent,
        faults,
        sometimes: world.sometimes().clone(),
    }
}

/// Runs a plan; its world at the end, and whether what happened is right.
///
/// # Panics
/// If its settings make no test: those of a plan that was parsed or generated do.
pub fn run_plan(plan: Plan, run: impl Fn(&mut World)) -> (World, Results) {
    let mut world = World::of_plan(plan).expect("the settings of a swarm make a test");
    run(&mut world);
    let results = Results::of(&world);
    (world, results)
}

/// In which way a test failed: the beginning of the sentence that says so, without its numbers; of what a node did that
/// ended the test, all that comes before the state. `None` if it did not fail.
pub fn signature(results: &Results) -> Option<String> {
    const WORDS: usize = 4;
    const WORDS_OF_REASON: usize = 30;
    if results.verdict != Verdict::Invalid {
        return None;
    }
    let (sentence, words) = match &results.failure {
        Some(failure) => {
            let reason = failure.reason.split_once("; ").map_or(&*failure.reason, |(reason, _)| reason);
            (reason.to_owned(), WORDS_OF_REASON)
        }
        None => (results.explain().into_iter().next().unwrap_or_default(), WORDS),
    };
    let plain: String = sentence.chars().filter(|c| !c.is_ascii_digit()).collect();
    Some(plain.split_whitespace().take(words).collect::<Vec<_>>().join(" "))
}

/// Where two runs of the same test part, if they do: nodes that read a clock, or take things in the order of a map with a
/// random seed, do not do the same twice.
pub fn difference(swarm: &Swarm, seed: u64, run: impl Fn(&mut World)) -> Option<String> {
    let settings = Settings { journal_size: Settings::default().journal_size, ..swarm.settings(seed) };
    let plan = || Plan { workload: swarm.workload, settings: settings.clone(), operations: None };
    let ((first, _), (second, _)) = (run_plan(plan(), &run), run_plan(plan(), &run));
    let (ours, theirs) = (first.journal().entries(), second.journal().entries());
    let told = |entry: &super::journal::Entry| {
        let micros = entry.sent.as_micros();
        format!(
            "at {}.{:06} s {} to {}: {}",
            micros / 1_000_000,
            micros % 1_000_000,
            entry.src,
            entry.dest,
            entry.body
        )
    };
    let parts = ours.iter().zip(theirs).position(|(one, other)| {
        (one.sent, one.src, one.dest, &one.body) != (other.sent, other.src, other.dest, &other.body)
    });
    match parts {
        Some(place) => Some(format!(
            "message {place} is not the same:\n  first run:  {}\n  second run: {}",
            told(&ours[place]),
            told(&theirs[place])
        )),
        None if ours.len() != theirs.len() => {
            let place = ours.len().min(theirs.len());
            let (which, entry) =
                if ours.len() > place { ("first", &ours[place]) } else { ("second", &theirs[place]) };
            Some(format!("message {place} is in the {which} run alone:\n  {}", told(entry)))
        }
        None => [
            (ended(&first), ended(&second)),
            (format!("{:?}", first.sometimes()), format!("{:?}", second.sometimes())),
        ]
        .into_iter()
        .find(|(one, other)| one != other)
        .map(|(one, other)| {
            format!("the messages are the same, but:\n  first run:  {one}\n  second run: {other}")
        }),
    }
}

/// How a test came to its end.
fn ended(world: &World) -> String {
    let failure = world.failure().map(|failure| (failure.node, failure.at, &failure.reason));
    failure.map_or("it came to its end".to_owned(), |(node, at, reason)| {
        format!(
            "n{node} ended it at {}.{:06} s: {reason}",
            at.as_micros() / 1_000_000,
            at.as_micros() % 1_000_000
        )
    })
}
