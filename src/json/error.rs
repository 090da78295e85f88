//! Why a text is not the JSON that was expected, or not the JSON that is wanted there.

use std::borrow::Cow;

use thiserror::Error;

use super::text::{MAX_DEPTH, excerpt};

/// Why a text is not the JSON that was expected. Bytes count from 1.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyntaxError {
    /// Nothing but white space.
    #[error("expected an object, found nothing")]
    Empty,
    /// Invalid UTF-8.
    #[error("expected UTF-8, found an invalid sequence at byte {at}")]
    NotUtf8 {
        /// Where it begins.
        at: usize,
    },
    /// A string runs to the end of the text, or has a control character that is not escaped.
    #[error("expected a string's closing quote, found a control character or the end of the line")]
    BrokenString,
    /// Something else than the grammar asks for.
    #[error("expected {expected} at byte {at}, found {found}")]
    Unexpected {
        /// What the grammar asks for.
        expected: &'static str,
        /// Where.
        at: usize,
        /// What stands there.
        found: String,
    },
    /// Offsets within it would not fit.
    #[error("expected less than 2 GiB, found {length} bytes")]
    TooLong {
        /// How many bytes it has.
        length: usize,
    },
    /// Nested beyond [`MAX_DEPTH`].
    #[error("expected at most {MAX_DEPTH} levels of nesting, found one more at byte {at}")]
    TooDeep {
        /// Where the level too many begins.
        at: usize,
    },
}

/// A value in a message that is not what is wanted there.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{field}: expected {expected}, found {found}")]
pub struct SchemaError {
    /// The value's path, such as `body.type` or `body.txn[2][0]`.
    pub field: Cow<'static, str>,
    /// What is wanted there.
    pub expected: Cow<'static, str>,
    /// What the message has there.
    pub found: String,
}

impl SchemaError {
    #[cold]
    pub(crate) fn new(
        field: impl Into<Cow<'static, str>>,
        expected: &'static str,
        found: Option<&str>,
    ) -> Self {
        let found = found.map_or(Cow::Borrowed("nothing"), excerpt).into_owned();
        Self { field: field.into(), expected: expected.into(), found }
    }
}
