//! Tests of nodes, as Maelstrom does them.

pub mod checker;
