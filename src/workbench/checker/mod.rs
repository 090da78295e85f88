//! Whether what the clients of a test saw is what its workload promises.
//!
//! A checker takes operations with their times and gives a report, and does nothing else: it reads no clock,
//! writes nothing, and says the same of the same history. Each has its module with a `check` and what comes of it;
//! a report has a [`Verdict`], what led to it, and a method `explain` that says it in sentences for people.
//!
//! Two operations of which neither completed before the other was invoked are concurrent, also where the one
//! was invoked in the microsecond in which the other completed: a doubt of a microsecond accuses nobody.

pub(super) mod canonical;
pub mod counter;
pub mod echo;
mod graph;
pub mod isolation;
pub mod kafka;
pub mod linearizable;
pub mod list_append;
pub mod models;
pub mod rw_register;
pub mod set_full;
pub mod stats;
pub mod transactions;
pub mod unique_ids;

use std::fmt;

use crate::time::{Duration, Instant};
use crate::workbench::format::{Seconds, brief};

/// What a checker says of a history. The worst of several verdicts is their maximum. There is no fourth: a `match` needs
/// no wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// The promise was kept.
    Valid,
    /// It cannot be told: nothing happened that could tell, or to find out takes too long.
    Unknown,
    /// The promise was broken.
    Invalid,
}

impl Verdict {
    /// Its word, as results and reports have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Unknown => "unknown",
            Self::Invalid => "invalid",
        }
    }
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Completion {
    /// It happened.
    Ok,
    /// It did not happen, and never will.
    Fail,
    /// It is indefinite: it may have happened, may happen at any later time, or never.
    Info,
}

/// When an operation was invoked, and when its client had the answer or gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interval {
    /// When the request left.
    pub invoked: Instant,
    /// When the operation ended, in whatever way.
    pub completed: Instant,
}

/// A node that was asked something, and a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The number in the node's name.
    pub node: usize,
    /// The report says the time of what.
    pub at: Instant,
}

/// The number of a node where a history does not tell which it was.
pub const UNKNOWN_NODE: usize = usize::MAX;

/// `n2 at 1.203 s`
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.node == UNKNOWN_NODE {
            return write!(f, "a node at {}", Seconds(self.at));
        }
        write!(f, "n{} at {}", self.node, Seconds(self.at))
    }
}

/// The first of some findings, and how many there are: a broken node breaks everything.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Findings<T> {
    /// How many there are.
    pub total: usize,
    /// The first of them, in the order that the report says; at most [`Findings::LISTED`].
    pub listed: Vec<T>,
}

impl Findings<()> {
    /// How many findings a report lists of one sort.
    pub const LISTED: usize = 48;

    /// How many of them are explained.
    const EXPLAINED: usize = 5;
}

impl<T> Findings<T> {
    /// Whether there is nothing.
    pub const fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Adds a sentence for each of the first few, and one for all others.
    fn explain(&self, sentences: &mut Vec<String>, sentence: impl FnMut(&T) -> String) {
        let explained = Findings::EXPLAINED;
        sentences.extend(self.listed.iter().take(explained).map(sentence));
        if self.total > explained {
            sentences.push(format!("… and {} more like these", self.total - explained));
        }
    }
}

impl<T> FromIterator<T> for Findings<T> {
    fn from_iter<I: IntoIterator<Item = T>>(findings: I) -> Self {
        let mut findings = findings.into_iter();
        let listed: Vec<_> = findings.by_ref().take(Findings::LISTED).collect();
        Self { total: listed.len() + findings.count(), listed }
    }
}

/// How some spans of time are spread. Quantile q of n spans is the one with n·q others before it, rounded
/// down, as Jepsen has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quantiles {
    /// The shortest.
    pub min: Duration,
    /// Half are shorter.
    pub median: Duration,
    /// 95 of 100 are shorter.
    pub p95: Duration,
    /// 99 of 100 are shorter.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

impl Quantiles {
    /// Of these spans; `None` if there are none.
    pub fn of(mut spans: Vec<Duration>) -> Option<Self> {
        spans.sort_unstable();
        let (&min, &max) = (spans.first()?, spans.last()?);
        let percentile = |percent| spans[spans.len() * percent / 100];
        Some(Self { min, median: percentile(50), p95: percentile(95), p99: percentile(99), max })
    }

    /// In milliseconds, by quantile.
    pub fn json(&self) -> serde_json::Value {
        let [min, median, p95, p99, max] = self.millis();
        serde_json::json!({"0": min, "0.5": median, "0.95": p95, "0.99": p99, "1": max})
    }

    /// In milliseconds, in a row for a page.
    pub fn row(&self) -> String {
        self.millis().map(brief).join(" · ")
    }

    #[expect(clippy::cast_precision_loss, reason = "spans of a test are short")]
    fn millis(&self) -> [f64; 5] {
        let Self { min, median, p95, p99, max } = *self;
        [min, median, p95, p99, max].map(|span| span.as_micros() as f64 / 1e3)
    }
}

/// `0.2 ms median, 1.5 ms at 99 %, 1.2 s at most`
impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, median, _, p99, max] = self.millis().map(|millis| match millis {
            0.0..1_000.0 => format!("{millis:.1} ms"),
            _ => format!("{:.1} s", millis / 1e3),
        });
        write!(f, "{median} median, {p99} at 99 %, {max} at most")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_verdict_is_the_largest() {
        use Verdict::{Invalid, Unknown, Valid};
        assert_eq!([Valid, Invalid, Unknown].into_iter().max(), Some(Invalid));
        assert_eq!([Valid, Unknown].into_iter().max(), Some(Unknown));
    }

    #[test]
    fn findings_are_counted_beyond_those_that_are_listed() {
        let findings: Findings<usize> = (0..50).collect();
        assert_eq!((findings.total, findings.listed.len()), (50, 48));
        let mut sentences = Vec::new();
        findings.explain(&mut sentences, ToString::to_string);
        assert_eq!(sentences, ["0", "1", "2", "3", "4", "… and 45 more like these"]);
        assert!(Findings::<()>::from_iter([]).is_empty());
    }

    #[test]
    fn quantiles_are_spans_that_occurred() {
        let of = |micros: &[u64]| {
            Quantiles::of(micros.iter().map(|&micros| Duration::from_micros(micros)).collect())
        };
        let all = |quantiles: Quantiles| {
            let Quantiles { min, median, p95, p99, max } = quantiles;
            [min, median, p95, p99, max].map(Duration::as_micros)
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7]).map(all), Some([7; 5]));
        assert_eq!(of(&[2, 1]).map(all), Some([1, 2, 2, 2, 2]));
        let hundred: Vec<_> = (0..100).rev().collect();
        assert_eq!(of(&hundred).map(all), Some([0, 50, 95, 99, 99]));
    }

    #[test]
    fn a_place_reads_as_people_say_it() {
        let place = Place { node: 2, at: Instant::from_micros(61_203_999) };
        assert_eq!(place.to_string(), "n2 at 61.203 s");
    }
}
