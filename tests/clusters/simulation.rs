//! Whole clusters of this crate's nodes in virtual time, through everything that may go wrong with them.

use messenger::node::Config;
use messenger::nodes::own;
use messenger::workbench::checker::Verdict;
use messenger::workbench::checker::models::Model;
use messenger::workbench::fault::Fault;
use messenger::workbench::journal::Address;
use messenger::workbench::network::{Distribution, Latency};
use messenger::workbench::report::Report;
use messenger::workbench::settings::Settings;
use messenger::workbench::simulation;
use messenger::workbench::verdict::Results;
use messenger::workbench::workload::broadcast::Broadcast;
use messenger::workbench::workload::counter::GCounter;
use messenger::workbench::workload::echo::Echo;
use messenger::workbench::workload::{self, Workload};
use messenger::workbench::world::World;
use messenger::{Duration, Instant};

/// Settings that differ from seed to seed: one to seven nodes, latencies of all kinds, faults.
fn settings(seed: u64, faults: &[Fault]) -> Settings {
    let mut rng = fastrand::Rng::with_seed(seed);
    let nodes = rng.usize(1..8);
    Settings {
        nodes,
        workers: nodes * rng.usize(1..4),
        rate: Some(50.0),
        time_limit: Duration::from_secs(20),
        latency: Latency {
            mean: Duration::from_millis(rng.u64(0..60)),
            spread: [Distribution::Constant, Distribution::Uniform, Distribution::Exponential]
                [rng.usize(0..3)],
        },
        faults: faults.to_vec(),
        fault_interval: Duration::from_millis(rng.u64(500..5_000)),
        seed,
        ..Settings::default()
    }
}

fn run(workload: &'static dyn Workload, settings: Settings) -> World {
    let mut world = World::new(workload, settings).unwrap();
    assert!(own::simulate(&mut world));
    world
}

/// The workloads for which this crate has nodes.
fn with_own_nodes() -> impl Iterator<Item = &'static dyn Workload> {
    let is_own = |workload: &&dyn Workload| own::has_node(workload.name(), false);
    workload::ALL.into_iter().filter(is_own)
}

fn all_valid(workload: &'static dyn Workload, seeds: std::ops::Range<u64>, faults: &[Fault]) {
    seeds.for_each(|seed| assert_valid(workload, settings(seed, faults)));
}

fn assert_valid(workload: &'static dyn Workload, mut settings: Settings) {
    // What a node can promise that asks nobody.
    if workload.name() == "txn-rw-register" {
        settings.transactions.models = vec![Model::ReadAtomic];
    }
    let seed = settings.seed;
    let results = Results::of(&run(workload, settings));
    let explanation = results.explain().join("\n");
    assert_eq!(results.verdict, Verdict::Valid, "{workload:?} with seed {seed}:\n{explanation}");
}

/// Everything that may happen to nodes which live.
const STORM: [Fault; 4] = [Fault::Partition, Fault::Loss, Fault::Duplicate, Fault::Pause];

#[test]
fn every_workload_is_right_in_calm_weather() {
    for workload in with_own_nodes() {
        all_valid(workload, 0..100, &[]);
    }
}

#[test]
fn every_workload_is_right_when_the_network_falls_apart() {
    for workload in with_own_nodes() {
        all_valid(workload, 100..200, &[Fault::Partition]);
    }
}

#[test]
fn every_workload_is_right_in_a_storm() {
    for workload in with_own_nodes() {
        all_valid(workload, 200..300, &STORM);
    }
}

/// However long messages take, what nodes say in time is there before they are asked for the last time, and whoever has to
/// ask others still answers in time.
#[test]
fn every_workload_is_right_when_messages_take_seconds() {
    let over_seq_kv = [(&GCounter as &dyn Workload, "g-counter-over-seq-kv")];
    let named = with_own_nodes().map(|workload| (workload, workload.name())).chain(over_seq_kv);
    for (workload, node) in named {
        for (seed, mean) in (800..).zip([500, 1_000, 3_000, 6_000, 20_000]) {
            let mut settings = Settings {
                nodes: 5,
                workers: 5,
                rate: Some(5.0),
                time_limit: Duration::from_secs(60),
                latency: Latency { mean: Duration::from_millis(mean), spread: Distribution::Uniform },
                seed,
                ..Settings::default()
            };
            settings.transactions.models = vec![Model::ReadAtomic];
            let mut world = World::new(workload, settings).unwrap();
            assert!(own::simulate_named(&mut world, node));
            let results = Results::of(&world);
            let explanation = results.explain().join("\n");
            // Of so few operations it happens that none of a kind succeeds.
            let is_right = results.silent.is_empty() && results.unread.is_empty();
            assert!(
                is_right && results.finding.verdict() == Verdict::Valid,
                "{node} with {mean} ms: {explanation}"
            );
        }
    }
}

/// Nodes for transactions, through everything.
#[test]
fn transactions_are_as_isolated_as_promised() {
    for name in ["txn-list-append", "txn-rw-register"] {
        let workload = workload::by_name(name).expect("it is one of the list");
        all_valid(workload, 400..500, &STORM);
        all_valid(workload, 500..550, &[]);
        all_valid(workload, 550..650, &[Fault::Partition]);
    }
}

/// With fewer nodes it happens that somebody is always dead, and some kind of operation never succeeds.
fn deadly(seed: u64, faults: &[Fault]) -> Settings {
    let settings = settings(seed, faults);
    Settings { nodes: settings.nodes.max(3), workers: settings.workers.max(6), ..settings }
}

/// What a dead node had acknowledged is on its disk, in a service, or known to others.
#[test]
fn every_workload_survives_deaths() {
    for workload in with_own_nodes() {
        for seed in 300..400 {
            assert_valid(workload, deadly(seed, &[Fault::Kill, Fault::Partition]));
        }
    }
}

#[test]
fn every_workload_survives_everything_at_once() {
    for workload in with_own_nodes() {
        for seed in 700..800 {
            assert_valid(workload, deadly(seed, &Fault::ALL));
        }
    }
}

/// Exercise 4 of Gossip Glomers: everything is in `seq-kv`, which shows what was.
#[test]
fn a_counter_over_seq_kv_survives_everything() {
    for seed in 0..100 {
        for faults in [&[][..], &[Fault::Partition], &Fault::ALL] {
            let mut world = World::new(&GCounter, deadly(seed, faults)).unwrap();
            assert!(own::simulate_named(&mut world, "g-counter-over-seq-kv"));
            let results = Results::of(&world);
            assert_eq!(results.verdict, Verdict::Valid, "seed {seed}: {:#?}", results.explain());
            let others = world.journal().entries().iter().filter(|entry| {
                let is_node = |address| matches!(address, Address::Node(_));
                is_node(entry.src) && is_node(entry.dest)
            });
            assert_eq!(others.count(), 0, "nodes talk to the service alone");
        }
    }
}

/// A node that answers before it persists loses what it acknowledged, in a crash, and each checker finds that.
#[test]
fn nodes_that_answer_before_persisting_are_found() {
    for name in ["broadcast", "g-set", "g-counter", "pn-counter", "kafka"] {
        let workload = workload::by_name(name).expect("it is one of the list");
        let is_found = |seed: &u64| {
            let mut settings = deadly(*seed, &[Fault::Kill]);
            (settings.rate, settings.fault_interval) = (Some(200.0), Duration::from_millis(300));
            let mut world = World::new(workload, settings).unwrap();
            let answer_within = world.answer_within();
            simulation::run(&mut world, |_, seed| {
                let config =
                    Config { seed, answer_within, loses_acknowledged_writes: true, ..Config::default() };
                own::node(name, config).expect("there is one")
            });
            Results::of(&world).finding.verdict() == Verdict::Invalid
        };
        let found = (0..100).find(is_found);
        println!("{name}: found with seed {found:?}");
        assert!(found.is_some(), "{name}");
    }
}

/// The exercise of Gossip Glomers where every message counts: 25 nodes, 100 ms, 100 operations a second.
#[test]
fn broadcast_takes_few_messages_and_little_time() {
    let settings = Settings {
        nodes: 25,
        workers: 25,
        rate: Some(100.0),
        latency: Latency { mean: Duration::from_millis(100), spread: Distribution::Constant },
        ..settings(1, &[])
    };
    let results = Results::of(&run(&Broadcast, settings));
    let details = results.finding.json();
    let millis = |quantile: &str| details["stable_latencies_ms"][quantile].as_f64().unwrap();
    assert_eq!(results.verdict, Verdict::Valid);
    assert!(results.messages_per_operation < 1.99, "{}", results.messages_per_operation);
    assert!(millis("0.5") < 339.0, "{details}");
    assert!(millis("1") < 500.0, "{details}");
}

#[test]
fn the_same_seed_makes_the_same_test_to_the_byte() {
    let files = |name: &str, seed| {
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let world = run(&Broadcast, settings(seed, &[Fault::Kill, Fault::Partition, Fault::Loss]));
        let results = Results::of(&world);
        Report::new(&world, &results, "this crate's own node").write(&folder).unwrap();
        ["results.json", "history.jsonl", "journal.jsonl"]
            .map(|file| std::fs::read(folder.join(file)).unwrap())
    };
    assert!(files("one", 5) == files("other", 5));
    assert!(files("one", 5) != files("other", 6));
}

#[test]
fn a_partition_drops_what_it_should_and_nothing_else() {
    let world = run(&Broadcast, settings(7, &[Fault::Partition]));
    let faults = world.faults();
    assert!(!faults.is_empty() && faults.iter().all(|window| window.to.is_some()), "{faults:?}");
    let during = |at: Instant| faults.iter().any(|window| window.from <= at && Some(at) <= window.to);
    for entry in world.journal().entries().iter().filter(|entry| entry.is_lost()) {
        // It is dropped when it arrives, which is some latencies later at most.
        let at = entry.sent;
        assert!((0..400).any(|millis| during(at + Duration::from_millis(millis))), "{entry:?}");
    }
    assert!(world.journal().entries().iter().any(messenger::workbench::journal::Entry::is_lost));
}

#[test]
fn what_was_wrong_is_healed_when_the_time_is_over_and_stays_so() {
    let settings = Settings {
        nodes: 3,
        workers: 3,
        rate: Some(10.0),
        time_limit: Duration::from_secs(5),
        faults: vec![Fault::Pause, Fault::Partition, Fault::Loss],
        fault_interval: Duration::from_millis(700),
        seed: 1,
        journal_size: 0,
        ..Settings::default()
    };
    let world = run(&Echo, settings);
    let end = world.started() + Duration::from_secs(5);
    assert!(world.faults().len() > 6);
    assert!(world.faults().iter().all(|window| window.to.is_some_and(|to| window.from < to && to <= end)));
}
