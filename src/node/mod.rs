//! The sans-IO core: bytes and the time go in, bytes come out.
//!
//! A [`Node`] knows no file descriptor and no clock. A shell hands it lines with
//! [`handle_line`](Node::handle_line) and writes what gathers in the [`OutBuffer`]; on real pipes that
//! is the [`reactor`](crate::reactor).

mod answer;
mod builders;
mod call;
mod calls;
mod cluster;
mod config;
mod context;
mod core;
mod deferred;
mod dispatch;
mod draft;
mod durability;
mod fields;
mod handler;
mod header;
mod inbox;
mod message;
mod oneshot;
mod outcome;
mod peers;
mod places;
mod remote;
mod request;
mod sequential;
mod tasks;
mod timers;
#[cfg(feature = "serde")]
mod typed;
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub use self::answer::Answer;
pub use self::call::Call;
pub use self::cluster::Cluster;
pub use self::config::Config;
pub use self::context::Context;
use self::context::Continuations;
use self::core::{Clock, Core};
pub use self::deferred::Deferred;
use self::dispatch::{handle_due, handle_read, panic_text, too_long};
pub use self::handler::{Handler, HandlerFn, handler_fn};
pub use self::inbox::RemoteError;
pub use self::message::Message;
pub use self::outcome::{CallError, CallOutcome, Reply};
pub use self::peers::{Broadcast, Peers};
pub use self::remote::Remote;
pub use self::request::Request;
pub use self::sequential::{Handle, OwnedReply, WaitingCall};
pub use self::timers::TimerId;
use crate::store::{BadRecord, Records};
use crate::telemetry::metrics::Counters;
use crate::time::Instant;
use crate::wire::lines::{Line, LineBuffer};
use crate::wire::out::{HIGH_WATER, OutBuffer};
use crate::wire::reader::Reader;

/// A node of the cluster, running handler `H`.
#[derive(Debug)]
pub struct Node<H> {
    reader: Reader,
    core: Core,
    continuations: Continuations<H>,
    handler: H,
}

impl<H: Handler> Node<H> {
    /// A node that waits for its `init`.
    pub fn new(handler: H, config: Config) -> Self {
        let (core, continuations) = (Core::new(config), Continuations::new());
        Self { reader: Reader::new(), core, continuations, handler }
    }

    /// Gives the node a clock, for handlers and reports that measure time within a turn, and the Unix time at
    /// [`Instant::START`] in microseconds. Without one, time stands still during a turn.
    pub fn set_clock(&mut self, start_unix_us: u64, read: impl Fn() -> Instant + 'static) {
        self.core.clock = Some(Clock(Box::new(read)));
        self.core.writer.trace.set_start(start_unix_us);
    }

    /// Handles the whole lines of a buffer at the time `now`, as long as the output is below its mark; whether those were
    /// all.
    pub fn handle_lines(&mut self, now: Instant, lines: &mut LineBuffer, out: &mut OutBuffer) -> bool {
        if self.core.log.waiting() >= HIGH_WATER {
            return false;
        }
        self.core.start_turn(now);
        let start = out.end();
        let Self { reader, core, continuations, handler } = self;
        let were_all = out.len() < HIGH_WATER && {
            let mut cx = Context { core, continuations, out };
            reader.read(lines, |line| {
                handle_read(handler, line, &mut cx);
                cx.out.len() < HIGH_WATER
            })
        };
        self.end_turn(start, out);
        were_all
    }

    /// Handles one line of input at the time `now`. What there is to say goes to `out`.
    ///
    /// A line that is no message is reported to the log with its number, and counted.
    pub fn handle_line(&mut self, now: Instant, line: Line<'_>, out: &mut OutBuffer) {
        self.core.start_turn(now);
        let start = out.end();
        let Self { reader, core, continuations, handler } = self;
        reader.read_line(line, |line| handle_read(handler, line, &mut Context { core, continuations, out }));
        self.end_turn(start, out);
    }

    /// Holds back what was said in a turn, if that has to wait.
    #[inline(always)]
    fn end_turn(&mut self, start: usize, out: &mut OutBuffer) {
        let Core { log, config, .. } = &mut self.core;
        if log.is_busy() && !config.loses_acknowledged_writes {
            log.hold(start, out);
        }
    }

    /// Gives the handler back what it persisted before the node's last end: each record, the oldest first, before the
    /// first line.
    ///
    /// # Errors
    /// If the handler cannot make it out.
    pub fn recover(&mut self, record: &[u8]) -> Result<(), BadRecord> {
        let handler = &mut self.handler;
        catch_unwind(AssertUnwindSafe(|| handler.recover(record)))
            .unwrap_or_else(|panic| Err(BadRecord(format!("the handler panicked: {}", panic_text(&*panic)))))
    }

    /// The records that the shell makes durable now, if there are some and it is not at it already. Ask after each
    /// turn. The shell says when it has done so by [`handle_durable`](Self::handle_durable).
    pub fn poll_persist(&mut self) -> Option<&Records> {
        let Core { log, writer, .. } = &mut self.core;
        let records = log.poll()?;
        writer.counters.records += records.len() as u64;
        writer.counters.syncs += 1;
        Some(records)
    }

    /// The records that were asked for last are durable: what waited for them goes to `out`. There may be more.
    pub fn handle_durable(&mut self, out: &mut OutBuffer) {
        self.core.log.handle_durable(out);
    }

    /// Says that a line of `length` bytes was too long and was skipped.
    pub fn handle_too_long(&mut self, length: u64) {
        self.core.writer.counters.lines += 1;
        too_long(&mut self.core, length);
    }

    /// Does what is due at the time `now`, as long as the output is below its mark; what is left is due again
    /// at once.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut OutBuffer) {
        self.core.start_turn(now);
        let start = out.end();
        self.core.boundary.chaos.release(now, out);
        let Self { core, continuations, handler, .. } = self;
        handle_due(handler, &mut Context { core, continuations, out });
        self.end_turn(start, out);
    }

    /// Says how to wake whoever drives this node, from any thread, when another thread wants something done: that is
    /// due at once then. See [`Context::remote`].
    pub fn set_wake(&mut self, wake: impl Fn() + Send + Sync + 'static) {
        self.continuations.inbox.set_wake(Arc::new(wake));
    }

    /// Says when the bytes came of the lines that are handled next, where that is not the turn's own time. It is
    /// what service times begin with.
    pub fn set_arrival(&mut self, arrived: Instant) {
        self.core.arrived = Some(arrived);
    }

    /// Says that all that the node said is written, now. It is what service times end with.
    pub fn handle_written(&mut self, now: Instant) {
        self.core.writer.metrics.handle_written(now);
    }

    /// Lets go of what [`chaos`](crate::boundary::chaos) holds back, early: it is the end.
    pub fn release_held(&mut self, out: &mut OutBuffer) {
        self.core.boundary.chaos.release(Instant::END, out);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do, unless a line comes before that.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        if self.continuations.tasks.is_ready() || self.continuations.inbox.is_ready() {
            return Some(self.core.now);
        }
        [self.core.wheel.next_deadline(), self.core.boundary.chaos.poll_timeout()].into_iter().flatten().min()
    }

    /// Whether nothing waits: no call for its answer, no handler, no timer that fires once.
    pub fn is_idle(&self) -> bool {
        let Self { core, continuations, .. } = self;
        let waits =
            !core.pending.is_empty() || continuations.tasks.len() > 0 || core.timers.has_one_that_ends();
        !waits && core.boundary.chaos.poll_timeout().is_none() && !core.log.is_busy()
    }

    /// What was counted so far.
    pub const fn counters(&self) -> &Counters {
        &self.core.writer.counters
    }

    /// What was counted and measured so far, as one JSON object: see [`telemetry::metrics`](crate::telemetry::metrics).
    pub fn report(&self, now: Instant) -> String {
        let core = &self.core;
        let id = core.cluster.as_ref().map_or("", Cluster::id);
        let peers = core.peers.iter().map(|peer| &*peer.name);
        core.writer.metrics.report(id, now, &core.writer.counters, peers)
    }

    /// Lets every message from now on become a line of JSON, to be taken with [`take_trace`](Self::take_trace).
    pub fn start_trace(&mut self) {
        self.core.writer.trace.start_lines();
    }

    /// If there is a trace, lets somebody take its lines, who is told the node's id, if it has one, and says how many
    /// lines were lost: see [`telemetry::trace`](crate::telemetry::trace).
    pub fn take_trace(&mut self, take: impl FnOnce(&mut Vec<u8>, Option<&str>) -> u64) {
        let Core { writer, cluster, .. } = &mut self.core;
        if let Some(lines) = writer.trace.lines_mut() {
            writer.counters.trace_dropped += take(lines, cluster.as_ref().map(Cluster::id));
        }
    }

    /// How many calls wait for their answers.
    pub fn pending_calls(&self) -> usize {
        self.core.pending.len()
    }

    /// Who the node is and whom it knows; `None` before `init`.
    pub const fn cluster(&self) -> Option<&Cluster> {
        self.core.cluster.as_ref()
    }

    /// The handler and its state.
    pub const fn handler(&self) -> &H {
        &self.handler
    }
}
