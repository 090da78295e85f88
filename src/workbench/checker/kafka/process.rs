//! What a process knows of the logs.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{Key, Message, Start};

/// What a process knows.
#[derive(Default)]
pub(super) struct Process {
    /// The last message of each key that it polled, with the poll.
    pub(super) read: BTreeMap<Key, (u32, (i64, Message))>,
    /// Its last message to each key: the place in the log, and the send.
    pub(super) sent: BTreeMap<Key, (u32, u32, Message)>,
    /// What it asks for next: its client's offsets.
    pub(super) next: BTreeMap<Key, i64>,
    /// The highest offset of each key that it polled, or -1.
    pub(super) position: BTreeMap<Key, i64>,
}

impl Process {
    pub(super) fn assign(&mut self, keys: &[Key], start: Start, committed: &[(Key, i64)]) {
        if start == Start::Rewind {
            *self = Self { sent: std::mem::take(&mut self.sent), ..Self::default() };
        }
        let keys: BTreeSet<Key> = keys.iter().copied().collect();
        let committed: BTreeMap<Key, i64> = match start {
            Start::Committed => committed.iter().copied().collect(),
            Start::Zero | Start::Rewind => BTreeMap::new(),
        };
        let is_kept = |key: &Key| keys.contains(key);
        self.read.retain(|key, _| is_kept(key));
        self.next.retain(|key, _| is_kept(key));
        self.position.retain(|key, _| is_kept(key));
        for key in keys {
            let start = committed.get(&key).map_or(0, |offset| offset.saturating_add(1));
            self.next.entry(key).or_insert(start);
            self.position.entry(key).or_insert(start - 1);
        }
    }
}
