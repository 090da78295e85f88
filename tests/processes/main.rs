//! The binary: nodes over real pipes, the workbench over processes, the command line.
//!
//! One program for all these files: each would link the whole crate once more.

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod cases;
mod check;
mod command_line;
mod data;
mod grade;
mod kills;
mod maelstrom;
mod new;
mod own_workbench;
mod reactor;
mod readme;
mod trace;
mod typed_nodes;
mod workbench;
