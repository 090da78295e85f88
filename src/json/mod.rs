//! JSON read where it lies, and written.
//!
//! A node hands values on exactly as they came, whatever their escapes or digits. So nothing is decoded: a walk checks
//! the grammar and cuts a text into [`Value`](value::Value)s, borrowed and unchanged, looked into only when somebody
//! asks.
//!
//! Each file uses only those before it: [`text`] and [`error`], `scan` (kinds of bytes, many at a time), [`index`]
//! (simd-json's), `cursor` (the grammar), [`value`], [`write`](mod@write), `typed` (serde's
//! model) and [`read`].

pub(crate) mod cursor;
pub mod error;
pub mod index;
pub(crate) mod lane;
pub mod read;
pub(crate) mod scan;
pub mod text;
#[cfg(feature = "serde")]
pub(crate) mod typed;
pub mod value;
pub mod write;
