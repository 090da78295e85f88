//! When the next operation is due, and who may do it: by chance at a rate, or as it is planned.

use std::collections::VecDeque;

use fastrand::Rng;

use crate::time::{Duration, Instant};
use crate::workbench::plan::Script;

/// The next microsecond. A process starts nothing in the microsecond in which its last operation ended, or the
/// checkers would take the two for concurrent.
pub(super) const TICK: Duration = Duration::from_micros(1);

/// Operations that are due this long ago are not made up for any more.
const BEHIND_MAX: Duration = Duration::from_secs(1);

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Schedule {
    /// The operations, if they are planned.
    pub(super) script: Option<Script>,
    rng: Rng,
    /// Workers that wait for something to do, and since when.
    free: VecDeque<(usize, Instant)>,
    /// When the next operation is due.
    next_at: Instant,
    /// It was due when everybody was busy.
    is_owed: bool,
}

/// Who does the operation that is due.
#[derive(Clone, Copy, Debug)]
pub(super) enum Free {
    Worker(usize),
    /// Its last operation ended just now: it may go on in a moment.
    InAMoment,
    Nobody,
}

impl Schedule {
    pub(super) const fn new(rng: Rng, script: Option<Script>) -> Self {
        Self { script, rng, free: VecDeque::new(), next_at: Instant::START, is_owed: false }
    }

    /// The first operation is due, and so many workers are free.
    pub(super) fn start(&mut self, workers: usize, now: Instant) {
        self.free = (0..workers).map(|worker| (worker, now)).collect();
        self.next_at = now;
    }

    /// An operation is due. Where nobody is free, it is owed to whoever is free next.
    pub(super) fn take_free(&mut self, now: Instant) -> Free {
        match self.free.front() {
            None => {
                self.is_owed = true;
                Free::Nobody
            }
            Some(&(_, since)) if since >= now => Free::InAMoment,
            Some(&(worker, _)) => {
                self.free.pop_front();
                Free::Worker(worker)
            }
        }
    }

    /// A worker is free. Whether it, or another one, has an operation to do that is owed.
    pub(super) fn give_back(&mut self, worker: usize, now: Instant) -> bool {
        self.free.push_back((worker, now));
        std::mem::take(&mut self.is_owed)
    }

    /// An operation has begun: when the next is due, at so many a second.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "intervals are positive and not long"
    )]
    pub(super) fn draw_next(&mut self, rate: f64, now: Instant) -> Instant {
        let pause = Duration::from_micros((self.rng.f64() * 2e6 / rate) as u64).max(TICK);
        // What was due while everybody was busy, or nobody looked, is made up for, but not for ever.
        let behind = now - self.next_at > BEHIND_MAX;
        self.next_at = if behind { now } else { self.next_at } + pause;
        self.next_at
    }
}
