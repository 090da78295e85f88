//! The sans-IO core in one process: what handlers may do, and what they cannot get wrong.

use messenger::node::{Config, Context, Handler, Node, Request};
use messenger::nodes::course::Messenger;
use messenger::time::Instant;
use messenger::wire::error::{ErrorCode, RpcError};
use messenger::wire::lines::Line;
use messenger::wire::out::OutBuffer;
use messenger::workbench::TestCluster;
use serde_json::{Value, json};

/// Feeds lines to a node that had its `init` as n1 of n1 and n2; its messages after `init_ok`.
fn drive<W: Handler>(node: &mut Node<W>, lines: &[&str]) -> Vec<Value> {
    let mut out = OutBuffer::new();
    let init =
        r#"{"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1","n2"]}}"#;
    for line in [init].iter().chain(lines) {
        node.handle_line(Instant::START, Line::new(line.as_bytes()), &mut out);
    }
    let text = std::str::from_utf8(out.waiting()).unwrap();
    text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn request(kind: &str, msg_id: u64) -> String {
    format!(r#"{{"src":"c1","dest":"n1","body":{{"type":"{kind}","msg_id":{msg_id}}}}}"#)
}

/// Does what a handler should not, by type.
#[derive(Default)]
struct Careless {
    handled: u32,
    started: bool,
}

impl Handler for Careless {
    fn on_init(&mut self, cx: &mut Context<'_, Self>) {
        assert_eq!((cx.id(), cx.cluster().peers().collect::<Vec<_>>()), ("n1", vec!["n2"]));
        assert!(!std::mem::replace(&mut self.started, true), "once");
    }

    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        self.handled += 1;
        match request.kind() {
            "panic" => panic!("oh no"),
            "panic_in_message" => {
                let _started = cx.reply(request, "never").field("half", 1);
                panic!("at {}", 2);
            }
            "forget" => {
                let _ = cx.reply(request, "never").field("half", 1);
                Ok(())
            }
            "give_up" => {
                let _ = cx.reply(request, "never").field("half", 1);
                Err(RpcError::new(ErrorCode(1234), "on second thoughts"))
            }
            "twice" => {
                cx.reply(request, "twice_ok").send()?;
                cx.reply(request, "twice_ok").send()
            }
            "panic_after" => {
                cx.reply(request, "panic_after_ok").send()?;
                panic!("too late");
            }
            "tell" => {
                for peer in ["n2", "lin-kv", "n1"] {
                    cx.message(peer, "told").field("by", request.src()).send()?;
                }
                assert_eq!(cx.pending_calls(), 0);
                cx.reply(request, "tell_ok").send()
            }
            "tell_nobody" => cx.message("n7", "told").send(),
            "tell_client" => cx.message(request.src(), "told").send(),
            "forge_message" => cx.message("n2", "told").field("msg_id", 7).send(),
            "forge" => cx.reply(request, "forge_ok").field("in_reply_to", 7).send(),
            "silent" => Ok(()),
            "state" => cx.reply(request, "state_ok").field("handled", self.handled).send(),
            kind => Err(RpcError::not_supported(kind)),
        }
    }
}

#[test]
fn a_panic_costs_its_client_error_13_and_nothing_else() {
    let mut node = Node::new(Careless::default(), Config::default());
    let lines = [request("panic", 1), request("panic_in_message", 2), request("state", 3)];
    let answers = drive(&mut node, &lines.each_ref().map(String::as_str));
    assert_eq!(answers[0]["body"]["code"], 13);
    assert_eq!(answers[0]["body"]["text"], "the handler of \"panic\" panicked: oh no");
    assert_eq!((&answers[1]["body"]["code"], &answers[1]["body"]["in_reply_to"]), (&json!(13), &json!(2)));
    assert_eq!(answers[2]["body"], json!({"type": "state_ok", "handled": 3, "in_reply_to": 3, "msg_id": 3}));
    assert_eq!((node.counters().panics, node.handler().handled), (2, 3));
}

#[test]
fn half_a_message_never_leaves() {
    let mut node = Node::new(Careless::default(), Config::default());
    let lines = [request("forget", 1), request("give_up", 2), request("state", 3)];
    let answers = drive(&mut node, &lines.each_ref().map(String::as_str));
    assert_eq!(answers.len(), 2);
    assert_eq!(
        answers[0]["body"],
        json!({"type": "error", "code": 1234, "text": "on second thoughts", "in_reply_to": 2, "msg_id": 1})
    );
    assert_eq!(answers[1]["body"]["handled"], 3);
}

#[test]
fn a_request_is_answered_once() {
    let mut node = Node::new(Careless::default(), Config::default());
    let lines = [request("twice", 1), request("panic_after", 2), request("silent", 3)];
    let answers = drive(&mut node, &lines.each_ref().map(String::as_str));
    let kinds: Vec<_> = answers.iter().map(|answer| &answer["body"]["type"]).collect();
    assert_eq!(kinds, ["twice_ok", "panic_after_ok"]);
}

#[test]
fn a_handler_cannot_forge_the_correlation() {
    let answers = drive(&mut Node::new(Careless::default(), Config::default()), &[&request("forge", 1)]);
    assert_eq!((&answers[0]["body"]["code"], &answers[0]["body"]["in_reply_to"]), (&json!(13), &json!(1)));
}

#[test]
fn a_message_that_waits_for_no_answer_is_numbered_and_leaves_nothing_behind() {
    let mut node = Node::new(Careless::default(), Config::default());
    // What its receiver answers is for nobody.
    let answer = r#"{"src":"n2","dest":"n1","body":{"type":"told_ok","in_reply_to":1,"msg_id":0}}"#;
    let sent = drive(&mut node, &[&request("tell", 1), answer]);
    let told = |dest: &str, msg_id: u64| json!({"src": "n1", "dest": dest, "body": {"type": "told", "by": "c1", "msg_id": msg_id}});
    assert_eq!(sent[..3], [told("n2", 1), told("lin-kv", 2), told("n1", 3)]);
    assert_eq!(sent[3]["body"], json!({"type": "tell_ok", "in_reply_to": 1, "msg_id": 4}));
    assert_eq!((sent.len(), node.pending_calls(), node.poll_timeout()), (4, 0, None));
    assert_eq!((node.counters().unmatched_replies, node.counters().calls), (1, 0));
}

#[test]
fn a_message_to_nobody_or_with_a_forged_number_never_leaves() {
    let mut node = Node::new(Careless::default(), Config::default());
    let lines = [request("tell_nobody", 1), request("tell_client", 2), request("forge_message", 3)];
    let sent = drive(&mut node, &lines.each_ref().map(String::as_str));
    let codes: Vec<_> = sent.iter().map(|sent| (&sent["dest"], &sent["body"]["code"])).collect();
    assert_eq!(codes, [1, 1, 13].map(|code| (json!("c1"), json!(code))).each_ref().map(|(a, b)| (a, b)));
}

#[test]
fn names_may_have_any_length() {
    let (mut node, mut out) = (Node::new(Messenger::default(), Config::default()), OutBuffer::new());
    let id = "n".repeat(2000);
    let proxy = json!({"type": "proxy", "msg_id": 2, "target": "", "inner": {"type": "read"}});
    for (src, dest, body) in [
        ("c", &*id, json!({"type": "init", "msg_id": 1, "node_id": id, "node_ids": [id, ""]})),
        ("", &*id, json!({"type": "", "msg_id": 1})),
        ("c", &*id, proxy),
        ("c", &id[..1024], json!({"type": "echo", "msg_id": 3, "echo": 1})),
        (&*id, &*id, json!({"type": "echo", "msg_id": 4, "echo": 1})),
    ] {
        let line = json!({"src": src, "dest": dest, "body": body}).to_string();
        node.handle_line(Instant::START, Line::new(line.as_bytes()), &mut out);
    }
    let said = std::str::from_utf8(out.waiting()).unwrap().lines();
    let said: Vec<Value> = said.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(said.iter().all(|message| message["src"] == id));
    let said: Vec<_> = said.iter().map(|message| (&message["dest"], &message["body"]["type"])).collect();
    let expected = [("c", "init_ok"), ("", "error"), ("", "read"), (&id, "echo_ok")];
    assert_eq!(said, expected.map(|(dest, kind)| (json!(dest), json!(kind))).each_ref().map(|(a, b)| (a, b)));
    assert_eq!(node.counters().misaddressed, 1, "the beginning of a name is another name");
}

/// Puts requests off, and loses what was to answer them.
struct Forgetful;

impl Handler for Forgetful {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        if request.kind() == "forget" {
            let deferred = cx.defer(request);
            std::mem::forget(cx.answer(deferred, "never").field("half", 1));
            return Ok(());
        }
        cx.reply(request, "ok").send()
    }
}

#[test]
fn a_message_that_is_forgotten_gives_its_request_up() {
    let lines = [request("forget", 1), request("other", 2)];
    let answers = drive(&mut Node::new(Forgetful, Config::default()), &lines.each_ref().map(String::as_str));
    let answers: Vec<_> = answers.iter().map(|answer| &answer["body"]).collect();
    assert_eq!(answers[0], &json!({"type": "ok", "in_reply_to": 2, "msg_id": 1}));
    assert_eq!((&answers[1]["code"], &answers[1]["in_reply_to"]), (&json!(13), &json!(1)));
}

/// Says what its random numbers are.
struct Dice;

impl Handler for Dice {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let number = cx.rng().u64(..);
        cx.reply(request, "ok").field("number", number).send()
    }
}

#[test]
fn random_numbers_come_from_the_seed_and_the_id() {
    let roll = |id: &str, seed| {
        let mut cluster = TestCluster::of([id]);
        cluster.start_with(id, Dice, Config { seed, ..Config::default() });
        cluster.ask(id, json!({"type": "x"}))["number"].as_u64().unwrap()
    };
    assert_eq!(roll("n1", 7), roll("n1", 7));
    assert_ne!(roll("n1", 7), roll("n2", 7));
    assert_ne!(roll("n1", 7), roll("n1", 8));
}

#[test]
fn counters_tell_what_happened() {
    let mut node = Node::new(Careless::default(), Config::default());
    drive(&mut node, &["", "{}", &request("panic", 1), r#"{"src":"a","dest":"n3","body":{"type":"x"}}"#]);
    node.handle_too_long(1000);
    assert_eq!(
        node.counters().to_string(),
        "6 lines in, 2 messages out, 1 not JSON, 1 malformed, 1 too long, 1 for another node, \
         1 answered with an error, 1 handlers panicked"
    );
}
