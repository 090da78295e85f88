//! What is done to a register.

use std::fmt;

use super::super::{Completion, Interval};
use crate::time::Instant;
use crate::workbench::format::Seconds;

/// An operation on one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterOperation {
    /// The key.
    pub key: i64,
    /// Who asked: the process of the history.
    pub process: u64,
    /// What was asked; for a read that succeeded, also the answer.
    pub action: Action,
    /// When.
    pub interval: Interval,
    /// How it ended. Reads count only if they succeeded.
    pub completion: Completion,
}

/// What is done to a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Returns what the register holds. Maelstrom counts a read that finds nothing as a failure; one that is
    /// given here as a success with `None` has to be explained.
    Read(Option<i64>),
    /// Makes it hold a value.
    Write(i64),
    /// Makes it hold `to`, if it holds `from`.
    Cas {
        /// What it has to hold.
        from: i64,
        /// What it holds then.
        to: i64,
    },
}

impl RegisterOperation {
    /// When the answer came; not before the request, whatever the history says.
    pub(super) fn answered(&self) -> Instant {
        self.interval.completed.max(self.interval.invoked)
    }

    /// What it puts in the place of `value`, if it is a write or cas that can succeed there.
    pub(super) fn effect(&self, value: Option<i64>) -> Option<i64> {
        match self.action {
            Action::Write(to) => Some(to),
            Action::Cas { from, to } if value == Some(from) => Some(to),
            Action::Read(_) | Action::Cas { .. } => None,
        }
    }
}

/// `process 7 read 2 (1.100 s to 1.203 s)`
impl fmt::Display for RegisterOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ", self.process)?;
        match self.action {
            Action::Read(value) => write!(f, "read {}", Held(value)),
            Action::Write(value) => write!(f, "wrote {value}"),
            Action::Cas { from, to } => write!(f, "changed {from} to {to}"),
        }?;
        match self.completion {
            Completion::Ok => {
                write!(f, " ({} to {})", Seconds(self.interval.invoked), Seconds(self.interval.completed))
            }
            Completion::Fail => write!(f, " ({}, failed)", Seconds(self.interval.invoked)),
            Completion::Info => write!(f, " ({}, without an answer)", Seconds(self.interval.invoked)),
        }
    }
}

/// What a register holds, in words.
pub(super) struct Held(pub(super) Option<i64>);

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => write!(f, "{value}"),
            None => f.write_str("nothing"),
        }
    }
}
