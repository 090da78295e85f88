//! A network that loses, doubles, delays and mixes up what a node sends, and nodes that bear it.

#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::support::{INIT, Node as Process, answers, echo, kill, messenger, run};
use crate::talk::{Talk as _, message, n1};
use messenger::boundary::chaos::{ChaosConfig, ChaosError};
use messenger::boundary::dedup::DedupConfig;
use messenger::node::Config;
use messenger::nodes::course::Messenger;
use messenger::workbench::{Latency, TestCluster};
use messenger::{Context, Duration, Handler, Instant, Request, RpcError};
use serde_json::{Value, json};

fn bench(chaos: &str) -> TestCluster {
    let chaos = (!chaos.is_empty()).then(|| chaos.parse().unwrap());
    n1(Messenger::default(), Config { chaos, ..Config::default() })
}

/// Which of a hundred echoes are answered.
fn survivors(bench: &mut TestCluster) -> Vec<u64> {
    for n in 0..100 {
        bench.receive("c1", json!({"type": "echo", "msg_id": n, "echo": "x"}));
    }
    bench.bodies().iter().map(|body| body["in_reply_to"].as_u64().unwrap()).collect()
}

#[test]
fn the_same_seed_drops_the_same_messages() {
    let on = json!({"type": "chaos_on", "msg_id": 1, "drop_rate": 0.5});
    let mut first = bench("");
    first.receive("c1", on.clone());
    assert_eq!(
        first.bodies(),
        [json!({"type": "chaos_on_ok", "drop_rate": 0.5, "in_reply_to": 1, "msg_id": 1})]
    );
    let answered = survivors(&mut first);
    assert!((30..70).contains(&answered.len()), "{answered:?}");

    let mut second = bench("");
    second.receive("c1", on.clone());
    second.take();
    assert_eq!(survivors(&mut second), answered);
    // Switched on again it starts again.
    second.receive("c1", on.clone());
    second.take();
    assert_eq!(survivors(&mut second), answered);
    // From the start it depends on the seed, and on the node.
    assert_eq!(survivors(&mut bench("drop=0.5")), survivors(&mut bench("drop=0.5")));
    assert_ne!(survivors(&mut bench("drop=0.5")), survivors(&mut bench("drop=0.5,seed=7")));
}

#[test]
fn chaos_is_counted_and_ends() {
    let mut bench = bench("");
    bench.receive("c1", json!({"type": "chaos_stats", "msg_id": 1}));
    bench.receive("c1", json!({"type": "chaos_on", "msg_id": 2}));
    bench.receive("c1", json!({"type": "chaos_on", "msg_id": 3, "drop_rate": 1}));
    assert_eq!(survivors(&mut bench).len(), 3, "only what was said before and about chaos itself");
    // Requests to others are messages like any other.
    bench.receive(
        "c1",
        json!({"type": "send_fire_forget", "msg_id": 4, "target": "n2", "payload": {"type": "x"}}),
    );
    bench.receive("c1", json!({"type": "chaos_stats", "msg_id": 5}));
    bench.receive("c1", json!({"type": "chaos_off", "msg_id": 6}));
    bench.receive("c1", json!({"type": "echo", "msg_id": 7, "echo": 1}));
    bench.receive("c1", json!({"type": "chaos_stats", "msg_id": 8}));
    let stats = |is_on, msg_id| {
        json!({"type": "chaos_stats_ok", "enabled": is_on, "drop_rate": 1.0, "total_sent": 102, "total_dropped": 102,
            "in_reply_to": if is_on { 5 } else { 8 }, "msg_id": msg_id})
    };
    assert_eq!(
        bench.bodies(),
        [
            // What was dropped has used its number.
            stats(true, 106),
            json!({"type": "chaos_off_ok", "in_reply_to": 6, "msg_id": 107}),
            json!({"type": "echo_ok", "echo": 1, "in_reply_to": 7, "msg_id": 108}),
            stats(false, 109),
        ]
    );
    assert_eq!(bench.node::<Messenger>("n1").counters().chaos_dropped, 102);
}

#[test]
fn messages_come_twice_late_and_in_another_order() {
    let mut doubled = bench("duplicate=1");
    doubled.receive("c1", json!({"type": "echo", "msg_id": 1, "echo": 1}));
    let sent = doubled.bodies();
    assert_eq!((sent.len(), &sent[0]), (2, &sent[1]));

    let mut late = bench("delay=5ms");
    for n in 0..3 {
        late.receive("c1", json!({"type": "echo", "msg_id": n, "echo": n}));
        late.pass_ms(1);
    }
    assert!(!late.node::<Messenger>("n1").is_idle());
    late.pass_ms(100);
    assert_eq!(late.times(), [5.0, 6.0, 7.0]);
    assert!(late.node::<Messenger>("n1").is_idle());

    let mut mixed = bench("reorder=10ms");
    let order = survivors(&mut mixed);
    mixed.pass_ms(10);
    let order: Vec<u64> =
        order.into_iter().chain(mixed.bodies().iter().map(|x| x["in_reply_to"].as_u64().unwrap())).collect();
    let mut sorted = order.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    assert_ne!(sorted, order);
}

#[test]
fn chaos_may_hit_some_peers_only() {
    let mut bench = bench("drop=1,peer=c2,peer=n2");
    for src in ["c1", "c2", "n3"] {
        bench.receive(src, json!({"type": "echo", "msg_id": 1, "echo": 1}));
    }
    let dests: Vec<_> = bench.sent().into_iter().map(|(_, message)| message["dest"].clone()).collect();
    assert_eq!(dests, ["c1", "n3"]);
}

#[test]
fn what_is_held_back_has_a_bound() {
    let mut bench = bench("delay=60s");
    let big = "x".repeat(1 << 20);
    for n in 0..20 {
        bench.receive("c1", json!({"type": "echo", "msg_id": n, "echo": big}));
    }
    // The oldest leave early: nothing is lost.
    let early: Vec<_> = bench.bodies().iter().map(|body| body["in_reply_to"].clone()).collect();
    assert_eq!(early, [0, 1, 2, 3, 4]);
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.bodies().len(), 15);
}

#[test]
fn chaos_is_read_from_text() {
    let all: ChaosConfig =
        "drop=0.1,duplicate=0.01,delay=5ms,reorder=2s,peer=n2,peer=n3,seed=7".parse().unwrap();
    let expected = ChaosConfig {
        drop: 0.1,
        duplicate: 0.01,
        delay: Duration::from_millis(5),
        reorder: Duration::from_secs(2),
        peers: vec!["n2".into(), "n3".into()],
        seed: 7,
    };
    assert_eq!(all, expected);
    for (text, error) in [
        ("drop=2", r#"drop: expected a rate from 0 to 1, found "2""#),
        ("drop", r#"drop: expected a rate from 0 to 1, found """#),
        ("delay=5", r#"delay: expected a time of up to a minute, such as 5ms, found "5""#),
        ("delay=2min", r#"delay: expected a time of up to a minute, such as 5ms, found "2min""#),
        ("loss=1", r#"chaos: expected drop, duplicate, delay, reorder, peer or seed, found "loss=1""#),
        ("peer=", r#"peer: expected a name, such as n2, found """#),
        ("", r#"chaos: expected drop, duplicate, delay, reorder, peer or seed, found """#),
    ] {
        let found: Result<ChaosConfig, ChaosError> = text.parse();
        assert_eq!(found.unwrap_err().to_string(), error);
    }
    let output = run(messenger(&["--chaos", "drop=2"]), b"");
    assert_eq!(output.status.code(), Some(254));
}

#[test]
fn the_command_line_switches_chaos_and_dedup_on() {
    let lines = format!("{INIT}\n{}\n{}\n", echo(1, "1"), echo(1, "1"));
    let output = run(messenger(&["--chaos", "drop=1", "--dedup"]), lines.as_bytes());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.stdout.starts_with(br#"{"src":"n1","dest":"c0","body":{"type":"init_ok""#));
    assert_eq!(output.stdout.split_inclusive(|&byte| byte == b'\n').count(), 1);
    assert!(stderr.contains("1 duplicates answered from the cache, 2 dropped by chaos"), "{stderr}");
}

#[test]
fn dedup_echo_answers_with_what_came_first() {
    let ask = |msg_id: u64, echo: &str| {
        format!(
            r#"{{"src":"c1","dest":"n1","body":{{"type":"dedup_echo","msg_id":{msg_id},"echo":{echo}}}}}"#
        )
    };
    let without_number = r#"{"src":"c1","dest":"n1","body":{"type":"dedup_echo","echo":1}}"#;
    let stats = r#"{"src":"c1","dest":"n1","body":{"type":"dedup_stats","msg_id":9}}"#;
    let (answers, _) =
        answers(&[INIT, &ask(1, "[1.0]"), &ask(2, "2"), &ask(1, "3"), without_number, without_number, stats]);
    let gist = |answer: &Value| (answer["body"]["echo"].clone(), answer["body"]["was_duplicate"].clone());
    let gists: Vec<_> = answers[1..4].iter().map(gist).collect();
    assert_eq!(gists, [(json!([1.0]), json!(false)), (json!(2), json!(false)), (json!([1.0]), json!(true))]);
    let stats = &answers[4]["body"];
    assert_eq!(
        (&stats["total"], &stats["duplicates"], &stats["cache_size"]),
        (&json!(5), &json!(1), &json!(2))
    );
}

#[test]
fn with_dedup_a_request_that_comes_again_gets_its_first_answer() {
    let config = Config { dedup: Some(DedupConfig::default()), ..Config::default() };
    let mut bench = n1(Messenger::default(), config);
    let echo = |echo: u64| json!({"type": "echo", "msg_id": 7, "echo": echo});
    bench.receive("c1", echo(1));
    bench.receive("c1", echo(1));
    // Another client, whose name is written with an escape.
    bench.tell_line("n1", r#"{"src":"c\u0032","dest":"n1","body":{"type":"echo","msg_id":7,"echo":3}}"#);
    bench.receive("c1", json!({"type": "no such", "msg_id": 8}));
    bench.receive("c1", echo(1));
    let ok =
        |echo: u64, msg_id: u64| json!({"type": "echo_ok", "echo": echo, "in_reply_to": 7, "msg_id": msg_id});
    let sent = bench.sent();
    assert_eq!(sent[0].1, message("c1", ok(1, 1)));
    // The very message that was sent before, its number included.
    assert_eq!(sent[1].1, sent[0].1);
    assert_eq!(sent[2].1, message("c2", ok(3, 2)));
    assert_eq!(sent[3].1["body"]["code"], 10);
    assert_eq!(sent[4].1, sent[0].1);
    // An error is an answer too.
    bench.receive("c1", json!({"type": "no such", "msg_id": 8}));
    assert_eq!(bench.bodies()[0]["code"], 10);

    // While the first is worked on, the next ones wait for its answer with it.
    let relay = json!({"type": "relay", "msg_id": 9, "target": "n2", "payload": {"type": "ask"}});
    bench.receive("c1", relay.clone());
    bench.receive("c1", relay.clone());
    let calls = bench.bodies();
    assert_eq!(calls.len(), 1);
    bench.receive("n2", json!({"type": "ask_ok", "in_reply_to": calls[0]["msg_id"]}));
    bench.receive("c1", relay);
    let [first, again] = &bench.bodies()[..] else { panic!("one answer each") };
    assert_eq!((&first["type"], &first["result"]), (&again["type"], &again["result"]));
    assert_eq!(again["type"], "relay_ok");
    assert_eq!(
        (
            bench.node::<Messenger>("n1").counters().duplicates_answered,
            bench.node::<Messenger>("n1").counters().duplicates_dropped
        ),
        (4, 1)
    );
    // Its answers are in the log like any.
    bench.receive("c1", json!({"type": "get_log", "msg_id": 10, "count": 2}));
    assert_eq!(bench.bodies()[0]["entries"][0]["msg_type"], "relay_ok");
}

/// A node that is started again numbers from 0, like every node of this crate.
#[test]
fn a_peer_that_was_started_again_gets_answers_to_what_it_asks_now() {
    let config = Config { dedup: Some(DedupConfig::default()), ..Config::default() };
    let mut target = n1(Messenger::default(), config);
    let mut life = |payloads: [u64; 3]| -> Vec<Value> {
        // A peer that relays what clients want of it: its calls are numbered as they come.
        let mut peer = n1(Messenger::default(), Config::default());
        let calls = payloads.map(|echo| {
            peer.receive("c1", json!({"type": "proxy", "msg_id": 1, "target": "n2", "inner": {"type": "echo", "echo": echo}}));
            peer.bodies().remove(0)
        });
        // Each comes twice.
        for call in calls.iter().flat_map(|call| [call, call]) {
            target.receive("n3", call.clone());
        }
        target.bodies().iter().map(|body| body["echo"].clone()).collect()
    };
    assert_eq!(life([1, 2, 3]), [1, 1, 2, 2, 3, 3]);
    // The first number with another content says it all: what is under the third was asked before the restart.
    assert_eq!(life([4, 5, 3]), [4, 4, 5, 5, 3, 3]);
    assert_eq!(target.node::<Messenger>("n1").counters().duplicates_answered, 6);
}

#[test]
fn what_is_held_back_leaves_at_the_end() {
    let lines = format!("{INIT}\n{}\n", echo(1, "1"));
    let output = run(messenger(&["--chaos", "delay=30s", "--drain-timeout", "0.1"]), lines.as_bytes());
    assert_eq!(output.stdout.split_inclusive(|&byte| byte == b'\n').count(), 2);
    let mut node = Process::spawn(&mut messenger(&["--chaos", "delay=30s"]));
    node.ask(INIT);
    node.send(&echo(1, "1"));
    node.send(r#"{"src":"c1","dest":"n1","body":{"type":"chaos_stats","msg_id":2}}"#);
    assert!(node.line().contains("chaos_stats_ok"));
    kill(node.child.id(), "TERM");
    assert!(node.line().contains("echo_ok"));
}

/// Puts every request off until somebody says what to do with all of them.
#[derive(Default)]
struct Puts {
    off: Vec<messenger::node::Deferred>,
    asked: u32,
}

impl Handler for Puts {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "ask" => {
                self.asked += 1;
                let later = cx.defer(request);
                self.off.push(later);
                Ok(())
            }
            "answer" => {
                for later in self.off.drain(..) {
                    cx.answer(later, "ask_ok").send()?;
                }
                cx.reply(request, "answer_ok").send()
            }
            "drop" => {
                for later in self.off.drain(..) {
                    drop(cx.answer(later, "ask_ok"));
                }
                cx.reply(request, "drop_ok").send()
            }
            "busy" => {
                self.asked += 1;
                Err(RpcError::temporarily_unavailable("later"))
            }
            _ => Ok(()),
        }
    }
}

fn remembering(entries: usize) -> TestCluster {
    let dedup = Some(DedupConfig { entries, ..DedupConfig::default() });
    n1(Puts::default(), Config { dedup, ..Config::default() })
}

fn ask(bench: &mut TestCluster, kind: &str, msg_id: u64) -> Vec<Value> {
    bench.receive("c1", json!({"type": kind, "msg_id": msg_id}));
    bench.bodies().iter().map(|body| json!([body["type"], body["in_reply_to"]])).collect()
}

#[test]
fn what_is_worked_on_is_not_forgotten_however_much_else_comes() {
    let mut bench = remembering(10);
    ask(&mut bench, "ask", 1);
    for n in 0..100 {
        ask(&mut bench, "nothing", 100 + n);
    }
    assert_eq!(ask(&mut bench, "ask", 1), [] as [Value; 0]);
    assert_eq!(bench.node::<Puts>("n1").handler().asked, 1);
    assert_eq!(ask(&mut bench, "answer", 2), [json!(["ask_ok", 1]), json!(["answer_ok", 2])]);
    assert_eq!(ask(&mut bench, "ask", 1), [json!(["ask_ok", 1])]);
}

#[test]
fn an_answer_that_came_too_late_is_there_for_who_asks_again() {
    let mut bench = remembering(10);
    ask(&mut bench, "ask", 1);
    bench.pass(Duration::from_secs(5));
    assert_eq!(ask(&mut bench, "answer", 2), [json!(["answer_ok", 2])]);
    assert_eq!(ask(&mut bench, "ask", 1), [json!(["ask_ok", 1])]);
    assert_eq!(
        (bench.node::<Puts>("n1").counters().late_answers, bench.node::<Puts>("n1").handler().asked),
        (1, 1)
    );
}

#[test]
fn what_was_not_done_may_be_done_when_it_comes_again() {
    let mut bench = remembering(10);
    for _ in 0..2 {
        assert_eq!(ask(&mut bench, "busy", 1), [json!(["error", 1])]);
    }
    assert_eq!(bench.node::<Puts>("n1").handler().asked, 2);
}

#[test]
fn nothing_but_its_own_answer_is_kept_for_a_request() {
    let mut bench = remembering(10);
    ask(&mut bench, "ask", 1);
    // A line that is no message, with the same number from the same client.
    bench.tell_line("n1", r#"{"src":"c1","dest":"n1","body":{"msg_id":1}}"#);
    assert_eq!(bench.bodies()[0]["code"], 12);
    ask(&mut bench, "answer", 2);
    assert_eq!(ask(&mut bench, "ask", 1), [json!(["ask_ok", 1])]);
}

#[test]
fn an_answer_that_is_begun_and_not_sent_becomes_an_error() {
    let mut bench = remembering(10);
    ask(&mut bench, "ask", 1);
    assert_eq!(ask(&mut bench, "drop", 2), [json!(["drop_ok", 2]), json!(["error", 1])]);
}

/// Answers everything, and knows how often it was asked by whom.
#[derive(Default)]
struct Target {
    asked: BTreeMap<(String, String), u32>,
}

impl Handler for Target {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let number = request.required("msg_id")?.raw().to_owned();
        *self.asked.entry((request.src().to_owned(), number)).or_default() += 1;
        cx.reply(request, "ask_ok").send()
    }
}

/// A thousand relays from a client over n1 to n2, where each message of the nodes is lost with 30 % and comes twice
/// with 10 %. The client asks again, with the same number, until it is answered.
#[test]
fn every_relay_is_answered_and_nothing_is_done_twice() {
    const RELAYS: u64 = 1000;
    const LATENCY: Duration = Duration::from_millis(1);
    const PATIENCE: Duration = Duration::from_secs(1);
    for seed in 0..200 {
        let config = |node| Config {
            seed,
            dedup: Some(DedupConfig::default()),
            chaos: Some(ChaosConfig {
                drop: 0.3,
                duplicate: 0.1,
                seed: seed * 2 + node,
                ..ChaosConfig::default()
            }),
            ..Config::default()
        };
        let mut cluster = TestCluster::of(["n1", "n2"]).with_network(seed, Latency::constant(LATENCY));
        cluster.start_with("n1", Messenger::default(), config(0));
        cluster.start_with("n2", Target::default(), config(1));
        let ask = |n: u64| json!({"type": "relay", "msg_id": n, "target": "n2", "payload": {"type": "ask", "n": n}});
        let mut is_answered = vec![false; RELAYS as usize];
        // One relay a millisecond, and again a second after that as long as there is no answer.
        let mut asks: BinaryHeap<Reverse<(Instant, u64)>> =
            (0..RELAYS).map(|n| Reverse((Instant::START + Duration::from_millis(n), n))).collect();
        while let Some(Reverse((at, n))) = asks.pop() {
            cluster.pass_until(at);
            for answer in cluster.take() {
                is_answered[answer.body["in_reply_to"].as_u64().unwrap() as usize] = true;
            }
            if !is_answered[n as usize] {
                assert!(at < Instant::from_micros(120_000_000), "seed {seed}: not every relay is answered");
                cluster.tell("c1", "n1", ask(n));
                asks.push(Reverse((at + PATIENCE, n)));
            }
        }
        cluster.pass(Duration::from_secs(10));
        // Each relay was handled once, and made its one call; each attempt of it was handled once.
        let (n1, n2) = (cluster.node::<Messenger>("n1"), cluster.node::<Target>("n2"));
        assert_eq!(n1.counters().calls, RELAYS, "seed {seed}");
        assert!(n1.counters().retries > 0 && n1.counters().duplicates_answered > 0, "seed {seed}");
        let twice: Vec<_> = n2.handler().asked.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "seed {seed}: {twice:?}");
        assert!(n2.counters().duplicates_answered > 0, "seed {seed}");
        assert_eq!((n1.pending_calls(), n2.pending_calls()), (0, 0));
    }
}
