//! A test's results and its history, as JSON.

use serde_json::{Value, json};

use super::super::checker::{Quantiles, Verdict, stats};
use super::super::exercise::{Answer, Outcome};
use super::super::journal::Traffic;
use super::super::verdict::Finding;
use super::super::world::{Failure, Invocation};
use super::Report;
use crate::time::{Duration, Instant};

/// What `results.json` has.
pub fn results(report: &Report<'_>) -> Value {
    let Report { world, results, last_words, .. } = report;
    let settings = world.settings();
    let failure = results.failure.as_ref().map(|Failure { node, at, reason, line }| {
        json!({"node": format!("n{node}"), "at_us": at.as_micros(), "reason": reason, "line": line, "last_words": last_words})
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
        "valid": verdict_json(results.verdict),
        "explanations": results.explain(),
        "failure": failure,
        "workload": {"name": settings.exercise.name(), "valid": verdict_json(results.finding.verdict()), "details": finding_json(&results.finding)},
        "stats": stats_json(&results.stats),
        "messages": {
            "clients": traffic_json(results.clients),
            "servers": traffic_json(results.servers),
            "servers_per_operation": results.messages_per_operation,
        },
        "operations_per_second": results.operations_per_second,
        "late_answers": results.late_answers.count,
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

fn finding_json(finding: &Finding) -> Value {
    match finding {
        Finding::Echo(report) => json!({"answered": report.answered, "mismatches": report.mismatches.total}),
        Finding::UniqueIds(report) => json!({
            "attempted": report.attempted,
            "acknowledged": report.acknowledged,
            "duplicated": report.duplicated.total,
            "range": report.range,
        }),
        Finding::Set(report) => json!({
            "attempts": report.attempts,
            "acknowledged": report.acknowledged,
            "stable": report.stable,
            "lost": report.lost.total,
            "stale": report.stale.total,
            "never_read": report.never_read.total,
            "duplicated": report.duplicated.total,
            "unexpected": report.unexpected.total,
            "stable_latencies_ms": report.stable_latencies.as_ref().map(quantiles_json),
        }),
        Finding::Counter(report) => json!({
            "final_reads": report.reads,
            "indefinite_adds": report.indefinite,
            "acceptable": report.acceptable.as_ref().map(|ranges| {
                ranges.iter().map(|range| [*range.start(), *range.end()]).collect::<Vec<_>>()
            }),
            "wrong": report.wrong.total,
        }),
        Finding::Linearizable(report) => json!({
            "keys": report.keys,
            "anomalies": report.anomalies.total,
            "undecided": report.undecided.total,
        }),
    }
}

fn stats_json(report: &stats::Report) -> Value {
    let counts = |counts: &stats::Counts| {
        json!({
            "ok": counts.ok,
            "fail": counts.fail,
            "info": counts.info,
            "rate": counts.rate,
            "latencies_ms": counts.latencies.as_ref().map(quantiles_json),
        })
    };
    let kinds: serde_json::Map<_, _> =
        report.kinds.iter().map(|(kind, counted)| (kind.clone(), counts(counted))).collect();
    json!({"valid": verdict_json(report.verdict), "all": counts(&report.all), "by_kind": kinds})
}

fn quantiles_json(quantiles: &Quantiles) -> Value {
    let Quantiles { min, median, p95, p99, max } = *quantiles;
    json!({"0": millis(min), "0.5": millis(median), "0.95": millis(p95), "0.99": millis(p99), "1": millis(max)})
}

fn traffic_json(traffic: Traffic) -> Value {
    json!({"sent": traffic.sent, "received": traffic.received})
}

/// A line of `history.jsonl`.
pub fn invocation(invocation: &Invocation) -> Value {
    let (kind, answer) = match &invocation.outcome {
        Outcome::Ok(answer) => ("ok", answer_json(answer)),
        Outcome::Fail(reason) => ("fail", json!(reason)),
        Outcome::Info(reason) => ("info", json!(reason)),
        Outcome::Silence { is_indefinite: true } => ("info", json!("no answer in time")),
        Outcome::Silence { is_indefinite: false } => ("fail", json!("no answer in time")),
    };
    let completed = invocation.interval.completed;
    json!({
        "process": invocation.process,
        "node": format!("n{}", invocation.node),
        "operation": invocation.operation.to_string(),
        "invoked_us": invocation.interval.invoked.as_micros(),
        "completed_us": (completed < Instant::END).then(|| completed.as_micros()),
        "type": kind,
        "answer": answer,
        "final": invocation.is_final,
    })
}

fn answer_json(answer: &Answer) -> Value {
    match answer {
        Answer::Done | Answer::Missing => Value::Null,
        Answer::Raw(raw) => serde_json::from_str(raw).unwrap_or_else(|_| json!(raw)),
        Answer::Elements(elements) => json!(elements),
        Answer::Integer(value) => json!(value),
    }
}

/// Milliseconds with a fraction.
#[allow(clippy::cast_precision_loss, reason = "spans of a test are short")]
fn millis(span: Duration) -> f64 {
    span.as_micros() as f64 / 1000.0
}
