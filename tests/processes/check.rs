//! `messenger check`: histories of others on the command line.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{messenger, run};

const VALID: &str = r"{:index 0, :time 1000, :type :invoke, :process 0, :f :write, :value [3 1]}
{:index 1, :time 5000, :type :ok, :process 0, :f :write, :value [3 1]}
{:index 2, :time 7000, :type :invoke, :process 1, :f :read, :value [3 nil]}
{:index 3, :time 8000, :type :ok, :process 1, :f :read, :value [3 1]}
";

fn check(args: &[&str], input: &str) -> (Option<i32>, String, String) {
    let output = run(messenger(&[&["check", "-w", "lin-kv"], args].concat()), input.as_bytes());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_exit_status_is_jepsens() {
    let (status, stdout, _) = check(&["-"], VALID);
    assert_eq!((status, &*stdout), (Some(0), "valid: 2 operations\n"));
    let (status, stdout, _) = check(&["-"], &VALID.replace(":read, :value [3 1]", ":read, :value [3 2]"));
    assert_eq!(status, Some(1));
    assert!(stdout.starts_with("INVALID: 2 operations\n  anomalies: nonlinearizable\n"), "{stdout}");
    let (status, stdout, _) = check(&["-"], "");
    assert_eq!(
        (status, &*stdout),
        (Some(2), "unknown: 0 operations\n  no operation succeeded, so nothing can be said about them\n")
    );
    let (status, _, stderr) = check(&["-"], "{:type :invoke");
    assert_eq!(status, Some(255));
    assert_eq!(
        stderr,
        "messenger: -: line 1: expected the brace that closes this operation, found the end of the file\n"
    );
    assert_eq!(check(&["no/such/file"], "").0, Some(255));
}

#[test]
fn what_was_found_is_there_for_programs() {
    let (status, stdout, _) =
        check(&["-", "--json"], &VALID.replace("[3 1]", "[3 2]").replacen("[3 2]", "[3 1]", 2));
    let found: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (status, &found["valid"], &found["anomalies"][0]),
        (Some(1), &false.into(), &"nonlinearizable".into())
    );
    assert_eq!((&found["workload"], &found["not"]), (&"lin-kv".into(), &Value::Array(Vec::new())));
}

/// A test's own history comes out as Jepsen's, and gets the same verdict.
#[test]
fn a_history_of_a_test_can_be_judged_again() {
    let store = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("check");
    let _ = fs::remove_dir_all(&store);
    let args = ["test", "-w", "broadcast", "--sim", "--seed", "1", "--store", store.to_str().unwrap()];
    assert!(run(messenger(&args), b"").status.success());
    let history = store.join("latest/history.jsonl");
    let check =
        |args: &[&str], input: &[u8]| run(messenger(&[&["check", "-w", "broadcast"], args].concat()), input);
    let edn = check(&["--edn", history.to_str().unwrap()], b"");
    assert!(edn.status.success() && edn.stdout.starts_with(b"{:index 0, :time "));
    let (ours, jepsens) = (check(&[history.to_str().unwrap()], b""), check(&["-"], &edn.stdout));
    assert_eq!(ours.status.code(), Some(0));
    assert_eq!(ours.stdout, jepsens.stdout);
    // What the nodes sent each other, from the journal of the test.
    let trace = run(messenger(&["trace", store.join("latest/journal.jsonl").to_str().unwrap()]), b"");
    assert!(trace.status.success() && trace.stdout.windows(12).any(|of| of == b"broadcast_ok"));
}
