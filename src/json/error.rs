//! Why a text is not the JSON that was expected.

use thiserror::Error;

use super::text::MAX_DEPTH;

/// Why a text is not the JSON that was expected. Bytes count from 1.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
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
