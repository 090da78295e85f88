//! Calls to other nodes, as far as they need no node: who is waited for, how long, and what is tried again.

pub mod breaker;
pub(crate) mod pending;
pub mod retry;
