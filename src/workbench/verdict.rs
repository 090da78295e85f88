//! Whether what happened in a test is right, and why not.

use std::collections::BTreeMap;

use super::checker::stats;
use super::checker::{Interval, Verdict};
use super::fault::Fault;
use super::history::{Invocation, Outcome};
use super::journal::Traffic;
use super::nemesis::Window;
use super::settings::Settings;
use super::why::why_missing;
use super::workload::{Finding, Workload};
use super::world::{Failure, UnexpectedReplies, World};
use crate::time::Instant;

/// What there is to say about a test.
#[derive(Debug)]
pub struct Results {
    /// Whether it is right.
    pub verdict: Verdict,
    /// What a node did that ended the test, if one did.
    pub failure: Option<Failure>,
    /// What the workload's own checker says.
    pub finding: Box<dyn Finding>,
    /// Why values were missing from reads that are wrong, as far as the journal knows.
    pub why: Vec<String>,
    /// Nodes that answered nothing more.
    pub silent: Vec<SilentNode>,
    /// Operations by kind.
    pub stats: stats::Report,
    /// How many operations there were a second, the final ones aside.
    pub operations_per_second: f64,
    /// Messages from and to clients.
    pub clients: Traffic,
    /// Messages between nodes and services.
    pub servers: Traffic,
    /// Messages between nodes and services for each operation.
    pub messages_per_operation: f64,
    /// Nodes of which no final operation succeeded, where there should be one.
    pub unread: Vec<usize>,
    /// Nodes that no client asked.
    pub unasked: Vec<usize>,
    /// Nodes that should agree in the end never sent each other anything.
    pub is_isolated: bool,
    /// Answers for clients that had given up.
    pub late_answers: UnexpectedReplies,
    /// Answers to requests that were not open.
    pub stray_answers: UnexpectedReplies,
    /// Nodes that polled at one instant of virtual time until it went on without them, and when first.
    pub polling: BTreeMap<usize, Instant>,
}

/// A node that was asked, while nothing was wrong, and answered nothing from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SilentNode {
    /// Which.
    pub node: usize,
    /// When it was asked for the first time that it did not answer.
    pub since: Instant,
    /// How often it was asked since.
    pub asked: usize,
}

/// What a history alone tells, without the test that it is of.
#[derive(Debug)]
pub struct Judgement {
    /// Whether it is right.
    pub verdict: Verdict,
    /// What the workload's own checker says.
    pub finding: Box<dyn Finding>,
    /// Operations by kind.
    pub stats: stats::Report,
    /// The workload's name.
    pub workload: &'static str,
}

impl Judgement {
    /// Looks at a history.
    pub fn of(history: &[Invocation], workload: &dyn Workload, settings: &Settings) -> Self {
        let finding = workload.check(history, settings);
        // The final ones come after a rest, which would distort the rates.
        let operations: Vec<_> = history
            .iter()
            .filter(|invocation| !invocation.is_final && workload.counts(invocation.operation.f))
            .map(|invocation| stats::Operation {
                kind: invocation.operation.f,
                interval: invocation.interval,
                completion: invocation.outcome.completion(),
            })
            .collect();
        let stats = stats::check(&operations, settings.availability);
        Self { verdict: finding.verdict().max(stats.verdict), finding, stats, workload: workload.name() }
    }

    /// Why it is not valid, in sentences, the gravest first.
    pub fn explain(&self) -> Vec<String> {
        let mut sentences = self.finding.explain();
        sentences.extend(self.stats.explain());
        sentences
    }

    /// The same for programs.
    pub fn json(&self) -> serde_json::Value {
        let valid = match self.verdict {
            Verdict::Valid => serde_json::Value::Bool(true),
            Verdict::Invalid => serde_json::Value::Bool(false),
            Verdict::Unknown => "unknown".into(),
        };
        serde_json::json!({
            "valid": valid,
            "workload": self.workload,
            "anomalies": self.finding.anomalies(),
            "not": self.finding.refuted(),
            "explanations": self.explain(),
            "details": self.finding.json(),
        })
    }
}

impl Results {
    /// Looks at a test that is over.
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn of(world: &World) -> Self {
        let history = world.history();
        let (workload, settings) = (world.workload(), world.settings());
        let Judgement { finding, stats, .. } = Judgement::of(history, workload, settings);
        let failure = world.failure().cloned();
        let silent = silent_nodes(history, world.faults());
        let nodes = 0..settings.nodes;
        let is_asked = |node: &usize| history.iter().any(|invocation| invocation.node == *node);
        let (asked, unasked): (Vec<usize>, Vec<usize>) = nodes.partition(is_asked);
        let is_unread = |node: &usize| {
            let mut of_node =
                history.iter().filter(|invocation| invocation.is_final && invocation.node == *node);
            !of_node.any(|invocation| matches!(invocation.outcome, Outcome::Ok(_)))
        };
        let has_final = workload.final_phase().is_some();
        let unread: Vec<usize> = asked.into_iter().filter(|node| has_final && is_unread(node)).collect();
        let verdict = match &failure {
            Some(failure) => failure.verdict,
            None if silent.is_empty() => {
                let doubt = if unread.is_empty() { Verdict::Valid } else { Verdict::Unknown };
                finding.verdict().max(stats.verdict).max(doubt)
            }
            _ => Verdict::Invalid,
        };
        let journal = world.journal();
        let messages_per_operation = journal.servers.sent as f64 / history.len().max(1) as f64;
        let is_wrong = verdict == Verdict::Invalid && failure.is_none();
        let missing = if is_wrong { finding.missing() } else { Vec::new() };
        let why = missing.into_iter().filter_map(|missing| why_missing(world, missing)).collect();
        Self {
            verdict,
            failure,
            finding,
            why,
            silent,
            stats,
            operations_per_second: operations_per_second(world),
            clients: journal.clients,
            servers: journal.servers,
            messages_per_operation,
            unread,
            unasked,
            is_isolated: has_final && settings.nodes > 1 && journal.servers.sent == 0,
            late_answers: world.late_answers().clone(),
            stray_answers: world.stray_answers().clone(),
            polling: world.polling().clone(),
        }
    }

    /// What a person should know, in sentences, the gravest first.
    pub fn explain(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if let Some(Failure { node, at, reason, line, .. }) = &self.failure {
            sentences.push(format!("because of n{node} the test ended after {}: {reason}", seconds(*at)));
            sentences.extend(line.as_ref().map(|line| format!("the line: {line}")));
            // What the rest would say is about a test that did not take place.
            return sentences;
        }
        for SilentNode { node, since, asked } in &self.silent {
            sentences.push(format!(
                "n{node} fell silent: it was asked from {} on, {asked} times, and answered none of that",
                seconds(*since)
            ));
        }
        for node in &self.unread {
            sentences.push(format!("no final read of n{node} succeeded, so nobody knows what it has"));
        }
        if self.is_isolated && self.finding.verdict() == Verdict::Invalid {
            sentences.push(
                "no node ever sent another a message: what one is told, the others cannot know".to_owned(),
            );
        } else {
            sentences.extend(self.finding.explain());
            sentences.extend(self.why.iter().map(|why| format!("why: {why}")));
        }
        sentences.extend(self.stats.explain());
        if let UnexpectedReplies { count, first: Some(first) } = &self.late_answers {
            sentences.push(format!(
                "{count} answers came for clients that had given up; Maelstrom stops listening to a node that does \
                 this. The first: {first}"
            ));
        }
        if let UnexpectedReplies { count, first: Some(first) } = &self.stray_answers {
            sentences.push(format!(
                "{count} answers came that nobody waited for: their in_reply_to names no request of that client, or one \
                 that has its answer. The first: {first}"
            ));
        }
        for (node, at) in &self.polling {
            sentences.push(format!(
                "n{node} polls, first at {}: a handler looks in a loop whether something has changed. In virtual time it \
                 looks again when something happens; node.sleep lets it wait",
                seconds(*at)
            ));
        }
        if !self.unasked.is_empty() {
            let nodes: Vec<String> = self.unasked.iter().map(|node| format!("n{node}")).collect();
            sentences.push(format!("no client asked {}: there are more nodes than clients", nodes.join(" ")));
        }
        sentences
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn operations_per_second(world: &World) -> f64 {
    let operations = world.history().iter().filter(|invocation| !invocation.is_final).count();
    let micros = world.run_time().as_micros();
    if micros > 0 { operations as f64 * 1e6 / micros as f64 } else { 0.0 }
}

/// `1.203 s`
fn seconds(at: Instant) -> String {
    let millis = at.as_micros() / 1_000;
    format!("{}.{:03} s", millis / 1_000, millis % 1_000)
}

/// Nodes that answered nothing more. A node that was stopped or killed meanwhile may answer nothing, and neither does
/// one that waits for others while messages between nodes get lost.
fn silent_nodes(history: &[Invocation], faults: &[Window]) -> Vec<SilentNode> {
    let is_disturbed = |node: usize, interval: &Interval| {
        faults.iter().any(|window| {
            let overlaps =
                window.from <= interval.completed && window.to.is_none_or(|to| interval.invoked <= to);
            overlaps
                && match window.fault {
                    Fault::Kill | Fault::Pause => window.nodes.contains(&node),
                    Fault::Partition | Fault::Loss | Fault::Slow | Fault::Reorder => true,
                    Fault::Duplicate => false,
                }
        })
    };
    let mut silent: BTreeMap<usize, SilentNode> = BTreeMap::new();
    for &Invocation { node, interval, ref outcome, .. } in history {
        match outcome {
            Outcome::Silence { .. } if is_disturbed(node, &interval) => {}
            Outcome::Silence { .. } => {
                let entry =
                    silent.entry(node).or_insert(SilentNode { node, since: interval.invoked, asked: 0 });
                entry.asked += 1;
            }
            _ => drop(silent.remove(&node)),
        }
    }
    silent.into_values().collect()
}
