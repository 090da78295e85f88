//! JSON read where it lies, and written.
//!
//! A node hands values on exactly as they came, whatever their escapes or digits. So nothing is decoded: a walk checks
//! the grammar and cuts a text into [`Value`](value::Value)s, borrowed and unchanged, looked into only when somebody
//! asks.
//!
//! simd-json's first stage finds the tokens of a line, or of all the lines of a read at once, and a cursor over them is
//! the only grammar.
//!
//! Each file uses only those before it: [`text`], [`error`], `scan` (kinds of bytes, many at a time), `unescape`, `index`
//! (simd-json's), `cursor` (the grammar), [`value`], `parser`, `write`, `typed` (serde's model), [`to_json`] and [`read`].

pub(crate) mod cursor;
pub mod error;
pub(crate) mod index;
pub(crate) mod parser;
pub mod read;
pub(crate) mod scan;
pub mod text;
pub mod to_json;
#[cfg(feature = "serde")]
pub(crate) mod typed;
pub(crate) mod unescape;
pub mod value;
pub(crate) mod write;
