//! The timers of handlers, on the wheel that also ends calls.

use slab::Slab;

use crate::rpc::pending::CallKey;
use crate::time::{Duration, Instant};
use crate::timer::{TimerKey, Wheel};

/// When this much time has passed since `now`, and not in the same turn: or a handler that starts itself again and
/// again would never let the node read.
pub(super) fn no_earlier_than_next_tick(now: Instant, delay: Duration) -> Instant {
    now + delay.max(Duration::from_micros(1))
}

/// What the wheel wakes up for.
#[derive(Clone, Copy, Debug)]
pub(super) enum TimerEvent {
    /// The wait of a call's attempt is over.
    Attempt(CallKey),
    /// A handler's timer is due.
    Handler(TimerId),
}

/// Names a timer that a handler started, to cancel it. It never comes to name another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerId {
    index: usize,
    /// Which of a node's timers it is, in the order of their starts.
    started: u64,
}

impl TimerId {
    /// Its place among the timers that run, which it has to itself.
    pub(super) const fn place(self) -> usize {
        self.index
    }
}

/// The timers of a handler that run. What they call is not kept here.
#[derive(Debug, Default)]
pub(super) struct Timers {
    running: Slab<Timer>,
    started: u64,
}

#[derive(Debug)]
struct Timer {
    id: TimerId,
    key: TimerKey,
    /// The time between two firings; `None` for a timer that fires once.
    period: Option<Duration>,
}

impl Timers {
    pub(super) fn start(
        &mut self,
        wheel: &mut Wheel<TimerEvent>,
        due: Instant,
        period: Option<Duration>,
    ) -> TimerId {
        let id = TimerId { index: self.running.vacant_key(), started: self.started };
        self.started += 1;
        let key = wheel.insert(due, TimerEvent::Handler(id));
        self.running.insert(Timer { id, key, period });
        id
    }

    /// A timer is due that was to fire at `due`: goes on with it if it fires again.
    pub(super) fn fire(&mut self, wheel: &mut Wheel<TimerEvent>, now: Instant, id: TimerId, due: Instant) {
        let Some(timer) = self.running.get_mut(id.index).filter(|timer| timer.id == id) else { return };
        let Some(period) = timer.period else {
            self.running.remove(id.index);
            return;
        };
        // From the last deadline, lest the period drifts; or from now, where several have passed.
        let next = if due + period > now { due + period } else { now + period };
        timer.key = wheel.insert(next, TimerEvent::Handler(id));
    }

    /// Stops a timer; whether it was running.
    pub(super) fn stop(&mut self, wheel: &mut Wheel<TimerEvent>, id: TimerId) -> bool {
        let is_running = self.is_running(id);
        if is_running {
            wheel.cancel(self.running.remove(id.index).key);
        }
        is_running
    }

    pub(super) fn is_running(&self, id: TimerId) -> bool {
        self.running.get(id.index).is_some_and(|timer| timer.id == id)
    }

    /// Whether one of them will come to an end by itself.
    pub(super) fn has_one_that_ends(&self) -> bool {
        self.running.iter().any(|(_, timer)| timer.period.is_none())
    }
}
