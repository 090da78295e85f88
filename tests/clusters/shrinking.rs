//! What seeds find of each node that is broken on purpose, and how few steps are left of it. `cargo test --test clusters
//! shrinking -- --nocapture` prints the table.

use std::time::Instant;

use messenger::node::{Config, Node};
use messenger::nodes::raft::Bug;
use messenger::workbench::explore::{Drawn, FoundFailure, Swarm, run_plan, signature, try_settings};
use messenger::workbench::history::write_jsonl;
use messenger::workbench::plan::Plan;
use messenger::workbench::settings::Settings;
use messenger::workbench::shrink::shrink;
use messenger::workbench::simulation;
use messenger::workbench::workload::Workload;
use messenger::workbench::workload::broadcast::Broadcast;
use messenger::workbench::workload::counter::{GCounter, PnCounter};
use messenger::workbench::workload::echo::Echo;
use messenger::workbench::workload::lin_kv::LinKv;
use messenger::workbench::workload::unique_ids::UniqueIds;
use messenger::workbench::world::World;
use messenger::{Duration, Handler};

use super::broken_nodes::{Believer, Chatty, Counting, Forgetful, Gossip, Hermit, Mumbler, Sleeper};
use super::raft;

/// Finds, shrinks and repeats, and prints a line of the table; how many faults and operations are left. What ends the
/// shrinking is a number of tries, and not a time: the same comes of it on a slow machine.
fn explore(
    name: &str,
    workload: &'static dyn Workload,
    settings: impl Fn(u64) -> Settings,
    run: impl Fn(&mut World),
    tries_max: usize,
) -> (usize, usize) {
    let began = Instant::now();
    let settings = |seed| Settings { journal_size: 0, ..settings(seed) };
    let find = |seed| try_settings(workload, settings(seed), &run).failure.map(|failure| (seed + 1, failure));
    let (seeds, found) =
        (0..3_000).find_map(find).unwrap_or_else(|| panic!("{name}: 3000 seeds find nothing"));
    let FoundFailure { plan, signature: wanted, .. } = found;
    let found_after = began.elapsed();
    let before = size(&plan);
    let fails = |plan: &Plan| signature(&run_plan(plan.clone(), &run).1).as_ref() == Some(&wanted);
    let began = Instant::now();
    let mut left = tries_max;
    let shrunk = shrink(plan, 100, fails, || {
        left = left.saturating_sub(1);
        left > 0
    });
    let took = began.elapsed();
    let mut plan = shrunk.plan;
    plan.settings.journal_size = Settings::default().journal_size;
    assert_eq!(bytes(&plan, &run), bytes(&plan, &run), "{name}: the same plan is not the same test");
    assert!(fails(&plan), "{name}: what is left does not fail");
    let after = size(&plan);
    let line = format!(
        "{name:22} {seeds:5} {:6.2} s  {:4} {:4}  {:4} {:4}  {:5} {:6.2} s{}",
        found_after.as_secs_f64(),
        before.0,
        before.1,
        after.0,
        after.1,
        shrunk.tries,
        took.as_secs_f64(),
        if shrunk.is_minimal { "" } else { ", as far as that goes" }
    );
    println!("{line}");
    after
}

/// Faults and operations.
fn size(plan: &Plan) -> (usize, usize) {
    (plan.settings.planned_faults.len(), plan.operations.as_ref().map_or(0, Vec::len))
}

/// History and journal, as their files have them.
fn bytes(plan: &Plan, run: impl Fn(&mut World)) -> Vec<u8> {
    let (world, _) = run_plan(plan.clone(), run);
    let mut bytes = Vec::new();
    write_jsonl(world.history(), &mut bytes).unwrap();
    world.journal().entries().iter().for_each(|entry| entry.write(&mut bytes));
    bytes
}

fn swarm(workload: &'static dyn Workload) -> impl Fn(u64) -> Settings {
    // Some fail after ten seconds only.
    let fixed = Settings { time_limit: Duration::from_secs(15), ..Settings::default() };
    let swarm = Swarm { workload, fixed, drawn: Drawn::ALL };
    move |seed| swarm.settings(seed)
}

fn broken<H: Handler>(name: &str, workload: &'static dyn Workload, node: impl Fn(usize) -> H) {
    let run = |world: &mut World| {
        simulation::run(world, |place, seed| {
            Box::new(Node::new(node(place), Config { seed, ..Config::default() }))
        });
    };
    let (faults, operations) = explore(name, workload, swarm(workload), run, 3_000);
    assert!(faults <= 3 && operations <= 12, "{name} is not cut down far enough");
}

/// Those of `broken_nodes`, which do it sooner: no dozen operations makes a hundred echoes.
#[test]
fn broken_nodes_are_cut_down_to_a_few_steps() {
    println!(
        "{:22} {:>5} {:>8}  {:>9}  {:>9}  {:>5} {:>8}",
        "node", "seeds", "found", "before", "after", "tries", "cut"
    );
    broken("a wrong echo", &Echo, |_| Mumbler { echoes: 95 });
    broken("falls silent", &Echo, |place| Sleeper { place });
    broken("an id twice", &UniqueIds, |place| Counting { next: 4 * place as u64 });
    broken("a lost broadcast", &Broadcast, |_| Gossip { keeps: |value| value == 7, ..Gossip::WHOLE });
    broken("shows one twice", &Broadcast, |_| Gossip { shows_twice_at: 3, ..Gossip::WHOLE });
    broken("tells nobody", &Broadcast, |_| Hermit::default());
    broken("a forgetful counter", &GCounter, |_| Forgetful::default());
    broken("the same, both ways", &PnCounter, |_| Forgetful::default());
    broken("a stale read", &LinKv, |_| Believer::default());
    broken("a field too many", &Echo, |_| Chatty);
}

fn raft(name: &str, settings: fn(u64) -> Settings, bug: Option<Bug>, loses_acknowledged_writes: bool) {
    // Short tests: many of them are tried sooner than a long one is cut down. But to forget a vote is seldom wrong.
    let limit = Duration::from_secs(if bug == Some(Bug::ForgetsItsVote) { 20 } else { 5 });
    let short = |seed| {
        let mut settings = settings(seed);
        settings.time_limit = limit;
        settings.planned_faults.retain(|fault| fault.at < limit);
        settings
    };
    let run = |world: &mut World| raft::simulate(world, bug, loses_acknowledged_writes);
    // To leave nothing that can be left out would take minutes.
    explore(name, &LinKv, short, run, 300);
}

#[test]
fn planted_bugs_of_raft_are_cut_down_to_a_few_steps() {
    raft("votes twice", raft::reboots, Some(Bug::VotesTwice), false);
    raft("forgets its vote", raft::reboots, Some(Bug::ForgetsItsVote), false);
    raft("commits old terms", raft::storm, Some(Bug::CommitsOldTerms), false);
    raft("shorter logs win", raft::storm, Some(Bug::LetsShorterLogsWin), false);
    raft("reads when deposed", raft::storm, Some(Bug::ReadsWhenDeposed), false);
    raft("truncates agreement", raft::storm, Some(Bug::TruncatesWhatAgrees), false);
    raft("counts one twice", raft::storm, Some(Bug::CountsAFollowerTwice), false);
    raft("answers, then syncs", raft::deaths, None, true);
}
