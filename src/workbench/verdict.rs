//! Whether what happened in a test is right, and why not.

use std::collections::BTreeMap;

use super::checker::stats;
use super::checker::{Interval, Verdict, counter, echo, linearizable, set_full, unique_ids};
use super::exercise::{Answer, Exercise, Operation, Outcome};
use super::journal::Traffic;
use super::nemesis::{Fault, Window};
use super::world::{Failure, Invocation, UnexpectedReplies, World};
use crate::time::Instant;

/// How much work it may be to find an order for the operations of one key: some seconds.
const STEPS: u64 = 20_000_000;

/// What there is to say about a test.
#[derive(Clone, Debug)]
pub struct Results {
    /// Whether it is right.
    pub verdict: Verdict,
    /// What a node did that ended the test, if one did.
    pub failure: Option<Failure>,
    /// What the workload's own checker says.
    pub finding: Finding,
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
    /// Answers for clients that had given up.
    pub late_answers: UnexpectedReplies,
    /// Answers to requests that were not open.
    pub stray_answers: UnexpectedReplies,
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

/// What the checker of a workload says.
#[derive(Clone, Debug)]
pub enum Finding {
    /// Of [`Exercise::Echo`].
    Echo(echo::Report),
    /// Of [`Exercise::UniqueIds`].
    UniqueIds(unique_ids::Report),
    /// Of [`Exercise::Broadcast`] and [`Exercise::GSet`].
    Set(set_full::Report),
    /// Of [`Exercise::GCounter`] and [`Exercise::PnCounter`].
    Counter(counter::Report),
    /// Of [`Exercise::LinKv`].
    Linearizable(linearizable::Report),
}

impl Finding {
    /// The verdict.
    pub const fn verdict(&self) -> Verdict {
        match self {
            Self::Echo(report) => report.verdict,
            Self::UniqueIds(report) => report.verdict,
            Self::Set(report) => report.verdict,
            Self::Counter(report) => report.verdict,
            Self::Linearizable(report) => report.verdict,
        }
    }

    /// Why, in sentences.
    pub fn explain(&self) -> Vec<String> {
        match self {
            Self::Echo(report) => report.explain(),
            Self::UniqueIds(report) => report.explain(),
            Self::Set(report) => report.explain(),
            Self::Counter(report) => report.explain(),
            Self::Linearizable(report) => report.explain(),
        }
    }
}

impl Results {
    /// Looks at a test that is over.
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn of(world: &World) -> Self {
        let history = world.history();
        let finding = check(world.settings().exercise, history);
        // The final ones come after a rest, which would distort the rates.
        let operations: Vec<_> = history
            .iter()
            .filter(|invocation| !invocation.is_final)
            .map(|invocation| stats::Operation {
                kind: invocation.operation.kind(),
                interval: invocation.interval,
                completion: invocation.outcome.completion(),
            })
            .collect();
        let stats = stats::check(&operations, world.settings().availability);
        let failure = world.failure().cloned();
        let silent = silent_nodes(history, world.faults());
        let nodes = 0..world.settings().nodes;
        let is_asked = |node: &usize| history.iter().any(|invocation| invocation.node == *node);
        let (asked, unasked): (Vec<usize>, Vec<usize>) = nodes.partition(is_asked);
        let is_unread = |node: &usize| {
            let mut of_node =
                history.iter().filter(|invocation| invocation.is_final && invocation.node == *node);
            !of_node.any(|invocation| matches!(invocation.outcome, Outcome::Ok(_)))
        };
        let has_final = world.settings().exercise.final_operation().is_some();
        let unread: Vec<usize> = asked.into_iter().filter(|node| has_final && is_unread(node)).collect();
        let verdict = match &failure {
            None if silent.is_empty() => {
                let doubt = if unread.is_empty() { Verdict::Valid } else { Verdict::Unknown };
                finding.verdict().max(stats.verdict).max(doubt)
            }
            _ => Verdict::Invalid,
        };
        let journal = world.journal();
        let messages_per_operation = journal.servers.sent as f64 / history.len().max(1) as f64;
        Self {
            verdict,
            failure,
            finding,
            silent,
            stats,
            operations_per_second: operations_per_second(world),
            clients: journal.clients,
            servers: journal.servers,
            messages_per_operation,
            unread,
            unasked,
            late_answers: world.late_answers().clone(),
            stray_answers: world.stray_answers().clone(),
        }
    }

    /// What a person should know, in sentences, the gravest first.
    pub fn explain(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if let Some(Failure { node, at, reason, line }) = &self.failure {
            sentences.push(format!("n{node} ended the test after {}: {reason}", seconds(*at)));
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
        sentences.extend(self.finding.explain());
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
                    Fault::Partition | Fault::Loss => true,
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

/// Asks the checker of the workload.
fn check(exercise: Exercise, history: &[Invocation]) -> Finding {
    match exercise {
        Exercise::Echo => check_echo(history),
        Exercise::UniqueIds => {
            let ids: Vec<_> = answers(history)
                .filter_map(|(invocation, answer)| match answer {
                    Answer::Raw(raw) => Some(unique_ids::Id { answered: place(invocation), raw }),
                    _ => None,
                })
                .collect();
            Finding::UniqueIds(unique_ids::check(history.len(), &ids))
        }
        Exercise::Broadcast | Exercise::GSet => {
            let adds: Vec<_> = history
                .iter()
                .filter_map(|invocation| match invocation.operation {
                    Operation::Broadcast(element) | Operation::Add { value: element, .. } => {
                        Some(set_full::Add {
                            element,
                            interval: invocation.interval,
                            completion: invocation.outcome.completion(),
                        })
                    }
                    _ => None,
                })
                .collect();
            let reads: Vec<_> = answers(history)
                .filter_map(|(invocation, answer)| match answer {
                    Answer::Elements(elements) => Some(set_full::Read {
                        node: invocation.node,
                        interval: invocation.interval,
                        elements,
                    }),
                    _ => None,
                })
                .collect();
            Finding::Set(set_full::check(&adds, &reads))
        }
        Exercise::GCounter | Exercise::PnCounter => {
            let adds: Vec<_> = history
                .iter()
                .filter_map(|invocation| match invocation.operation {
                    Operation::Add { value: delta, .. } => {
                        Some(counter::Add { delta, completion: invocation.outcome.completion() })
                    }
                    _ => None,
                })
                .collect();
            let reads: Vec<_> = answers(history)
                .filter(|(invocation, _)| invocation.is_final)
                .filter_map(|(invocation, answer)| match *answer {
                    Answer::Integer(value) => {
                        Some(counter::Read { node: invocation.node, interval: invocation.interval, value })
                    }
                    _ => None,
                })
                .collect();
            Finding::Counter(counter::check(&adds, &reads))
        }
        Exercise::LinKv => {
            let operations: Vec<_> = history.iter().filter_map(register_operation).collect();
            Finding::Linearizable(linearizable::check(&operations, STEPS))
        }
    }
}

fn check_echo(history: &[Invocation]) -> Finding {
    let text = |operation: Operation| {
        let mut text = Vec::new();
        operation.write_echo(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    };
    let sent: Vec<String> = (0..=u8::MAX).map(|number| text(Operation::Echo(number))).collect();
    let exchanges: Vec<_> = answers(history)
        .filter_map(|(invocation, answer)| {
            let Operation::Echo(number) = invocation.operation else { return None };
            let sent = &*sent[usize::from(number)];
            let received = if let Answer::Raw(raw) = answer { raw } else { sent };
            Some(echo::Exchange { answered: place(invocation), sent, received })
        })
        .collect();
    Finding::Echo(echo::check(&exchanges))
}

fn register_operation(invocation: &Invocation) -> Option<linearizable::Operation> {
    let (key, action) = match (invocation.operation, &invocation.outcome) {
        (Operation::ReadKey(key), Outcome::Ok(Answer::Integer(value))) => {
            (key, linearizable::Action::Read(Some(*value)))
        }
        // That there is no such key is an answer. Maelstrom throws it away.
        (Operation::ReadKey(key), _) => (key, linearizable::Action::Read(None)),
        (Operation::Write { key, value }, _) => (key, linearizable::Action::Write(value)),
        (Operation::Cas { key, from, to }, _) => (key, linearizable::Action::Cas { from, to }),
        _ => return None,
    };
    Some(linearizable::Operation {
        key,
        process: invocation.process as u64,
        action,
        interval: invocation.interval,
        completion: invocation.outcome.completion(),
    })
}

fn answers(history: &[Invocation]) -> impl Iterator<Item = (&Invocation, &Answer)> {
    history.iter().filter_map(|invocation| match &invocation.outcome {
        Outcome::Ok(answer) => Some((invocation, answer)),
        _ => None,
    })
}

const fn place(invocation: &Invocation) -> super::checker::Place {
    super::checker::Place { node: invocation.node, at: invocation.interval.completed }
}
