//! Messenger is a mio-based, single-threaded reactor for [Maelstrom](https://github.com/jepsen-io/maelstrom)
//! nodes, made for throughput. Implement [`Handler`], and [`run`] it.
//!
//! # The tour
//!
//! A line on stdin is handled on its way through these layers. Each uses only what is above it in this
//! list:
//!
//! - [`time`]: instants and durations as integer microseconds. Shells say what time it is.
//! - [`json`]: values that lie where they came, borrowed and unchanged to the byte. simd-json's first stage finds the
//!   tokens of a line, or of all lines of a read, and a cursor over them is the only grammar.
//! - [`wire`]: bytes to messages and back. A [`LineBuffer`](wire::lines::LineBuffer) takes what was read, and a
//!   [`Reader`](wire::reader::Reader) makes each line an [`Envelope`](wire::envelope::Envelope) of borrowed
//!   [`Value`]s. One that differs from an earlier line in its values alone is read by its [template](wire::template), in
//!   one walk that also finds its end.
//! - [`timer`]: a hashed wheel for everything that waits.
//! - [`rpc`]: calls that wait for their answers, in a slab; how often they are tried; when to stop asking.
//! - [`telemetry`]: what was counted and how long it took; the newest messages; and, from the trace files of several
//!   nodes, which messages went where and when, as a log and as a sequence diagram.
//! - [`boundary`]: a network that loses messages, on purpose, and requests that come again.
//! - [`node`]: the sans-IO core. A [`Node`](node::Node) handles `init`, numbers what it sends, calls the
//!   workload for each request with a [`Context`], and turns its errors and panics into error messages.
//!   A [`Message`](node::Message) is written straight into the
//!   [`OutBuffer`](wire::out::OutBuffer), and counts only when it is complete. A reply ends the call whose
//!   `msg_id` and peer it names, or is dropped; the wheel ends the others. Handlers that are written as
//!   straight code and wait are futures that the node polls itself.
//! - [`kv`]: clients for Maelstrom's services.
//! - [`nodes`]: the workloads of this crate: that of the course, and Maelstrom's own.
//! - [`reactor`]: the mio shell, which reads once, handles what is whole, and writes once, for as long as
//!   stdin is open.
//! - `workbench` (with the feature of that name): tests of nodes, as processes or in virtual time. A `World` of network,
//!   clients, services and faults stands around the nodes; checkers judge what the clients saw.
//!
//! # Invariants
//!
//! - One thread, no locks, no `unsafe` code here. A handler has its workload to itself.
//! - Below the reactor nothing reads a clock or a descriptor.
//! - A message is read in place; an echo's payload is copied once, into the output; a request that is
//!   answered at once allocates nothing.
//! - Everything has a bound: a line by [`Options::max_line`](reactor::Options), nesting by
//!   [`MAX_DEPTH`](json::text::MAX_DEPTH), the output by
//!   [`HIGH_WATER`](wire::out::HIGH_WATER), past which nothing is read until somebody reads it; calls and
//!   handlers that wait, the log of messages and the answers kept for duplicates by [`Config`].
//! - Only whole messages leave, each from this node: each answer to the sender of a request that was read,
//!   with its `msg_id`, and at most one; everything else to somebody who exists.
//! - A request that was put off is answered in the end, or its client is told that it was given up.
#![forbid(unsafe_code)]

pub mod boundary;
pub mod json;
pub mod kv;
pub mod node;
pub mod nodes;
pub mod reactor;
pub mod rpc;
pub mod store;
pub mod telemetry;
pub mod time;
pub mod timer;
pub mod wire;
#[cfg(feature = "workbench")]
pub mod workbench;

pub use crate::json::value::Value;
pub use crate::node::{Answer, CallError, Config, Context, Handle, Handler, Request};
pub use crate::rpc::retry::{Backoff, Policy, RetryOn};
pub use crate::time::{Duration, Instant};
pub use crate::wire::error::{ErrorCode, RpcError};

/// Runs a node on stdin and stdout, until stdin ends, a signal comes, or nobody reads stdout any more. Its
/// log goes to stderr.
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
pub fn run<W: Handler>(workload: W) -> std::io::Result<()> {
    reactor::log_to_stderr(log::LevelFilter::Info);
    let config = node::Config { seed: fastrand::u64(..), ..node::Config::default() };
    let options = reactor::Options { data: reactor::data_folder(), ..reactor::Options::default() };
    reactor::run(&mut node::Node::new(workload, config), &options)
}
