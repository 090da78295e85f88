//! Tests of nodes, as Maelstrom does them.
//!
//! A [`World`] is everything around the nodes: network, clients, services and faults, without a clock
//! or a process of its own. The [`simulation`] drives it with nodes of this crate in virtual time, and `processes`
//! with any programs over their pipes. Afterwards the [`verdict`] says whether what the clients saw is right.
//!
//! Nodes of yours, in a test of yours, are one call: [`simulate`]; to talk with them yourself there is a [`TestCluster`].
//! The [guide](crate::guide) has more of both.
//!
//! ```
//! use messenger::workbench::workload::unique_ids::UniqueIds;
//! use messenger::workbench::{Fault, Settings, Verdict, simulate};
//! use messenger::{RpcError, handler_fn};
//!
//! let random = || {
//!     handler_fn(|request, cx| match request.kind() {
//!         "generate" => {
//!             let id = cx.rng().u64(..);
//!             cx.reply(request, "generate_ok").field("id", format!("{id:x}")).send()
//!         }
//!         kind => Err(RpcError::not_supported(kind)),
//!     })
//! };
//! let settings = Settings { nodes: 3, faults: vec![Fault::Kill], seed: 7, ..Settings::default() };
//! let results = simulate(&UniqueIds, settings, random)?;
//! assert_eq!(results.verdict, Verdict::Valid, "{:?}", results.explain());
//! # Ok::<(), messenger::workbench::settings::InvalidSetting>(())
//! ```

pub mod checker;
mod clients;
mod cluster;
pub mod data;
mod disk;
pub mod driver;
pub mod explore;
pub mod fault;
pub(crate) mod format;
#[cfg(unix)]
pub mod grade;
pub mod history;
pub mod history_file;
pub mod journal;
pub mod limits;
pub mod nemesis;
pub mod network;
pub mod plan;
pub mod question;
pub mod report;
pub mod services;
pub mod settings;
pub mod shrink;
pub mod test_cluster;
pub mod trace;
pub mod verdict;
pub mod why;
pub mod workload;
pub mod world;

pub use self::checker::Verdict;
#[cfg(unix)]
pub use self::driver::processes;
pub use self::driver::simulation::{self, simulate};
pub use self::fault::Fault;
pub use self::network::Latency;
pub use self::settings::Settings;
pub use self::test_cluster::TestCluster;
pub use self::verdict::Results;
pub use self::world::World;
