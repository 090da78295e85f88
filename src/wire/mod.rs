//! Bytes to messages and back.
//!
//! [`mod@line`] cuts the input into lines, [`json`] reads one in place, [`message`] makes it an envelope; for a message
//! like one that came before, [`shape`] does all of that in one step. [`decode`] turns values into Rust ones, and `typed` lets serde do so. On the way
//! out [`encode`] writes them and [`out`] keeps whole lines until the pipe takes them. [`error`] is Maelstrom's table of
//! error codes.

pub mod decode;
pub mod encode;
pub mod error;
mod grammar;
pub mod json;
mod lane;
pub mod line;
pub mod message;
pub mod out;
pub(crate) mod scan;
pub mod shape;
#[cfg(feature = "serde")]
pub(crate) mod typed;
pub mod value;
