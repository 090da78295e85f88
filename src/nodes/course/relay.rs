//! Tasks 1-2-2 (2-2) and 1-2-5 (2-5): a call that is tried again, at an even pace and with a backoff.

use crate::json::value::{Kind, Value};
use crate::node::{CallError, CallOutcome, Context, Deferred, Reply, Request};
use crate::rpc::retry::{Backoff, Policy, RetryOn};
use crate::time::Duration;
use crate::wire::error::{ErrorCode, RpcError};

/// Later than this no client waits for what a relay came to. A node that was held up for a while still makes all of
/// its tries.
const DEADLINE: Duration = Duration::from_millis(4400);

/// `relay` tries three times, half a second each.
const RELAY: Policy =
    Policy { retry: RetryOn::Timeout, deadline: DEADLINE, ..Policy::repeat(3, Duration::from_millis(500)) };

/// `backoff_relay` tries five times, and waits twice as long each time.
const BACKOFF_RELAY: Policy = Policy {
    retry: RetryOn::Timeout,
    deadline: DEADLINE,
    ..Policy::backoff(5, Duration::from_millis(100), BACKOFF_CAP)
};

/// The longest wait of a backoff, unless a request says otherwise.
const BACKOFF_CAP: Duration = Duration::from_secs(2);

/// `compute_backoff` computes at most so many waits.
const SCHEDULE_MAX: i64 = 10_000;

/// `relay`: tells how many tries it took.
pub(super) fn relay<H: 'static>(request: &Request<'_>, cx: &mut Context<'_, H>) -> Result<(), RpcError> {
    relay_by(RELAY, request, cx, |reply, answer, cx| {
        let message = cx.answer(answer, "relay_ok").field("attempts", reply.attempts);
        message.field("result", reply.body.value()).send()
    })
}

/// `backoff_relay`: tells how long the tries waited, too.
pub(super) fn backoff_relay<H: 'static>(
    request: &Request<'_>,
    cx: &mut Context<'_, H>,
) -> Result<(), RpcError> {
    relay_by(BACKOFF_RELAY, request, cx, |reply, answer, cx| {
        let waits = reply.waits.as_micros() / 1000;
        let message = cx.answer(answer, "backoff_relay_ok").field("attempts", reply.attempts);
        message.field("total_delay_ms", waits).send()
    })
}

type AnswerWith<H> = fn(Reply<'_>, Deferred, &mut Context<'_, H>) -> Result<(), RpcError>;

/// Sends `payload` to `target` until it is answered, as often as the policy lets.
fn relay_by<H: 'static>(
    policy: Policy,
    request: &Request<'_>,
    cx: &mut Context<'_, H>,
    answer_with: AnswerWith<H>,
) -> Result<(), RpcError> {
    let (target, payload) = (request.string("target")?, request.object("payload")?);
    let answer = cx.defer(request);
    let call = cx.forward(&target, payload)?.policy(policy);
    call.then(move |_, outcome: CallOutcome<'_>, cx| match outcome {
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

fn all_failed<H>(attempts: u32, answer: Deferred, cx: &mut Context<'_, H>) {
    let text = format!("RPC failed after {attempts} attempts");
    cx.answer_error(answer, &RpcError::new(ErrorCode::TIMEOUT, text));
}

/// `compute_backoff`: the waits that a call with such a backoff would have.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds are checked to be positive"
)]
pub(super) fn compute_backoff<H>(request: &Request<'_>, cx: &mut Context<'_, H>) -> Result<(), RpcError> {
    let retries = request.typed("max_retries", "an integer from 0 to 10000", |value| {
        value.as_i64().filter(|retries| (0..=SCHEDULE_MAX).contains(retries))
    })?;
    let seconds = |value: Value<'_>| {
        let seconds = value.as_f64().filter(|seconds| *seconds >= 0.0)?;
        Some(Duration::from_micros((seconds * 1e6).round() as u64))
    };
    let base = request.typed("base_delay", "a number of seconds, not negative", seconds)?;
    let cap = match request.get("max_delay").map(Value::kind) {
        None | Some(Kind::Null) => BACKOFF_CAP,
        Some(_) => request.typed("max_delay", "a number of seconds, not negative", seconds)?,
    };
    let backoff = Backoff::exponential(base, cap);
    let schedule: Vec<u64> =
        (0..).take(retries as usize).map(|k| backoff.wait(k, cx.rng()).as_micros() / 1000).collect();
    let total: u128 = schedule.iter().map(|&wait| u128::from(wait)).sum();
    let message = cx.reply(request, "compute_backoff_ok").field("schedule_ms", schedule);
    message.field("total_ms", total).field("retries", retries).send()
}
