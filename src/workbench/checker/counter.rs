//! Counters that only grow, and counters that also shrink: in the end every node tells the same sum.

use std::fmt::Write;
use std::ops::RangeInclusive;

use super::{Completion, Findings, Interval, Place, Verdict};

/// An attempt to add to the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Add {
    /// How much; less than nothing to subtract.
    pub delta: i64,
    /// Whether it was added.
    pub completion: Completion,
}

/// A read at the end of the test, when all nodes have had the time to agree, that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// Who was asked.
    pub node: usize,
    /// When.
    pub interval: Interval,
    /// The answer.
    pub value: i64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CounterResults {
    /// Invalid if a read is wrong. Unknown if there is none, or if what would be right cannot be computed.
    pub verdict: Verdict,
    /// How many reads there are.
    pub reads: usize,
    /// How many adds are indefinite.
    pub indefinite: usize,
    /// What a read may answer, as Maelstrom prints it: in order, with gaps between. `None` if that is more
    /// than [`RANGES_MAX`] ranges, or does not fit 64 bits.
    pub acceptable: Option<Vec<RangeInclusive<i64>>>,
    /// The reads that answered something else, in their order.
    pub wrong: Findings<Read>,
}

/// So many ranges are kept apart. The small deltas of a workload make a few; a thousand different powers of
/// two would make more than there is room for.
pub const RANGES_MAX: usize = 10_000;

/// Checks that each read is the sum of all adds that happened and of any of those that may have.
///
/// As in Maelstrom, each read is judged alone: two nodes need not agree on which of the indefinite adds
/// happened.
pub fn check(adds: &[Add], reads: &[Read]) -> CounterResults {
    let acceptable = acceptable(adds);
    let is_wrong = |read: &&Read| {
        acceptable.as_ref().is_some_and(|ranges| {
            let after = ranges.partition_point(|range| *range.end() < read.value);
            ranges.get(after).is_none_or(|range| !range.contains(&read.value))
        })
    };
    let wrong: Findings<_> = reads.iter().filter(is_wrong).copied().collect();
    let verdict = match (reads, &acceptable) {
        _ if !wrong.is_empty() => Verdict::Invalid,
        ([], _) | (_, None) => Verdict::Unknown,
        _ => Verdict::Valid,
    };
    let indefinite = adds.iter().filter(|add| add.completion == Completion::Info).count();
    CounterResults { verdict, reads: reads.len(), indefinite, acceptable, wrong }
}

/// Every sum of the adds that happened and of any of those that may have.
fn acceptable(adds: &[Add]) -> Option<Vec<RangeInclusive<i64>>> {
    let of = |completion| adds.iter().filter(move |add| add.completion == completion).map(|add| add.delta);
    let definite = of(Completion::Ok).map(i128::from).sum::<i128>();
    let definite = i64::try_from(definite).ok()?;
    let mut sums = vec![definite..=definite];
    for delta in of(Completion::Info).filter(|&delta| delta != 0) {
        // With this add and without: two rows in order, which are merged.
        let mut both = sums.clone();
        for sum in &sums {
            both.push(sum.start().checked_add(delta)?..=sum.end().checked_add(delta)?);
        }
        both.sort_unstable_by_key(|range| *range.start());
        sums.clear();
        for range in both {
            match sums.last_mut() {
                Some(last) if *range.start() <= last.end().saturating_add(1) => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => sums.push(range),
            }
        }
        if sums.len() > RANGES_MAX {
            return None;
        }
    }
    Some(sums)
}

impl CounterResults {
    /// Why it is not valid.
    pub fn explain(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.reads == 0 {
            sentences.push("no final read succeeded, so nothing can be said about the sum".to_owned());
        }
        let Some(acceptable) = &self.acceptable else {
            sentences.push(format!(
                "{} indefinite adds make too many different sums to tell which reads are right",
                self.indefinite
            ));
            return sentences;
        };
        let expected = format!(
            "the acknowledged adds, with any of the {} indefinite ones, come to {}",
            self.indefinite,
            any_of(acceptable)
        );
        self.wrong.explain(&mut sentences, |read| {
            let place = Place { node: read.node, at: read.interval.completed };
            format!("the final read of {place} returned {}, but {expected}", read.value)
        });
        sentences
    }
}

/// `3, 5 to 7 or 9`, or the first of more ranges.
fn any_of(ranges: &[RangeInclusive<i64>]) -> String {
    const SHOWN: usize = 8;
    let mut text = String::new();
    for (place, range) in ranges.iter().take(SHOWN).enumerate() {
        text.push_str(match place {
            0 => "",
            _ if place + 1 == ranges.len() => " or ",
            _ => ", ",
        });
        let (start, end) = (range.start(), range.end());
        // Writing to a string cannot fail.
        let _ = if start == end { write!(text, "{start}") } else { write!(text, "{start} to {end}") };
    }
    if ranges.len() > SHOWN {
        text.push_str(", …");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::time::Instant;

    fn add(delta: i64, completion: Completion) -> Add {
        Add { delta, completion }
    }

    fn read(value: i64) -> Read {
        let at = Instant::from_micros(12_500_000);
        Read { node: 2, interval: Interval { invoked: at, completed: at }, value }
    }

    /// Maelstrom's own test cases.
    #[test]
    fn agrees_with_maelstrom() {
        use Completion::{Info, Ok};
        let report = check(&[add(2, Ok), add(3, Ok)], &[read(5), read(4)]);
        assert_eq!((report.acceptable, report.wrong.listed), (Some(vec![5..=5]), vec![read(4)]));

        let adds = [add(10, Ok), add(5, Info), add(-1, Info), add(-1, Info)];
        let report = check(&adds, &[read(11), read(15)]);
        assert_eq!((report.verdict, &report.wrong.listed[..]), (Verdict::Invalid, &[read(11)][..]));
        assert_eq!(report.acceptable, Some(vec![8..=10, 13..=15]));
        assert_eq!(
            report.explain(),
            [
                "the final read of n2 at 12.500 s returned 11, but the acknowledged adds, with any of the 3 indefinite \
              ones, come to 8 to 10 or 13 to 15"
            ]
        );
    }

    #[test]
    fn an_add_that_failed_does_not_count() {
        let adds = [add(1, Completion::Ok), add(2, Completion::Fail)];
        assert_eq!(check(&adds, &[read(1)]).verdict, Verdict::Valid);
        assert_eq!(check(&adds, &[read(3)]).verdict, Verdict::Invalid);
    }

    #[test]
    fn without_a_read_nothing_is_known() {
        let report = check(&[], &[]);
        assert_eq!((report.verdict, report.acceptable), (Verdict::Unknown, Some(vec![0..=0])));
    }

    #[test]
    fn too_many_sums_and_too_large_ones_are_unknown() {
        let powers: Vec<_> = (0..15).map(|power| add(1 << (2 * power), Completion::Info)).collect();
        let report = check(&powers, &[read(0)]);
        assert_eq!((report.verdict, &report.acceptable), (Verdict::Unknown, &None));
        assert_eq!(report.explain().len(), 1);

        let large = add(i64::MAX, Completion::Ok);
        assert_eq!(check(&[large, large], &[read(-2)]).verdict, Verdict::Unknown);
        assert_eq!(check(&[large, add(1, Completion::Info)], &[read(0)]).verdict, Verdict::Unknown);
        assert_eq!(
            check(&[large, large, add(-i64::MAX, Completion::Ok)], &[read(i64::MAX)]).verdict,
            Verdict::Valid
        );
    }

    #[test]
    fn thousands_of_small_indefinite_adds_are_one_range() {
        let adds: Vec<_> = (0..5_000).map(|n| add(n % 10 - 5, Completion::Info)).collect();
        assert_eq!(check(&adds, &[]).acceptable, Some(vec![-7_500..=5_000]));
    }

    proptest! {
        #[test]
        fn acceptable_is_every_sum_of_a_subset(
            adds in prop::collection::vec((-20..20i64, 0..3usize), 0..10),
        ) {
            let completions = [Completion::Ok, Completion::Fail, Completion::Info];
            let adds: Vec<_> = adds.into_iter().map(|(delta, ended)| add(delta, completions[ended])).collect();
            let mut sums = BTreeSet::from([0]);
            for Add { delta, completion } in &adds {
                sums = match completion {
                    Completion::Ok => sums.iter().map(|sum| sum + delta).collect(),
                    Completion::Fail => sums,
                    Completion::Info => sums.iter().flat_map(|&sum| [sum, sum + delta]).collect(),
                };
            }
            let ranges = check(&adds, &[]).acceptable.unwrap();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end() + 1 < *pair[1].start()));
            prop_assert_eq!(ranges.into_iter().flatten().collect::<Vec<_>>(), Vec::from_iter(sums.clone()));

            let reads: Vec<_> = (-250..250).map(read).collect();
            let wrong = reads.iter().filter(|read| !sums.contains(&read.value)).count();
            prop_assert_eq!(check(&adds, &reads).wrong.total, wrong);
        }
    }
}
