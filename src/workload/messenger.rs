//! The default workload: the messages of the course.

use slab::Slab;

use crate::node::{CallError, Context, Deferred, Outcome, Reply, Request, Workload};
use crate::rpc::retry::{Backoff, Policy, Retry};
use crate::time::Duration;
use crate::wire::error::{ErrorCode, RpcError};
use crate::wire::json::{Line, Parser};
use crate::wire::message::Outline;
use crate::wire::value::{Kind, Value};

/// How long `proxy` waits for its answer.
const PROXY_WAIT: Duration = Duration::from_secs(1);

/// Later than this no client waits for what a relay came to. A node that was held up for a while still makes all of
/// its tries.
const RELAY_DEADLINE: Duration = Duration::from_millis(4400);

/// `relay` tries three times, half a second each.
const RELAY: Policy = Policy {
    retry: Retry::Unanswered,
    deadline: RELAY_DEADLINE,
    ..Policy::repeat(3, Duration::from_millis(500))
};

/// `backoff_relay` tries five times, and waits twice as long each time.
const BACKOFF_RELAY: Policy = Policy {
    retry: Retry::Unanswered,
    deadline: RELAY_DEADLINE,
    ..Policy::backoff(5, Duration::from_millis(100), Duration::from_secs(2))
};

/// How long `batch_echo` waits for the last echo.
const BATCH_WAIT: Duration = Duration::from_secs(2);

/// `compute_backoff` computes at most so many waits.
const SCHEDULE_MAX: i64 = 10_000;

/// Answers the messages of the course.
#[derive(Debug, Default)]
pub struct Messenger {
    /// Reads what `validate` is asked about.
    parser: Parser,
    batches: Slab<Batch>,
}

impl Workload for Messenger {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "echo" => cx.reply(request, "echo_ok").field("echo", request.required("echo")?).send(),
            "validate" => self.validate(request, cx),
            "proxy" => proxy(request, cx),
            "relay" => relay(request, RELAY, cx, |reply, answer, cx| {
                cx.answer(answer, "relay_ok")
                    .field("attempts", reply.attempts)
                    .field("result", reply.body.value())
                    .send()
            }),
            "backoff_relay" => relay(request, BACKOFF_RELAY, cx, |reply, answer, cx| {
                let waits = reply.waits.as_micros() / 1000;
                let message = cx.answer(answer, "backoff_relay_ok").field("attempts", reply.attempts);
                message.field("total_delay_ms", waits).send()
            }),
            "compute_backoff" => compute_backoff(request, cx),
            "batch_echo" => self.batch_echo(request, cx),
            "pending_count" => {
                let count = cx.pending_calls();
                cx.reply(request, "pending_count_ok").field("count", count).send()
            }
            "send_fire_forget" => {
                cx.forward(&request.string("target")?, request.object("payload")?)?.forget()?;
                let pending = cx.pending_calls();
                cx.reply(request, "send_fire_forget_ok").field("pending", pending).send()
            }
            kind => Err(RpcError::not_supported(kind)),
        }
    }
}

/// Sends `inner` to `target`, and hands back the answer.
fn proxy(request: &Request<'_>, cx: &mut Context<'_, Messenger>) -> Result<(), RpcError> {
    let (target, inner) = (request.string("target")?, request.object("inner")?);
    let answer = cx.defer(request);
    let call = cx.forward(&target, inner)?.policy(Policy::once(PROXY_WAIT));
    call.then(move |_, outcome, cx| match outcome {
        Ok(reply) => {
            let message = cx.answer(answer, "proxy_ok").field("result", reply.body.value());
            message.send().expect("its fields are its own");
        }
        Err(CallError::Timeout { .. }) => {
            cx.answer_error(answer, &RpcError::new(ErrorCode::TIMEOUT, "RPC timeout"));
        }
        Err(error) => cx.answer_error(answer, &error.into()),
    })?;
    Ok(())
}

/// Sends `payload` to `target` until it is answered, as often as the policy lets.
fn relay(
    request: &Request<'_>,
    policy: Policy,
    cx: &mut Context<'_, Messenger>,
    answer_with: fn(Reply<'_>, Deferred, &mut Context<'_, Messenger>) -> Result<(), RpcError>,
) -> Result<(), RpcError> {
    let (target, payload) = (request.string("target")?, request.object("payload")?);
    let answer = cx.defer(request);
    let call = cx.forward(&target, payload)?.policy(policy);
    call.then(move |_, outcome: Outcome<'_>, cx| match outcome {
        Ok(reply) => answer_with(reply, answer, cx).expect("its fields are its own"),
        Err(CallError::Timeout { attempts }) => all_failed(attempts, answer, cx),
        Err(CallError::Remote { error, attempts }) if policy.may_retry(error.code) => {
            all_failed(attempts, answer, cx);
        }
        // Anything else that the target has to say is passed on.
        Err(error) => cx.answer_error(answer, &error.into()),
    })?;
    Ok(())
}

fn all_failed(attempts: u32, answer: Deferred, cx: &mut Context<'_, Messenger>) {
    let text = format!("RPC failed after {attempts} attempts");
    cx.answer_error(answer, &RpcError::new(ErrorCode::TIMEOUT, text));
}

/// The waits that a call with such a backoff would have.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds are checked to be positive"
)]
fn compute_backoff(request: &Request<'_>, cx: &mut Context<'_, Messenger>) -> Result<(), RpcError> {
    let retries = request.typed("max_retries", "an integer from 0 to 10000", |value| {
        value.as_i64().filter(|retries| (0..=SCHEDULE_MAX).contains(retries))
    })?;
    let seconds = |value: Value<'_>| {
        let seconds = value.as_f64().filter(|seconds| *seconds >= 0.0)?;
        Some(Duration::from_micros((seconds * 1e6).round() as u64))
    };
    let base = request.typed("base_delay", "a number of seconds, not negative", seconds)?;
    let cap = match request.get("max_delay").map(Value::kind) {
        // A number of milliseconds that every reader of JSON can count.
        None | Some(Kind::Null) => Duration::from_millis(1 << 52),
        Some(_) => request.typed("max_delay", "a number of seconds, not negative", seconds)?,
    };
    let backoff = Backoff::exponential(base, cap);
    let schedule: Vec<u64> =
        (0..).take(retries as usize).map(|k| backoff.wait(k, cx.rng()).as_micros() / 1000).collect();
    let total: u128 = schedule.iter().map(|&wait| u128::from(wait)).sum();
    let message = cx.reply(request, "compute_backoff_ok").field("schedule_ms", schedule);
    message.field("total_ms", total).field("retries", retries).send()
}

/// A `batch_echo` whose echoes are not all back.
#[derive(Debug)]
struct Batch {
    /// Who waits for it; `None` after a failure.
    answer: Option<Deferred>,
    /// What came back, in the order of the request.
    results: Vec<Option<String>>,
    missing: usize,
}

impl Messenger {
    /// Sends each value to this node itself, and gathers what comes back.
    fn batch_echo(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let is_string = |value: &Value<'_>| value.as_str().is_some();
        let values = request.typed("values", "an array of strings", |values| {
            let values: Vec<_> = values.as_array()?.collect();
            values.iter().all(is_string).then_some(values)
        })?;
        if values.is_empty() {
            return cx.reply(request, "batch_echo_ok").field("results", values).send();
        }
        if values.len() > cx.room_for_calls() {
            return Err(RpcError::temporarily_unavailable("there is no room for that many calls"));
        }
        let answer = Some(cx.defer(request));
        let batch = Batch { answer, results: vec![None; values.len()], missing: values.len() };
        let batch = self.batches.insert(batch);
        let me = cx.id().to_owned();
        for (place, value) in values.iter().enumerate() {
            let call = cx.call(&me, "echo").field("echo", value).policy(Policy::once(BATCH_WAIT));
            let made = call.then(move |workload, outcome, cx| workload.take_echo(batch, place, &outcome, cx));
            if let Err(error) = made {
                // Those that were made come back to a batch without anybody to answer.
                let unmade = values.len() - place;
                self.batches[batch].answer = None;
                self.batches[batch].missing -= unmade;
                if place == 0 {
                    self.batches.remove(batch);
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn take_echo(&mut self, index: usize, place: usize, outcome: &Outcome<'_>, cx: &mut Context<'_, Self>) {
        let batch = &mut self.batches[index];
        batch.missing -= 1;
        batch.results[place] =
            outcome.as_ref().ok().and_then(|reply| Some(reply.body.string("echo").ok()?.into_owned()));
        if batch.results[place].is_none()
            && let Some(answer) = batch.answer.take()
        {
            cx.answer_error(answer, &RpcError::new(ErrorCode::TIMEOUT, "not every echo came back"));
        }
        if batch.missing == 0 {
            let Batch { answer, results, .. } = self.batches.remove(index);
            if let Some(answer) = answer {
                cx.answer(answer, "batch_echo_ok")
                    .field("results", results)
                    .send()
                    .expect("its field is its own");
            }
        }
    }

    /// The schema's verdict on an envelope that comes as text.
    fn validate(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let (payload, mut memory) = (request.string("payload")?, Vec::new());
        let line = Line::copied(payload.as_bytes(), &mut memory);
        let outline = Outline::parse(&mut self.parser, line).unwrap_or_default();
        let fields = [
            ("src", outline.src().is_ok()),
            ("dest", outline.dest().is_ok()),
            ("body.type", outline.kind().is_ok()),
            ("body.msg_id", outline.msg_id().is_ok_and(|id| id.is_some())),
            ("body.in_reply_to", outline.in_reply_to().is_ok_and(|id| id.is_some())),
        ];
        let present: Vec<&str> = fields.iter().filter(|(_, ok)| *ok).map(|(name, _)| *name).collect();
        cx.reply(request, "validate_ok")
            .field("valid", outline.check().is_ok())
            .field("fields", present)
            .send()
    }
}
