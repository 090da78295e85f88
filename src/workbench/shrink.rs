//! A test that fails, cut down to the few steps that it takes.
//!
//! Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002) over the faults and
//! the operations; then fewer nodes, fewer clients, no latency, and a shorter test, each kept if the test still fails in
//! the same way; and all of it again, as long as something is gained. It works because a message's fate depends on its
//! link and its number there alone: a step that is left out does not change what chance does to the others. Nodes that
//! have dice of their own, as elections do, take another course all the same: then other seeds are tried.

use super::fault::{Action, Cut, Links};
use super::network::{Distribution, Latency, mix};
use super::plan::{Plan, PlannedOperation};
use super::settings::Settings;
use crate::time::Duration;

/// What is left of a plan.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Shrunk {
    /// It fails in the same way.
    pub plan: Plan,
    /// How many tests it took.
    pub tries: usize,
    /// Nothing more can be left out. Otherwise there was no time to see.
    pub is_minimal: bool,
}

/// Cuts a plan with operations down. `still_fails` runs a plan and says whether it fails in the same way; it is asked for
/// as long as `may_go_on`. A plan that does not fail with its own seed may be tried with others, so many in all: what
/// nodes do by chance after a step is left out is not what they did before, and another seed may make up for it.
pub fn shrink(
    plan: Plan,
    seeds: u64,
    mut still_fails: impl FnMut(&Plan) -> bool,
    mut may_go_on: impl FnMut() -> bool,
) -> Shrunk {
    let (mut plan, mut tries, mut is_in_time) = (plan, 0, true);
    let mut level = 0;
    // What costs much, small pieces or many seeds, only where nothing else helps any more: the less is left, the less time
    // a try takes.
    let levels: Vec<Level> = LEVELS.into_iter().filter(|level| level.seeds <= seeds).collect();
    while let Some(&Level { parts, seeds }) = levels.get(level) {
        let before = size(&plan);
        pass(&mut plan, parts, &mut |plan| {
            if plan.settings.check().is_err() {
                return false;
            }
            let first = plan.settings.seed;
            for other in 0..seeds {
                is_in_time = is_in_time && may_go_on();
                if !is_in_time {
                    break;
                }
                plan.settings.seed = if other == 0 { first } else { mix(first ^ mix(other)) };
                tries += 1;
                if still_fails(plan) {
                    return true;
                }
            }
            plan.settings.seed = first;
            false
        });
        if !is_in_time {
            break;
        }
        level = if size(&plan) == before { level + 1 } else { 0 };
    }
    Shrunk { plan, tries, is_minimal: is_in_time }
}

/// How hard to try.
#[derive(Clone, Copy)]
struct Level {
    /// In how many pieces a list is left out, one after the other, at most.
    parts: usize,
    /// With how many seeds a plan may fail.
    seeds: u64,
}

const LEVELS: [Level; 6] = [
    Level { parts: 8, seeds: 1 },
    Level { parts: 8, seeds: 10 },
    Level { parts: usize::MAX, seeds: 1 },
    Level { parts: 32, seeds: 30 },
    Level { parts: usize::MAX, seeds: 10 },
    Level { parts: usize::MAX, seeds: 100 },
];

/// Tries once to leave out each thing. `keeps` says whether a plan still fails, and with which seed.
fn pass(plan: &mut Plan, parts: usize, keeps: &mut impl FnMut(&mut Plan) -> bool) {
    let longest =
        |plan: &Plan| plan.settings.planned_faults.len().max(plan.operations.as_ref().map_or(0, Vec::len));
    // Halves of both lists before quarters of either: a shorter test is tried sooner.
    let mut pieces = 1;
    while pieces <= parts && pieces < 2 * longest(plan) {
        shrink_list(plan, pieces, |plan| &mut plan.settings.planned_faults, keeps);
        shrink_list(plan, pieces, operations, keeps);
        simplify(plan, &[earlier, shorter], keeps);
        pieces *= 2;
    }
    for fault in 0..plan.settings.planned_faults.len() {
        let action = &plan.settings.planned_faults[fault].action;
        if cuts(action).is_some() {
            shrink_all(plan, |plan| cuts_mut(plan, fault), keeps);
        } else if !action.nodes().is_empty() {
            shrink_all(plan, |plan| nodes_mut(plan, fault), keeps);
        }
    }
    let all = [
        denser,
        fewer_nodes,
        one_worker_a_node,
        fewer_workers,
        constant_latency,
        no_latency,
        earlier,
        shorter,
        briefer_faults,
    ];
    simplify(plan, &all, keeps);
}

/// Makes a plan simpler in each of these ways as often as it goes.
fn simplify(plan: &mut Plan, ways: &[fn(&Plan) -> Option<Plan>], keeps: &mut impl FnMut(&mut Plan) -> bool) {
    for simpler in ways {
        while let Some(mut candidate) = simpler(plan)
            && keeps(&mut candidate)
        {
            *plan = candidate;
        }
    }
}

fn operations(plan: &mut Plan) -> &mut Vec<PlannedOperation> {
    plan.operations.get_or_insert_default()
}

/// What gets smaller: a plan of which all of this stays the same is as small as it gets.
fn size(plan: &Plan) -> [u64; 8] {
    let Settings { planned_faults, nodes, workers, latency, time_limit, .. } = &plan.settings;
    let operations = plan.operations.as_ref().map_or(0, Vec::len);
    let cuts = planned_faults.iter().map(|fault| cuts(&fault.action).map_or(0, <[_]>::len)).sum();
    let struck = planned_faults.iter().map(|fault| fault.action.nodes().len()).sum();
    let counts = [planned_faults.len(), operations, cuts, struck, *nodes, *workers].map(|count| count as u64);
    let [faults, operations, cuts, struck, nodes, workers] = counts;
    [faults, operations, cuts, struck, nodes, workers, latency.mean.as_micros(), time_limit.as_micros()]
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

/// The nodes of a fault that strikes some.
fn nodes_mut(plan: &mut Plan, fault: usize) -> &mut Vec<usize> {
    match &mut plan.settings.planned_faults[fault].action {
        Action::Kill(nodes) | Action::Pause(nodes) => nodes,
        _ => unreachable!("it was looked whether it strikes some"),
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

/// Everything in half the time, but for what would take no time that anybody notices.
fn denser(plan: &Plan) -> Option<Plan> {
    const SHORT: Duration = Duration::from_millis(100);
    let mut plan = plan.clone();
    let halve = |time: &mut Duration| *time = Duration::from_micros(time.as_micros() / 2);
    for fault in &mut plan.settings.planned_faults {
        halve(&mut fault.at);
        fault.lasts.iter_mut().for_each(halve);
    }
    plan.operations.iter_mut().flatten().for_each(|operation| halve(&mut operation.at));
    halve(&mut plan.settings.time_limit);
    (plan.settings.time_limit >= SHORT).then_some(plan)
}

/// Leaves out as many as it can of so many pieces of a list.
fn shrink_list<T: Clone>(
    plan: &mut Plan,
    pieces: usize,
    list: impl Fn(&mut Plan) -> &mut Vec<T>,
    keeps: &mut impl FnMut(&mut Plan) -> bool,
) {
    let length = list(plan).len();
    // There are no more pieces than items, and those were left out one by one already.
    if length == 0 || pieces >= 2 * length {
        return;
    }
    let piece = length.div_ceil(pieces);
    // From the end: what comes later depends on what came before.
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(piece);
        let mut candidate = plan.clone();
        list(&mut candidate).drain(start..end);
        if keeps(&mut candidate) {
            *plan = candidate;
        }
        end = start;
    }
}

/// Leaves out as much of a short list as it can.
fn shrink_all<T: Clone>(
    plan: &mut Plan,
    list: impl Fn(&mut Plan) -> &mut Vec<T>,
    keeps: &mut impl FnMut(&mut Plan) -> bool,
) {
    let mut pieces = 1;
    while pieces < 2 * list(plan).len() {
        shrink_list(plan, pieces, &list, keeps);
        pieces *= 2;
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
