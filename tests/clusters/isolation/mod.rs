//! Transactions and consistency models: small judged histories, histories that Maelstrom wrote and judged, histories of
//! simulated databases, and nodes that are broken on purpose.

mod broken_nodes;
mod histories;
mod oracles;
mod simulated;
