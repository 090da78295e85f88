//! The workloads of this crate, as several nodes in virtual time on a network that is as bad as it gets.

#![allow(clippy::cast_precision_loss, reason = "small numbers")]

use std::collections::BTreeSet;

use crate::talk::{Talk as _, n1};
use fastrand::Rng;
use messenger::node::Config;
use messenger::nodes::broadcast::Broadcast;
use messenger::nodes::counter::Counter;
use messenger::nodes::g_set::GSet;
use messenger::nodes::lin_kv::{self, LinKv};
use messenger::nodes::unique_ids::UniqueIds;
use messenger::workbench::test_cluster::Said;
use messenger::workbench::{Latency, TestCluster};
use messenger::{Duration, Handler, Instant};
use serde_json::{Value, json};

const SEEDS: u64 = 20;

fn at_ms(millis: u64) -> Instant {
    Instant::START + Duration::from_millis(millis)
}

fn name(node: usize) -> String {
    format!("n{node}")
}

/// Nodes n0 and on. Nothing goes wrong, and every message between them takes this long.
fn cluster<H: Handler>(nodes: usize, seed: u64, latency_ms: u64, handler: impl Fn() -> H) -> TestCluster {
    let latency = Latency::constant(Duration::from_millis(latency_ms));
    let mut cluster = TestCluster::of((0..nodes).map(name)).with_network(seed, latency);
    for node in 0..nodes {
        cluster.start_with(&name(node), handler(), Config { seed, ..Config::default() });
    }
    cluster
}

/// A fifth of the messages is lost, a fifth comes twice, and all in any order.
const STORM: [&str; 3] = ["loss 0.2", "duplicate 0.2", "reorder 60ms"];

/// How five nodes fall apart: in two, into single nodes, one node alone, or in one direction only.
fn partition(rng: &mut Rng) -> Option<String> {
    let (kind, alone) = (rng.u8(..6), rng.usize(..5));
    let (half, rest): (Vec<usize>, Vec<usize>) = (0..5).partition(|_| rng.bool());
    let others: Vec<usize> = (0..5).filter(|node| *node != alone).collect();
    let list = |nodes: &[usize]| nodes.iter().copied().map(name).collect::<Vec<_>>().join(",");
    let (one, two, sign) = match kind {
        0 => return Some("partition n0|n1|n2|n3|n4".to_owned()),
        1 => (vec![alone], others, "|"),
        2 => (others, vec![alone], "->"),
        3 => (half, rest, "->"),
        4 => (half, rest, "|"),
        _ => return None,
    };
    (!one.is_empty() && !two.is_empty()).then(|| format!("partition {}{sign}{}", list(&one), list(&two)))
}

/// Operations at about a hundred a second go to nodes at random, until it is `end`.
fn load(
    cluster: &mut TestCluster,
    nodes: usize,
    rng: &mut Rng,
    end: Instant,
    mut operate: impl FnMut(&mut TestCluster, &mut Rng, usize),
) {
    while cluster.now() < end {
        let next = cluster.now() + Duration::from_micros(rng.u64(1..20_000));
        cluster.pass_until(next.min(end));
        let node = rng.usize(..nodes);
        operate(cluster, rng, node);
    }
}

/// Gives the nodes the ten seconds that Maelstrom gives them.
fn recover(cluster: &mut TestCluster) {
    cluster.pass(Duration::from_secs(10));
}

/// Kills a node and starts it again with its disk gone.
fn replace<H: Handler>(cluster: &mut TestCluster, node: usize, handler: H, config: Config) {
    cluster.kill(&name(node));
    cluster.wipe(&name(node));
    cluster.start_with(&name(node), handler, config);
}

/// How many messages nodes sent to each other.
fn sent(cluster: &TestCluster) -> u64 {
    cluster.journal().servers.sent
}

fn elements(read: &Value, field: &str) -> Vec<u64> {
    let mut elements: Vec<u64> = serde_json::from_value(read[field].clone()).unwrap();
    elements.sort_unstable();
    elements
}

#[test]
fn ids_are_unique_though_every_node_has_the_same_seed_and_starts_again_with_it() {
    let mut ids = BTreeSet::new();
    let mut network = cluster(3, 7, 0, UniqueIds::default);
    let mut count = 0;
    for life in 0..5 {
        for node in 0..3 {
            for _ in 0..100 {
                let reply = network.ask(&name(node), json!({"type": "generate"}));
                assert_eq!(reply["type"], "generate_ok");
                count += 1;
                assert!(ids.insert(reply["id"].as_str().unwrap().to_owned()), "{reply} in life {life}");
            }
        }
        network.pass(Duration::from_micros(1));
        replace(&mut network, life % 3, UniqueIds::default(), Config { seed: 7, ..Config::default() });
    }
    // A real clock begins anew with each start, but a real seed is another one.
    let mut fresh = cluster(1, 8, 0, UniqueIds::default);
    assert!(ids.insert(fresh.ask("n0", json!({"type": "generate"}))["id"].as_str().unwrap().to_owned()));
    assert_eq!((ids.len(), sent(&network)), (count + 1, 0));
}

/// Adds numbers from 0 up through a storm of twenty seconds, in which the network falls apart in another way every 1.5
/// seconds; how many, and the cluster when it is over.
fn weather<H: Handler>(seed: u64, add: impl Fn(u64) -> Value, handler: impl Fn() -> H) -> (u64, TestCluster) {
    let mut cluster = cluster(5, seed, 20, handler);
    let (mut rng, mut weather, mut added) = (Rng::with_seed(seed), Rng::with_seed(!seed), 0);
    for fault in STORM {
        cluster.begin(fault);
    }
    while cluster.now() < at_ms(20_000) {
        let fault = partition(&mut weather);
        if let Some(fault) = &fault {
            cluster.begin(fault);
        }
        let end = (cluster.now() + Duration::from_millis(1500)).min(at_ms(20_000));
        load(&mut cluster, 5, &mut rng, end, |cluster, _, node| {
            cluster.ask(&name(node), add(added));
            added += 1;
        });
        if let Some(fault) = &fault {
            cluster.end(fault);
        }
    }
    for fault in STORM {
        cluster.end(fault);
    }
    recover(&mut cluster);
    (added, cluster)
}

#[test]
fn after_a_storm_every_broadcast_is_everywhere() {
    for seed in 0..SEEDS {
        let broadcast = |n| json!({"type": "broadcast", "message": n});
        let (added, mut network) = weather(seed, broadcast, Broadcast::default);
        for node in 0..5 {
            let read = network.ask(&name(node), json!({"type": "read"}));
            assert_eq!(elements(&read, "messages"), (0..added).collect::<Vec<_>>(), "seed {seed}, n{node}");
        }
    }
}

#[test]
fn after_a_storm_every_element_is_in_every_set() {
    for seed in 0..SEEDS {
        let (added, mut network) = weather(seed, |n| json!({"type": "add", "element": n}), GSet::default);
        for node in 0..5 {
            let read = network.ask(&name(node), json!({"type": "read"}));
            assert_eq!(elements(&read, "value"), (0..added).collect::<Vec<_>>(), "seed {seed}, n{node}");
        }
    }
}

#[test]
fn after_a_storm_every_counter_has_the_sum() {
    for seed in 0..SEEDS {
        let delta = |n: u64| n.cast_signed() % 10 - 5;
        let (added, mut network) = weather(seed, |n| json!({"type": "add", "delta": delta(n)}), Counter::any);
        let sum: i64 = (0..added).map(delta).sum();
        for node in 0..5 {
            assert_eq!(
                network.ask(&name(node), json!({"type": "read"}))["value"],
                sum,
                "seed {seed}, n{node}"
            );
        }
        let delta = |n: u64| n % 5;
        let (added, mut network) =
            weather(seed, |n| json!({"type": "add", "delta": delta(n)}), Counter::growing);
        let sum: u64 = (0..added).map(delta).sum();
        for node in 0..5 {
            assert_eq!(
                network.ask(&name(node), json!({"type": "read"}))["value"],
                sum,
                "seed {seed}, n{node}"
            );
        }
    }
}

#[test]
fn a_counter_takes_what_it_can_count() {
    let mut network = cluster(2, 1, 1, Counter::growing);
    for delta in [json!(-1), json!(1.0), json!("1"), Value::Null] {
        assert_eq!(network.ask("n0", json!({"type": "add", "delta": delta}))["code"], 12);
    }
    for _ in 0..3 {
        network.ask("n0", json!({"type": "add", "delta": i64::MAX}));
    }
    let mut falling = cluster(2, 1, 1, Counter::any);
    for _ in 0..3 {
        falling.ask("n0", json!({"type": "add", "delta": i64::MIN}));
    }
    recover(&mut network);
    recover(&mut falling);
    assert_eq!(network.node::<Counter>("n1").handler().value(), 3 * i128::from(i64::MAX));
    assert_eq!(falling.node::<Counter>("n1").handler().value(), 3 * i128::from(i64::MIN));
}

/// What a counter has told others survives it; what it counts after that is added.
#[test]
fn a_counter_that_was_killed_goes_on() {
    let mut network = cluster(3, 1, 10, Counter::any);
    network.ask("n1", json!({"type": "add", "delta": 5}));
    recover(&mut network);
    replace(&mut network, 1, Counter::any(), Config { seed: 1, ..Config::default() });
    network.ask("n1", json!({"type": "add", "delta": -2}));
    recover(&mut network);
    for node in 0..3 {
        assert_eq!(network.ask(&name(node), json!({"type": "read"}))["value"], 3, "n{node}");
    }
}

/// The challenge of Gossip Glomers: 25 nodes, 100 ms between them, 100 operations a second, of which half are reads.
/// Every message between nodes counts, those of the ten seconds of rest at the end as well, and every operation. A
/// broadcast is stable when the last node has it.
#[test]
fn broadcast_takes_few_messages_and_little_time() {
    const NODES: usize = 25;
    let (mut operations, mut messages, mut latencies) = (0_u64, 0, Vec::new());
    for seed in 0..5 {
        let mut network = cluster(NODES, seed, 100, Broadcast::default);
        let mut rng = Rng::with_seed(seed);
        let (mut told, mut seen) = (Vec::<Instant>::new(), [(0, 0); NODES]);
        let mut copies = Vec::<usize>::new();
        let mut read_up = |network: &TestCluster, told: &[Instant], latencies: &mut Vec<Duration>| {
            copies.resize(told.len(), 0);
            for (node, (bytes, count)) in seen.iter_mut().enumerate() {
                let values = network.node::<Broadcast>(&name(node)).handler().values();
                for value in values[*bytes..].split(',').filter(|value| !value.is_empty()) {
                    let value: usize = value.parse().unwrap();
                    *count += 1;
                    copies[value] += 1;
                    if copies[value] == NODES {
                        latencies.push(network.now() - told[value]);
                    }
                }
                *bytes = values.len();
            }
        };
        while network.now() < at_ms(20_000) {
            // One operation every 10 ms on average.
            let next = network.now() + Duration::from_micros(rng.u64(1..20_000));
            while network.step(next) {
                read_up(&network, &told, &mut latencies);
            }
            let node = rng.usize(..NODES);
            operations += 1;
            if rng.bool() {
                network.ask(&name(node), json!({"type": "broadcast", "message": told.len()}));
                told.push(network.now());
                read_up(&network, &told, &mut latencies);
            } else {
                network.ask(&name(node), json!({"type": "read"}));
            }
        }
        let end = network.now() + Duration::from_secs(10);
        while network.step(end) {
            read_up(&network, &told, &mut latencies);
        }
        operations += NODES as u64;
        messages += sent(&network);
        assert!(seen.iter().all(|(_, count)| *count == told.len()), "everything is everywhere");
    }
    latencies.sort_unstable();
    let ms = |latency: Duration| latency.as_micros() as f64 / 1000.0;
    let quantile = |q: usize| ms(latencies[(latencies.len() - 1) * q / 100]);
    let per_operation = messages as f64 / operations as f64;
    println!(
        "{per_operation:.3} messages per operation; stable after {:.0} ms at best, {:.0} in the median, {:.0} in 95 %, \
         {:.0} in 99 %, {:.0} at most ({} broadcasts)",
        quantile(0),
        quantile(50),
        quantile(95),
        quantile(99),
        quantile(100),
        latencies.len(),
    );
    assert!(per_operation <= 1.95, "{per_operation} messages per operation");
    assert!(quantile(50) < 320.0, "{} ms in the median", quantile(50));
    assert!(quantile(100) <= 400.0, "{} ms at most", quantile(100));
}

#[test]
fn a_cluster_at_rest_sends_next_to_nothing() {
    for count in [1, 5, 25] {
        let mut network = cluster(count, 1, 100, Broadcast::default);
        for n in 0..100 {
            network.ask(&name(n % count), json!({"type": "broadcast", "message": n}));
        }
        recover(&mut network);
        let (before, seconds) = (sent(&network), 100);
        network.pass(Duration::from_secs(seconds));
        let digests = if count > 1 { count as u64 * seconds / 2 } else { 0 };
        assert!(sent(&network) - before <= digests + count as u64, "{} messages", sent(&network) - before);
    }
}

/// With latencies as long as the node's own patience, and longer.
#[test]
fn slow_networks_cost_few_messages_more() {
    for (latency_ms, limit) in [(1, 1.95), (500, 1.95), (3000, 3.5)] {
        let mut network = cluster(25, 1, latency_ms, Broadcast::default);
        let (mut rng, mut operations, mut told) = (Rng::with_seed(1), 0, 0);
        load(&mut network, 25, &mut rng, at_ms(60_000), |network, rng, node| {
            operations += 1;
            if rng.bool() {
                network.ask(&name(node), json!({"type": "broadcast", "message": told}));
                told += 1;
            }
        });
        let per_operation = sent(&network) as f64 / f64::from(operations);
        println!("{latency_ms} ms: {per_operation:.3} messages per operation");
        assert!(per_operation < limit, "{per_operation} at {latency_ms} ms");
        network.pass(Duration::from_secs(20));
        for node in 0..25 {
            let read = network.ask(&name(node), json!({"type": "read"}));
            assert_eq!(elements(&read, "messages"), (0..told).collect::<Vec<u64>>());
        }
    }
}

#[test]
fn nodes_without_their_hub_come_to_have_the_same() {
    let mut network = cluster(25, 1, 100, Broadcast::default);
    let others: Vec<_> = (1..25).map(name).collect();
    let is_alone = format!("partition n0|{}", others.join(","));
    network.begin(&is_alone);
    let (mut rng, mut told) = (Rng::with_seed(1), 0);
    load(&mut network, 25, &mut rng, at_ms(5_000), |network, _, node| {
        if node > 0 {
            network.ask(&name(node), json!({"type": "broadcast", "message": told}));
            told += 1;
        }
    });
    network.pass(Duration::from_secs(15));
    for node in 1..25 {
        let read = network.ask(&name(node), json!({"type": "read"}));
        assert_eq!(elements(&read, "messages"), (0..told).collect::<Vec<u64>>(), "n{node}");
    }
    assert_eq!(network.ask("n0", json!({"type": "read"}))["messages"], json!([]));
    network.end(&is_alone);
    recover(&mut network);
    let read = network.ask("n0", json!({"type": "read"}));
    assert_eq!(elements(&read, "messages"), (0..told).collect::<Vec<u64>>());
}

/// The hub or a leaf is killed and starts again with its memory gone, while others go on.
#[test]
fn a_node_that_was_killed_learns_everything_again() {
    for (victim, seed) in [(0, 1), (0, 2), (3, 1), (3, 2)] {
        let mut network = cluster(5, seed, 50, Broadcast::default);
        let (mut rng, mut told) = (Rng::with_seed(seed), 0);
        let mut tell = |network: &mut TestCluster, seconds, but_not| {
            load(network, 5, &mut rng, network.now() + Duration::from_secs(seconds), |network, _, node| {
                if Some(node) != but_not {
                    network.ask(&name(node), json!({"type": "broadcast", "message": told}));
                    told += 1;
                }
            });
            told
        };
        tell(&mut network, 5, None);
        // What only the victim has goes with it.
        tell(&mut network, 2, Some(victim));
        replace(&mut network, victim, Broadcast::default(), Config { seed, ..Config::default() });
        let told = tell(&mut network, 5, None);
        recover(&mut network);
        for node in 0..5 {
            let read = network.ask(&name(node), json!({"type": "read"}));
            assert_eq!(elements(&read, "messages"), (0..told).collect::<Vec<u64>>(), "n{node} of {victim}");
        }
    }
}

#[test]
fn a_lot_to_catch_up_with_comes_in_pieces() {
    const TOLD: u64 = 200_000;
    for lonely in [0, 1] {
        let mut network = cluster(3, 1, 10, Broadcast::default);
        let is_alone = format!("partition n{lonely}|n{},n2", 1 - lonely);
        network.begin(&is_alone);
        for n in 0..TOLD {
            network.ask(&name(lonely), json!({"type": "broadcast", "message": n}));
            if n % 100 == 0 {
                network.pass(Duration::from_millis(1));
            }
        }
        network.end(&is_alone);
        recover(&mut network);
        for node in 0..3 {
            let read = network.ask(&name(node), json!({"type": "read"}));
            assert_eq!(read["messages"].as_array().unwrap().len() as u64, TOLD, "n{node} of {lonely}");
        }
        let longest = network.journal().entries().iter().map(|entry| entry.body.len()).max().unwrap();
        assert!(longest < 300_000, "{longest} bytes");
    }
}

#[test]
fn any_value_may_be_told_and_is_read_once() {
    let mut network = cluster(3, 1, 10, Broadcast::default);
    let values = [json!("a,\"b\""), json!({"k": [1, {}]}), json!(1.0), json!(1), Value::Null, json!([])];
    for (n, value) in values.iter().chain(&values).enumerate() {
        network.ask(&name(n % 3), json!({"type": "broadcast", "message": value}));
    }
    assert_eq!(network.ask("n0", json!({"type": "broadcast"}))["code"], 12);
    assert_eq!(network.ask("n0", json!({"type": "topology", "topology": {}}))["type"], "topology_ok");
    recover(&mut network);
    for node in 0..3 {
        let read = network.ask(&name(node), json!({"type": "read"}));
        let mut read: Vec<String> =
            read["messages"].as_array().unwrap().iter().map(Value::to_string).collect();
        read.sort_unstable();
        let mut expected: Vec<String> = values.iter().map(Value::to_string).collect();
        expected.sort_unstable();
        assert_eq!(read, expected);
    }
}

/// What nodes of this kind would never say to each other, and what is for nobody but them.
#[test]
fn nonsense_from_peers_is_refused_and_so_are_clients_that_gossip() {
    fn refused<H: Handler>(handler: H, bodies: &[Value], read: &Value, nothing: &Value) {
        let mut bench = n1(handler, Config::default());
        for body in bodies {
            for (src, code) in [("n2", 12), ("c1", 10), ("n1", 10), ("lin-kv", 10)] {
                let mut body = body.clone();
                body["msg_id"] = 7.into();
                bench.receive(src, body.clone());
                assert_eq!(bench.bodies()[0]["code"], code, "{src} {body}");
            }
        }
        bench.receive("c1", json!({"type": "dance", "msg_id": 1}));
        assert_eq!(bench.bodies()[0]["code"], 10);
        bench.receive("c1", read.clone());
        let body = &bench.bodies()[0];
        assert!(body["messages"] == *nothing || body["value"] == *nothing, "{body}");
    }
    let spread = [
        json!({"type": "values"}),
        json!({"type": "values", "runs": [["n2", 0]]}),
        json!({"type": "values", "runs": [["n2", -1, [1]]]}),
        json!({"type": "values", "runs": [["n2", 0, [1]], ["n2", u64::MAX, [1]]]}),
        json!({"type": "values", "runs": [["n2", 0, [1]], ["n2", 1]]}),
        json!({"type": "values", "runs": [["n2", 0, [1]]], "batch": ["n2"]}),
        json!({"type": "digest", "have": {"n2": 1.5}}),
        json!({"type": "digest", "have": {}, "had": 7}),
        json!({"type": "missing", "have": []}),
    ];
    let read = json!({"type": "read", "msg_id": 9});
    refused(Broadcast::default(), &spread, &read, &json!([]));
    refused(GSet::default(), &spread, &read, &json!([]));
    let counter = [
        json!({"type": "news", "totals": {"n2": [1, 0], "n3": [1]}}),
        json!({"type": "news", "totals": {"n2": [1, 0], "n3": [-1, 0]}}),
        json!({"type": "totals", "totals": {"n2": [1, 0], "n3": [1, 0, 0]}}),
        json!({"type": "totals", "totals": {"n2": [1, 0], "n3": [u128::MAX.to_string(), 0]}}),
        json!({"type": "totals", "totals": {"n2": [1, 0], "n3": [0, 1.0e30]}}),
    ];
    refused(Counter::any(), &counter, &read, &json!(0));
}

/// Asks, and waits as long as a client would; everything that is said to the test meanwhile, at any rate one answer.
fn converse(cluster: &mut TestCluster, node: usize, mut body: Value) -> (Said, Vec<Said>) {
    let client = format!("c{}", cluster.now().as_micros());
    body["msg_id"] = 1.into();
    cluster.tell(&client, &name(node), body);
    cluster.pass(Duration::from_secs(5));
    let (answers, others): (Vec<_>, Vec<_>) =
        cluster.take().into_iter().partition(|said| said.dest == client);
    let [answer] = &answers[..] else { panic!("one answer, and not {answers:?}") };
    (answer.clone(), others)
}

/// Asks and waits for the answer: that, and how many milliseconds it took.
fn ask_and_wait(cluster: &mut TestCluster, node: usize, body: Value) -> (Value, u64) {
    let asked = cluster.now();
    let (answer, _) = converse(cluster, node, body);
    (answer.body, (answer.at - asked).as_micros() / 1000)
}

/// Three nodes and `lin-kv`, with so much time between them.
fn lin_kv_cluster(seed: u64, latency_ms: u64) -> TestCluster {
    let latency = Latency::constant(Duration::from_millis(latency_ms));
    let mut cluster = TestCluster::of(["n0", "n1", "n2"]).with_network(seed, latency).with_services();
    cluster.start_all(LinKv::default);
    cluster
}

#[test]
fn lin_kv_hands_requests_on_and_answers_back() {
    let mut network = lin_kv_cluster(1, 100);
    let mut ask = |node, body| {
        let (mut reply, millis) = ask_and_wait(&mut network, node, body);
        assert_eq!(millis, 200);
        let reply = reply.as_object_mut().unwrap();
        reply.remove("msg_id");
        reply.remove("in_reply_to");
        reply.remove("text");
        json!(reply)
    };
    let error = |code: u64| json!({"type": "error", "code": code});
    assert_eq!(ask(0, json!({"type": "read", "key": 1})), error(20));
    assert_eq!(ask(1, json!({"type": "cas", "key": 1, "from": 1, "to": 2})), error(20));
    assert_eq!(ask(2, json!({"type": "write", "key": 1, "value": {"x": 1.0}})), json!({"type": "write_ok"}));
    assert_eq!(ask(0, json!({"type": "read", "key": 1})), json!({"type": "read_ok", "value": {"x": 1.0}}));
    assert_eq!(ask(0, json!({"type": "read", "key": "1"})), error(20));
    assert_eq!(ask(1, json!({"type": "cas", "key": 1, "from": 1, "to": 2})), error(22));
    assert_eq!(
        ask(1, json!({"type": "cas", "key": 1, "from": {"x": 1.0}, "to": null})),
        json!({"type": "cas_ok"})
    );
    assert_eq!(ask(2, json!({"type": "read", "key": 1})), json!({"type": "read_ok", "value": null}));
    let malformed = network.ask("n0", json!({"type": "write", "key": 1}));
    assert_eq!(malformed["code"], 12);
}

/// A client gives up after a second, and Maelstrom then no longer hears the node that answers it.
#[test]
fn lin_kv_says_in_time_that_it_does_not_know() {
    let limit = lin_kv::ANSWER_WITHIN.as_micros() / 1000;
    for kind in ["read", "write", "cas"] {
        let body = json!({"type": kind, "key": 1, "value": 1, "from": 1, "to": 1});
        // The test plays `lin-kv`, and is silent.
        let mut cut = cluster(3, 1, 0, LinKv::default);
        let (reply, calls) = converse(&mut cut, 0, body.clone());
        let millis = reply.at.as_micros() / 1000;
        assert_eq!((&reply.body["code"], millis < limit), (&json!(0), true), "{kind} after {millis} ms");
        // A read may be asked again, and nothing else may.
        assert_eq!(calls.len(), if kind == "read" { 3 } else { 1 });
        // An answer that comes after that goes nowhere.
        let (reply, millis) = ask_and_wait(&mut lin_kv_cluster(1, 490), 0, body);
        assert_eq!((&reply["code"], millis < limit), (&json!(0), true), "{kind} after {millis} ms");
    }
}

/// Asks and waits for the answer, while the test plays a `lin-kv` of one key: of what goes there and of what comes back,
/// 100 ms after it was asked for, a fifth is lost.
fn ask_over_lossy_links(
    cluster: &mut TestCluster,
    rng: &mut Rng,
    stored: &mut Value,
    node: usize,
    body: Value,
) -> Value {
    let client = format!("c{}", cluster.now().as_micros());
    let end = cluster.now() + Duration::from_secs(5);
    cluster.tell(&client, &name(node), body);
    let mut answers = Vec::new();
    while let Some(said) = cluster.next(end - cluster.now()) {
        if said.dest == client {
            answers.push(said.body);
            continue;
        }
        assert_eq!(said.dest, "lin-kv");
        if rng.f64() < 0.2 {
            continue;
        }
        let reply = match said.body["type"].as_str() {
            Some("write") => {
                *stored = said.body["value"].clone();
                json!({"type": "write_ok"})
            }
            _ if stored.is_null() => json!({"type": "error", "code": 20, "text": "no such key"}),
            _ => json!({"type": "read_ok", "value": stored}),
        };
        if rng.f64() >= 0.2 {
            cluster.reply_after(Duration::from_millis(100), &said, reply);
        }
    }
    assert_eq!(answers.len(), 1, "one answer, and not {answers:?}");
    answers.remove(0)
}

/// Writes of different values and reads of one key, one after the other and over lossy links: a read shows the last
/// write that was acknowledged, or one of which nobody knows and that came later.
#[test]
fn lin_kv_loses_no_acknowledged_write() {
    for seed in 0..SEEDS {
        let mut network = cluster(3, seed, 0, LinKv::default);
        let (mut rng, mut links, mut stored) = (Rng::with_seed(seed), Rng::with_seed(!seed), Value::Null);
        let mut ask = |node, body| ask_over_lossy_links(&mut network, &mut links, &mut stored, node, body);
        let (mut possible, mut known) = (BTreeSet::new(), 0);
        for n in 0..100_u64 {
            let node = rng.usize(..3);
            if rng.bool() {
                let reply = ask(node, json!({"type": "write", "msg_id": 1, "key": 1, "value": n}));
                if reply["type"] == "write_ok" {
                    possible.clear();
                    known += 1;
                }
                possible.insert(n);
            } else {
                let reply = ask(node, json!({"type": "read", "msg_id": 1, "key": 1}));
                if let Some(value) = reply["value"].as_u64() {
                    assert!(possible.contains(&value), "seed {seed}: {value} is none of {possible:?}");
                } else {
                    assert!(reply["code"] == 0 || reply["code"] == 20, "{reply}");
                }
            }
        }
        assert!(known > 10, "{known} writes were acknowledged");
    }
}
