//! Cycles and transactions in words.

use std::fmt::{self, Write as _};

use super::super::graph::{kind, search};
use super::super::transactions::{Action, MicroOp, NONE, Transactions};
use super::super::{Completion, Interval};
use super::notes::{Proof, Prove};
use super::results::{Cycle, Example, Member, Step};
use crate::time::Duration;
use crate::workbench::format::Seconds;

/// A cycle in words, and for its picture. It begins with its earliest transaction.
pub(super) fn describe(transactions: &Transactions, cycle: &search::Cycle, prover: &dyn Prove) -> Example {
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
    let ops = transactions.ops_of(index).map(|op| transactions.op(transactions.ops[op])).collect();
    Member { ops, ..member_without_ops(transactions, index) }
}

fn member_without_ops(transactions: &Transactions, index: u32) -> Member {
    let transaction = &transactions.all[index as usize];
    let known = |number: u32| (number != NONE).then_some(number as usize);
    Member {
        process: known(transaction.process),
        node: known(transaction.node),
        interval: transaction.interval,
        completion: transaction.completion,
        ops: Vec::new(),
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

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
    pub(in super::super) fn who(&self, index: u32) -> String {
        member_without_ops(self, index).who()
    }

    /// The same, where there may be nobody.
    pub(in super::super) fn who_or_nobody(&self, index: u32) -> String {
        if index == NONE { "somebody".to_owned() } else { self.who(index) }
    }

    /// A micro-operation as people write it: `append 9 5`, `r 9 [1 2]`, `w 9 5`, `r 9 nil`.
    pub(in super::super) fn op(&self, op: MicroOp) -> String {
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
    pub(in super::super) fn shown(&self, list: u32, length: u32) -> String {
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
