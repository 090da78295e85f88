//! The search: seeds that are tried by several threads, and what there is to say of them.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration as RealDuration, Instant as Clock};

use serde_json::json;

use super::args::{ExploreArgs, say};
use super::tested::Tested;
use crate::workbench::checker::Verdict;
use crate::workbench::explore::{FoundFailure, Swarm, Tried, difference, try_seed};
use crate::workbench::settings::Settings;
use crate::workbench::world::World;

pub enum Found {
    Failure { seed: u64, failure: Box<FoundFailure> },
    Difference { seed: u64, text: String },
}

/// The seeds that are tried, by several threads.
pub struct Search<'a> {
    args: &'a ExploreArgs,
    swarm: &'a Swarm,
    tested: &'a Tested<'a>,
    started: Clock,
    next: AtomicU64,
    is_over: AtomicBool,
    counts: Mutex<Counts>,
    shows: bool,
}

#[derive(Default)]
struct Counts {
    seeds: u64,
    unknown: u64,
    /// The first seed that could not be decided.
    first_unknown: Option<u64>,
    messages: u64,
    simulated: RealDuration,
    faults: BTreeMap<&'static str, usize>,
    /// Situations that nodes looked for: in how many seeds, and in how many of those they occurred.
    sometimes: BTreeMap<String, (u64, u64)>,
    shown: Option<Clock>,
    found: Option<Found>,
}

impl<'a> Search<'a> {
    pub fn new(args: &'a ExploreArgs, swarm: &'a Swarm, tested: &'a Tested<'a>) -> Self {
        Self {
            args,
            swarm,
            tested,
            started: Clock::now(),
            next: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            counts: Mutex::default(),
            shows: io::stderr().is_terminal(),
        }
    }

    pub fn run(&self) -> Option<Found> {
        let jobs = self
            .args
            .jobs
            .map_or_else(|| thread::available_parallelism().map_or(1, std::num::NonZero::get), usize::from);
        thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| self.work());
            }
        });
        self.counts.lock().expect("no thread panicked").found.take()
    }

    fn work(&self) {
        let (part, parts) = self.args.shard;
        while !self.is_over.load(Ordering::Relaxed) && self.is_in_time() && !self.tested.is_stopped() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.args.seeds {
                return;
            }
            // Every part takes each so-manieth seed, so that no two have one in common.
            let seed = self.args.first_seed.wrapping_add(number.wrapping_mul(parts)).wrapping_add(part - 1);
            let run = |world: &mut World| self.tested.run(world);
            let difference = self.args.check_determinism.then(|| difference(self.swarm, seed, run)).flatten();
            let tried = try_seed(self.swarm, seed, run);
            if self.tested.is_stopped() {
                return;
            }
            self.take(tried, difference);
        }
    }

    fn is_in_time(&self) -> bool {
        self.args.time.is_none_or(|time| self.started.elapsed() < time.into())
    }

    fn take(&self, tried: Tried, difference: Option<String>) {
        if self.args.json {
            let line = seed_json(&tried, difference.as_deref());
            let _ = writeln!(io::stdout(), "{line}");
        }
        let mut counts = self.counts.lock().expect("no thread panicked");
        counts.seeds += 1;
        if tried.verdict == Verdict::Unknown {
            counts.unknown += 1;
            counts.first_unknown =
                Some(counts.first_unknown.map_or(tried.seed, |first| first.min(tried.seed)));
        }
        counts.messages += tried.messages;
        counts.simulated += RealDuration::from(tried.simulated);
        for (fault, count) in &tried.faults {
            *counts.faults.entry(fault).or_default() += count;
        }
        for (text, &occurred) in &tried.sometimes {
            let (looked, occurrences) = counts.sometimes.entry(text.clone()).or_default();
            *looked += 1;
            *occurrences += u64::from(occurred);
        }
        let seed = tried.seed;
        let found = difference
            .map(|text| Found::Difference { seed, text })
            .or_else(|| tried.failure.map(|failure| Found::Failure { seed, failure: Box::new(failure) }));
        if let Some(found) = found {
            self.is_over.store(true, Ordering::Relaxed);
            counts.found.get_or_insert(found);
        }
        let is_due = counts.shown.is_none_or(|shown| shown.elapsed() > RealDuration::from_millis(200));
        if self.shows && is_due {
            counts.shown = Some(Clock::now());
            eprint!("\r\x1b[K{}", self.line(&counts));
        }
    }

    pub fn finish(&self) {
        if self.shows {
            eprint!("\r\x1b[K");
        }
        let counts = self.counts.lock().expect("no thread panicked");
        let line = self.line(&counts);
        say(self.args, &line);
        for (text, (looked, occurrences)) in &counts.sometimes {
            let line = match occurrences {
                0 => format!("  NEVER: {text} (looked for in {looked} seeds)"),
                _ => format!("  sometimes: {text} (in {occurrences} of {looked} seeds)"),
            };
            say(self.args, &line);
        }
    }

    /// Whether nothing is known of any seed.
    pub fn is_undecided(&self) -> bool {
        let counts = self.counts.lock().expect("no thread panicked");
        counts.seeds > 0 && counts.unknown == counts.seeds
    }

    fn line(&self, counts: &Counts) -> String {
        let elapsed = self.started.elapsed().as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let rate = counts.seeds as f64 / elapsed.max(0.001);
        let faults: Vec<String> =
            counts.faults.iter().map(|(fault, count)| format!("{count} {fault}")).collect();
        let unknown = counts.first_unknown.map_or_else(String::new, |seed| {
            let first = if counts.unknown == 1 { "seed" } else { "the first is seed" };
            format!(", {} undecided ({first} {seed})", counts.unknown)
        });
        let noun = if counts.seeds == 1 { "seed" } else { "seeds" };
        format!(
            "{} {noun}{unknown}, {rate:.0} a second, {:.0} s simulated in {elapsed:.1} s, {} messages; faults: {}",
            counts.seeds,
            counts.simulated.as_secs_f64(),
            counts.messages,
            if faults.is_empty() { "none".to_owned() } else { faults.join(", ") }
        )
    }
}

fn seed_json(tried: &Tried, difference: Option<&str>) -> serde_json::Value {
    let Settings { nodes, workers, rate, latency, faults, fault_interval, .. } = &tried.settings;
    json!({
        "seed": tried.seed,
        "verdict": tried.verdict.name(),
        "failure": tried.failure.as_ref().map(|failure| &failure.signature),
        "difference": difference,
        "settings": {
            "nodes": nodes,
            "workers": workers,
            "rate": rate,
            "latency_us": latency.mean.as_micros(),
            "latency_dist": latency.spread.name(),
            "nemesis": faults.iter().map(|fault| fault.name()).collect::<Vec<_>>(),
            "nemesis_interval_us": fault_interval.as_micros(),
        },
        "simulated_us": tried.simulated.as_micros(),
        "operations": tried.operations,
        "messages": tried.messages,
        "faults": tried.faults,
        "sometimes": tried.sometimes,
    })
}
