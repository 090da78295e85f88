//! Registers by hand and by chance, and the search beside one that tries all orders.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::Interval;
use super::*;
use crate::time::Instant;

const STEPS: u64 = 1_000_000;

const fn operation(process: u64, action: Action, from: u64, to: u64) -> RegisterOperation {
    let (invoked, completed) = (Instant::from_micros(from), Instant::from_micros(to));
    RegisterOperation {
        key: 3,
        process,
        action,
        interval: Interval { invoked, completed },
        completion: Completion::Ok,
    }
}

const fn read(value: i64, from: u64, to: u64) -> RegisterOperation {
    operation(7, Action::Read(Some(value)), from, to)
}

const fn write(value: i64, from: u64, to: u64) -> RegisterOperation {
    operation(8, Action::Write(value), from, to)
}

const fn cas(from: i64, to: i64, invoked: u64, completed: u64) -> RegisterOperation {
    operation(9, Action::Cas { from, to }, invoked, completed)
}

const fn indefinite(operation: RegisterOperation) -> RegisterOperation {
    RegisterOperation { completion: Completion::Info, ..operation }
}

fn is_valid(operations: &[RegisterOperation]) -> bool {
    check(operations, STEPS).verdict == Verdict::Valid
}

#[test]
fn operations_that_overlap_have_any_order() {
    assert!(is_valid(&[write(1, 0, 10), write(2, 0, 10), read(1, 11, 12)]));
    assert!(is_valid(&[write(1, 0, 10), write(2, 0, 10), read(2, 11, 12)]));
    assert!(is_valid(&[write(1, 0, 10), write(2, 0, 10), read(1, 5, 6), read(2, 7, 8)]));
    assert!(!is_valid(&[write(1, 0, 10), write(2, 0, 10), read(1, 11, 12), read(2, 13, 14)]));
}

#[test]
fn what_was_answered_is_seen_by_what_is_asked_later() {
    assert!(!is_valid(&[write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)]));
    assert!(is_valid(&[write(1, 0, 1), write(2, 2, 4), read(1, 4, 5)]), "in the same microsecond");
    assert!(!is_valid(&[read(1, 0, 1), write(1, 2, 3)]), "nothing is read before it is written");
    assert!(is_valid(&[operation(1, Action::Read(None), 0, 1), write(1, 2, 3)]));
    assert!(!is_valid(&[write(1, 2, 3), operation(1, Action::Read(None), 4, 5)]));
}

#[test]
fn a_cas_needs_the_value_that_it_replaces() {
    assert!(is_valid(&[write(1, 0, 1), cas(1, 2, 2, 3), read(2, 4, 5)]));
    assert!(!is_valid(&[write(1, 0, 1), cas(2, 3, 2, 3)]));
    assert!(!is_valid(&[write(1, 0, 1), cas(1, 2, 2, 4), cas(1, 3, 2, 4)]), "one of them has to fail");
    assert!(!is_valid(&[cas(1, 2, 0, 1)]), "there is nothing yet");
}

#[test]
fn an_indefinite_operation_takes_effect_at_any_later_time_or_never() {
    let lost = indefinite(write(2, 2, 3));
    assert!(is_valid(&[write(1, 0, 1), lost, read(1, 4, 5)]));
    assert!(is_valid(&[write(1, 0, 1), lost, read(1, 4, 5), read(2, 6, 7), read(2, 8, 9)]));
    assert!(!is_valid(&[write(1, 0, 1), lost, read(2, 4, 5), read(1, 6, 7)]));
    assert!(!is_valid(&[write(1, 0, 1), read(2, 0, 1), lost]), "not before its request");
    assert!(is_valid(&[write(1, 0, 1), indefinite(cas(1, 5, 2, 3)), read(5, 9, 9)]));
    assert!(is_valid(&[write(1, 0, 1), indefinite(cas(4, 5, 2, 3)), read(1, 9, 9)]));
}

#[test]
fn what_failed_did_not_happen_and_an_unanswered_read_says_nothing() {
    let failed = RegisterOperation { completion: Completion::Fail, ..write(2, 2, 3) };
    assert!(is_valid(&[write(1, 0, 1), failed, read(1, 4, 5)]));
    assert!(!is_valid(&[write(1, 0, 1), failed, read(2, 4, 5)]));
    assert!(is_valid(&[write(1, 0, 1), indefinite(read(5, 2, 3))]));
    assert_eq!(check(&[failed], STEPS).verdict, Verdict::Unknown);
}

#[test]
fn keys_are_registers_of_their_own() {
    let other = |operation| RegisterOperation { key: 4, ..operation };
    assert!(is_valid(&[write(1, 0, 1), other(write(2, 2, 3)), read(1, 4, 5), other(read(2, 4, 5))]));
    let report = check(&[write(1, 0, 1), other(read(1, 4, 5))], STEPS);
    assert_eq!((report.keys, report.anomalies.listed[0].operation.key), (2, 4));
}

#[test]
fn the_report_says_what_cannot_be_explained() {
    let operations = [
        write(1, 0, 500_000),
        indefinite(write(4, 600_000, 5_600_000)),
        read(1, 700_000, 800_000),
        read(2, 1_100_000, 1_203_000),
        read(9, 2_000_000, 2_100_000),
    ];
    let report = check(&operations, STEPS);
    let anomaly = &report.anomalies.listed[0];
    assert_eq!((anomaly.operation, &anomaly.values[..]), (operations[3], &[Some(1), Some(4)][..]));
    assert_eq!(
        report.explain(),
        [
            "key 3: process 7 read 2 (1.100 s to 1.203 s), but no order of the operations explains it: after all \
          that was answered before, the key could only hold 1 or 4; one order up to there ends with: process 8 \
          wrote 1 (0.000 s to 0.500 s), process 7 read 1 (0.700 s to 0.800 s), process 8 wrote 4 (0.600 s, \
          without an answer); nobody ever tried to write what it saw"
        ]
    );
}

#[test]
fn what_was_seen_has_an_origin_or_none() {
    let origin = |operations: &[RegisterOperation]| check(operations, STEPS).anomalies.listed[0].origin;
    let seen = read(2, 20, 21);
    assert_eq!(origin(&[write(1, 0, 1), seen]), Origin::Nobody);
    let refused = RegisterOperation { completion: Completion::Fail, ..write(2, 2, 3) };
    assert_eq!(origin(&[write(1, 0, 1), refused, seen]), Origin::Failed(refused));
    let later = write(2, 30, 31);
    assert_eq!(origin(&[write(1, 0, 1), seen, later]), Origin::Later(later));
    assert_eq!(origin(&[write(2, 0, 1), write(1, 2, 3), seen]), Origin::Written);
}

/// The write that was answered last before the read; where the read saw that one, the one of which somebody knew later.
#[test]
fn an_operation_is_without_the_newest_write_that_it_should_have_gone_by() {
    let missed = |operations: &[RegisterOperation]| {
        check(operations, STEPS).anomalies.listed[0].missed_write().copied()
    };
    let (one, two) = (write(1, 0, 1), write(2, 2, 3));
    assert_eq!(missed(&[one, two, read(1, 4, 5)]), Some(two));
    let lasts = write(3, 4, 20);
    assert_eq!(missed(&[one, two, lasts, read(1, 6, 7)]), Some(two));
    assert_eq!(missed(&[one, two, lasts, read(3, 6, 7), read(2, 8, 9)]), Some(lasts));
}

#[test]
fn a_search_that_takes_too_long_is_unknown() {
    let operations = [write(1, 0, 1), read(1, 2, 3)];
    assert_eq!(check(&operations, 1).verdict, Verdict::Unknown);
    assert_eq!(check(&operations, 1).explain().len(), 1);
    let invalid = [write(1, 0, 1), read(2, 2, 3)];
    assert_eq!(check(&invalid, 1).verdict, Verdict::Unknown);
    assert_eq!(check(&invalid, STEPS).verdict, Verdict::Invalid);
}

#[test]
fn times_that_make_no_sense_do_no_harm() {
    assert!(is_valid(&[write(1, 5, 2), read(1, 9, 0)]));
}

/// Whether there is an order, by trying all; the values that it can end with, if so.
fn orders(operations: &[RegisterOperation]) -> BTreeSet<Option<i64>> {
    fn go(left: &[RegisterOperation], value: Option<i64>, ends: &mut BTreeSet<Option<i64>>) {
        if left.iter().all(|of| of.completion == Completion::Info) {
            ends.insert(value);
        }
        for (place, next) in left.iter().enumerate() {
            let must_wait = left
                .iter()
                .any(|of| of.completion == Completion::Ok && of.interval.completed < next.interval.invoked);
            let value = match next.action {
                _ if must_wait => continue,
                Action::Read(read) if read != value => continue,
                Action::Cas { from, .. } if value != Some(from) => continue,
                Action::Read(_) => value,
                Action::Write(to) | Action::Cas { to, .. } => Some(to),
            };
            let rest: Vec<_> = [&left[..place], &left[place + 1..]].concat();
            go(&rest, value, ends);
        }
    }
    let mut ends = BTreeSet::new();
    let happened: Vec<_> =
        operations.iter().filter(|of| of.completion != Completion::Fail).copied().collect();
    go(&happened, None, &mut ends);
    ends
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => prop::option::weighted(0.9, 0..3i64).prop_map(Action::Read),
        3 => (0..3i64).prop_map(Action::Write),
        2 => (0..3i64, 0..3i64).prop_map(|(from, to)| Action::Cas { from, to }),
    ]
}

fn completion() -> impl Strategy<Value = Completion> {
    prop_oneof![6 => Just(Completion::Ok), 2 => Just(Completion::Info), 1 => Just(Completion::Fail)]
}

/// Operations whose times may be equal.
fn history() -> impl Strategy<Value = Vec<RegisterOperation>> {
    let operation =
        (action(), completion(), 0..20u64, 0..8u64).prop_map(|(action, completion, from, took)| {
            RegisterOperation { completion, ..operation(0, action, from, from + took) }
        });
    prop::collection::vec(operation, 0..7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn agrees_with_trying_all_orders(history in history()) {
        let verdict = match history.iter().any(|of| of.completion == Completion::Ok) {
            _ if orders(&history).is_empty() => Verdict::Invalid,
            false => Verdict::Unknown,
            true => Verdict::Valid,
        };
        prop_assert_eq!(check(&history, STEPS).verdict, verdict);
    }

    /// With what was answered before it there is an order, with it there is none, and all values are told.
    #[test]
    fn an_anomaly_is_the_first_answer_that_nothing_explains(
        actions in prop::collection::vec((action(), completion()), 1..7),
        times in Just((0..14).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let history: Vec<_> = actions.iter().zip(times.chunks(2)).map(|(&(action, completion), times)| {
            let (from, to) = (times[0].min(times[1]), times[0].max(times[1]));
            RegisterOperation { completion, ..operation(0, action, from, to) }
        }).collect();
        let report = check(&history, STEPS);
        let Some(anomaly) = report.anomalies.listed.first() else { return Ok(()) };

        // What the test had seen by that time: what was asked before it, and answered until then.
        let answered = anomaly.operation.interval.completed;
        let until = |is_seen: &dyn Fn(Instant) -> bool| -> Vec<_> {
            let asked = history.iter().filter(|of| of.interval.invoked < answered);
            let unseen = |of: &&RegisterOperation| of.completion == Completion::Ok && !is_seen(of.interval.completed);
            asked
                .filter(|of| !(unseen(of) && matches!(of.action, Action::Read(_))))
                .map(|of| if unseen(&of) { indefinite(*of) } else { *of })
                .collect()
        };
        prop_assert!(orders(&until(&|completed| completed <= answered)).is_empty());
        let before = until(&|completed| completed < answered);
        prop_assert_eq!(Vec::from_iter(orders(&before)), &anomaly.values[..]);
        prop_assert!(before.iter().all(|of| of.completion != Completion::Ok || anomaly.order.contains(of)));
    }

    /// Whatever a real register does is explained.
    #[test]
    fn a_real_register_is_linearizable(
        operations in prop::collection::vec((action(), completion(), 0..30u64, 0..30u64), 1..200),
    ) {
        let (mut value, mut moment, mut history) = (None, 100, Vec::new());
        for (action, completion, before, after) in operations {
            moment += 5;
            // An operation that is not answered may also have done nothing.
            let happens = completion == Completion::Ok || (completion == Completion::Info && after % 2 == 0);
            let (action, to, completion) = match action {
                Action::Read(_) => (Action::Read(value), value, completion),
                Action::Write(to) => (action, Some(to), completion),
                Action::Cas { from, to } if value == Some(from) => (action, Some(to), completion),
                Action::Cas { .. } if completion == Completion::Info => (action, value, completion),
                Action::Cas { .. } => (action, value, Completion::Fail),
            };
            if happens {
                value = to;
            }
            history.push(RegisterOperation { completion, ..operation(0, action, moment - before, moment + after) });
        }
        let verdict = check(&history, STEPS).verdict;
        let any = history.iter().any(|of| of.completion == Completion::Ok);
        prop_assert_eq!(verdict, if any { Verdict::Valid } else { Verdict::Unknown });
    }
}
