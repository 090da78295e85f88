//! Nodes that are killed with SIGKILL in the middle of a test, and started again.

use std::fs;
use std::path::Path;
use std::thread;

use super::workbench::{assert_valid, folder, outcome, test};
use serde_json::Value;

/// Nodes on disks of their own: what they acknowledged outlives SIGKILL. That it does so for a minute, with faults by
/// chance: `cargo test --test processes -- --ignored a_minute`.
#[test]
fn nodes_with_disks_survive_kills() {
    thread::scope(|scope| {
        for (workload, node, keeps_something) in [
            ("broadcast", None, true),
            ("g-set", None, true),
            ("g-counter", None, true),
            ("g-counter", Some("g-counter-over-seq-kv"), false),
            ("pn-counter", None, true),
            ("lin-kv", Some("raft"), true),
            ("kafka", None, true),
            ("txn-list-append", None, false),
            ("txn-rw-register", None, true),
        ] {
            scope.spawn(move || {
                let folder = folder(&format!("disks-{}", node.unwrap_or(workload)));
                assert_survives(&folder, workload, node);
                for node in 0..NODES {
                    // Who keeps nothing of its own leaves no folder.
                    let data = folder.join(format!("latest/data/n{node}"));
                    assert_eq!(data.exists(), keeps_something, "{workload}: n{node}");
                }
            });
        }
    });
}

#[test]
fn a_node_that_is_killed_comes_back() {
    assert_survives(&folder("kill"), "unique-ids", None);
}

#[test]
#[ignore = "it takes a minute and more"]
fn a_minute_of_kills_loses_nothing() {
    for words in ["-w lin-kv --node raft", "-w kafka"] {
        let faults = "--nemesis kill,partition,pause --nemesis-interval 5 --time-limit 60";
        let words = format!("{words} --node-count 5 --concurrency 4n --rate 50 {faults}");
        assert_valid(&folder("minute"), &words.split(' ').collect::<Vec<_>>());
    }
}

const NODES: usize = 5;

/// Kills each node twice. What each of them acknowledged before the last time is there in the end, and each goes on.
///
/// On a machine that is so slow that a node acknowledges nothing between the faults, they are further apart.
#[track_caller]
fn assert_survives(folder: &Path, workload: &str, node: Option<&str>) {
    let mut acknowledged = Vec::new();
    for slowness in [1, 2, 4] {
        let (status, stdout) = kill_all_nodes(folder, workload, node, slowness);
        acknowledged = acknowledged_before_and_after_the_last_kill(folder);
        if status == Some(0) && acknowledged.iter().all(|&(before, after)| before > 0 && after > 0) {
            return;
        }
        // Unknown it is if too little was done for a verdict.
        assert!(matches!(status, Some(0 | 2)), "{stdout}");
    }
    panic!("{workload}: nodes acknowledged nothing before or after they were killed: {acknowledged:?}");
}

fn kill_all_nodes(folder: &Path, workload: &str, node: Option<&str>, slowness: u32) -> (Option<i32>, String) {
    let seconds = |seconds: f64| format!("{}s", seconds * f64::from(slowness));
    let faults = [
        format!("kill n0,n1 at {} for {}", seconds(1.0), seconds(0.2)),
        format!("partition n0,n1|n2,n3,n4 at {} for {}", seconds(1.6), seconds(0.8)),
        format!("kill n2,n3,n4 at {} for {}", seconds(2.0), seconds(0.2)),
        format!("pause n1,n3 at {} for {}", seconds(2.6), seconds(0.3)),
        format!("kill n0,n1,n2,n3,n4 at {} for {}", seconds(3.2), seconds(0.2)),
    ];
    let (node_count, time_limit) = (NODES.to_string(), (6 * slowness).to_string());
    let mut args = vec!["-w", workload, "--node-count", &node_count, "--time-limit", &time_limit];
    // Who has asked a node that is killed waits until the test is over: there are enough others.
    args.extend(["--seed", "1", "--rate", "100", "--concurrency", "30n"]);
    args.extend(faults.iter().flat_map(|fault| ["--fault", fault]));
    args.extend(node.into_iter().flat_map(|node| ["--node", node]));
    if workload == "txn-rw-register" {
        args.extend(["--consistency-models", "read-atomic"]);
    }
    outcome(&test(folder, &args))
}

/// How many operations that a node had to remember, or to answer as no other, it acknowledged, for each node.
fn acknowledged_before_and_after_the_last_kill(folder: &Path) -> Vec<(usize, usize)> {
    let read = |file: &str| fs::read_to_string(folder.join("latest").join(file)).unwrap();
    let results: Value = serde_json::from_str(&read("results.json")).unwrap();
    let faults = results["faults"].as_array().unwrap();
    let last = faults.iter().rfind(|fault| fault["fault"] == "kill").unwrap();
    let [killed_us, back_us] = ["from_us", "to_us"].map(|end| last[end].as_u64().unwrap());

    let mut acknowledged = vec![(0, 0); NODES];
    for line in read("history.jsonl").lines() {
        let operation: Value = serde_json::from_str(line).unwrap();
        let is_write = match operation["f"].as_str().unwrap() {
            "add" | "broadcast" | "write" | "cas" | "send" | "generate" => true,
            "txn" => operation["value"].as_array().unwrap().iter().any(|part| part[0] != "r"),
            _ => false,
        };
        if is_write && operation["type"] == "ok" {
            let node: usize = operation["node"].as_str().unwrap()[1..].parse().unwrap();
            let us = operation["time"].as_u64().unwrap() / 1000;
            acknowledged[node].0 += usize::from(us < killed_us);
            acknowledged[node].1 += usize::from(us > back_us);
        }
    }
    acknowledged
}
