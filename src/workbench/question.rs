//! What a checker would like to know of the journal, beyond what it says itself.

/// What a finding would like to know. Operations are meant by their places in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Question {
    /// A read, or another operation that should have gone by it, is without what an earlier operation wrote.
    Missed(Missed),
    /// A node shows something twice that one operation wrote.
    Doubled {
        /// Who wrote it.
        write: usize,
        /// What it wrote, in words and in bodies.
        what: (String, Mark),
        /// Who got it twice.
        read: usize,
    },
    /// Two operations were given what only one of them could have.
    GivenTwice {
        /// Who got it first.
        first: usize,
        /// Who got it again.
        again: usize,
        /// What it is, in words.
        what: String,
    },
    /// A sum lacks something of what these operations added; less than nothing if it is too much.
    Sum {
        /// Who read it.
        read: usize,
        /// How much is missing.
        missing: i64,
        /// Who added how much, and knows that it was added.
        adds: Vec<(usize, i64)>,
    },
    /// Two operations each missed what the other wrote, though both succeeded.
    Crossed {
        /// One of them.
        one: usize,
        /// The other.
        other: usize,
        /// Their names.
        names: [String; 2],
    },
}

/// See [`Question::Missed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// Who wrote it.
    pub write: usize,
    /// What it wrote, in words: `80`, `the write of 4 to key 3`.
    pub name: String,
    /// The same in bodies.
    pub mark: Mark,
    /// Whether no other operation wrote the same meanwhile, or tried to: then whatever has the mark is about this one.
    pub is_unique: bool,
    /// Who should have known.
    pub read: usize,
    /// What that saw instead, where it shows in the answers that its node got from others: in words and in bodies.
    pub saw: Option<(String, String)>,
}

/// What an operation wrote, as it would stand in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What it was written to, where one value may be written to several keys.
    pub key: Option<Box<str>>,
    /// What was written.
    pub value: Box<str>,
}

impl Mark {
    /// A value that nobody else writes.
    pub fn value(value: &dyn ToString) -> Self {
        Self { key: None, value: value.to_string().into() }
    }

    /// A value that nobody else writes to this key.
    pub fn of(key: &dyn ToString, value: &dyn ToString) -> Self {
        Self { key: Some(key.to_string().into()), value: value.to_string().into() }
    }
}
