//! A test's results, as JSON.

use serde_json::{Value, json};

use super::super::checker::{Quantiles, Verdict, stats};
use super::super::journal::Traffic;
use super::super::world::Failure;
use super::finished::Report;
use crate::time::{Duration, Instant};

/// What `results.json` has.
pub fn results(report: &Report<'_>) -> Value {
    let Report { world, results, hints, last_words, .. } = report;
    let settings = world.settings();
    let failure = results.failure.as_ref().map(|Failure { node, at, reason, line, unnoticed, .. }| {
        json!({"node": format!("n{node}"), "at_us": at.as_micros(), "reason": reason, "line": line, "hints": hints, "last_words": last_words, "maelstrom_would_not_have_noticed": unnoticed})
    });
    let faults: Vec<_> = world
        .faults()
        .iter()
        .map(|window| {
            let (from, to) = (window.from.as_micros(), window.to.map(Instant::as_micros));
            json!({"fault": window.fault.name(), "target": window.target, "from_us": from, "to_us": to})
        })
        .collect();
    json!({
        "valid": if report.cut_short.is_some() { json!("unknown") } else { verdict_json(results.verdict) },
        "verdict": report.verdict(),
        "program": report.program,
        "cut_short": report.cut_short,
        "explanations": report.explain(),
        "failure": failure,
        "workload": {"name": world.workload().name(), "valid": verdict_json(results.finding.verdict()), "details": results.finding.json()},
        "stats": stats_json(&results.stats),
        "messages": {
            "clients": traffic_json(results.clients),
            "servers": traffic_json(results.servers),
            "servers_per_operation": results.messages_per_operation,
        },
        "operations_per_second": results.operations_per_second,
        "late_answers": results.late_answers.count,
        "repeated_answers": results.repeated_answers.count,
        "stray_answers": results.stray_answers.count,
        "ended_at_bound": results.cut_short.as_ref().map(|(bound, _)| bound),
        "faults": faults,
        "seed": settings.seed,
        "nodes": settings.nodes,
        "concurrency": settings.workers,
        "rate": settings.rate,
        "time_limit_ms": millis(settings.time_limit),
        "latency_ms": millis(settings.latency.mean),
        "latency_dist": settings.latency.spread.name(),
        "nemesis": settings.faults.iter().map(|fault| fault.name()).collect::<Vec<_>>(),
        "nemesis_interval_ms": millis(settings.fault_interval),
        "topology": settings.topology.to_string(),
        "command": report.command,
    })
}

fn verdict_json(verdict: Verdict) -> Value {
    match verdict {
        Verdict::Valid => json!(true),
        Verdict::Unknown => json!("unknown"),
        Verdict::Invalid => json!(false),
    }
}

fn stats_json(report: &stats::Stats) -> Value {
    let counts = |counts: &stats::Counts| {
        json!({
            "ok": counts.ok,
            "fail": counts.fail,
            "info": counts.info,
            "rate": counts.rate,
            "latencies_ms": counts.latencies.as_ref().map(Quantiles::json),
        })
    };
    let kinds: serde_json::Map<_, _> =
        report.kinds.iter().map(|(kind, counted)| (kind.clone(), counts(counted))).collect();
    json!({"valid": verdict_json(report.verdict), "all": counts(&report.all), "by_kind": kinds})
}

fn traffic_json(traffic: Traffic) -> Value {
    json!({"sent": traffic.sent, "received": traffic.received})
}

/// Milliseconds with a fraction.
#[allow(clippy::cast_precision_loss, reason = "spans of a test are short")]
fn millis(span: Duration) -> f64 {
    span.as_micros() as f64 / 1000.0
}
