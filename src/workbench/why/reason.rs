//! A reason, and how it is worded.

use crate::workbench::journal::Entry;

/// A reason, and the messages that prove it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Why {
    /// What happened, without an end.
    pub sentence: String,
    /// The numbers of messages that it speaks of.
    pub messages: Vec<u64>,
    /// The operations that it speaks of, by their places in the history.
    pub operations: Vec<usize>,
}

impl Why {
    pub(super) fn new(sentence: String, messages: &[&Entry], operations: &[usize]) -> Self {
        let messages = messages.iter().map(|entry| entry.id).collect();
        Self { sentence, messages, operations: operations.to_vec() }
    }
}

pub(super) const fn plural(count: usize) -> &'static str {
    if count == 1 { "message" } else { "messages" }
}
