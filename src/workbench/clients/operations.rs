//! The operations of a test: what makes them up, the history of all of them, and how many there may be.

use fastrand::Rng;

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
    /// How many values the answers have together.
    pub(super) values: usize,
    /// Which bound ended the operations before their time.
    cut_short: Option<String>,
}

impl Operations {
    pub(super) const fn new(rng: Rng, generator: Box<dyn Generator>) -> Self {
        Self { generator, rng, history: Vec::new(), values: 0, cut_short: None }
    }

    /// Every operation so far, in the order in which they were invoked.
    pub fn history(&self) -> &[Invocation] {
        &self.history
    }

    /// The bound at which the operations ended before their time, if they did.
    pub fn cut_short(&self) -> Option<&str> {
        self.cut_short.as_deref()
    }

    pub(super) fn operation(&self, invocation: usize) -> &Operation {
        &self.history[invocation].operation
    }

    /// Whether there is room for no more.
    pub(super) fn are_full(&mut self, limits: &Limits) -> bool {
        let Limits { operations, values, .. } = *limits;
        if self.history.len() >= operations {
            self.cut_short = Some(format!("{} operations", thousands(operations)));
        } else if self.values >= values {
            self.cut_short = Some(format!("{} values in answers", thousands(values)));
        }
        self.cut_short.is_some()
    }
}
