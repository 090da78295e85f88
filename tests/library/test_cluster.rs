//! The scripted mode of the workbench: conversations with nodes in virtual time.

use std::panic::{AssertUnwindSafe, catch_unwind};

use messenger::kv::{Kv, Lin};
use messenger::nodes::broadcast::Broadcast;
use messenger::nodes::unique_ids::UniqueIds;
use messenger::store::BadRecord;
use messenger::workbench::simulation::ScriptedNode;
use messenger::workbench::test_cluster::Said;
use messenger::workbench::{Latency, TestCluster};
use messenger::{Answer, Context, Duration, Handler, Request, RpcError, always};
use serde_json::{Value, json};

/// Does one thing for each type of request.
#[derive(Default)]
struct Various {
    kept: Vec<String>,
}

impl Handler for Various {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "ping" => cx.reply(request, "pong").send(),
            "tell" => {
                for n in 0..request.integer("times")? {
                    cx.message(&request.string("to")?, "told").field("n", n).send()?;
                }
                Ok(())
            }
            "keep" => {
                let text = request.string("text")?;
                cx.persist(&*text);
                self.kept.push(text.into_owned());
                cx.reply(request, "keep_ok").send()
            }
            "kept" => cx.reply(request, "kept_ok").field("texts", &self.kept).send(),
            "sleep" => cx.wait(request, async |node| {
                node.sleep(Duration::from_millis(10)).await;
                Ok(Answer::new("sleep_ok"))
            }),
            "poll" => cx.wait(request, async |node| {
                while node.with(|this: &mut Self, _| this.kept.is_empty()).await {}
                Ok(Answer::new("poll_ok"))
            }),
            "spin" => cx.wait(request, async |node| {
                while node.with(|_: &mut Self, _| true).await {}
                Ok(Answer::new("spin_ok"))
            }),
            "write" => cx.wait(request, async |node| {
                Kv::<Lin, _>::new(&node).write("k", 1).await?;
                Ok(Answer::new("write_ok"))
            }),
            "break" => {
                always!(self.kept.len() > 1, "there is more than one text", self.kept);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn recover(&mut self, record: &[u8]) -> Result<(), BadRecord> {
        self.kept.push(String::from_utf8_lossy(record).into_owned());
        Ok(())
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// n1 of n1 and n2.
fn n1() -> TestCluster {
    let mut cluster = TestCluster::of(["n1", "n2"]);
    cluster.start("n1", Various::default());
    cluster
}

/// n1 and n2, with 20 ms between them.
fn both(seed: u64) -> TestCluster {
    let mut cluster = TestCluster::of(["n1", "n2"]).with_network(seed, Latency::constant(ms(20)));
    cluster.start("n1", Various::default());
    cluster.start("n2", Broadcast::default());
    cluster
}

/// When what was said and to whom, in milliseconds.
fn gist(said: Vec<Said>) -> Vec<(u64, String, String)> {
    let gist =
        |said: Said| (said.at.as_micros() / 1000, said.dest, said.body["type"].as_str().unwrap().to_owned());
    said.into_iter().map(gist).collect()
}

fn said(at: u64, dest: &str, kind: &str) -> (u64, String, String) {
    (at, dest.to_owned(), kind.to_owned())
}

#[test]
fn what_is_told_at_a_time_is_answered_at_that_time() {
    let mut cluster = n1();
    cluster.tell_after(ms(5), "c2", "n1", json!({"type": "ping", "msg_id": 1}));
    cluster.tell("c1", "n1", json!({"type": "sleep", "msg_id": 1}));
    cluster.tell_after(ms(15), "n2", "n1", json!({"type": "ping", "msg_id": 1}));
    assert_eq!(cluster.next(ms(4)), None);
    assert_eq!(cluster.now().as_micros(), 4_000, "as long as it waited for something");
    cluster.pass(ms(100));
    assert_eq!(
        gist(cluster.take()),
        [said(5, "c2", "pong"), said(10, "c1", "sleep_ok"), said(15, "n2", "pong")]
    );
    assert_eq!(cluster.now().as_micros(), 104_000);
    assert_eq!(cluster.ask("n1", json!({"type": "sleep"}))["type"], "sleep_ok");
    assert_eq!(cluster.now().as_micros(), 114_000, "until the answer, and no longer");
}

#[test]
fn a_paused_node_reads_later_and_a_killed_one_never() {
    let mut cluster = n1();
    let ping = json!({"type": "ping", "msg_id": 1});
    cluster.tell("c1", "n1", json!({"type": "sleep", "msg_id": 1}));
    cluster.pause("n1");
    cluster.tell("c2", "n1", &ping);
    cluster.pass(ms(30));
    assert!(cluster.take().is_empty());
    cluster.resume("n1");
    assert_eq!(gist(cluster.take()), [said(30, "c2", "pong"), said(30, "c1", "sleep_ok")]);
    cluster.pause("n1");
    cluster.tell("c1", "n1", &ping);
    cluster.kill("n1");
    cluster.tell("c1", "n1", &ping);
    cluster.start("n1", Various::default());
    cluster.pass(ms(30));
    assert!(cluster.take().is_empty());
    // What is under way to a dead node is lost, too.
    let mut cluster = both(1);
    cluster.tell("c1", "n1", json!({"type": "tell", "to": "n2", "times": 1}));
    cluster.kill("n2");
    cluster.pass(ms(30));
    cluster.start("n2", Broadcast::default());
    cluster.pass(ms(30));
    assert!(cluster.journal().entries().iter().any(messenger::workbench::journal::Entry::is_lost));
}

#[test]
fn what_was_persisted_is_durable_at_once_or_after_its_time() {
    let keep = |text: &str| json!({"type": "keep", "text": text});
    let mut cluster = n1();
    cluster.ask("n1", keep("a"));
    cluster.kill("n1");
    cluster.start("n1", Various::default());
    assert_eq!(cluster.ask("n1", json!({"type": "kept"}))["texts"], json!(["a"]));
    assert_eq!((cluster.now().as_micros(), cluster.records("n1").collect::<Vec<_>>()), (0, vec![&b"a"[..]]));
    cluster.kill("n1");
    cluster.wipe("n1");
    cluster.start("n1", Various::default());
    assert_eq!(cluster.ask("n1", json!({"type": "kept"}))["texts"], json!([]));

    let mut cluster = TestCluster::of(["n1"]).with_write_time(ms(5));
    cluster.start("n1", Various::default());
    cluster.tell("c1", "n1", json!({"type": "keep", "msg_id": 1, "text": "a"}));
    assert_eq!(cluster.next(Duration::from_micros(4_999)), None);
    assert_eq!(gist(cluster.next(ms(1)).into_iter().collect()), [said(5, "c1", "keep_ok")]);
}

#[test]
fn records_are_those_that_no_crash_takes() {
    let mut cluster = TestCluster::of(["n1"]).with_write_time(ms(5));
    cluster.start("n1", Various::default());
    cluster.tell("c1", "n1", json!({"type": "keep", "msg_id": 1, "text": "a"}));
    cluster.pass(Duration::from_micros(4_999));
    assert_eq!(cluster.records("n1").count(), 0, "it may be lost");
    cluster.pass(Duration::from_micros(1));
    assert_eq!(cluster.records("n1").collect::<Vec<_>>(), [b"a"]);
}

/// To stop a process stops no disk.
#[test]
fn what_a_paused_node_was_writing_becomes_durable() {
    let mut cluster = TestCluster::of(["n1"]).with_write_time(ms(5));
    let mut texts = Vec::new();
    for text in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        cluster.start("n1", Various::default());
        cluster.tell("c1", "n1", json!({"type": "keep", "msg_id": 1, "text": text}));
        cluster.pause("n1");
        cluster.pass(ms(5));
        texts.push(text);
        assert_eq!(cluster.records("n1").count(), texts.len());
        cluster.kill("n1");
        assert_eq!(cluster.records("n1").collect::<Vec<_>>().concat(), texts.concat().as_bytes());
    }
    assert!(cluster.take().is_empty(), "it was killed before it could answer");
}

#[test]
fn services_answer_over_the_network_where_they_are_asked_for() {
    let mut cluster = n1();
    cluster.tell("c1", "n1", json!({"type": "write", "msg_id": 1}));
    let call = cluster.next(Duration::ZERO).unwrap();
    assert_eq!((&*call.dest, &call.body["value"]), ("lin-kv", &json!(1)));
    cluster.reply(&call, json!({"type": "write_ok"}));
    assert_eq!(cluster.next(Duration::ZERO).unwrap().body["type"], "write_ok");
    let mut cluster = TestCluster::of(["n1"]).with_network(1, Latency::constant(ms(20))).with_services();
    cluster.start("n1", Various::default());
    assert_eq!(cluster.ask("n1", json!({"type": "write"}))["type"], "write_ok");
    assert_eq!(cluster.now().as_micros(), 40_000);
}

#[test]
fn a_played_network_carries_what_the_test_hands_on() {
    let mut cluster = TestCluster::of(["n1", "n2"]).with_played_network();
    cluster.start_all(Various::default);
    cluster.tell("c1", "n1", json!({"type": "tell", "to": "n2", "times": 2}));
    cluster.tell("n1", "n2", json!({"type": "ping", "msg_id": 9}));
    let [first, second, pong] = &cluster.take()[..] else { panic!("two messages and an answer") };
    assert_eq!((&*pong.dest, pong.body["in_reply_to"].as_u64()), ("n1", Some(9)));
    for said in [second, first, first] {
        cluster.hand_on(said);
    }
    assert_eq!(cluster.node::<Various>("n2").counters().lines, 5, "an init, a ping, and three");
}

#[test]
fn nodes_of_several_kinds_make_one_cluster_and_the_same_seed_the_same_run() {
    let run = |seed| {
        let mut cluster = TestCluster::of(["n0", "n1", "n2"]).with_network(seed, Latency::constant(ms(20)));
        cluster.start("n0", UniqueIds::default());
        cluster.start("n1", Various::default());
        let late = |_, line: &str| {
            let message: Value = serde_json::from_str(line).unwrap();
            let kind = if message["body"]["type"] == "init" { "init_ok" } else { "heard" };
            let (dest, in_reply_to) = ("c0", &message["body"]["msg_id"]);
            let body = json!({"type": kind, "in_reply_to": in_reply_to, "n": message["body"]["n"]});
            vec![(Duration::ZERO, json!({"src": "n2", "dest": dest, "body": body}).to_string())]
        };
        cluster.start_node("n2", Box::new(ScriptedNode::new(late)));
        cluster.begin("loss 0.3");
        cluster.begin("reorder n1->n2 50ms");
        cluster.tell("c1", "n1", json!({"type": "tell", "to": "n2", "times": 100}));
        cluster.pass(ms(100));
        assert_eq!(cluster.ask("n0", json!({"type": "generate"}))["type"], "generate_ok");
        cluster.take().into_iter().map(|said| (said.at, said.body["n"].clone())).collect::<Vec<_>>()
    };
    let heard = run(1);
    assert!((50..90).contains(&heard.len()) && !heard.is_sorted_by_key(|(_, n)| n.as_u64()), "{heard:?}");
    assert_eq!(run(1), heard);
    assert_ne!(run(2), heard);
}

#[test]
fn a_node_that_polls_does_not_stop_the_time() {
    let mut cluster = n1();
    cluster.tell("c1", "n1", json!({"type": "poll", "msg_id": 1}));
    cluster.pass(ms(10));
    assert!(cluster.take().is_empty());
    cluster.tell("c2", "n1", json!({"type": "keep", "msg_id": 1, "text": "a"}));
    assert_eq!(gist(cluster.take()), [said(10, "c2", "keep_ok"), said(10, "c1", "poll_ok")]);
}

#[test]
fn the_disk_of_a_node_that_polls_goes_on() {
    let mut cluster = TestCluster::of(["n1"]).with_write_time(ms(5));
    cluster.start("n1", Various::default());
    cluster.tell("c1", "n1", json!({"type": "keep", "msg_id": 1, "text": "a"}));
    cluster.tell("c1", "n1", json!({"type": "spin", "msg_id": 2}));
    cluster.pass(ms(10));
    assert_eq!(gist(cluster.take()), [said(5, "c1", "keep_ok")]);
}

/// What a test is told that does what makes no sense, or whose node does what no node may.
#[test]
fn what_goes_wrong_says_what_was_expected_and_what_came() {
    fn told(does: impl FnOnce(&mut TestCluster)) -> String {
        let mut cluster = n1();
        let panic = catch_unwind(AssertUnwindSafe(|| does(&mut cluster))).expect_err("it panics");
        panic.downcast::<String>().map_or_else(|_| "no text".to_owned(), |text| *text)
    }
    /// What a test is told whose node answers so.
    fn told_of(message: Value) -> String {
        told(|of| {
            let script = move |_, line: &str| {
                let is_init = line.contains("node_ids");
                let init_ok =
                    json!({"src": "n2", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": 2}});
                let said = if is_init { init_ok.to_string() } else { message.to_string() };
                vec![(Duration::ZERO, said)]
            };
            of.start_node("n2", Box::new(ScriptedNode::new(script)));
            of.tell("c1", "n2", json!({"type": "ping", "msg_id": 1}));
        })
    }
    let ping = || json!({"type": "ping"});
    let flood = |times: u64| json!({"type": "tell", "to": "n2", "times": times});
    // At the bound there is room, and for one more there is none.
    n1().tell("c1", "n1", flood(100_000));
    for (text, expected) in [
        (told(|_| drop(TestCluster::of(["a"]))), "expected the name of a node from n0 to n999, found \"a\""),
        (told(|of| of.tell("c1", "n3", ping())), "expected one of [\"n1\", \"n2\"], found \"n3\""),
        (
            told(|of| of.tell("c1", "n2", ping())),
            "expected a node that was started, found n2, which the test plays",
        ),
        (
            told(|of| of.start("n1", Various::default())),
            "n1 runs already: kill it before it is started again",
        ),
        (
            told(|of| drop(of.ask("n1", json!({"type": "x"})))),
            "n1 was asked {\"msg_id\":2,\"type\":\"x\"}: expected an answer within 5s, found none",
        ),
        (told(|of| drop(of.ask("n1", 7))), "expected a body that is an object, found 7"),
        (
            told(|of| {
                of.kill("n1");
                of.node::<Various>("n1");
            }),
            "expected a node that runs, found n1, which was killed",
        ),
        (
            told(|of| {
                of.node::<Broadcast>("n1");
            }),
            "expected n1 to have the handler messenger::nodes::broadcast::Broadcast, found another one",
        ),
        (told(|of| of.begin("loss 2")), "\"loss 2 at 0s\": expected a rate from 0 to 1, found \"2\""),
        (
            told(|of| of.begin("kill n1")),
            "\"kill n1\": expected a fault of the network, or a call of its own",
        ),
        (
            told(|of| of.begin("partition n1|n7")),
            "\"partition n1|n7\": expected nodes of [\"n1\", \"n2\"], found n7",
        ),
        (
            told(|of| of.tell("c1", "n1", json!({"type": "break"}))),
            "n1 says that this should always hold: there is more than one text; self.kept = []",
        ),
        (told(|of| of.tell("c1", "n1", flood(100_001))), "100000 messages were said and not taken"),
        (
            told(|of| of.start_node("n2", Box::new(ScriptedNode::new(|_, _: &str| Vec::new())))),
            "n2 was told its init: expected init_ok at once, found []",
        ),
        (
            told(|of| {
                let odd = |_, _: &str| vec![(Duration::ZERO, "odd".to_owned())];
                of.start_node("n2", Box::new(ScriptedNode::new(odd)));
            }),
            "n2 at 0s: expected a message on its stdout: a JSON object with src, dest and body; not JSON",
        ),
        (
            told_of(json!({"src": "n2", "dest": "n9", "body": {"type": "pong"}})),
            "n2 at 0s: it wrote to \"n9\", which does not exist",
        ),
        (
            told_of(json!({"src": "n2", "dest": "n0", "body": {"type": "pong"}})),
            "n2 at 0s: it wrote to \"n0\", which does not exist",
        ),
        (
            told_of(json!({"src": "n2", "dest": "tester", "body": {"type": "pong", "in_reply_to": 1}})),
            "n2 at 0s: it wrote to \"tester\", which does not exist",
        ),
        (
            told_of(json!({"src": "n2", "dest": "c1", "body": {"type": "pong"}})),
            "n2 at 0s: expected in_reply_to, the msg_id of the request that it answers; found nothing",
        ),
        (
            told_of(json!({"src": "n2", "dest": "c1", "body": {"in_reply_to": 1}})),
            "n2 at 0s: body.type: expected a string, found nothing",
        ),
        (
            told_of(json!({"src": "n2", "dest": "c1", "body": {"type": "pong", "in_reply_to": 1}, "at": 7})),
            "n2 at 0s: expected no keys but src, dest, body and id in a message; found \"at\"",
        ),
        (
            told(|of| {
                of.pause("n1");
                let line = "x".repeat(64 * 1024 * 1024);
                (0..4).for_each(|_| of.tell_line("n1", &line));
            }),
            "n1 at 0s: more than 268435456 bytes wait for it while it is paused",
        ),
    ] {
        assert!(text.starts_with(expected), "{text}\n{expected}");
    }
}
