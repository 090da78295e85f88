//! Errors that travel in messages.

use std::borrow::Cow;
use std::fmt;

use super::envelope::SchemaError;
use crate::json::text::excerpt;

/// Maelstrom's error codes: 0 to 30 are its own, and workloads may add theirs from 1000.
///
/// A code is definite if it tells that the request did not take effect and never will. Any other
/// leaves that open, as do codes that nobody knows.
/// Source: Maelstrom's `doc/protocol.md` and `resources/errors.edn`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(pub i64);

impl ErrorCode {
    /// 0: no answer in time. Indefinite.
    pub const TIMEOUT: Self = Self(0);
    /// 1: the node that the message was sent to does not exist.
    pub const NODE_NOT_FOUND: Self = Self(1);
    /// 10: the node does not know this type of request.
    pub const NOT_SUPPORTED: Self = Self(10);
    /// 11: the node cannot answer just now.
    pub const TEMPORARILY_UNAVAILABLE: Self = Self(11);
    /// 12: the request does not follow the schema of its type.
    pub const MALFORMED_REQUEST: Self = Self(12);
    /// 13: something went wrong that has no code of its own. Indefinite.
    pub const CRASH: Self = Self(13);
    /// 14: something went wrong, and the request took no effect.
    pub const ABORT: Self = Self(14);
    /// 20: the key does not exist.
    pub const KEY_DOES_NOT_EXIST: Self = Self(20);
    /// 21: the key exists already.
    pub const KEY_ALREADY_EXISTS: Self = Self(21);
    /// 22: what the request requires does not hold, such as the `from` of a compare-and-set.
    pub const PRECONDITION_FAILED: Self = Self(22);
    /// 30: the transaction conflicts with another one.
    pub const TXN_CONFLICT: Self = Self(30);

    /// Maelstrom's name for it; `None` for codes that it does not know.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::TIMEOUT => "timeout",
            Self::NODE_NOT_FOUND => "node-not-found",
            Self::NOT_SUPPORTED => "not-supported",
            Self::TEMPORARILY_UNAVAILABLE => "temporarily-unavailable",
            Self::MALFORMED_REQUEST => "malformed-request",
            Self::CRASH => "crash",
            Self::ABORT => "abort",
            Self::KEY_DOES_NOT_EXIST => "key-does-not-exist",
            Self::KEY_ALREADY_EXISTS => "key-already-exists",
            Self::PRECONDITION_FAILED => "precondition-failed",
            Self::TXN_CONFLICT => "txn-conflict",
            _ => return None,
        })
    }

    /// Whether the request surely did not take effect.
    ///
    /// ```
    /// # use messenger::ErrorCode;
    /// assert!(ErrorCode::TEMPORARILY_UNAVAILABLE.is_definite()); // it did not happen
    /// assert!(!ErrorCode::TIMEOUT.is_definite()); // nobody knows
    /// ```
    pub const fn is_definite(self) -> bool {
        self.name().is_some() && !matches!(self, Self::TIMEOUT | Self::CRASH)
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

/// An error as the body of a message has it: a handler returns one to answer its client with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    /// What kind of error.
    pub code: ErrorCode,
    /// For people.
    pub text: Cow<'static, str>,
}

impl RpcError {
    /// An error of that code.
    ///
    /// ```
    /// use messenger::{ErrorCode, RpcError};
    ///
    /// let error = RpcError::new(ErrorCode::KEY_DOES_NOT_EXIST, "there is no key 7");
    /// assert_eq!(error.to_string(), "error 20 key-does-not-exist: there is no key 7");
    /// ```
    pub fn new(code: ErrorCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: text.into() }
    }

    /// 10: for a request whose type the workload does not know.
    pub fn not_supported(kind: &str) -> Self {
        Self::new(
            ErrorCode::NOT_SUPPORTED,
            format!("no request of type {:?} is supported here", excerpt(kind)),
        )
    }

    /// 11: for what may work a little later.
    pub fn temporarily_unavailable(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::TEMPORARILY_UNAVAILABLE, text)
    }

    /// 12: for a request that does not follow its schema.
    pub fn malformed(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::MALFORMED_REQUEST, text)
    }

    /// 22: for what is required and does not hold.
    pub fn precondition_failed(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::PRECONDITION_FAILED, text)
    }
}

/// Makes errors of other libraries an [`RpcError`], with a code that whoever uses them chooses.
///
/// ```
/// use messenger::{ErrorCode, OrCode as _, RpcError};
///
/// fn limit() -> Result<u64, RpcError> {
///     let limit = "7".parse().or_code(ErrorCode::CRASH)?;
///     Ok(limit)
/// }
/// # assert_eq!(limit(), Ok(7));
/// # assert_eq!("x".parse::<u8>().or_code(ErrorCode::ABORT).unwrap_err().code, ErrorCode::ABORT);
/// ```
pub trait OrCode<T> {
    /// The value, or an error of that code with the text of this one.
    ///
    /// # Errors
    /// Where this is one.
    fn or_code(self, code: ErrorCode) -> Result<T, RpcError>;
}

impl<T, E: fmt::Display> OrCode<T> for Result<T, E> {
    fn or_code(self, code: ErrorCode) -> Result<T, RpcError> {
        self.map_err(|error| RpcError::new(code, error.to_string()))
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {:?}: {}", self.code, self.text)
    }
}

impl std::error::Error for RpcError {}

impl From<SchemaError> for RpcError {
    fn from(error: SchemaError) -> Self {
        Self::malformed(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_maelstroms_own_codes_but_timeout_and_crash_are_definite() {
        let definite: Vec<i64> = (-1..2000).filter(|&code| ErrorCode(code).is_definite()).collect();
        assert_eq!(definite, [1, 10, 11, 12, 14, 20, 21, 22, 30]);
    }
}
