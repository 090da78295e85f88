//! Bytes to messages and back.
//!
//! [`lines`] cuts the input, and [`envelope`] makes a line that was read as JSON a message; for a message like one that
//! came before, [`template`] does all of that in one step. On the way out, [`out`] keeps whole lines until the pipe takes
//! them. [`error`] is Maelstrom's table of error codes.

pub mod envelope;
pub mod error;
mod learn;
pub mod lines;
mod members;
pub mod out;
#[cfg_attr(not(feature = "internals"), doc(hidden))]
pub mod reader;
#[cfg_attr(not(feature = "internals"), doc(hidden))]
pub mod template;
