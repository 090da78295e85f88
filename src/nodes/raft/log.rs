//! The log: entries, of whose beginning a snapshot may have taken the place (§5.3, §7).

use serde::{Deserialize, Serialize};

use super::registers::Command;

pub(super) type Term = u64;

/// The place of an entry in the log; the first is 1.
pub(super) type Index = u64;

/// An entry: a command, who asked for it, and the term in which a leader received it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) term: Term,
    pub(super) client: String,
    pub(super) msg_id: u64,
    /// None in the entry with which a leader begins.
    pub(super) command: Option<Command>,
}

impl Entry {
    pub(super) const fn no_op(term: Term) -> Self {
        Self { term, client: String::new(), msg_id: 0, command: None }
    }
}

/// See the [module](self).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Log {
    snapshot_index: Index,
    snapshot_term: Term,
    /// Those after the snapshot.
    entries: Vec<Entry>,
}

impl Log {
    /// The last index that the snapshot stands for.
    pub(super) const fn snapshot_index(&self) -> Index {
        self.snapshot_index
    }

    pub(super) const fn last_index(&self) -> Index {
        self.snapshot_index + self.entries.len() as Index
    }

    pub(super) fn last_term(&self) -> Term {
        self.entries.last().map_or(self.snapshot_term, |entry| entry.term)
    }

    /// The entry at an index; `None` if it is in the snapshot, or has not come.
    pub(super) fn entry(&self, index: Index) -> Option<&Entry> {
        self.entries.get(usize::try_from(index.checked_sub(self.snapshot_index + 1)?).ok()?)
    }

    /// The term of the entry at an index, as far as it is known.
    pub(super) fn term(&self, index: Index) -> Option<Term> {
        if index == self.snapshot_index {
            Some(self.snapshot_term)
        } else {
            self.entry(index).map(|entry| entry.term)
        }
    }

    /// The entries after an index, at most so many.
    pub(super) fn entries_after(&self, index: Index, max: usize) -> &[Entry] {
        let start = self.place_after(index);
        &self.entries[start..self.entries.len().min(start + max)]
    }

    /// Puts entries after the one at that index, in place of those that are there.
    pub(super) fn replace_after(&mut self, index: Index, entries: Vec<Entry>) {
        self.entries.truncate(self.place_after(index));
        self.entries.extend(entries);
    }

    /// Lets the snapshot stand for all up to this index, which is in the log.
    pub(super) fn compact(&mut self, index: Index) {
        if let Some(term) = self.term(index) {
            self.entries.drain(..self.place_after(index));
            (self.snapshot_index, self.snapshot_term) = (index, term);
        }
    }

    /// Lets a snapshot of a leader stand for all up to this index. What follows it stays only if this log has that entry.
    pub(super) fn start_from(&mut self, index: Index, term: Term) {
        if self.term(index) == Some(term) {
            return self.compact(index);
        }
        self.entries.clear();
        (self.snapshot_index, self.snapshot_term) = (index, term);
    }

    fn place_after(&self, index: Index) -> usize {
        let place = usize::try_from(index.saturating_sub(self.snapshot_index)).unwrap_or(usize::MAX);
        place.min(self.entries.len())
    }
}
