//! The subcommands.

pub mod args;
pub mod check;
pub mod grade;
pub mod help;
mod interrupt;
pub mod node;
pub mod parse;
pub mod test;
pub mod trace;
