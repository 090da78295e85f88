//! What makes a network honest: messages that get lost or come twice, and how to bear it.

pub mod chaos;
pub mod dedup;
