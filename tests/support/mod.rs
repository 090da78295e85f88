//! A node as a process, over real pipes.
#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// How long anything may take before the node is killed and the test fails.
const PATIENCE: Duration = Duration::from_secs(120);

pub const INIT: &str = r#"{"id":0,"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1","n2"]}}"#;
pub const INIT_OK: &str = r#"{"src":"n1","dest":"c0","body":{"type":"init_ok","in_reply_to":1,"msg_id":0}}"#;

pub fn messenger(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_messenger"));
    command.args(args);
    command
}

/// Runs the command on `input`, to the end of it.
pub fn run(mut command: Command, input: &[u8]) -> Output {
    let mut node = Node::spawn(&mut command);
    let mut stdin = node.stdin.take().unwrap();
    let input = input.to_vec();
    // The node may end before it has read everything.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut errors = node.child.stderr.take().unwrap();
    let reader = thread::spawn(move || errors.read_to_end(&mut stderr).map(|_| stderr));
    node.stdout.read_to_end(&mut stdout).unwrap();
    writer.join().unwrap();
    let stderr = reader.join().unwrap().unwrap();
    Output { status: node.wait(), stdout, stderr }
}

/// Feeds lines to a default node; its stdout as messages, and its stderr.
pub fn answers(lines: &[&str]) -> (Vec<Value>, String) {
    let output = run(messenger(&[]), (lines.join("\n") + "\n").as_bytes());
    assert!(output.status.success(), "{:?}", output.status);
    let stdout = String::from_utf8(output.stdout).unwrap();
    (stdout.lines().map(message).collect(), String::from_utf8(output.stderr).unwrap())
}

/// A line of a node's stdout, checked as strictly as Maelstrom does.
pub fn message(line: &str) -> Value {
    let message: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
    let keys: Vec<_> = message.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["body", "dest", "src"], "{line}");
    assert!(message["src"].is_string() && message["dest"].is_string(), "{line}");
    assert!(message["body"]["type"].is_string() && message["body"]["msg_id"].is_u64(), "{line}");
    message
}

/// A running node. It is killed on drop, or when it takes longer than anything may.
pub struct Node {
    pub child: Child,
    pub stdin: Option<ChildStdin>,
    pub stdout: BufReader<ChildStdout>,
    _watchdog: Sender<()>,
}

impl Node {
    pub fn spawn(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let watchdog = watch(&child);
        Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
            _watchdog: watchdog,
        }
    }

    /// A default node that has had its `init`.
    pub fn initialised() -> Self {
        let mut node = Self::spawn(&mut messenger(&[]));
        assert_eq!(node.ask(INIT), INIT_OK);
        node
    }

    pub fn send(&mut self, line: &str) {
        self.stdin.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.pop();
        line
    }

    pub fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.line()
    }

    pub fn wait(mut self) -> ExitStatus {
        drop(self.stdin.take());
        self.child.wait().unwrap()
    }

    /// Closes stdin and waits; all of stderr.
    pub fn end(mut self) -> String {
        drop(self.stdin.take());
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert!(self.child.wait().unwrap().success(), "{stderr}");
        stderr
    }

    /// A figure of `/proc/PID/status`, in bytes: `VmRSS`, `VmHWM`.
    pub fn memory(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A node of tests/nodes, built if need be.
pub fn example(name: &str) -> Command {
    let build = Command::new(env!("CARGO")).args(["build", "--quiet", "--example", name]).status().unwrap();
    assert!(build.success());
    Command::new(Path::new(env!("CARGO_BIN_EXE_messenger")).with_file_name("examples").join(name))
}

/// Writes a program in Python; nothing, where there is no Python.
///
/// It names its interpreter by its path: what is called `python3` may be a script that looks for one, and takes longer than
/// all that a node does.
pub fn python(program: &Path, text: &str) -> Option<()> {
    static INTERPRETER: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let mut python = Command::new("python3");
        let output = python.args(["-c", "import sys; print(sys.executable, end='')"]).output().ok()?;
        output.status.success().then(|| PathBuf::from(String::from_utf8(output.stdout).unwrap()))
    });
    let Some(interpreter) = INTERPRETER.as_ref() else { return skip("there is no python3") };
    let (_, code) = text.split_once('\n').unwrap();
    fs::write(program, format!("#!{}\n{code}", interpreter.display())).unwrap();
    fs::set_permissions(program, PermissionsExt::from_mode(0o755)).unwrap();
    Some(())
}

/// Says why a test is skipped. What is printed by a test that passes is not shown; this is.
pub fn skip<T>(why: &str) -> Option<T> {
    let _ = writeln!(io::stderr(), "skipped: {why} here");
    None
}

/// Kills the process if what this returns lives too long.
pub fn watch(child: &Child) -> Sender<()> {
    let pid = child.id();
    let (alive, expired) = mpsc::channel();
    thread::spawn(move || {
        if expired.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            eprintln!("the node took longer than {PATIENCE:?}, and is killed");
            kill(pid, "KILL");
        }
    });
    alive
}

pub fn kill(pid: u32, signal: &str) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let signal = match signal {
        "KILL" => rustix::process::Signal::KILL,
        "TERM" => rustix::process::Signal::TERM,
        "HUP" => rustix::process::Signal::HUP,
        "INT" => rustix::process::Signal::INT,
        "STOP" => rustix::process::Signal::STOP,
        "CONT" => rustix::process::Signal::CONT,
        "USR1" => rustix::process::Signal::USR1,
        other => panic!("no signal {other}"),
    };
    rustix::process::kill_process(pid, signal).unwrap();
}

/// The signals that end a node. Under `nohup` a hangup is none of them: what a process has to ignore, those that it starts
/// have to as well.
pub fn ending_signals() -> Vec<&'static str> {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    // Hangup is the first of all signals.
    if u64::from_str_radix(ignored.trim(), 16).unwrap() & 1 == 0 {
        return vec!["HUP", "TERM", "INT"];
    }
    skip::<()>("the test of SIGHUP, which is ignored");
    vec!["TERM", "INT"]
}

/// An `echo` request of client c1.
pub fn echo(msg_id: u64, value: &str) -> String {
    format!(r#"{{"src":"c1","dest":"n1","body":{{"type":"echo","msg_id":{msg_id},"echo":{value}}}}}"#)
}

/// What n1 answers to it, as its message number `number`.
pub fn echo_ok(msg_id: u64, value: &str, number: u64) -> String {
    format!(
        r#"{{"src":"n1","dest":"c1","body":{{"type":"echo_ok","echo":{value},"in_reply_to":{msg_id},"msg_id":{number}}}}}"#
    )
}
