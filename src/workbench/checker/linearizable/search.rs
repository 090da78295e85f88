//! The search for an order of one key's operations.
//!
//! It is that of Wing and Gong (1993), with Lowe's memory of configurations (2017): place any
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

use super::super::Completion;
use super::operation::{Action, RegisterOperation};

/// Operations in a word of a bitmap.
const WORD: usize = u64::BITS as usize;

/// How a search ended.
pub(super) enum SearchEnd {
    Explained,
    /// With this operation there is no order; with those before it there is.
    Stuck(RegisterOperation, DeadEnd),
    TookTooLong,
}

/// The search for an order of one key's operations.
///
/// What can be placed is called a choice, and has a number: first come the operations that succeeded, in
/// the order of their answers; then each sort of indefinite operations, of which the next one is meant.
pub(super) struct Search<'a> {
    /// Those that succeeded.
    sure: Vec<&'a RegisterOperation>,
    /// Those that are indefinite, by what they do, in the order of their requests.
    indefinite: Vec<Vec<&'a RegisterOperation>>,
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
    operation: &'a RegisterOperation,
    choice: usize,
    value: Option<i64>,
    first: usize,
}

/// The furthest that [`Search::first`] was where nothing fitted.
pub(super) struct DeadEnd {
    first: usize,
    /// An order that led there.
    pub(super) order: Vec<RegisterOperation>,
    /// What the register held there, in any order.
    pub(super) values: BTreeSet<Option<i64>>,
}

impl<'a> Search<'a> {
    pub(super) fn new(operations: &[&'a RegisterOperation], steps: u64) -> Self {
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

    pub(super) fn run(mut self) -> SearchEnd {
        let (end_of_sure, end) = (self.sure.len(), self.sure.len() + self.indefinite.len());
        self.place_reads();
        let mut choice = self.next[end_of_sure];
        while self.first < self.sure.len() {
            if self.steps == 0 {
                return SearchEnd::TookTooLong;
            }
            self.steps -= 1;
            if choice == end {
                self.note_dead_end();
                match self.take_back() {
                    Some(following) => choice = following,
                    None => return SearchEnd::Stuck(*self.sure[self.furthest.first], self.furthest),
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
        SearchEnd::Explained
    }

    /// The choice after this one: the ring of those that succeeded ends at the number of the first sort of
    /// indefinite ones.
    fn following(&self, choice: usize) -> usize {
        if choice < self.sure.len() { self.next[choice] } else { choice + 1 }
    }

    /// Whether it was invoked before any of those that have to be placed was answered.
    fn may_come_next(&self, operation: &RegisterOperation) -> bool {
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

    fn place(&mut self, choice: usize, operation: &'a RegisterOperation, value: Option<i64>) {
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
}
