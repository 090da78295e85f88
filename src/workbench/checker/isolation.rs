//! What transactions show about the promises between them: anomalies, the models that they refute, and the cycle that
//! tells it best.
//!
//! What depends on what is for each kind of data to say; here the orders of clients and of real time are added, cycles
//! are searched, and everything is put into words and into the parts of a picture.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use foldhash::fast::FixedState;

use super::graph::search::{self, Weight};
use super::graph::{self, Edges, Graph, kind};
use super::models::{Anomaly, Class, Model, Order, Refuted};
use super::transactions::{Action, MicroOp, NONE, Transactions, number};
use super::{Completion, Interval, Verdict};
use crate::time::Duration;
use crate::workbench::format::Seconds;

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Invalid if an anomaly was found that a model asked for forbids; unknown if nothing depends on anything, if values
    /// are ambiguous, or if a search was cut short and nothing forbidden was found.
    pub verdict: Verdict,
    /// The models asked for.
    pub models: Vec<Model>,
    /// How many transactions succeeded.
    pub ok: usize,
    /// How many may have happened.
    pub info: usize,
    /// How many failed.
    pub failed: usize,
    /// How many dependencies between two transactions are known.
    pub dependencies: usize,
    /// The models that forbidden anomalies refute.
    pub refuted: Refuted,
    /// The strongest model that nothing found refutes, also nothing that the models asked for allow.
    pub strongest_left: Option<Model>,
    /// What was found, forbidden or not: the gravest first.
    pub findings: Vec<Finding>,
    /// Forbidden anomalies that may exist, and for which the search was given up.
    pub undecided: Vec<Anomaly>,
    /// A value that was written to a key more than once: whose write was read cannot be told then, and nothing is judged.
    pub ambiguous: Option<(i64, i64)>,
}

/// All anomalies of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Which.
    pub anomaly: Anomaly,
    /// Whether a model asked for forbids it. Others are told and not counted.
    pub is_forbidden: bool,
    /// How many there are; of cycles: how many components of the graph have one.
    pub total: usize,
    /// The first few, of cycles the most telling ones.
    pub examples: Vec<Example>,
}

/// One anomaly.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Example {
    /// What happened, in words.
    pub sentences: Vec<String>,
    /// The circle, if it is one.
    pub cycle: Option<Cycle>,
    /// The reads that contradict each other on the order of a list, if it is that.
    pub orders: Option<Orders>,
}

/// Two reads of a list of which neither is the beginning of the other.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Orders {
    /// The key of the list.
    pub key: i64,
    /// On so many elements they agree.
    pub agree: usize,
    /// Who read what.
    pub reads: Vec<(String, Vec<i64>)>,
}

/// A circle of transactions, each before the next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cycle {
    /// The transactions, in the circle's order: T1, T2, …
    pub members: Vec<Member>,
    /// How each leads to the next, the last to the first.
    pub steps: Vec<Step>,
}

/// A transaction of a circle.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Whose it is: the process of the history.
    pub process: Option<usize>,
    /// Which node was asked.
    pub node: Option<usize>,
    /// When.
    pub interval: Interval,
    /// Whether it succeeded or is in doubt.
    pub completion: Completion,
    /// Its micro-operations, such as `r 9 [… 3 4]`; reads are cut to what matters.
    pub ops: Vec<String>,
}

/// Why one transaction comes before another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// `ww`, `wr`, `rw`, `process` or `realtime`.
    pub kind: &'static str,
    /// The values that prove it.
    pub proof: String,
    /// The micro-operation of the first that proves it.
    pub from_op: Option<usize>,
    /// That of the second.
    pub to_op: Option<usize>,
}

/// How many anomalies of one name are kept.
pub const EXAMPLES: usize = 8;

impl Report {
    /// Whether an anomaly was found, forbidden or not.
    pub fn has(&self, anomaly: Anomaly) -> bool {
        self.findings.iter().any(|finding| finding.anomaly == anomaly)
    }

    /// The most telling cycle that is forbidden: the gravest class, then the shortest.
    pub fn cycle(&self) -> Option<(&Finding, &Cycle)> {
        let cycles = self.findings.iter().filter_map(|finding| {
            finding.examples.iter().find_map(|example| Some((finding, example.cycle.as_ref()?)))
        });
        cycles.clone().find(|(finding, _)| finding.is_forbidden).or_else(|| cycles.clone().next())
    }

    /// What a person should know, in sentences, the gravest first.
    pub fn explain(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if let Some((key, value)) = self.ambiguous {
            sentences.push(format!(
                "{value} was written to key {key} more than once, so nobody can tell whose write a read saw: nothing is \
                 judged"
            ));
            return sentences;
        }
        if self.ok == 0 {
            sentences.push("no transaction succeeded, so nothing can be said of them".to_owned());
        } else if self.dependencies == 0 && self.verdict == Verdict::Unknown {
            sentences.push(
                "no transaction depends on another one: nobody read what another one wrote, so nothing can be said"
                    .to_owned(),
            );
        }
        sentences.extend(self.conclusion());
        // One cycle tells it; the others are counted.
        let mut is_cycle_told = false;
        for Finding { anomaly, is_forbidden, total, examples } in &self.findings {
            let allowed = if *is_forbidden { "" } else { ", which the models asked for allow" };
            let times = if *total > 1 { format!(", {total} times") } else { String::new() };
            sentences.push(format!("{anomaly}{times}{allowed}: {}", meaning(*anomaly)));
            let is_cycle = matches!(anomaly, Anomaly::Cycle(..));
            if *is_forbidden && !(is_cycle && is_cycle_told) {
                let shown = examples.iter().take(if is_cycle { 1 } else { 2 });
                sentences.extend(shown.flat_map(|example| example.sentences.iter().cloned()));
                is_cycle_told |= is_cycle;
            }
        }
        if !self.undecided.is_empty() {
            let names: Vec<_> = self.undecided.iter().map(|anomaly| anomaly.name()).collect();
            sentences.push(format!(
                "the search for {} was given up after {} million steps",
                names.join(", "),
                search::BUDGET / 1_000_000
            ));
        }
        sentences.extend(self.models.iter().filter(|model| model.is_checked_in_part()).map(|model| {
            format!("of {model} only a part can be checked: a history that breaks it may be called valid")
        }));
        sentences
    }

    /// "not X, therefore not Y, and at most Z"
    fn conclusion(&self) -> Option<String> {
        if self.refuted.not.is_empty() {
            return None;
        }
        let list = |models: &mut dyn Iterator<Item = &Model>, word: &str| {
            let names: Vec<_> = models.map(|model| model.name()).collect();
            match &names[..] {
                [] => String::new(),
                [name] => (*name).to_owned(),
                [names @ .., last] => format!("{} {word} {last}", names.join(", ")),
            }
        };
        let mut strongest = self.refuted.also_not.clone();
        strongest.sort_unstable_by(|a, b| b.cmp(a));
        strongest.truncate(4);
        let mut sentence = format!("this is not {}", list(&mut self.refuted.not.iter(), "and not"));
        if !strongest.is_empty() {
            _ = write!(sentence, ", so it is not {} either", list(&mut strongest.iter(), "and not"));
        }
        _ = match self.strongest_left {
            Some(model) => {
                write!(sentence, "; the strongest model that this history does not refute is {model}")
            }
            None => write!(sentence, "; no model is left that it does not refute"),
        };
        Some(sentence)
    }
}

/// What an anomaly is, for people who meet it the first time.
pub fn meaning(anomaly: Anomaly) -> String {
    let class = |class| match class {
        Class::G0 => "transactions wrote over each other in a circle",
        Class::G1c => "transactions in a circle, each of which saw or wrote over what the one before it did",
        Class::GSingle => "a transaction missed a write, and depends on it all the same",
        Class::GNonadjacent => "transactions saw the same writes in different orders",
        Class::G2 => "transactions each missed what another one of them wrote",
    };
    match anomaly {
        Anomaly::GarbageRead => "something was read that nobody tried to write".to_owned(),
        Anomaly::DuplicateElements => "something that was appended once is in a list twice".to_owned(),
        Anomaly::CyclicVersions => "the values of a key come before themselves".to_owned(),
        Anomaly::G1a => {
            "something was read that a transaction wrote which failed (an aborted read)".to_owned()
        }
        Anomaly::G1b => "a transaction was seen half done (an intermediate read)".to_owned(),
        Anomaly::DirtyUpdate => "what a failed transaction wrote was built upon".to_owned(),
        Anomaly::IncompatibleOrder => "two reads of a list contradict each other on its order".to_owned(),
        Anomaly::FutureRead => "a transaction read what it appended only later".to_owned(),
        Anomaly::Internal => "a transaction contradicts itself".to_owned(),
        Anomaly::LostUpdate => {
            "transactions read the same version of a key, and each changed it without the others' change"
                .to_owned()
        }
        Anomaly::Cycle(of, Order::Data) => class(of).to_owned(),
        Anomaly::Cycle(of, Order::Process) => format!("{}, given each client's own order", class(of)),
        Anomaly::Cycle(of, Order::Realtime) => {
            format!("{}, given that some ended before others began", class(of))
        }
    }
}

/// Findings while they are collected: all are counted, and the first few are put into words.
#[derive(Debug, Default)]
pub(super) struct Notes {
    by_anomaly: BTreeMap<Anomaly, (usize, Vec<Example>)>,
}

impl Notes {
    /// Notes that something happened once more.
    pub fn note(&mut self, anomaly: Anomaly, sentence: impl FnOnce() -> String) {
        self.note_orders(anomaly, || (sentence(), None));
    }

    /// The same with the orders that contradict each other.
    pub fn note_orders(&mut self, anomaly: Anomaly, example: impl FnOnce() -> (String, Option<Orders>)) {
        let (total, examples) = self.by_anomaly.entry(anomaly).or_default();
        *total += 1;
        if examples.len() < EXAMPLES {
            let (sentence, orders) = example();
            examples.push(Example { sentences: vec![sentence], cycle: None, orders });
        }
    }
}

/// Why one transaction depends on another.
pub(super) struct Proof {
    /// `T2 saw T1's 4`
    pub sentence: String,
    pub from_op: Option<usize>,
    pub to_op: Option<usize>,
}

/// Who knows the values that prove a dependency of a kind.
pub(super) trait Prove {
    /// Of the first on the second, which have these names.
    fn prove(&self, first: (u32, &str), second: (u32, &str), kind: u8) -> Option<Proof>;
}

/// Adds the orders that the models need, searches for cycles, and judges everything.
///
/// `edges` are dependencies, through hubs numbered up to `vertices`; there are `dependencies` of them.
pub(super) fn conclude(
    transactions: &Transactions,
    models: &[Model],
    mut notes: Notes,
    mut edges: Edges,
    vertices: u32,
    prover: &dyn Prove,
) -> Report {
    let count = |completion| transactions.all.iter().filter(|txn| txn.completion == completion).count();
    let dependencies = edges.len();
    let mut report = Report {
        verdict: Verdict::Unknown,
        models: models.to_vec(),
        ok: count(Completion::Ok),
        info: count(Completion::Info),
        failed: count(Completion::Fail),
        dependencies,
        refuted: Refuted { not: Vec::new(), also_not: Vec::new() },
        strongest_left: None,
        findings: Vec::new(),
        undecided: Vec::new(),
        ambiguous: transactions.repeated_write(),
    };
    if report.ambiguous.is_some() {
        return report;
    }
    let mut orders = Vec::new();
    let mut vertices = vertices;
    if models.iter().any(|model| model.needs_process_order()) {
        orders.push(Order::Process);
        order_of_processes(transactions, &mut edges);
    }
    if models.iter().any(|model| model.needs_realtime_order()) {
        orders.push(Order::Realtime);
        vertices = order_of_time(transactions, vertices, &mut edges);
    }
    let graph = Graph::new(vertices, number(transactions.len()), &edges);
    drop(edges);
    let found = search::search(&graph, &orders, &Heavy(transactions), search::BUDGET);
    drop(graph);
    for (class, order, size) in found.unshown {
        notes.note(Anomaly::Cycle(class, order), || {
            format!(
                "{size} transactions depend on each other in circles of this kind or a graver one, too entangled for one of \
                 them to be shown"
            )
        });
    }
    let is_forbidden = |anomaly: Anomaly| models.iter().any(|model| model.forbids(anomaly));
    let mut cycles = found.cycles;
    let weights = Heavy(transactions);
    cycles.sort_by_cached_key(|cycle| {
        (cycle.order, cycle.class, cycle.steps.len(), weights.of(&mut cycle.steps.iter().map(|step| step.0)))
    });
    for cycle in cycles {
        let anomaly = Anomaly::Cycle(cycle.class, cycle.order);
        let (total, examples) = notes.by_anomaly.entry(anomaly).or_default();
        *total += 1;
        if examples.len() < EXAMPLES {
            examples.push(describe(transactions, &cycle, prover));
        }
    }
    report.findings = notes
        .by_anomaly
        .into_iter()
        .map(|(anomaly, (total, examples))| Finding {
            anomaly,
            is_forbidden: is_forbidden(anomaly),
            total,
            examples,
        })
        .collect();
    report.findings.sort_by_key(|finding| {
        let order = match finding.anomaly {
            Anomaly::Cycle(_, order) => order,
            _ => Order::Data,
        };
        (!finding.is_forbidden, order, finding.anomaly)
    });
    report.undecided = found
        .undecided
        .into_iter()
        .map(|(class, order)| Anomaly::Cycle(class, order))
        .filter(|&anomaly| is_forbidden(anomaly) && !report.has(anomaly))
        .collect();
    report.undecided.sort_unstable();
    report.undecided.dedup();
    let forbidden = report.findings.iter().filter(|finding| finding.is_forbidden);
    report.refuted = Refuted::by(&forbidden.map(|finding| finding.anomaly).collect::<Vec<_>>());
    let refutes = |model: &Model| report.findings.iter().any(|finding| model.forbids(finding.anomaly));
    report.strongest_left = Model::all().rev().find(|model| !refutes(model));
    report.verdict = if !report.refuted.not.is_empty() {
        Verdict::Invalid
    } else if report.dependencies == 0 || report.ok == 0 || !report.undecided.is_empty() {
        Verdict::Unknown
    } else {
        Verdict::Valid
    };
    report
}

/// Each client's transactions that succeeded, one after the other.
fn order_of_processes(transactions: &Transactions, edges: &mut Edges) {
    let all = &transactions.all;
    let mut latest = HashMap::<u32, u32, FixedState>::default();
    let mut one_more = |index: u32| {
        let transaction = &all[index as usize];
        if transaction.completion == Completion::Ok
            && transaction.process != NONE
            && let Some(before) = latest.insert(transaction.process, index)
        {
            edges.push(before, index, kind::PROCESS);
        }
    };
    let count = number(all.len());
    if all.is_sorted_by_key(|transaction| transaction.interval.invoked) {
        (0..count).for_each(one_more);
    } else {
        let mut in_order: Vec<u32> = (0..count).collect();
        in_order.sort_by_key(|&index| all[index as usize].interval.invoked);
        in_order.into_iter().for_each(&mut one_more);
    }
}

fn order_of_time(transactions: &Transactions, vertices: u32, edges: &mut Edges) -> u32 {
    let of = |index: usize| (&transactions.all[index], number(index));
    let mut answered: Vec<(u64, u32)> = (0..transactions.len())
        .map(of)
        .filter(|(transaction, _)| transaction.completion == Completion::Ok)
        .map(|(transaction, index)| (transaction.interval.completed.as_micros(), index))
        .collect();
    let begun = (0..transactions.len())
        .map(of)
        .filter(|(transaction, _)| transaction.completion != Completion::Fail)
        .map(|(transaction, index)| (transaction.interval.invoked.as_micros(), index));
    graph::order_in_time(&mut answered, begun, vertices, edges)
}

/// Fewest micro-operations, then the shortest span of time, then the earliest.
struct Heavy<'a>(&'a Transactions);

impl Weight for Heavy<'_> {
    fn of(&self, transactions: &mut dyn Iterator<Item = u32>) -> (usize, u64, u64) {
        let (mut ops, mut first, mut last) = (0, u64::MAX, 0);
        for index in transactions {
            let transaction = &self.0.all[index as usize];
            ops += self.0.ops_of(index).len();
            first = first.min(transaction.interval.invoked.as_micros());
            // Nobody knows when one in doubt ended.
            last = last.max(match transaction.completion {
                Completion::Ok => transaction.interval.completed.as_micros(),
                Completion::Info | Completion::Fail => transaction.interval.invoked.as_micros(),
            });
        }
        (ops, last.saturating_sub(first), first)
    }
}

/// A cycle in words, and for its picture. It begins with its earliest transaction.
fn describe(transactions: &Transactions, cycle: &search::Cycle, prover: &dyn Prove) -> Example {
    let mut ring = cycle.steps.clone();
    let earliest =
        (0..ring.len()).min_by_key(|&at| transactions.all[ring[at].0 as usize].interval.invoked).unwrap_or(0);
    ring.rotate_left(earliest);
    let names: Vec<String> = (1..=ring.len()).map(|index| format!("T{index}")).collect();
    let mut steps = Vec::new();
    for (index, &(first, kinds)) in ring.iter().enumerate() {
        let next = (index + 1) % ring.len();
        let (first, second) = ((first, &*names[index]), (ring[next].0, &*names[next]));
        steps.push(step(transactions, first, second, kinds, prover));
    }
    let matters = |index: usize, op: usize| {
        let before = (index + ring.len() - 1) % ring.len();
        steps[index].from_op == Some(op) || steps[before].to_op == Some(op)
    };
    let members: Vec<Member> =
        ring.iter().map(|&(transaction, _)| member(transactions, transaction)).collect();
    let mut sentences: Vec<String> = Vec::new();
    for (index, member) in members.iter().enumerate() {
        let told: Vec<&str> =
            (0..member.ops.len()).filter(|&op| matters(index, op)).map(|op| &*member.ops[op]).collect();
        let rest = if told.len() < member.ops.len() { " …" } else { "" };
        let told =
            if told.is_empty() { "nothing that matters here".to_owned() } else { told.join(", ") + rest };
        sentences.push(format!("  {} is {}: {told}", names[index], member.who()));
    }
    for (index, step) in steps.iter().enumerate() {
        let (first, second) = (&names[index], &names[(index + 1) % names.len()]);
        sentences.push(format!("  {first} comes before {second} ({}): {}", step.kind, step.proof));
    }
    sentences.push(format!("  so {} would have to come before itself", names[0]));
    Example { sentences, cycle: Some(Cycle { members, steps }), orders: None }
}

fn step(
    transactions: &Transactions,
    first: (u32, &str),
    second: (u32, &str),
    kinds: u8,
    prover: &dyn Prove,
) -> Step {
    let plain = |kind, proof| Step { kind, proof, from_op: None, to_op: None };
    let of = |index: u32| &transactions.all[index as usize];
    match kinds {
        kind::PROCESS => {
            plain("process", format!("client {} did {} before {}", of(first.0).process, first.1, second.1))
        }
        kind::REALTIME => {
            let between = of(second.0).interval.invoked.saturating_since(of(first.0).interval.completed);
            plain(
                "realtime",
                format!("{} was answered {} before {} was asked for", first.1, Span(between), second.1),
            )
        }
        _ => {
            let name = match kinds {
                kind::WW => "ww",
                kind::WR => "wr",
                _ => "rw",
            };
            match prover.prove(first, second, kinds) {
                Some(Proof { sentence, from_op, to_op }) => {
                    let local = |transaction: u32, op: Option<usize>| {
                        op.map(|op| op - transactions.ops_of(transaction).start)
                    };
                    Step {
                        kind: name,
                        proof: sentence,
                        from_op: local(first.0, from_op),
                        to_op: local(second.0, to_op),
                    }
                }
                None => plain(name, String::new()),
            }
        }
    }
}

fn member(transactions: &Transactions, index: u32) -> Member {
    let transaction = &transactions.all[index as usize];
    let known = |number: u32| (number != NONE).then_some(number as usize);
    Member {
        process: known(transaction.process),
        node: known(transaction.node),
        interval: transaction.interval,
        completion: transaction.completion,
        ops: transactions.ops_of(index).map(|op| transactions.op(transactions.ops[op])).collect(),
    }
}

impl Member {
    /// `client 3 at n0, from 1.203 s to 1.301 s`
    fn who(&self) -> String {
        let mut who = match self.process {
            Some(process) => format!("client {process}"),
            None => "a client".to_owned(),
        };
        if let Some(node) = self.node {
            _ = write!(who, " at n{node}");
        }
        let Interval { invoked, completed } = self.interval;
        _ = match self.completion {
            Completion::Ok => write!(who, ", {} to {}", Seconds(invoked), Seconds(completed)),
            Completion::Fail => write!(who, ", {} to {}, which failed", Seconds(invoked), Seconds(completed)),
            Completion::Info => write!(who, ", from {} on, never known to have ended", Seconds(invoked)),
        };
        who
    }
}

/// `0.123 s`, or microseconds where that would be nothing.
struct Span(Duration);

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = self.0.as_micros();
        if micros < 1_000 {
            write!(f, "{micros} µs")
        } else {
            write!(f, "{}.{:03} s", micros / 1_000_000, micros / 1_000 % 1_000)
        }
    }
}

impl Transactions {
    /// Whose a transaction is, and when it was.
    pub(super) fn who(&self, index: u32) -> String {
        let transaction = &self.all[index as usize];
        let known = |number: u32| (number != NONE).then_some(number as usize);
        Member {
            process: known(transaction.process),
            node: known(transaction.node),
            interval: transaction.interval,
            completion: transaction.completion,
            ops: Vec::new(),
        }
        .who()
    }

    /// The same, where there may be nobody.
    pub(super) fn who_or_nobody(&self, index: u32) -> String {
        if index == NONE { "somebody".to_owned() } else { self.who(index) }
    }

    /// A micro-operation as people write it: `append 9 5`, `r 9 [1 2]`, `w 9 5`, `r 9 nil`.
    pub(super) fn op(&self, op: MicroOp) -> String {
        let key = self.keys[op.key as usize].name;
        match op.action {
            Action::Write(version) => {
                format!("{} {key} {}", self.word(), self.versions[version as usize].value)
            }
            Action::Read(NONE) => format!("r {key} nil"),
            Action::Read(version) => format!("r {key} {}", self.versions[version as usize].value),
            Action::ReadList { list, length } => format!("r {key} {}", self.shown(list, length)),
            Action::Unread => format!("r {key} ?"),
        }
    }

    /// `[… 2 3 4]`: the last elements that a read showed.
    pub(super) fn shown(&self, list: u32, length: u32) -> String {
        const SHOWN: usize = 4;
        let elements = self.elements(list, length);
        let cut = elements.len().saturating_sub(SHOWN);
        let mut text = if cut > 0 { "[…".to_owned() } else { "[".to_owned() };
        for &element in &elements[cut..] {
            if text.len() > 1 {
                text.push(' ');
            }
            text.push_str(&self.versions[element as usize].value.to_string());
        }
        text.push(']');
        text
    }
}
