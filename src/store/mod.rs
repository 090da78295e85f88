//! The durable log below the core: what a handler persisted, kept for its next start.
//!
//! A handler appends records with [`Context::persist`](crate::Context::persist). What they say is its own affair; here
//! they are bytes. The core gathers those of a turn, a shell makes them durable with one
//! [`commit`](Store::commit), and only then does anything leave that was said in that turn or after it.

mod folder;
mod memory;

use std::path::PathBuf;

use thiserror::Error;

pub use self::folder::Folder;
pub use self::memory::Memory;

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

/// Why records could not be read or made durable.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The folder or its file cannot be opened, read or written: the disk is full, for instance.
    #[error("data folder {folder:?}: {error}")]
    Io {
        /// Where.
        folder: PathBuf,
        /// Why.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What is there is not what was written.
    #[error(
        "data folder {folder:?}: {what}; it is damaged, and nothing is started from a part of it. Move it away to start from nothing"
    )]
    Damaged {
        /// Where.
        folder: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The handler does not know what to do with a record.
    #[error("data folder {folder:?}, record {number}: {error}")]
    Record {
        /// Where.
        folder: PathBuf,
        /// Which record, from 1.
        number: u64,
        /// Why.
        error: BadRecord,
    },
}

impl From<StoreError> for std::io::Error {
    fn from(error: StoreError) -> Self {
        // A `main` that returns it shows what it holds, and a text says it best.
        Self::other(error.to_string())
    }
}

/// What a handler does with each record at its start.
pub type TakeRecord<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), BadRecord>;

/// Where records are kept.
pub trait Store {
    /// Hands over every record, the oldest first.
    ///
    /// # Errors
    /// If they cannot be read, are not what was written, or `take` cannot make one out.
    fn recover(&mut self, take: TakeRecord<'_>) -> Result<(), StoreError>;

    /// Makes records durable: when it returns they outlive the process and the machine, all of them; if it fails, none
    /// of them counts.
    ///
    /// # Errors
    /// If they cannot be written.
    fn commit(&mut self, records: &Records) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn read(store: &mut impl Store) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut records = Vec::new();
        store.recover(&mut |record| {
            records.push(record.to_vec());
            Ok(())
        })?;
        Ok(records)
    }

    pub(super) fn records(texts: &[&str]) -> Records {
        let mut records = Records::default();
        for text in texts {
            records.push(text.as_bytes());
        }
        records
    }

    #[test]
    fn records_keep_their_order_and_a_snapshot_replaces_those_before_it() {
        let mut batch = records(&["a", "", "bc"]);
        assert_eq!(batch.iter().collect::<Vec<_>>(), [&b"a"[..], b"", b"bc"]);
        batch.replace(b"all");
        batch.push(b"d");
        assert_eq!((batch.iter().collect::<Vec<_>>(), batch.replaces()), (vec![&b"all"[..], b"d"], true));
        let mut store = Memory::default();
        store.commit(&records(&["x", "y"])).unwrap();
        store.commit(&records(&["z"])).unwrap();
        assert_eq!(read(&mut store).unwrap(), [b"x", b"y", b"z"]);
        store.commit(&batch).unwrap();
        assert_eq!(read(&mut store).unwrap(), [&b"all"[..], b"d"]);
    }
}
