//! One node of Raft, and what the others say: the mistakes that are made again and again, one by one.

use messenger::Duration;
use messenger::nodes::raft::Raft;
use messenger::workbench::TestCluster;
use serde_json::{Value, json};

use crate::talk::{Talk as _, n1_of};

fn raft() -> Raft {
    Raft::new(Duration::from_millis(1000))
}

/// Node n1 of n1, n2 and n3.
fn server() -> TestCluster {
    n1_of(3, raft())
}

/// Has it become the leader of the next term, with the votes of n2; the term.
fn lead(server: &mut TestCluster) -> u64 {
    let mut said = Vec::new();
    for is_pre in [true, false] {
        let asks = |(dest, body): &&(String, Value)| dest == "n2" && body["is_pre"] == is_pre;
        while !said.iter().any(|message| asks(&message)) {
            said = server.hear_ms(10);
        }
        let term = said.iter().find(asks).unwrap().1["term"].clone();
        let vote = json!({"type": "vote", "term": term, "is_granted": true, "is_pre": is_pre});
        said = server.hear("n2", &vote);
        if !is_pre {
            return term.as_u64().unwrap();
        }
    }
    unreachable!("the second vote is none that changes nothing")
}

fn vote(term: u64, last_log: (u64, u64), is_pre: bool) -> Value {
    let (last_log_term, last_log_index) = last_log;
    json!({"type": "request_vote", "term": term, "last_log_index": last_log_index,
        "last_log_term": last_log_term, "is_pre": is_pre})
}

fn append(term: u64, prev: (u64, u64), values: &[u64], leader_commit: u64) -> Value {
    let write = |value: &u64| {
        json!({"term": term, "client": format!("c{value}"), "msg_id": 1,
            "command": {"write": {"key": 1, "value": value}}})
    };
    let (prev_log_term, prev_log_index) = prev;
    json!({"type": "append_entries", "term": term, "prev_log_index": prev_log_index, "prev_log_term": prev_log_term,
        "entries": values.iter().map(write).collect::<Vec<_>>(), "leader_commit": leader_commit, "round": 1})
}

fn is_granted(said: &[(String, Value)]) -> bool {
    said.iter().find(|(_, body)| body["type"] == "vote").expect("a vote").1["is_granted"].as_bool().unwrap()
}

/// What it says of its log: whether it refuses, and up to which index it agrees, or could.
fn result(said: &[(String, Value)]) -> (bool, u64) {
    let (_, body) = said.iter().find(|(_, body)| body["type"] == "append_result").expect("a result");
    (body["is_refused"].as_bool().unwrap(), body["match_index"].as_u64().unwrap())
}

#[test]
fn it_votes_once_in_a_term_and_remembers_it() {
    let mut server = server();
    assert!(is_granted(&server.hear("n2", &vote(5, (0, 0), false))));
    assert!(!is_granted(&server.hear("n3", &vote(5, (0, 0), false))));
    assert!(is_granted(&server.hear("n2", &vote(5, (0, 0), false))), "the same again");
    server.restart(raft());
    assert!(!is_granted(&server.hear("n3", &vote(5, (0, 0), false))));
    assert!(!is_granted(&server.hear("n3", &vote(4, (0, 0), false))));
    assert!(is_granted(&server.hear("n3", &vote(6, (0, 0), false))));
}

#[test]
fn it_votes_for_no_log_that_is_behind_its_own() {
    let mut server = server();
    server.hear("n2", &append(2, (0, 0), &[1, 2], 0));
    assert!(!is_granted(&server.hear("n3", &vote(3, (2, 1), false))), "a shorter one");
    assert!(!is_granted(&server.hear("n3", &vote(4, (1, 9), false))), "a longer one with an older last term");
    assert!(is_granted(&server.hear("n3", &vote(5, (2, 2), false))));
}

/// A node that was cut off asks first, with whatever term, and deposes nobody.
#[test]
fn it_promises_no_vote_while_it_hears_a_leader() {
    let mut server = server();
    server.hear("n2", &append(2, (0, 0), &[], 0));
    assert!(!is_granted(&server.hear("n3", &vote(3, (9, 9), true))));
    // Nothing has changed by that.
    assert_eq!(result(&server.hear("n2", &append(2, (0, 0), &[], 0))), (false, 0));
    server.pass_ms(250);
    assert!(is_granted(&server.hear("n3", &vote(3, (9, 9), true))));
}

#[test]
fn only_a_conflict_truncates() {
    let mut server = server();
    assert_eq!(result(&server.hear("n2", &append(2, (0, 0), &[1, 2, 3], 0))), (false, 3));
    // An older message that comes late agrees with what is here.
    assert_eq!(result(&server.hear("n2", &append(2, (0, 0), &[1], 0))), (false, 1));
    assert_eq!(result(&server.hear("n2", &append(2, (2, 3), &[], 0))), (false, 3));
    // Another leader has another third entry.
    assert_eq!(result(&server.hear("n3", &append(4, (2, 2), &[9], 0))), (false, 3));
    assert_eq!(result(&server.hear("n3", &append(4, (2, 3), &[], 0))), (true, 2));
    server.restart(raft());
    assert_eq!(result(&server.hear("n3", &append(4, (4, 3), &[], 0))), (false, 3), "and it is on disk");
}

/// Whatever a leader believes, what is committed is not asked for again.
#[test]
fn a_refusal_never_goes_back_behind_what_is_committed() {
    let mut server = server();
    server.hear("n2", &append(2, (0, 0), &[1, 2, 3], 2));
    assert_eq!(result(&server.hear("n3", &append(5, (4, 9), &[], 0))), (true, 3));
    assert_eq!(result(&server.hear("n3", &append(5, (4, 2), &[], 0))), (true, 2));
}

/// The node is asked by a client, the leader answers: the request is handed on once, and never again.
#[test]
fn a_request_is_handed_on_once() {
    let mut server = server();
    let read = json!({"type": "read", "msg_id": 7, "key": 1});
    assert!(server.hear("c1", &read).is_empty(), "nobody leads yet");
    server.pass_ms(400);
    let said = server.hear("n2", &append(2, (0, 0), &[], 0));
    let forwarded: Vec<_> = said.iter().filter(|(_, body)| body["type"] == "forward").collect();
    assert_eq!(forwarded.len(), 1);
    assert_eq!((&*forwarded[0].0, &forwarded[0].1["within_us"]), ("n2", &json!(500_000)));
    let said = server.hear("c2", &read);
    assert_eq!(said.len(), 1);
    assert_eq!((&*said[0].0, &said[0].1["type"]), ("n2", &json!("forward")));
    assert!(server.hear_ms(5000).iter().all(|(_, body)| body["type"] == "request_vote"));
    // Who does not lead hands nothing on that was handed to it.
    server.hear("n2", &append(2, (0, 0), &[], 0));
    let forward = json!({"type": "forward", "client": "c5", "client_msg_id": 3, "within_us": 1_000_000, "command": {"read": {"key": 1}}});
    let said = server.hear("n3", &forward);
    assert_eq!(said.len(), 1);
    assert_eq!((&*said[0].0, &said[0].1["code"], &said[0].1["in_reply_to"]), ("c5", &json!(11), &json!(3)));
}

/// The network may double what is handed on, and who led when the first one came may lead no more: nobody knows.
#[test]
fn a_write_that_was_handed_on_is_never_refused_for_certain() {
    let mut server = server();
    let write = json!({"write": {"key": 1, "value": 2}});
    let forward = json!({"type": "forward", "client": "c5", "client_msg_id": 3, "within_us": 1_000_000, "command": write});
    let said = server.hear("n3", &forward);
    assert_eq!((&*said[0].0, &said[0].1["code"]), ("c5", &json!(0)));
}

/// What waited for a leader as long as a client does was appended by nobody, and is refused for certain.
#[test]
fn a_request_waits_for_a_leader_as_long_as_its_client_does() {
    let mut server = server();
    for client in 0..10_000 {
        let read = json!({"type": "read", "msg_id": 7, "key": 1});
        assert!(server.hear(&format!("c{client}"), &read).is_empty());
    }
    let refused = |said: &[(String, Value)]| said.iter().filter(|(_, body)| body["code"] == 11).count();
    let said = server.hear("c10000", &json!({"type": "read", "msg_id": 7, "key": 1}));
    assert_eq!(refused(&said), 1, "one too many waits");
    assert_eq!(refused(&server.hear_ms(990)), 0);
    assert_eq!(refused(&server.hear_ms(30)), 10_000);
}

#[test]
fn a_leader_commits_and_answers_when_a_majority_has_it_and_once() {
    let mut server = server();
    let term = lead(&mut server);
    let forward = json!({"type": "forward", "client": "c5", "client_msg_id": 3, "within_us": 1_000_000, "command": {"write": {"key": 1, "value": 2}}});
    assert!(server.hear("n3", &forward).is_empty());
    // It came twice.
    assert!(server.hear("n3", &forward).is_empty());
    let said = server.hear_ms(5);
    let to_n2: Vec<_> = said.iter().filter(|(dest, _)| dest == "n2").collect();
    assert_eq!(to_n2.last().unwrap().1["entries"].as_array().unwrap().len(), 1, "{said:?}");
    let acknowledge = |term: u64, index: u64| json!({"type": "append_result", "term": term, "is_refused": false, "match_index": index, "round": 1});
    assert!(server.hear("n2", &acknowledge(term - 1, 2)).is_empty(), "of an earlier term");
    let said = server.hear("n2", &acknowledge(term, 2));
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(
        (&*said[0].0, &said[0].1["type"], &said[0].1["in_reply_to"]),
        ("c5", &json!("write_ok"), &json!(3))
    );
    assert!(server.hear("n2", &acknowledge(term, 2)).is_empty());
    // Started again it knows the entry, and answers nobody.
    server.restart(raft());
    let said = server.hear("n2", &append(term + 1, (term, 2), &[], 2));
    assert!(said.iter().all(|(dest, _)| dest == "n2"), "{said:?}");
    assert_eq!(result(&said), (false, 2));
}

/// A read waits for a round that began after it came: who was deposed has none.
#[test]
fn a_leader_reads_only_when_it_has_heard_that_it_still_leads() {
    let mut server = server();
    let term = lead(&mut server);
    let result = |round: u64| json!({"type": "append_result", "term": term, "is_refused": false, "match_index": 1, "round": round});
    server.hear("n2", &result(1));
    assert!(server.hear("c1", &json!({"type": "read", "msg_id": 7, "key": 1})).is_empty());
    // An answer to the round before says nothing about now.
    assert!(server.hear("n2", &result(1)).is_empty());
    let said = server.hear_ms(5);
    let round = said.iter().find(|(dest, _)| dest == "n2").unwrap().1["round"].as_u64().unwrap();
    let said = server.hear("n2", &result(round));
    assert_eq!((&*said[0].0, &said[0].1["code"]), ("c1", &json!(20)), "{said:?}");
}

/// A log of many entries becomes a snapshot, from which a node starts again.
#[test]
fn a_long_log_becomes_a_snapshot() {
    let mut server = server();
    for first in (0..1500).step_by(100) {
        let values: Vec<u64> = (first..first + 100).collect();
        let prev = (if first == 0 { 0 } else { 2 }, first);
        assert_eq!(result(&server.hear("n2", &append(2, prev, &values, first + 100))), (false, first + 100));
    }
    let records = server.records("n1").count();
    assert!(records < 10, "{records} records");
    server.restart(raft());
    assert_eq!(result(&server.hear("n2", &append(2, (2, 1500), &[], 1500))), (false, 1500));
    // What is in the snapshot is agreed about, whatever an old message says.
    assert_eq!(result(&server.hear("n2", &append(2, (2, 5), &[1, 2], 0))), (false, 7));
}
