//! A kind of operation of which none succeeds: whether that is the nodes' fault.

use messenger::node::{Config, Node};
use messenger::nodes::own;
use messenger::workbench::checker::Verdict;
use messenger::workbench::fault::PlannedFault;
use messenger::workbench::network::Latency;
use messenger::workbench::settings::Settings;
use messenger::workbench::simulation::{self, SimulatedNode};
use messenger::workbench::verdict::Results;
use messenger::workbench::workload::Workload;
use messenger::workbench::workload::counter::GCounter;
use messenger::workbench::workload::lin_kv::LinKv;
use messenger::workbench::world::World;
use messenger::{Context, Duration, ErrorCode, Handler, Request, RpcError};

fn test(
    workload: &'static dyn Workload,
    settings: Settings,
    mut node: impl FnMut(Config) -> Box<dyn SimulatedNode>,
) -> (Verdict, String) {
    let mut world = World::new(workload, settings).unwrap();
    simulation::run(&mut world, |_, seed| node(Config { seed, ..Config::default() }));
    let results = Results::of(&world);
    (results.verdict, results.explain().join("\n"))
}

fn settings(seconds: u64, rate: f64, planned: &[&str]) -> Settings {
    let planned_faults: Vec<PlannedFault> = planned.iter().map(|fault| fault.parse().unwrap()).collect();
    let time_limit = Duration::from_secs(seconds);
    Settings { nodes: 3, workers: 6, rate: Some(rate), time_limit, planned_faults, ..Settings::default() }
}

/// Answers every request of one type with an error, or not at all.
struct Refusing {
    kind: &'static str,
    error: Option<ErrorCode>,
}

impl Handler for Refusing {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match (request.kind() == self.kind, self.error) {
            (true, Some(code)) => Err(RpcError::new(code, "not now")),
            (true, None) => {
                std::mem::forget(cx.defer(request));
                Ok(())
            }
            _ if request.kind() == "read" => cx.reply(request, "read_ok").field("value", 0).send(),
            _ => cx.reply(request, &format!("{}_ok", request.kind())).send(),
        }
    }
}

fn refusing(kind: &'static str, error: Option<ErrorCode>) -> impl FnMut(Config) -> Box<dyn SimulatedNode> {
    move |config| Box::new(Node::new(Refusing { kind, error }, config))
}

#[test]
fn a_right_node_whose_cas_never_finds_its_value_is_not_called_wrong() {
    let mut unknown = 0;
    for seed in 0..200 {
        let settings = Settings { seed, ..settings(3, 10.0, &[]) };
        let (verdict, explanation) = test(&LinKv, settings, |config| own::node("lin-kv", config).unwrap());
        assert_ne!(verdict, Verdict::Invalid, "seed {seed}: {explanation}");
        if verdict == Verdict::Unknown {
            assert!(explanation.contains("no cas succeeded: "), "seed {seed}: {explanation}");
            unknown += 1;
        }
    }
    assert!(unknown > 0, "none of the tests was so short");
}

#[test]
fn a_cas_that_fails_a_hundred_times_is_called_wrong() {
    let refusing = refusing("cas", Some(ErrorCode::PRECONDITION_FAILED));
    let (verdict, explanation) = test(&LinKv, settings(20, 50.0, &[]), refusing);
    assert_eq!(verdict, Verdict::Invalid);
    assert!(explanation.contains("no cas succeeded: "), "{explanation}");
}

#[test]
fn what_a_node_that_is_all_right_never_does_is_called_wrong() {
    let partition = "partition n0|n1,n2 at 4s for 2s";
    for (error, faults) in [
        (None, &[][..]),
        (None, &[partition]),
        (Some(ErrorCode::TEMPORARILY_UNAVAILABLE), &[]),
        (Some(ErrorCode::TEMPORARILY_UNAVAILABLE), &[partition]),
        (Some(ErrorCode::NOT_SUPPORTED), &["partition n0|n1,n2 at 0s for 20s"]),
    ] {
        let (verdict, explanation) = test(&GCounter, settings(20, 20.0, faults), refusing("add", error));
        assert_eq!(verdict, Verdict::Invalid, "{error:?} {faults:?}: {explanation}");
        assert!(explanation.contains("no add succeeded: "), "{explanation}");
    }
}

#[test]
fn a_crash_at_the_beginning_is_no_excuse() {
    for (workload, kind) in [(&LinKv as &dyn Workload, "cas"), (&GCounter, "add")] {
        let (verdict, explanation) =
            test(workload, settings(4, 20.0, &[]), refusing(kind, Some(ErrorCode::CRASH)));
        assert_eq!(verdict, Verdict::Invalid, "{explanation}");
    }
}

#[test]
fn a_leader_may_take_some_time_where_messages_take_long() {
    for seed in 0..40 {
        let settings = Settings {
            nodes: 5,
            workers: 10,
            latency: Latency::constant(Duration::from_millis(300)),
            seed,
            ..settings(8, 3.0, &[])
        };
        let (verdict, explanation) = test(&LinKv, settings, |config| own::node("raft", config).unwrap());
        assert_ne!(verdict, Verdict::Invalid, "seed {seed}: {explanation}");
    }
}

#[test]
fn what_no_node_could_do_while_none_ran_is_unknown() {
    let settings = settings(4, 20.0, &["kill n0,n1,n2 at 0s for 4s"]);
    let (verdict, explanation) = test(&GCounter, settings, |config| own::node("g-counter", config).unwrap());
    assert_eq!(verdict, Verdict::Unknown, "{explanation}");
    assert!(explanation.contains("that can happen to a right node"), "{explanation}");
}
