//! Programs of another crate that are a node and its workbench: `messenger::main`, and with a workload of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::support::{echo, example, run};
use serde_json::Value;

fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("own_workbench").join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Calls a program with these words, split at spaces, and its reports in the folder.
fn call(program: &str, words: &str, store: &Path) -> (Option<i32>, String, String) {
    let mut command = example(program);
    command.args(words.split(' ')).arg("--store").arg(store);
    told(&run(command, b""))
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn one_line_makes_a_node_test_itself() {
    let store = folder("unique_ids");
    for (words, tested) in [
        ("test -w unique-ids --time-limit 1 --node-count 2", "testing unique_ids\n"),
        (
            "test -w unique-ids --time-limit 10 --sim --nemesis kill --seed 1",
            "testing unique_ids, in virtual time\n",
        ),
    ] {
        let (status, stdout, stderr) = call("unique_ids", words, &store);
        // It counts from 0 again when it is started again.
        let status_expected = i32::from(words.contains("kill"));
        assert_eq!(status, Some(status_expected), "{stdout}{stderr}");
        assert!(stdout.starts_with(tested), "{stdout}");
    }
    let mut help = example("unique_ids");
    help.arg("help");
    let (status, stdout, _) = told(&run(help, b""));
    assert_eq!(status, Some(0));
    assert!(stdout.contains("unique_ids [OPTIONS]") && stdout.contains("explore"), "{stdout}");
    let mut wrong = example("unique_ids");
    wrong.args(["test", "-w", "no-such-workload"]);
    let (status, _, stderr) = told(&run(wrong, b""));
    assert_eq!(status, Some(254), "{stderr}");
    let (status, _, stderr) = call("unique_ids", "explore -w broadcast --planted", &store);
    assert_eq!(status, Some(254), "{stderr}");
}

#[test]
fn a_workload_of_ones_own_is_explored_and_its_plan_repeated() {
    let store = folder("lock");
    let (status, stdout, stderr) = call("lock", "explore -w lock --sim --seeds 200 --shrink 10", &store);
    assert_eq!(status, Some(1), "{stdout}{stderr}");
    assert!(stdout.contains("lock: INVALID\n") && stdout.contains("had not given it back"), "{stdout}");
    let again = stdout.lines().find_map(|line| line.trim().strip_prefix("again: ")).unwrap();
    let plan = again.split(' ').find(|word| word.ends_with("plan.json")).unwrap();
    let (status, stdout, stderr) = call("lock", &format!("test --sim --plan {plan}"), &store);
    assert_eq!(status, Some(1), "{stdout}{stderr}");
    assert!(stdout.contains("had not given it back"), "{stdout}");

    let (status, stdout, stderr) =
        call("lock", "test -w lock --rate 50 --time-limit 2 --node-count 2 --seed 1 --json", &store);
    assert_eq!(status, Some(1), "{stdout}{stderr}");
    let results: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(results["workload"]["name"], "lock");
}

#[test]
fn an_assertion_ends_a_test_and_a_node_that_nobody_tests_goes_on() {
    let store = folder("asserting");
    let broken = "it says that this should always hold: there are fewer than five echoes; self.echoed = 5; cx.id() = \"n0\"\n";
    for mode in ["--sim", "--log-net-send"] {
        let words = format!("test -w echo --node-count 1 --rate 50 --time-limit 5 --seed 1 {mode}");
        let (status, stdout, stderr) = call("asserting", &words, &store);
        assert_eq!(status, Some(1), "{stdout}{stderr}");
        assert!(stdout.contains(broken), "{stdout}");
    }
    let (status, stdout, stderr) = call("asserting", "explore -w echo --jobs 1", &store);
    assert_eq!(status, Some(1), "{stdout}{stderr}");
    assert!(stdout.contains(broken) && stdout.contains(", 5 operations, 0 faults"), "{stdout}");
    let (status, stdout, stderr) =
        call("asserting", "explore -w echo --jobs 1 --seeds 3 --rate 1 --json", &store);
    assert_eq!(status, Some(0), "{stdout}{stderr}");
    assert!(
        stdout.contains(r#""sometimes":{"there are two echoes":true,"there is an echo of an echo":false}"#),
        "{stdout}"
    );
    assert!(stderr.contains("  NEVER: there is an echo of an echo (looked for in 3 seeds)\n"), "{stderr}");
    assert!(stderr.contains("  sometimes: there are two echoes (in "), "{stderr}");

    let requests: String = (1..=8).map(|msg_id| echo(msg_id, "1") + "\n").collect();
    let init =
        r#"{"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1"]}}"#;
    let (status, stdout, stderr) = told(&run(example("asserting"), format!("{init}\n{requests}").as_bytes()));
    assert_eq!((status, stdout.lines().count()), (Some(0), 9), "{stderr}");
    assert_eq!(
        stderr.matches("this should always hold: there are fewer than five echoes; self.echoed = 5").count(),
        1
    );
    assert!(!stderr.contains("sometimes!") && !stderr.contains("always!"), "{stderr}");
}
