//! A network that loses messages or sends them twice, on purpose, and how to bear it.

pub mod chaos;
pub mod dedup;
