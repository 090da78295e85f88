//! Whether what happened in a test is right, and why not.

use std::collections::{BTreeMap, BTreeSet};

use super::checker::stats::{self, Excuse};
use super::checker::{Interval, Verdict};
use super::fault::Fault;
use super::history::{Invocation, Outcome};
use super::journal::{Address, Traffic};
use super::nemesis::Window;
use super::settings::Settings;
use super::why::{self, Why};
use super::workload::{Finding, Workload, reason_prefix};
use super::world::{Failure, UnexpectedReplies, World};
use crate::time::{Duration, Instant};
use crate::wire::error::ErrorCode;
use crate::workbench::format::Seconds;

/// What there is to say about a test: its [verdict](Self::verdict), why that is so in [sentences](Self::explain), and what
/// was counted.
#[derive(Debug)]
#[non_exhaustive]
pub struct Results {
    /// Whether it is right.
    pub verdict: Verdict,
    /// What a node did that ended the test, if one did.
    pub failure: Option<Failure>,
    /// What the workload's own checker says.
    pub finding: Box<dyn Finding>,
    /// Why it is wrong, as far as the journal knows.
    pub why: Vec<Why>,
    /// Nodes that answered nothing more.
    pub silent: Vec<SilentNode>,
    /// Operations by kind.
    pub stats: stats::Stats,
    /// How many operations there were a second, the final ones aside.
    pub operations_per_second: f64,
    /// Messages from and to clients.
    pub clients: Traffic,
    /// Messages between nodes and services.
    pub servers: Traffic,
    /// Messages between nodes and services for each operation.
    pub messages_per_operation: f64,
    /// Nodes of which no final operation succeeded, where there should be one, and of what kind those were.
    pub unread: Vec<(usize, &'static str)>,
    /// Kinds of operations of which every one was refused as not supported.
    pub unsupported: Vec<&'static str>,
    /// Nodes that no client asked, and whether there were too few clients for all nodes.
    pub unasked: (Vec<usize>, bool),
    /// Nodes that should agree in the end never sent each other anything.
    pub is_isolated: bool,
    /// Answers that came after their client had given up.
    pub late_answers: UnexpectedReplies,
    /// Answers to requests that had their answer.
    pub repeated_answers: UnexpectedReplies,
    /// Answers to what nobody had asked.
    pub stray_answers: UnexpectedReplies,
    /// Messages in which a node names somebody else as the sender.
    pub borrowed_names: UnexpectedReplies,
    /// The first node that wrote to itself in a client's name, and the client.
    pub swapped: Option<(usize, Address)>,
    /// Whether nodes were paused, which makes answers late.
    pub was_paused: bool,
    /// The bound at which the operations ended before their time, if they did, and when.
    pub cut_short: Option<(String, Instant)>,
    /// Nodes that polled at one instant of virtual time until it went on without them, and when first.
    pub polling: BTreeMap<usize, Instant>,
}

/// A node that answered nothing from some time on, and not when it was asked again at the end either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
#[non_exhaustive]
pub struct Judgement {
    /// Whether it is right.
    pub verdict: Verdict,
    /// What the workload's own checker says.
    pub finding: Box<dyn Finding>,
    /// Operations by kind.
    pub stats: stats::Stats,
    /// The workload's name.
    pub workload: &'static str,
}

impl Judgement {
    /// Looks at a history of a test in which these faults were, or of which nobody knows what went wrong in it.
    pub fn of(
        history: &[Invocation],
        workload: &dyn Workload,
        settings: &Settings,
        faults: Option<&[Window]>,
    ) -> Self {
        let finding = workload.check(history, settings);
        let disturbances = Disturbances::of(history, workload, settings, faults);
        let counted = || history.iter().filter(|of| !of.is_probe && workload.counts(of.operation.f));
        let is_ok = |of: &&Invocation| matches!(of.outcome, Outcome::Ok(_));
        let with_success: BTreeSet<&str> = counted().filter(is_ok).map(|of| of.operation.f).collect();
        let operations: Vec<_> = counted()
            .map(|invocation| stats::CountedOperation {
                kind: invocation.operation.f,
                interval: invocation.interval,
                completion: invocation.outcome.completion(),
                // Where some succeed, nobody asks why others did not.
                excuse: if with_success.contains(invocation.operation.f) {
                    None
                } else {
                    disturbances.excuse(invocation)
                },
                is_final: invocation.is_final,
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

/// How long after a fault, or after the start, a right node may still be busy with it: it elects a leader, or waits for
/// answers that do not come. Longer where messages take long.
const RECOVERY: Duration = Duration::from_secs(5);

/// What right nodes may not manage in one test: its faults, if they are known, and its beginning.
struct Disturbances<'a> {
    faults: Option<&'a [Window]>,
    beginning_until: Instant,
    recovery: Duration,
}

impl<'a> Disturbances<'a> {
    fn of(
        history: &[Invocation],
        workload: &dyn Workload,
        settings: &Settings,
        faults: Option<&'a [Window]>,
    ) -> Self {
        let recovery = settings.stretched(RECOVERY);
        let began = history.first().map_or(Instant::START, |first| first.interval.invoked);
        let beginning_until = if workload.may_need_a_leader() { began + recovery } else { began };
        Self { faults, beginning_until, recovery }
    }

    /// Why a right node may have ended the operation without success.
    fn excuse(&self, invocation: &Invocation) -> Option<Excuse> {
        const OF_STATE: [ErrorCode; 5] = [
            ErrorCode::ABORT,
            ErrorCode::KEY_DOES_NOT_EXIST,
            ErrorCode::KEY_ALREADY_EXISTS,
            ErrorCode::PRECONDITION_FAILED,
            ErrorCode::TXN_CONFLICT,
        ];
        const WITHOUT: [ErrorCode; 3] =
            [ErrorCode::NODE_NOT_FOUND, ErrorCode::NOT_SUPPORTED, ErrorCode::MALFORMED_REQUEST];
        let is_one_of = |codes: &[ErrorCode], reason: &str| {
            codes.iter().any(|&code| reason.starts_with(&reason_prefix(code)))
        };
        let has_crashed = match &invocation.outcome {
            Outcome::Ok(_) => return None,
            Outcome::Fail(reason) | Outcome::Info(reason) if is_one_of(&OF_STATE, reason) => {
                return Some(Excuse::State);
            }
            Outcome::Fail(reason) if is_one_of(&WITHOUT, reason) => return None,
            Outcome::Fail(reason) | Outcome::Info(reason) => is_one_of(&[ErrorCode::CRASH], reason),
            Outcome::Silence { .. } => false,
        };
        let Interval { invoked, completed } = invocation.interval;
        let is_disturbed_by = |window: &Window| {
            // A right node takes a message that comes twice, or late, as well as others.
            !matches!(window.fault, Fault::Duplicate | Fault::Reorder)
                && window.from <= completed
                && window.to.is_none_or(|ended| invoked < ended + self.recovery)
        };
        let is_excused = (invoked < self.beginning_until && !has_crashed)
            || self.faults.is_none_or(|faults| faults.iter().any(is_disturbed_by));
        is_excused.then_some(Excuse::Faults)
    }
}

impl Results {
    /// Looks at a test that is over.
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn of(world: &World) -> Self {
        let history = world.history();
        let (workload, settings) = (world.workload(), world.settings());
        let Judgement { finding, stats, .. } =
            Judgement::of(history, workload, settings, Some(world.faults()));
        let failure = world.failure().cloned();
        let silent: Vec<_> =
            world.silent_nodes().iter().filter_map(|&node| SilentNode::of(node, history)).collect();
        let nodes = 0..settings.nodes;
        let is_asked = |node: &usize| history.iter().any(|invocation| invocation.node == *node);
        let (asked, unasked): (Vec<usize>, Vec<usize>) = nodes.partition(is_asked);
        let unread = asked.into_iter().filter_map(|node| Some((node, unread(node, history)?)));
        let unread: Vec<_> = unread.filter(|_| workload.final_phase().is_some()).collect();
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
        let why = if is_wrong {
            let silent: Vec<_> = silent.iter().map(|silent| (silent.node, silent.since)).collect();
            why::answer(world, &silent, &finding.questions(history))
        } else {
            Vec::new()
        };
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
            unsupported: unsupported(history),
            unasked: (unasked, settings.workers < settings.nodes),
            is_isolated: workload.final_phase().is_some() && settings.nodes > 1 && journal.servers.sent == 0,
            late_answers: world.late_answers().clone(),
            repeated_answers: world.repeated_answers().clone(),
            stray_answers: world.stray_answers().clone(),
            borrowed_names: world.borrowed_names().clone(),
            swapped: world.swapped(),
            was_paused: world.faults().iter().any(|window| window.fault == Fault::Pause),
            cut_short: world.cut_short().map(|(bound, at)| (bound.to_owned(), at)),
            polling: world.polling().clone(),
        }
    }

    /// The places in the history of the operations that are wrong, the gravest first: requests that a silent node did not
    /// answer, and what the checker says.
    pub fn offending(&self, history: &[Invocation]) -> Vec<usize> {
        let unanswered = |silent: &SilentNode| {
            history.iter().position(|of| (of.node, of.interval.invoked) == (silent.node, silent.since))
        };
        let mut offending: Vec<usize> = self.silent.iter().filter_map(unanswered).collect();
        offending.extend(self.finding.offending(history));
        let mut known = BTreeSet::new();
        offending.retain(|place| known.insert(*place));
        offending
    }

    /// What a person should know, in sentences, the gravest first.
    pub fn explain(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if let Some(Failure { node, at, reason, line, unnoticed, .. }) = &self.failure {
            sentences.push(format!("because of n{node} the test ended after {}: {reason}", Seconds(*at)));
            sentences.extend(line.as_ref().map(|line| format!("the line: {line}")));
            sentences.extend(unnoticed.map(|instead| format!("Maelstrom would not have noticed: {instead}")));
            sentences.extend(self.swapped.map(|(node, client)| {
                format!("n{node} wrote to itself in the name of {client}: are src and dest swapped?")
            }));
            // What the rest would say is about a test that did not take place.
            return sentences;
        }
        sentences.extend(self.silent.iter().map(SilentNode::explain));
        sentences.extend(self.unsupported.iter().map(|f| {
            format!("every {f} was answered with error 10, not supported: the node does not handle that request yet")
        }));
        for (node, f) in &self.unread {
            sentences.push(format!(
                "no final {f} of n{node} succeeded, so nobody knows what it has. Maelstrom would not have noticed: it \
                 judges by the others"
            ));
        }
        let is_isolated = self.is_isolated && self.finding.verdict() == Verdict::Invalid;
        if is_isolated {
            sentences.push(
                "no node ever sent another a message: what one is told, the others cannot know".to_owned(),
            );
        }
        // That says all if things are merely missing.
        if !is_isolated || !self.finding.is_mere_lack() {
            sentences.extend(self.finding.explain());
            sentences.extend(self.why.iter().map(|why| format!("why: {}", why.sentence)));
        }
        sentences.extend(self.stats.explain());
        if let Some((bound, at)) = &self.cut_short {
            sentences.push(format!(
                "the operations ended before their time, after {}: a test records no more than {bound}",
                Seconds(*at)
            ));
        }
        self.explain_answers(&mut sentences);
        for (node, at) in &self.polling {
            sentences.push(format!(
                "n{node} polls, first at {}: a handler looks in a loop whether something has changed. In virtual time it \
                 looks again when something happens; node.sleep lets it wait",
                Seconds(*at)
            ));
        }
        sentences.extend(self.explain_unasked());
        sentences
    }

    /// Messages that are odd, and make no test invalid.
    fn explain_answers(&self, sentences: &mut Vec<String>) {
        let mut tell = |replies: &UnexpectedReplies, what: &str, after: &str| {
            if let UnexpectedReplies { count, first: Some(first) } = replies {
                let (noun, the_first) =
                    if *count == 1 { (what.to_owned(), "it") } else { (plural(what), "the first") };
                sentences.push(format!("{count} {noun} {after}; {the_first}: {first}"));
            }
        };
        let late = "came after the client had given up";
        tell(
            &self.late_answers,
            "answer",
            &if self.was_paused {
                format!("{late}, some perhaps because their node was paused")
            } else {
                format!("{late}. Maelstrom stops listening to a node if that client is gone for good")
            },
        );
        tell(&self.repeated_answers, "answer", "came to a request that had its answer already");
        tell(
            &self.stray_answers,
            "answer",
            "came that nobody waited for: the in_reply_to names no request of that client",
        );
        tell(
            &self.borrowed_names,
            "message",
            "named another sender than the node that wrote it, which is allowed where it passes on what it was sent",
        );
    }

    fn explain_unasked(&self) -> Option<String> {
        const SHOWN: usize = 10;
        let (unasked, are_clients_few) = &self.unasked;
        if unasked.is_empty() {
            return None;
        }
        let mut nodes: Vec<_> = unasked.iter().take(SHOWN).map(|node| format!("n{node}")).collect();
        if unasked.len() > SHOWN {
            nodes.push(format!("and {} more", unasked.len() - SHOWN));
        }
        let why = if *are_clients_few {
            "there are more nodes than clients"
        } else {
            "there were too few operations for every client to have one"
        };
        Some(format!("no client asked {}: {why}", nodes.join(" ")))
    }
}

/// `answers`
fn plural(noun: &str) -> String {
    format!("{noun}s")
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn operations_per_second(world: &World) -> f64 {
    let operations = world.history().iter().filter(|invocation| !invocation.is_final).count();
    let micros = world.run_time().as_micros();
    if micros > 0 { operations as f64 * 1e6 / micros as f64 } else { 0.0 }
}

/// The kinds of operations of which every one was answered with error 10.
fn unsupported(history: &[Invocation]) -> Vec<&'static str> {
    let prefix = reason_prefix(ErrorCode::NOT_SUPPORTED);
    let is_refused =
        |of: &Invocation| matches!(&of.outcome, Outcome::Fail(reason) if reason.starts_with(&prefix));
    let mut kinds: BTreeMap<&'static str, bool> = BTreeMap::new();
    for of in history {
        *kinds.entry(of.operation.f).or_insert(true) &= is_refused(of);
    }
    kinds.into_iter().filter(|(_, are_refused)| *are_refused).map(|(f, _)| f).collect()
}

/// The kind of its final operations, if none of them succeeded. A node without one was not asked.
fn unread(node: usize, history: &[Invocation]) -> Option<&'static str> {
    let of_node = || history.iter().filter(move |invocation| invocation.is_final && invocation.node == node);
    let succeeded = of_node().any(|invocation| matches!(invocation.outcome, Outcome::Ok(_)));
    if succeeded { None } else { of_node().next().map(|invocation| invocation.operation.f) }
}

impl SilentNode {
    /// Since when it answered nothing.
    fn of(node: usize, history: &[Invocation]) -> Option<Self> {
        let of_node = history.iter().rev().filter(|invocation| invocation.node == node);
        let unanswered: Vec<_> =
            of_node.take_while(|invocation| matches!(invocation.outcome, Outcome::Silence { .. })).collect();
        let since = unanswered.last()?.interval.invoked;
        Some(Self { node, since, asked: unanswered.len() })
    }

    fn explain(&self) -> String {
        let Self { node, since, asked } = self;
        let times = if *asked == 1 { "once".to_owned() } else { format!("{asked} times") };
        format!(
            "n{node} fell silent: it was asked from {} on, {times}, at last while nothing was wrong any more, and answered \
             none of that. Maelstrom would not have noticed: it counts what is not answered, and goes on",
            Seconds(*since)
        )
    }
}
