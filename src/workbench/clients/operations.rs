//! The operations of a test: what makes them up, the history of all of them, and how many there may be.

use fastrand::Rng;

use crate::time::Instant;
use crate::workbench::format::thousands;
use crate::workbench::history::{Invocation, Operation};
use crate::workbench::limits::Limits;
use crate::workbench::workload::Generator;

/// What workers do, and what they did.
#[derive(Debug)]
pub struct Operations {
    pub(super) generator: Box<dyn Generator>,
    /// Chance for the generator.
    pub(super) rng: Rng,
    pub(super) history: Vec<Invocation>,
    /// How many of them there were before the final phase, once it has begun.
    before: usize,
    /// How many values the answers have together; of the final phase those alone.
    pub(super) values: usize,
    /// Which bound ended the operations before their time, and when.
    cut_short: Option<(String, Instant)>,
}

impl Operations {
    pub(super) const fn new(rng: Rng, generator: Box<dyn Generator>) -> Self {
        Self { generator, rng, history: Vec::new(), before: 0, values: 0, cut_short: None }
    }

    /// Every operation so far, in the order in which they were invoked.
    pub fn history(&self) -> &[Invocation] {
        &self.history
    }

    /// The bound at which the operations ended before their time, and when, if they did.
    pub fn cut_short(&self) -> Option<(&str, Instant)> {
        self.cut_short.as_ref().map(|(bound, at)| (&**bound, *at))
    }

    pub(super) fn operation(&self, invocation: usize) -> &Operation {
        &self.history[invocation].operation
    }

    /// Whether there is room for no more.
    pub(super) fn are_full(&mut self, limits: &Limits, now: Instant) -> bool {
        let Limits { operations, values, .. } = *limits;
        let bound = if self.history.len() - self.before >= operations {
            format!("{} operations", thousands(operations))
        } else if self.values >= values {
            format!("{} values in answers", thousands(values))
        } else {
            return false;
        };
        self.cut_short.get_or_insert((bound, now));
        true
    }

    /// The final phase begins. It has as much room again: what was cut short before is still asked for at the end.
    pub(super) fn start_final(&mut self) {
        (self.before, self.values) = (self.history.len(), 0);
    }
}
