//! The typed nodes that the documentation shows: each is run, and goes through the workbench.

use std::path::Path;
use std::thread;

use crate::support::{example, message, messenger, run};
use serde_json::{Value, json};

/// The typed examples, with the number of lines that each may have.
const NODES: [(&str, &str, usize); 5] = [
    ("echo", include_str!("../nodes/typed/echo.rs"), 10),
    ("unique_ids", include_str!("../nodes/typed/unique_ids.rs"), 14),
    ("broadcast", include_str!("../nodes/typed/broadcast.rs"), 40),
    ("kafka", include_str!("../nodes/typed/kafka.rs"), 45),
    ("txn_rw_register", include_str!("../nodes/typed/txn_rw_register.rs"), 50),
];

#[test]
fn they_are_short_and_name_no_field_in_quotes() {
    for (name, text, lines_max) in NODES {
        let code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
        let lines = text.lines().filter(code).count();
        assert!(lines <= lines_max, "{name}: {lines} lines");
        // What is in quotes is a format or why something cannot fail.
        let in_quotes: Vec<&str> = text.split('"').skip(1).step_by(2).collect();
        assert!(
            in_quotes.iter().all(|text| text.contains(' ') || text.contains('{')),
            "{name}: {in_quotes:?}"
        );
    }
}

#[test]
fn the_one_that_the_documentation_shows_is_the_one_that_is_compiled() {
    let (_, echo, _) = NODES[0];
    let code = &echo[echo.find("use ").unwrap()..];
    let shown: String = code.lines().map(|line| format!("//! {line}").trim_end().to_owned() + "\n").collect();
    assert!(include_str!("../../src/lib.rs").contains(&shown), "{shown}");
}

#[test]
fn they_are_valid_in_the_workbench() {
    thread::scope(|scope| {
        for (workload, name, words) in [
            ("echo", "typed_echo", "--node-count 2 --time-limit 1"),
            ("unique-ids", "typed_unique_ids", "--node-count 3 --time-limit 1 --rate 100"),
            (
                "broadcast",
                "typed_broadcast",
                "--node-count 5 --time-limit 3 --rate 50 --nemesis partition --nemesis-interval 1",
            ),
            ("kafka", "typed_kafka", "--node-count 1 --time-limit 2 --rate 100"),
        ] {
            scope.spawn(move || {
                let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join("typed_nodes").join(name);
                let mut command = messenger(&["test", "-w", workload, "--seed", "1", "--store"]);
                command.arg(store).arg("--bin").arg(example(name).get_program()).args(words.split(' '));
                let output = run(command, b"");
                let [stdout, stderr] =
                    [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
                assert_eq!(output.status.code(), Some(0), "{name}: {stdout}{stderr}");
            });
        }
    });
}

/// A conversation with the node for transactions.
#[test]
fn transactions_see_what_was_written() {
    let line = |body: Value| json!({"src": "c1", "dest": "n1", "body": body}).to_string() + "\n";
    let input = [
        json!({"type": "init", "msg_id": 1, "node_id": "n1", "node_ids": ["n1"]}),
        json!({"type": "txn", "msg_id": 2, "txn": [["r", 1, null], ["w", 1, 6], ["r", 1, null], ["w", 2, 9]]}),
        json!({"type": "txn", "msg_id": 3, "txn": [["r", 2, null], ["w", "1", 6]]}),
    ]
    .map(line)
    .concat();
    let output = run(example("typed_txn_rw_register"), input.as_bytes());
    let stdout = String::from_utf8(output.stdout).unwrap();
    let bodies: Vec<Value> = stdout.lines().skip(1).map(|line| message(line)["body"].clone()).collect();
    assert_eq!(bodies[0]["txn"], json!([["r", 1, null], ["w", 1, 6], ["r", 1, 6], ["w", 2, 9]]));
    let text = "body.txn[1][1]: expected an integer of 64 bits, not negative, found \"1\"";
    assert_eq!((&bodies[1]["code"], &bodies[1]["text"]), (&json!(12), &json!(text)));
}
