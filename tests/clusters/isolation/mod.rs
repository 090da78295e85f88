//! Transactions and consistency models: small judged histories, histories that Maelstrom wrote and judged, histories of
//! simulated databases, and nodes that are broken on purpose.

pub mod broken_nodes;
mod histories;
mod oracles;
mod simulated;
