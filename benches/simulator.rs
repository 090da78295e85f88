//! How fast virtual time passes: operations a second of a whole cluster with its clients, network and checkers' journal.
//!
//! `cargo bench --bench simulator`. There is nothing to compare it with but real time: a world of ten seconds.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use messenger::Duration;
use messenger::nodes::own;
use messenger::workbench::network::{Distribution, Latency};
use messenger::workbench::settings::Settings;
use messenger::workbench::verdict::Results;
use messenger::workbench::workload::{self, Workload};
use messenger::workbench::world::World;

fn run(workload: &'static dyn Workload, node: &str) -> World {
    let settings = Settings {
        workers: 10,
        rate: Some(100.0),
        latency: Latency { mean: Duration::from_millis(10), spread: Distribution::Exponential },
        seed: 7,
        ..Settings::default()
    };
    let mut world = World::new(workload, settings).expect("they make a test");
    own::simulate_named(&mut world, node);
    world
}

fn worlds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ten seconds of five nodes");
    group.sample_size(20);
    let by_name = |name| workload::by_name(name).expect("it is one of ours");
    let others = own::OTHERS.map(|other| (by_name(other.workload), other.name));
    for (workload, node) in
        workload::ALL.map(|workload| (workload, workload.name())).into_iter().chain(others)
    {
        let world = run(workload, node);
        group.throughput(Throughput::Elements(world.history().len() as u64));
        group.bench_function(node, |bencher| bencher.iter(|| run(black_box(workload), node)));
    }
    group.finish();

    let mut group = criterion.benchmark_group("judge what they did");
    for workload in ["broadcast", "lin-kv"].map(by_name) {
        let world = run(workload, workload.name());
        group.throughput(Throughput::Elements(world.history().len() as u64));
        group.bench_function(workload.name(), |bencher| bencher.iter(|| Results::of(black_box(&world))));
    }
    group.finish();
}

criterion_group!(benches, worlds);
criterion_main!(benches);
