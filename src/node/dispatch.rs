//! What a node does with a line that came, and with what is due: which part of it, or of the handler, gets it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use log::{error, warn};

use super::cluster::Cluster;
use super::context::Context;
use super::core::Core;
use super::handler::Handler;
use super::outcome::CallOutcome;
use super::request::{Origin, Request};
use super::timers::{TimerEvent, TimerId};
use crate::boundary::Admission;
use crate::boundary::chaos::ChaosStats;
use crate::json::error::SyntaxError;
use crate::json::text::excerpt;
use crate::rpc::pending::CallKey;
use crate::time::Instant;
use crate::wire::envelope::{Envelope, SchemaError, UncheckedEnvelope};
use crate::wire::error::{ErrorCode, RpcError};
use crate::wire::out::{HIGH_WATER, OutBuffer};
use crate::wire::reader::Read;

/// Handles a line, whatever it is.
#[inline(always)]
pub(super) fn handle_read<H: Handler>(handler: &mut H, line: Read<'_>, cx: &mut Context<'_, H>) {
    cx.core.writer.counters.lines += 1;
    match line {
        Read::Message(envelope) => handle_envelope(handler, envelope, cx),
        Read::NotMessage(unchecked, error) => {
            through_boundary(false, cx, |cx| refuse(cx.core, unchecked, &error, cx.out));
        }
        Read::NotJson(error) => not_json(cx.core, &error),
        Read::TooLong(length) => too_long(cx.core, length),
    }
}

#[cold]
fn not_json(core: &mut Core, error: &SyntaxError) {
    core.writer.counters.not_json += 1;
    warn!("line {}: not JSON: {error}", core.writer.counters.lines);
}

#[cold]
pub(super) fn too_long(core: &mut Core, length: u64) {
    core.writer.counters.too_long += 1;
    warn!(
        "line {}: {length} bytes are more than a line may have, or than there is memory for: skipped",
        core.writer.counters.lines
    );
}

/// Handles a message that came, with what stands between the node and its network, if anything does.
#[inline(always)]
fn handle_envelope<H: Handler>(handler: &mut H, envelope: &Envelope<'_>, cx: &mut Context<'_, H>) {
    if cx.core.boundary.is_on() {
        let is_done = through_boundary(true, cx, |cx| handle_if_admitted(handler, envelope, cx));
        if is_done {
            cx.core.boundary.closed(envelope);
        }
    } else {
        handle_message(handler, envelope, cx);
    }
}

/// Lets the node act, and what it says pass what stands between it and its network. Its replies may be kept, if that is
/// what `are_replies` says.
fn through_boundary<H, T>(
    are_replies: bool,
    cx: &mut Context<'_, H>,
    act: impl FnOnce(&mut Context<'_, H>) -> T,
) -> T {
    if !cx.core.boundary.is_on() {
        return act(cx);
    }
    let start = cx.out.end();
    cx.core.writer.trace.watch_sent();
    let outcome = act(cx);
    let Context { core, out, .. } = cx;
    let sent = core.writer.trace.take_sent();
    core.boundary.pass(core.now, sent, are_replies, start, out);
    let ChaosStats { dropped, duplicated, .. } = core.boundary.chaos.stats();
    core.writer.counters.chaos_dropped = dropped;
    core.writer.counters.chaos_duplicated = duplicated;
    outcome
}

/// Handles a message, if it is no request that was handled before. Whether it was, and is not to be answered later.
fn handle_if_admitted<H: Handler>(handler: &mut H, envelope: &Envelope<'_>, cx: &mut Context<'_, H>) -> bool {
    let core = &mut *cx.core;
    let is_ours = core.cluster.as_ref().is_some_and(|cluster| cluster.is_for_us(&envelope.dest));
    if !is_ours || envelope.body.in_reply_to.is_some() || envelope.body.kind == "init" {
        handle_message(handler, envelope, cx);
        return false;
    }
    match core.boundary.admit(core.now, envelope) {
        Admission::Handle => return !handle_message(handler, envelope, cx),
        Admission::Drop => {
            core.writer.note_received(envelope, true);
            core.writer.counters.duplicates_dropped += 1;
        }
        Admission::Reply(reply) => {
            core.writer.note_received(envelope, true);
            core.writer.counters.duplicates_answered += 1;
            core.writer.send_again(cx.out, &envelope.src, &reply.kind, &reply.line);
            core.writer.metrics.answered(&envelope.body.kind);
        }
    }
    false
}

/// Handles a message, and what follows from it. Whether it is a request that is to be answered later.
fn handle_message<H: Handler>(handler: &mut H, envelope: &Envelope<'_>, cx: &mut Context<'_, H>) -> bool {
    let core = &mut *cx.core;
    let is_ours = core.cluster.as_ref().is_some_and(|cluster| cluster.is_for_us(&envelope.dest));
    core.writer.note_received(envelope, is_ours);
    let is_put_off = match &core.cluster {
        Some(cluster) if !is_ours => {
            core.writer.counters.misaddressed += 1;
            let (line, dest, id) = (core.writer.counters.lines, excerpt(&envelope.dest), cluster.id());
            warn!("line {line}: dest is {dest:?}, this node is {id:?}: not handled");
            false
        }
        _ => dispatch(handler, envelope, cx),
    };
    settle(handler, cx);
    is_put_off
}

#[inline(always)]
fn dispatch<H: Handler>(handler: &mut H, envelope: &Envelope<'_>, cx: &mut Context<'_, H>) -> bool {
    if let Some(id) = envelope.body.in_reply_to {
        if let Some((key, outcome)) = cx.core.handle_reply(id.as_u64(), envelope) {
            end_call(handler, key, outcome, cx);
        }
        return false;
    }

    let request = Request::new(envelope);
    let outcome = guard(cx, |cx| match (request.kind(), cx.is_initialised()) {
        ("init", _) => handle_init(handler, &request, cx),
        (_, true) => handler.on_request(&request, cx),
        (_, false) => Err(RpcError::temporarily_unavailable("this node waits for its init message")),
    });
    if let Some(error) = outcome.map_or_else(
        |panic| {
            let kind = excerpt(request.kind());
            Some(RpcError::new(ErrorCode::CRASH, format!("the handler of {kind:?} panicked: {panic}")))
        },
        Result::err,
    ) {
        handle_failure(&request, &error, cx.core, cx.out);
    }
    request.is_put_off()
}

/// The handler of a request has failed, which its sender is told.
#[cold]
fn handle_failure(request: &Request<'_>, error: &RpcError, core: &mut Core, out: &mut OutBuffer) {
    let (line, kind) = (core.writer.counters.lines, excerpt(request.kind()));
    match request.origin() {
        Some(origin) if request.is_answered() => match core.take_abandoned(&origin) {
            // It was put off, and dropped with whatever was to answer it.
            Some(deferred) => core.answer_error(out, deferred, error),
            None => error!("line {line}: {kind:?} had its answer when its handler failed: {error}"),
        },
        Some(origin) => {
            if error.code == ErrorCode::NOT_SUPPORTED {
                core.writer.metrics.answered_unknown();
            } else {
                core.writer.metrics.answered(request.kind());
            }
            core.send_error(&origin, error, out);
        }
        None => warn!("line {line}: {kind:?} has no msg_id, so nobody hears of {error}"),
    }
}

/// Tells whoever waits for a call what came of it.
fn end_call<H>(handler: &mut H, key: CallKey, outcome: CallOutcome<'_>, cx: &mut Context<'_, H>) {
    if let Some(callback) = cx.continuations.callbacks.take(key.place()) {
        let _ = guard(cx, |cx| callback(handler, outcome, cx));
    }
}

/// Does what is due, as long as the output is below its mark.
pub(super) fn handle_due<H: Handler>(handler: &mut H, cx: &mut Context<'_, H>) {
    through_boundary(true, cx, |cx| {
        let now = cx.core.now;
        settle(handler, cx);
        while cx.out.len() < HIGH_WATER
            && let Some((due, event)) = cx.core.wheel.pop_expired(now)
        {
            match event {
                TimerEvent::Attempt(key) => {
                    if let Some((key, error)) = cx.core.handle_attempt_over(key, cx.out) {
                        end_call(handler, key, Err(error), cx);
                    }
                }
                TimerEvent::Handler(id) => fire_timer(handler, id, due, cx),
            }
            settle(handler, cx);
        }
        while cx.out.len() < HIGH_WATER
            && let Some(command) = cx.continuations.inbox.take()
        {
            let _ = guard(cx, |cx| command(handler, cx));
            settle(handler, cx);
        }
    });
}

fn fire_timer<H>(handler: &mut H, id: TimerId, due: Instant, cx: &mut Context<'_, H>) {
    let Core { timers, wheel, now, .. } = &mut *cx.core;
    timers.fire(wheel, *now, id, due);
    let Some(mut callback) = cx.continuations.timers.take(id.place()) else { return };
    let _ = guard(cx, |cx| callback(handler, cx));
    // It may have stopped itself, or have fired for the last time.
    if cx.core.timers.is_running(id) {
        cx.continuations.timers.put(id.place(), callback);
    }
}

/// Runs code of the handler. A panic is counted, and its text comes back; to report it is for the process's
/// panic hook.
///
/// It may leave the handler's own state half changed, which is for the handler to bear. The core's state is
/// whole whenever such code runs, and an unfinished message is never sent.
fn guard<H, T>(cx: &mut Context<'_, H>, act: impl FnOnce(&mut Context<'_, H>) -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(|| act(cx))).map_err(|panic| {
        cx.core.writer.counters.panics += 1;
        panic_text(&*panic)
    })
}

/// Lets the waiting handlers go on, and answers the requests that were given up.
///
/// A handler that always has something more to do may not keep the node from reading: after some rounds the rest
/// is due at once, which is what [`Node::poll_timeout`](super::Node::poll_timeout) says.
#[inline]
fn settle<H: Handler>(handler: &mut H, cx: &mut Context<'_, H>) {
    if cx.continuations.tasks.is_ready() || !cx.core.abandoned.borrow().is_empty() {
        settle_tasks(handler, cx);
    }
}

#[inline(never)]
fn settle_tasks<H: Handler>(handler: &mut H, cx: &mut Context<'_, H>) {
    const ROUNDS_MAX: u32 = 100;
    for _ in 0..ROUNDS_MAX {
        if !cx.continuations.tasks.is_ready() {
            break;
        }
        while let Some(end) = cx.continuations.tasks.poll() {
            match end {
                Err(_) => cx.core.writer.counters.panics += 1,
                Ok((Some(deferred), Ok(answer))) => cx.end_task(deferred, &answer),
                Ok((Some(deferred), Err(error))) => cx.answer_error(deferred, &error),
                Ok((None, Ok(_))) => {}
                Ok((None, Err(error))) => warn!("a task came to its end: {error}"),
            }
        }
        for command in cx.continuations.tasks.take_commands() {
            // Whoever waits for a command that panicked is told when it is dropped.
            let _ = guard(cx, |cx| command(handler, cx));
        }
    }
    while let Some(deferred) = cx.core.next_abandoned() {
        let error = RpcError::new(ErrorCode::CRASH, "the request was given up by its handler");
        cx.core.answer_error(cx.out, deferred, &error);
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
fn refuse(core: &mut Core, unchecked: &UncheckedEnvelope<'_>, error: &SchemaError, out: &mut OutBuffer) {
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

pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}
