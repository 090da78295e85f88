//! Calls to other nodes, as far as they need no node: who is waited for, how long, and what is tried again.

pub mod breaker;
#[cfg_attr(not(feature = "internals"), doc(hidden))]
pub mod pending;
pub mod retry;
