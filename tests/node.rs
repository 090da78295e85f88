//! The sans-IO core in one process: what handlers may do, and what they cannot get wrong.

use messenger::node::{Config, Context, Node, Request, Workload};
use messenger::time::Instant;
use messenger::wire::error::{ErrorCode, RpcError};
use messenger::wire::json::Line;
use messenger::wire::out::OutBuffer;
use serde_json::{Value, json};

/// Feeds lines to a node that had its `init` as n1 of n1 and n2; its messages after `init_ok`.
fn drive<W: Workload>(node: &mut Node<W>, lines: &[&str]) -> Vec<Value> {
    let mut out = OutBuffer::new();
    let init =
        r#"{"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1","n2"]}}"#;
    for line in [init].iter().chain(lines) {
        node.handle_line(Instant::START, Line::copied(line.as_bytes(), &mut Vec::new()), &mut out);
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

impl Workload for Careless {
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
    assert_eq!((node.counters().panics, node.workload().handled), (2, 3));
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
