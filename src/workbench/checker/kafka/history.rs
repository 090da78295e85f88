//! What clients did with logs, in a compact form.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::super::{Completion, Interval};

/// What clients did, in a compact form: keys and messages are numbers here.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub(super) operations: Vec<LogOperation>,
    pub(super) keys: Vec<Box<str>>,
    key_ids: HashMap<Box<str>, u32, RandomState>,
    /// The key and the value of each message.
    pub(super) messages: Vec<(u32, Payload)>,
    message_ids: HashMap<(u32, Payload), u32, RandomState>,
}

/// A message's value. Two are the same if they are equal, so other texts than integers have to be canonical.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    /// What Maelstrom sends.
    Integer(i64),
    /// The JSON text of anything else.
    Text(Box<str>),
}

/// A key of a [`History`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub(super) u32);

/// A value that was sent to a key, or polled from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message(pub(super) u32);

/// What one client did.
#[derive(Clone, Debug)]
pub struct LogOperation {
    /// Whose it is. A process does one operation after the other.
    pub process: u64,
    /// Who was asked, if that is known: the number in the node's name.
    pub node: Option<usize>,
    /// From when to when.
    pub interval: Interval,
    /// How it ended.
    pub completion: Completion,
    /// What it was.
    pub action: Action,
}

/// See [`LogOperation`].
#[derive(Clone, Debug)]
pub enum Action {
    /// `send` of a message.
    Send {
        /// What was sent.
        message: Message,
        /// Where it was put, if that was answered.
        offset: Option<i64>,
    },
    /// `poll`, and `commit_offsets` of what came.
    Poll {
        /// The keys of the answer, each with its messages and their offsets in the order of the answer.
        lists: Vec<(Key, Vec<(i64, Message)>)>,
        /// What became of the commit.
        commit: Commit,
    },
    /// From here on the process polls exactly these keys.
    Assign {
        /// Which.
        keys: Vec<Key>,
        /// Where it starts with those that it did not have.
        start: Start,
        /// The committed offsets that it was told, as far as that is known.
        committed: Vec<(Key, i64)>,
    },
    /// The client forgets all and goes on as another process.
    Crash,
}

/// Where a process begins to poll a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At offset 0, as in Maelstrom.
    #[default]
    Zero,
    /// After what was committed; at 0 if nothing was.
    Committed,
    /// At offset 0, also of keys that it had.
    Rewind,
}

/// What became of the commit after a poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Commit {
    /// There was nothing to commit, or it is not known.
    #[default]
    None,
    /// It was acknowledged.
    Ok,
    /// It was refused. The poll counts nevertheless.
    Failed,
}

impl History {
    /// The key of that name.
    pub fn key(&mut self, name: &str) -> Key {
        if let Some(&id) = self.key_ids.get(name) {
            return Key(id);
        }
        let id = count(self.keys.len());
        self.keys.push(name.into());
        self.key_ids.insert(name.into(), id);
        Key(id)
    }

    /// The message of that value in a key's log.
    pub fn message(&mut self, key: Key, value: Payload) -> Message {
        let Self { messages, message_ids, .. } = self;
        let id = *message_ids.entry((key.0, value)).or_insert_with_key(|entry| {
            messages.push(entry.clone());
            count(messages.len() - 1)
        });
        Message(id)
    }

    /// Adds an operation.
    pub fn push(&mut self, operation: LogOperation) {
        self.operations.push(operation);
    }

    /// The operations, in the order in which they were added.
    pub fn operations(&self) -> &[LogOperation] {
        &self.operations
    }

    /// The name of a key.
    pub fn key_name(&self, key: Key) -> &str {
        &self.keys[key.0 as usize]
    }

    /// The key of a message.
    pub fn key_of(&self, message: Message) -> Key {
        Key(self.messages[message.0 as usize].0)
    }

    /// The value of a message, as JSON.
    pub fn value(&self, message: Message) -> Cow<'_, str> {
        match &self.messages[message.0 as usize].1 {
            Payload::Integer(value) => Cow::Owned(value.to_string()),
            Payload::Text(text) => Cow::Borrowed(text),
        }
    }
}

/// A number of keys, messages or places in a log.
pub(super) fn count(length: usize) -> u32 {
    u32::try_from(length).expect("no history has four billion messages")
}
