//! What is kept: records, which are bytes.

use thiserror::Error;

/// Records that are to be made durable together: all of them or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    bytes: Vec<u8>,
    /// Where each record ends in `bytes`.
    ends: Vec<usize>,
    replaces: bool,
}

impl Records {
    /// Adds a record.
    pub fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.ends.push(self.bytes.len());
    }

    /// Adds a record that stands for all that was persisted before it.
    pub fn replace(&mut self, record: &[u8]) {
        self.clear();
        self.replaces = true;
        self.push(record);
    }

    /// Whether what was persisted before these is to be forgotten.
    pub const fn replaces(&self) -> bool {
        self.replaces
    }

    /// Each record, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forgets them, and keeps their memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.replaces = false;
    }
}

/// A record that a handler cannot make out: what it expected, and what it found.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct BadRecord(pub String);
