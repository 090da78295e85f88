//! Tests of nodes, as Maelstrom does them.
//!
//! A [`World`](world::World) is everything around the nodes: network, clients, services and faults, without a clock
//! or a process of its own. The [`simulation`] drives it with nodes of this crate in virtual time, and [`processes`]
//! with any programs over their pipes. Afterwards the [`verdict`] says whether what the clients saw is right.

pub mod checker;
pub mod exercise;
pub mod journal;
pub mod nemesis;
pub mod network;
pub mod processes;
pub mod report;
pub mod service;
pub mod simulation;
pub mod verdict;
pub mod world;
