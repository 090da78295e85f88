//! Transactions and consistency models: small judged histories, histories that Maelstrom wrote and judged, and histories
//! of simulated databases.

#[path = "isolation/histories.rs"]
mod histories;
#[path = "isolation/oracles.rs"]
mod oracles;
