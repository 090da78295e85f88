//! The README's promises: its example is the one that is compiled, and it runs.

use crate::support::{example, message, run};
use serde_json::Value;

const README: &str = include_str!("../../README.md");

#[test]
fn the_example_node_is_the_one_that_is_compiled() {
    for example in [include_str!("../nodes/unique_ids.rs"), include_str!("../nodes/three_ways.rs")] {
        let code = &example[example.find("use ").unwrap()..];
        assert!(README.contains(code), "this is not in README.md:\n{code}");
    }
}

#[test]
fn the_example_node_runs() {
    let output = run(example("unique_ids"), include_bytes!("../data/unique-ids.jsonl"));
    assert!(output.status.success());
    let stdout = String::from_utf8(output.stdout).unwrap();
    let messages: Vec<Value> = stdout.lines().map(message).collect();
    let mut ids: Vec<&str> =
        messages[1..].iter().map(|message| message["body"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 111);
    assert_eq!((ids[0], ids[110]), ("n0-0", "n0-110"));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 111);
}

/// What the README shows a newcomer to type, and what it says will come.
#[test]
fn the_shown_conversation_is_what_happens() {
    let (_, shown) = README.split_once("printf '%s\\n' \\\n").unwrap();
    let (command, answers) = shown.split_once("  | cargo run --release\n").unwrap();
    let requests: Vec<&str> =
        command.lines().map(|line| line.trim().trim_end_matches(" \\").trim_matches('\'')).collect();
    let answers = answers.split_once("```json\n").unwrap().1.split_once("```").unwrap().0;
    let output =
        run(crate::support::messenger(&["--log-level", "off"]), (requests.join("\n") + "\n").as_bytes());
    assert_eq!(
        std::str::from_utf8(&output.stdout).unwrap().lines().collect::<Vec<_>>(),
        answers.lines().collect::<Vec<_>>()
    );
}
