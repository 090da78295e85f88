//! The workbench: whole clusters in virtual time, its checkers, and what it writes down.
//!
//! One program for all these files: each would link the whole crate once more.

mod agreement;
mod broken_nodes;
mod browser;
mod endings;
mod explore;
mod histories;
mod injected_faults;
mod isolation;
mod kafka;
mod lock;
mod plans;
mod raft;
mod report;
mod shrinking;
mod simulation;
mod successes;
mod why;
