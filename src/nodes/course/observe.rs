//! Tasks 1-3-2 (3-2) and 1-3-4 (3-4): what came and went, and how long it took.

use crate::node::{Context, Request};
use crate::wire::error::RpcError;

/// `get_log`: the newest messages.
pub(super) fn get_log<H>(request: &Request<'_>, cx: &mut Context<'_, H>) -> Result<(), RpcError> {
    let count = request.typed("count", "an integer, not negative", |value| {
        value.as_integer()?.as_u64().map(|count| usize::try_from(count).unwrap_or(usize::MAX))
    })?;
    let entries = cx.trace(count);
    cx.reply(request, "get_log_ok").field("entries", entries).send()
}

/// `bench_echo`: an echo, with the time from its bytes' arrival.
pub(super) fn bench_echo<H>(request: &Request<'_>, cx: &mut Context<'_, H>) -> Result<(), RpcError> {
    let (echo, latency) = (request.required("echo")?, cx.elapsed().as_micros());
    cx.reply(request, "bench_echo_ok").field("echo", echo).field("latency_us", latency).send()
}

/// `bench_stats`: what was measured since `init`.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "they are counts and microseconds"
)]
pub(super) fn bench_stats<H>(request: &Request<'_>, cx: &mut Context<'_, H>) -> Result<(), RpcError> {
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
