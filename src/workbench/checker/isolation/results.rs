//! What is reported: anomalies, the models that they refute, and cycles with what proves them.

use std::fmt::Write as _;

use super::super::graph::search;
use super::super::models::{Anomaly, Class, Model, Order, Refuted};
use super::super::{Completion, Interval, Verdict};

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IsolationResults {
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
    /// No transaction that succeeded wrote anything, or read anything but nothing.
    pub has_nothing: bool,
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

impl IsolationResults {
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
        } else if self.has_nothing && self.verdict == Verdict::Unknown {
            sentences.push(
                "no transaction that writes succeeded, and none read anything, so nothing can be said"
                    .to_owned(),
            );
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
