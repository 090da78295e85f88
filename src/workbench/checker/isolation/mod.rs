//! What transactions show about the promises between them: anomalies, the models that they refute, and the cycle that
//! tells it best.
//!
//! What depends on what is for each kind of data to say; here the orders of clients and of real time are added, cycles
//! are searched, and everything is put into words and into the parts of a picture.

mod cycle;
mod notes;
mod results;

use std::collections::HashMap;

use foldhash::fast::FixedState;

use self::cycle::describe;
pub(super) use self::notes::{Notes, Proof, Prove};
pub use self::results::{Cycle, EXAMPLES, Example, Finding, IsolationResults, Member, Orders, Step, meaning};
use super::graph::search::{self, Weight};
use super::graph::{self, Edges, Graph, kind};
use super::models::{Anomaly, Model, Order, Refuted};
use super::transactions::{Action, NONE, Transactions, number};
use super::{Completion, Verdict};

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
) -> IsolationResults {
    let count = |completion| transactions.all.iter().filter(|txn| txn.completion == completion).count();
    let dependencies = edges.len();
    let mut report = IsolationResults {
        verdict: Verdict::Unknown,
        models: models.to_vec(),
        ok: count(Completion::Ok),
        info: count(Completion::Info),
        failed: count(Completion::Fail),
        has_nothing: has_nothing(transactions),
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
    } else if report.dependencies == 0 || report.ok == 0 || report.has_nothing || !report.undecided.is_empty()
    {
        Verdict::Unknown
    } else {
        Verdict::Valid
    };
    report
}

/// Whether nothing that any client was told says what became of a write.
fn has_nothing(transactions: &Transactions) -> bool {
    let says = |index: u32| {
        transactions.ops[transactions.ops_of(index)].iter().any(|op| match op.action {
            Action::Write(_) => true,
            Action::Read(version) => version != NONE,
            Action::ReadList { length, .. } => length > 0,
            Action::Unread => false,
        })
    };
    let all = transactions.all.iter().zip(0..);
    !all.into_iter().any(|(of, index)| of.completion == Completion::Ok && says(index))
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
