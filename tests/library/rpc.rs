//! Calls to other nodes, in virtual time: the messages of the course that make them, and everything that can
//! go wrong with an answer.

use crate::talk::{Talk as _, message, n1};
use messenger::Duration;
use messenger::node::{Config, Node};
use messenger::nodes::course::Messenger;
use messenger::rpc::breaker::BreakerConfig;
use messenger::workbench::TestCluster;
use serde_json::{Value, json};

fn node(bench: &TestCluster) -> &Node<Messenger> {
    bench.node("n1")
}

fn bench() -> TestCluster {
    n1(Messenger::default(), Config::default())
}

fn proxy(msg_id: u64) -> Value {
    json!({"type": "proxy", "msg_id": msg_id, "target": "n2", "inner": {"type": "read", "key": [1.0, "x"]}})
}

fn relay(kind: &str, msg_id: u64) -> Value {
    json!({"type": kind, "msg_id": msg_id, "target": "n2", "payload": {"type": "read"}})
}

fn error(code: i64, text: &str, in_reply_to: u64, msg_id: u64) -> Value {
    json!({"type": "error", "code": code, "text": text, "in_reply_to": in_reply_to, "msg_id": msg_id})
}

#[test]
fn proxy_hands_the_whole_answer_back() {
    let mut bench = bench();
    bench.receive("c1", proxy(7));
    let call = json!({"type": "read", "key": [1.0, "x"], "msg_id": 1});
    assert_eq!(bench.sent(), [(0.0, message("n2", call))]);
    bench.pass_ms(999);
    let answer = json!({"type": "read_ok", "value": {"deep": [1]}, "in_reply_to": 1, "msg_id": 9});
    bench.receive("n2", answer.clone());
    let proxied = json!({"type": "proxy_ok", "result": answer, "in_reply_to": 7, "msg_id": 2});
    assert_eq!(bench.sent(), [(999.0, message("c1", proxied))]);
    bench.pass_ms(10_000);
    assert!(bench.take().is_empty());
    assert!(node(&bench).is_idle());
}

#[test]
fn proxy_times_out_after_a_second_and_not_before() {
    let mut bench = bench();
    bench.receive("c1", proxy(7));
    bench.take();
    bench.pass(Duration::from_micros(999_999));
    assert!(bench.take().is_empty());
    bench.receive("c2", json!({"type": "echo", "echo": "meanwhile", "msg_id": 1}));
    assert_eq!(bench.bodies()[0]["echo"], "meanwhile", "echoes are answered while calls wait");
    bench.pass(Duration::from_micros(1));
    assert_eq!(bench.sent(), [(1000.0, message("c1", error(0, "RPC timeout", 7, 3)))]);
    assert_eq!(node(&bench).counters().reaped, 1);
}

#[test]
fn an_error_of_the_target_ends_proxy_and_relay_at_once() {
    for kind in ["proxy", "relay", "backoff_relay"] {
        for code in [0, 1, 10, 12, 13, 14, 20, 22, 30, 1000, -7] {
            let mut bench = bench();
            bench.receive("c1", if kind == "proxy" { proxy(7) } else { relay(kind, 7) });
            bench.take();
            bench.receive("n2", json!({"type": "error", "code": code, "text": "because", "in_reply_to": 1}));
            assert_eq!(bench.bodies(), [error(code, "because", 7, 2)], "{kind}");
            assert!(node(&bench).is_idle());
        }
    }
    let mut bench = bench();
    bench.receive("c1", proxy(7));
    bench.take();
    bench.receive("n2", json!({"type": "error", "code": 11, "text": "not now", "in_reply_to": 1}));
    assert_eq!(bench.bodies(), [error(11, "not now", 7, 2)], "proxy tries once");
}

#[test]
fn relay_tries_three_times_half_a_second_each() {
    let mut bench = bench();
    bench.receive("c1", relay("relay", 7));
    bench.pass_ms(10_000);
    assert_eq!(bench.times(), [0.0, 500.0, 1000.0, 1500.0]);
    let bodies = bench.bodies();
    for (n, body) in bodies[..3].iter().enumerate() {
        assert_eq!(*body, json!({"type": "read", "msg_id": n + 1}), "each try has a number of its own");
    }
    assert_eq!(bodies[3], error(0, "RPC failed after 3 attempts", 7, 4));
    assert_eq!((node(&bench).counters().retries, node(&bench).counters().reaped), (2, 1));
}

#[test]
fn an_answer_to_any_try_counts() {
    for tries in 1..=3 {
        for answered in 1..=tries {
            let mut bench = bench();
            bench.receive("c1", relay("relay", 7));
            bench.pass_ms(500 * (tries - 1) + 100);
            bench.take();
            let answer = json!({"type": "read_ok", "in_reply_to": answered});
            bench.receive("n2", answer.clone());
            let relayed = json!({"type": "relay_ok", "attempts": tries, "result": answer, "in_reply_to": 7, "msg_id": tries + 1});
            assert_eq!(bench.bodies(), [relayed]);
            // The other tries may be answered too. Nobody hears of it.
            for late in 1..=tries {
                bench.receive("n2", json!({"type": "read_ok", "in_reply_to": late}));
            }
            assert_eq!(node(&bench).counters().unmatched_replies, tries);
            bench.pass_ms(10_000);
            assert!(bench.take().is_empty());
        }
    }
}

#[test]
fn code_11_is_tried_again_when_the_try_is_over() {
    let refusal = |id: u64| json!({"type": "error", "code": 11, "text": "not now", "in_reply_to": id});
    let mut bench = bench();
    bench.receive("c1", relay("relay", 7));
    bench.pass_ms(100);
    bench.receive("n2", refusal(1));
    bench.pass_ms(500);
    assert_eq!(bench.times(), [0.0, 500.0]);
    bench.take();
    bench.receive("n2", json!({"type": "read_ok", "in_reply_to": 2}));
    assert_eq!(bench.bodies()[0]["attempts"], 2);

    bench.receive("c1", relay("relay", 8));
    for id in [4, 5, 6] {
        bench.receive("n2", refusal(id));
        bench.pass_ms(500);
    }
    assert_eq!(bench.bodies().last(), Some(&error(0, "RPC failed after 3 attempts", 8, 7)));
    assert!(node(&bench).is_idle());
}

#[test]
fn backoff_relay_waits_twice_as_long_each_time() {
    let mut schedules = Vec::new();
    for seed in 0..20 {
        let mut bench = n1(Messenger::default(), Config { seed, ..Config::default() });
        bench.receive("c1", relay("backoff_relay", 7));
        bench.pass_ms(10_000);
        let times = bench.times();
        assert_eq!(times.len(), 6);
        for (k, pair) in times.windows(2).enumerate() {
            let (wait, base) = (pair[1] - pair[0], 100.0 * f64::from(1 << k));
            assert!((base..=base * 1.1).contains(&wait), "try {k} waited {wait} ms");
        }
        assert_eq!(bench.bodies()[5], error(0, "RPC failed after 5 attempts", 7, 6));
        schedules.push(times);
    }
    schedules.dedup();
    assert_eq!(schedules.len(), 20, "the jitter is random");
}

#[test]
fn backoff_relay_tells_what_its_tries_waited() {
    let mut bench = bench();
    bench.receive("c1", relay("backoff_relay", 7));
    bench.pass_ms(250);
    let second = bench.times()[1];
    bench.take();
    bench.receive("n2", json!({"type": "read_ok", "in_reply_to": 2}));
    let body = bench.bodies().remove(0);
    assert_eq!((&body["type"], &body["attempts"]), (&json!("backoff_relay_ok"), &json!(2)));
    let total = body["total_delay_ms"].as_f64().unwrap();
    assert!((second.floor() + 200.0..=second + 220.0).contains(&total), "{total} ms for two tries");
}

#[test]
fn batch_echo_keeps_the_order_whatever_comes_first() {
    let mut bench = bench();
    bench.receive("c1", json!({"type": "batch_echo", "msg_id": 7, "values": ["a", "b\"\u{e9}", "c"]}));
    let calls = bench.sent();
    assert_eq!(calls[1], (0.0, message("n1", json!({"type": "echo", "echo": "b\"\u{e9}", "msg_id": 2}))));
    for (_, call) in calls.iter().rev() {
        // They come back over stdin, and the answers too.
        bench.receive("n1", call["body"].clone());
        let mut answers = bench.sent();
        let (_, answer) = answers.remove(0);
        assert_eq!((&answer["dest"], &answer["body"]["type"]), (&json!("n1"), &json!("echo_ok")));
        bench.receive("n1", answer["body"].clone());
    }
    let bodies = bench.bodies();
    assert_eq!(bodies.len(), 1);
    assert_eq!(bodies[0]["results"], json!(["a", "b\"\u{e9}", "c"]));
    assert!(node(&bench).is_idle());
}

#[test]
fn batch_echo_fails_once_if_any_is_missing() {
    let mut bench = bench();
    bench.receive("c1", json!({"type": "batch_echo", "msg_id": 7, "values": ["a", "b", "c"]}));
    bench.take();
    bench.receive("n1", json!({"type": "echo_ok", "echo": "b", "in_reply_to": 2}));
    bench.pass_ms(10_000);
    assert_eq!(bench.sent(), [(2000.0, message("c1", error(0, "not every echo came back", 7, 4)))]);

    bench.receive("c1", json!({"type": "batch_echo", "msg_id": 8, "values": ["a"]}));
    bench.take();
    bench.receive("n1", json!({"type": "echo_ok", "echo": 5, "in_reply_to": 5}));
    assert_eq!(bench.bodies()[0]["code"], 0, "an echo that is no string is none of ours");
    bench.receive("c1", json!({"type": "batch_echo", "msg_id": 9, "values": []}));
    assert_eq!(
        bench.bodies()[0],
        json!({"type": "batch_echo_ok", "results": [], "in_reply_to": 9, "msg_id": 7})
    );
    assert!(node(&bench).is_idle());
}

#[test]
fn forgotten_calls_are_reaped_after_two_seconds() {
    let mut bench = bench();
    let request = json!({"type": "send_fire_forget", "msg_id": 7, "target": "n2", "payload": {"type": "echo", "msg_id": 99}});
    bench.receive("c1", request.clone());
    assert_eq!(
        bench.bodies(),
        [
            json!({"type": "echo", "msg_id": 1}),
            json!({"type": "send_fire_forget_ok", "pending": 1, "in_reply_to": 7, "msg_id": 2}),
        ]
    );
    bench.pass(Duration::from_micros(1_999_999));
    bench.receive("c1", json!({"type": "pending_count", "msg_id": 8}));
    assert_eq!(bench.bodies()[0]["count"], 1);
    bench.pass(Duration::from_micros(1));
    bench.receive("c1", json!({"type": "pending_count", "msg_id": 9}));
    assert_eq!(bench.bodies()[0]["count"], 0);
    assert_eq!(node(&bench).counters().reaped, 1);

    bench.receive("c1", request);
    bench.receive("n2", json!({"type": "echo_ok", "in_reply_to": 5}));
    assert_eq!(node(&bench).pending_calls(), 0, "an answer ends it as well");
}

#[test]
fn compute_backoff_computes() {
    let mut bench = bench();
    let mut ask = |body: Value| {
        bench.receive("c1", body);
        bench.bodies().remove(0)
    };
    let body = ask(json!({"type": "compute_backoff", "msg_id": 1, "max_retries": 4, "base_delay": 0.1}));
    let schedule: Vec<u64> = serde_json::from_value(body["schedule_ms"].clone()).unwrap();
    assert_eq!((schedule.len(), &body["retries"]), (4, &json!(4)));
    assert_eq!(body["total_ms"], json!(schedule.iter().sum::<u64>()));
    for (k, wait) in schedule.into_iter().enumerate() {
        let base = 100 << k;
        assert!((base..=base * 11 / 10).contains(&wait), "wait {k} is {wait} ms");
    }
    let body = ask(
        json!({"type": "compute_backoff", "msg_id": 1, "max_retries": 80, "base_delay": 1, "max_delay": 3.5}),
    );
    let schedule = body["schedule_ms"].as_array().unwrap();
    assert!(schedule[2..].iter().all(|wait| *wait == 3500));
    // Without a cap of its own it has that of every backoff here, 2 s, up to the most retries that are computed.
    let body = ask(json!({"type": "compute_backoff", "msg_id": 1, "max_retries": 10_000, "base_delay": 1}));
    let schedule = body["schedule_ms"].as_array().unwrap();
    assert_eq!(schedule.len(), 10_000);
    assert!(schedule[1..].iter().all(|wait| *wait == 2000), "{:?}", &schedule[..9]);
    let body = ask(json!({"type": "compute_backoff", "msg_id": 1, "max_retries": 0, "base_delay": 1}));
    assert_eq!((&body["schedule_ms"], &body["total_ms"]), (&json!([]), &json!(0)));
    for (field, value) in [
        ("max_retries", json!(-1)),
        ("max_retries", json!(1.5)),
        ("max_retries", json!(10_001)),
        ("base_delay", json!(-0.1)),
        ("base_delay", json!("1")),
        ("max_delay", json!(-1)),
    ] {
        let mut request =
            json!({"type": "compute_backoff", "msg_id": 1, "max_retries": 3, "base_delay": 0.1});
        request[field] = value;
        let body = ask(request);
        assert_eq!(body["code"], 12);
        assert!(body["text"].as_str().unwrap().starts_with(field), "{body}");
    }
}

#[test]
fn only_the_answer_of_the_node_that_was_asked_is_an_answer() {
    let mut bench = bench();
    bench.receive("c1", proxy(7));
    bench.take();
    let strays = [
        ("n3", json!(1)),
        ("c1", json!(1)),
        ("n1", json!(1)),
        ("n2", json!(0)),
        ("n2", json!(2)),
        ("n2", json!(-1)),
        ("n2", json!(i64::MIN)),
        ("n2", json!(u64::MAX)),
    ];
    for (n, (src, id)) in strays.into_iter().enumerate() {
        bench.receive(src, json!({"type": "read_ok", "in_reply_to": id}));
        assert_eq!(node(&bench).counters().unmatched_replies, n as u64 + 1, "{src} {id}");
    }
    bench.receive("n2", json!({"type": "read_ok", "in_reply_to": "1"}));
    bench.receive("n2", json!({"type": "read_ok", "in_reply_to": 1.0}));
    assert_eq!(node(&bench).counters().malformed, 2);
    assert!(bench.take().is_empty(), "a stray answer is never answered");
    assert_eq!(node(&bench).pending_calls(), 1);
    bench.receive("n2", json!({"type": "read_ok", "in_reply_to": 1}));
    assert_eq!(bench.bodies()[0]["type"], "proxy_ok");
    bench.receive("n2", json!({"type": "read_ok", "in_reply_to": 1}));
    assert!(bench.take().is_empty(), "the second time it is a stray one");
}

/// Places in tables are used again. A late answer to an old call must not reach the new one.
#[test]
fn a_late_answer_never_reaches_a_newer_call() {
    let mut bench = bench();
    bench.receive("c1", proxy(7));
    bench.pass_ms(1000);
    bench.receive("c2", proxy(8));
    bench.take();
    bench.receive("n2", json!({"type": "read_ok", "in_reply_to": 1}));
    assert!(bench.take().is_empty());
    bench.pass_ms(1000);
    assert_eq!(bench.bodies(), [error(0, "RPC timeout", 8, 4)]);
}

#[test]
fn an_answer_at_the_moment_of_the_retry() {
    for answer_first in [true, false] {
        let mut bench = bench();
        bench.receive("c1", relay("relay", 7));
        bench.pass(Duration::from_micros(499_999));
        bench.pause("n1");
        bench.pass(Duration::from_micros(1));
        if !answer_first {
            bench.resume("n1");
        }
        bench.receive("n2", json!({"type": "read_ok", "in_reply_to": 1}));
        bench.resume("n1");
        bench.pass_ms(10_000);
        let bodies = bench.bodies();
        assert_eq!(bodies.last().unwrap()["attempts"], if answer_first { 1 } else { 2 });
        assert_eq!(bodies.iter().filter(|body| body["type"] == "relay_ok").count(), 1);
    }
}

/// A node that was stopped for a while finds answers and expired timers at once. The answers come first.
#[test]
fn a_paused_node_takes_its_answers_before_its_timers() {
    let mut bench = bench();
    bench.receive("c1", proxy(7));
    bench.take();
    bench.pause("n1");
    bench.pass(Duration::from_secs(3));
    bench.receive("n2", json!({"type": "read_ok", "in_reply_to": 1}));
    bench.resume("n1");
    assert_eq!(bench.bodies()[0]["type"], "proxy_ok");
}

#[test]
fn an_answer_that_a_client_no_longer_waits_for_is_dropped() {
    for (client, is_answered) in [("c1", false), ("n3", true)] {
        let mut bench = bench();
        bench.receive(client, proxy(7));
        bench.take();
        // Nobody woke the node up for so long.
        bench.hold_up(Duration::from_millis(4501));
        assert_eq!(bench.take().len(), usize::from(is_answered), "{client}");
        assert_eq!(node(&bench).counters().late_answers, u64::from(!is_answered));
    }
}

#[test]
fn calls_go_only_to_nodes_that_exist() {
    let mut bench = bench();
    for target in ["n4", "c1", ""] {
        bench.receive("c1", json!({"type": "proxy", "msg_id": 7, "target": target, "inner": {"type": "x"}}));
        assert_eq!(bench.bodies()[0]["code"], 1);
    }
    for target in ["n1", "n3", "lin-kv", "seq-kv", "lww-kv", "lin-tso"] {
        bench.receive("c1", json!({"type": "proxy", "msg_id": 7, "target": target, "inner": {"type": "x"}}));
        assert_eq!(bench.sent()[0].1["dest"], target);
    }
    for inner in [json!({}), json!({"type": 5}), json!([]), json!(null)] {
        bench.receive("c1", json!({"type": "proxy", "msg_id": 7, "target": "n2", "inner": inner}));
        assert_eq!(bench.bodies()[0]["code"], 12, "{inner}");
    }
    let forged = json!({"type": "x", "in_reply_to": 3, "msg_id": 55, "a": 1});
    bench.receive("c1", json!({"type": "proxy", "msg_id": 7, "target": "n2", "inner": forged}));
    let sent = bench.bodies().remove(0);
    assert_eq!((sent.get("in_reply_to"), &sent["a"]), (None, &json!(1)));
    assert_ne!(sent["msg_id"], 55);
}

#[test]
fn beyond_the_limit_of_pending_calls_a_client_is_told() {
    let config = Config { max_pending: 2, ..Config::default() };
    let mut bench = n1(Messenger::default(), config);
    for id in 1..=3 {
        bench.receive("c1", proxy(id));
    }
    let bodies = bench.bodies();
    assert_eq!(bodies[2], error(11, "2 calls wait, which is the limit", 3, 3));
    bench.receive("c1", json!({"type": "batch_echo", "msg_id": 4, "values": ["a"]}));
    assert_eq!(bench.bodies()[0]["code"], 11);
    bench.pass_ms(1000);
    bench.take();
    bench.receive("c1", proxy(5));
    assert_eq!(bench.bodies()[0]["type"], "read", "there is room again");
    assert_eq!(node(&bench).counters().calls_refused, 1);
}

#[test]
fn an_open_breaker_fails_fast() {
    let breaker = BreakerConfig { failures: 2, cool_down: Duration::from_secs(10), probes: 1 };
    let mut bench = n1(Messenger::default(), Config { breaker: Some(breaker), ..Config::default() });
    for id in 1..=2 {
        bench.receive("c1", proxy(id));
        bench.pass_ms(1000);
    }
    bench.take();
    bench.receive("c1", proxy(3));
    let body = bench.bodies().remove(0);
    assert_eq!((&body["code"], &body["in_reply_to"]), (&json!(11), &json!(3)));
    assert!(body["text"].as_str().unwrap().contains("breaker"), "{body}");
    bench.receive("c1", json!({"type": "proxy", "msg_id": 4, "target": "n3", "inner": {"type": "x"}}));
    assert_eq!(bench.bodies()[0]["type"], "x", "each peer has a breaker of its own");
    bench.pass_ms(15_000);
    bench.take();
    bench.receive("c1", proxy(5));
    let probe = bench.bodies().remove(0);
    assert_eq!(probe["type"], "read");
    bench.receive("n2", json!({"type": "read_ok", "in_reply_to": probe["msg_id"]}));
    bench.take();
    for id in 6..=9 {
        bench.receive("c1", proxy(id));
        assert_eq!(bench.bodies()[0]["type"], "read", "closed again");
    }
}

#[test]
fn a_batch_that_cannot_be_sent_whole_is_an_error_to_its_client() {
    let breaker = BreakerConfig { failures: 1, cool_down: Duration::from_secs(10), probes: 1 };
    let mut bench = n1(Messenger::default(), Config { breaker: Some(breaker), ..Config::default() });
    let batch = |id: u64| json!({"type": "batch_echo", "msg_id": id, "values": ["a", "b"]});
    bench.receive("c1", batch(1));
    bench.pass_ms(2000);
    bench.take();
    bench.receive("c1", batch(2));
    let body = bench.bodies().remove(0);
    assert_eq!((&body["code"], &body["in_reply_to"]), (&json!(11), &json!(2)), "open");
    bench.pass_ms(15_000);
    bench.receive("c1", batch(3));
    let bodies = bench.bodies();
    assert_eq!(
        (&bodies[0]["type"], &bodies[1]["code"], bodies.len()),
        (&json!("echo"), &json!(11), 2),
        "half open"
    );
    bench.receive("n1", json!({"type": "echo_ok", "echo": "a", "in_reply_to": bodies[0]["msg_id"]}));
    assert!(bench.take().is_empty() && node(&bench).is_idle());
}

#[test]
fn what_is_forgotten_says_nothing_about_a_peer() {
    let breaker = BreakerConfig { failures: 2, cool_down: Duration::from_secs(10), probes: 1 };
    let mut bench = n1(Messenger::default(), Config { breaker: Some(breaker), ..Config::default() });
    for id in 1..=5 {
        bench.receive(
            "c1",
            json!({"type": "send_fire_forget", "msg_id": id, "target": "n2", "payload": {"type": "x"}}),
        );
    }
    bench.pass_ms(3000);
    bench.take();
    bench.receive("c1", proxy(6));
    assert_eq!(bench.bodies()[0]["type"], "read");
}

#[test]
fn a_body_to_forward_has_one_type_in_the_end() {
    let mut bench = bench();
    let line = r#"{"src":"c1","dest":"n1","body":{"type":"proxy","msg_id":1,"target":"n2","inner":{"type":"q","type":5}}}"#;
    bench.tell_line("n1", line);
    assert_eq!(bench.bodies()[0]["code"], 12);
}

#[test]
fn a_relay_that_was_held_up_still_makes_its_tries() {
    let mut bench = bench();
    bench.receive("c1", relay("relay", 7));
    bench.hold_up(Duration::from_millis(1800));
    bench.pass_ms(2000);
    assert_eq!(bench.times(), [0.0, 1800.0, 2300.0, 2800.0]);
    assert_eq!(bench.bodies()[3]["text"], "RPC failed after 3 attempts");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut bench = n1(Messenger::default(), Config { seed, ..Config::default() });
        for id in 1..50 {
            bench.receive("c1", relay("backoff_relay", id));
            bench.pass_ms(17);
        }
        bench.pass_ms(10_000);
        bench.sent()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
