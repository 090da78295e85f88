//! How fast virtual time passes: operations a second of a whole cluster with its clients, network and checkers' journal.
//!
//! `cargo bench --bench simulator`. There is nothing to compare it with but real time: a world of ten seconds.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use messenger::Duration;
use messenger::node::Config;
use messenger::workbench::checker::stats::Availability;
use messenger::workbench::exercise::Exercise;
use messenger::workbench::journal::Logging;
use messenger::workbench::network::{Latency, Spread};
use messenger::workbench::simulation;
use messenger::workbench::verdict::Results;
use messenger::workbench::world::{Settings, Topology, World};

fn run(exercise: Exercise) -> World {
    let mut world = World::new(Settings {
        exercise,
        nodes: 5,
        workers: 10,
        rate: Some(100.0),
        time_limit: Duration::from_secs(10),
        latency: Latency { mean: Duration::from_millis(10), spread: Spread::Exponential },
        faults: Vec::new(),
        fault_interval: Duration::from_secs(10),
        topology: Topology::Grid,
        availability: Availability::None,
        seed: 7,
        journal_size: 100_000,
        logging: Logging::default(),
    });
    simulation::run(&mut world, |_, seed| {
        simulation::own_node(exercise, Config { seed, ..Config::default() })
    });
    world
}

fn worlds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ten seconds of five nodes");
    group.sample_size(20);
    for exercise in Exercise::ALL {
        let world = run(exercise);
        group.throughput(Throughput::Elements(world.history().len() as u64));
        group.bench_function(exercise.name(), |bencher| bencher.iter(|| run(black_box(exercise))));
    }
    group.finish();

    let mut group = criterion.benchmark_group("judge what they did");
    for exercise in [Exercise::Broadcast, Exercise::LinKv] {
        let world = run(exercise);
        group.throughput(Throughput::Elements(world.history().len() as u64));
        group.bench_function(exercise.name(), |bencher| bencher.iter(|| Results::of(black_box(&world))));
    }
    group.finish();
}

criterion_group!(benches, worlds);
criterion_main!(benches);
