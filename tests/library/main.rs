//! The library: a node in one process, its calls and timers, in virtual time. `cargo test --test library rpc::` runs one file.
//!
//! One program for all these files: each would link the whole crate once more.

#[path = "../fuzz/oracle.rs"]
mod oracle;
#[path = "../support/mod.rs"]
mod support;

mod differential;
mod durability;
mod faults;
mod layers;
mod node;
mod observing;
mod raft;
mod recovery;
mod rpc;
mod talk;
mod test_cluster;
#[cfg(feature = "serde")]
mod typed;
mod waiting;
mod workloads;
