//! A final phase in which each worker does one operation.

use super::contract::FinalStep;
use crate::time::Duration;
use crate::workbench::history::Operation;
use crate::workbench::settings::Settings;

/// Who has done its operation.
#[derive(Debug)]
pub(super) struct OnceEach {
    is_done: Vec<bool>,
}

impl OnceEach {
    pub fn new(settings: &Settings) -> Self {
        Self { is_done: vec![false; settings.workers] }
    }

    pub fn step(&mut self, worker: usize, operation: Operation) -> FinalStep {
        if std::mem::replace(&mut self.is_done[worker], true) {
            FinalStep::Done
        } else {
            FinalStep::Do(operation)
        }
    }
}

/// How long a final phase may be in which each worker does one operation: longer than it waits for the answer.
pub(super) const ONCE_EACH: Duration = Duration::from_secs(10);
