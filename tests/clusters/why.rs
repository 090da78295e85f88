//! The report says why a node did not know something, from what became of the messages that carried it; and of a right
//! node it says nothing.

use messenger::node::{Config, Node};
use messenger::workbench::checker::Verdict;
use messenger::workbench::settings::Settings;
use messenger::workbench::simulation;
use messenger::workbench::verdict::Results;
use messenger::workbench::workload::broadcast::Broadcast;
use messenger::workbench::world::World;
use messenger::{Context, Duration, Handler, Request, RpcError};

/// Tells others what it was told, once and without waiting for an answer.
struct TellOnce {
    values: Vec<i64>,
    /// Whom it tells.
    tells: fn(&str) -> bool,
    /// Values that it forgets.
    forgets: fn(i64) -> bool,
}

impl TellOnce {
    const ALL: Self = Self { values: Vec::new(), tells: |_| true, forgets: |_| false };
}

impl Handler for TellOnce {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "broadcast" | "told" => {
                let value = request.integer("message")?;
                if !(self.forgets)(value) {
                    self.values.push(value);
                }
                if request.kind() == "told" {
                    return Ok(());
                }
                let peers: Vec<String> =
                    cx.cluster().peers().filter(|peer| (self.tells)(peer)).map(str::to_owned).collect();
                for peer in peers {
                    cx.message(&peer, "told").field("message", value).send()?;
                }
                cx.reply(request, "broadcast_ok").send()
            }
            "topology" => cx.reply(request, "topology_ok").send(),
            "read" => cx.reply(request, "read_ok").field("messages", &self.values).send(),
            kind => Err(RpcError::not_supported(kind)),
        }
    }
}

fn test<H: Handler>(fault: &str, mut node: impl FnMut(usize) -> H) -> Results {
    let settings = Settings {
        nodes: 3,
        workers: 3,
        rate: Some(20.0),
        time_limit: Duration::from_secs(10),
        planned_faults: if fault.is_empty() { Vec::new() } else { vec![fault.parse().unwrap()] },
        seed: 3,
        ..Settings::default()
    };
    let mut world = World::new(&Broadcast, settings).unwrap();
    simulation::run(&mut world, |place, seed| {
        Box::new(Node::new(node(place), Config { seed, ..Config::default() }))
    });
    Results::of(&world)
}

#[track_caller]
fn assert_why(results: &Results, words: &[&str]) {
    assert_eq!(results.verdict, Verdict::Invalid, "{:?}", results.explain());
    let why = results.why.join("\n");
    for word in words {
        assert!(why.contains(word), "expected {word:?} in:\n{why}\n{:?}", results.explain());
    }
}

#[test]
fn a_message_that_a_partition_swallowed() {
    let results = test("partition n0,n1|n2 at 3s for 2s", |_| TellOnce::ALL);
    assert_why(
        &results,
        &[" once, at ", "the partition ", "(3.000 s to 5.000 s) swallowed it; it was not sent there again"],
    );
}

#[test]
fn a_message_that_the_network_lost() {
    let results = test("loss 0.5 at 2s for 4s", |_| TellOnce::ALL);
    assert_why(&results, &[" once, at ", "the network lost it"]);
}

#[test]
fn a_node_that_nobody_told() {
    let results = test("", |_| TellOnce { tells: |peer| peer == "n1", ..TellOnce::ALL });
    assert_why(&results, &["nobody sent n2 a message with ", "such messages went to n1"]);
}

#[test]
fn a_node_that_was_told_and_forgot() {
    let forgets = |place| if place == 1 { |value| value % 10 == 7 } else { |_| false };
    let results = test("", |place| TellOnce { forgets: forgets(place), ..TellOnce::ALL });
    assert_why(&results, &["and n1 did not keep it"]);
}

#[test]
fn a_node_that_was_killed_and_had_it_in_memory_alone() {
    let results = test("kill n1 at 4s for 1s", |_| TellOnce::ALL);
    assert_why(&results, &["n1 was killed at 4.000 s, and came back without what it had in memory"]);
}

#[test]
fn of_a_right_node_nothing_is_said() {
    let results =
        test("partition n0,n1|n2 at 3s for 2s", |_| messenger::nodes::broadcast::Broadcast::default());
    assert_eq!((results.verdict, results.why.len()), (Verdict::Valid, 0), "{:?}", results.explain());
}
