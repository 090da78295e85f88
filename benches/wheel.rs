//! The timer wheel against a binary heap with lazy cancellation and against an ordered map, with
//! one, a thousand and a million timers pending, whose deadlines lie 0.1 to 5 s ahead.
//!
//! `cargo bench --bench wheel -- --warm-up-time 1 --measurement-time 2 --sample-size 20`

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};
use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use messenger::internals::{TimerKey, Wheel};
use messenger::time::{Duration, Instant};

const PENDING: [usize; 3] = [1, 1_000, 1_000_000];

/// What is compared: a queue of timers.
trait Timers: Default {
    type Key: Copy;
    fn insert(&mut self, deadline: Instant, value: u64) -> Self::Key;
    fn cancel(&mut self, key: Self::Key) -> bool;
    fn next_deadline(&mut self) -> Option<Instant>;
    fn pop_expired(&mut self, now: Instant) -> Option<(Instant, u64)>;
}

impl Timers for Wheel<u64> {
    type Key = TimerKey;

    fn insert(&mut self, deadline: Instant, value: u64) -> TimerKey {
        self.insert(deadline, value)
    }

    fn cancel(&mut self, key: TimerKey) -> bool {
        self.cancel(key).is_some()
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        self.next_deadline()
    }

    fn pop_expired(&mut self, now: Instant) -> Option<(Instant, u64)> {
        self.pop_expired(now)
    }
}

/// A heap which learns of a cancelled timer when it reaches the top, or when as many are cancelled
/// as pending.
#[derive(Default)]
struct Heap {
    queue: BinaryHeap<Reverse<(Instant, u64, u64)>>,
    cancelled: HashSet<u64>,
    sequence: u64,
}

impl Timers for Heap {
    type Key = u64;

    fn insert(&mut self, deadline: Instant, value: u64) -> u64 {
        self.sequence += 1;
        self.queue.push(Reverse((deadline, self.sequence, value)));
        self.sequence
    }

    fn cancel(&mut self, key: u64) -> bool {
        let cancelled = self.cancelled.insert(key);
        if self.cancelled.len() > 64 && self.cancelled.len() * 2 > self.queue.len() {
            self.queue.retain(|Reverse((_, sequence, _))| !self.cancelled.contains(sequence));
            self.cancelled.clear();
        }
        cancelled
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        while let Some(&Reverse((deadline, sequence, _))) = self.queue.peek() {
            if !self.cancelled.remove(&sequence) {
                return Some(deadline);
            }
            self.queue.pop();
        }
        None
    }

    fn pop_expired(&mut self, now: Instant) -> Option<(Instant, u64)> {
        self.next_deadline().filter(|&deadline| deadline <= now)?;
        self.queue.pop().map(|Reverse((deadline, _, value))| (deadline, value))
    }
}

#[derive(Default)]
struct Map {
    queue: BTreeMap<(Instant, u64), u64>,
    sequence: u64,
}

impl Timers for Map {
    type Key = (Instant, u64);

    fn insert(&mut self, deadline: Instant, value: u64) -> (Instant, u64) {
        self.sequence += 1;
        self.queue.insert((deadline, self.sequence), value);
        (deadline, self.sequence)
    }

    fn cancel(&mut self, key: (Instant, u64)) -> bool {
        self.queue.remove(&key).is_some()
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        self.queue.first_key_value().map(|(&(deadline, _), _)| deadline)
    }

    fn pop_expired(&mut self, now: Instant) -> Option<(Instant, u64)> {
        self.next_deadline().filter(|&deadline| deadline <= now)?;
        self.queue.pop_first().map(|((deadline, _), value)| (deadline, value))
    }
}

/// Splitmix64: the same deadlines for everyone.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0.1 to 5 s.
    fn timeout(&mut self) -> Duration {
        Duration::from_micros(100_000 + self.next() % 4_900_000)
    }
}

/// Timers that are all pending, and the time, which moves as they expire.
struct Load<Q: Timers> {
    timers: Q,
    keys: Vec<Q::Key>,
    now: Instant,
    random: Random,
}

impl<Q: Timers> Load<Q> {
    fn new(pending: usize) -> Self {
        let mut load =
            Self { timers: Q::default(), keys: Vec::new(), now: Instant::START, random: Random(7) };
        for _ in 0..pending {
            let key = load.insert();
            load.keys.push(key);
        }
        load
    }

    fn insert(&mut self) -> Q::Key {
        let deadline = self.now + self.random.timeout();
        self.timers.insert(deadline, 0)
    }

    /// A call that is answered at once: its timer is started and cancelled.
    fn answer(&mut self) {
        let key = self.insert();
        assert!(self.timers.cancel(black_box(key)));
        black_box(self.timers.next_deadline());
    }

    /// One of the pending calls is answered, and another takes its place.
    fn answer_any(&mut self) {
        let place = usize::try_from(self.random.next()).expect("64 bits") % self.keys.len();
        assert!(self.timers.cancel(self.keys[place]));
        self.keys[place] = self.insert();
        black_box(self.timers.next_deadline());
    }

    /// The earliest timer expires, and another takes its place.
    fn expire(&mut self) {
        self.now = self.timers.next_deadline().expect("timers are pending");
        black_box(self.timers.pop_expired(self.now)).expect("a timer is due");
        self.insert();
    }
}

fn compare<Q: Timers>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, step: fn(&mut Load<Q>)) {
    for pending in PENDING {
        let mut load = Load::<Q>::new(pending);
        group.bench_function(BenchmarkId::new(name, pending), |bencher| bencher.iter(|| step(&mut load)));
    }
}

/// A benchmark group of the three contestants, which all take the same step.
macro_rules! group {
    ($criterion:ident, $name:literal, $step:ident) => {{
        let mut group = $criterion.benchmark_group($name);
        group.throughput(Throughput::Elements(1));
        compare::<Wheel<u64>>(&mut group, "wheel", Load::$step);
        compare::<Heap>(&mut group, "heap", Load::$step);
        compare::<Map>(&mut group, "map", Load::$step);
        group.finish();
    }};
}

fn timers(criterion: &mut Criterion) {
    group!(criterion, "insert+cancel", answer);
    group!(criterion, "cancel_any+insert", answer_any);
    group!(criterion, "insert+expire", expire);
}

criterion_group!(benches, timers);
criterion_main!(benches);
