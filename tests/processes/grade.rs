//! `messenger grade`: what passes passes, and what is spoilt fails where it is spoilt.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::{self, messenger, run};
use roxmltree::Document;
use serde_json::Value;

const TASKS: [&str; 15] = [
    "1-1", "1-2", "1-3", "1-4", "1-5", "1-2-1", "1-2-2", "1-2-3", "1-2-4", "1-2-5", "1-3-1", "1-3-2",
    "1-3-3", "1-3-4", "1-3-5",
];

fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("grade").join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn grade(folder: &Path, args: &[&str]) -> Output {
    let mut command = messenger(&["grade", "--patience", "30", "--store", folder.to_str().unwrap()]);
    command.args(args);
    run(command, b"")
}

/// A program in a folder, the course's node in Python with a part of it replaced; nothing, where there is no Python.
fn course(folder: &Path, replaced: &str, by: &str) -> Option<String> {
    let right = include_str!("../nodes/course.py");
    assert!(right.contains(replaced), "{replaced}");
    let path = folder.join("node.py");
    support::python(&path, &right.replacen(replaced, by, 1))?;
    Some(path.to_str().unwrap().to_owned())
}

#[test]
fn our_node_passes_the_course() {
    let output = grade(&folder("ours"), &["the-messenger", "--jobs", "8"]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}");
    assert!(stdout.ends_with("\n15 of 15 passed\n"), "{stdout}");
}

#[test]
fn a_node_in_python_passes_the_course() {
    let folder = folder("python");
    let Some(node) = course(&folder, "", "") else { return };
    let junit = folder.join("grade.xml");
    let args = ["the-messenger", "--jobs", "8", "--bin", &node, "--json", "--junit", junit.to_str().unwrap()];
    let output = grade(&folder, &args);
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &results["passed"], &results["of"]),
        (Some(0), &15.into(), &15.into()),
        "{results:#}"
    );
    let names: Vec<&str> =
        results["tasks"].as_array().unwrap().iter().map(|task| task["name"].as_str().unwrap()).collect();
    assert_eq!(names, TASKS);
    let xml = fs::read_to_string(junit).unwrap();
    let document = Document::parse(&xml).unwrap();
    let cases = document.descendants().filter(|node| node.has_tag_name("testcase"));
    assert_eq!(cases.count(), 15);
}

/// Each mistake is found in the task that it is of, and in no other.
#[test]
fn spoilt_copies_fail_at_their_task() {
    let spoilt = [
        ("1-1", r#".get("type", "unknown")"#, r#".get("type")"#),
        (
            "1-2",
            "raise Refused(22",
            "return self.reply(request, 'init_ok', spared=True)\n            raise Refused(22",
        ),
        (
            "1-3",
            r#""echo_ok", echo=body["echo"]"#,
            r#""echo_ok", echo=json.loads(json.dumps(body["echo"]).replace("LL", "ll"))"#,
        ),
        ("1-4", "raise Refused(10", "raise Refused(13"),
        ("1-5", r#"print(f"no message: {error}: {line!r}", file=sys.stderr)"#, "raise"),
        ("1-2-1", r#"self.refuse(request, 0, "RPC timeout")"#, "pass"),
        ("1-2-2", "[0.5] * 3", "[0.5] * 2"),
        ("1-2-3", "[results[place] for place in range(len(values))]", "list(results.values())"),
        ("1-2-4", "self.after(2, lambda: self.pending.pop(msg_id, None))", "pass"),
        ("1-2-5", "base * 2 ** k", "base * (k + 1)"),
        ("1-3-1", r#"for name in ("src", "dest", "body.type"))"#, r#"for name in ("src", "body.type"))"#),
        ("1-3-2", r#"list(self.log)[-body["count"]:]"#, r#"list(self.log)[::-1][:body["count"]]"#),
        ("1-3-3", r#"(request["src"], body.get("msg_id"))"#, r#"body.get("msg_id")"#),
        (
            "1-3-4",
            "latency = int((time.monotonic() - request[\"arrived\"]) * 1e6)",
            "latency = (time.monotonic() - request[\"arrived\"]) * 1e6",
        ),
        ("1-3-5", "if not 0 <= rate <= 1:", "if False:"),
    ];
    assert_eq!(spoilt.map(|(task, ..)| task), TASKS);
    let graded = |(task, replaced, by): (&str, &str, &str)| {
        let folder = folder(&format!("spoilt-{task}"));
        let Some(node) = course(&folder, replaced, by) else { return };
        let output = grade(&folder, &["the-messenger", "--jobs", "8", "--bin", &node, "--json"]);
        assert_eq!(output.status.code(), Some(1), "{task}");
        let results: Value = serde_json::from_slice(&output.stdout).unwrap();
        let failed: Vec<String> = results["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|task| task["outcome"] != "pass")
            .map(|task| task["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(failed, [task], "{results:#}");
    };
    // Three at a time: each is eight programs at once, most of which wait.
    for some in spoilt.chunks(3) {
        thread::scope(|scope| {
            for &spoilt in some {
                scope.spawn(move || graded(spoilt));
            }
        });
    }
}

/// What is wrong is said in a line that a learner can use.
#[test]
fn a_task_that_fails_says_why_and_what_to_look_at() {
    let folder = folder("why");
    let Some(node) = course(&folder, "raise Refused(10", "raise Refused(13") else { return };
    let output = grade(&folder, &["the-messenger", "--bin", &node, "--task", "1-4", "--task", "1-3"]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines[..2], ["The Messenger: the fifteen tasks of the course", &format!("grading {node}")]);
    assert_eq!(lines[2], "  pass   1-3             Echo");
    assert_eq!(lines[3], "  FAIL   1-4             Refuse what you do not know");
    for word in
        ["after {\"src\":\"c1\"", "\"type\":\"dance\"", "expected ", "\"code\":10", "found ", "\"code\": 13"]
    {
        assert!(lines[4].contains(word), "{word} is not in {}", lines[4]);
    }
    assert!(lines[5].starts_with("         look at: An error is "), "{}", lines[5]);
    assert_eq!(lines[6], "1 of 2 passed");
}

#[test]
fn a_suite_of_ones_own_with_tests_and_limits() {
    let folder = folder("own");
    let suite = folder.join("suite.toml");
    let text = r#"
about = "Of one's own"
[[task]]
name = "echo"
about = "A test"
test = "-w echo --node-count 1 --time-limit 1 --rate 50"
[[task.limit]]
what = "operations a second"
value = "/operations_per_second"
min = 5.0
[[task]]
name = "fast"
about = "A test with a limit that nothing keeps"
hint = "Nothing helps."
test = "-w echo --node-count 1 --time-limit 1 --rate 50"
[[task.limit]]
what = "messages between clients and nodes"
value = "/messages/clients/sent"
max = 1.0
[[task]]
name = "unknown"
about = "A workload that there is not"
test = "-w no-such-workload"
"#;
    fs::write(&suite, text).unwrap();
    let programs = folder.join("programs");
    fs::create_dir_all(&programs).unwrap();
    let node = programs.join("echo");
    let Some(()) = support::python(&node, include_str!("../nodes/echo.py")) else { return };
    let bin = programs.join("{workload}");
    let args = [suite.to_str().unwrap(), "--bin", bin.to_str().unwrap(), "--jobs", "3"];
    let output = grade(&folder, &args);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    for words in [
        "pass   echo",
        "FAIL   fast",
        "why: messages between clients and nodes: expected at most 1, found ",
        "look at: Nothing helps.",
        "look at: ",
        "ERROR  unknown",
        "why: the test could not be run: error: invalid value 'no-such-workload'",
        "1 of 3 passed",
    ] {
        assert!(stdout.contains(words), "{words} is not in {stdout}");
    }
    assert!(stdout.contains("index.html"), "{stdout}");
}

/// A suite of one conversation, and the command that leads it with a script of the shell.
fn conversation(test: &str, script: &str, program: &str, patience: &str) -> Command {
    let folder = folder(test);
    let suite = folder.join("suite.toml");
    let toml = format!(
        "about = 'x'\n[[task]]\nname = 'talk'\nabout = 'x'\n[[task.conversation]]\nscript = \"\"\"\n{script}\n\"\"\"\n"
    );
    fs::write(&suite, toml).unwrap();
    let mut command = messenger(&["grade", "--patience", patience, "--bin", "/bin/sh"]);
    command.arg("--store").arg(&folder).arg(&suite).args(["--", "-c", program]);
    command
}

/// The exit status of a grade of a conversation, and what it says.
fn led(test: &str, script: &str, program: &str, patience: &str) -> (Option<i32>, String) {
    let output = run(conversation(test, script, program, patience), b"");
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// It may be in the pipe when the program has ended, or be written by what it started.
#[test]
fn what_is_said_until_the_end_of_stdout_is_heard() {
    let (status, stdout) = led("end", "eof\nend", "cat >/dev/null", "30");
    assert_eq!(status, Some(0), "{stdout}");
    let program = "cat >/dev/null; (sleep 0.3; echo extra) & exit 0";
    let (status, stdout) = led("end-extra", "eof\nend", program, "30");
    assert_eq!(status, Some(1), "{stdout}");
    assert!(stdout.contains("after the end of its stdin expected nothing more, found extra"), "{stdout}");
}

#[test]
fn a_line_may_be_as_long_as_a_mebibyte() {
    let line = |bytes: usize| {
        format!(
            "(echo '\"'; head -c {bytes} /dev/zero; echo '\"') | tr '\\0' x | tr -d '\n'; echo; cat >/dev/null"
        )
    };
    let (status, stdout) = led("long-line", "<- \"$string\"\neof\nend", &line((1 << 20) - 2), "30");
    assert_eq!(status, Some(0), "{stdout}");
    let (status, stdout) = led("longer-line", "<- \"$string\"", &line((1 << 20) - 1), "30");
    assert_eq!(status, Some(1), "{stdout}");
    assert!(stdout.contains("found a line of more than 1048576 bytes"), "{stdout}");
    // One that has no end is no reason to wait for it.
    let endless = "yes | tr -d '\\n'";
    let (status, stdout) = led("endless-line", "<- \"$string\"", endless, "30");
    assert_eq!(status, Some(1), "{stdout}");
    assert!(stdout.contains("found a line of more than 1048576 bytes"), "{stdout}");
}

#[test]
fn a_program_that_reads_nothing_is_not_waited_for_longer_than_patience() {
    let script = format!("-> {}", "x".repeat(1 << 20));
    let (status, stdout) = led("deaf", &script, "exec sleep 600", "1");
    assert_eq!(status, Some(1), "{stdout}");
    assert!(stdout.contains("it did not take xxx"), "{stdout}");
    assert!(stdout.contains("it read nothing for 1 seconds"), "{stdout}");
}

/// Nobody else would.
#[test]
fn whoever_ends_a_grade_ends_its_programs() {
    for signal in support::ending_signals() {
        let test = format!("ended-by-{signal}");
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("grade-{test}.pid"));
        let _ = fs::remove_file(&file);
        let path = file.display();
        let program = format!("echo $$ > '{path}.new'; mv '{path}.new' '{path}'; exec sleep 600");
        let mut command = conversation(&test, "<- 1", &program, "600");
        let grade = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let _watch = support::watch(&grade);
        let pid: i32 = loop {
            if let Ok(text) = fs::read_to_string(&file) {
                break text.trim().parse().unwrap();
            }
            thread::sleep(Duration::from_millis(5));
        };
        support::kill(grade.id(), signal);
        let output = grade.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(255), "{signal}: {stderr}");
        assert!(stderr.contains("before the grade was complete"), "{signal}: {stderr}");
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        assert!(rustix::process::test_kill_process(pid).is_err(), "{signal}: it runs on");
    }
}

/// A verdict that nobody got is none.
#[test]
fn a_full_disk_is_an_error() {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").ok();
    let folder = folder("full");
    let test = messenger(&["test", "-w", "echo", "--sim", "--time-limit", "1", "--json"]);
    let grade = conversation("full-grade", "eof\nend", "cat >/dev/null", "30");
    for (mut command, arg) in [(test, None), (grade, Some("--json"))] {
        let Some(full) = full() else { return };
        if arg.is_none() {
            command.arg("--store").arg(&folder);
        } else {
            let program = command.get_program().to_owned();
            let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
            command = Command::new(program);
            command.args(&args[..1]).arg("--json").args(&args[1..]);
        }
        let output = command.stdin(Stdio::null()).stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(255), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Also of a plan.
#[test]
fn each_test_has_the_next_seed() {
    let folder = folder("seeds");
    let test = |args: &[&str]| -> Vec<u64> {
        let mut command = messenger(&["test", "--sim", "--json", "--test-count", "3", "--store"]);
        command.arg(&folder).args(args);
        let output = run(command, b"");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let stdout = String::from_utf8(output.stdout).unwrap();
        let results = stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        results.map(|results| results["seed"].as_u64().unwrap()).collect()
    };
    assert_eq!(test(&["-w", "echo", "--time-limit", "1", "--seed", "7"]), [7, 8, 9]);
    let latest = folder.join("latest/plan.json");
    let plan = folder.join("plan.json");
    fs::copy(latest, &plan).unwrap();
    let plan = plan.to_str().unwrap();
    assert_eq!(test(&["--plan", plan]), [9, 10, 11]);
    assert_eq!(test(&["--plan", plan, "--seed", "20"]), [20, 21, 22]);
}

#[test]
fn what_cannot_be_graded_is_refused() {
    let folder = folder("refused");
    for (args, words) in [
        (&["no-such-suite"][..], "expected a TOML file, or one of gossip-glomers, the-messenger"),
        (&["the-messenger", "--task", "9-9"], "no task 9-9: expected one of 1-1, 1-2, "),
        (&["the-messenger", "--jobs", "0"], "0"),
    ] {
        let output = grade(&folder, args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(254), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
}

/// `messenger test` has the same outputs.
#[test]
fn a_test_for_programs() {
    let folder = folder("test");
    let junit = folder.join("test.xml");
    let mut command =
        messenger(&["test", "-w", "echo", "--sim", "--time-limit", "2", "--test-count", "3", "--json"]);
    command.arg("--junit").arg(&junit).arg("--store").arg(&folder);
    let output = run(command, b"");
    assert_eq!(output.status.code(), Some(0));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let verdicts: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(verdicts.len(), 3);
    assert!(verdicts.iter().all(
        |results| results["valid"] == true && results["report"].as_str().unwrap().ends_with("index.html")
    ));
    let xml = fs::read_to_string(junit).unwrap();
    let document = Document::parse(&xml).unwrap();
    assert_eq!(document.descendants().filter(|node| node.has_tag_name("testcase")).count(), 3);
}
