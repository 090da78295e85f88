//! Task 1-3-5 (3-5): a node that loses what it sends, as a network does.

use crate::boundary::chaos::ChaosConfig;
use crate::json::value::{Kind, Value};
use crate::node::{Context, Request};
use crate::time::Duration;
use crate::wire::error::RpcError;

/// The rate at which `chaos_on` drops if it is not told.
const DROP_RATE: f64 = 0.1;

/// `chaos_on`: drops what this node sends, and, with fields beyond the course's, doubles, delays and mixes it up.
pub(super) fn chaos_on<H>(request: &Request<'_>, cx: &mut Context<'_, H>) -> Result<(), RpcError> {
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

/// `chaos_off`: everything that is sent leaves again.
pub(super) fn chaos_off<H>(request: &Request<'_>, cx: &mut Context<'_, H>) -> Result<(), RpcError> {
    cx.chaos().switch_off();
    cx.reply(request, "chaos_off_ok").send()
}

/// `chaos_stats`: how much was lost.
pub(super) fn chaos_stats<H>(request: &Request<'_>, cx: &mut Context<'_, H>) -> Result<(), RpcError> {
    let (is_on, drop, stats) = (cx.chaos().is_on(), cx.chaos().config().drop, cx.chaos().stats());
    cx.reply(request, "chaos_stats_ok")
        .field("enabled", is_on)
        .field("drop_rate", drop)
        .field("total_sent", stats.offered)
        .field("total_dropped", stats.dropped)
        .send()
}

fn strings(array: Value<'_>) -> Option<Vec<String>> {
    array.as_array()?.map(|value| Some(value.as_str()?.into_owned())).collect()
}
