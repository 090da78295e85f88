//! Through the layers of the reactor, for those who want to know how it is built.
//!
//! # The rooms
//!
//! The folders and files of `src`, from the bottom up. Each uses only what is above it in this list, which a test holds. A
//! line on stdin goes through those from `json` to `reactor`:
//!
//! - [`time`](crate::time): instants and durations as integer microseconds. Shells say what time it is.
//! - [`assertions`](crate::assertions): what a handler says must always hold, or should sometimes occur, and who hears of it.
//! - [`json`](crate::json): values that lie where they came, borrowed and unchanged to the byte. simd-json's first stage finds the
//!   tokens of a line, or of all lines of a read, and a cursor over them is the only grammar.
//! - [`messages`](crate::messages) (with the feature `serde`): Maelstrom's messages as types.
//! - [`wire`](crate::wire): bytes to messages and back. A [`LineBuffer`](crate::wire::lines::LineBuffer) takes what was read, and a
//!   `Reader` makes each line an `Envelope` of borrowed
//!   [`Value`](crate::Value)s. One that differs from an earlier line in its values alone is read by its template, in
//!   one walk that also finds its end. serde reads types from there, and writes them into the output
//!   (feature `serde`).
//! - `timer`: a hashed wheel for everything that waits.
//! - [`rpc`](crate::rpc): calls that wait for their answers, in a slab; how often they are tried; when to stop asking.
//! - [`telemetry`](crate::telemetry): what was counted and how long it took; the newest messages.
//! - [`boundary`](crate::boundary): a network that loses messages, on purpose, and requests that come again.
//! - [`store`](crate::store): what a node remembers after it was killed: records on a disk, whole or not at all.
//! - [`node`](crate::node): the sans-IO core. A [`Node`](crate::node::Node) handles `init`, numbers what it sends, calls the
//!   workload for each request with a [`Context`](crate::Context), and turns its errors and panics into error messages.
//!   A [`Message`](crate::node::Message) is written straight into the
//!   [`OutBuffer`](crate::wire::out::OutBuffer), and counts only when it is complete. A reply ends the call whose
//!   `msg_id` and peer it names, or is dropped; the wheel ends the others. Handlers that are written as
//!   straight code and wait are futures that the node polls itself.
//! - [`kv`](crate::kv): clients for Maelstrom's services.
//! - [`reactor`](crate::reactor): the mio shell, which reads once, handles what is whole, and writes once, for as long as
//!   stdin is open.
//! - `args`: the words of a command line, and what is wrong with them.
//! - `workbench` (with the feature of that name): tests of nodes, as processes or in virtual time. Around the nodes
//!   stands a `World`: a cluster, which is their inboxes, the network, services and faults, and the clients that ask it;
//!   checkers judge what the clients saw. In a `TestCluster` a test of yours has the place of the clients.
//!   Its `trace` merges what nodes wrote down, or the journal of a test, to a log and a sequence diagram.
//! - [`nodes`](crate::nodes): the workloads of this crate: that of the course, and Maelstrom's own.
//! - [`cli`](crate::cli): the commands of `messenger`, and of a program that has them with its own node.
//! - [`guide`](crate::guide): this, and how to write a node.
//!
//! # Invariants
//!
//! - One thread, no locks, no `unsafe` code here. A handler has its workload to itself.
//! - Below the reactor nothing reads a clock or a descriptor.
//! - A message is read in place; an echo's payload is copied once, into the output; a request that is
//!   answered at once allocates nothing.
//! - Everything has a bound: a line by [`Options::max_line`](crate::reactor::Options), nesting by
//!   [`MAX_DEPTH`](crate::json::text::MAX_DEPTH), the output by
//!   [`HIGH_WATER`](crate::wire::out::HIGH_WATER), past which nothing is read until somebody reads it; calls and
//!   handlers that wait, the log of messages and the answers kept for duplicates by [`Config`](crate::Config).
//! - Only whole messages leave, each from this node: each answer to the sender of a request that was read,
//!   with its `msg_id`, and at most one; everything else to somebody who exists.
//! - A request that was put off is answered in the end, or its client is told that it was given up.
//!
//! # Side by side
//!
//! Lines of a whole program that are neither blank nor comments. What others need for an echo is in `perf/peers`, each as
//! its library's own examples have it; ours are in `tests/nodes/typed`, and the tests put each through the workbench.
//!
//! | node | Messenger | maelstrom-node | maelstrom-rs | maelbreaker | async-maelstrom |
//! | --- | --- | --- | --- | --- | --- |
//! | echo | 8 | 17 | 16 | 25 | 32 |
//! | unique ids | 11 | | | | |
//! | broadcast, batched and acknowledged | 40 | | | | |
//! | kafka on one node | 37 | | | | |
//! | transactions on registers | 16 | | | | |
