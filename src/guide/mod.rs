//! How to write a node, from the first echo to Raft, and how to find out what is wrong with it. All code of these chapters is compiled and run by the
//! tests: most of it tests a whole cluster in virtual time, and says which verdict came.
//!
//! # The tasks
//!
//! Each in a page or two: what is asked, what goes wrong first and how the workbench shows it, and what is right.
//!
//! - [Echo](echo): the first node, and the mistakes of the first hour
//! - [Unique ids](unique_ids): names that survive a kill
//! - [Broadcast](broadcast): tell it again until it is heard
//! - [Counters](counters): lost updates, compare-and-set, and a CRDT
//! - [Kafka](kafka): one order for each log
//! - [Transactions](transactions): anomalies, and how to have none
//! - [Raft](raft): a majority that stays right whatever breaks
//!
//! # Questions
//!
//! - [In another language than Rust](languages): the habits of a node
//! - [Messages](messages): what each workload asks, and what it wants to hear
//! - [Messages as types](types): serde, fields, errors
//! - [Call, wait, answer later](calls): three ways to ask another node
//! - [Background work](background): timers, tasks, other threads
//! - [State that survives](state): what a node remembers after it was killed
//! - [Options](options): the command line of your node
//! - [Virtual time](simulate): talk with your own nodes in a test, or test a whole cluster of them
//!
//! # The workbench
//!
//! - [`messenger test`](testing): flags, faults, exit status, histories of others
//! - [`messenger explore`](explore): find a bug and cut it down
//! - [`messenger grade`](grade): for teachers: suites, build servers
//! - [Reports](reports): what a test and a node leave behind
//! - [Where it differs from Maelstrom](strictness)
//!
//! # Behind it
//!
//! - [How fast it is, and what is checked](performance)
//! - [The tour](tour): through the layers of the reactor

#[doc = include_str!("echo.md")]
///
/// Next: [Unique ids](crate::guide::unique_ids)
pub mod echo {}

#[doc = include_str!("unique_ids.md")]
///
/// Next: [Broadcast](crate::guide::broadcast)
pub mod unique_ids {}

#[doc = include_str!("broadcast.md")]
///
/// Next: [Counters](crate::guide::counters)
pub mod broadcast {}

#[doc = include_str!("counters.md")]
///
/// Next: [Kafka](crate::guide::kafka)
pub mod counters {}

#[doc = include_str!("kafka.md")]
///
/// Next: [Transactions](crate::guide::transactions)
pub mod kafka {}

#[doc = include_str!("transactions.md")]
///
/// Next: [Raft](crate::guide::raft)
pub mod transactions {}

#[doc = include_str!("raft.md")]
///
/// Next: [In another language than Rust](crate::guide::languages)
pub mod raft {}

#[doc = include_str!("languages.md")]
///
/// Next: [Messages](crate::guide::messages)
pub mod languages {}

#[doc = include_str!("messages.md")]
///
/// Next: [Messages as types](crate::guide::types)
pub mod messages {}

#[doc = include_str!("types.md")]
///
/// Next: [Call, wait, answer later](crate::guide::calls)
pub mod types {}

#[doc = include_str!("calls.md")]
///
/// Next: [Background work](crate::guide::background)
pub mod calls {}

#[doc = include_str!("background.md")]
///
/// Next: [State that survives](crate::guide::state)
pub mod background {}

#[doc = include_str!("state.md")]
///
/// Next: [Options](crate::guide::options)
pub mod state {}

#[doc = include_str!("options.md")]
///
/// Next: [Virtual time](crate::guide::simulate)
pub mod options {}

#[doc = include_str!("simulate.md")]
///
/// Next: [`messenger test`](crate::guide::testing)
pub mod simulate {}

#[doc = include_str!("testing.md")]
///
/// Next: [`messenger explore`](crate::guide::explore)
pub mod testing {}

#[doc = include_str!("explore.md")]
///
/// Next: [`messenger grade`](crate::guide::grade)
pub mod explore {}

#[doc = include_str!("grade.md")]
///
/// Next: [Reports](crate::guide::reports)
pub mod grade {}

#[doc = include_str!("reports.md")]
///
/// Next: [Where it differs from Maelstrom](crate::guide::strictness)
pub mod reports {}

#[doc = include_str!("strictness.md")]
///
/// Next: [How fast it is, and what is checked](crate::guide::performance)
pub mod strictness {}

#[doc = include_str!("performance.md")]
///
/// Next: [The tour](crate::guide::tour)
pub mod performance {}

pub mod tour;
