//! The guide
#[doc = include_str!("echo.md")]
pub mod echo {}
#[doc = include_str!("unique_ids.md")]
pub mod unique_ids {}
#[doc = include_str!("broadcast.md")]
pub mod broadcast {}
#[doc = include_str!("counters.md")]
pub mod counters {}
#[doc = include_str!("kafka.md")]
pub mod kafka {}
#[doc = include_str!("transactions.md")]
pub mod transactions {}
#[doc = include_str!("raft.md")]
pub mod raft {}
