//! Sets that grow (broadcast, g-set): what was added is seen by every read from some time on.
//!
//! As in Jepsen's `set-full`, an element is *known* from the time when its add was acknowledged, or when the
//! first read that shows it was answered, whichever comes first. From then on its absence means something. Of
//! the reads that began after it was known, take the last one that lacks it:
//!
//! - If there is none, and a read shows the element, it was stable at once.
//! - If a read that began later shows it, it was *stale*, and stable in the end. Its *stable latency* is the
//!   time from when it was known to the beginning of that last read that lacks it; zero if it was stable at
//!   once.
//! - If no later read shows it, it is *lost*.
//! - If no read shows it, and none that lacks it began after it was known, it was *never read*: no read
//!   could tell.
//!
//! Reads are ordered by their beginnings. Of those that began in the same microsecond, as the final reads of
//! all workers do, one that lacks the element counts as later than one that shows it: each of them should
//! show it. Jepsen takes them as they come, and lets an element through that the last of them shows. Jepsen
//! also rounds latencies down to milliseconds before it asks which elements were stale; here nothing is
//! rounded. An element that Jepsen calls never read, although a read showed it, because one that
//! overlapped its add and began later lacks it, is stable here.

use std::collections::BTreeMap;
use std::mem;

use super::{Completion, Findings, Interval, Place, Quantiles, Verdict};
use crate::time::{Duration, Instant};
use crate::workbench::format::Seconds;

/// An attempt to add an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Add {
    /// What was added. No two adds of a test have the same; those that do are taken for one.
    pub element: i64,
    /// When.
    pub interval: Interval,
    /// How it ended.
    pub completion: Completion,
}

/// A read that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read<'a> {
    /// Who was asked.
    pub node: usize,
    /// When.
    pub interval: Interval,
    /// The answer, in any order.
    pub elements: &'a [i64],
}

/// What came of it. The findings are in order of their elements.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Invalid if an element was lost, duplicated, unexpected or denied; unknown if none is stable.
    pub verdict: Verdict,
    /// How many elements somebody tried to add.
    pub attempts: usize,
    /// How many of these adds were acknowledged.
    pub acknowledged: usize,
    /// How many elements every read shows, from some time on.
    pub stable: usize,
    /// Elements that were known and are not seen any more.
    pub lost: Findings<Missing>,
    /// Elements that were known, were missing later, and came back.
    pub stale: Findings<Missing>,
    /// Elements of which no read could tell.
    pub never_read: Findings<i64>,
    /// Elements that are more than once in one read.
    pub duplicated: Findings<Duplicate>,
    /// Elements that a read shows before anybody tried to add them; most of them nobody ever did.
    pub unexpected: Findings<Unexpected>,
    /// Elements that a read shows although their add was answered with a definite error.
    pub denied: Findings<Denied>,
    /// How long it took the stable elements to become stable.
    pub stable_latencies: Option<Quantiles>,
}

/// An element that a read lacks although it was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// The element.
    pub element: i64,
    /// Since when it was known.
    pub known: Instant,
    /// Who answered the last read that lacks it, and when that read began.
    pub from: Place,
    /// Who answered the last read that shows it, and when that read began; `None` if none does.
    pub last_shown: Option<Place>,
}

/// An element that is more than once in a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Duplicate {
    /// The element.
    pub element: i64,
    /// The most copies in one read.
    pub copies: usize,
    /// Who answered the first read with so many, and when.
    pub read: Place,
}

/// An element from nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unexpected {
    /// The element.
    pub element: i64,
    /// Who answered the first read that shows it, and when.
    pub read: Place,
    /// When somebody began to add it; `None` if nobody did.
    pub invoked: Option<Instant>,
}

/// An element whose add was refused for good, and that is there all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Denied {
    /// The element.
    pub element: i64,
    /// When its add was refused.
    pub refused: Instant,
    /// Who answered the first read that shows it, and when.
    pub read: Place,
}

/// Checks the reads of a test against its adds.
///
/// That takes a look at each element of each read: reads are gone through in order, and an element that
/// was not in the read before this one was lacking there.
pub fn check(adds: &[Add], reads: &[Read<'_>]) -> Report {
    let mut elements = elements(adds);
    let mut unexpected = BTreeMap::new();
    let mut reads: Vec<_> = reads.iter().collect();
    reads.sort_by_key(|read| read.interval.invoked);
    for (number, read) in (1..).zip(&reads) {
        for &value in read.elements {
            if let Some(element) = find(&mut elements, value) {
                element.shown_in(number, read.interval.completed);
                continue;
            }
            let (first, _) = unexpected.entry(value).or_insert((*read, None));
            if read.interval.completed < first.interval.completed {
                *first = read;
            }
        }
    }

    let read = |number: usize| reads.get(number.wrapping_sub(1)).copied();
    let began_together = |one, other| {
        let invoked = |number| read(number).map(|read| read.interval.invoked);
        invoked(one) == invoked(other)
    };
    let (mut lost, mut stale, mut never_read) = (Vec::new(), Vec::new(), Vec::new());
    let (mut duplicated, mut stable_latencies) = (Vec::new(), Vec::new());
    let mut denied = Vec::new();
    for element in &elements {
        let lacking = if element.shown < reads.len() { reads.len() } else { element.lacking };
        let known = element.acknowledged.min(element.first_answer);
        let missing = read(lacking).filter(|read| read.interval.invoked > known).map(|from| Missing {
            element: element.value,
            known,
            from: from.began(),
            last_shown: read(element.shown).map(Read::began),
        });
        match (missing, element.refused) {
            (_, Some(refused)) if element.shown > 0 => {
                let first = read(element.first_answer_in).map(Read::ended);
                denied.extend(first.map(|read| Denied { element: element.value, refused, read }));
            }
            (Some(missing), _) if element.shown < lacking || began_together(element.shown, lacking) => {
                lost.push(missing);
            }
            (Some(missing), _) => {
                stale.push(missing);
                stable_latencies.push(missing.from.at - known);
            }
            (None, _) if element.shown > 0 => stable_latencies.push(Duration::ZERO),
            (None, _) => never_read.push(element.value),
        }
        if let Some(most) = read(element.most_copies_in) {
            duplicated.push(Duplicate {
                element: element.value,
                copies: element.most_copies,
                read: most.ended(),
            });
        }
        if let Some(first) = read(element.first_answer_in).filter(|_| element.first_answer < element.invoked)
        {
            unexpected.insert(element.value, (first, Some(element.invoked)));
        }
    }

    let is_right = lost.is_empty() && duplicated.is_empty() && unexpected.is_empty() && denied.is_empty();
    let verdict = if !is_right {
        Verdict::Invalid
    } else if stable_latencies.is_empty() {
        Verdict::Unknown
    } else {
        Verdict::Valid
    };
    let unexpected = unexpected.into_iter();
    Report {
        verdict,
        attempts: elements.len(),
        acknowledged: elements.iter().filter(|element| element.acknowledged < Instant::END).count(),
        stable: stable_latencies.len(),
        lost: lost.into_iter().collect(),
        stale: stale.into_iter().collect(),
        never_read: never_read.into_iter().collect(),
        duplicated: duplicated.into_iter().collect(),
        unexpected: unexpected
            .map(|(element, (read, invoked))| Unexpected { element, read: read.ended(), invoked })
            .collect(),
        denied: denied.into_iter().collect(),
        stable_latencies: Quantiles::of(stable_latencies),
    }
}

/// What is known of an element that somebody tried to add. Reads have numbers from 1; 0 is none.
struct Element {
    value: i64,
    invoked: Instant,
    /// When the add was acknowledged; the end of time if it was not.
    acknowledged: Instant,
    /// When the add was refused for good, if it was.
    refused: Option<Instant>,
    /// When the first answer came that shows it; the end of time if none did.
    first_answer: Instant,
    first_answer_in: usize,
    /// The last read that shows it.
    shown: usize,
    /// The last read before that one that lacks it.
    lacking: usize,
    /// How often it is in the last read that shows it.
    copies: usize,
    most_copies: usize,
    /// The first read with so many, if they are more than one.
    most_copies_in: usize,
}

/// The elements of all adds, in order.
fn elements(adds: &[Add]) -> Vec<Element> {
    let of = |add: &Add| Element {
        value: add.element,
        invoked: add.interval.invoked,
        acknowledged: if add.completion == Completion::Ok { add.interval.completed } else { Instant::END },
        refused: (add.completion == Completion::Fail).then_some(add.interval.completed),
        first_answer: Instant::END,
        first_answer_in: 0,
        shown: 0,
        lacking: 0,
        copies: 0,
        most_copies: 1,
        most_copies_in: 0,
    };
    let mut elements: Vec<_> = adds.iter().map(of).collect();
    elements.sort_unstable_by_key(|element| (element.value, element.invoked));
    elements.dedup_by(|later, element| {
        let is_same = later.value == element.value;
        if is_same {
            element.acknowledged = element.acknowledged.min(later.acknowledged);
            element.refused = element.refused.and(later.refused);
        }
        is_same
    });
    elements
}

/// The element of that value. Maelstrom counts them up from zero, so it is nearly always found at once.
fn find(elements: &mut [Element], value: i64) -> Option<&mut Element> {
    let first = elements.first()?.value;
    let likely = usize::try_from(value.wrapping_sub(first)).unwrap_or(usize::MAX);
    if elements.get(likely).is_some_and(|element| element.value == value) {
        return elements.get_mut(likely);
    }
    let place = elements.binary_search_by_key(&value, |element| element.value).ok()?;
    elements.get_mut(place)
}

impl Element {
    /// Takes note that a read shows it, whose number is no less than that of the one before.
    fn shown_in(&mut self, number: usize, answered: Instant) {
        if self.shown == number {
            self.copies += 1;
            if self.copies > self.most_copies {
                (self.most_copies, self.most_copies_in) = (self.copies, number);
            }
            return;
        }
        if self.shown + 1 < number {
            self.lacking = number - 1;
        }
        (self.shown, self.copies) = (number, 1);
        if answered < self.first_answer {
            (self.first_answer, self.first_answer_in) = (answered, number);
        }
    }
}

impl Read<'_> {
    const fn began(&self) -> Place {
        Place { node: self.node, at: self.interval.invoked }
    }

    const fn ended(&self) -> Place {
        Place { node: self.node, at: self.interval.completed }
    }
}

impl Report {
    /// Why it is not valid.
    pub fn explain(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.verdict == Verdict::Unknown {
            sentences.push(
                "no read shows any element that was added, so nothing can be said about them".to_owned(),
            );
        }
        // Said once: it holds for each that is like it.
        let mut is_said = false;
        self.lost.explain(&mut sentences, |Missing { element, known, from, last_shown }| {
            let last_shown_at = last_shown.as_ref().map(|read| read.at);
            let last_shown = match last_shown {
                Some(read) => format!("was last seen in the read of {read}"),
                None => "was never seen in any read".to_owned(),
            };
            let is_shown_at_once = last_shown_at == Some(from.at);
            let at_once = if is_shown_at_once && !mem::replace(&mut is_said, true) {
                ". Maelstrom would not have noticed: it goes by another read of that moment, which shows it"
            } else {
                ""
            };
            format!(
                "{element} is lost: it was known to be added at {}, {last_shown}, and is missing from the read of \
                 {from}; every read from then on should show it{at_once}",
                Seconds(*known)
            )
        });
        self.duplicated.explain(&mut sentences, |Duplicate { element, copies, read }| {
            format!(
                "{element} is {copies} times in the answer of {read}, but should be there once. Maelstrom would not have \
                 noticed: it counts it as one"
            )
        });
        self.denied.explain(&mut sentences, |Denied { element, refused, read }| {
            format!(
                "{element} is in the answer of {read}, although its add was answered with a definite error at {}, which \
                 says that it did not happen and never will. Maelstrom would not have noticed: it asks nothing of such \
                 an element",
                Seconds(*refused)
            )
        });
        self.unexpected.explain(&mut sentences, |Unexpected { element, read, invoked }| match invoked {
            Some(invoked) => format!(
                "{element} is in the answer of {read}, before anybody began to add it at {}. Maelstrom would not have \
                 noticed: it asks only if it is there in the end",
                Seconds(*invoked)
            ),
            None => format!(
                "{element} is in the answer of {read}, but nobody ever added it. Maelstrom would not have noticed: it \
                 asks only for what was added"
            ),
        });
        sentences
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const fn interval(from: u64, to: u64) -> Interval {
        Interval { invoked: Instant::from_micros(from), completed: Instant::from_micros(to) }
    }

    const fn add(element: i64, from: u64, to: u64) -> Add {
        Add { element, interval: interval(from, to), completion: Completion::Ok }
    }

    const fn read(elements: &[i64], from: u64, to: u64) -> Read<'_> {
        Read { node: 3, interval: interval(from, to), elements }
    }

    /// What became of the element 7, and its stable latency.
    fn fate(adds: &[Add], reads: &[Read<'_>]) -> (&'static str, Option<u64>) {
        let report = check(adds, reads);
        let fate =
            match [&report.lost, &report.stale].map(|found| found.listed.iter().any(|of| of.element == 7)) {
                [true, _] => "lost",
                [_, true] => "stale",
                _ if report.never_read.listed.contains(&7) => "never read",
                _ => "stable",
            };
        (fate, report.stable_latencies.map(|latencies| latencies.max.as_micros()))
    }

    #[test]
    fn an_acknowledged_element_is_in_every_later_read() {
        let adds = [add(7, 10, 20)];
        assert_eq!(fate(&adds, &[read(&[7], 30, 40)]), ("stable", Some(0)));
        assert_eq!(fate(&adds, &[read(&[], 30, 40)]), ("lost", None));
        assert_eq!(fate(&adds, &[read(&[], 30, 40), read(&[7], 50, 60)]), ("stale", Some(10)));
        assert_eq!(fate(&adds, &[read(&[7], 30, 40), read(&[], 50, 60)]), ("lost", None));
        assert_eq!(fate(&adds, &[]), ("never read", None));
    }

    #[test]
    fn a_read_that_began_before_cannot_miss_it() {
        let adds = [add(7, 10, 20)];
        for from in [5, 19, 20] {
            assert_eq!(fate(&adds, &[read(&[], from, 40)]), ("never read", None));
            assert_eq!(fate(&adds, &[read(&[], from, 40), read(&[7], 50, 60)]), ("stable", Some(0)));
        }
        assert_eq!(fate(&adds, &[read(&[], 21, 40), read(&[7], 50, 60)]), ("stale", Some(1)));
    }

    #[test]
    fn a_read_that_shows_it_makes_it_known_when_it_is_answered() {
        let indefinite = [Add { completion: Completion::Info, ..add(7, 10, 5_000) }];
        assert_eq!(fate(&indefinite, &[read(&[], 30, 40)]), ("never read", None));
        let shown = read(&[7], 15, 30);
        assert_eq!(fate(&indefinite, &[shown, read(&[], 31, 40)]), ("lost", None));
        assert_eq!(fate(&indefinite, &[shown, read(&[], 29, 40)]), ("stable", Some(0)));
        assert_eq!(fate(&indefinite, &[shown, read(&[], 35, 40), read(&[7], 36, 37)]), ("stale", Some(5)));
        assert_eq!(fate(&[add(7, 10, 5_000)], &[shown, read(&[], 31, 40)]), ("lost", None));
    }

    #[test]
    fn reads_count_by_their_beginnings_whatever_their_order() {
        let (late, early) = (read(&[7], 50, 60), read(&[], 30, 90));
        assert_eq!(fate(&[add(7, 10, 20)], &[late, early]), ("stale", Some(10)));
        assert_eq!(fate(&[add(7, 10, 20)], &[early, late]), ("stale", Some(10)));
        let (one, other) = (read(&[7], 50, 60), read(&[], 50, 60));
        assert_eq!(fate(&[add(7, 10, 20)], &[one, other]), ("lost", None));
        assert_eq!(fate(&[add(7, 10, 20)], &[other, one]), ("lost", None));
    }

    #[test]
    fn the_report_says_which_element_and_where() {
        let adds = [add(7, 1_000_000, 1_500_000), add(8, 1_000_000, 1_500_000), add(9, 3_000_000, 3_500_000)];
        let reads = [read(&[7, 9, 8, 5, 8], 1_600_000, 1_700_000), read(&[8], 2_000_000, 2_250_000)];
        let report = check(&adds, &reads);
        assert_eq!((report.verdict, report.attempts, report.acknowledged), (Verdict::Invalid, 3, 3));
        assert_eq!(
            report.explain(),
            [
                "7 is lost: it was known to be added at 1.500 s, was last seen in the read of n3 at 1.600 s, and is \
                 missing from the read of n3 at 2.000 s; every read from then on should show it",
                "9 is lost: it was known to be added at 1.700 s, was last seen in the read of n3 at 1.600 s, and is \
                 missing from the read of n3 at 2.000 s; every read from then on should show it",
                "8 is 2 times in the answer of n3 at 1.700 s, but should be there once. Maelstrom would not have noticed: it counts it as one",
                "5 is in the answer of n3 at 1.700 s, but nobody ever added it. Maelstrom would not have noticed: it asks only for what was added",
                "9 is in the answer of n3 at 1.700 s, before anybody began to add it at 3.000 s. Maelstrom would not have noticed: it asks only if it is there in the end",
            ]
        );
    }

    #[test]
    fn what_maelstrom_does_instead_is_said_once() {
        let adds = [add(7, 10, 20), add(8, 10, 20)];
        let sentences = check(&adds, &[read(&[7, 8], 50, 60), read(&[], 50, 60)]).explain();
        let said = sentences.iter().map(|sentence| sentence.contains("Maelstrom would not have noticed"));
        assert_eq!(said.collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn elements_may_be_any_integers() {
        let values = [i64::MIN, -1, 0, 5, i64::MAX];
        let adds = values.map(|value| add(value, 10, 20));
        let report = check(&adds, &[read(&values, 30, 40), read(&[1, i64::MAX - 1, i64::MIN + 1], 1, 2)]);
        assert_eq!((report.stable, report.unexpected.total), (5, 3));
        assert_eq!(check(&[], &[read(&values, 30, 40)]).unexpected.total, 5);
    }

    #[test]
    fn an_element_that_is_added_twice_is_one() {
        let adds = [add(7, 50, 60), add(7, 10, 20)];
        let report = check(&adds, &[read(&[7], 15, 30)]);
        assert_eq!((report.attempts, report.acknowledged, report.stable), (1, 1, 1));
        assert_eq!(fate(&adds, &[read(&[], 30, 40)]), ("lost", None));
    }

    #[test]
    fn without_a_read_nothing_is_known() {
        let report = check(&[add(7, 10, 20)], &[]);
        assert_eq!((report.verdict, report.never_read.total), (Verdict::Unknown, 1));
        assert_eq!(report.explain().len(), 1);
    }

    /// `cargo test --release --lib set_full -- --ignored --nocapture`
    #[test]
    #[ignore = "prints how long 25 million elements of reads take"]
    fn time_of_a_large_test() {
        const COUNT: u32 = 5_000;
        let all: Vec<_> = (0..COUNT).map(|n| i64::from(n * 7_919 % COUNT)).collect();
        let adds: Vec<_> = (0..COUNT).map(|n| add(n.into(), n.into(), u64::from(n) + 5)).collect();
        let reads: Vec<_> = (0..COUNT).map(|n| read(&all, 10_000 + u64::from(n), 20_000)).collect();
        let start = std::time::Instant::now();
        let report = check(&adds, &reads);
        println!("{:?}", start.elapsed());
        assert_eq!((report.verdict, report.stable), (Verdict::Valid, 5_000));
    }

    /// The definition of the module's documentation, read by read and element by element: those that are
    /// lost, stale with their latency, stable at once, never read, duplicated, unexpected, denied.
    fn by_definition(adds: &[Add], reads: &[Read<'_>]) -> [Vec<(i64, u64)>; 7] {
        let mut fates: [Vec<(i64, u64)>; 7] = Default::default();
        let mut in_order: Vec<_> = reads.iter().collect();
        in_order.sort_by_key(|read| read.interval.invoked);
        let values: BTreeSet<_> = adds
            .iter()
            .map(|add| add.element)
            .chain(reads.iter().flat_map(|read| read.elements).copied())
            .collect();
        for value in values {
            let shows = |read: &&&Read<'_>| read.elements.contains(&value);
            let first_shown =
                reads.iter().filter(|read| shows(&read)).map(|read| read.interval.completed).min();
            let copies = |read: &Read<'_>| read.elements.iter().filter(|&&other| other == value).count();
            let most = reads.iter().map(copies).max().unwrap_or(0);
            let Some(add) = adds.iter().find(|add| add.element == value) else {
                fates[5].push((value, first_shown.unwrap().as_micros()));
                continue;
            };
            if most > 1 {
                fates[4].push((value, most as u64));
            }
            if let Some(early) = first_shown.filter(|&shown| shown < add.interval.invoked) {
                fates[5].push((value, early.as_micros()));
            }
            if let Some(shown) = first_shown.filter(|_| add.completion == Completion::Fail) {
                fates[6].push((value, shown.as_micros()));
                continue;
            }
            let acknowledged = (add.completion == Completion::Ok).then_some(add.interval.completed);
            let Some(known) = acknowledged.into_iter().chain(first_shown).min() else {
                fates[3].push((value, 0));
                continue;
            };
            let last_lacking =
                in_order.iter().rposition(|read| !shows(&read) && read.interval.invoked > known);
            match last_lacking {
                Some(place)
                    if in_order[place + 1..].iter().any(|read| {
                        shows(&read) && read.interval.invoked > in_order[place].interval.invoked
                    }) =>
                {
                    fates[1].push((value, (in_order[place].interval.invoked - known).as_micros()));
                }
                Some(_) => fates[0].push((value, 0)),
                None if first_shown.is_some() => fates[2].push((value, 0)),
                None => fates[3].push((value, 0)),
            }
        }
        fates
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn agrees_with_the_definition(
            adds in prop::collection::vec((0..30u64, 0..10u64, 0..3usize), 0..8),
            reads in prop::collection::vec((0..40u64, 0..10u64, prop::collection::vec(-1..9i64, 0..8)), 0..8),
        ) {
            let completions = [Completion::Ok, Completion::Info, Completion::Fail];
            let adds: Vec<_> = (0..)
                .zip(adds)
                .map(|(element, (from, took, ended))| {
                    Add { completion: completions[ended], ..add(element, from, from + took) }
                })
                .collect();
            let reads: Vec<_> = reads.iter().map(|(from, took, shown)| read(shown, *from, from + took)).collect();
            let [lost, stale, stable, never_read, duplicated, unexpected, denied] = by_definition(&adds, &reads);

            let report = check(&adds, &reads);
            let missing = |found: &Findings<Missing>, latency: fn(&Missing) -> u64| -> Vec<_> {
                found.listed.iter().map(|missing| (missing.element, latency(missing))).collect()
            };
            prop_assert_eq!(missing(&report.lost, |_| 0), lost.clone());
            let latency = |missing: &Missing| (missing.from.at - missing.known).as_micros();
            prop_assert_eq!(missing(&report.stale, latency), stale.clone());
            prop_assert_eq!(report.stable, stale.len() + stable.len());
            let never: Vec<_> = report.never_read.listed.iter().map(|&element| (element, 0)).collect();
            prop_assert_eq!(never, never_read);
            let copies: Vec<_> =
                report.duplicated.listed.iter().map(|of| (of.element, of.copies as u64)).collect();
            prop_assert_eq!(copies, duplicated.clone());
            let early: Vec<_> =
                report.unexpected.listed.iter().map(|of| (of.element, of.read.at.as_micros())).collect();
            prop_assert_eq!(early, unexpected.clone());
            let lies: Vec<_> =
                report.denied.listed.iter().map(|of| (of.element, of.read.at.as_micros())).collect();
            prop_assert_eq!(lies, denied.clone());

            let spans = stale.iter().chain(&stable).map(|&(_, micros)| Duration::from_micros(micros));
            prop_assert_eq!(report.stable_latencies, Quantiles::of(spans.collect()));
            let wrong = [&lost, &duplicated, &unexpected, &denied];
            let verdict = if wrong.iter().any(|found| !found.is_empty()) {
                Verdict::Invalid
            } else if stale.is_empty() && stable.is_empty() {
                Verdict::Unknown
            } else {
                Verdict::Valid
            };
            prop_assert_eq!(report.verdict, verdict);
        }
    }
}
