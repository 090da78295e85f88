//! Tests as data: what happened can happen again, to the byte, and a plan by hand does what it says.

use messenger::nodes::own;
use messenger::workbench::fault::Fault;
use messenger::workbench::history::write_jsonl;
use messenger::workbench::network::{Distribution, Latency};
use messenger::workbench::plan::Plan;
use messenger::workbench::settings::Settings;
use messenger::workbench::workload::{self, Workload};
use messenger::workbench::world::World;
use messenger::{Duration, Instant};

fn run(mut world: World) -> World {
    assert!(own::simulate(&mut world));
    world
}

/// Everything that happened in a test: its plan, its history and its messages.
fn recording(world: &World) -> [Vec<u8>; 3] {
    let mut recording = [const { Vec::new() }; 3];
    Plan::of(world).write(&mut recording[0]).unwrap();
    write_jsonl(world.history(), &mut recording[1]).unwrap();
    for entry in world.journal().entries() {
        entry.write(&mut recording[2]);
    }
    recording
}

fn assert_repeats(workload: &'static dyn Workload, settings: Settings) {
    let seed = settings.seed;
    let world = run(World::new(workload, settings).unwrap());
    let first = recording(&world);
    let plan = Plan::from_json(std::str::from_utf8(&first[0]).unwrap()).unwrap();
    assert_eq!(plan.operations.as_ref().unwrap().len() + others(&world), world.history().len());
    let second = recording(&run(World::of_plan(plan).unwrap()));
    for (first, second) in first.iter().zip(&second) {
        let lines = |text: &[u8]| {
            String::from_utf8(text.to_owned()).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
        };
        for (first, second) in lines(first).iter().zip(lines(second)) {
            assert_eq!(*first, second, "{workload:?} with seed {seed}");
        }
        assert!(first == second, "{workload:?} with seed {seed}: one is longer");
    }
}

/// Operations of the final phase, and those that asked a node whether it still answers.
fn others(world: &World) -> usize {
    world.history().iter().filter(|invocation| invocation.is_final || invocation.is_probe).count()
}

#[test]
fn every_test_can_be_repeated_to_the_byte_from_its_plan() {
    for workload in workload::ALL {
        if own::node(workload.name(), messenger::node::Config::default()).is_none() {
            continue;
        }
        for seed in 0..10 {
            let spreads = [Distribution::Constant, Distribution::Uniform, Distribution::Exponential];
            assert_repeats(
                workload,
                Settings {
                    nodes: 4,
                    workers: 6,
                    rate: Some(100.0),
                    time_limit: Duration::from_secs(5),
                    // Many things happen at one instant where latencies are alike.
                    latency: Latency {
                        mean: Duration::from_millis(10 * seed),
                        spread: spreads[usize::try_from(seed % 3).unwrap()],
                    },
                    faults: vec![Fault::Partition, Fault::Kill, Fault::Pause, Fault::Loss, Fault::Duplicate],
                    fault_interval: Duration::from_millis(500),
                    seed,
                    ..Settings::default()
                },
            );
        }
    }
}

const BY_HAND: &str = r#"{
  "workload": "broadcast",
  "nodes": 3,
  "time_limit": "4s",
  "latency": "10ms",
  "faults": ["partition n0|n1,n2 at 1s for 2s"],
  "operations": [
    {"at": "2s", "worker": 1, "f": "read"},
    {"at": "1.5s", "worker": 0, "f": "broadcast", "value": 7},
    {"at": "1.5s", "worker": 0, "f": "read"}
  ]
}"#;

#[test]
fn a_plan_by_hand_does_what_it_says_when_it_says() {
    let world = run(World::of_plan(Plan::from_json(BY_HAND).unwrap()).unwrap());
    assert_eq!((world.settings().nodes, world.settings().workers), (3, 3));
    let at = |millis| world.started() + Duration::from_millis(millis);
    let done: Vec<_> = world.history().iter().filter(|of| !of.is_final && !of.is_probe).collect();
    let begun: Vec<(Instant, usize, String)> =
        done.iter().map(|of| (of.interval.invoked, of.node, of.operation.to_string())).collect();
    let micro = Duration::from_micros(1);
    assert_eq!(
        begun,
        [
            (at(1_500), 0, "broadcast 7".to_owned()),
            // The node answers when what it was told is on its disk.
            (done[0].interval.completed + micro, 0, "read".to_owned()),
            (at(2_000), 1, "read".to_owned())
        ],
        "of one time the first comes first, as soon as the worker is free"
    );
    let window = &world.faults()[0];
    assert_eq!((window.from, window.to), (at(1_000), Some(at(3_000))));
    assert_eq!(done[1].answer().unwrap().to_string(), "[7]");
    assert_eq!(done[2].answer().unwrap().to_string(), "[]", "n1 is cut off from n0");
}

#[test]
fn what_is_no_plan_is_refused_with_where_and_why() {
    for (replaced, by, expected) in [
        ("{\n", "[\n", "the plan cannot be used: expected `,` or `]` at line 2"),
        ("\"nodes\"", "\"noods\"", "unknown field `noods`"),
        ("broadcast\",\n", "broadcasting\",\n", "workload: expected one of echo, "),
        ("\"4s\"", "\"4\"", "time_limit: expected a time such as 3s, 0.5s or 200ms; found 4"),
        ("\"nodes\": 3", "\"nodes\": 0", "nodes: expected 1 to 1000"),
        (
            "n1,n2 at",
            "n1,n3 at",
            "planned_faults: expected nodes from n0 to n2, found n3 in partition n0|n1,n3",
        ),
        ("partition", "petition", "faults: \"petition n0|n1,n2 at 1s for 2s\": expected a fault"),
        ("\"worker\": 1", "\"worker\": 3", "operations[0].worker: expected a worker from 0 to 2; found 3"),
        ("\"f\": \"read\"", "\"f\": \"reed\"", "operations[0].f: expected one of "),
        ("\"at\": \"2s\"", "\"at\": 2", "invalid type: integer `2`, expected a string"),
        (
            "\"at\": \"2s\"",
            "\"at\": \"2h\"",
            "operations[0].at: expected a time such as 3s, 0.5s or 200ms; found 2h",
        ),
    ] {
        assert!(BY_HAND.contains(replaced));
        let error = Plan::from_json(&BY_HAND.replacen(replaced, by, 1)).unwrap_err().to_string();
        assert!(error.contains(expected), "{by}: {error}");
    }
}
