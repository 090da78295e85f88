//! How many operations of each kind succeeded, how fast, and whether that is enough.

use std::collections::BTreeMap;

use super::{Completion, Interval, Quantiles, Verdict};
use crate::time::{Duration, Instant};

/// An operation of any kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedOperation<'a> {
    /// What it was: `read`, `add`, …
    pub kind: &'a str,
    /// When it was.
    pub interval: Interval,
    /// How it ended.
    pub completion: Completion,
    /// Why a right node may have done it without success, if there is a reason.
    pub excuse: Option<Excuse>,
    /// Whether it came after the rest at the end. It counts like any other, except for the rates.
    pub is_final: bool,
}

/// Why a right node may end an operation without success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Excuse {
    /// What it has: no such key, another value than the expected one, a conflict of transactions.
    State,
    /// Faults, or that the nodes had just begun.
    Faults,
}

/// How many operations have to succeed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Availability {
    /// One of each kind, where nothing stands in the way.
    #[default]
    None,
    /// All.
    Total,
    /// Also at least this fraction of all, from 0 to 1.
    AtLeast(f64),
}

/// So many operations of a kind are not all refused for what the node has: of the `cas` that a test of `lin-kv` asks for, one
/// in five finds the value that it expects.
const REFUSALS_MAX: usize = 100;

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Invalid if no operation of some kind succeeded, or too few of all did. Unknown if none of a kind succeeded, and those
    /// of a right node could have ended so.
    pub verdict: Verdict,
    /// All operations.
    pub all: Counts,
    /// Each kind's.
    pub kinds: BTreeMap<String, Counts>,
    /// The kinds of which none succeeded, and whether that is invalid or unknown.
    pub without_success: BTreeMap<String, Verdict>,
    /// What was asked for.
    pub availability: Availability,
    /// Whether that was reached.
    pub is_available: bool,
}

/// Operations by the way they ended.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Counts {
    /// Those that succeeded.
    pub ok: usize,
    /// Those that definitely did not.
    pub fail: usize,
    /// Those that are indefinite.
    pub info: usize,
    /// Successes a second, from the first request of the test to its last answer; without the final operations.
    pub rate: f64,
    /// How long successes took, as their clients saw it. A client waits for an answer before it asks again,
    /// so this says little of what others would have seen meanwhile.
    pub latencies: Option<Quantiles>,
}

/// Counts operations.
pub fn check(operations: &[CountedOperation<'_>], availability: Availability) -> Stats {
    let timed = || operations.iter().filter(|operation| !operation.is_final);
    let began = timed().map(|operation| operation.interval.invoked).min();
    // A test that ended early leaves operations that never end.
    let completed = timed().map(|operation| operation.interval.completed);
    let ended = completed.filter(|&at| at < Instant::END).max();
    let span = ended.unwrap_or(Instant::START).saturating_since(began.unwrap_or(Instant::START));

    let mut by_kind = BTreeMap::<&str, Vec<&CountedOperation<'_>>>::new();
    for operation in operations {
        by_kind.entry(operation.kind).or_default().push(operation);
    }
    let kinds: BTreeMap<_, _> = by_kind
        .iter()
        .map(|(&kind, those)| (kind.to_owned(), Counts::of(those.iter().copied(), span)))
        .collect();
    let without_success = by_kind.iter().filter(|(kind, _)| kinds[**kind].ok == 0);
    let without_success: BTreeMap<_, _> =
        without_success.map(|(&kind, those)| (kind.to_owned(), without_success_verdict(those))).collect();
    let all = Counts::of(operations, span);

    let is_available = match availability {
        Availability::None => true,
        Availability::Total => all.ok == all.total(),
        Availability::AtLeast(fraction) => all.ok_fraction() >= fraction,
    };
    let worst = without_success.values().copied().max().unwrap_or(Verdict::Valid);
    let verdict = if is_available { worst } else { Verdict::Invalid };
    Stats { verdict, all, kinds, without_success, availability, is_available }
}

/// What it means that none of them succeeded. Unknown if nearly all may be those of a right node: one may have had bad luck.
fn without_success_verdict(operations: &[&CountedOperation<'_>]) -> Verdict {
    let of = |excuse| operations.iter().filter(|operation| operation.excuse == excuse).count();
    let may_be_right = of(Some(Excuse::State)) < REFUSALS_MAX && 10 * of(None) <= operations.len();
    if may_be_right { Verdict::Unknown } else { Verdict::Invalid }
}

impl Counts {
    #[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^53")]
    fn of<'a>(operations: impl IntoIterator<Item = &'a CountedOperation<'a>>, span: Duration) -> Self {
        let (mut fail, mut info, mut timed, mut latencies) = (0, 0, 0, Vec::new());
        for CountedOperation { interval, completion, is_final, .. } in operations {
            match completion {
                Completion::Ok => {
                    timed += usize::from(!is_final);
                    latencies.push(interval.completed - interval.invoked);
                }
                Completion::Fail => fail += 1,
                Completion::Info => info += 1,
            }
        }
        let ok = latencies.len();
        let rate = timed as f64 * 1e6 / span.as_micros().max(1) as f64;
        Self { ok, fail, info, rate, latencies: Quantiles::of(latencies) }
    }

    /// How many there are.
    pub const fn total(&self) -> usize {
        self.ok + self.fail + self.info
    }

    /// The fraction of those that succeeded; all of none.
    #[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^53")]
    pub fn ok_fraction(&self) -> f64 {
        if self.total() == 0 { 1.0 } else { self.ok as f64 / self.total() as f64 }
    }
}

impl Stats {
    /// Why it is not valid.
    pub fn explain(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        for (kind, verdict) in &self.without_success {
            let Counts { fail, info, .. } = &self.kinds[kind];
            let meaning = match verdict {
                Verdict::Unknown => {
                    "that can happen to a right node, so nothing is known of it. Maelstrom would call it invalid"
                }
                _ => "at least one should",
            };
            sentences
                .push(format!("no {kind} succeeded: {fail} failed, and of {info} nobody knows; {meaning}"));
        }
        if !self.is_available {
            let wanted = match self.availability {
                Availability::AtLeast(fraction) => format!("at least {:.2} %", 100.0 * fraction),
                _ => "all".to_owned(),
            };
            sentences.push(format!(
                "{} of {} operations succeeded ({:.2} %), but {wanted} should",
                self.all.ok,
                self.all.total(),
                100.0 * self.all.ok_fraction()
            ));
        }
        sentences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(kind: &str, from_ms: u64, to_ms: u64, completion: Completion) -> CountedOperation<'_> {
        let at = |millis| Instant::from_micros(millis * 1_000);
        let interval = Interval { invoked: at(from_ms), completed: at(to_ms) };
        CountedOperation { kind, interval, completion, excuse: None, is_final: false }
    }

    #[test]
    fn operations_are_counted_by_kind() {
        let operations = [
            operation("read", 1_000, 1_010, Completion::Ok),
            operation("add", 1_000, 1_030, Completion::Ok),
            operation("add", 1_050, 6_050, Completion::Info),
            operation("add", 5_990, 6_000, Completion::Fail),
        ];
        let report = check(&operations, Availability::None);
        assert_eq!((report.verdict, report.explain().len()), (Verdict::Valid, 0));
        let add = &report.kinds["add"];
        assert_eq!((add.ok, add.fail, add.info, add.total()), (1, 1, 1, 3));
        assert_eq!(add.latencies.map(|latencies| latencies.max), Some(Duration::from_millis(30)));
        assert_eq!((report.all.total(), report.all.ok_fraction()), (4, 0.5));
        assert!((report.all.rate - 2.0 / 5.05).abs() < 1e-9);
    }

    #[test]
    fn operations_that_never_end_do_not_slow_down_the_others() {
        let mut endless = operation("echo", 1_500, 0, Completion::Info);
        endless.interval.completed = Instant::END;
        let report = check(&[operation("echo", 1_000, 2_000, Completion::Ok), endless], Availability::None);
        assert!((report.all.rate - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_kind_without_a_success_is_invalid() {
        let operations = [operation("read", 0, 1, Completion::Ok), operation("add", 2, 3, Completion::Info)];
        let report = check(&operations, Availability::None);
        assert_eq!(report.verdict, Verdict::Invalid);
        assert_eq!(
            report.explain(),
            ["no add succeeded: 0 failed, and of 1 nobody knows; at least one should"]
        );
    }

    #[test]
    fn a_kind_without_a_success_is_unknown_where_a_right_node_has_an_excuse() {
        let verdict = |excuses: &[Option<Excuse>]| {
            let failed = operation("cas", 0, 1, Completion::Fail);
            let operations: Vec<_> =
                excuses.iter().map(|&excuse| CountedOperation { excuse, ..failed }).collect();
            check(&operations, Availability::None).verdict
        };
        let (state, faults) = (Some(Excuse::State), Some(Excuse::Faults));
        assert_eq!(verdict(&[faults, faults]), Verdict::Unknown);
        assert_eq!(verdict(&[faults, None]), Verdict::Invalid);
        assert_eq!(verdict(&[state, None]), Verdict::Invalid);
        assert_eq!(
            verdict(&[state, state, state, faults, faults, faults, faults, faults, None]),
            Verdict::Invalid
        );
        assert_eq!(
            verdict(&[state, state, state, faults, faults, faults, faults, faults, faults, None]),
            Verdict::Unknown
        );
        assert_eq!(verdict(&[state; REFUSALS_MAX - 1]), Verdict::Unknown);
        assert_eq!(verdict(&[state; REFUSALS_MAX]), Verdict::Invalid);
    }

    #[test]
    fn availability_is_a_fraction_of_all() {
        let mut operations = vec![operation("echo", 0, 1, Completion::Ok); 3];
        assert_eq!(check(&operations, Availability::Total).verdict, Verdict::Valid);
        operations.push(operation("echo", 2, 3, Completion::Fail));
        assert_eq!(check(&operations, Availability::AtLeast(0.75)).verdict, Verdict::Valid);
        for (availability, wanted) in
            [(Availability::Total, "all"), (Availability::AtLeast(0.76), "at least 76.00 %")]
        {
            let report = check(&operations, availability);
            assert_eq!(report.verdict, Verdict::Invalid);
            let sentence = format!("3 of 4 operations succeeded (75.00 %), but {wanted} should");
            assert_eq!(report.explain(), [sentence]);
        }
    }

    #[test]
    fn final_operations_count_but_for_the_rates() {
        let last = CountedOperation { is_final: true, ..operation("echo", 12_000, 17_000, Completion::Fail) };
        let report = check(&[operation("echo", 1_000, 2_000, Completion::Ok), last], Availability::Total);
        assert_eq!((report.verdict, report.all.fail), (Verdict::Invalid, 1));
        assert!((report.all.rate - 1.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_asked_is_nothing_refused() {
        let report = check(&[], Availability::Total);
        assert_eq!((report.verdict, report.all.latencies), (Verdict::Valid, None));
    }
}
