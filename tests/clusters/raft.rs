//! The Raft node in virtual time: right through all that may go wrong at once, and each way to get it wrong is found.
//!
//! `SEEDS=0..10000 cargo test --release --test clusters raft::is_linearizable -- --nocapture` runs as many as one likes.

use messenger::Duration;
use messenger::node::{Config, Node};
use messenger::nodes::raft::{Bug, Raft};
use messenger::workbench::checker::Verdict;
use messenger::workbench::fault::Fault;
use messenger::workbench::network::{Distribution, Latency};
use messenger::workbench::settings::Settings;
use messenger::workbench::simulation;
use messenger::workbench::verdict::Results;
use messenger::workbench::workload::lin_kv::LinKv;
use messenger::workbench::world::World;

const ALL: [Fault; 5] = [Fault::Partition, Fault::Kill, Fault::Pause, Fault::Loss, Fault::Duplicate];

/// Three or five nodes, all faults together, latencies of all kinds.
pub fn storm(seed: u64) -> Settings {
    let mut rng = fastrand::Rng::with_seed(seed);
    let nodes = [3, 3, 5][rng.usize(0..3)];
    Settings {
        nodes,
        workers: nodes * rng.usize(1..4),
        rate: Some(100.0),
        time_limit: Duration::from_secs(20),
        latency: Latency {
            mean: Duration::from_millis(rng.u64(0..20)),
            spread: [Distribution::Constant, Distribution::Uniform, Distribution::Exponential]
                [rng.usize(0..3)],
        },
        faults: ALL.to_vec(),
        fault_interval: Duration::from_millis(rng.u64(500..4_000)),
        seed,
        journal_size: 0,
        ..Settings::default()
    }
}

/// Elections all the time, of nodes that were killed.
pub fn deaths(seed: u64) -> Settings {
    let mut rng = fastrand::Rng::with_seed(seed);
    Settings {
        nodes: 3,
        workers: 9,
        latency: Latency { mean: Duration::from_millis(rng.u64(0..20)), spread: Distribution::Exponential },
        faults: vec![Fault::Kill, Fault::Partition, Fault::Loss],
        fault_interval: Duration::from_millis(rng.u64(200..1_000)),
        ..storm(seed)
    }
}

/// Again and again two nodes hear nothing of each other and need the vote of the third, which starts again and again.
pub fn reboots(seed: u64) -> Settings {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut planned_faults = Vec::new();
    for burst in (1_000..19_000).step_by(1_500) {
        let voter = rng.usize(0..3);
        let (one, other) = ((voter + 1) % 3, (voter + 2) % 3);
        planned_faults.push(format!("partition n{one}|n{other} at {burst}ms for 800ms").parse().unwrap());
        let mut at = burst;
        while at < burst + 800 {
            let dead = rng.u64(1..8);
            planned_faults.push(format!("kill n{voter} at {at}ms for {dead}ms").parse().unwrap());
            at += dead + rng.u64(40..160);
        }
    }
    Settings {
        latency: Latency { mean: Duration::from_millis(rng.u64(5..30)), spread: Distribution::Exponential },
        faults: Vec::new(),
        planned_faults,
        ..deaths(seed)
    }
}

/// A test of three or five nodes, which may have a mistake.
fn run(settings: Settings, bug: Option<Bug>, loses_acknowledged_writes: bool) -> Results {
    let mut world = World::new(&LinKv, settings).unwrap();
    simulate(&mut world, bug, loses_acknowledged_writes);
    Results::of(&world)
}

pub fn simulate(world: &mut World, bug: Option<Bug>, loses_acknowledged_writes: bool) {
    let answer_within = world.answer_within();
    simulation::run(world, |_, seed| {
        let raft = Raft::new(answer_within);
        let raft = if let Some(bug) = bug { raft.with_bug(bug) } else { raft };
        let config = Config { seed, answer_within, loses_acknowledged_writes, ..Config::default() };
        Box::new(Node::new(raft, config))
    });
}

/// Whether every key's history is linearizable, and every node did what a node may.
fn is_right(results: &Results) -> bool {
    results.finding.verdict() == Verdict::Valid && results.failure.is_none()
}

#[test]
fn is_linearizable_under_partition_kill_pause_loss_and_duplication() {
    let seeds = std::env::var("SEEDS").unwrap_or_else(|_| "0..200".to_owned());
    let (first, last) = seeds.split_once("..").expect("SEEDS is two numbers with .. between");
    let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
    let (mut asked, mut answered) = (0, 0);
    for seed in first..last {
        let results = run(storm(seed), None, false);
        assert!(is_right(&results), "seed {seed}: {:#?}", results.explain());
        // Nobody was silent. That some kind of operation never succeeds happens where there is hardly ever a majority.
        assert_eq!(results.silent, [], "seed {seed}: {:#?}", results.explain());
        let all = &results.stats.all;
        asked += all.ok + all.fail + all.info;
        answered += all.ok;
    }
    println!("{answered} of {asked} operations succeeded");
    // In half of the time there is no majority that lives and hears each other.
    assert!(answered * 2 > asked, "{answered} of {asked}");
}

/// Where mistakes are looked for, a node without one is right.
#[test]
fn is_linearizable_through_deaths_and_reboots() {
    for seed in 0..40 {
        for settings in [deaths(seed), reboots(seed)] {
            let results = run(settings, None, false);
            assert!(is_right(&results), "seed {seed}: {:#?}", results.explain());
        }
    }
}

/// Also to what waited for a leader before it was handed on.
#[test]
fn nobody_answers_a_client_that_has_given_up() {
    for seed in 0..31 {
        let settings = Settings {
            nodes: 5,
            workers: 10,
            rate: Some(50.0),
            time_limit: Duration::from_secs(5),
            latency: Latency { mean: Duration::from_millis(100), spread: Distribution::Constant },
            seed,
            ..Settings::default()
        };
        let results = run(settings, None, false);
        assert!(is_right(&results), "seed {seed}: {:#?}", results.explain());
        assert_eq!(results.late_answers.count, 0, "seed {seed}: {:#?}", results.explain());
    }
}

/// How many seeds it took to find it.
fn finds(settings: fn(u64) -> Settings, bug: Option<Bug>, loses_acknowledged_writes: bool) {
    let found = (0..1000).find(|&seed| !is_right(&run(settings(seed), bug, loses_acknowledged_writes)));
    let name = bug.map_or_else(|| "AnswersBeforePersisting".to_owned(), |bug| format!("{bug:?}"));
    let seeds = found.unwrap_or_else(|| panic!("{name} was not found with 1000 seeds")) + 1;
    println!("{name} was found with {seeds} seeds");
}

#[test]
fn a_node_that_votes_twice_in_a_term_is_found() {
    finds(reboots, Some(Bug::VotesTwice), false);
}

#[test]
fn a_node_that_forgets_its_vote_is_found() {
    finds(reboots, Some(Bug::ForgetsItsVote), false);
}

#[test]
fn a_leader_that_commits_entries_of_old_terms_is_found() {
    finds(storm, Some(Bug::CommitsOldTerms), false);
}

#[test]
fn a_node_that_lets_shorter_logs_win_is_found() {
    finds(storm, Some(Bug::LetsShorterLogsWin), false);
}

#[test]
fn a_deposed_leader_that_reads_is_found() {
    finds(storm, Some(Bug::ReadsWhenDeposed), false);
}

#[test]
fn a_follower_that_truncates_what_agrees_is_found() {
    finds(storm, Some(Bug::TruncatesWhatAgrees), false);
}

#[test]
fn a_leader_that_counts_a_follower_twice_is_found() {
    finds(storm, Some(Bug::CountsAFollowerTwice), false);
}

/// Who answers first and persists later loses what it acknowledged, in a crash.
#[test]
fn a_node_that_answers_before_persisting_is_found() {
    finds(deaths, None, true);
}
