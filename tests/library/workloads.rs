//! The workloads of this crate, as several nodes in virtual time on a network that is as bad as it gets.

#![allow(clippy::cast_precision_loss, reason = "small numbers")]

use std::collections::{BTreeMap, BTreeSet};

use crate::network::{Conditions, Network, Service};
use crate::virtual_time::Bench;
use fastrand::Rng;
use messenger::node::Config;
use messenger::nodes::broadcast::Broadcast;
use messenger::nodes::counter::Counter;
use messenger::nodes::g_set::GSet;
use messenger::nodes::lin_kv::{self, LinKv};
use messenger::nodes::unique_ids::UniqueIds;
use messenger::{Duration, Handler, Instant};
use serde_json::{Value, json};

const SEEDS: u64 = 20;

fn at_ms(millis: u64) -> Instant {
    Instant::START + Duration::from_millis(millis)
}

/// Nothing goes wrong, and everything takes this long.
fn calm(latency_ms: u64) -> Conditions {
    Conditions {
        latency: Duration::from_millis(latency_ms),
        jitter: Duration::ZERO,
        loss: 0.0,
        duplication: 0.0,
        is_cut: Box::new(|_, _, _| false),
    }
}

/// Until `heal`, a fifth of the messages is lost and a fifth comes twice, in any order, and every 1.5 seconds the
/// network falls apart in another way: in two, into single nodes, one node alone, or in one direction only.
fn stormy(seed: u64, heal: Instant) -> Conditions {
    let is_cut = move |now: Instant, src: &str, dest: &str| {
        let mut rng = Rng::with_seed(seed ^ (now.as_micros() / 1_500_000) << 32);
        let (kind, alone) = (rng.u8(..6), format!("n{}", rng.u8(..5)));
        let half: Vec<bool> = (0..32).map(|_| rng.bool()).collect();
        let side = |node: &str| node[1..].parse().is_ok_and(|node: usize| half[node]);
        now < heal
            && match kind {
                0 => true,
                1 => src == alone || dest == alone,
                2 => dest == alone,
                3 => side(src) && !side(dest),
                4 => side(src) != side(dest),
                _ => false,
            }
    };
    Conditions {
        jitter: Duration::from_millis(60),
        loss: 0.2,
        duplication: 0.2,
        is_cut: Box::new(is_cut),
        ..calm(20)
    }
}

/// Operations at about a hundred a second go to nodes at random, until it is `end`.
fn load<W: Handler>(
    network: &mut Network<W>,
    rng: &mut Rng,
    end: Instant,
    mut operate: impl FnMut(&mut Network<W>, &mut Rng, usize),
) {
    while network.now < end {
        let next = network.now + Duration::from_micros(rng.u64(1..20_000));
        network.run_until(next.min(end), |_| {});
        let node = rng.usize(..network.nodes.len());
        operate(network, rng, node);
    }
}

/// Ends the bad weather, and gives the nodes the ten seconds that Maelstrom gives them.
fn recover<W: Handler>(network: &mut Network<W>) {
    network.conditions = calm(20);
    network.run_until(network.now + Duration::from_secs(10), |_| {});
}

fn elements(read: &Value, field: &str) -> Vec<u64> {
    let mut elements: Vec<u64> = serde_json::from_value(read[field].clone()).unwrap();
    elements.sort_unstable();
    elements
}

#[test]
fn ids_are_unique_though_every_node_has_the_same_seed_and_starts_again_with_it() {
    let mut ids = BTreeSet::new();
    let mut network = Network::new(3, 7, calm(0), UniqueIds::default);
    let mut count = 0;
    for life in 0..5 {
        for node in 0..3 {
            for _ in 0..100 {
                let reply = network.ask(node, json!({"type": "generate"}));
                assert_eq!(reply["type"], "generate_ok");
                count += 1;
                assert!(ids.insert(reply["id"].as_str().unwrap().to_owned()), "{reply} in life {life}");
            }
        }
        network.run_until(network.now + Duration::from_micros(1), |_| {});
        network.restart(life % 3, UniqueIds::default(), Config { seed: 7, ..Config::default() });
    }
    // A real clock begins anew with each start, but a real seed is another one.
    let mut fresh = Network::new(1, 8, calm(0), UniqueIds::default);
    assert!(ids.insert(fresh.ask(0, json!({"type": "generate"}))["id"].as_str().unwrap().to_owned()));
    assert_eq!((ids.len(), network.sent), (count + 1, 0));
}

/// Adds numbers from 0 up through a storm; what the nodes show when it is over.
fn weather<W: Handler>(seed: u64, add: impl Fn(u64) -> Value, workload: impl Fn() -> W) -> (u64, Network<W>) {
    let heal = at_ms(20_000);
    let mut network = Network::new(5, seed, stormy(seed, heal), workload);
    let (mut rng, mut added) = (Rng::with_seed(seed), 0);
    load(&mut network, &mut rng, heal, |network, _, node| {
        network.ask(node, add(added));
        added += 1;
    });
    recover(&mut network);
    (added, network)
}

#[test]
fn after_a_storm_every_broadcast_is_everywhere() {
    for seed in 0..SEEDS {
        let broadcast = |n| json!({"type": "broadcast", "message": n});
        let (added, mut network) = weather(seed, broadcast, Broadcast::default);
        for node in 0..5 {
            let read = network.ask(node, json!({"type": "read"}));
            assert_eq!(elements(&read, "messages"), (0..added).collect::<Vec<_>>(), "seed {seed}, n{node}");
        }
    }
}

#[test]
fn after_a_storm_every_element_is_in_every_set() {
    for seed in 0..SEEDS {
        let (added, mut network) = weather(seed, |n| json!({"type": "add", "element": n}), GSet::default);
        for node in 0..5 {
            let read = network.ask(node, json!({"type": "read"}));
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
            assert_eq!(network.ask(node, json!({"type": "read"}))["value"], sum, "seed {seed}, n{node}");
        }
        let delta = |n: u64| n % 5;
        let (added, mut network) =
            weather(seed, |n| json!({"type": "add", "delta": delta(n)}), Counter::growing);
        let sum: u64 = (0..added).map(delta).sum();
        for node in 0..5 {
            assert_eq!(network.ask(node, json!({"type": "read"}))["value"], sum, "seed {seed}, n{node}");
        }
    }
}

#[test]
fn a_counter_takes_what_it_can_count() {
    let mut network = Network::new(2, 1, calm(1), Counter::growing);
    for delta in [json!(-1), json!(1.0), json!("1"), Value::Null] {
        assert_eq!(network.ask(0, json!({"type": "add", "delta": delta}))["code"], 12);
    }
    for _ in 0..3 {
        network.ask(0, json!({"type": "add", "delta": i64::MAX}));
    }
    let mut falling = Network::new(2, 1, calm(1), Counter::any);
    for _ in 0..3 {
        falling.ask(0, json!({"type": "add", "delta": i64::MIN}));
    }
    recover(&mut network);
    recover(&mut falling);
    assert_eq!(network.nodes[1].handler().value(), 3 * i128::from(i64::MAX));
    assert_eq!(falling.nodes[1].handler().value(), 3 * i128::from(i64::MIN));
}

/// What a counter has told others survives it; what it counts after that is added.
#[test]
fn a_counter_that_was_killed_goes_on() {
    let mut network = Network::new(3, 1, calm(10), Counter::any);
    network.ask(1, json!({"type": "add", "delta": 5}));
    recover(&mut network);
    network.restart(1, Counter::any(), Config { seed: 1, ..Config::default() });
    network.ask(1, json!({"type": "add", "delta": -2}));
    recover(&mut network);
    for node in 0..3 {
        assert_eq!(network.ask(node, json!({"type": "read"}))["value"], 3, "n{node}");
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
        let mut network = Network::new(NODES, seed, calm(100), Broadcast::default);
        let mut rng = Rng::with_seed(seed);
        let (mut told, mut seen) = (Vec::<Instant>::new(), [(0, 0); NODES]);
        let mut copies = Vec::<usize>::new();
        let mut read_up =
            |network: &mut Network<Broadcast>, told: &[Instant], latencies: &mut Vec<Duration>| {
                copies.resize(told.len(), 0);
                for (node, (bytes, count)) in network.nodes.iter().zip(&mut seen) {
                    let values = node.handler().values();
                    for value in values[*bytes..].split(',').filter(|value| !value.is_empty()) {
                        let value: usize = value.parse().unwrap();
                        *count += 1;
                        copies[value] += 1;
                        if copies[value] == NODES {
                            latencies.push(network.now - told[value]);
                        }
                    }
                    *bytes = values.len();
                }
            };
        while network.now < at_ms(20_000) {
            // One operation every 10 ms on average.
            let next = network.now + Duration::from_micros(rng.u64(1..20_000));
            network.run_until(next, |network| read_up(network, &told, &mut latencies));
            let node = rng.usize(..NODES);
            operations += 1;
            if rng.bool() {
                network.ask(node, json!({"type": "broadcast", "message": told.len()}));
                told.push(network.now);
                read_up(&mut network, &told, &mut latencies);
            } else {
                network.ask(node, json!({"type": "read"}));
            }
        }
        let end = network.now + Duration::from_secs(10);
        network.run_until(end, |network| read_up(network, &told, &mut latencies));
        operations += NODES as u64;
        messages += network.sent;
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
        let mut network = Network::new(count, 1, calm(100), Broadcast::default);
        for n in 0..100 {
            network.ask(n % count, json!({"type": "broadcast", "message": n}));
        }
        recover(&mut network);
        let (before, seconds) = (network.sent, 100);
        network.run_until(network.now + Duration::from_secs(seconds), |_| {});
        let digests = if count > 1 { count as u64 * seconds / 2 } else { 0 };
        assert!(network.sent - before <= digests + count as u64, "{} messages", network.sent - before);
    }
}

/// With latencies as long as the node's own patience, and longer.
#[test]
fn slow_networks_cost_few_messages_more() {
    for (latency_ms, limit) in [(1, 1.95), (500, 1.95), (3000, 3.5)] {
        let mut network = Network::new(25, 1, calm(latency_ms), Broadcast::default);
        let (mut rng, mut operations, mut told) = (Rng::with_seed(1), 0, 0);
        load(&mut network, &mut rng, at_ms(60_000), |network, rng, node| {
            operations += 1;
            if rng.bool() {
                network.ask(node, json!({"type": "broadcast", "message": told}));
                told += 1;
            }
        });
        let per_operation = network.sent as f64 / f64::from(operations);
        println!("{latency_ms} ms: {per_operation:.3} messages per operation");
        assert!(per_operation < limit, "{per_operation} at {latency_ms} ms");
        network.run_until(network.now + Duration::from_secs(20), |_| {});
        for node in 0..25 {
            let read = network.ask(node, json!({"type": "read"}));
            assert_eq!(elements(&read, "messages"), (0..told).collect::<Vec<u64>>());
        }
    }
}

#[test]
fn nodes_without_their_hub_come_to_have_the_same() {
    let mut network = Network::new(25, 1, calm(100), Broadcast::default);
    network.conditions.is_cut = Box::new(|_, src, dest| src == "n0" || dest == "n0");
    let (mut rng, mut told) = (Rng::with_seed(1), 0);
    load(&mut network, &mut rng, at_ms(5_000), |network, _, node| {
        if node > 0 {
            network.ask(node, json!({"type": "broadcast", "message": told}));
            told += 1;
        }
    });
    network.run_until(network.now + Duration::from_secs(15), |_| {});
    for node in 1..25 {
        let read = network.ask(node, json!({"type": "read"}));
        assert_eq!(elements(&read, "messages"), (0..told).collect::<Vec<u64>>(), "n{node}");
    }
    assert_eq!(network.ask(0, json!({"type": "read"}))["messages"], json!([]));
    recover(&mut network);
    let read = network.ask(0, json!({"type": "read"}));
    assert_eq!(elements(&read, "messages"), (0..told).collect::<Vec<u64>>());
}

/// The hub or a leaf is killed and starts again with its memory gone, while others go on.
#[test]
fn a_node_that_was_killed_learns_everything_again() {
    for (victim, seed) in [(0, 1), (0, 2), (3, 1), (3, 2)] {
        let mut network = Network::new(5, seed, calm(50), Broadcast::default);
        let (mut rng, mut told) = (Rng::with_seed(seed), 0);
        let mut tell = |network: &mut Network<Broadcast>, seconds, but_not| {
            load(network, &mut rng, network.now + Duration::from_secs(seconds), |network, _, node| {
                if Some(node) != but_not {
                    network.ask(node, json!({"type": "broadcast", "message": told}));
                    told += 1;
                }
            });
            told
        };
        tell(&mut network, 5, None);
        // What only the victim has goes with it.
        tell(&mut network, 2, Some(victim));
        network.restart(victim, Broadcast::default(), Config { seed, ..Config::default() });
        let told = tell(&mut network, 5, None);
        recover(&mut network);
        for node in 0..5 {
            let read = network.ask(node, json!({"type": "read"}));
            assert_eq!(elements(&read, "messages"), (0..told).collect::<Vec<u64>>(), "n{node} of {victim}");
        }
    }
}

#[test]
fn a_lot_to_catch_up_with_comes_in_pieces() {
    const TOLD: u64 = 200_000;
    for lonely in [0, 1] {
        let mut network = Network::new(3, 1, calm(10), Broadcast::default);
        let name = format!("n{lonely}");
        network.conditions.is_cut = Box::new(move |_, src, dest| src == name || dest == name);
        for n in 0..TOLD {
            network.ask(lonely, json!({"type": "broadcast", "message": n}));
            if n % 100 == 0 {
                network.run_until(network.now + Duration::from_millis(1), |_| {});
            }
        }
        recover(&mut network);
        for node in 0..3 {
            let read = network.ask(node, json!({"type": "read"}));
            assert_eq!(read["messages"].as_array().unwrap().len() as u64, TOLD, "n{node} of {lonely}");
        }
        assert!(network.longest < 300_000, "{} bytes", network.longest);
    }
}

#[test]
fn any_value_may_be_told_and_is_read_once() {
    let mut network = Network::new(3, 1, calm(10), Broadcast::default);
    let values = [json!("a,\"b\""), json!({"k": [1, {}]}), json!(1.0), json!(1), Value::Null, json!([])];
    for (n, value) in values.iter().chain(&values).enumerate() {
        network.ask(n % 3, json!({"type": "broadcast", "message": value}));
    }
    assert_eq!(network.ask(0, json!({"type": "broadcast"}))["code"], 12);
    assert_eq!(network.ask(0, json!({"type": "topology", "topology": {}}))["type"], "topology_ok");
    recover(&mut network);
    for node in 0..3 {
        let read = network.ask(node, json!({"type": "read"}));
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
        let mut bench = Bench::new(handler, Config::default());
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

/// Maelstrom's `lin-kv`.
fn lin_kv() -> Service {
    let mut values = BTreeMap::<String, Value>::new();
    Box::new(move |request| {
        let key = request["key"].to_string();
        let error = |code: u64| Some(json!({"type": "error", "code": code, "text": "as it says"}));
        match (request["type"].as_str()?, values.get(&key)) {
            ("read" | "cas", None) => error(20),
            ("read", Some(value)) => Some(json!({"type": "read_ok", "value": value})),
            ("cas", Some(value)) if *value != request["from"] => error(22),
            (kind @ ("write" | "cas"), _) => {
                let new = if kind == "write" { "value" } else { "to" };
                values.insert(key, request[new].clone());
                Some(json!({"type": format!("{kind}_ok")}))
            }
            _ => None,
        }
    })
}

fn lin_kv_network(seed: u64, conditions: Conditions) -> Network<LinKv> {
    Network::new(3, seed, conditions, LinKv::default).with_service("lin-kv", lin_kv())
}

/// Asks and waits for the answer: that, and how many milliseconds it took.
fn ask_and_wait(network: &mut Network<LinKv>, node: usize, body: Value) -> (Value, u64) {
    let asked = network.now;
    network.request(node, body);
    network.run_until(asked + Duration::from_secs(5), |_| {});
    let [(at, reply)] = &network.replies[..] else { panic!("one answer, and not {:?}", network.replies) };
    let answer = (reply["body"].clone(), (*at - asked).as_micros() / 1000);
    network.replies.clear();
    answer
}

#[test]
fn lin_kv_hands_requests_on_and_answers_back() {
    let mut network = lin_kv_network(1, calm(100));
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
    let malformed = network.ask(0, json!({"type": "write", "key": 1}));
    assert_eq!(malformed["code"], 12);
}

/// A client gives up after a second, and Maelstrom then no longer hears the node that answers it.
#[test]
fn lin_kv_says_in_time_that_it_does_not_know() {
    let limit = lin_kv::ANSWER_WITHIN.as_micros() / 1000;
    for kind in ["read", "write", "cas"] {
        let body = json!({"type": kind, "key": 1, "value": 1, "from": 1, "to": 1});
        let mut cut = lin_kv_network(1, Conditions { is_cut: Box::new(|_, _, _| true), ..calm(0) });
        let (reply, millis) = ask_and_wait(&mut cut, 0, body.clone());
        assert_eq!((&reply["code"], millis < limit), (&json!(0), true), "{kind} after {millis} ms");
        // A read may be asked again, and nothing else may.
        assert_eq!(cut.sent, if kind == "read" { 3 } else { 1 });
        // An answer that comes after that goes nowhere.
        let (reply, millis) = ask_and_wait(&mut lin_kv_network(1, calm(490)), 0, body);
        assert_eq!((&reply["code"], millis < limit), (&json!(0), true), "{kind} after {millis} ms");
    }
}

/// Writes of different values and reads of one key, one after the other and over lossy links: a read shows the last
/// write that was acknowledged, or one of which nobody knows and that came later.
#[test]
fn lin_kv_loses_no_acknowledged_write() {
    for seed in 0..SEEDS {
        let mut network = lin_kv_network(seed, Conditions { loss: 0.2, ..calm(50) });
        let mut rng = Rng::with_seed(seed);
        let (mut possible, mut known) = (BTreeSet::new(), 0);
        for n in 0..100_u64 {
            let node = rng.usize(..3);
            if rng.bool() {
                let (reply, _) =
                    ask_and_wait(&mut network, node, json!({"type": "write", "key": 1, "value": n}));
                if reply["type"] == "write_ok" {
                    possible.clear();
                    known += 1;
                }
                possible.insert(n);
            } else {
                let (reply, _) = ask_and_wait(&mut network, node, json!({"type": "read", "key": 1}));
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
