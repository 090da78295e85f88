//! Tests of the wheel.

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
