//! The default workload: the messages of the course.

use slab::Slab;

use crate::boundary::chaos::ChaosConfig;
use crate::boundary::dedup::{Dedup, DedupConfig, Seen};
use crate::json::parser::Parser;
use crate::json::value::{Kind, Value};
use crate::json::write::Raw;
use crate::node::{CallError, Context, Deferred, Handler, Outcome, Reply, Request};
use crate::rpc::retry::{Backoff, Policy, RetryOn};
use crate::time::Duration;
use crate::wire::envelope::UncheckedEnvelope;
use crate::wire::error::{ErrorCode, RpcError};
use crate::wire::lines::Line;

/// How long `proxy` waits for its answer.
const PROXY_WAIT: Duration = Duration::from_secs(1);

/// Later than this no client waits for what a relay came to. A node that was held up for a while still makes all of
/// its tries.
const RELAY_DEADLINE: Duration = Duration::from_millis(4400);

/// `relay` tries three times, half a second each.
const RELAY: Policy = Policy {
    retry: RetryOn::Timeout,
    deadline: RELAY_DEADLINE,
    ..Policy::repeat(3, Duration::from_millis(500))
};

/// `backoff_relay` tries five times, and waits twice as long each time.
const BACKOFF_RELAY: Policy = Policy {
    retry: RetryOn::Timeout,
    deadline: RELAY_DEADLINE,
    ..Policy::backoff(5, Duration::from_millis(100), BACKOFF_CAP)
};

/// The longest wait of a backoff, unless a request says otherwise.
const BACKOFF_CAP: Duration = Duration::from_secs(2);

/// How long `batch_echo` waits for the last echo.
const BATCH_WAIT: Duration = Duration::from_secs(2);

/// `compute_backoff` computes at most so many waits.
const SCHEDULE_MAX: i64 = 10_000;

/// What `dedup_echo` remembers.
const DEDUP: DedupConfig = DedupConfig { entries: 1000, bytes: 16 * 1024 * 1024, within: Duration::MAX };

/// Of a `dedup_echo` that comes again the first echo counts, whatever it says itself.
const ANY_ECHO: u128 = 0;

/// The rate at which `chaos_on` drops if it is not told.
const DROP_RATE: f64 = 0.1;

/// Answers the messages of the course.
#[derive(Debug)]
pub struct Messenger {
    /// Reads what `validate` is asked about.
    parser: Parser,
    batches: Slab<Batch>,
    echoes: Dedup<Box<str>>,
    /// How many `dedup_echo` there were, and how many of them for the second time or later.
    dedup_echoes: u64,
    duplicates: u64,
}

impl Default for Messenger {
    fn default() -> Self {
        let (parser, batches, echoes) = (Parser::new(), Slab::new(), Dedup::new(DEDUP));
        Self { parser, batches, echoes, dedup_echoes: 0, duplicates: 0 }
    }
}

impl Handler for Messenger {
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
            "get_log" => {
                let count = request.typed("count", "an integer, not negative", |value| {
                    value.as_integer()?.as_u64().map(|count| usize::try_from(count).unwrap_or(usize::MAX))
                })?;
                let entries = cx.trace(count);
                cx.reply(request, "get_log_ok").field("entries", entries).send()
            }
            "dedup_echo" => self.dedup_echo(request, cx),
            "dedup_stats" => cx
                .reply(request, "dedup_stats_ok")
                .field("total", self.dedup_echoes)
                .field("duplicates", self.duplicates)
                .field("cache_size", self.echoes.len())
                .send(),
            "bench_echo" => {
                let (echo, latency) = (request.required("echo")?, cx.elapsed().as_micros());
                cx.reply(request, "bench_echo_ok").field("echo", echo).field("latency_us", latency).send()
            }
            "bench_stats" => bench_stats(request, cx),
            "chaos_on" => chaos_on(request, cx),
            "chaos_off" => {
                cx.chaos().switch_off();
                cx.reply(request, "chaos_off_ok").send()
            }
            "chaos_stats" => {
                let (is_on, drop, stats) = (cx.chaos().is_on(), cx.chaos().config().drop, cx.chaos().stats());
                cx.reply(request, "chaos_stats_ok")
                    .field("enabled", is_on)
                    .field("drop_rate", drop)
                    .field("total_sent", stats.offered)
                    .field("total_dropped", stats.dropped)
                    .send()
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

/// What was measured since `init`.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "they are counts and microseconds"
)]
fn bench_stats(request: &Request<'_>, cx: &mut Context<'_, Messenger>) -> Result<(), RpcError> {
    let summary = cx.summary();
    let seconds = summary.elapsed.as_micros() as f64 / 1e6;
    let rate = if seconds > 0.0 { summary.answered as f64 / seconds } else { 0.0 };
    cx.reply(request, "bench_stats_ok")
        .field("total_messages", summary.answered)
        .field("elapsed_ms", summary.elapsed.as_micros() / 1000)
        .field("throughput_per_sec", (rate * 100.0).round() / 100.0)
        .field("avg_latency_us", summary.mean_us.round() as u64)
        .field("p99_latency_us", summary.p99_us)
        .send()
}

/// Drops what this node sends, and, with fields beyond the course's, doubles, delays and mixes it up.
fn chaos_on(request: &Request<'_>, cx: &mut Context<'_, Messenger>) -> Result<(), RpcError> {
    let has = |name| request.get(name).is_some_and(|value| value.kind() != Kind::Null);
    let rate = |name, default| {
        let read = |value: Value<'_>| value.as_f64().filter(|rate| (0.0..=1.0).contains(rate));
        if has(name) { request.typed(name, "a number from 0 to 1", read) } else { Ok(default) }
    };
    let delay = |name| {
        let read = |value: Value<'_>| value.as_integer()?.as_u64().filter(|&millis| millis <= 60_000);
        let millis = if has(name) { request.typed(name, "an integer from 0 to 60000", read) } else { Ok(0) };
        millis.map(Duration::from_millis)
    };
    let mut config = ChaosConfig {
        drop: rate("drop_rate", DROP_RATE)?,
        duplicate: rate("duplicate_rate", 0.0)?,
        delay: delay("delay_ms")?,
        reorder: delay("reorder_ms")?,
        ..ChaosConfig::default()
    };
    if has("peers") {
        config.peers = request.typed("peers", "an array of strings", strings)?;
    }
    if has("seed") {
        config.seed =
            request.typed("seed", "an integer, not negative", |seed| seed.as_integer()?.as_u64())?;
    }
    let drop = config.drop;
    cx.chaos().switch_on(config);
    match request.get("drop_rate").filter(|rate| rate.kind() != Kind::Null) {
        Some(rate) => cx.reply(request, "chaos_on_ok").field("drop_rate", rate).send(),
        None => cx.reply(request, "chaos_on_ok").field("drop_rate", drop).send(),
    }
}

fn strings(array: Value<'_>) -> Option<Vec<String>> {
    array.as_array()?.map(|value| Some(value.as_str()?.into_owned())).collect()
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

    /// Echoes, and what came first if it comes again.
    fn dedup_echo(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let echo = request.required("echo")?;
        self.dedup_echoes += 1;
        // Without a number there is no telling, and nobody to answer.
        let Some(msg_id) = request.msg_id else { return Ok(()) };
        let mut first = echo.raw();
        let is_duplicate = match self.echoes.see(cx.now(), request.src(), msg_id.as_str(), ANY_ECHO) {
            Seen::Never => false,
            // It was too long to be kept, as this one is likely to be.
            Seen::Unanswered => true,
            Seen::Answered(echo) => {
                first = echo;
                true
            }
        };
        self.duplicates += u64::from(is_duplicate);
        cx.reply(request, "dedup_echo_ok")
            .exact_field("echo", &Raw(first.as_bytes()))
            .field("was_duplicate", is_duplicate)
            .send()?;
        let raw = echo.raw();
        self.echoes.answered(request.src(), msg_id.as_str(), raw.len(), || raw.into());
        self.echoes.closed(request.src(), msg_id.as_str());
        Ok(())
    }

    /// The schema's verdict on an envelope that comes as text.
    fn validate(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let payload = request.string("payload")?;
        let line = Line::new(payload.as_bytes());
        let unchecked = UncheckedEnvelope::parse(&mut self.parser, line).unwrap_or_default();
        let fields = [
            ("src", unchecked.src().is_ok()),
            ("dest", unchecked.dest().is_ok()),
            ("body.type", unchecked.kind().is_ok()),
            ("body.msg_id", unchecked.msg_id().is_ok_and(|id| id.is_some())),
            ("body.in_reply_to", unchecked.in_reply_to().is_ok_and(|id| id.is_some())),
        ];
        let present: Vec<&str> = fields.iter().filter(|(_, ok)| *ok).map(|(name, _)| *name).collect();
        cx.reply(request, "validate_ok")
            .field("valid", unchecked.check().is_ok())
            .field("fields", present)
            .send()
    }
}
