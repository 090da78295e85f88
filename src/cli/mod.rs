//! The subcommands.

pub mod args;
mod interrupt;
pub mod node;
pub mod parse;
pub mod test;
pub mod trace;
