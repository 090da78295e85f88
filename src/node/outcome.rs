//! What comes of a call.

use thiserror::Error;

use crate::time::Duration;
use crate::wire::envelope::{Body, SchemaError};
use crate::wire::error::{ErrorCode, RpcError};

/// Why a call has no answer that it could use.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError {
    /// Nothing came in time. What became of the request is unknown.
    #[error("no answer after {attempts} attempts")]
    Timeout {
        /// How many attempts were made.
        attempts: u32,
    },
    /// The peer answered with an error.
    #[error("{error}")]
    Remote {
        /// What it said.
        error: RpcError,
        /// How many attempts were made.
        attempts: u32,
    },
    /// It was never sent: there is no such node (code 1), too many calls wait or the peer's breaker is open
    /// (code 11), or its body was not right.
    #[error("not sent: {0}")]
    Unsent(RpcError),
    /// The answer is not what such an answer should be.
    #[error("a strange answer: {0}")]
    BadReply(#[from] SchemaError),
}

impl CallError {
    /// The code that a client gets to see.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Timeout { .. } => ErrorCode::TIMEOUT,
            Self::Remote { error, .. } | Self::Unsent(error) => error.code,
            Self::BadReply(_) => ErrorCode::CRASH,
        }
    }
}

/// What a peer said is passed on, and why a call was not sent. A timeout becomes code 0, a strange answer 13.
impl From<CallError> for RpcError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Remote { error, .. } | CallError::Unsent(error) => error,
            _ => Self::new(error.code(), error.to_string()),
        }
    }
}

/// The answer to a call.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// What it says. Its type is never `error`.
    pub body: &'a Body<'a>,
    /// How many attempts were made.
    pub attempts: u32,
    /// The sum of the waits that those attempts had.
    pub waits: Duration,
}

/// The result of a call.
pub type CallOutcome<'a> = Result<Reply<'a>, CallError>;
