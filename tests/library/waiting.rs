//! Handlers that wait, timers and services, in virtual time.

use std::cell::Cell;
use std::rc::Rc;

use crate::talk::{Talk as _, message, n1};
use futures_util::future::join_all;
use messenger::kv::{Cas, Kv, Lin, Lww, Seq, timestamp};
use messenger::node::{Config, Deferred, Node, TimerId};
use messenger::workbench::TestCluster;
use messenger::{Answer, Context, Duration, Handler, Policy, Request, RpcError};
use serde_json::{Value, json};

/// One handler for each thing that such a handler may do, by type.
#[derive(Default)]
struct Patient {
    count: u64,
    ticks: u64,
    ticker: Option<TimerId>,
    kept: Option<Deferred>,
    /// Counts the waiting handlers that were dropped or came to their end.
    gone: Rc<Cell<u32>>,
}

struct Witness(Rc<Cell<u32>>);

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

impl Handler for Patient {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let witness = Witness(Rc::clone(&self.gone));
        match request.kind() {
            "in_turn" => cx.wait(request, async move |node| {
                let _witness = witness;
                let mut seen = Vec::new();
                for peer in ["n2", "n3"] {
                    let reply = node.call(peer, "read").await?;
                    seen.push(reply.body().integer("value")?);
                    node.with(|this: &mut Self, _| this.count += 1).await;
                }
                Ok(Answer::new("in_turn_ok").field("seen", seen))
            }),
            "at_once" => cx.wait(request, async |node| {
                let calls = ["n2", "n3"].map(|peer| node.call(peer, "read").into_future());
                let answered = join_all(calls).await.iter().filter(|outcome| outcome.is_ok()).count();
                Ok(Answer::new("at_once_ok").field("answered", answered))
            }),
            "sleep" => cx.wait(request, async |node| {
                node.sleep(Duration::from_millis(100)).await;
                Ok(Answer::new("sleep_ok"))
            }),
            "panic_at_once" => cx.wait(request, async |_| panic!("at once")),
            "panic_later" => cx.wait(request, async |node| {
                node.sleep(Duration::from_millis(1)).await;
                panic!("later")
            }),
            "panic_with" => cx.wait(request, async |node| {
                node.with(|_: &mut Self, _| panic!("with the node at hand")).await;
                Ok(Answer::new("never"))
            }),
            "forge" => cx.wait(request, async |_| Ok(Answer::new("forge_ok").field("msg_id", 1))),
            "forget_to_answer" => {
                let _later = cx.defer(request);
                Ok(())
            }
            "wait_for_count" => cx.wait(request, async |node| {
                while node.with(|this: &mut Self, _| this.count).await == 0 {}
                Ok(Answer::new("wait_for_count_ok"))
            }),
            "count" => {
                self.count += 1;
                cx.reply(request, "count_ok").send()
            }
            "swap" => {
                let later = cx.defer(request);
                let other = self.kept.replace(later);
                drop(other);
                Err(RpcError::precondition_failed("of the second"))
            }
            "start_ticks" => {
                self.ticker = Some(cx.every(Duration::from_millis(10), |this: &mut Self, cx| {
                    this.ticks += 1;
                    if this.ticks == 5 {
                        assert!(cx.cancel(this.ticker.take().unwrap()), "a timer may stop itself");
                    }
                }));
                cx.reply(request, "start_ticks_ok").send()
            }
            "after" => {
                let later = cx.defer(request);
                let stopped = cx.after(Duration::from_millis(1), |_, _| panic!("was stopped"));
                assert!(cx.cancel(stopped) && !cx.cancel(stopped));
                cx.after(Duration::from_millis(7), move |_, cx| cx.answer(later, "after_ok").send().unwrap());
                Ok(())
            }
            "lin" => cx.wait(request, async |node| {
                let kv = Kv::<Lin, _>::new(&node);
                let before: i64 = kv.read_or("k", 0).await?;
                let outcome = kv.cas_or_create("k", before, before + 1).await?;
                Ok(Answer::new("lin_ok").field("before", before).field("swapped", outcome == Cas::Swapped))
            }),
            "seq" => cx.wait(request, async |node| {
                let kv = Kv::<Seq, _>::new(&node);
                kv.write(1, vec!["x"]).await?;
                let value: Vec<String> = kv.read(1).await?;
                Ok(Answer::new("seq_ok").field("value", value))
            }),
            "lww" => cx.wait(request, async |node| {
                let outcome = Kv::<Lww, _>::new(&node).cas("k", 1, 2).await?;
                Ok(Answer::new("lww_ok").field("missing", outcome == Cas::Missing))
            }),
            "tso" => {
                cx.wait(request, async |node| Ok(Answer::new("tso_ok").field("ts", timestamp(&node).await?)))
            }
            kind => Err(RpcError::not_supported(kind)),
        }
    }
}

fn node(bench: &TestCluster) -> &Node<Patient> {
    bench.node("n1")
}

fn bench() -> TestCluster {
    n1(Patient::default(), Config::default())
}

fn ask(kind: &str) -> Value {
    json!({"type": kind, "msg_id": 7})
}

#[test]
fn straight_code_waits_for_one_answer_after_the_other() {
    let mut bench = bench();
    bench.receive("c1", ask("in_turn"));
    assert_eq!(bench.sent(), [(0.0, message("n2", json!({"type": "read", "msg_id": 1})))]);
    bench.pass_ms(300);
    bench.receive("n2", json!({"type": "read_ok", "value": 5, "in_reply_to": 1}));
    assert_eq!(bench.sent(), [(300.0, message("n3", json!({"type": "read", "msg_id": 2})))]);
    bench.receive("n3", json!({"type": "read_ok", "value": 6, "in_reply_to": 2}));
    let answer = json!({"type": "in_turn_ok", "seen": [5, 6], "in_reply_to": 7, "msg_id": 3});
    assert_eq!(bench.sent(), [(300.0, message("c1", answer))]);
    assert_eq!((node(&bench).handler().count, node(&bench).handler().gone.get()), (2, 1));
    assert!(node(&bench).is_idle());
}

#[test]
fn what_goes_wrong_on_the_way_is_the_answer() {
    let mut bench = bench();
    bench.receive("c1", ask("in_turn"));
    bench.receive("n2", json!({"type": "error", "code": 20, "text": "no such key", "in_reply_to": 1}));
    let bodies = bench.bodies();
    assert_eq!((&bodies[1]["code"], &bodies[1]["text"]), (&json!(20), &json!("no such key")));
    bench.receive("c1", ask("in_turn"));
    bench.receive("n2", json!({"type": "read_ok", "value": "5", "in_reply_to": 3}));
    assert_eq!(bench.bodies()[1]["text"], "value: expected an integer of 64 bits, found \"5\"");
    bench.receive("c1", ask("in_turn"));
    bench.pass_ms(1000);
    assert_eq!(bench.bodies()[1]["code"], 0);
    assert!(node(&bench).is_idle());
}

#[test]
fn several_calls_at_once() {
    let mut bench = bench();
    bench.receive("c1", ask("at_once"));
    assert_eq!(bench.bodies().len(), 2);
    bench.receive("n3", json!({"type": "read_ok", "in_reply_to": 2}));
    bench.pass_ms(1000);
    assert_eq!(bench.bodies()[0]["answered"], 1);
}

#[test]
fn waiting_handlers_do_not_hold_each_other_up() {
    let mut bench = bench();
    for _ in 0..100 {
        bench.receive("c1", ask("in_turn"));
    }
    for id in (1..=100).rev() {
        bench.receive("n2", json!({"type": "read_ok", "value": id, "in_reply_to": id}));
    }
    for id in 101..=200 {
        bench.receive("n3", json!({"type": "read_ok", "value": id, "in_reply_to": id}));
    }
    let answers: Vec<_> = bench.bodies().into_iter().filter(|body| body["type"] == "in_turn_ok").collect();
    assert_eq!(answers.len(), 100);
    assert!(answers.iter().all(|body| {
        let seen: Vec<i64> = serde_json::from_value(body["seen"].clone()).unwrap();
        seen[0] + seen[1] == 201
    }));
}

#[test]
fn a_waiting_handler_that_panics_costs_its_client_error_13() {
    for kind in ["panic_at_once", "panic_later", "panic_with", "forge", "forget_to_answer"] {
        let mut bench = bench();
        bench.receive("c1", ask(kind));
        bench.pass_ms(10);
        let bodies = bench.bodies();
        assert_eq!(bodies.len(), 1, "{kind}");
        assert_eq!((&bodies[0]["code"], &bodies[0]["in_reply_to"]), (&json!(13), &json!(7)), "{kind}");
        assert!(node(&bench).is_idle());
        bench.receive("c1", ask("sleep"));
        bench.pass_ms(100);
        assert_eq!(bench.bodies()[0]["type"], "sleep_ok", "and nothing else");
    }
}

#[test]
fn a_handler_that_always_goes_on_does_not_keep_the_node_from_reading() {
    let mut bench = bench();
    bench.receive("c1", ask("wait_for_count"));
    assert_eq!(
        bench.node_mut::<Patient>("n1").poll_timeout(),
        Some(bench.now()),
        "it wants to go on at once"
    );
    bench.receive("c2", ask("count"));
    let kinds: Vec<_> = bench.bodies().into_iter().map(|body| body["type"].clone()).collect();
    assert_eq!(kinds, ["count_ok", "wait_for_count_ok"]);
    assert!(node(&bench).is_idle());
}

#[test]
fn an_error_goes_to_the_client_whose_handler_failed() {
    let mut bench = bench();
    bench.receive("c1", ask("swap"));
    assert!(bench.take().is_empty(), "its answer is kept for later");
    bench.receive("c2", ask("swap"));
    let sent = bench.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (&sent[0].1["dest"], &sent[0].1["body"]["code"]),
        (&json!("c1"), &json!(13)),
        "given up, and no more"
    );
}

#[test]
fn waiting_handlers_are_bounded_and_dropped_with_the_node() {
    let mut bench = n1(Patient::default(), Config { max_waiting: 2, ..Config::default() });
    for _ in 0..3 {
        bench.receive("c1", ask("in_turn"));
    }
    let bodies = bench.bodies();
    assert_eq!((&bodies[2]["code"], bodies.len()), (&json!(11), 3));
    let gone = Rc::clone(&node(&bench).handler().gone);
    assert_eq!(gone.get(), 1, "the one that was refused");
    drop(bench);
    assert_eq!(gone.get(), 3);
}

#[test]
fn timers_fire_when_they_are_due() {
    let mut bench = bench();
    bench.receive("c1", ask("after"));
    assert!(!node(&bench).is_idle(), "a timer that fires once is waited for");
    bench.pass_ms(100);
    assert_eq!(bench.times(), [7.0]);
    bench.take();
    bench.receive("c1", ask("start_ticks"));
    assert!(node(&bench).is_idle(), "one that goes on for ever is not");
    bench.pass_ms(29);
    assert_eq!(node(&bench).handler().ticks, 2);
    bench.pass_ms(1000);
    assert_eq!(node(&bench).handler().ticks, 5, "it stopped itself");
    assert_eq!(bench.node_mut::<Patient>("n1").poll_timeout(), None);
}

#[test]
fn a_ticker_that_was_held_up_fires_once_and_goes_on() {
    let mut bench = bench();
    bench.receive("c1", ask("start_ticks"));
    bench.hold_up(Duration::from_millis(35));
    assert_eq!(node(&bench).handler().ticks, 1);
    bench.pass_ms(10);
    assert_eq!(node(&bench).handler().ticks, 2);
}

#[test]
fn services_are_asked_as_they_want_to_be() {
    let missing = json!({"type": "error", "code": 20, "text": "key does not exist"});
    let mut bench = bench();
    let mut talk = |kind: &str, conversation: Vec<(&str, Value, Value)>| {
        bench.receive("c1", ask(kind));
        for (service, asked, mut answer) in conversation {
            let (_, call) = bench.sent().remove(0);
            let mut body = call["body"].clone();
            answer["in_reply_to"] = body.as_object_mut().unwrap().remove("msg_id").unwrap();
            assert_eq!((&call["dest"], &body), (&json!(service), &asked));
            bench.receive(service, answer);
        }
        bench.bodies().remove(0)
    };
    let body = talk(
        "lin",
        vec![
            ("lin-kv", json!({"type": "read", "key": "k"}), missing.clone()),
            (
                "lin-kv",
                json!({"type": "cas", "key": "k", "from": 0, "to": 1, "create_if_not_exists": true}),
                json!({"type": "cas_ok"}),
            ),
        ],
    );
    assert_eq!((&body["before"], &body["swapped"]), (&json!(0), &json!(true)));
    let differs = json!({"type": "error", "code": 22, "text": "current value 9 is not 8"});
    let body = talk(
        "lin",
        vec![
            ("lin-kv", json!({"type": "read", "key": "k"}), json!({"type": "read_ok", "value": 8})),
            (
                "lin-kv",
                json!({"type": "cas", "key": "k", "from": 8, "to": 9, "create_if_not_exists": true}),
                differs,
            ),
        ],
    );
    assert_eq!((&body["before"], &body["swapped"]), (&json!(8), &json!(false)));
    let body = talk(
        "seq",
        vec![
            ("seq-kv", json!({"type": "write", "key": 1, "value": ["x"]}), json!({"type": "write_ok"})),
            ("seq-kv", json!({"type": "read", "key": 1}), json!({"type": "read_ok", "value": ["y", "z"]})),
        ],
    );
    assert_eq!(body["value"], json!(["y", "z"]));
    let body = talk(
        "lww",
        vec![("lww-kv", json!({"type": "cas", "key": "k", "from": 1, "to": 2}), missing.clone())],
    );
    assert_eq!(body["missing"], true);
    let body = talk("tso", vec![("lin-tso", json!({"type": "ts"}), json!({"type": "ts_ok", "ts": 41}))]);
    assert_eq!(body["ts"], 41);
    let body = talk(
        "seq",
        vec![
            ("seq-kv", json!({"type": "write", "key": 1, "value": ["x"]}), json!({"type": "write_ok"})),
            ("seq-kv", json!({"type": "read", "key": 1}), missing),
        ],
    );
    assert_eq!(body["code"], 20);
}

#[test]
fn a_policy_holds_for_straight_code_too() {
    struct Stubborn;
    impl Handler for Stubborn {
        fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
            cx.wait(request, async |node| {
                let reply = node.call("n2", "x").policy(Policy::repeat(4, Duration::from_millis(50))).await?;
                Ok(Answer::new("ok").field("attempts", reply.attempts))
            })
        }
    }
    let mut bench = n1(Stubborn, Config::default());
    bench.receive("c1", ask("any"));
    bench.pass_ms(120);
    assert_eq!(bench.times(), [0.0, 50.0, 100.0]);
    bench.receive("n2", json!({"type": "x_ok", "in_reply_to": 2}));
    assert_eq!(bench.bodies().last().unwrap()["attempts"], 3);
}
