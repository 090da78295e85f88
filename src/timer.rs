//! Timers: a hashed wheel, after Varghese and Lauck, for everything in a node that waits.
//!
//! A deadline hashes to a slot by its tick, so to start or to cancel a timer is to change a few
//! links, with a million pending as with one. A tick is only the width of a bucket: deadlines are kept to the
//! microsecond, and no timer fires early or out of order.
//!
//! A slot is a doubly linked list, threaded through the entries: a new timer is linked in front, a
//! cancelled one is cut out. A textbook wheel walks a slot's list in each turn, for those whose turn
//! it is, and once more whenever the earliest is cancelled. Here the first walk leaves order behind:
//! it melds the list into a pairing heap (Fredman, Sedgewick, Sleator and Tarjan, 1986), whose root
//! is the slot's earliest. So a slot is a list of heaps, most of them a single entry. A million timers
//! in one slot cost what a heap costs, and timers that are many turns away are not visited at all.

use std::mem;
use std::num::NonZeroU64;

use slab::Slab;

use crate::time::Instant;

/// A tick is 2^10 µs: about a millisecond, and a shift instead of a division.
const TICK_BITS: u32 = 10;

/// A turn of the wheel is 4.2 s, which covers the usual timeouts: the next deadline is then found
/// in the slots just ahead. The slots take 96 KiB, which a second-level cache holds.
const SLOTS: usize = 4096;

/// Slots in a word of the occupancy bitmap.
const WORD: usize = u64::BITS as usize;

/// Words in the occupancy bitmap.
const WORDS: usize = SLOTS / WORD;

/// A slab with room for no more timers than this is left alone; from a larger one memory goes back.
const ROOM_KEPT: usize = 4096;

/// The end of a list.
const NIL: usize = usize::MAX;

/// Values that wait for their deadlines.
///
/// The wheel reads no clock: [`next_deadline`](Self::next_deadline) says when to come back, and
/// [`pop_expired`](Self::pop_expired), called until it returns `None`, hands out what is due. Timers
/// may be started and cancelled between two pops.
#[derive(Debug)]
pub struct Wheel<T> {
    entries: Slab<Entry<T>>,
    slots: Box<[Slot]>,
    /// One bit a slot, set if the slot is not empty.
    occupied: [u64; WORDS],
    /// Bounds all entries, and the bounds of all slots.
    earliest: Bound,
    /// The sequence number of the next entry.
    sequence: NonZeroU64,
    /// Entries removed since memory was last given back.
    removed: usize,
}

/// Names one timer of one [`Wheel`], for [`Wheel::cancel`]. It never comes to name another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerKey {
    index: usize,
    sequence: NonZeroU64,
}

/// A node of a heap: due no later than any of its children.
#[derive(Debug)]
struct Entry<T> {
    deadline: Instant,
    /// Counts inserts: it orders equal deadlines, and tells this entry from the others that have
    /// had its place in the slab.
    sequence: NonZeroU64,
    /// The first of its children.
    child: usize,
    /// The sibling after this one.
    next: usize,
    /// The sibling before this one, or the parent of a first child. Means nothing in the first
    /// entry of a slot.
    previous: usize,
    value: T,
}

/// The entries whose ticks are equal modulo [`SLOTS`].
#[derive(Clone, Debug)]
struct Slot {
    /// The first of a list of heaps.
    first: usize,
    earliest: Bound,
}

/// What is known of the earliest of some deadlines: none comes before this one.
#[derive(Clone, Copy, Debug)]
struct Bound {
    deadline: Instant,
    /// Whether it is one of them, and not one that has been removed.
    exact: bool,
}

impl<T> Wheel<T> {
    /// A wheel without timers.
    pub fn new() -> Self {
        let empty = Slot { first: NIL, earliest: Bound::NONE };
        Self {
            entries: Slab::new(),
            slots: vec![empty; SLOTS].into_boxed_slice(),
            occupied: [0; WORDS],
            earliest: Bound::NONE,
            sequence: NonZeroU64::MIN,
            removed: 0,
        }
    }

    /// How many timers are pending.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no timer is pending.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Starts a timer, in constant time. If its deadline has passed, it is due at once.
    pub fn insert(&mut self, deadline: Instant, value: T) -> TimerKey {
        let sequence = self.sequence;
        self.sequence = sequence.saturating_add(1);
        let (child, next, previous) = (NIL, NIL, NIL);
        let entry = Entry { deadline, sequence, child, next, previous, value };
        let index = self.entries.insert(entry);

        let slot = slot_of(deadline);
        self.link(slot, index);
        self.slots[slot].earliest.insert(deadline);
        self.earliest.insert(deadline);
        TimerKey { index, sequence }
    }

    /// Stops a timer and returns its value; `None` if it has fired or was cancelled before.
    ///
    /// Takes constant time while the timer's slot is a plain list, which is until it comes up as the
    /// one with the earliest deadline; from then on a time logarithmic in the slot's population,
    /// amortized.
    pub fn cancel(&mut self, key: TimerKey) -> Option<T> {
        let entry = self.entries.get(key.index)?;
        (entry.sequence == key.sequence).then(|| self.remove(key.index).value)
    }

    /// The next timer that is due at `now`, with its deadline; `None` if none is.
    ///
    /// Timers fire in the order of their deadlines, and of their inserts where these are equal.
    pub fn pop_expired(&mut self, now: Instant) -> Option<(Instant, T)> {
        let deadline = self.next_deadline().filter(|&deadline| deadline <= now)?;
        let root = self.settle(slot_of(deadline));
        Some((deadline, self.remove(root).value))
    }

    /// The earliest deadline; `None` if no timer is pending.
    ///
    /// It is known until the earliest timer is removed. Then the slots ahead are searched, as a rule
    /// one or two and at worst all of them, and the one that has it is put in order.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        if self.is_empty() {
            return None;
        }
        while !self.earliest.exact {
            self.earliest = self.search();
            if !self.earliest.exact {
                self.settle(slot_of(self.earliest.deadline));
            }
        }
        Some(self.earliest.deadline)
    }

    /// The earliest of the slots' bounds: the first that falls in the turn which begins here, or else
    /// the least. The bitmap skips time in which nothing is due, however long it is.
    fn search(&self) -> Bound {
        let start = tick(self.earliest.deadline);
        let first = slot_of(self.earliest.deadline);
        let mut after_this_turn = Bound::NONE;
        for step in 0..=WORDS {
            let word = (first / WORD + step) % WORDS;
            let mut occupied = self.occupied[word];
            match step {
                0 => occupied &= u64::MAX << (first % WORD),
                WORDS => occupied &= !(u64::MAX << (first % WORD)),
                _ => {}
            }
            while occupied != 0 {
                let slot = word * WORD + occupied.trailing_zeros() as usize;
                let bound = self.slots[slot].earliest;
                if tick(bound.deadline) - start < SLOTS as u64 {
                    return bound;
                }
                if bound.deadline <= after_this_turn.deadline {
                    after_this_turn = bound;
                }
                occupied &= occupied - 1;
            }
        }
        after_this_turn
    }

    /// Melds a slot, which is not empty, into one heap, and returns its root.
    fn settle(&mut self, slot: usize) -> usize {
        let heaps = mem::replace(&mut self.slots[slot].first, NIL);
        let root = self.meld_all(heaps);
        self.link(slot, root);
        self.slots[slot].earliest = Bound::exact(self.entries[root].deadline);
        root
    }

    /// Takes an entry out; its children stay in the slot as one heap.
    fn remove(&mut self, index: usize) -> Entry<T> {
        let entry = self.entries.remove(index);
        let slot = slot_of(entry.deadline);
        self.unlink(slot, index, &entry);
        if entry.child != NIL {
            let children = self.meld_all(entry.child);
            self.link(slot, children);
        }
        self.slots[slot].earliest.remove(entry.deadline);
        self.earliest.remove(entry.deadline);
        if self.slots[slot].first == NIL {
            self.slots[slot].earliest = Bound::NONE;
            self.occupied[slot / WORD] &= !(1 << (slot % WORD));
        }
        if self.is_empty() {
            self.earliest = Bound::NONE;
        }
        self.give_memory_back();
        entry
    }

    /// Puts a heap in front of a slot's list.
    fn link(&mut self, slot: usize, root: usize) {
        let next = mem::replace(&mut self.slots[slot].first, root);
        self.join(root, next);
        self.occupied[slot / WORD] |= 1 << (slot % WORD);
    }

    /// Cuts `entry`, which was at `index`, out of the list that it is in.
    fn unlink(&mut self, slot: usize, index: usize, entry: &Entry<T>) {
        if self.slots[slot].first == index {
            self.slots[slot].first = entry.next;
        } else if self.entries[entry.previous].child == index {
            self.entries[entry.previous].child = entry.next;
        } else {
            self.entries[entry.previous].next = entry.next;
        }
        if let Some(next) = self.entries.get_mut(entry.next) {
            next.previous = entry.previous;
        }
    }

    /// Makes `next`, which may be `NIL`, follow `index` in a list.
    fn join(&mut self, index: usize, next: usize) {
        self.entries[index].next = next;
        if let Some(next) = self.entries.get_mut(next) {
            next.previous = index;
        }
    }

    /// Melds a list of heaps into one: in pairs first, then each pair into the rest, from the last.
    /// It is this order that makes a pairing heap logarithmic.
    fn meld_all(&mut self, mut rest: usize) -> usize {
        let mut pairs = NIL;
        while let Some(first) = self.entries.get(rest) {
            let (a, b) = (rest, first.next);
            rest = self.entries.get(b).map_or(NIL, |second| second.next);
            let pair = self.meld(a, b);
            self.entries[pair].next = mem::replace(&mut pairs, pair);
        }
        let mut root = NIL;
        while let Some(pair) = self.entries.get(pairs) {
            let next = pair.next;
            root = self.meld(root, pairs);
            pairs = next;
        }
        root
    }

    /// Melds two heaps, one of which may be `NIL`: the later root becomes a child of the earlier.
    fn meld(&mut self, a: usize, b: usize) -> usize {
        let (Some(in_a), Some(in_b)) = (self.entries.get(a), self.entries.get(b)) else {
            return a.min(b);
        };
        let a_first = (in_a.deadline, in_a.sequence) < (in_b.deadline, in_b.sequence);
        let (root, child) = if a_first { (a, b) } else { (b, a) };
        let next = mem::replace(&mut self.entries[root].child, child);
        self.join(child, next);
        self.entries[child].previous = root;
        root
    }

    /// Lets go of the slab's unused end after a burst of timers.
    ///
    /// That takes a pass over the slab, so it waits until most of it is unused, and until as many
    /// entries were removed as are left.
    fn give_memory_back(&mut self) {
        self.removed += 1;
        let (len, room) = (self.len(), self.entries.capacity());
        if room > ROOM_KEPT && len < room / 4 && len <= self.removed {
            self.entries.shrink_to_fit();
            self.removed = 0;
        }
    }
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl Bound {
    /// Of no deadlines.
    const NONE: Self = Self { deadline: Instant::from_micros(u64::MAX), exact: false };

    const fn exact(deadline: Instant) -> Self {
        Self { deadline, exact: true }
    }

    fn insert(&mut self, deadline: Instant) {
        if deadline <= self.deadline {
            *self = Self::exact(deadline);
        }
    }

    fn remove(&mut self, deadline: Instant) {
        self.exact &= deadline != self.deadline;
    }
}

/// Whole ticks since the start.
const fn tick(deadline: Instant) -> u64 {
    deadline.as_micros() >> TICK_BITS
}

#[expect(clippy::cast_possible_truncation, reason = "below `SLOTS`")]
const fn slot_of(deadline: Instant) -> usize {
    (tick(deadline) % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::collections::btree_map::OccupiedEntry;
    use std::iter;

    use proptest::prelude::*;

    use super::*;
    use crate::time::Duration;

    const TICK: u64 = 1 << TICK_BITS;
    const TURN: u64 = TICK * SLOTS as u64;
    const END_OF_TIME: Instant = Instant::from_micros(u64::MAX);

    const fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    /// A wheel with a timer for each of these deadlines, whose value is its place among them.
    fn wheel_of(deadlines: impl IntoIterator<Item = u64>) -> (Wheel<usize>, Vec<TimerKey>) {
        let mut wheel = Wheel::new();
        let keys = (0..).zip(deadlines).map(|(value, micros)| wheel.insert(at(micros), value));
        let keys = keys.collect();
        (wheel, keys)
    }

    /// The values of all that is due.
    fn expire<T>(wheel: &mut Wheel<T>, now: Instant) -> Vec<T> {
        iter::from_fn(|| wheel.pop_expired(now)).map(|(_, value)| value).collect()
    }

    #[test]
    fn an_empty_wheel_has_nothing() {
        let mut wheel = Wheel::<()>::default();
        assert_eq!(wheel.next_deadline(), None);
        assert_eq!(wheel.pop_expired(END_OF_TIME), None);
        assert!(wheel.is_empty());
    }

    #[test]
    fn a_timer_fires_at_its_microsecond_and_not_before() {
        for micros in [0, 1, TICK - 1, TICK, TICK + 1, TURN - 1, TURN, 9 * TURN + 5, u64::MAX] {
            let (mut wheel, _) = wheel_of([micros]);
            if let Some(before) = micros.checked_sub(1) {
                assert_eq!(wheel.pop_expired(at(before)), None);
            }
            assert_eq!(wheel.next_deadline(), Some(at(micros)));
            assert_eq!(wheel.pop_expired(at(micros)), Some((at(micros), 0)));
            assert_eq!(wheel.pop_expired(END_OF_TIME), None);
        }
    }

    #[test]
    fn timers_fire_in_order_within_a_tick_and_across_ticks_and_turns() {
        let deadlines = [3 * TURN + 7, 9, u64::MAX, TICK, 8, TURN + 7, TURN - 1, 2 * TURN + 7, 0];
        let (mut wheel, _) = wheel_of(deadlines);
        assert_eq!(expire(&mut wheel, at(TURN)), [8, 4, 1, 3, 6]);
        assert_eq!(wheel.next_deadline(), Some(at(TURN + 7)));
        assert_eq!(expire(&mut wheel, END_OF_TIME), [5, 7, 0, 2]);
    }

    #[test]
    fn equal_deadlines_fire_in_the_order_of_their_inserts() {
        let (mut wheel, keys) = wheel_of([50; 100]);
        assert_eq!(wheel.pop_expired(at(50)), Some((at(50), 0)));
        // Between two pops, when the slot has been put in order and places in the slab are reused.
        for key in &keys[10..20] {
            assert!(wheel.cancel(*key).is_some());
        }
        for value in 100..120 {
            wheel.insert(at(50), value);
        }
        let order: Vec<_> = (1..10).chain(20..120).collect();
        assert_eq!(expire(&mut wheel, at(50)), order);
    }

    #[test]
    fn a_deadline_that_has_passed_is_due_at_once_and_before_later_ones() {
        let (mut wheel, _) = wheel_of([5 * TURN, 6 * TURN, 6 * TURN + 1]);
        assert_eq!(expire(&mut wheel, at(5 * TURN)), [0]);
        for (value, micros) in [(3, 5 * TURN), (4, 5 * TURN - 1), (5, 2 * TURN), (6, 0)] {
            wheel.insert(at(micros), value);
        }
        assert_eq!(wheel.next_deadline(), Some(at(0)));
        assert_eq!(expire(&mut wheel, at(5 * TURN)), [6, 5, 4, 3]);
        assert_eq!(wheel.next_deadline(), Some(at(6 * TURN)));
    }

    #[test]
    fn a_handler_may_start_and_cancel_timers_that_are_due() {
        let (mut wheel, keys) = wheel_of([10, 11, 12, 13]);
        let now = at(20);
        assert_eq!(wheel.pop_expired(now), Some((at(10), 0)));
        assert_eq!(wheel.cancel(keys[1]), Some(1));
        wheel.insert(at(5), 4);
        wheel.insert(at(12), 5);
        wheel.insert(at(21), 6);
        assert_eq!(expire(&mut wheel, now), [4, 2, 5, 3]);
        assert_eq!(wheel.next_deadline(), Some(at(21)));
    }

    #[test]
    fn a_stale_key_reaches_nothing() {
        let (mut wheel, keys) = wheel_of([10, 20]);
        assert_eq!(wheel.cancel(keys[1]), Some(1));
        assert_eq!(expire(&mut wheel, at(10)), [0]);
        let newer = [wheel.insert(at(10), 2), wheel.insert(at(20), 3)];
        for key in &keys {
            assert!(newer.iter().any(|newer| newer.index == key.index), "the place is reused");
            assert_eq!(wheel.cancel(*key), None);
        }
        assert_eq!(newer.map(|key| wheel.cancel(key)), [Some(2), Some(3)]);
        assert_eq!(newer.map(|key| wheel.cancel(key)), [None, None]);
    }

    #[test]
    fn the_next_deadline_follows_each_cancel() {
        let deadlines = [7, 7, 8, TICK, TURN + 7, 3 * TURN, 3 * TURN + TICK, 40 * TURN];
        let (mut wheel, keys) = wheel_of(deadlines);
        for (key, micros) in keys.into_iter().zip(deadlines) {
            assert_eq!(wheel.next_deadline(), Some(at(micros)));
            wheel.cancel(key);
        }
        assert_eq!(wheel.next_deadline(), None);
    }

    /// Each of these takes minutes if an operation visits the timers of a whole slot.
    #[test]
    fn a_crowd_in_one_slot_is_no_slower_than_a_heap() {
        const CROWD: u64 = 200_000;
        let shuffled = |i: u64| i * 7_919 % CROWD;
        let crowds: [fn(u64) -> u64; 4] = [|_| TURN - 1, |i| i % TICK, |i| i * TURN, |i| (CROWD - i) * TURN];
        for crowd in crowds {
            let (mut wheel, mut keys) = wheel_of((0..CROWD).map(|i| crowd(shuffled(i))));
            keys.sort_by_key(|key| wheel.entries[key.index].deadline);
            for (n, key) in keys.into_iter().enumerate() {
                let next = wheel.next_deadline().expect("timers are left");
                if n % 2 == 0 {
                    assert!(wheel.cancel(key).is_some());
                } else {
                    let (deadline, value) = wheel.pop_expired(next).expect("one is due");
                    wheel.insert(deadline + Duration::from_micros(3 * TURN), value);
                    wheel.cancel(key);
                }
            }
        }
    }

    #[test]
    fn memory_goes_back_when_a_burst_is_over() {
        for one_by_one in [true, false] {
            let (mut wheel, keys) = wheel_of((0..1_000_000).map(|i| i * 5));
            // A timer above the others in the slab, which is always pending, as in any real node.
            wheel.insert(at(0), usize::MAX);
            if one_by_one {
                for key in keys {
                    assert!(wheel.cancel(key).is_some());
                }
            } else {
                while let Some((deadline, value)) = wheel.pop_expired(at(5_000_000)) {
                    if value == usize::MAX {
                        wheel.insert(deadline + Duration::from_micros(TICK), value);
                    }
                }
            }
            assert_eq!(wheel.len(), 1);
            let (deadline, value) = wheel.pop_expired(END_OF_TIME).expect("the last one");
            wheel.insert(deadline, value);
            assert!(wheel.entries.capacity() <= ROOM_KEPT, "{}", wheel.entries.capacity());
        }
    }

    #[test]
    fn memory_that_is_in_use_again_and_again_is_kept() {
        let mut wheel = Wheel::new();
        for round in 0..3 {
            let keys: Vec<_> = (0..ROOM_KEPT).map(|_| wheel.insert(at(round), ())).collect();
            assert_eq!(wheel.entries.capacity(), ROOM_KEPT);
            for key in keys {
                wheel.cancel(key);
            }
        }
        assert_eq!((wheel.len(), wheel.entries.capacity()), (0, ROOM_KEPT));
    }

    /// What may be done with a wheel. Places are taken modulo what there is.
    #[derive(Clone, Debug)]
    enum Step {
        Insert(Delay),
        Cancel(usize),
        CancelStale(usize),
        Advance(u64),
        /// Pops at most so many.
        Pop(usize),
        /// Pops all that is due, and starts a timer after each pop as long as there are delays.
        PopAndInsert(Vec<Delay>),
    }

    #[derive(Clone, Debug)]
    enum Delay {
        Ahead(u64),
        Ago(u64),
        At(Instant),
    }

    fn delay() -> impl Strategy<Value = Delay> {
        prop_oneof![
            4 => (0..4 * TICK).prop_map(Delay::Ahead),
            2 => (0..4u64).prop_map(Delay::Ahead),
            2 => (0..2 * TURN).prop_map(Delay::Ahead),
            2 => (0..2 * TURN).prop_map(Delay::Ago),
            3 => (0..4u64, 0..3u64).prop_map(|(turns, more)| Delay::Ahead(turns * TURN + more)),
            1 => (0..u64::MAX).prop_map(Delay::Ahead),
            1 => Just(Delay::At(Instant::START)),
            1 => Just(Delay::At(END_OF_TIME)),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        let advance = prop_oneof![0..3 * TICK, 0..TURN, 0..10_000 * TURN];
        prop_oneof![
            8 => delay().prop_map(Step::Insert),
            3 => any::<usize>().prop_map(Step::Cancel),
            1 => any::<usize>().prop_map(Step::CancelStale),
            2 => advance.prop_map(Step::Advance),
            2 => (1..4usize).prop_map(Step::Pop),
            1 => prop::collection::vec(delay(), 0..8).prop_map(Step::PopAndInsert),
        ]
    }

    /// A wheel next to a map that is right by construction.
    #[derive(Default)]
    struct Twin {
        wheel: Wheel<u64>,
        model: BTreeMap<(Instant, u64), TimerKey>,
        gone: Vec<TimerKey>,
        now: Instant,
        inserts: u64,
    }

    impl Twin {
        fn step(&mut self, step: Step) {
            match step {
                Step::Insert(delay) => self.insert(&delay),
                Step::Cancel(place) if !self.model.is_empty() => {
                    let place = place % self.model.len();
                    let (&name, &key) = self.model.iter().nth(place).expect("place is in range");
                    self.model.remove(&name);
                    assert_eq!(self.wheel.cancel(key), Some(name.1));
                    self.gone.push(key);
                }
                Step::CancelStale(place) if !self.gone.is_empty() => {
                    let key = self.gone[place % self.gone.len()];
                    assert_eq!(self.wheel.cancel(key), None);
                }
                Step::Cancel(_) | Step::CancelStale(_) => {}
                Step::Advance(micros) => self.now += Duration::from_micros(micros),
                Step::Pop(times) => {
                    for _ in 0..times {
                        self.pop();
                    }
                }
                Step::PopAndInsert(delays) => {
                    let mut delays = delays.iter();
                    while self.pop() {
                        delays.next().into_iter().for_each(|delay| self.insert(delay));
                    }
                }
            }
            let earliest = self.model.first_key_value().map(|(&(deadline, _), _)| deadline);
            assert_eq!(self.wheel.next_deadline(), earliest);
            assert_eq!(self.wheel.len(), self.model.len());
            assert_eq!(self.wheel.is_empty(), self.model.is_empty());
        }

        fn insert(&mut self, delay: &Delay) {
            let deadline = match *delay {
                Delay::Ahead(micros) => self.now + Duration::from_micros(micros),
                Delay::Ago(micros) => at(self.now.as_micros().saturating_sub(micros)),
                Delay::At(deadline) => deadline,
            };
            let key = self.wheel.insert(deadline, self.inserts);
            self.model.insert((deadline, self.inserts), key);
            self.inserts += 1;
        }

        /// Pops the same from both; whether there was anything.
        fn pop(&mut self) -> bool {
            let due = self.model.first_entry().filter(|first| first.key().0 <= self.now);
            let (name, key) = due.map(OccupiedEntry::remove_entry).unzip();
            self.gone.extend(key);
            assert_eq!(self.wheel.pop_expired(self.now), name);
            name.is_some()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn a_wheel_does_what_a_sorted_map_does(steps in prop::collection::vec(step(), 1..200)) {
            let mut twin = Twin::default();
            for step in steps {
                twin.step(step);
            }
            let wheel = twin.wheel;
            for (slot, list) in wheel.slots.iter().enumerate() {
                let occupied = wheel.occupied[slot / WORD] >> (slot % WORD) & 1 == 1;
                prop_assert_eq!(occupied, list.first != NIL);
            }
        }
    }
}
