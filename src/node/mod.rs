//! The sans-IO core: bytes and the time go in, bytes come out.
//!
//! A [`Node`] knows no file descriptor and no clock. A shell hands it lines with
//! [`handle_line`](Node::handle_line) and writes what gathers in the [`OutBuffer`]; on real pipes that
//! is the [`reactor`](crate::reactor).

mod call;
mod context;
mod durability;
mod fields;
mod handler_fn;
mod peers;
mod remote;
mod sequential;
mod timers;
#[cfg(feature = "serde")]
mod typed;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use log::{error, warn};

pub use self::call::{Call, CallError, Outcome, Reply};
use self::context::{Clock, Core, Origin};
pub use self::context::{Cluster, Config, Context, Deferred, Message, Request};
pub use self::handler_fn::{HandlerFn, handler_fn};
pub use self::peers::{Broadcast, Peers};
pub use self::remote::{Remote, RemoteError};
pub use self::sequential::{Answer, Handle, OwnedReply, WaitingCall};
use self::timers::TimerEvent;
pub use self::timers::TimerId;
use crate::boundary::Admission;
use crate::boundary::chaos::ChaosStats;
use crate::json::error::SyntaxError;
use crate::json::text::excerpt;
use crate::store::{BadRecord, Records};
use crate::telemetry::metrics::Counters;
use crate::time::Instant;
use crate::wire::envelope::{Envelope, SchemaError, UncheckedEnvelope};
use crate::wire::error::{ErrorCode, RpcError};
use crate::wire::lines::{Line, LineBuffer};
use crate::wire::out::{HIGH_WATER, OutBuffer};
use crate::wire::reader::{Read, Reader};

/// What a node does. Its state is its own: a handler has it to itself while it runs.
pub trait Handler: Sized + 'static {
    /// Called once, when the node has learned who it is and has said so with `init_ok`.
    fn on_init(&mut self, cx: &mut Context<'_, Self>) {
        let _ = cx;
    }

    /// Handles a request of another node or of a client.
    ///
    /// Answer it with [`Context::reply`]. An `Err` is answered as an error message; so is a panic (which the
    /// program has to unwind, not abort), with code 13. A request without `msg_id` is handled like any other and gets no answer,
    /// whatever this does.
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError>;

    /// Takes back a record that was [persisted](Context::persist) before the node's last end. At the start, before
    /// [`on_init`](Self::on_init), this is called for each record, the oldest first.
    ///
    /// # Errors
    /// If it cannot make the record out; the node does not start then. That is what a handler comes to that persists
    /// nothing and is given the log of another.
    fn recover(&mut self, record: &[u8]) -> Result<(), BadRecord> {
        Err(BadRecord(format!("this node persists nothing; found a record of {} bytes", record.len())))
    }
}

/// A node of the cluster, running handler `H`.
#[derive(Debug)]
pub struct Node<H> {
    reader: Reader,
    core: Core<H>,
    handler: H,
}

impl<H: Handler> Node<H> {
    /// A node that waits for its `init`.
    pub fn new(handler: H, config: Config) -> Self {
        let core = Core::new(config);
        Self { reader: Reader::new(), core, handler }
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
        let Self { reader, core, handler } = self;
        let were_all = out.len() < HIGH_WATER
            && reader.read(lines, |line| {
                handle_read(core, handler, line, out);
                out.len() < HIGH_WATER
            });
        self.end_turn(start, out);
        were_all
    }

    /// Handles one line of input at the time `now`. What there is to say goes to `out`.
    ///
    /// A line that is no message is reported to the log with its number, and counted.
    pub fn handle_line(&mut self, now: Instant, line: Line<'_>, out: &mut OutBuffer) {
        self.core.start_turn(now);
        let start = out.end();
        let Self { reader, core, handler } = self;
        reader.read_line(line, |line| handle_read(core, handler, line, out));
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
        self.core.log.poll()
    }

    /// The records that were asked for last are durable: what waited for them goes to `out`. There may be more.
    pub fn handle_durable(&mut self, out: &mut OutBuffer) {
        self.core.log.handle_durable(out);
    }

    /// Says that a line of `length` bytes was too long and was skipped.
    pub fn handle_too_long(&mut self, length: u64) {
        handle_read(&mut self.core, &mut self.handler, Read::TooLong(length), &mut OutBuffer::new());
    }

    /// Does what is due at the time `now`, as long as the output is below its mark; what is left is due again
    /// at once.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut OutBuffer) {
        self.core.start_turn(now);
        let start = out.end();
        self.core.boundary.chaos.release(now, out);
        let Self { core, handler, .. } = self;
        through_boundary(core, true, out, |core, out| {
            settle(core, handler, out);
            while out.len() < HIGH_WATER
                && let Some((due, event)) = core.wheel.pop_expired(now)
            {
                match event {
                    TimerEvent::Attempt(key) => {
                        if let Some((completion, error)) = core.handle_attempt_over(key, out) {
                            let _ = guard(core, out, |cx| completion.complete(handler, Err(error), cx));
                        }
                    }
                    TimerEvent::Handler(id) => {
                        if let Some(mut callback) = core.handle_timer_due(id, due) {
                            let _ = guard(core, out, |cx| callback(handler, cx));
                            core.keep_callback(id, callback);
                        }
                    }
                }
                settle(core, handler, out);
            }
            while out.len() < HIGH_WATER
                && let Some(command) = core.inbox.take()
            {
                let _ = guard(core, out, |cx| command(handler, cx));
                settle(core, handler, out);
            }
        });
        self.end_turn(start, out);
    }

    /// Says how to wake whoever drives this node, from any thread, when another thread wants something done: that is
    /// due at once then. See [`Context::remote`].
    pub fn set_wake(&mut self, wake: impl Fn() + Send + Sync + 'static) {
        self.core.inbox.set_wake(Arc::new(wake));
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
        if self.core.tasks.is_ready() || self.core.inbox.is_ready() {
            return Some(self.core.now);
        }
        [self.core.wheel.next_deadline(), self.core.boundary.chaos.poll_timeout()].into_iter().flatten().min()
    }

    /// Whether nothing waits: no call for its answer, no handler, no timer that fires once.
    pub fn is_idle(&self) -> bool {
        let core = &self.core;
        let waits = !core.pending.is_empty() || core.tasks.len() > 0 || core.has_timer_that_ends();
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

/// Handles a line, whatever it is.
#[inline(always)]
fn handle_read<H: Handler>(core: &mut Core<H>, handler: &mut H, line: Read<'_>, out: &mut OutBuffer) {
    core.writer.counters.lines += 1;
    match line {
        Read::Message(envelope) => handle_envelope(core, handler, envelope, out),
        Read::NotMessage(unchecked, error) => {
            through_boundary(core, false, out, |core, out| refuse(core, unchecked, &error, out));
        }
        Read::NotJson(error) => not_json(core, &error),
        Read::TooLong(length) => too_long(core, length),
    }
}

#[cold]
fn not_json<H>(core: &mut Core<H>, error: &SyntaxError) {
    core.writer.counters.not_json += 1;
    warn!("line {}: not JSON: {error}", core.writer.counters.lines);
}

#[cold]
fn too_long<H>(core: &mut Core<H>, length: u64) {
    core.writer.counters.too_long += 1;
    warn!(
        "line {}: {length} bytes are more than a line may have, or than there is memory for: skipped",
        core.writer.counters.lines
    );
}

/// Handles a message that came, with what stands between the node and its network, if anything does.
#[inline(always)]
fn handle_envelope<H: Handler>(
    core: &mut Core<H>,
    handler: &mut H,
    envelope: &Envelope<'_>,
    out: &mut OutBuffer,
) {
    if core.boundary.is_on() {
        let is_done =
            through_boundary(core, true, out, |core, out| handle_if_admitted(core, handler, envelope, out));
        if is_done {
            core.boundary.closed(envelope);
        }
    } else {
        handle_message(core, handler, envelope, out);
    }
}

/// Lets the node act, and what it says pass what stands between it and its network. Its replies may be kept, if that is
/// what `are_replies` says.
fn through_boundary<H, T>(
    core: &mut Core<H>,
    are_replies: bool,
    out: &mut OutBuffer,
    act: impl FnOnce(&mut Core<H>, &mut OutBuffer) -> T,
) -> T {
    if !core.boundary.is_on() {
        return act(core, out);
    }
    let start = out.end();
    core.writer.trace.watch_sent();
    let outcome = act(core, out);
    let sent = core.writer.trace.take_sent();
    core.boundary.pass(core.now, sent, are_replies, start, out);
    let ChaosStats { dropped, duplicated, .. } = core.boundary.chaos.stats();
    core.writer.counters.chaos_dropped = dropped;
    core.writer.counters.chaos_duplicated = duplicated;
    outcome
}

/// Handles a message, if it is no request that was handled before. Whether it was, and is not to be answered later.
fn handle_if_admitted<H: Handler>(
    core: &mut Core<H>,
    handler: &mut H,
    envelope: &Envelope<'_>,
    out: &mut OutBuffer,
) -> bool {
    let is_ours = core.cluster.as_ref().is_some_and(|cluster| cluster.is_for_us(&envelope.dest));
    if !is_ours || envelope.body.in_reply_to.is_some() || envelope.body.kind == "init" {
        handle_message(core, handler, envelope, out);
        return false;
    }
    match core.boundary.admit(core.now, envelope) {
        Admission::Handle => return !handle_message(core, handler, envelope, out),
        Admission::Drop => {
            core.writer.note_received(envelope, true);
            core.writer.counters.duplicates_dropped += 1;
        }
        Admission::Reply(reply) => {
            core.writer.note_received(envelope, true);
            core.writer.counters.duplicates_answered += 1;
            core.writer.send_again(out, &envelope.src, &reply.kind, &reply.line);
            core.writer.metrics.answered(&envelope.body.kind);
        }
    }
    false
}

/// Handles a message, and what follows from it. Whether it is a request that is to be answered later.
fn handle_message<H: Handler>(
    core: &mut Core<H>,
    handler: &mut H,
    envelope: &Envelope<'_>,
    out: &mut OutBuffer,
) -> bool {
    let is_ours = core.cluster.as_ref().is_some_and(|cluster| cluster.is_for_us(&envelope.dest));
    core.writer.note_received(envelope, is_ours);
    let is_put_off = match &core.cluster {
        Some(cluster) if !is_ours => {
            core.writer.counters.misaddressed += 1;
            let (line, dest, id) = (core.writer.counters.lines, excerpt(&envelope.dest), cluster.id());
            warn!("line {line}: dest is {dest:?}, this node is {id:?}: not handled");
            false
        }
        _ => dispatch(core, handler, envelope, out),
    };
    settle(core, handler, out);
    is_put_off
}

#[inline(always)]
fn dispatch<H: Handler>(
    core: &mut Core<H>,
    handler: &mut H,
    envelope: &Envelope<'_>,
    out: &mut OutBuffer,
) -> bool {
    let line = core.writer.counters.lines;
    if let Some(id) = envelope.body.in_reply_to {
        if let Some((completion, outcome)) = core.handle_reply(id.as_u64(), envelope) {
            let body = &envelope.body;
            let outcome = outcome.map(|(attempts, waits)| Reply { body, attempts, waits });
            let _ = guard(core, out, |cx| completion.complete(handler, outcome, cx));
        }
        return false;
    }

    let request = Request::new(envelope);
    let outcome = guard(core, out, |cx| match (request.kind(), cx.is_initialised()) {
        ("init", _) => handle_init(handler, &request, cx),
        (_, true) => handler.on_request(&request, cx),
        (_, false) => Err(RpcError::temporarily_unavailable("this node waits for its init message")),
    });
    let Some(error) = outcome.map_or_else(
        |panic| {
            let kind = excerpt(request.kind());
            Some(RpcError::new(ErrorCode::CRASH, format!("the handler of {kind:?} panicked: {panic}")))
        },
        Result::err,
    ) else {
        return request.is_put_off();
    };
    let kind = excerpt(request.kind());
    match request.origin() {
        Some(origin) if request.is_answered() => match core.take_abandoned(&origin) {
            // It was put off, and dropped with whatever was to answer it.
            Some(deferred) => core.answer_error(out, deferred, &error),
            None => error!("line {line}: {kind:?} had its answer when its handler failed: {error}"),
        },
        Some(origin) => {
            if error.code == ErrorCode::NOT_SUPPORTED {
                core.writer.metrics.answered_unknown();
            } else {
                core.writer.metrics.answered(request.kind());
            }
            core.send_error(&origin, &error, out);
        }
        None => warn!("line {line}: {kind:?} has no msg_id, so nobody hears of {error}"),
    }
    request.is_put_off()
}

/// Runs code of the handler. A panic is counted, and its text comes back; to report it is for the process's
/// panic hook.
///
/// It may leave the handler's own state half changed, which is for the handler to bear. The core's state is
/// whole whenever such code runs, and an unfinished message is never sent.
fn guard<H, T>(
    core: &mut Core<H>,
    out: &mut OutBuffer,
    act: impl FnOnce(&mut Context<'_, H>) -> T,
) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(|| act(&mut Context::new(core, out)))).map_err(|panic| {
        core.writer.counters.panics += 1;
        panic_text(&*panic)
    })
}

/// Lets the waiting handlers go on, and answers the requests that were given up.
///
/// A handler that always has something more to do may not keep the node from reading: after some rounds the rest
/// is due at once, which is what [`Node::poll_timeout`] says.
#[inline]
fn settle<H: Handler>(core: &mut Core<H>, handler: &mut H, out: &mut OutBuffer) {
    if core.tasks.is_ready() || !core.abandoned.borrow().is_empty() {
        settle_tasks(core, handler, out);
    }
}

#[inline(never)]
fn settle_tasks<H: Handler>(core: &mut Core<H>, handler: &mut H, out: &mut OutBuffer) {
    const ROUNDS_MAX: u32 = 100;
    for _ in 0..ROUNDS_MAX {
        if !core.tasks.is_ready() {
            break;
        }
        while let Some(end) = core.tasks.poll() {
            match end {
                Err(_) => core.writer.counters.panics += 1,
                Ok((Some(deferred), Ok(answer))) => Context::new(core, out).end_task(deferred, &answer),
                Ok((Some(deferred), Err(error))) => Context::new(core, out).answer_error(deferred, &error),
                Ok((None, Ok(_))) => {}
                Ok((None, Err(error))) => warn!("a task came to its end: {error}"),
            }
        }
        for command in core.tasks.take_commands() {
            // Whoever waits for a command that panicked is told when it is dropped.
            let _ = guard(core, out, |cx| command(handler, cx));
        }
    }
    while let Some(deferred) = core.next_abandoned() {
        let error = RpcError::new(ErrorCode::CRASH, "the request was given up by its handler");
        core.answer_error(out, deferred, &error);
    }
}

fn handle_init<H: Handler>(
    handler: &mut H,
    request: &Request<'_>,
    cx: &mut Context<'_, H>,
) -> Result<(), RpcError> {
    let id = request.typed("node_id", "a non-empty string", |id| id.as_str().filter(|id| !id.is_empty()))?;
    let nodes = request.typed("node_ids", "an array of strings", |value| {
        let names = value.as_array()?.map(|name| Some(name.as_str()?.into_owned()));
        names.collect::<Option<Vec<String>>>()
    })?;
    let is_new = cx.identify(Cluster::new(id.into_owned(), nodes))?;
    cx.reply(request, "init_ok").send()?;
    if is_new {
        let now = cx.now();
        cx.core.writer.metrics.restart(now);
        handler.on_init(cx);
    }
    Ok(())
}

/// A line that is JSON and no message is reported, and answered if it says whom to answer.
fn refuse<H>(
    core: &mut Core<H>,
    unchecked: &UncheckedEnvelope<'_>,
    error: &SchemaError,
    out: &mut OutBuffer,
) {
    core.writer.counters.malformed += 1;
    warn!("line {}: not a message: {error}", core.writer.counters.lines);
    let dest = unchecked.dest();
    let may_answer = match (&core.cluster, &dest) {
        _ if unchecked.claims_to_be_a_reply() => false,
        (Some(cluster), Ok(dest)) => cluster.id() == dest,
        (Some(_), Err(_)) | (None, Ok(_)) => true,
        // Nobody has told this node what to call itself.
        (None, Err(_)) => false,
    };
    if let (true, Ok(src), Ok(Some(msg_id))) = (may_answer, unchecked.src(), unchecked.msg_id()) {
        let origin = Origin { src: &src, dest: dest.as_deref().unwrap_or_default(), msg_id };
        core.send_error(&origin, &RpcError::malformed(error.to_string()), out);
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}
