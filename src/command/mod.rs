//! The subcommands that do more than call the library.

pub mod trace;
