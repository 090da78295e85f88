//! What [`raft`](super::raft) keeps, writes down and sends: the log, the state machine that its entries make, records
//! and messages.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::json::typed::write_value;
use crate::json::value::OwnedValue;
use crate::store::BadRecord;
use crate::wire::error::{ErrorCode, RpcError};

pub(super) type Term = u64;

/// The place of an entry in the log; the first is 1.
pub(super) type Index = u64;

/// What a client asks for. Keys and values are any JSON, and the same if they are written the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Operation {
    Read {
        key: OwnedValue,
    },
    Write {
        key: OwnedValue,
        value: OwnedValue,
    },
    Cas {
        key: OwnedValue,
        from: OwnedValue,
        to: OwnedValue,
        #[serde(default)]
        create_if_not_exists: bool,
    },
}

/// What an operation came to.
#[derive(Debug)]
pub(super) enum Answer {
    Read(OwnedValue),
    Written,
    Swapped,
}

/// An entry of the log: whose operation, and when it was received by a leader.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) term: Term,
    pub(super) client: String,
    pub(super) msg_id: u64,
    /// None in the entry with which a leader begins.
    pub(super) operation: Option<Operation>,
}

impl Entry {
    pub(super) const fn no_op(term: Term) -> Self {
        Self { term, client: String::new(), msg_id: 0, operation: None }
    }
}

/// A log whose beginning may have become a snapshot.
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

    /// How many entries are not in the snapshot.
    pub(super) const fn len(&self) -> usize {
        self.entries.len()
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

/// Clients whose last operation is known: those that were heard of last. Many more come and go before a message of one
/// that is forgotten is still under way.
const CLIENTS_MAX: usize = 10_000;

/// The state machine.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Registers {
    /// By the key's text.
    values: BTreeMap<String, OwnedValue>,
    /// The number of the last operation of each client that was applied. It asks one after the other.
    applied: BTreeMap<String, u64>,
    /// The clients in the order in which they came.
    clients: VecDeque<String>,
}

impl Registers {
    /// What comes of an entry; `None` if it was applied before, or is for nobody.
    pub(super) fn apply(&mut self, entry: &Entry) -> Option<Result<Answer, RpcError>> {
        let operation = entry.operation.as_ref()?;
        if self.has_applied(&entry.client, entry.msg_id) {
            return None;
        }
        if self.applied.insert(entry.client.clone(), entry.msg_id).is_none() {
            self.clients.push_back(entry.client.clone());
            if self.clients.len() > CLIENTS_MAX
                && let Some(client) = self.clients.pop_front()
            {
                self.applied.remove(&client);
            }
        }
        Some(match operation {
            Operation::Read { key } => self.read(key),
            Operation::Write { key, value } => {
                self.values.insert(key.raw().to_owned(), value.clone());
                Ok(Answer::Written)
            }
            Operation::Cas { key, from, to, create_if_not_exists } => {
                match self.values.get(key.raw()) {
                    None if !create_if_not_exists => return Some(Err(no_key(key))),
                    Some(value) if value.raw() != from.raw() => {
                        let text = format!("expected {}, found {}", from.raw(), value.raw());
                        return Some(Err(RpcError::precondition_failed(text)));
                    }
                    _ => {}
                }
                self.values.insert(key.raw().to_owned(), to.clone());
                Ok(Answer::Swapped)
            }
        })
    }

    /// Whether this operation of a client, or one that it asked for later, was applied.
    pub(super) fn has_applied(&self, client: &str, msg_id: u64) -> bool {
        self.applied.get(client).is_some_and(|&last| last >= msg_id)
    }

    pub(super) fn read(&self, key: &OwnedValue) -> Result<Answer, RpcError> {
        self.values.get(key.raw()).map_or_else(|| Err(no_key(key)), |value| Ok(Answer::Read(value.clone())))
    }
}

fn no_key(key: &OwnedValue) -> RpcError {
    RpcError::new(ErrorCode::KEY_DOES_NOT_EXIST, format!("there is no key {}", key.raw()))
}

/// What nodes tell each other.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    RequestVote {
        term: Term,
        last_log_index: Index,
        last_log_term: Term,
        is_pre: bool,
    },
    Vote {
        term: Term,
        is_granted: bool,
        is_pre: bool,
    },
    AppendEntries {
        term: Term,
        prev_log_index: Index,
        prev_log_term: Term,
        entries: Vec<Entry>,
        leader_commit: Index,
        round: u64,
    },
    /// `match_index` is what follower and leader agree about, or, if it `is_refused`, at best could.
    AppendResult {
        term: Term,
        is_refused: bool,
        match_index: Index,
        round: u64,
    },
    InstallSnapshot {
        term: Term,
        last_included_index: Index,
        last_included_term: Term,
        registers: Registers,
        round: u64,
    },
    Forward {
        client: String,
        client_msg_id: u64,
        operation: Operation,
    },
}

/// What a node writes down.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record {
    Vote {
        term: Term,
        voted_for: Option<String>,
    },
    /// These entries follow the one at `after`; whatever did is gone.
    Entries {
        after: Index,
        entries: Vec<Entry>,
    },
    Snapshot {
        term: Term,
        voted_for: Option<String>,
        log: Log,
        registers: Registers,
    },
}

impl Record {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut text = Vec::new();
        write_value(self, &mut text).expect("a record is JSON");
        text
    }

    /// # Errors
    /// If that is no record of Raft.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, BadRecord> {
        let bad = |error: &dyn std::fmt::Display| BadRecord(format!("expected a record of Raft: {error}"));
        let text = std::str::from_utf8(bytes).map_err(|error| bad(&error))?;
        let value = OwnedValue::parse(text).map_err(|error| bad(&error))?;
        value.value().parse("record").map_err(|error| bad(&error))
    }
}
