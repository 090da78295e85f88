//! The course's published cases and the traffic that real Maelstrom sent.

use crate::support::{message, messenger, run};
use serde_json::{Value, json};

#[test]
fn published_cases() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../data/cases.json")).unwrap();
    assert_eq!(cases.len(), 25);
    for case in &cases {
        let (name, parses) = (&case["name"], case["task"] == "1-1");
        let lines: Vec<&str> =
            case["stdin"].as_array().unwrap().iter().map(|x| x.as_str().unwrap()).collect();
        let command = messenger(if parses { &["parse"] } else { &["--drain-timeout", "0"] });
        let output = run(command, (lines.join("\n") + "\n").as_bytes());
        assert!(output.status.success(), "{name}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        let got: Vec<Value> = if parses {
            stdout.lines().map(Value::from).collect()
        } else {
            stdout.lines().map(message).collect()
        };
        let expected = case["expected"].as_array().unwrap();
        if case["complete"] == json!(true) {
            assert_eq!(&got, expected, "{name}");
        } else {
            assert_eq!(&got[..expected.len()], expected, "{name}");
        }
    }
}

#[test]
fn every_line_of_a_recorded_echo_test_is_answered() {
    let recording = include_str!("../data/echo.n0.jsonl");
    let output = run(messenger(&[]), recording.as_bytes());
    assert!(output.status.success());
    let answers: Vec<Value> = std::str::from_utf8(&output.stdout).unwrap().lines().map(message).collect();
    let requests: Vec<Value> = recording.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), requests.len());
    for (number, (request, answer)) in requests.iter().zip(&answers).enumerate() {
        let body = &request["body"];
        let mut expected = json!({
            "type": format!("{}_ok", body["type"].as_str().unwrap()),
            "in_reply_to": body["msg_id"],
            "msg_id": number,
        });
        if let Some(echo) = body.get("echo") {
            expected["echo"] = echo.clone();
        }
        assert_eq!(*answer, json!({"src": "n0", "dest": request["src"], "body": expected}));
    }
}

/// A node that knows nothing of a workload still answers each of its requests, and drops each reply.
#[test]
fn recorded_traffic_of_any_workload_gets_an_answer() {
    for (name, recording) in [
        ("broadcast", include_str!("../data/broadcast.5-nodes.jsonl")),
        ("g-set", include_str!("../data/g-set.jsonl")),
        ("kafka", include_str!("../data/kafka.jsonl")),
        ("lin-kv", include_str!("../data/lin-kv.raft.jsonl")),
        ("pn-counter", include_str!("../data/pn-counter.jsonl")),
        ("txn-list-append", include_str!("../data/txn-list-append.jsonl")),
        ("unique-ids", include_str!("../data/unique-ids.jsonl")),
    ] {
        let output = run(messenger(&[]), recording.as_bytes());
        let answers: Vec<Value> = std::str::from_utf8(&output.stdout).unwrap().lines().map(message).collect();
        let requests: Vec<Value> = recording
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|message| message["body"].get("msg_id").is_some())
            .collect();
        assert!(requests.len() > 10, "{name}");
        assert_eq!(answers.len(), requests.len(), "{name}");
        for (request, answer) in requests.iter().zip(&answers) {
            assert_eq!(answer["dest"], request["src"], "{name}");
            assert_eq!(answer["body"]["in_reply_to"], request["body"]["msg_id"], "{name}");
            let expected = if request["body"]["type"] == "init" { "init_ok" } else { "error" };
            assert_eq!(answer["body"]["type"], expected, "{name}");
        }
    }
}
