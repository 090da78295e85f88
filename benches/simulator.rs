//! How fast virtual time passes: operations a second of a whole cluster with its clients, network and checkers' journal.
//!
//! `cargo bench --bench simulator`. There is nothing to compare it with but real time: a world of ten seconds.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use messenger::Duration;
use messenger::workbench::exercise::Exercise;
use messenger::workbench::network::{Distribution, Latency};
use messenger::workbench::simulation;
use messenger::workbench::verdict::Results;
use messenger::workbench::world::{Settings, World};

fn run(exercise: Exercise) -> World {
    let mut world = World::new(Settings {
        workers: 10,
        rate: Some(100.0),
        latency: Latency { mean: Duration::from_millis(10), spread: Distribution::Exponential },
        seed: 7,
        ..Settings::new(exercise)
    });
    simulation::run_own_nodes(&mut world);
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
