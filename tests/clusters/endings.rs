//! How tests end: whatever nodes do, and whatever a workload wants at last.

use messenger::node::Config;
use messenger::nodes::own;
use messenger::workbench::checker::Verdict;
use messenger::workbench::history::{Invocation, Operation};
use messenger::workbench::limits::Limits;
use messenger::workbench::settings::Settings;
use messenger::workbench::simulation::{self, ScriptedNode, SimulatedNode};
use messenger::workbench::verdict::Results;
use messenger::workbench::workload::echo::Echo;
use messenger::workbench::workload::{
    self, Client, FinalStep, Finding, Generator, GeneratorContext, Rpc, Workload,
};
use messenger::workbench::world::World;
use messenger::{Duration, Instant};
use serde_json::{Value, json};

/// Refuses whatever it is asked until `silent_from`, and answers nothing from then on but its `init`. One that ticks has
/// something to do ten times a second, for ever.
fn silent(silent_from: Duration, ticks: bool) -> Box<dyn SimulatedNode> {
    let tick = || (Duration::from_millis(100), json!({"src": "n1", "dest": "n1", "body": {"type": "tick"}}));
    let script = move |now: Instant, line: &str| {
        assert!(now < Instant::START + Duration::from_secs(300), "the test does not end");
        let message: Value = serde_json::from_str(line).unwrap();
        let request = &message["body"];
        let answer =
            |body: Value| (Duration::ZERO, json!({"src": "n1", "dest": message["src"], "body": body}));
        let is_silent = now >= Instant::START + silent_from;
        let in_reply_to = &request["msg_id"];
        let said = match request["type"].as_str().unwrap() {
            "init" if ticks => vec![answer(json!({"type": "init_ok", "in_reply_to": in_reply_to})), tick()],
            "init" => vec![answer(json!({"type": "init_ok", "in_reply_to": in_reply_to}))],
            "tick" => vec![tick()],
            _ if is_silent || !message["src"].as_str().unwrap().starts_with('c') => Vec::new(),
            "topology" => vec![answer(json!({"type": "topology_ok", "in_reply_to": in_reply_to}))],
            _ => vec![answer(json!({"type": "error", "in_reply_to": in_reply_to, "code": 11, "text": ""}))],
        };
        said.into_iter().map(|(delay, message)| (delay, message.to_string())).collect()
    };
    Box::new(ScriptedNode::new(script))
}

#[test]
fn a_silent_node_is_named_at_the_end_of_every_workload() {
    let (at_once, later) = (Duration::ZERO, Duration::from_secs(2));
    for workload in workload::ALL {
        for (from, ticks) in [(at_once, false), (at_once, true), (later, false), (later, true)] {
            let time_limit = Duration::from_secs(4);
            let settings =
                Settings { nodes: 3, workers: 6, rate: Some(20.0), time_limit, ..Settings::default() };
            let mut world = World::new(workload, settings).unwrap();
            simulation::run(&mut world, |node, seed| match node {
                1 => silent(from, ticks),
                _ => own::node(workload.name(), Config { seed, ..Config::default() }).unwrap(),
            });
            let results = Results::of(&world);
            let (name, explanation) = (workload.name(), results.explain().join("\n"));
            assert!(world.is_over(), "{name}: nobody knows how it ended");
            assert_eq!(results.verdict, Verdict::Invalid, "{name}: {explanation}");
            // What clients prepare with has to be answered before they ask anything else.
            let named = match (name, from) {
                ("broadcast", Duration::ZERO) => {
                    "because of n1 the test ended after 5.000 s: it did not answer `topology`"
                }
                _ => "n1 fell silent: ",
            };
            assert!(explanation.contains(named), "{name}: {explanation}");
        }
    }
}

/// An echo in whose final phase there is always one thing more to ask.
#[derive(Debug)]
struct Endless;

impl Workload for Endless {
    fn name(&self) -> &'static str {
        "endless"
    }

    fn about(&self) -> &'static str {
        Echo.about()
    }

    fn rpcs(&self) -> Vec<&'static Rpc> {
        Echo.rpcs()
    }

    fn generator(&self, _: &Settings) -> Box<dyn Generator> {
        Box::new(Asking)
    }

    fn client(&self, settings: &Settings) -> Box<dyn Client> {
        Echo.client(settings)
    }

    fn is_idempotent(&self, f: &str) -> bool {
        Echo.is_idempotent(f)
    }

    fn final_phase(&self) -> Option<Duration> {
        Some(Duration::from_millis(10))
    }

    fn check(&self, history: &[Invocation], settings: &Settings) -> Box<dyn Finding> {
        Echo.check(history, settings)
    }
}

#[derive(Debug)]
struct Asking;

impl Generator for Asking {
    fn next(&mut self, _: usize, _: &mut GeneratorContext<'_>) -> Operation {
        Operation::new("echo", "?")
    }

    fn final_step(&mut self, worker: usize, cx: &mut GeneratorContext<'_>) -> FinalStep {
        FinalStep::Do(self.next(worker, cx))
    }
}

#[test]
fn a_final_phase_has_room_for_as_many_operations_as_what_came_before() {
    // How many operations there were in all, and how many of them in the final phase.
    let test = |operations| {
        let settings = Settings {
            nodes: 1,
            workers: 1,
            rate: Some(100.0),
            time_limit: Duration::from_secs(1),
            limits: Limits { operations, ..Limits::DEFAULT },
            ..Settings::default()
        };
        let mut world = World::new(&Endless, settings).unwrap();
        simulation::run(&mut world, |_, seed| {
            own::node("echo", Config { seed, ..Config::default() }).unwrap()
        });
        let finals = world.history().iter().filter(|of| of.is_final).count();
        let explanation = Results::of(&world).explain().join("\n");
        (world.history().len() - finals, finals, explanation)
    };
    let bound = "a test records no more than";
    // One each microsecond, until the final phase is over.
    let (before, finals, explanation) = test(1_000_000);
    assert!((50..200).contains(&before) && (4_000..=10_000).contains(&finals), "{before} {finals}");
    assert!(!explanation.contains(bound), "{explanation}");
    // At the bound there is room for all of them.
    assert_eq!(test(finals + 1), (before, finals, explanation));
    let (same, cut, explanation) = test(finals - 1);
    assert_eq!((same, cut), (before, finals - 1));
    assert!(explanation.contains("after 11.0"), "{explanation}");
    assert!(explanation.contains(bound), "{explanation}");
    // What is cut short before is still asked for at the end.
    let (before, finals, explanation) = test(10);
    assert_eq!((before, finals), (10, 10));
    assert!(explanation.contains("after 0.") && explanation.contains(bound), "{explanation}");
}
