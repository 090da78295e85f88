//! What every place where records are kept can do.

use std::path::PathBuf;

use thiserror::Error;

use super::record::{BadRecord, Records};

/// Why records could not be read or made durable.
#[derive(Debug, Error)]
#[non_exhaustive]
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
