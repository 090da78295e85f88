//! Timers of handlers, on the wheel that also ends calls.

use std::fmt;

use super::context::{Context, Core};
use crate::rpc::pending::CallKey;
use crate::time::{Duration, Instant};
use crate::timer::TimerKey;

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

/// A timer that a handler started.
pub(super) struct HandlerTimer<H> {
    id: TimerId,
    key: TimerKey,
    /// The time between two firings; `None` for a timer that fires once.
    period: Option<Duration>,
    callback: Option<TimerCallback<H>>,
}

type TimerCallback<H> = Box<dyn FnMut(&mut H, &mut Context<'_, H>)>;

impl<H> fmt::Debug for HandlerTimer<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerTimer")
            .field("id", &self.id)
            .field("period", &self.period)
            .finish_non_exhaustive()
    }
}

impl<H> Context<'_, H> {
    /// Calls `callback` once, after this time. Never early, and never in the same turn.
    pub fn after(
        &mut self,
        delay: Duration,
        callback: impl FnOnce(&mut H, &mut Context<'_, H>) + 'static,
    ) -> TimerId {
        let mut callback = Some(callback);
        let once = move |handler: &mut H, cx: &mut Context<'_, H>| {
            if let Some(callback) = callback.take() {
                callback(handler, cx);
            }
        };
        self.core.start_timer(delay, None, Box::new(once))
    }

    /// Calls `callback` again and again with this time in between, which is at least a millisecond. A node that
    /// was held up for longer fires once and goes on from there.
    pub fn every(
        &mut self,
        period: Duration,
        callback: impl FnMut(&mut H, &mut Context<'_, H>) + 'static,
    ) -> TimerId {
        let period = period.max(Duration::from_millis(1));
        self.core.start_timer(period, Some(period), Box::new(callback))
    }

    /// Stops a timer; `false` if it has fired for the last time or was stopped before. A timer may stop itself.
    pub fn cancel(&mut self, id: TimerId) -> bool {
        let is_running = self.core.timers.get(id.index).is_some_and(|timer| timer.id == id);
        if is_running {
            let timer = self.core.timers.remove(id.index);
            self.core.wheel.cancel(timer.key);
        }
        is_running
    }
}

impl<H> Core<H> {
    fn start_timer(
        &mut self,
        delay: Duration,
        period: Option<Duration>,
        callback: TimerCallback<H>,
    ) -> TimerId {
        let id = TimerId { index: self.timers.vacant_key(), started: self.timers_started };
        self.timers_started += 1;
        let key = self.wheel.insert(no_earlier_than_next_tick(self.now, delay), TimerEvent::Handler(id));
        self.timers.insert(HandlerTimer { id, key, period, callback: Some(callback) });
        id
    }

    /// A timer is due: its callback, to be given back after it has run.
    pub(super) fn handle_timer_due(&mut self, id: TimerId, due: Instant) -> Option<TimerCallback<H>> {
        let timer = self.timers.get_mut(id.index).filter(|timer| timer.id == id)?;
        let Some(period) = timer.period else {
            return self.timers.remove(id.index).callback;
        };
        // From the last deadline, lest the period drifts; or from now, where several have passed.
        let next = if due + period > self.now { due + period } else { self.now + period };
        timer.key = self.wheel.insert(next, TimerEvent::Handler(id));
        timer.callback.take()
    }

    /// Whether a timer runs that will come to an end by itself.
    pub(super) fn has_timer_that_ends(&self) -> bool {
        self.timers.iter().any(|(_, timer)| timer.period.is_none())
    }

    /// Gives a callback back to its timer, if that goes on.
    pub(super) fn keep_callback(&mut self, id: TimerId, callback: TimerCallback<H>) {
        if let Some(timer) = self.timers.get_mut(id.index).filter(|timer| timer.id == id) {
            timer.callback = Some(callback);
        }
    }
}
