//! The state machine: `lin-kv`'s registers.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::json::value::OwnedValue;
use crate::wire::error::{ErrorCode, RpcError};

/// What a client asks for. Keys and values are any JSON, and the same if they are written the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Command {
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

/// What a command came to.
#[derive(Debug)]
pub(super) enum Answer {
    Read(OwnedValue),
    Written,
    Swapped,
}

/// Clients whose last command is known: those that were heard of first are forgotten first. Many more come and go
/// before a message of one that is forgotten is still under way.
const CLIENTS_MAX: usize = 10_000;

/// The registers, and what was done for whom.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Registers {
    /// By the key's text.
    values: BTreeMap<String, OwnedValue>,
    /// The number of the last command of each client that was applied. It asks one after the other.
    applied: BTreeMap<String, u64>,
    /// The clients in the order in which they came.
    clients: VecDeque<String>,
}

impl Registers {
    /// What comes of a client's command; `None` if it was applied before.
    pub(super) fn apply(
        &mut self,
        client: &str,
        msg_id: u64,
        command: &Command,
    ) -> Option<Result<Answer, RpcError>> {
        if self.has_applied(client, msg_id) {
            return None;
        }
        if self.applied.insert(client.to_owned(), msg_id).is_none() {
            self.clients.push_back(client.to_owned());
            if self.clients.len() > CLIENTS_MAX
                && let Some(client) = self.clients.pop_front()
            {
                self.applied.remove(&client);
            }
        }
        Some(match command {
            Command::Read { key } => self.read(key),
            Command::Write { key, value } => {
                self.values.insert(key.raw().to_owned(), value.clone());
                Ok(Answer::Written)
            }
            Command::Cas { key, from, to, create_if_not_exists } => {
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

    /// Whether this command of a client, or one that it asked for later, was applied.
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
