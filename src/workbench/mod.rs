//! Tests of nodes, as Maelstrom does them.
//!
//! A [`World`](world::World) is everything around the nodes: network, clients, services and faults, without a clock
//! or a process of its own. The [`simulation`] drives it with nodes of this crate in virtual time, and [`processes`]
//! with any programs over their pipes. Afterwards the [`verdict`] says whether what the clients saw is right.
//!
//! A workload of your own in virtual time, in a test of yours:
//!
//! ```
//! use messenger::node::{Config, Node};
//! use messenger::workbench::checker::Verdict;
//! use messenger::workbench::settings::Settings;
//! use messenger::workbench::simulation;
//! use messenger::workbench::verdict::Results;
//! use messenger::workbench::workload;
//! use messenger::workbench::world::World;
//! use messenger::{Context, Handler, Request, RpcError};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
//!         cx.reply(request, "echo_ok").field("echo", request.required("echo")?).send()
//!     }
//! }
//!
//! let settings = Settings { nodes: 3, seed: 7, ..Settings::default() };
//! let mut world = World::new(&workload::echo::Echo, settings)?;
//! simulation::run(&mut world, |_, seed| Box::new(Node::new(Echo, Config { seed, ..Config::default() })));
//! let results = Results::of(&world);
//! assert_eq!(results.verdict, Verdict::Valid, "{:?}", results.explain());
//! # Ok::<(), messenger::workbench::settings::InvalidSetting>(())
//! ```

pub mod checker;
pub mod data;
mod disk;
pub mod fault;
pub mod grade;
pub mod history;
pub mod history_file;
pub mod journal;
pub mod limits;
pub mod nemesis;
pub mod network;
pub mod plan;
pub mod processes;
pub mod report;
pub mod services;
pub mod settings;
pub mod simulation;
pub mod verdict;
pub mod why;
pub mod workload;
pub mod world;
