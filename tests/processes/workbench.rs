//! `messenger test`, with nodes that are processes: this crate's, and a few lines of Python, right and wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::thread;

use crate::support::{self, messenger, run};
use serde_json::Value;

/// A folder of a test's own.
pub fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("workbench").join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

pub fn test(folder: &Path, args: &[&str]) -> Output {
    let mut command = messenger(&["test", "--store", folder.to_str().unwrap()]);
    command.args(args);
    run(command, b"")
}

/// The status and stdout.
pub fn outcome(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[track_caller]
pub fn assert_valid(folder: &Path, args: &[&str]) {
    let (status, stdout) = outcome(&test(folder, args));
    assert_eq!(status, Some(0), "{stdout}");
    assert!(stdout.contains(": valid\n"), "{stdout}");
}

#[test]
fn an_echo_test_leaves_a_report() {
    let folder = folder("echo");
    let args = ["-w", "echo", "--node-count", "3", "--time-limit", "1", "--rate", "50"];
    let output = test(&folder, &args);
    let (status, stdout) = outcome(&output);
    assert_eq!(status, Some(0), "{stdout}");
    let first = "testing messenger's own node for echo: --bin tests yours\necho: valid\n";
    assert!(stdout.starts_with(first) && stdout.contains("latency"), "{stdout}");
    assert!(output.stderr.is_empty(), "{:?}", String::from_utf8_lossy(&output.stderr));
    let report = stdout.lines().find_map(|line| line.strip_prefix("  report: ")).unwrap();
    let latest = folder.join("latest");
    assert_eq!(fs::read_link(&latest).unwrap(), fs::read_link(folder.join("current")).unwrap());
    assert!(Path::new(report).starts_with(&folder), "{report}");
    let results: Value = serde_json::from_slice(&fs::read(latest.join("results.json")).unwrap()).unwrap();
    assert_eq!((&results["valid"], &results["workload"]["name"]), (&true.into(), &"echo".into()));
    let lines = |file: &str| fs::read_to_string(latest.join(file)).unwrap().lines().count();
    assert_eq!(
        lines("journal.jsonl") - 6,
        lines("history.jsonl"),
        "three inits, and a reply to everything: each operation has two lines in both"
    );
    let log = fs::read_to_string(latest.join("node-logs/n2.log")).unwrap();
    assert_eq!(log, "", "it is killed before it says anything");
}

/// Short runs of everything, as processes and all at once, with faults that this crate's nodes bear.
#[test]
fn every_workload_is_valid_as_processes() {
    thread::scope(|scope| {
        for workload in ["echo", "unique-ids", "broadcast", "g-set", "g-counter", "pn-counter", "lin-kv"] {
            scope.spawn(move || {
                let folder = folder(&format!("own-{workload}"));
                let args = ["--node-count", "3", "--concurrency", "2n", "--rate", "100", "--latency", "5"];
                let faults = [
                    "--nemesis",
                    "partition,loss,duplicate,pause",
                    "--nemesis-interval",
                    "0.7",
                    "--seed",
                    "1",
                ];
                let args = [&["-w", workload, "--time-limit", "3"][..], &args, &faults].concat();
                assert_valid(&folder, &args);
            });
        }
    });
}

#[test]
fn without_a_rate_clients_ask_as_fast_as_they_are_answered() {
    let folder = folder("max");
    assert_valid(&folder, &["-w", "echo", "--rate", "max", "--concurrency", "50", "--time-limit", "1"]);
    let results: Value =
        serde_json::from_slice(&fs::read(folder.join("latest/results.json")).unwrap()).unwrap();
    assert!(results["operations_per_second"].as_f64().unwrap() > 100.0, "{results:#}");
}

/// A Python echo node, with one line of it replaced; nothing, where there is no Python.
fn python(folder: &Path, replaced: &str, by: &str) -> Option<String> {
    let right = include_str!("../nodes/echo.py");
    assert!(right.contains(replaced));
    let path = folder.join("node.py");
    support::python(&path, &right.replacen(replaced, by, 1))?;
    Some(path.to_str().unwrap().to_owned())
}

#[test]
fn a_node_in_python_passes() {
    let folder = folder("python");
    let Some(node) = python(&folder, "", "") else { return };
    assert_valid(&folder, &["-w", "echo", "--bin", &node, "--node-count", "2", "--time-limit", "1"]);
}

/// What happens to the Python node with a line of it replaced.
#[track_caller]
fn assert_caught(name: &str, replaced: &str, by: &str, words: &[&str]) {
    let folder = folder(name);
    let Some(node) = python(&folder, replaced, by) else { return };
    let args = ["-w", "echo", "--bin", &node, "--node-count", "1", "--time-limit", "3", "--rate", "20"];
    let (status, stdout) = outcome(&test(&folder, &args));
    assert_eq!(status, Some(1), "{stdout}");
    assert!(stdout.starts_with(&format!("testing {node}\necho: INVALID\n")), "{stdout}");
    for word in words {
        assert!(stdout.contains(word), "expected {word:?} in:\n{stdout}");
    }
}

#[test]
fn a_wrong_echo() {
    let words = ["Please echo ", "please echo "];
    assert_caught("wrong", r#"= body["echo"]"#, r#"= body["echo"].lower()"#, &words);
}

#[test]
fn a_line_that_is_no_message() {
    let (replaced, by) = ("    body =", "    print('got it', flush=True)\n    body =");
    assert_caught(
        "debug",
        replaced,
        by,
        &["because of n0 the test ended after", "not JSON", "the line: got it"],
    );
}

#[test]
fn a_blank_line() {
    let (replaced, by) = ("flush=True)", r#"end="\n\n", flush=True)"#);
    assert_caught("blank", replaced, by, &["expected a message on its stdout", "found a blank line"]);
}

#[test]
fn a_key_too_many() {
    let (replaced, by) = (r#""body": reply}"#, r#""body": reply, "time": 1}"#);
    assert_caught(
        "key",
        replaced,
        by,
        &[r#"expected no keys but src, dest, body and id in a message; found "time""#],
    );
}

#[test]
fn swapped_src_and_dest() {
    let replaced = r#""src": message["dest"], "dest": message["src"]"#;
    let by = r#""src": message["src"], "dest": message["dest"]"#;
    assert_caught(
        "swapped",
        replaced,
        by,
        &["n0 wrote to itself in the name of c0: are src and dest swapped?"],
    );
}

#[test]
fn a_missing_in_reply_to() {
    let (replaced, by) = (r#", "in_reply_to": body["msg_id"]}"#, "}");
    assert_caught(
        "correlation",
        replaced,
        by,
        &["expected in_reply_to, the msg_id of the request", "found nothing"],
    );
}

#[test]
fn an_unknown_destination() {
    let (replaced, by) = (r#""dest": message["src"]"#, r#""dest": "n7""#);
    assert_caught("nobody", replaced, by, &[r#"it wrote to "n7", which does not exist"#]);
}

#[test]
fn an_early_end_with_its_last_words() {
    let (replaced, by) = ("    body =", "    1 / 0\n    body =");
    let words = ["it ended while the test was running (exit status: 1)", "ZeroDivisionError"];
    assert_caught("early", replaced, by, &words);
}

/// Of a line on stderr that is too long the beginning is told, with the word that it was cut.
#[test]
fn an_end_after_a_huge_line() {
    let folder = folder("huge");
    let by = "    print('fire ' + 'x' * 5_000_000, file=sys.stderr, flush=True)\n    1 / 0\n    body =";
    let Some(node) = python(&folder, "    body =", by) else { return };
    let args = ["-w", "echo", "--bin", &node, "--node-count", "1", "--time-limit", "1"];
    let (status, stdout) = outcome(&test(&folder, &args));
    assert_eq!(status, Some(1));
    assert!(stdout.len() < 100_000, "{} bytes are printed", stdout.len());
    assert!(stdout.contains("    fire xxx"), "its beginning is missing");
    assert!(stdout.contains("xxx… (cut: the line has 5000005 bytes)\n"), "nothing says that it was cut");
    assert!(stdout.contains("ZeroDivisionError"), "the lines after it are missing");
}

/// A log has its bound for all starts of its node together, and says once where it ends.
#[test]
fn a_log_of_a_node_that_is_killed() {
    const MAX: usize = 64 * 1024 * 1024;
    let folder = folder("log");
    // No start alone reaches the bound.
    let by = "flush=True)\n    if body['type'] == 'init':\n        for _ in range(40): sys.stderr.write(('x' * 1023 + '\\n') * 1024)";
    let Some(node) = python(&folder, "flush=True)", by) else { return };
    let end = format!("\n(the log ends here: it would be longer than {MAX} bytes)\n");
    // On a slow machine it writes for longer.
    for slowness in [1, 4, 16] {
        let seconds = |seconds: u32| (seconds * slowness).to_string();
        let faults = [1, 3].map(|at| format!("kill n0 at {}s for 0.2s", seconds(at)));
        let args = ["-w", "echo", "--bin", &node, "--node-count", "1", "--time-limit", &seconds(5)];
        let args = [&args[..], &["--fault", &faults[0], "--fault", &faults[1]]].concat();
        let (status, stdout) = outcome(&test(&folder, &args));
        let path = folder.join("latest/node-logs/n0.log");
        let log = fs::read(&path).unwrap();
        fs::remove_file(path).unwrap();
        assert!(log.len() <= MAX + end.len(), "{} bytes", log.len());
        if status == Some(0) && log.len() == MAX + end.len() {
            assert!(log.ends_with(end.as_bytes()), "it ends with {:?}", log.last_chunk::<100>());
            return;
        }
        assert!(matches!(status, Some(0 | 2)), "{stdout}");
    }
    panic!("it never wrote as much as a log may have");
}

/// However soon after its last word it ends, and whoever holds its pipes.
#[test]
fn an_end_behind_an_answer() {
    let (replaced, by) = (
        "    print",
        "    if body['msg_id'] == 5: import os, subprocess; subprocess.Popen(['sleep', '60']); os._exit(3)\n    print",
    );
    assert_caught("helper", replaced, by, &["it ended while the test was running (exit status: 3)"]);
    let (replaced, by) = (
        "flush=True)",
        "flush=True)\n    if body['msg_id'] == 5: sys.stderr.write('fire'); sys.stderr.flush(); import os; os._exit(3)",
    );
    for _ in 0..3 {
        let words =
            ["it ended while the test was running (exit status: 3)", "its last words on stderr:\n    fire"];
        assert_caught("exit", replaced, by, &words);
    }
}

#[test]
fn an_answer_to_nothing_is_told() {
    let (replaced, by) =
        (r#""in_reply_to": body["msg_id"]"#, r#""in_reply_to": body["msg_id"] + (body["type"] == "echo")"#);
    let words = ["answers came that nobody waited for", "fell silent"];
    assert_caught("stray", replaced, by, &words);
}

/// Interrupted, the workbench takes its nodes with it, and what they started.
#[test]
fn nothing_is_left_running() {
    let folder = folder("interrupted");
    let marker = format!("{}", 86_400 + std::process::id());
    // In a session and a group of its own.
    let by = format!("subprocess.Popen(['sleep', '{marker}'], start_new_session=True)\nwhile line");
    let Some(node) = python(&folder, "while line", &format!("import subprocess\n{by}")) else { return };
    let mut command = messenger(&["test", "--store", folder.to_str().unwrap(), "-w", "echo", "--bin", &node]);
    command.args(["--node-count", "2", "--time-limit", "60"]);
    let bench = support::Node::spawn(&mut command);
    let running = || {
        let processes = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
        processes.filter(|line| String::from_utf8_lossy(line).contains(&marker)).count()
    };
    while running() < 2 {
        thread::sleep(std::time::Duration::from_millis(5));
    }
    support::kill(bench.child.id(), "INT");
    assert_eq!(bench.wait().code(), Some(255));
    while running() > 0 {
        thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn output_that_is_not_flushed() {
    let (replaced, by) = (
        "while line",
        "import time\ntime.sleep(2.5)\nsys.stdout = open(1, 'w', buffering=65536)\nsys.stdout.flush = lambda: None\nwhile line",
    );
    // It is slow to begin, too: what it did until the end counts.
    let hint = " s after its start n0 has not answered `init`: it has read its stdin and wrote nothing: does it flush";
    assert_caught("unflushed", replaced, by, &["it did not answer `init` within 10 seconds", hint]);
}

#[test]
fn input_that_is_read_to_its_end_first() {
    let (replaced, by) = ("while line := sys.stdin.readline():", "for line in sys.stdin.readlines():");
    let hint = "wrote nothing: does it flush its stdout after each message, and does it answer before its stdin ends?";
    assert_caught("readlines", replaced, by, &["it did not answer `init` within 10 seconds", hint]);
}

#[test]
fn a_message_without_its_newline() {
    let (replaced, by) = ("flush=True)", r#"end="", flush=True)"#);
    let hint = "it has read its stdin and wrote 74 bytes without a newline: a message ends with one";
    assert_caught("newline", replaced, by, &["it did not answer `init` within 10 seconds", hint]);
}

#[test]
fn a_stdin_that_nobody_reads() {
    let (replaced, by) = ("while line", "import time\ntime.sleep(60)\nwhile line");
    let words = ["it has not read ", " bytes of its stdin and wrote nothing: does it read a line at a time?"];
    assert_caught("asleep", replaced, by, &words);
}

#[test]
fn a_node_that_falls_silent() {
    // It counts by itself: a client that gave up is followed by one that numbers from 1 again.
    let (replaced, by) =
        ("    print", "    asked = globals().get('asked', 0) + 1\n    if asked > 20: continue\n    print");
    let folder = folder("silent");
    let Some(node) = python(&folder, replaced, by) else { return };
    let args = [
        "-w",
        "echo",
        "--bin",
        &node,
        "--node-count",
        "1",
        "--concurrency",
        "2",
        "--time-limit",
        "3",
        "--rate",
        "20",
    ];
    let (status, stdout) = outcome(&test(&folder, &args));
    assert_eq!(status, Some(1), "{stdout}");
    assert!(stdout.contains("n0 fell silent: it was asked from "), "{stdout}");
}

/// What there is of a test that was cut short is written, and called neither right nor wrong.
#[test]
fn a_test_that_is_cut_short_leaves_what_there_is() {
    thread::scope(|scope| {
        for (signal, name) in [("INT", "SIGINT"), ("TERM", "SIGTERM"), ("HUP", "SIGHUP")] {
            scope.spawn(move || {
                let folder = folder(&format!("cut-{signal}"));
                let args = ["test", "--store", folder.to_str().unwrap(), "-w", "echo", "--rate", "100"];
                let mut bench = support::Node::spawn(&mut messenger(&args));
                assert!(bench.line().starts_with("testing "));
                let current = folder.join("current");
                // The nodes run.
                while !current.join("node-logs/n4.log").exists() {
                    thread::sleep(std::time::Duration::from_millis(5));
                }
                thread::sleep(std::time::Duration::from_millis(300));
                support::kill(bench.child.id(), signal);
                assert_eq!(bench.line(), "echo: INCOMPLETE");
                let reason = format!("interrupted by {name}");
                assert!(bench.line().ends_with(&reason));
                while !bench.line().is_empty() {}
                assert_eq!(bench.wait().code(), Some(255));
                let results: Value =
                    serde_json::from_slice(&fs::read(current.join("results.json")).unwrap()).unwrap();
                assert_eq!(
                    (&results["valid"], &results["verdict"], &results["cut_short"]),
                    (&"unknown".into(), &"incomplete".into(), &reason.clone().into())
                );
                let page = fs::read_to_string(current.join("index.html")).unwrap();
                assert!(page.contains("incomplete") && page.contains(&reason));
                assert!(current.join("journal.jsonl").exists() && current.join("history.jsonl").exists());
            });
        }
    });
}

/// It cannot be started again, since it is gone.
#[test]
fn a_program_that_is_gone_when_its_node_is_started_again() {
    let folder = folder("gone");
    let remove = "import os\nif os.path.exists(__file__): os.remove(__file__)\nwhile line";
    let Some(node) = python(&folder, "while line", remove) else { return };
    let args = ["-w", "echo", "--bin", &node, "--node-count", "1", "--rate", "50", "--time-limit", "20"];
    let output = test(&folder, &[&args[..], &["--fault", "kill n0 at 0.5s for 0.2s"]].concat());
    let (status, stdout) = outcome(&output);
    assert_eq!(status, Some(255), "{stdout}");
    assert!(
        stdout.contains("echo: INCOMPLETE\n") && stdout.contains("node.py: cannot be started"),
        "{stdout}"
    );
    assert!(folder.join("latest/history.jsonl").metadata().unwrap().len() > 100);
}

/// A report that is not written whole is a failure, whatever the verdict, and says which file it is.
#[test]
fn a_disk_that_is_full() {
    let folder = folder("full");
    let script = "trap '' XFSZ; ulimit -f 4; exec \"$@\"";
    let mut command = std::process::Command::new("bash");
    command.args(["-c", script, "bash", env!("CARGO_BIN_EXE_messenger"), "test", "-w", "echo", "--sim"]);
    command.args(["--rate", "100", "--time-limit", "10", "--store"]).arg(&folder);
    let output = run(command, b"");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(255), "{stderr}");
    assert!(
        stderr.contains("the report was not written whole: ") && stderr.contains("/history.jsonl: "),
        "{stderr}"
    );
}

#[test]
fn paths_and_arguments_of_any_bytes() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let folder = folder("bytes").join(OsStr::from_bytes(b"a \xff"));
    fs::create_dir_all(&folder).unwrap();
    let node = folder.join(OsStr::from_bytes(b"\xfe.py"));
    let Some(named) = python(folder.parent().unwrap(), "", "") else { return };
    fs::copy(named, &node).unwrap();
    let mut command =
        messenger(&["test", "-w", "echo", "--node-count", "1", "--time-limit", "0.5", "--store"]);
    command.arg(&folder).arg("--bin").arg(&node).arg("--").arg(OsStr::from_bytes(b"\xfd"));
    let output = run(command, b"");
    let (status, stdout) = outcome(&output);
    assert_eq!(status, Some(0), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains(r"\xfe.py' $'\xfd'"), "{stdout}");
    assert!(folder.join("latest/index.html").exists());
}

#[test]
fn a_stderr_that_nobody_reads_any_more() {
    let folder = folder("deaf");
    let Some(node) =
        python(&folder, "    body =", "    print('heard', file=sys.stderr, flush=True)\n    body =")
    else {
        return;
    };
    let mut command =
        messenger(&["test", "-w", "echo", "--log-stderr", "--log-net-send", "--time-limit", "1"]);
    command.arg("--store").arg(&folder).args(["--bin", &node, "--node-count", "1"]);
    let mut bench =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(bench.stderr.take());
    let output = bench.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn what_cannot_be_run_is_told_apart_from_what_is_wrong() {
    let folder = folder("unusable");
    let place = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    fs::create_dir(place("src")).unwrap();
    fs::write(place("plain"), "print('hello')\n").unwrap();
    fs::set_permissions(place("plain"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(place("locked"), "#!/bin/sh\n").unwrap();
    fs::write(place("lost"), "#!/no/such/python\n").unwrap();
    fs::set_permissions(place("lost"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let [src, plain, locked, lost] = ["src", "plain", "locked", "lost"].map(place);
    for (status, args, words) in [
        (
            255,
            &["-w", "echo", "--bin", "/no/such/node"][..],
            "/no/such/node: cannot be started: No such file",
        ),
        (
            255,
            &["-w", "echo", "--bin", "python3 x.py a"],
            "arguments of the node go after --: --bin python3 -- x.py a",
        ),
        (255, &["-w", "echo", "--bin", &src], "it is a folder: name the program in it"),
        (
            255,
            &["-w", "echo", "--bin", &plain],
            "begins with a line that names its program, such as #!/usr/bin/env python3",
        ),
        (255, &["-w", "echo", "--bin", &lost], "the program that its first line names does not exist"),
        (255, &["-w", "echo", "--bin", &locked], "chmod +x "),
        (254, &["-w", "no-such-workload"], "possible values: echo, unique-ids"),
        (
            254,
            &["-w", "echo", "--rate", "1e7"],
            "expected a number of operations a second from 0 to 1000000, or max",
        ),
        (254, &["-w", "echo", "--latency", "1e15"], "expected a number of milliseconds from 0 to 86400000"),
        (254, &["-w", "echo", "--concurrency", "n"], "expected a number of clients such as 10, or 4n"),
        (254, &["-w", "echo", "--sim", "--rate", "max"], "--rate max measures real time"),
        (254, &["-w", "echo", "--sim", "--bin", "x"], "cannot be used with"),
    ] {
        let output = test(&folder, args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{stderr}");
        assert!(stderr.contains(words), "expected {words:?} in:\n{stderr}");
    }
}

/// As in Maelstrom: the nodes start, and nobody asks them anything. Nothing can be told of that.
#[test]
fn a_rate_of_nothing() {
    let folder = folder("nothing");
    let (status, stdout) =
        outcome(&test(&folder, &["-w", "echo", "--sim", "--rate", "0", "--time-limit", "5"]));
    assert_eq!(status, Some(2), "{stdout}");
    assert!(stdout.contains("echo: UNKNOWN\n"), "{stdout}");
}

#[test]
fn a_failing_seed_tells_how_to_repeat_it() {
    let folder = folder("repeat");
    let args = [
        "-w",
        "broadcast",
        "--sim",
        "--planted",
        "--rate",
        "1",
        "--nemesis",
        "partition",
        "--nemesis-interval",
        "1",
        "--time-limit",
        "10",
        "--test-count",
        "50",
    ];
    let (status, stdout) = outcome(&test(&folder, &[&args[..], &["--seed", "1"]].concat()));
    assert_eq!(status, Some(1), "nodes that tell others once lose elements: {stdout}");
    let title = "testing a node for broadcast with a planted bug, in virtual time\n";
    let last = stdout.split(title).last().unwrap();
    let again = last.lines().find_map(|line| line.trim().strip_prefix("again: ")).unwrap();
    let words: Vec<&str> = again.split(' ').skip(2).collect();
    let (status, repeated) = outcome(&run(messenger(&[&["test"][..], &words].concat()), b""));
    assert_eq!(status, Some(1));
    let gist =
        |text: &str| text.lines().filter(|line| !line.contains("report: ")).collect::<Vec<_>>().join("\n");
    assert_eq!(gist(&repeated), title.to_owned() + &gist(last));
}

#[test]
fn logs_show_what_is_asked_for() {
    let folder = folder("logs");
    let args = ["-w", "echo", "--node-count", "1", "--time-limit", "0.5", "--log-net-send", "--log-net-recv"];
    let output = test(&folder, &[&args[..], &["--log-stderr", "--", "--stats-interval", "0.1"]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    for words in ["sent #0 c0 -> n0 {\"type\":\"init\"", "received #0 c0 -> n0", "n0: {\"node\":\"n0\""] {
        assert!(stderr.contains(words), "expected {words:?} in:\n{stderr}");
    }
}
