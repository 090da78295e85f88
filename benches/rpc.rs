//! A call's bookkeeping: it is made and answered, or made and given up, while others wait.
//!
//! `cargo bench --bench rpc`. The table of pending calls is the same for all; beside our wheel its deadlines are
//! kept in a `BinaryHeap`, from which nothing can be taken back (what was answered is passed over when its time
//! comes), and in a `BTreeMap`. The table itself stands beside a `HashMap` of calls, as std makes it. All calls have a timeout of one second, and virtual time passes such that the
//! number of calls that wait stays the same.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use messenger::internals::{Attempt, Call, CallKey, PeerId, Pending, TimerKey, Wheel};
use messenger::{Duration, Instant, Policy};

const TIMEOUT: Duration = Duration::from_secs(1);

/// Deadlines of calls.
trait Deadlines {
    type Key: Copy;

    fn new() -> Self;
    fn insert(&mut self, deadline: Instant, call: CallKey) -> Self::Key;
    fn cancel(&mut self, key: Self::Key);
    /// A call whose deadline has passed; it may have ended before.
    fn pop(&mut self, now: Instant) -> Option<CallKey>;
}

impl Deadlines for Wheel<CallKey> {
    type Key = TimerKey;

    fn new() -> Self {
        Self::new()
    }

    fn insert(&mut self, deadline: Instant, call: CallKey) -> TimerKey {
        self.insert(deadline, call)
    }

    fn cancel(&mut self, key: TimerKey) {
        self.cancel(key);
    }

    fn pop(&mut self, now: Instant) -> Option<CallKey> {
        self.pop_expired(now).map(|(_, call)| call)
    }
}

#[derive(Default)]
struct Heap {
    queue: BinaryHeap<Reverse<(Instant, usize)>>,
    calls: Vec<CallKey>,
    free: Vec<usize>,
}

impl Deadlines for Heap {
    type Key = ();

    fn new() -> Self {
        Self::default()
    }

    fn insert(&mut self, deadline: Instant, call: CallKey) {
        let place = self.free.pop().unwrap_or(self.calls.len());
        if place == self.calls.len() {
            self.calls.push(call);
        } else {
            self.calls[place] = call;
        }
        self.queue.push(Reverse((deadline, place)));
    }

    fn cancel(&mut self, (): ()) {}

    fn pop(&mut self, now: Instant) -> Option<CallKey> {
        self.queue.peek().filter(|entry| entry.0.0 <= now)?;
        let place = self.queue.pop()?.0.1;
        self.free.push(place);
        Some(self.calls[place])
    }
}

impl Deadlines for (BTreeMap<(Instant, u64), CallKey>, u64) {
    type Key = (Instant, u64);

    fn new() -> Self {
        (BTreeMap::new(), 0)
    }

    fn insert(&mut self, deadline: Instant, call: CallKey) -> Self::Key {
        self.1 += 1;
        self.0.insert((deadline, self.1), call);
        (deadline, self.1)
    }

    fn cancel(&mut self, key: Self::Key) {
        self.0.remove(&key);
    }

    fn pop(&mut self, now: Instant) -> Option<CallKey> {
        let entry = self.0.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }
}

fn new_call(msg_id: u64, now: Instant, timer: TimerKey) -> Call {
    Call {
        peer: PeerId::default(),
        policy: Policy::once(TIMEOUT),
        deadline: now + TIMEOUT,
        attempts: [Attempt { msg_id, sent: now }].into_iter().collect(),
        waits: TIMEOUT,
        timer,
        body: Vec::new(),
        kind_len: 0,
        refusal: None,
        is_awaited: true,
    }
}

/// A node's calls, as many of which wait as it was made for.
struct Calls<D: Deadlines> {
    pending: Pending,
    deadlines: D,
    keys: VecDeque<(u64, D::Key)>,
    now: Instant,
    step: Duration,
    next_msg_id: u64,
    any_timer: TimerKey,
}

impl<D: Deadlines> Calls<D> {
    fn new(waiting: u64) -> Self {
        let mut calls = Self {
            pending: Pending::new(usize::MAX),
            deadlines: D::new(),
            keys: VecDeque::new(),
            now: Instant::START,
            step: Duration::from_micros((TIMEOUT.as_micros() / waiting).max(1)),
            next_msg_id: 0,
            any_timer: Wheel::new().insert(Instant::START, ()),
        };
        for _ in 0..waiting {
            calls.make();
        }
        calls
    }

    fn make(&mut self) {
        self.now += self.step;
        let msg_id = self.next_msg_id;
        self.next_msg_id += 1;
        let call = self.pending.next_key(msg_id);
        let key = self.deadlines.insert(self.now + TIMEOUT, call);
        self.pending.insert(new_call(msg_id, self.now, self.any_timer));
        self.keys.push_back((msg_id, key));
    }

    /// The answer to the call that was made first: most peers answer in the order in which they are asked.
    fn answer_oldest(&mut self) {
        let (msg_id, key) = self.keys.pop_front().expect("a call waits");
        self.answer(msg_id, key);
    }

    fn answer(&mut self, msg_id: u64, key: D::Key) {
        let (call, _) = self.pending.find(msg_id).expect("it waits");
        self.deadlines.cancel(key);
        black_box(self.pending.remove(call));
        while let Some(call) = self.deadlines.pop(self.now) {
            assert!(self.pending.get_mut(call).is_none(), "only a heap keeps what was answered");
        }
    }

    fn expire(&mut self) {
        while let Some(call) = self.deadlines.pop(self.now) {
            black_box(self.pending.remove(call));
            self.keys.pop_front();
        }
    }
}

fn measure<D: Deadlines>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, end: impl Fn(&mut Calls<D>)) {
    for waiting in [1, 1_000, 1_000_000] {
        let mut calls = Calls::<D>::new(waiting);
        group.bench_function(BenchmarkId::new(name, waiting), |bencher| {
            bencher.iter(|| {
                calls.make();
                end(&mut calls);
            });
        });
    }
}

macro_rules! compare {
    ($criterion:ident, $name:literal, $end:expr) => {
        let mut group = $criterion.benchmark_group($name);
        measure::<Wheel<CallKey>>(&mut group, "wheel", $end);
        measure::<Heap>(&mut group, "BinaryHeap", $end);
        measure::<(BTreeMap<(Instant, u64), CallKey>, u64)>(&mut group, "BTreeMap", $end);
        group.finish();
    };
}

fn calls(criterion: &mut Criterion) {
    compare!(criterion, "make a call, answer the oldest", Calls::answer_oldest);
    compare!(criterion, "make a call, give up the oldest", Calls::expire);
}

/// A call is made, and the answer to the oldest is found, while so many wait.
fn tables(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("keep a call, find the oldest");
    let timer = Wheel::new().insert(Instant::START, ());
    for waiting in [1, 1_000, 1_000_000] {
        let mut pending = Pending::new(usize::MAX);
        (0..waiting).for_each(|msg_id| pending.insert(new_call(msg_id, Instant::START, timer)));
        let mut oldest = 0;
        group.bench_function(BenchmarkId::new("table", waiting), |bencher| {
            bencher.iter(|| {
                pending.insert(new_call(oldest + waiting, Instant::START, timer));
                let (key, _) = pending.find(black_box(oldest)).expect("it waits");
                oldest += 1;
                pending.remove(key)
            });
        });

        let mut calls: HashMap<u64, Call> =
            (0..waiting).map(|msg_id| (msg_id, new_call(msg_id, Instant::START, timer))).collect();
        let mut oldest = 0;
        group.bench_function(BenchmarkId::new("HashMap", waiting), |bencher| {
            bencher.iter(|| {
                calls.insert(oldest + waiting, new_call(oldest + waiting, Instant::START, timer));
                oldest += 1;
                calls.remove(&black_box(oldest - 1)).expect("it waits")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, calls, tables);
criterion_main!(benches);
