//! What servers tell each other, what each writes down, and what it wants done.

use serde::{Deserialize, Serialize};

use super::log::{Entry, Index, Log, Term};
use super::registers::{Answer, Command, Registers};
use crate::json::typed::write_value;
use crate::json::value::OwnedValue;
use crate::store::BadRecord;
use crate::time::Instant;
use crate::wire::error::RpcError;

/// A message between servers. Each is for itself: whoever wants an answer finds it by its term and its round.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    RequestVote {
        term: Term,
        last_log_index: Index,
        last_log_term: Term,
        /// Whether it only asks what the answer would be.
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
    /// A client's request, for the leader, and how long it waits yet.
    Forward {
        client: String,
        client_msg_id: u64,
        within_us: u64,
        command: Command,
    },
}

/// What is to be done, in this order.
#[derive(Debug)]
pub(super) enum Output {
    Send {
        to: String,
        message: Message,
    },
    Persist(Record),
    /// Persist it in place of all that was persisted before.
    Snapshot(Record),
    Answer(Client, Result<Answer, RpcError>),
    /// Call `broadcast` in a moment, so that what comes until then goes with it.
    Broadcast,
}

/// Who waits for an answer, and until when.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) msg_id: u64,
    pub(super) until: Instant,
}

/// What a server writes down.
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
    /// All that was written down before.
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
