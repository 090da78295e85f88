//! Bytes to messages and back.
//!
//! [`lines`] cuts the input, and `envelope` makes a line that was read as JSON a message, with a [`Body`]; for a message
//! like one that came before, `template` does all of that in one step. On the way out, [`out`] keeps whole lines until the
//! pipe takes them. [`error`] is Maelstrom's table of error codes.

pub(crate) mod envelope;
pub mod error;
mod learn;
pub mod lines;
mod members;
pub mod out;
pub(crate) mod reader;
pub(crate) mod template;

pub use self::envelope::{Body, OwnedBody};
