//! This crate's nodes after a kill: they know what they acknowledged and keep what they promised, and their logs are no
//! longer than what they know.

use messenger::nodes::broadcast::Broadcast;
use messenger::nodes::counter::Counter;
use messenger::nodes::kafka::Kafka;
use messenger::nodes::txn_rw_register::TxnRwRegister;
use serde_json::{Value, json};

use crate::talk::{Talk as _, n1_of};

#[test]
fn a_counter_goes_on_under_its_name_and_its_log_is_a_record_long() {
    let mut host = n1_of(2, Counter::any());
    for life in 1..4 {
        for delta in [5, -2] {
            assert_eq!(host.ask("n1", json!({"type": "add", "delta": delta}))["type"], "add_ok");
        }
        assert_eq!(host.ask("n1", json!({"type": "read"}))["value"], 3 * life);
        assert_eq!(host.log().0, 1);
        host.restart(Counter::any());
        assert_eq!(host.ask("n1", json!({"type": "read"}))["value"], 3 * life);
        // It counts under the same name: the others see one total, not four.
        let said = host.hear_ms(600);
        assert_eq!(said[0].1["totals"].as_object().unwrap().len(), 1);
    }
}

#[test]
fn a_broadcast_node_keeps_what_it_was_told_by_whomever() {
    let mut host = n1_of(2, Broadcast::default());
    for message in 0..3 {
        host.ask("n1", json!({"type": "broadcast", "message": message}));
    }
    host.hear("n2", &json!({"type": "values", "runs": [["n2-a", 0, [10, 11]]]}));
    for message in 20..22 {
        host.restart(Broadcast::default());
        let said = host.hear("c1", &json!({"type": "broadcast", "msg_id": 7, "message": message}));
        let (_, batch) = said.iter().find(|(dest, _)| dest == "n2").expect("it is the hub");
        assert_eq!(batch["runs"][0][2], json!([message]), "what was known before is not sent again");
    }
    assert_eq!(host.ask("n1", json!({"type": "read"}))["messages"], json!([0, 1, 2, 10, 11, 20, 21]));
    // What is new goes on in the same log.
    let said = host.hear("n2", &json!({"type": "missing", "have": {"n2-a": 2}}));
    assert_eq!(said[0].1["runs"].as_array().unwrap().len(), 1, "one log of its own: {said:?}");
    assert_eq!(said[0].1["runs"][0][2], json!([0, 1, 2, 20, 21]));
    let known = host.log();
    host.hear("n2", &json!({"type": "values", "runs": [["n2-a", 0, [10, 11]]]}));
    assert_eq!(host.log(), known, "what is known is not written down again");
}

#[test]
fn a_kafka_node_gives_no_offset_twice_and_keeps_its_promises() {
    let entries = |from: u64, entries: Value, heard: Value| json!({"type": "entries", "stream": "n2-a", "from": from, "entries": entries, "heard": heard});
    let mut host = n1_of(2, Kafka::default());
    assert_eq!(host.ask("n1", json!({"type": "send", "key": "k", "msg": 1}))["offset"], 0);
    // It learns of offset 9, and so promises to append above that.
    host.hear("n2", &entries(0, json!([["m", "k", 9, "x"]]), json!(["", 0])));
    let stream = host.hear_ms(100)[0].1.clone();
    assert_eq!(stream["entries"], json!([["m", "k", 0, 1], ["w", "k", 10]]));
    host.restart(Kafka::default());
    // Nobody confirmed these: they are sent again, as the same stream, and what was heard is confirmed.
    let again = host.hear_ms(100)[0].1.clone();
    for field in ["stream", "from", "entries"] {
        assert_eq!(again[field], stream[field], "{field}");
    }
    assert_eq!(again["heard"], json!(["n2-a", 1]));
    assert_eq!(host.ask("n1", json!({"type": "send", "key": "k", "msg": 2}))["offset"], 10);
    let polled = host.ask("n1", json!({"type": "poll", "offsets": {"k": 0}}));
    assert_eq!(polled["msgs"], json!({"k": [[0, 1], [9, "x"], [10, 2]]}));
}

/// Whatever is superseded does not stay in the log, and what is not does.
#[test]
fn logs_become_snapshots() {
    let mut host = n1_of(1, Kafka::default());
    for number in 0..3_000 {
        host.ask("n1", json!({"type": "send", "key": "k", "msg": number}));
        host.ask("n1", json!({"type": "commit_offsets", "offsets": {"k": number}}));
    }
    let (_, bytes) = host.log();
    assert!(bytes < 200_000, "{bytes} bytes");
    host.restart(Kafka::default());
    let polled = host.ask("n1", json!({"type": "poll", "offsets": {"k": 2_990}}));
    assert_eq!(polled["msgs"]["k"].as_array().unwrap().len(), 10);
    let polled = host.ask("n1", json!({"type": "poll", "offsets": {"k": 0}}));
    assert_eq!(polled["msgs"]["k"].as_array().unwrap().len(), 3_000);
    let committed = host.ask("n1", json!({"type": "list_committed_offsets", "keys": ["k"]}));
    assert_eq!(committed["offsets"], json!({"k": 2_999}));
    assert_eq!(host.ask("n1", json!({"type": "send", "key": "k", "msg": 0}))["offset"], 3_000);

    let mut host = n1_of(2, TxnRwRegister::default());
    for number in 0..3_000 {
        host.ask("n1", json!({"type": "txn", "txn": [["w", number % 10, number], ["w", 10, number]]}));
    }
    let (_, bytes) = host.log();
    assert!(bytes < 100_000, "{bytes} bytes");
    host.restart(TxnRwRegister::default());
    let answer = host.ask("n1", json!({"type": "txn", "txn": [["r", 10, null], ["r", 3, null]]}));
    assert_eq!(answer["txn"], json!([["r", 10, 2_999], ["r", 3, 2_993]]));
    // Nobody acknowledged any of it, so it is all sent again.
    let said = host.hear_ms(100);
    assert_eq!(said[0].1["writes"].as_array().unwrap().len(), 11);
    assert!(said[0].1["writes"].as_array().unwrap().contains(&json!([10, [3_000, 2_999]])));
}
