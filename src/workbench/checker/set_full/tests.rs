//! What becomes of elements, case by case and against the definition.

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
    let fate = match [&report.lost, &report.stale].map(|found| found.listed.iter().any(|of| of.element == 7))
    {
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
        let first_shown = reads.iter().filter(|read| shows(&read)).map(|read| read.interval.completed).min();
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
        let last_lacking = in_order.iter().rposition(|read| !shows(&read) && read.interval.invoked > known);
        match last_lacking {
            Some(place)
                if in_order[place + 1..]
                    .iter()
                    .any(|read| shows(&read) && read.interval.invoked > in_order[place].interval.invoked) =>
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
