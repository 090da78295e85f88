//! Each fault, latency and bound does what it says, by the journal of a test in virtual time.

use std::collections::BTreeMap;

use messenger::node::{Config, Node};
use messenger::workbench::checker::Verdict;
use messenger::workbench::fault::{Fault, PlannedFault};
use messenger::workbench::journal::{Address, Entry};
use messenger::workbench::limits::Limits;
use messenger::workbench::nemesis::Window;
use messenger::workbench::network::{Distribution, Latency};
use messenger::workbench::settings::Settings;
use messenger::workbench::simulation;
use messenger::workbench::verdict::Results;
use messenger::workbench::workload::echo::Echo;
use messenger::workbench::world::World;
use messenger::{Answer, Context, Duration, Handler, Instant, Request, RpcError};

/// Tells each of the others something every ten milliseconds, and asks a service, so that every link carries messages.
#[derive(Default)]
struct Talker;

impl Handler for Talker {
    fn on_init(&mut self, cx: &mut Context<'_, Self>) {
        cx.every(Duration::from_millis(10), |_, cx| {
            let peers: Vec<String> = cx.cluster().peers().map(str::to_owned).collect();
            for peer in peers {
                cx.message(&peer, "hum").send().unwrap();
            }
            cx.call("seq-kv", "read").field("key", 1).forget().unwrap();
        });
    }

    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "echo" => cx.reply(request, "echo_ok").field("echo", request.required("echo")?).send(),
            _ => Ok(()),
        }
    }
}

const LATENCY: Duration = Duration::from_millis(7);

/// Does nothing.
struct Silent;

impl Handler for Silent {
    fn on_request(&mut self, _: &Request<'_>, _: &mut Context<'_, Self>) -> Result<(), RpcError> {
        Ok(())
    }
}

/// Five nodes and a constant latency, for 20 seconds.
fn settings(seed: u64) -> Settings {
    Settings {
        seed,
        rate: Some(50.0),
        time_limit: Duration::from_secs(20),
        fault_interval: Duration::from_secs(2),
        latency: Latency { mean: LATENCY, spread: Distribution::Constant },
        ..Settings::default()
    }
}

fn run<H: Handler>(settings: Settings, mut node: impl FnMut() -> H) -> World {
    let mut world = World::new(&Echo, settings).unwrap();
    simulation::run(&mut world, |_, seed| Box::new(Node::new(node(), Config { seed, ..Config::default() })));
    world
}

/// The test of talkers with these faults alone.
fn with_faults(seed: u64, faults: &[&str]) -> World {
    let planned_faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
    run(Settings { planned_faults, ..settings(seed) }, || Talker)
}

/// The messages from node to node that had the time to arrive, with their numbers.
fn between_nodes(world: &World) -> impl Iterator<Item = (usize, usize, &Entry)> {
    let last = world.journal().entries().last().unwrap().sent;
    world.journal().entries().iter().filter_map(move |entry| match (entry.src, entry.dest) {
        (Address::Node(src), Address::Node(dest)) if entry.sent + Duration::from_secs(1) < last => {
            Some((src, dest, entry))
        }
        _ => None,
    })
}

fn is_during(window: &Window, at: Instant) -> bool {
    window.from <= at && window.to.is_none_or(|to| at < to)
}

#[test]
fn nothing_crosses_a_cut_and_everything_else_arrives() {
    let (mut lost, mut cuts) = (0, std::collections::BTreeSet::new());
    for seed in 0..5 {
        let world = run(Settings { faults: vec![Fault::Partition], ..settings(seed) }, || Talker);
        assert!(world.faults().iter().any(|window| window.to.is_some()), "none heals under load");
        for (src, dest, entry) in between_nodes(&world) {
            let arrival = entry.sent + LATENCY;
            let is_cut = |window: &Window| {
                is_during(window, arrival) && window.action.links().unwrap().contain(src, dest)
            };
            let is_cut = world.faults().iter().any(is_cut);
            assert_eq!(entry.is_lost(), is_cut, "{entry:?}");
            let expected = if is_cut { vec![] } else { vec![arrival] };
            assert_eq!(entry.received.to_vec(), expected, "{entry:?}");
            lost += usize::from(is_cut);
        }
        cuts.extend(world.faults().iter().map(|window| window.action.to_string().len()));
        assert!(services_answer(&world));
    }
    assert!(lost > 5_000 && cuts.len() > 2, "{lost} lost, in {} ways", cuts.len());
}

/// Whether every message between a node and a service arrived: they are never cut off.
fn services_answer(world: &World) -> bool {
    let end = world.journal().entries().last().unwrap().sent;
    let is_service = |address| matches!(address, Address::Service(_));
    let entries = world.journal().entries().iter();
    let mut entries = entries.filter(|entry| is_service(entry.src) || is_service(entry.dest));
    entries.all(|entry| !entry.received.is_empty() || entry.sent + Duration::from_secs(1) > end)
}

/// A hand-written cut of one direction, exact to the microsecond.
#[test]
fn a_planned_partition_cuts_what_was_named_when_it_was_named() {
    let world = with_faults(1, &["partition n0->n1,n2 at 2s for 3s"]);
    let [window] = world.faults() else { panic!("{:?}", world.faults()) };
    let at = |seconds| world.started() + Duration::from_secs(seconds);
    assert_eq!((window.from, window.to), (at(2), Some(at(5))));
    for (src, dest, entry) in between_nodes(&world) {
        let is_cut = src == 0 && [1, 2].contains(&dest) && is_during(window, entry.sent + LATENCY);
        assert_eq!(entry.is_lost(), is_cut, "{entry:?}");
    }
}

/// Of the messages between nodes that were sent while the fault lasted, and of the others: how many there were, how
/// many were lost, and how many came twice.
fn counts(world: &World) -> [(usize, usize, usize); 2] {
    let mut counts = [(0, 0, 0); 2];
    for (_, _, entry) in between_nodes(world) {
        let is_during = world.faults().iter().any(|window| is_during(window, entry.sent));
        let (sent, lost, doubled) = &mut counts[usize::from(!is_during)];
        *sent += 1;
        *lost += usize::from(entry.is_lost());
        *doubled += usize::from(entry.received.len() == 2);
        assert!(entry.is_lost() == entry.received.is_empty() && entry.received.len() < 3, "{entry:?}");
    }
    counts
}

#[test]
fn a_fifth_is_lost_while_a_loss_lasts_and_nothing_otherwise() {
    let world = run(Settings { faults: vec![Fault::Loss], ..settings(1) }, || Talker);
    let [(sent, lost, doubled), (_, elsewhere, doubled_elsewhere)] = counts(&world);
    assert!(sent > 3_000 && lost * 100 / sent >= 18 && lost * 100 / sent < 22, "{lost} of {sent}");
    assert_eq!([elsewhere, doubled, doubled_elsewhere], [0; 3]);
    assert!(services_answer(&world));
}

#[test]
fn a_fifth_comes_twice_while_duplication_lasts_and_nothing_otherwise() {
    let world = run(Settings { faults: vec![Fault::Duplicate], ..settings(1) }, || Talker);
    let [(sent, lost, doubled), (_, lost_elsewhere, elsewhere)] = counts(&world);
    assert!(sent > 3_000 && doubled * 100 / sent >= 18 && doubled * 100 / sent < 22, "{doubled} of {sent}");
    assert_eq!([elsewhere, lost, lost_elsewhere], [0; 3]);
}

/// When a node said anything.
fn sent_by(world: &World, node: usize) -> Vec<Instant> {
    let entries = world.journal().entries().iter().filter(|entry| entry.src == Address::Node(node));
    entries.map(|entry| entry.sent).collect()
}

#[test]
fn a_node_that_is_paused_says_nothing_and_then_goes_on() {
    let (mut paused, mut everybody) = (0, 0);
    for seed in 0..4 {
        let world = run(Settings { faults: vec![Fault::Pause], ..settings(seed) }, || Talker);
        for window in world.faults() {
            let to = window.to.unwrap();
            for node in 0..5 {
                let words = sent_by(&world, node);
                let inside = words.iter().filter(|at| window.from < **at && **at < to).count();
                let is_struck = |other: &Window| {
                    other.nodes.contains(&node) && other.from < to && other.to.unwrap() > window.from
                };
                if world.faults().iter().any(is_struck) {
                    assert_eq!(inside, 0, "n{node} in {window:?}");
                } else {
                    assert!(inside > 0 || to - window.from < Duration::from_millis(20), "{window:?}");
                }
            }
            everybody += usize::from(window.nodes.len() == 5);
            paused += window.nodes.len();
        }
        // What was sent to it meanwhile it reads afterwards: nothing is lost.
        assert!(between_nodes(&world).all(|(_, _, entry)| !entry.is_lost()));
    }
    assert!(paused > 10 && everybody > 0, "{paused} {everybody}");
}

#[test]
fn a_node_that_is_killed_says_nothing_hears_nothing_and_starts_anew() {
    let world = with_faults(3, &["kill n1,n3 at 2s for 3s"]);
    let [window] = world.faults() else { panic!("{:?}", world.faults()) };
    for node in 0..5 {
        let words = sent_by(&world, node);
        let inside = words.iter().filter(|at| is_during(window, **at) && **at > window.from).count();
        assert_eq!(inside == 0, [1, 3].contains(&node), "n{node}");
        assert!(words.iter().any(|at| Some(*at) > window.to), "n{node} is there afterwards");
    }
    for (_, dest, entry) in between_nodes(&world) {
        let is_dead = [1, 3].contains(&dest) && is_during(window, entry.sent + LATENCY);
        assert_eq!(entry.is_lost(), is_dead, "{entry:?}");
    }
    let inits = |node| {
        let of_node = world.journal().entries().iter().filter(move |entry| entry.dest == Address::Node(node));
        of_node.filter(|entry| entry.body.contains("\"type\":\"init\"")).count()
    };
    assert_eq!([0, 1, 2, 3, 4].map(inits), [1, 2, 1, 2, 1]);
}

/// A node that was killed may count its requests from the beginning again: an answer to what it asked before would be
/// taken for one to what it asks now.
#[test]
fn what_was_under_way_to_a_node_that_was_killed_never_reaches_the_one_that_starts_in_its_place() {
    let settings = Settings {
        latency: Latency { mean: Duration::from_millis(100), spread: Distribution::Uniform },
        planned_faults: vec!["kill n1 at 2s for 10ms".parse().unwrap()],
        time_limit: Duration::from_secs(4),
        ..settings(1)
    };
    let world = run(settings, || Talker);
    let [window] = world.faults() else { panic!("{:?}", world.faults()) };
    let (n1, killed) = (Address::Node(1), window.from);
    let entries = || world.journal().entries().iter();
    let in_reply_to = |entry: &Entry| {
        serde_json::from_str::<serde_json::Value>(&entry.body).unwrap()["in_reply_to"].as_u64()
    };
    let asked = |since: fn(Instant, Instant) -> bool| {
        entries()
            .filter(|entry| {
                entry.src == n1 && matches!(entry.dest, Address::Service(_)) && since(entry.sent, killed)
            })
            .count()
    };
    assert!(asked(|sent, killed| sent < killed) > 10 && asked(|sent, killed| sent >= killed) > 10);
    let mut gone = 0;
    for entry in entries().filter(|entry| entry.dest == n1 && !matches!(entry.src, Address::Client(_))) {
        for received in &entry.received {
            assert!(*received <= killed || entry.sent >= killed, "{entry:?}");
        }
        gone += usize::from(entry.sent < killed && entry.is_lost());
    }
    assert!(gone > 20, "{gone} were under way");
    // What the services answer: the first thing that the new node asked is answered first, or later, but not earlier.
    let answers = entries().filter(|entry| entry.dest == n1 && matches!(entry.src, Address::Service(_)));
    let heard: Vec<u64> = answers
        .filter(|entry| entry.received.iter().any(|at| *at > killed))
        .filter_map(in_reply_to)
        .collect();
    let most = entries().filter(|entry| entry.src == n1 && entry.sent >= killed).count() as u64;
    assert!(!heard.is_empty() && heard.iter().all(|number| *number <= most), "{heard:?} of {most}");
}

#[test]
fn kills_by_chance_strike_some_and_all() {
    let struck = |seed| {
        let settings = Settings { faults: vec![Fault::Kill], rate: Some(1.0), ..settings(seed) };
        let world = run(settings, || Silent);
        world.faults().iter().map(|window| window.nodes.len()).collect::<Vec<_>>()
    };
    let counts: std::collections::BTreeSet<usize> = (0..20).flat_map(struck).collect();
    assert_eq!(counts, (1..=5).collect());
}

/// Latencies between nodes, and between nodes and services, in microseconds.
fn latencies(world: &World, is_wanted: impl Fn(&Entry) -> bool) -> Vec<u64> {
    let entries = world.journal().entries().iter().filter(|entry| is_wanted(entry));
    let mut latencies: Vec<u64> =
        entries.filter_map(|entry| Some((*entry.received.first()? - entry.sent).as_micros())).collect();
    latencies.sort_unstable();
    latencies
}

#[test]
fn latencies_have_their_mean_and_their_tail() {
    for (spread, median, p99) in [
        (Distribution::Constant, 7_000, 7_000),
        (Distribution::Uniform, 7_000, 13_860),
        (Distribution::Exponential, 4_852, 32_236),
    ] {
        let latency = Latency { mean: LATENCY, spread };
        let world = run(Settings { latency, time_limit: Duration::from_secs(10), ..settings(1) }, || Talker);
        for latencies in [
            latencies(&world, |entry| {
                matches!((entry.src, entry.dest), (Address::Node(_), Address::Node(_)))
            }),
            latencies(&world, |entry| matches!(entry.dest, Address::Service(_))),
            latencies(&world, |entry| matches!(entry.src, Address::Service(_))),
        ] {
            let mean = latencies.iter().sum::<u64>() / latencies.len() as u64;
            let quantile = |percent| latencies[latencies.len() * percent / 100];
            assert!(mean.abs_diff(7_000) < 210, "{spread:?}: mean {mean}");
            assert!(quantile(50).abs_diff(median) < 350, "{spread:?}: median {}", quantile(50));
            assert!(quantile(99).abs_diff(p99) < 2_600, "{spread:?}: p99 {}", quantile(99));
        }
        assert_eq!(
            latencies(&world, |entry| entry.src.is_client() || entry.dest.is_client()).last(),
            Some(&0)
        );
    }
}

#[test]
fn a_slow_link_is_slow_and_a_reordered_one_out_of_order() {
    let world = with_faults(1, &["slow n0->n1 200ms at 0s", "reorder n1->n0 50ms at 0s for 5s"]);
    let mut last = BTreeMap::new();
    let mut overtakes = [0; 2];
    for (src, dest, entry) in between_nodes(&world).filter(|(_, _, entry)| entry.sent >= world.started()) {
        let latency = entry.received[0] - entry.sent;
        match (src, dest) {
            (0, 1) => assert_eq!(latency, LATENCY + Duration::from_millis(200)),
            (1, 0) => {
                let (from, to) = (world.faults()[1].from, world.faults()[1].to.unwrap());
                let is_during = from <= entry.sent && entry.sent < to;
                assert!(latency >= LATENCY && latency < LATENCY + Duration::from_millis(50));
                assert!(is_during || latency == LATENCY);
            }
            _ => assert_eq!(latency, LATENCY),
        }
        let before = last.insert((src, dest), entry.received[0]);
        overtakes[usize::from((src, dest) == (1, 0))] += usize::from(before > Some(entry.received[0]));
    }
    assert!(overtakes[0] == 0 && overtakes[1] > 50, "{overtakes:?}");
}

/// A fault more changes nothing of what it has nothing to do with.
#[test]
fn a_step_that_is_left_out_does_not_reshuffle_the_rest() {
    let settings =
        Settings { latency: Latency { mean: LATENCY, spread: Distribution::Exponential }, ..settings(1) };
    let messages = |faults: &[&str]| {
        let planned_faults: Vec<PlannedFault> = faults.iter().map(|fault| fault.parse().unwrap()).collect();
        let world = run(Settings { planned_faults, ..settings.clone() }, || Talker);
        let mut of_link: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (src, dest, entry) in between_nodes(&world) {
            of_link.entry((src, dest)).or_default().push((entry.sent, entry.received.clone()));
        }
        of_link
    };
    let (with, without) =
        (messages(&["loss 0.3 at 1s", "duplicate 0.5 n0->n1 at 2s"]), messages(&["loss 0.3 at 1s"]));
    for (link, messages) in &without {
        assert_eq!(&with[link] == messages, *link != (0, 1), "{link:?}");
        for (with, without) in with[link].iter().zip(messages) {
            assert_eq!(with.1.is_empty(), without.1.is_empty(), "the same are lost");
            assert!(without.1.iter().all(|received| with.1.contains(received)), "at the same times");
        }
    }
}

/// Sends another node a kilobyte ten times for each request.
struct Flooder;

impl Handler for Flooder {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        if request.kind() != "echo" {
            return Ok(());
        }
        if cx.id() == "n0" {
            for _ in 0..10 {
                cx.message("n1", "flood").field("water", "w".repeat(1_000)).send().unwrap();
            }
        }
        cx.reply(request, "echo_ok").field("echo", request.required("echo")?).send()
    }
}

#[test]
fn what_is_under_way_has_a_bound_and_the_flooding_node_is_named() {
    let flood = |under_way_bytes| {
        let settings = Settings {
            latency: Latency { mean: Duration::from_secs(2), spread: Distribution::Constant },
            limits: Limits { under_way_bytes, ..Limits::DEFAULT },
            ..settings(1)
        };
        run(settings, || Flooder)
    };
    let world = flood(100_000);
    let results = Results::of(&world);
    assert_eq!(results.verdict, Verdict::Unknown, "a right node may have much to say");
    let explanation = results.explain().join("\n");
    let words = "n0 sent n1 ";
    assert!(
        explanation.contains(words) && explanation.contains("holds 100000 bytes in all"),
        "{explanation}"
    );
    let sent = world.journal().servers.sent;
    assert!((80..100).contains(&sent), "a kilobyte each, and a little to hold it: {sent}");
    assert_eq!(Results::of(&flood(100_000_000)).verdict, Verdict::Valid);
}

/// Waits for the next request by looking again and again whether it has come.
#[derive(Default)]
struct Poller {
    requests: u64,
}

impl Handler for Poller {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        self.requests += 1;
        let (before, echo) = (self.requests, request.string("echo")?.into_owned());
        if cx.id() != "n1" {
            return cx.reply(request, "echo_ok").field("echo", request.required("echo")?).send();
        }
        cx.wait(request, async move |node| {
            while node.with(|this: &mut Self, _| this.requests).await == before {}
            Ok(Answer::new("echo_ok").field("echo", echo))
        })
    }
}

/// In real time it is right, if wasteful, while somebody asks; so it is in virtual time, which does not stand still.
#[test]
fn a_handler_that_polls_does_not_stop_virtual_time() {
    let settings = Settings { nodes: 2, workers: 4, time_limit: Duration::from_secs(5), ..settings(1) };
    let world = run(settings, Poller::default);
    let results = Results::of(&world);
    let explanation = results.explain().join("\n");
    assert!(world.is_over() && world.run_time() == Duration::from_secs(5), "{explanation}");
    assert!(explanation.contains("n1 polls, first at "), "{explanation}");
    assert!(!explanation.contains("n0 polls"), "{explanation}");
    let answered = world.history().iter().filter(|invocation| invocation.answer().is_some());
    assert!(answered.count() > 200, "all but the last ones");
}

/// Tells itself to go on, again and again, and stops.
struct Counter;

impl Handler for Counter {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let echo = request.string("echo")?.into_owned();
        cx.wait(request, async move |node| {
            for _ in 0..100 {
                node.with(|_: &mut Self, _| ()).await;
            }
            Ok(Answer::new("echo_ok").field("echo", echo))
        })
    }
}

#[test]
fn turns_at_one_instant_are_counted_exactly() {
    let polls = |turns_per_instant| {
        let limits = Limits { turns_per_instant, ..Limits::DEFAULT };
        let world = run(Settings { nodes: 1, workers: 1, limits, ..settings(1) }, || Counter);
        !world.polling().is_empty()
    };
    let enough = (1..300).find(|turns| !polls(*turns)).unwrap();
    assert!((2..=210).contains(&enough), "{enough}");
    assert!(polls(enough - 1));
}
