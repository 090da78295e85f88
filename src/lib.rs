//! Messenger is a mio-based, single-threaded reactor for [Maelstrom](https://github.com/jepsen-io/maelstrom)
//! nodes, made for throughput. Implement [`Handler`], and [`run`] it.
//!
//! # Write a node
//!
//! This is one for `maelstrom test -w echo`, all of it (`messenger = { …, default-features = false, features =
//! ["serde"] }`):
//!
#![cfg_attr(feature = "serde", doc = "```no_run")]
#![cfg_attr(not(feature = "serde"), doc = "```ignore")]
//! use messenger::handler_fn;
//! use messenger::messages::echo::{Reply, Request};
//!
//! fn main() -> std::io::Result<()> {
//!     messenger::run(handler_fn(|request, cx| {
//!         let Request::Echo { echo } = request.parse()?;
//!         cx.reply_with(request, &Reply::EchoOk { echo })
//!     }))
//! }
//! ```
//!
//! A node with a state implements [`Handler`]; `self` is the state, which it has to itself. What comes and goes are
//! types: those of [`messages`], or enums of your own, whose variants are the types of messages.
//!
#![cfg_attr(feature = "serde", doc = "```")]
#![cfg_attr(not(feature = "serde"), doc = "```ignore")]
//! use std::collections::HashMap;
//!
//! use messenger::{Context, ErrorCode, Handler, Request, RpcError};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize)]
//! #[serde(rename_all = "snake_case")]
//! enum Ask<'a> {
//!     Write { key: &'a str, value: i64 },
//!     Read { key: &'a str },
//! }
//!
//! #[derive(Serialize)]
//! #[serde(rename_all = "snake_case")]
//! enum Tell {
//!     WriteOk,
//!     ReadOk { value: i64 },
//! }
//!
//! #[derive(Default)]
//! struct Store {
//!     values: HashMap<String, i64>,
//! }
//!
//! impl Handler for Store {
//!     fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
//!         let answer = match request.parse()? {
//!             Ask::Write { key, value } => {
//!                 self.values.insert(key.to_owned(), value);
//!                 Tell::WriteOk
//!             }
//!             Ask::Read { key } => {
//!                 let missing = || RpcError::new(ErrorCode::KEY_DOES_NOT_EXIST, "no such key");
//!                 Tell::ReadOk { value: *self.values.get(key).ok_or_else(missing)? }
//!             }
//!         };
//!         cx.reply_with(request, &answer)
//!     }
//! }
//! ```
//!
//! What is missing or of the wrong type is answered with error 12: `body.key: expected a string, found 7`; a type without
//! a variant with error 10. Without types [`Request`] reads field by field (`request.field::<i64>("value")?`), and
//! [`Context::reply`] writes so.
//!
//! # Call, wait, keep time
//!
//! | to | use |
//! | --- | --- |
//! | tell a node, or all of them | [`Context::message`], [`Context::broadcast`]; `for peer in cx.peers()` |
//! | call one, and go on in a callback | [`Context::call`], and [`Call::then`](node::Call::then) |
//! | call some in straight code | [`Context::wait`] for a request, [`Context::spawn`] without one; in it [`Handle::call`], [`Handle::sleep`], and [`Handle::with`] for the state |
//! | answer later | [`Context::defer`], and [`Context::answer`] |
//! | do something after a while, or again and again | [`Context::after`], [`Context::every`] |
//! | try again | a [`Policy`] |
//! | let another thread act | [`Context::remote`] |
//! | use Maelstrom's services | [`kv`] |
//! | make an error of another library an answer | [`OrCode`] |
//! | say what must hold, and what should occur in some test | [`always!`], [`sometimes!`] |
//!
//! What ends in `_with` takes a whole body in place of a type and fields.
//!
//! # Test it
//!
//! `messenger test -w echo --bin target/debug/my-node` tests the process as Maelstrom does. A test of your own talks with
//! nodes in one process and in virtual time (feature `workbench`, in `[dev-dependencies]`):
//!
#![cfg_attr(feature = "workbench", doc = "```")]
#![cfg_attr(not(feature = "workbench"), doc = "```ignore")]
//! use messenger::workbench::test_cluster::{TestCluster, json};
//! use messenger::{RpcError, handler_fn};
//!
//! let ping = handler_fn(|request, cx| match request.kind() {
//!     "ping" => cx.reply(request, "pong").send(),
//!     kind => Err(RpcError::not_supported(kind)),
//! });
//! let mut cluster = TestCluster::of(["n1"]);
//! cluster.start("n1", ping);
//! assert_eq!(cluster.ask("n1", json!({"type": "ping"}))["type"], "pong");
//! ```
//!
//! It plays clients, other nodes and services, lets time pass, cuts links and kills nodes. Below it is a
//! [`Node`](node::Node), which is bytes and the time in, and bytes and the next deadline out.
//!
//! Maelstrom's own tests in virtual time, with generated operations, faults and checkers, are `workbench::simulate`.
//!
//! # Where to read on
//!
//! The guide, `messenger::guide` here (with the default features) and `src/guide` in the repository, takes you from the
//! first echo to Raft, with what goes wrong first and how a test shows it. It answers what is asked most: types, options,
//! background work, state that survives, tests of your own node in virtual time, the messages of each workload. At its end
//! is a tour through the layers of this crate.
//!
//! # Features
//!
//! | feature | has |
//! | --- | --- |
//! | `serde` (default) | messages as types: [`Request::parse`], [`Context::reply_with`] and what ends in `_with`, `messages` |
//! | `args` | the options of the command line for your node: `args::run` |
//! | `workbench` | tests: `workbench::TestCluster` to talk with nodes, `workbench::simulate`, the checkers, reports |
//! | `cli` (default) | the command `messenger`; includes `args`, `serde` and `workbench` |
#![forbid(unsafe_code)]

#[cfg(feature = "args")]
pub mod args;
pub mod assertions;
pub mod boundary;
#[cfg(all(feature = "cli", unix))]
pub mod cli;
#[cfg(all(feature = "cli", unix))]
pub mod guide;
pub mod json;
pub mod kv;
#[cfg(feature = "serde")]
pub mod messages;
pub mod node;
pub mod nodes;
#[cfg(unix)]
pub mod reactor;
pub mod rpc;
pub mod store;
pub mod telemetry;
pub mod time;
mod timer;
pub mod wire;
#[cfg(feature = "workbench")]
pub mod workbench;

pub use crate::json::value::{OwnedValue, Value};
pub use crate::node::{
    Answer, CallError, Config, Context, Handle, Handler, HandlerFn, Remote, Request, handler_fn,
};
#[cfg(unix)]
pub use crate::reactor::Options;
pub use crate::rpc::retry::{Backoff, Policy, RetryOn};
pub use crate::time::{Duration, Instant};
pub use crate::wire::error::{ErrorCode, OrCode, RpcError};

/// The machinery, for the benches and tests of this repository. Nothing is promised of it: it may change in any release.
#[cfg(feature = "internals")]
pub mod internals {
    pub use crate::json::parser::Parser;
    pub use crate::rpc::pending::{Attempt, Call, CallKey, PeerId, Pending};
    pub use crate::timer::{TimerKey, Wheel};
    pub use crate::wire::envelope::{Envelope, UncheckedEnvelope};
    pub use crate::wire::template::Templates;
}

/// Runs a node on stdin and stdout, until stdin ends, a signal comes, or nobody reads stdout any more.
///
/// It installs a logger for the `log` crate, unless the program has one, which writes to stderr from the level `info` up,
/// and replaces the panic hook by one that gives a panic to the log, in one line.
///
/// This is all that a node's `main` needs:
///
/// ```no_run
/// use messenger::{Context, Handler, Request, RpcError};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
///         match request.kind() {
///             "echo" => cx.reply(request, "echo_ok").field("echo", request.required("echo")?).send(),
///             kind => Err(RpcError::not_supported(kind)),
///         }
///     }
/// }
///
/// fn main() -> std::io::Result<()> {
///     messenger::run(Echo)
/// }
/// ```
///
/// # Errors
/// Where stdin cannot be read or stdout cannot be written. A closed stdout is no error.
#[cfg(unix)]
pub fn run<H: Handler>(handler: H) -> std::io::Result<()> {
    let config = Config { seed: fastrand::u64(..), ..Config::default() };
    run_with(handler, config, &Options { data: reactor::data_folder(), ..Options::default() })
}

/// Makes a program of a node: without a subcommand it is the node, as [`run`] runs it, with
/// [options](args::NodeArgs); besides, it is the workbench for it.
///
/// ```no_run
/// # use messenger::{Context, Handler, Request, RpcError};
/// # #[derive(Default)]
/// # struct MyNode;
/// # impl Handler for MyNode {
/// #     fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
/// #         cx.reply(request, "echo_ok").send()
/// #     }
/// # }
/// fn main() -> std::process::ExitCode {
///     messenger::main(MyNode::default)
/// }
/// ```
///
/// `my-node test -w broadcast` tests it over processes, with `--sim` in virtual time; `my-node explore -w broadcast`
/// tries many seeds, and cuts down the first that fails; `my-node help` has the rest. Each start of a node in a test
/// makes one. With workloads of your own it is a [`cli::NodeProgram`].
#[cfg(all(feature = "cli", unix))]
pub fn main<H: Handler>(new: impl Fn() -> H + Sync) -> std::process::ExitCode {
    cli::NodeProgram::new(new).run()
}

/// Runs a node as [`run`] does, with settings of its own.
///
/// ```no_run
/// # use messenger::{Config, Duration, Options, RpcError, handler_fn};
/// # let handler = handler_fn(|request, _| Err(RpcError::not_supported(request.kind())));
/// let config = Config { answer_within: Duration::from_millis(950), ..Config::default() };
/// let options = Options { trace: Some("trace-{node}.jsonl".into()), ..Options::default() };
/// messenger::run_with(handler, config, &options)
/// # .unwrap();
/// ```
///
/// # Errors
/// Where stdin cannot be read or stdout cannot be written. A closed stdout is no error.
#[cfg(unix)]
pub fn run_with<H: Handler>(handler: H, config: Config, options: &Options) -> std::io::Result<()> {
    reactor::log_to_stderr(log::LevelFilter::Info);
    reactor::run(&mut node::Node::new(handler, config), options)
}
