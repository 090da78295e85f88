//! The workbench: whole clusters in virtual time, its checkers, and what it writes down.
//!
//! One program for all these files: each would link the whole crate once more.

mod broken_nodes;
mod report;
mod simulation;
