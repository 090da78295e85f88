//! Nodes that remember: what was acknowledged is there after a kill, and what cannot be kept is a clear error.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{INIT, INIT_OK, Node, echo, example, kill, messenger, run};

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("messenger-data-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    path
}

fn request(kind: &str, delta: i64) -> String {
    format!(r#"{{"src":"c1","dest":"n1","body":{{"type":"{kind}","msg_id":7,"delta":{delta}}}}}"#)
}

fn remembering(folder: &PathBuf) -> Node {
    let mut node = Node::spawn(example("remembering").env("MESSENGER_DATA", folder));
    assert_eq!(node.ask(INIT), INIT_OK);
    node
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    let folder = folder("kept");
    for life in 0..4 {
        let mut node = remembering(&folder);
        assert!(node.ask(&request("read", 0)).contains(&format!(r#""value":{}"#, life * 25)));
        for _ in 0..25 {
            assert!(node.ask(&request("add", 1)).contains("add_ok"));
        }
        kill(node.child.id(), "KILL");
        node.child.wait().unwrap();
    }
    // Two at a time is one too many.
    let _first = remembering(&folder);
    let output = run_example(&folder, "");
    assert!(output.contains("another process has its log open"), "{output}");
    fs::remove_dir_all(&folder).unwrap();
}

/// Runs the node on one request, and expects it to fail; its stderr.
fn run_example(folder: &PathBuf, before: &str) -> String {
    let node = example("remembering");
    let script = format!("{before} exec {}", node.get_program().to_str().unwrap());
    let mut command = Command::new("bash");
    command.args(["-c", &script]).env("MESSENGER_DATA", folder);
    let output = run(command, format!("{INIT}\n{}\n", request("add", 1)).as_bytes());
    assert!(!output.status.success());
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(!stdout.contains("add_ok"), "it acknowledged what it could not keep: {stdout}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn what_cannot_be_kept_is_an_error_and_is_not_acknowledged() {
    let folder = folder("errors");
    let stderr = run_example(&folder, "trap '' XFSZ; ulimit -f 1;");
    assert!(stderr.contains("data folder") && stderr.contains("File too large"), "{stderr}");
    // A folder where there can be none.
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("file"), "").unwrap();
    let stderr = run_example(&folder.join("file"), "");
    assert!(stderr.contains("data folder") && stderr.contains("File exists"), "{stderr}");
    // A folder that nobody may write to, not even root.
    let stderr = run_example(&PathBuf::from("/sys/messenger"), "");
    let is_why = |why: &&str| stderr.contains(why);
    let whys = ["Read-only file system", "Operation not permitted", "Permission denied"];
    assert!(stderr.contains("/sys/messenger") && whys.iter().any(is_why), "{stderr}");
    // What is there is damaged.
    let whole = folder.join("whole");
    let mut node = remembering(&whole);
    node.ask(&request("add", 1));
    node.end();
    let log = whole.join("log.redb");
    let mut bytes = fs::read(&log).unwrap();
    bytes.truncate(4096);
    fs::write(&log, &bytes).unwrap();
    let stderr = run_example(&whole, "");
    assert!(stderr.contains("it is damaged, and nothing is started from a part of it"), "{stderr}");
    fs::write(&log, "not a database").unwrap();
    let stderr = run_example(&whole, "");
    assert!(stderr.contains("it is damaged, and nothing is started from a part of it"), "{stderr}");
    // The log of another node.
    let strange = folder.join("strange");
    let mut node = remembering(&strange);
    node.ask(&request("add", 1));
    node.end();
    let output = run(messenger(&["--data", strange.to_str().unwrap()]), INIT.as_bytes());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("record 1: this node persists nothing; found a record of 2 bytes"), "{stderr}");
    assert_eq!(output.status.code(), Some(1));
    for (name, expected) in [
        ("g-counter", "this node's totals as {name: [added, taken]}"),
        ("g-set", "the name of a log, or [log, place, value]"),
        ("kafka", "an entry, what was heard, or a stream"),
        ("raft", "a record of Raft"),
        ("txn-rw-register", "[whether they are own, whose place, writes]"),
    ] {
        let output = run(messenger(&["node", name, "--data", strange.to_str().unwrap()]), INIT.as_bytes());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(&format!("record 1: expected {expected}")), "{name}: {stderr}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// Without a folder it says so, once, if it has something to keep.
#[test]
fn memory_is_told_of_by_who_persists() {
    let mut node = Node::spawn(example("remembering").env_remove("MESSENGER_DATA"));
    node.ask(INIT);
    node.ask(&request("add", 1));
    node.ask(&request("add", 1));
    let stderr = node.end();
    assert_eq!(
        stderr.matches("is in memory alone: --data or MESSENGER_DATA gives it a folder").count(),
        1,
        "{stderr}"
    );
    let mut node = Node::initialised();
    node.ask(&echo(1, "1"));
    assert!(!node.end().contains("MESSENGER_DATA"));
}

/// Each node of each test has a folder of its own, which it finds again when it is started again.
#[test]
fn the_workbench_gives_each_node_a_folder() {
    let store = folder("store");
    let script = "echo \"$MESSENGER_DATA $0 $1\" >> \"$MESSENGER_DATA/starts\"; exec \"$2\" node";
    let mut command =
        messenger(&["test", "-w", "echo", "--bin", "bash", "--node-count", "2", "--time-limit", "3"]);
    command.args(["--fault", "kill n0,n1 at 0.5s for 0.1s", "--store", store.to_str().unwrap()]);
    command.args(["--", "-c", script, "{data}", "x{data}y", env!("CARGO_BIN_EXE_messenger")]);
    let output = run(command, b"");
    let (mut stdout, latest) = (String::new(), store.join("latest"));
    output.stdout.as_slice().read_to_string(&mut stdout).unwrap();
    let starts = ["n0", "n1"].map(|node| {
        let folder = fs::canonicalize(&latest).unwrap().join("data").join(node);
        let starts =
            fs::read_to_string(folder.join("starts")).unwrap_or_else(|error| panic!("{error}: {stdout}"));
        for line in starts.lines() {
            let paths: Vec<_> =
                line.split(' ').map(|path| path.trim_start_matches('x').trim_end_matches('y')).collect();
            assert!(paths.iter().all(|path| fs::canonicalize(path).unwrap() == folder), "{line}");
        }
        starts.lines().count()
    });
    assert!(starts.iter().sum::<usize>() > 2, "{starts:?}: nobody was started again");
    fs::remove_dir_all(&store).unwrap();
}
