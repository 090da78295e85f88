//! Seeds find the bugs that were planted, what fails is cut down to a few steps, and those fail again, to the byte.

use std::cell::Cell;

use messenger::node::{Config, Node};
use messenger::nodes::own;
use messenger::workbench::checker::Verdict;
use messenger::workbench::explore::{Drawn, FoundFailure, Swarm, difference, run_plan, signature, try_seed};
use messenger::workbench::history::write_jsonl;
use messenger::workbench::plan::Plan;
use messenger::workbench::settings::Settings;
use messenger::workbench::shrink::shrink;
use messenger::workbench::simulation;
use messenger::workbench::workload::Workload;
use messenger::workbench::workload::broadcast::Broadcast;
use messenger::workbench::workload::echo::Echo;
use messenger::workbench::workload::lin_kv::LinKv;
use messenger::workbench::world::World;
use messenger::{Context, Duration, Handler, Request, RpcError};

fn swarm(workload: &'static dyn Workload) -> Swarm {
    let fixed = Settings { time_limit: Duration::from_secs(5), ..Settings::default() };
    Swarm { workload, fixed, drawn: Drawn::ALL }
}

/// The first failure of at most so many seeds.
fn find(swarm: &Swarm, seeds: u64, run: fn(&mut World)) -> FoundFailure {
    let found = (0..seeds).find_map(|seed| try_seed(swarm, seed, run).failure);
    found.unwrap_or_else(|| panic!("none of {seeds} seeds failed"))
}

fn planted(world: &mut World) {
    assert!(own::simulate_planted(world));
}

/// History and journal, as their files have them.
fn bytes(plan: &Plan, run: fn(&mut World)) -> Vec<u8> {
    let (world, _) = run_plan(plan.clone(), run);
    let mut bytes = Vec::new();
    write_jsonl(world.history(), &mut bytes).unwrap();
    world.journal().entries().iter().for_each(|entry| entry.write(&mut bytes));
    bytes
}

#[test]
fn a_planted_bug_is_found_and_cut_down_and_fails_again() {
    for workload in [&Broadcast as &'static dyn Workload, &LinKv] {
        let FoundFailure { plan, signature: wanted, .. } = find(&swarm(workload), 50, planted);
        let fails = |plan: &Plan| signature(&run_plan(plan.clone(), planted).1).as_ref() == Some(&wanted);
        assert!(fails(&plan), "{}: the plan does not fail as the test did", workload.name());
        let shrunk = shrink(plan, 100, fails, || true);
        let operations = shrunk.plan.operations.as_ref().unwrap();
        assert!(shrunk.is_minimal);
        assert!(
            operations.len() <= 12 && shrunk.plan.settings.planned_faults.len() <= 3,
            "{:?}",
            shrunk.plan
        );
        assert!(fails(&shrunk.plan));
        // As a file it is the same test.
        let mut file = Vec::new();
        shrunk.plan.write(&mut file).unwrap();
        let read = Plan::from_json(&String::from_utf8(file).unwrap()).unwrap();
        assert_eq!(bytes(&shrunk.plan, planted), bytes(&read, planted));
    }
}

#[test]
fn what_cannot_be_left_out_stays_and_time_ends_the_search() {
    let plan = find(&swarm(&Broadcast), 50, planted).plan;
    let before = plan.operations.as_ref().unwrap().len();
    assert!(before > 1);
    let nothing = shrink(plan.clone(), 1, |_| false, || true);
    assert_eq!((nothing.plan.operations.as_ref().unwrap().len(), nothing.is_minimal), (before, true));
    let left = Cell::new(3);
    let in_time = || left.replace(left.get() - 1) > 0;
    let ended = shrink(plan, 1, |_| true, in_time);
    assert_eq!((ended.tries, ended.is_minimal), (3, false));
}

#[test]
fn right_nodes_are_never_accused_whatever_a_seed_draws() {
    for workload in [&Broadcast as &'static dyn Workload, &LinKv, &Echo] {
        for seed in 0..40 {
            let tried = try_seed(&swarm(workload), seed, |world| {
                assert!(own::simulate(world));
            });
            assert_ne!(tried.verdict, Verdict::Invalid, "{} with seed {seed}: {tried:?}", workload.name());
        }
    }
}

#[test]
fn a_setting_that_is_fixed_leaves_what_is_drawn_of_the_others() {
    let all = swarm(&Echo);
    let mut fixed = all.clone();
    (fixed.fixed.nodes, fixed.drawn.nodes, fixed.drawn.workers) = (2, false, false);
    for seed in 0..100 {
        let (all, fixed) = (all.settings(seed), fixed.settings(seed));
        assert_eq!((fixed.nodes, fixed.workers), (2, Settings::default().workers));
        assert_eq!((all.rate, all.latency, all.faults), (fixed.rate, fixed.latency, fixed.faults));
        assert!((1..=5).contains(&all.nodes) && (all.nodes..=3 * all.nodes).contains(&all.workers));
    }
}

/// Answers with what no seed decides.
#[derive(Default)]
struct Dice;

impl Handler for Dice {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        cx.reply(request, "echo_ok").field("echo", fastrand::u32(..).to_string()).send()
    }
}

#[test]
fn nodes_that_do_not_do_the_same_twice_are_told() {
    let dice = |world: &mut World| {
        simulation::run(world, |_, seed| Box::new(Node::new(Dice, Config { seed, ..Config::default() })));
    };
    let text = difference(&swarm(&Echo), 1, dice).unwrap();
    assert!(text.contains("is not the same") && text.contains("echo_ok"), "{text}");
    let same = difference(&swarm(&Echo), 1, |world| {
        assert!(own::simulate(world));
    });
    assert_eq!(same, None);
}

/// Asserts what no seed decides, and says the same anyhow.
#[derive(Default)]
struct Unsure;

impl Handler for Unsure {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        // By far the most often it is not.
        messenger::sometimes!(fastrand::u8(..) == 0, "chance is kind");
        cx.reply(request, "echo_ok").field("echo", request.required("echo")?).send()
    }
}

#[test]
fn assertions_that_do_not_do_the_same_twice_are_told() {
    let unsure = |world: &mut World| {
        simulation::run(world, |_, seed| Box::new(Node::new(Unsure, Config { seed, ..Config::default() })));
    };
    let text = (0..200).find_map(|seed| difference(&swarm(&Echo), seed, unsure)).unwrap();
    assert!(text.contains("the messages are the same, but"), "{text}");
}
