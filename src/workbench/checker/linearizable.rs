//! Linearizable registers: each key's operations can be put in an order in which each of them takes effect at
//! one moment between its request and its answer, and each answer is right.
//!
//! A key is a register that holds nothing at first, and is read, written, and compared and set. What a
//! definite failure says of the register is not made use of, as in Maelstrom: such an operation did not happen.
//! An indefinite one may take effect at any time after its request, or never.
//!
//! The search is that of Wing and Gong (1993), with Lowe's memory of configurations (2017): place any
//! operation that may come next, that is, whose request left before the answer to any other that has to be
//! placed came; go on; where nothing fits, take back. A configuration is which operations are placed, and what
//! the register then holds. Three things keep it short:
//!
//! - A read that fits is placed at once, and never taken back alone: it changes nothing, so whatever order
//!   there is has room for it here.
//! - Of indefinite operations that do the same, the one that was invoked first is placed first.
//! - A configuration is not entered if one with the same successes and the same value was, that took no other
//!   indefinite operations: what can be done here could be done there. So what succeeded is tried first.
//!
//! In the worst case it takes exponential time all the same (the problem is NP-complete), so it has a limit
//! on its steps.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::{Completion, Findings, Interval, Seconds, Verdict};
use crate::time::Instant;

/// Operations in a word of a bitmap.
const WORD: usize = u64::BITS as usize;

/// An operation on one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The key.
    pub key: i64,
    /// Who asked: the process of the history.
    pub process: u64,
    /// What was asked; for a read that succeeded, also the answer.
    pub action: Action,
    /// When.
    pub interval: Interval,
    /// How it ended. Reads count only if they succeeded.
    pub completion: Completion,
}

/// What is done to a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Returns what the register holds. Maelstrom counts a read that finds nothing as a failure; one that is
    /// given here as a success with `None` has to be explained.
    Read(Option<i64>),
    /// Makes it hold a value.
    Write(i64),
    /// Makes it hold `to`, if it holds `from`.
    Cas {
        /// What it has to hold.
        from: i64,
        /// What it holds then.
        to: i64,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Invalid if a key is not linearizable; unknown if none is known not to be and the search for some took too
    /// long, or if there is nothing to explain.
    pub verdict: Verdict,
    /// How many keys there are.
    pub keys: usize,
    /// How many operations succeeded, which is how many had to be explained.
    pub explained: usize,
    /// The keys that are not linearizable, in order.
    pub anomalies: Findings<Anomaly>,
    /// The keys whose search took too long, in order.
    pub undecided: Findings<i64>,
}

/// Why a key is not linearizable: all operations that were answered before this one was can be explained, and
/// with this one they cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// The operation.
    pub operation: Operation,
    /// An order, as long as any that was found, that explains all that were answered before.
    pub order: Vec<Operation>,
    /// All that the register could hold when the operation took effect.
    pub values: Vec<Option<i64>>,
}

/// Checks each key's operations.
///
/// For each key the search may take so many steps: looks at an operation that might come next, or at a
/// configuration that is remembered. A hundred million take some seconds and, at worst, some hundred megabytes.
/// Most keys take far less: a thousand operations of about ten clients a millisecond where there is an order, and
/// a second where there is none and one in twenty operations is indefinite.
pub fn check(operations: &[Operation], steps: u64) -> Report {
    let mut keys = BTreeMap::<i64, Vec<&Operation>>::new();
    for operation in operations {
        keys.entry(operation.key).or_default().push(operation);
    }
    let (mut anomalies, mut undecided) = (Vec::new(), Vec::new());
    for (&key, operations) in &keys {
        match Search::new(operations, steps).run() {
            Outcome::Explained => {}
            Outcome::Stuck(anomaly) => anomalies.push(anomaly),
            Outcome::TookTooLong => undecided.push(key),
        }
    }
    let explained = operations.iter().filter(|operation| operation.completion == Completion::Ok).count();
    let verdict = if !anomalies.is_empty() {
        Verdict::Invalid
    } else if !undecided.is_empty() || explained == 0 {
        Verdict::Unknown
    } else {
        Verdict::Valid
    };
    Report {
        verdict,
        keys: keys.len(),
        explained,
        anomalies: anomalies.into_iter().collect(),
        undecided: undecided.into_iter().collect(),
    }
}

enum Outcome {
    Explained,
    Stuck(Anomaly),
    TookTooLong,
}

/// The search for an order of one key's operations.
///
/// What can be placed is called a choice, and has a number: first come the operations that succeeded, in
/// the order of their answers; then each sort of indefinite operations, of which the next one is meant.
struct Search<'a> {
    /// Those that succeeded.
    sure: Vec<&'a Operation>,
    /// Those that are indefinite, by what they do, in the order of their requests.
    indefinite: Vec<Vec<&'a Operation>>,
    /// Those that succeeded and are not placed, in the order of their requests: a ring through the number after
    /// the last of them.
    next: Vec<usize>,
    previous: Vec<usize>,
    /// A bit for each that succeeded.
    is_placed: Vec<u64>,
    /// How many of each sort of indefinite operations are placed.
    used: Vec<usize>,
    placed: Vec<Placed<'a>>,
    /// What the register holds after them.
    value: Option<i64>,
    /// The first that succeeded and is not placed: what may come next was invoked before it was answered.
    first: usize,
    /// What `used` was when a configuration was entered.
    entered: HashMap<Configuration, Vec<Box<[usize]>>>,
    /// How many more may be taken.
    steps: u64,
    furthest: DeadEnd,
}

/// Which of those that succeeded are placed, and what the register then holds.
#[derive(PartialEq, Eq, Hash)]
struct Configuration {
    /// How many words of the bitmap are full.
    full: usize,
    /// The others, up to the last that is not empty: one or two.
    others: Box<[u64]>,
    value: Option<i64>,
}

/// A placed operation, and how things stood before.
struct Placed<'a> {
    operation: &'a Operation,
    choice: usize,
    value: Option<i64>,
    first: usize,
}

/// The furthest that [`Search::first`] was where nothing fitted.
struct DeadEnd {
    first: usize,
    /// An order that led there.
    order: Vec<Operation>,
    /// What the register held there, in any order.
    values: BTreeSet<Option<i64>>,
}

impl<'a> Search<'a> {
    fn new(operations: &[&'a Operation], steps: u64) -> Self {
        let ended = |completion| operations.iter().copied().filter(move |of| of.completion == completion);
        let mut sure: Vec<_> = ended(Completion::Ok).collect();
        sure.sort_by_key(|operation| operation.answered());
        let mut by_request: Vec<_> = (0..sure.len()).collect();
        by_request.sort_by_key(|&choice| sure[choice].interval.invoked);
        let end = sure.len();
        let (mut next, mut previous) = (vec![end; end + 1], vec![end; end + 1]);
        for choice in by_request {
            let last = previous[end];
            (next[last], previous[choice]) = (choice, last);
            previous[end] = choice;
        }

        let mut sorts = BTreeMap::<Action, Vec<_>>::new();
        for operation in ended(Completion::Info).filter(|of| !matches!(of.action, Action::Read(_))) {
            sorts.entry(operation.action).or_default().push(operation);
        }
        let mut indefinite: Vec<_> = sorts.into_values().collect();
        for sort in &mut indefinite {
            sort.sort_by_key(|operation| operation.interval.invoked);
        }
        Self {
            next,
            previous,
            is_placed: vec![0; sure.len().div_ceil(WORD)],
            used: vec![0; indefinite.len()],
            sure,
            indefinite,
            placed: Vec::new(),
            value: None,
            first: 0,
            entered: HashMap::new(),
            steps,
            furthest: DeadEnd { first: 0, order: Vec::new(), values: BTreeSet::new() },
        }
    }

    fn run(mut self) -> Outcome {
        let (end_of_sure, end) = (self.sure.len(), self.sure.len() + self.indefinite.len());
        self.place_reads();
        let mut choice = self.next[end_of_sure];
        while self.first < self.sure.len() {
            if self.steps == 0 {
                return Outcome::TookTooLong;
            }
            self.steps -= 1;
            if choice == end {
                self.note_dead_end();
                match self.take_back() {
                    Some(following) => choice = following,
                    None => return Outcome::Stuck(self.anomaly()),
                }
                continue;
            }
            let operation = match self.sure.get(choice) {
                Some(operation) => Some(*operation),
                None => self.indefinite[choice - end_of_sure].get(self.used[choice - end_of_sure]).copied(),
            };
            choice = match operation {
                Some(operation) if self.may_come_next(operation) => match operation.effect(self.value) {
                    Some(value) => {
                        self.place(choice, operation, Some(value));
                        self.place_reads();
                        if self.enter() { self.next[end_of_sure] } else { end }
                    }
                    None => self.following(choice),
                },
                // Nor may the others that were invoked later.
                _ => self.following(choice).max(end_of_sure),
            };
        }
        Outcome::Explained
    }

    /// The choice after this one: the ring of those that succeeded ends at the number of the first sort of
    /// indefinite ones.
    fn following(&self, choice: usize) -> usize {
        if choice < self.sure.len() { self.next[choice] } else { choice + 1 }
    }

    /// Whether it was invoked before any of those that have to be placed was answered.
    fn may_come_next(&self, operation: &Operation) -> bool {
        self.sure.get(self.first).is_some_and(|first| operation.interval.invoked <= first.answered())
    }

    /// Places all reads that fit. One that does not fit now will not for as long as the value stays.
    fn place_reads(&mut self) {
        let mut choice = self.next[self.sure.len()];
        while let Some(&operation) = self.sure.get(choice).filter(|of| self.may_come_next(of)) {
            self.steps = self.steps.saturating_sub(1);
            let following = self.next[choice];
            if operation.action == Action::Read(self.value) {
                self.place(choice, operation, self.value);
            }
            choice = following;
        }
    }

    fn place(&mut self, choice: usize, operation: &'a Operation, value: Option<i64>) {
        self.placed.push(Placed { operation, choice, value: self.value, first: self.first });
        self.value = value;
        if let Some(sort) = choice.checked_sub(self.sure.len()) {
            self.used[sort] += 1;
            return;
        }
        let (previous, next) = (self.previous[choice], self.next[choice]);
        (self.next[previous], self.previous[next]) = (next, previous);
        self.is_placed[choice / WORD] |= 1 << (choice % WORD);
        while self.is_placed.get(self.first / WORD).is_some_and(|word| word >> (self.first % WORD) & 1 == 1) {
            self.first += 1;
        }
    }

    /// Takes back the newest write or cas, and the reads after it; the choice that follows it. `None` if no
    /// write or cas is placed.
    fn take_back(&mut self) -> Option<usize> {
        while let Some(Placed { operation, choice, value, first }) = self.placed.pop() {
            (self.value, self.first) = (value, first);
            if let Some(sort) = choice.checked_sub(self.sure.len()) {
                self.used[sort] -= 1;
            } else {
                let (previous, next) = (self.previous[choice], self.next[choice]);
                (self.next[previous], self.previous[next]) = (choice, choice);
                self.is_placed[choice / WORD] &= !(1 << (choice % WORD));
            }
            if !matches!(operation.action, Action::Read(_)) {
                return Some(self.following(choice));
            }
        }
        None
    }

    /// Remembers the configuration; whether it promises more than those that are remembered: with the same placed
    /// and the same value, each of them took an indefinite operation that this one still has.
    fn enter(&mut self) -> bool {
        let words = &self.is_placed[..];
        let full = words.iter().take_while(|&&word| word == u64::MAX).count();
        let end = words.iter().rposition(|&word| word != 0).map_or(full, |last| last + 1);
        let configuration = Configuration { full, others: words[full..end].into(), value: self.value };
        let entered = self.entered.entry(configuration).or_default();

        let no_more = |those: &[usize]| those.iter().zip(&self.used).all(|(those, these)| those <= these);
        let known = entered.iter().position(|those| no_more(those));
        let looked_at = known.map_or(entered.len(), |place| place + 1);
        self.steps = self.steps.saturating_sub(looked_at as u64);
        let is_new = known.is_none();
        if is_new {
            entered.push(self.used[..].into());
        }
        is_new
    }

    fn note_dead_end(&mut self) {
        if self.first > self.furthest.first || self.furthest.values.is_empty() {
            let order = self.placed.iter().map(|placed| *placed.operation).collect();
            self.furthest = DeadEnd { first: self.first, order, values: BTreeSet::new() };
        }
        if self.first == self.furthest.first {
            self.furthest.values.insert(self.value);
        }
    }

    fn anomaly(self) -> Anomaly {
        let DeadEnd { first, order, values } = self.furthest;
        Anomaly { operation: *self.sure[first], order, values: values.into_iter().collect() }
    }
}

impl Operation {
    /// When the answer came; not before the request, whatever the history says.
    fn answered(&self) -> Instant {
        self.interval.completed.max(self.interval.invoked)
    }

    /// What it puts in the place of `value`, if it is a write or cas that can succeed there.
    fn effect(&self, value: Option<i64>) -> Option<i64> {
        match self.action {
            Action::Write(to) => Some(to),
            Action::Cas { from, to } if value == Some(from) => Some(to),
            Action::Read(_) | Action::Cas { .. } => None,
        }
    }
}

/// `process 7 read 2 (1.100 s to 1.203 s)`
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ", self.process)?;
        match self.action {
            Action::Read(value) => write!(f, "read {}", Held(value)),
            Action::Write(value) => write!(f, "wrote {value}"),
            Action::Cas { from, to } => write!(f, "changed {from} to {to}"),
        }?;
        match self.completion {
            Completion::Ok => {
                write!(f, " ({} to {})", Seconds(self.interval.invoked), Seconds(self.interval.completed))
            }
            Completion::Fail => write!(f, " ({}, failed)", Seconds(self.interval.invoked)),
            Completion::Info => write!(f, " ({}, without an answer)", Seconds(self.interval.invoked)),
        }
    }
}

/// What a register holds, in words.
struct Held(Option<i64>);

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => write!(f, "{value}"),
            None => f.write_str("nothing"),
        }
    }
}

impl Report {
    /// Why it is not valid.
    pub fn explain(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.explained == 0 {
            sentences.push("no operation succeeded, so nothing can be said about them".to_owned());
        }
        self.anomalies.explain(&mut sentences, Anomaly::explain);
        self.undecided.explain(&mut sentences, |key| {
            format!("nobody knows whether the operations on key {key} have an order that explains them: the search took too long")
        });
        sentences
    }
}

impl Anomaly {
    fn explain(&self) -> String {
        const VALUES: usize = 8;
        const OPERATIONS: usize = 5;

        let (operation, key) = (self.operation, self.operation.key);
        let mut values: Vec<_> =
            self.values.iter().take(VALUES).map(|&value| Held(value).to_string()).collect();
        if self.values.len() > VALUES {
            values.push("…".to_owned());
        }
        let values = values.join(" or ");
        let mut sentence = format!(
            "key {key}: {operation}, but no order of the operations explains it: after all that was answered before, \
             the key could only hold {values}"
        );
        let last = self.order.len().saturating_sub(OPERATIONS);
        if let Some(last) = self.order.get(last..).filter(|last| !last.is_empty()) {
            let last: Vec<_> = last.iter().map(Operation::to_string).collect();
            sentence += "; one order up to there ends with: ";
            sentence += &last.join(", ");
        }
        if operation.action == Action::Read(None) {
            sentence += ". Maelstrom would not have noticed: it takes such an answer for none";
        }
        sentence
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STEPS: u64 = 1_000_000;

    const fn operation(process: u64, action: Action, from: u64, to: u64) -> Operation {
        let (invoked, completed) = (Instant::from_micros(from), Instant::from_micros(to));
        Operation {
            key: 3,
            process,
            action,
            interval: Interval { invoked, completed },
            completion: Completion::Ok,
        }
    }

    const fn read(value: i64, from: u64, to: u64) -> Operation {
        operation(7, Action::Read(Some(value)), from, to)
    }

    const fn write(value: i64, from: u64, to: u64) -> Operation {
        operation(8, Action::Write(value), from, to)
    }

    const fn cas(from: i64, to: i64, invoked: u64, completed: u64) -> Operation {
        operation(9, Action::Cas { from, to }, invoked, completed)
    }

    const fn indefinite(operation: Operation) -> Operation {
        Operation { completion: Completion::Info, ..operation }
    }

    fn is_valid(operations: &[Operation]) -> bool {
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
        let failed = Operation { completion: Completion::Fail, ..write(2, 2, 3) };
        assert!(is_valid(&[write(1, 0, 1), failed, read(1, 4, 5)]));
        assert!(!is_valid(&[write(1, 0, 1), failed, read(2, 4, 5)]));
        assert!(is_valid(&[write(1, 0, 1), indefinite(read(5, 2, 3))]));
        assert_eq!(check(&[failed], STEPS).verdict, Verdict::Unknown);
    }

    #[test]
    fn keys_are_registers_of_their_own() {
        let other = |operation| Operation { key: 4, ..operation };
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
              without an answer)"
            ]
        );
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
    fn orders(operations: &[Operation]) -> BTreeSet<Option<i64>> {
        fn go(left: &[Operation], value: Option<i64>, ends: &mut BTreeSet<Option<i64>>) {
            if left.iter().all(|of| of.completion == Completion::Info) {
                ends.insert(value);
            }
            for (place, next) in left.iter().enumerate() {
                let must_wait = left.iter().any(|of| {
                    of.completion == Completion::Ok && of.interval.completed < next.interval.invoked
                });
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
    fn history() -> impl Strategy<Value = Vec<Operation>> {
        let operation =
            (action(), completion(), 0..20u64, 0..8u64).prop_map(|(action, completion, from, took)| {
                Operation { completion, ..operation(0, action, from, from + took) }
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
                Operation { completion, ..operation(0, action, from, to) }
            }).collect();
            let report = check(&history, STEPS);
            let Some(anomaly) = report.anomalies.listed.first() else { return Ok(()) };

            // What the test had seen by that time: what was asked before it, and answered until then.
            let answered = anomaly.operation.interval.completed;
            let until = |is_seen: &dyn Fn(Instant) -> bool| -> Vec<_> {
                let asked = history.iter().filter(|of| of.interval.invoked < answered);
                let unseen = |of: &&Operation| of.completion == Completion::Ok && !is_seen(of.interval.completed);
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
                history.push(Operation { completion, ..operation(0, action, moment - before, moment + after) });
            }
            let verdict = check(&history, STEPS).verdict;
            let any = history.iter().any(|of| of.completion == Completion::Ok);
            prop_assert_eq!(verdict, if any { Verdict::Valid } else { Verdict::Unknown });
        }
    }
}
