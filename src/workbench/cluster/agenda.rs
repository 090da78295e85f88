//! What is due when. Of one instant faults come first and operations last, whatever the order in which they were planned.

use std::mem;

use crate::time::Instant;
use crate::timer::{TimerKey, Wheel};

/// What is due.
#[derive(Debug)]
pub(super) enum Due<R> {
    /// The fault of this source begins or ends.
    Fault(usize),
    /// A packet is there.
    Arrival(usize),
    /// A node has had its `init` for too long.
    InitTimeout(usize),
    /// The owner is reminded of something.
    Reminder(R),
    /// The owner is reminded of something, after all else.
    LastReminder(R),
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Agenda<R> {
    wheel: Wheel<Due<R>>,
    /// Where those of one instant are put in order.
    due: Vec<Due<R>>,
}

impl<R> Agenda<R> {
    pub(super) fn new() -> Self {
        Self { wheel: Wheel::new(), due: Vec::new() }
    }

    pub(super) fn insert(&mut self, at: Instant, due: Due<R>) -> TimerKey {
        self.wheel.insert(at, due)
    }

    pub(super) fn cancel(&mut self, key: TimerKey) {
        self.wheel.cancel(key);
    }

    pub(super) fn next_deadline(&mut self) -> Option<Instant> {
        self.wheel.next_deadline()
    }

    /// What is due at the earliest instant at which anything is by now, to be [taken back](Self::take_back) empty. A
    /// planned test inserts its faults and operations at other times than the test that the plan is from, and still they
    /// have to come in the same order.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Vec<Due<R>>> {
        let (at, first) = self.wheel.pop_expired(now)?;
        let mut events = mem::take(&mut self.due);
        events.push(first);
        while self.wheel.next_deadline() == Some(at)
            && let Some((_, event)) = self.wheel.pop_expired(now)
        {
            events.push(event);
        }
        events.sort_by_key(|event| match event {
            Due::Fault(_) => 0,
            Due::LastReminder(_) => 2,
            _ => 1,
        });
        Some(events)
    }

    pub(super) fn take_back(&mut self, events: Vec<Due<R>>) {
        self.due = events;
    }
}
