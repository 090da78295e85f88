//! A test that fails, cut down to the few steps that it takes.
//!
//! Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002) over the faults and
//! the operations; then fewer nodes, fewer clients, no latency, and a shorter test, each kept if the test still fails in
//! the same way; and all of it again, as long as something is gained. It works because a message's fate depends on its
//! link and its number there alone: a step that is left out does not change what chance does to the others.

use super::fault::{Action, Cut, Links};
use super::network::{Distribution, Latency};
use super::plan::{Plan, PlannedOperation};
use super::settings::Settings;
use crate::time::Duration;

/// What is left of a plan.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// It fails in the same way.
    pub plan: Plan,
    /// How many tests it took.
    pub tries: usize,
    /// Nothing more can be left out. Otherwise there was no time to see.
    pub is_minimal: bool,
}

/// Cuts a plan with operations down. `still_fails` runs a plan and says whether it fails in the same way; it is asked for
/// as long as `may_go_on`.
pub fn shrink(
    plan: Plan,
    mut still_fails: impl FnMut(&Plan) -> bool,
    mut may_go_on: impl FnMut() -> bool,
) -> Shrunk {
    let mut tries = 0;
    let mut is_in_time = true;
    let mut keeps = |plan: &Plan| {
        is_in_time = is_in_time && may_go_on();
        if !is_in_time || plan.settings.check().is_err() {
            return false;
        }
        tries += 1;
        still_fails(plan)
    };
    let mut plan = plan;
    loop {
        let before = size(&plan);
        shrink_list(&mut plan, |plan| &mut plan.settings.planned_faults, &mut keeps);
        shrink_list(&mut plan, operations, &mut keeps);
        for fault in 0..plan.settings.planned_faults.len() {
            if cuts(&plan.settings.planned_faults[fault].action).is_some() {
                shrink_list(&mut plan, |plan| cuts_mut(plan, fault), &mut keeps);
            }
        }
        for simpler in [
            fewer_nodes,
            one_worker_a_node,
            fewer_workers,
            constant_latency,
            no_latency,
            earlier,
            shorter,
            briefer_faults,
        ] {
            while let Some(candidate) = simpler(&plan).filter(|candidate| keeps(candidate)) {
                plan = candidate;
            }
        }
        if size(&plan) == before {
            break;
        }
    }
    Shrunk { plan, tries, is_minimal: is_in_time }
}

fn operations(plan: &mut Plan) -> &mut Vec<PlannedOperation> {
    plan.operations.get_or_insert_default()
}

/// What gets smaller: a plan of which all of this stays the same is as small as it gets.
fn size(plan: &Plan) -> [u64; 7] {
    let Settings { planned_faults, nodes, workers, latency, time_limit, .. } = &plan.settings;
    let operations = plan.operations.as_ref().map_or(0, Vec::len);
    let cuts = planned_faults.iter().map(|fault| cuts(&fault.action).map_or(0, <[_]>::len)).sum();
    let counts = [planned_faults.len(), operations, cuts, *nodes, *workers].map(|count| count as u64);
    let [faults, operations, cuts, nodes, workers] = counts;
    [faults, operations, cuts, nodes, workers, latency.mean.as_micros(), time_limit.as_micros()]
}

/// The cuts of a fault that names some.
fn cuts(action: &Action) -> Option<&[Cut]> {
    match action.links() {
        Some(Links::Some(cuts)) => Some(cuts.as_slice()),
        _ => None,
    }
}

/// The cuts of a fault that has some.
fn cuts_mut(plan: &mut Plan, fault: usize) -> &mut Vec<Cut> {
    match &mut plan.settings.planned_faults[fault].action {
        Action::Partition(Links::Some(cuts))
        | Action::Loss(_, Links::Some(cuts))
        | Action::Duplicate(_, Links::Some(cuts))
        | Action::Slow(_, Links::Some(cuts))
        | Action::Reorder(_, Links::Some(cuts)) => cuts,
        _ => unreachable!("it was looked whether it has some"),
    }
}

/// What several clients of a node do is done by one of them.
fn one_worker_a_node(plan: &Plan) -> Option<Plan> {
    let nodes = plan.settings.nodes;
    let mut plan = plan.clone();
    let mut is_changed = false;
    for operation in plan.operations.iter_mut().flatten() {
        is_changed |= operation.worker >= nodes;
        operation.worker %= nodes;
    }
    is_changed.then_some(plan)
}

/// Begins at once, with what came first.
fn earlier(plan: &Plan) -> Option<Plan> {
    let operations = plan.operations.iter().flatten().map(|operation| operation.at);
    let first = operations.chain(plan.settings.planned_faults.iter().map(|fault| fault.at)).min()?;
    let sooner = |at: &mut Duration| {
        *at = Duration::from_micros(at.as_micros().saturating_sub(first.as_micros()));
    };
    let mut plan = plan.clone();
    plan.settings.planned_faults.iter_mut().for_each(|fault| sooner(&mut fault.at));
    plan.operations.iter_mut().flatten().for_each(|operation| sooner(&mut operation.at));
    sooner(&mut plan.settings.time_limit);
    (first > Duration::ZERO).then_some(plan)
}

/// Leaves out as much of a list as it can: halves first, then smaller pieces, at last single items.
fn shrink_list<T: Clone>(
    plan: &mut Plan,
    list: impl Fn(&mut Plan) -> &mut Vec<T>,
    keeps: &mut impl FnMut(&Plan) -> bool,
) {
    let mut piece = list(plan).len();
    while piece > 0 {
        let mut start = 0;
        while start < list(plan).len() {
            let mut candidate = plan.clone();
            let items = list(&mut candidate);
            let end = (start + piece).min(items.len());
            items.drain(start..end);
            if keeps(&candidate) {
                *plan = candidate;
            } else {
                start += piece;
            }
        }
        piece /= 2;
    }
}

fn with(plan: &Plan, change: impl FnOnce(&mut Settings)) -> Plan {
    let mut plan = plan.clone();
    change(&mut plan.settings);
    plan
}

fn fewer_nodes(plan: &Plan) -> Option<Plan> {
    let nodes = plan.settings.nodes.checked_sub(1).filter(|nodes| *nodes > 0)?;
    Some(with(plan, |settings| settings.nodes = nodes))
}

/// One client less, if the last one has nothing to do.
fn fewer_workers(plan: &Plan) -> Option<Plan> {
    let workers = plan.settings.workers.checked_sub(1).filter(|workers| *workers > 0)?;
    let is_idle = plan.operations.iter().flatten().all(|operation| operation.worker < workers);
    is_idle.then(|| with(plan, |settings| settings.workers = workers))
}

fn constant_latency(plan: &Plan) -> Option<Plan> {
    let Latency { mean, spread } = plan.settings.latency;
    let constant = Latency { mean, spread: Distribution::Constant };
    (spread != Distribution::Constant).then(|| with(plan, |settings| settings.latency = constant))
}

fn no_latency(plan: &Plan) -> Option<Plan> {
    let none = Latency { mean: Duration::ZERO, spread: Distribution::Constant };
    (plan.settings.latency != none).then(|| with(plan, |settings| settings.latency = none))
}

/// Ends with the last operation or fault.
fn shorter(plan: &Plan) -> Option<Plan> {
    let operations = plan.operations.iter().flatten().map(|operation| operation.at);
    let faults = plan.settings.planned_faults.iter();
    let faults = faults.map(|fault| fault.lasts.map_or(fault.at, |lasts| fault.at + lasts));
    let last = operations.chain(faults).max().unwrap_or(Duration::ZERO) + Duration::from_millis(1);
    (last < plan.settings.time_limit).then(|| with(plan, |settings| settings.time_limit = last))
}

/// The longest fault half as long.
fn briefer_faults(plan: &Plan) -> Option<Plan> {
    const BRIEF: Duration = Duration::from_millis(10);
    let faults = plan.settings.planned_faults.iter().enumerate();
    let (place, lasts) =
        faults.filter_map(|(place, fault)| Some((place, fault.lasts?))).max_by_key(|(_, lasts)| *lasts)?;
    let half = Duration::from_micros(lasts.as_micros() / 2);
    (lasts > BRIEF).then(|| with(plan, |settings| settings.planned_faults[place].lasts = Some(half)))
}
