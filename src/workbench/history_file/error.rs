//! Why a file is no history.

use std::io;

use thiserror::Error;

/// Why a file is no history.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It could not be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Something in it is not as it should be.
    #[error("line {line}: expected {expected}, found {found}")]
    Malformed {
        /// The line, from 1.
        line: u64,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// It has more than is kept.
    #[error("line {line}: {what} takes more than {limit} bytes")]
    TooLarge {
        /// The line, from 1.
        line: u64,
        /// What is too large.
        what: &'static str,
        /// How large it may be.
        limit: usize,
    },
}

impl ReadError {
    pub(super) fn malformed(line: u64, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Malformed { line, expected: expected.into(), found: found.into() }
    }
}
