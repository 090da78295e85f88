//! What a node tells of itself: the newest messages, the trace in a file, counts and times.

use std::io::{BufRead, BufReader};
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::support::{INIT, INIT_OK, Node, answers, echo, kill, messenger, run};
use crate::talk::{Talk as _, n1};
use messenger::nodes::course::Messenger;
use messenger::workbench::TestCluster;
use serde_json::{Value, json};

fn bench() -> TestCluster {
    n1(Messenger::default(), messenger::Config::default())
}

fn report(bench: &mut TestCluster) -> Value {
    let now = bench.now();
    serde_json::from_str(&bench.node_mut::<Messenger>("n1").report(now)).unwrap()
}

#[test]
fn the_log_has_the_newest_hundred_messages() {
    let mut bench = bench();
    for n in 0..60 {
        bench.pass_ms(1);
        bench.receive("c1", json!({"type": "echo", "msg_id": n, "echo": n}));
    }
    bench.receive("c1", json!({"type": "get_log", "msg_id": 90, "count": 2}));
    assert_eq!(
        bench.bodies().last().unwrap()["entries"],
        json!([
            {"ts": "1970-01-01T00:00:00.060000Z", "dir": "SENT", "src": "n1", "dest": "c1", "msg_type": "echo_ok"},
            {"ts": "1970-01-01T00:00:00.060000Z", "dir": "RECV", "src": "c1", "dest": "n1", "msg_type": "get_log"},
        ])
    );
    bench.receive("c1", json!({"type": "get_log", "msg_id": 91, "count": 1000}));
    let entries = bench.bodies()[0]["entries"].as_array().unwrap().clone();
    assert_eq!(entries.len(), 100);
    // 97 of the echoes, two of the first `get_log`, and this one.
    assert_eq!(entries[0]["ts"], "1970-01-01T00:00:00.012000Z");
    assert_eq!(
        (&entries[97]["msg_type"], &entries[98]["msg_type"]),
        (&json!("get_log"), &json!("get_log_ok"))
    );
    bench.receive("c1", json!({"type": "get_log", "msg_id": 92, "count": 0}));
    assert_eq!(bench.bodies()[0]["entries"], json!([]));
}

#[test]
fn the_log_has_calls_their_retries_and_what_was_not_handled() {
    let mut bench = bench();
    let payload = json!({"x": 1, "type": "ask"});
    bench.receive("c1", json!({"type": "relay", "msg_id": 1, "target": "n2", "payload": payload}));
    bench.pass_ms(500);
    bench.tell_line("n1", r#"{"src":"c1","dest":"n9","body":{"type":"astray"}}"#);
    bench.tell_line("n1", "no message");
    bench.receive("c1", json!({"type": "get_log", "msg_id": 2, "count": 9}));
    let entries = bench.bodies().pop().unwrap()["entries"].clone();
    let gist = |entry: &Value| format!("{} {} {}", entry["dir"], entry["dest"], entry["msg_type"]);
    let gists: Vec<String> = entries.as_array().unwrap().iter().map(gist).collect();
    let gists = gists.join(", ").replace('"', "");
    assert_eq!(
        gists,
        "RECV n1 init, SENT c0 init_ok, RECV n1 relay, SENT n2 ask, SENT n2 ask, RECV n9 astray, RECV n1 get_log"
    );
}

#[test]
fn times_are_from_arrival_to_answer_and_from_call_to_reply() {
    let mut bench = bench();
    let relay = json!({"type": "relay", "msg_id": 1, "target": "n2", "payload": {"type": "ask"}});
    bench.receive("c1", relay);
    bench.pass_ms(500);
    bench.pass_ms(20);
    // An answer to the second try.
    bench.receive("n2", json!({"type": "ask_ok", "in_reply_to": 2}));
    bench.receive("c1", json!({"type": "echo", "msg_id": 2, "echo": 1}));
    bench.receive("c1", json!({"type": "no such", "msg_id": 3}));
    let now = bench.now();
    bench.node_mut::<Messenger>("n1").handle_written(now);
    let report = report(&mut bench);
    assert_eq!(report["service_us"]["all"]["count"], 3, "{report}");
    assert_eq!(report["service_us"]["by_type"]["relay"]["max"], 520_191, "two digits: {report}");
    assert_eq!(report["service_us"]["by_type"]["echo"]["max"], 0);
    assert_eq!(report["service_us"]["other_types"]["count"], 1);
    assert_eq!(report["round_trip_us"]["by_peer"]["n2"]["count"], 1);
    assert_eq!(report["round_trip_us"]["by_peer"]["n2"]["max"], 20_095, "two digits: {report}");
    assert_eq!((&report["retries"], &report["errors"]), (&json!(1), &json!(1)));
}

#[test]
fn bench_stats_tells_of_what_was_answered_since_init() {
    let mut bench = bench();
    let ask = json!({"type": "bench_stats", "msg_id": 1});
    let nothing = json!({
        "type": "bench_stats_ok", "total_messages": 0, "elapsed_ms": 0, "throughput_per_sec": 0.0,
        "avg_latency_us": 0, "p99_latency_us": 0, "in_reply_to": 1, "msg_id": 1,
    });
    bench.receive("c1", ask.clone());
    assert_eq!(bench.bodies(), [nothing]);
    for n in 0..99 {
        bench.receive("c1", json!({"type": "bench_echo", "msg_id": n, "echo": "x"}));
        assert_eq!(bench.bodies()[0]["latency_us"], 0, "no time passes in a turn of virtual time");
    }
    bench.pass_ms(2000);
    bench.receive("c1", ask);
    let stats = &bench.bodies()[0];
    assert_eq!((&stats["total_messages"], &stats["elapsed_ms"]), (&json!(100), &json!(2000)));
    assert_eq!(stats["throughput_per_sec"], 50.0);
}

#[test]
fn on_a_real_clock_there_are_latencies() {
    let slow = format!("\"{}\"", "x".repeat(1 << 20));
    let request =
        format!(r#"{{"src":"c1","dest":"n1","body":{{"type":"bench_echo","msg_id":1,"echo":{slow}}}}}"#);
    let stats = r#"{"src":"c1","dest":"n1","body":{"type":"bench_stats","msg_id":2}}"#;
    let (answers, _) = answers(&[INIT, &request, stats]);
    assert!(answers[1]["body"]["latency_us"].as_u64().unwrap() > 0);
    let stats = &answers[2]["body"];
    assert_eq!(stats["total_messages"], 1);
    assert!(stats["avg_latency_us"].as_u64().unwrap() > 0, "{stats}");
    assert!(stats["throughput_per_sec"].as_f64().unwrap() > 0.0, "{stats}");
}

#[test]
fn rows_of_the_contract_that_are_wrong() {
    for (body, text) in [
        (json!({"type": "get_log"}), "count: expected an integer, not negative, found nothing"),
        (json!({"type": "get_log", "count": -1}), "count: expected an integer, not negative, found -1"),
        (json!({"type": "dedup_echo"}), "echo: expected a value, found nothing"),
        (json!({"type": "bench_echo"}), "echo: expected a value, found nothing"),
        (
            json!({"type": "chaos_on", "drop_rate": 1.5}),
            "drop_rate: expected a number from 0 to 1, found 1.5",
        ),
        (
            json!({"type": "chaos_on", "drop_rate": "1"}),
            "drop_rate: expected a number from 0 to 1, found \"1\"",
        ),
        (
            json!({"type": "chaos_on", "delay_ms": 60001}),
            "delay_ms: expected an integer from 0 to 60000, found 60001",
        ),
        (json!({"type": "chaos_on", "peers": "n2"}), "peers: expected an array of strings, found \"n2\""),
    ] {
        let mut bench = bench();
        let mut request = body.clone();
        request["msg_id"] = json!(1);
        bench.receive("c1", request);
        let error = &bench.bodies()[0];
        assert_eq!((&error["code"], &error["text"]), (&json!(12), &json!(text)), "{body}");
    }
}

/// The lines of a process's stderr as they come.
fn errors(node: &mut Node) -> Receiver<String> {
    let (lines, received) = mpsc::channel();
    let stderr = node.child.stderr.take().unwrap();
    thread::spawn(move || {
        BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|x| lines.send(x))
    });
    received
}

fn spawn(args: &[&str]) -> (Node, Receiver<String>) {
    let mut node = Node::spawn(&mut messenger(args));
    let errors = errors(&mut node);
    assert_eq!(node.ask(INIT), INIT_OK);
    (node, errors)
}

#[test]
fn a_signal_asks_for_a_report() {
    let (mut node, errors) = spawn(&["--stats-interval", "0"]);
    node.ask(&echo(1, "1"));
    kill(node.child.id(), "USR1");
    let report: Value = serde_json::from_str(&errors.recv().unwrap()).unwrap();
    assert_eq!(report["node"], "n1");
    assert_eq!(report["service_us"]["by_type"]["echo"]["count"], 1);
    // And the node goes on.
    node.ask(&echo(2, "2"));
    assert_eq!(node.wait().code(), Some(0));
    let rest: Vec<String> = errors.iter().collect();
    assert_eq!(rest.len(), 2, "a summary and the last report: {rest:?}");
    assert!(rest[0].contains("3 lines in, 3 messages out"), "{rest:?}");
    assert_eq!(serde_json::from_str::<Value>(&rest[1]).unwrap()["service_us"]["by_type"]["echo"]["count"], 2);
}

#[test]
fn reports_come_while_messages_do_and_not_when_idle() {
    let (mut node, errors) = spawn(&["--stats-interval", "0.1"]);
    // However slow this machine is: what came is reported, and then no more.
    for n in 1..4 {
        node.ask(&echo(n, "1"));
        let reports = errors.iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
        assert!(reports.take(10).any(|report| report["service_us"]["all"]["count"] == n));
    }
    let idle = errors.recv_timeout(Duration::from_millis(500));
    assert!(idle.is_err(), "{idle:?}");
}

#[test]
fn a_trace_file_has_every_message() {
    let name = |node: &str| {
        std::env::temp_dir().join(format!("messenger-trace-{node}-{}.jsonl", std::process::id()))
    };
    let file = name("n0");
    let recording = include_bytes!("../data/echo.n0.jsonl");
    let output = run(messenger(&["--trace", name("{node}").to_str().unwrap()]), recording);
    let trace = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let trace: Vec<Value> = trace.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |dir| trace.iter().filter(move |x| x["dir"] == dir).map(|x| x["message"].clone());
    let values = |text: &[u8]| -> Vec<Value> {
        let text = std::str::from_utf8(text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(of("RECV").collect::<Vec<_>>(), values(recording));
    assert_eq!(of("SENT").collect::<Vec<_>>(), values(&output.stdout));
    assert!(trace.iter().all(|x| x["node"] == "n0"));
    let times: Vec<u64> = trace.iter().map(|x| x["ts_us"].as_u64().unwrap()).collect();
    assert!(times.is_sorted() && times[0] > 1_700_000_000_000_000, "{}", times[0]);
}

/// Nobody reads the pipe that the trace goes to. The node answers all the same, and counts what is missing.
#[test]
fn a_trace_that_nobody_takes_holds_nothing_up() {
    let pipe = std::env::temp_dir().join(format!("messenger-trace-{}.pipe", std::process::id()));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let name = pipe.to_str().unwrap().to_owned();
    // Both ends are held open here, and nothing is read.
    let held = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let (mut node, errors) = spawn(&["--trace", &name, "--drain-timeout", "0.2"]);
    let payload = format!("\"{}\"", "x".repeat(1_000_000));
    for n in 0..30 {
        assert!(node.ask(&echo(n, &payload)).contains("echo_ok"));
    }
    assert_eq!(node.wait().code(), Some(0));
    let errors: Vec<String> = errors.iter().collect();
    assert!(errors.iter().any(|line| line.contains("the end of the trace was not written")), "{errors:?}");
    let report: Value = serde_json::from_str(errors.last().unwrap()).unwrap();
    assert!(report["trace_dropped"].as_u64().unwrap() > 0, "{report}");
    drop(held);
    std::fs::remove_file(&pipe).unwrap();
}

/// Maelstrom kills its nodes: what they wrote down has to be there by then, although nothing more happens.
#[test]
fn a_killed_node_leaves_its_trace() {
    let file = std::env::temp_dir().join(format!("messenger-killed-{}.jsonl", std::process::id()));
    let (mut node, _errors) = spawn(&["--trace", file.to_str().unwrap()]);
    for n in 0..300 {
        node.ask(&echo(n, "1"));
    }
    // 301 requests and as many answers, as soon as the writer gets to it.
    while std::fs::read_to_string(&file).unwrap().lines().count() < 602 {
        thread::sleep(Duration::from_millis(1));
    }
    kill(node.child.id(), "KILL");
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn what_the_disk_does_not_take_is_counted() {
    let (mut node, errors) = spawn(&["--trace", "/dev/full"]);
    for n in 0..50 {
        node.ask(&echo(n, "1"));
    }
    assert_eq!(node.wait().code(), Some(0));
    let errors: Vec<String> = errors.iter().collect();
    assert!(errors[0].contains(r#"trace file "/dev/full": No space left"#), "{errors:?}");
    let report: Value = serde_json::from_str(errors.last().unwrap()).unwrap();
    assert_eq!(report["trace_dropped"], 102, "{report}");
}

/// A node that is started again writes on where it was, and nodes that share a file break no line of each other.
#[test]
fn a_trace_file_is_added_to_and_may_be_shared() {
    let file = std::env::temp_dir().join(format!("messenger-shared-{}.jsonl", std::process::id()));
    let lines = |count: u64| {
        let echoes: Vec<String> =
            (1..=count).map(|n| echo(n, &format!("\"{}\"", "x".repeat(3000)))).collect();
        format!("{INIT}\n{}\n", echoes.join("\n"))
    };
    let input = lines(500);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| run(messenger(&["--trace", file.to_str().unwrap()]), input.as_bytes()));
        }
    });
    run(messenger(&["--trace", file.to_str().unwrap()]), lines(1).as_bytes());
    let trace = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(trace.lines().count(), 4 * 2 * 501 + 2 * 2);
    assert!(trace.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

/// What is in the file is there, and what is not is counted: on a disk that fills in the midst of a line, too.
#[test]
fn on_a_disk_that_fills_only_what_is_missing_is_counted() {
    let file = std::env::temp_dir().join(format!("messenger-full-{}.jsonl", std::process::id()));
    let script = format!(
        "trap '' XFSZ; ulimit -f 8; exec {} --trace {}",
        env!("CARGO_BIN_EXE_messenger"),
        file.display()
    );
    let mut command = Command::new("bash");
    command.args(["-c", &script]);
    let lines: String = (1..=100).map(|n| echo(n, "1") + "\n").collect();
    let output = run(command, format!("{INIT}\n{lines}").as_bytes());
    let stderr = String::from_utf8(output.stderr).unwrap();
    let trace = std::fs::read_to_string(&file).unwrap();
    assert_eq!(trace.len(), 8 << 10, "{stderr}");
    let whole = trace.bytes().filter(|&byte| byte == b'\n').count();
    let report: Value = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
    assert_eq!(report["trace_dropped"], 202 - whole, "{report}");
    // Once there is room again the next node begins a line of its own.
    run(messenger(&["--trace", file.to_str().unwrap()]), format!("{INIT}\n").as_bytes());
    let trace = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let good = trace.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count();
    assert_eq!((good, trace.lines().count()), (whole + 2, whole + 3));
}

/// Whatever a node is called, its trace has a name, and if it has none the node goes on.
#[test]
fn a_trace_never_ends_a_node() {
    let folder = std::env::temp_dir().join(format!("messenger-names-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let trace = folder.join("{node}");
    let init = |id: &str| {
        let id = json!(id);
        format!(
            r#"{{"src":"c0","dest":{id},"body":{{"type":"init","msg_id":1,"node_id":{id},"node_ids":[{id}]}}}}"#
        )
    };
    let long = "n".repeat(300);
    for (id, name) in [("a/../b\0", "a_.._b_"), (&*long, &long[..64])] {
        let output = run(messenger(&["--trace", trace.to_str().unwrap()]), init(id).as_bytes());
        assert!(output.status.success(), "{id}");
        assert_eq!(std::fs::read_to_string(folder.join(name)).unwrap().lines().count(), 2, "{id}");
    }
    // A pipe that nobody reads.
    assert!(Command::new("mkfifo").arg(folder.join("n1")).status().unwrap().success());
    let output = run(messenger(&["--trace", trace.to_str().unwrap()]), init("n1").as_bytes());
    assert!(output.status.success() && output.stdout.starts_with(br#"{"src":"n1""#));
    // No `init` at all.
    run(messenger(&["--trace", trace.to_str().unwrap()]), echo(1, "1").as_bytes());
    assert_eq!(std::fs::read_to_string(folder.join("no-init")).unwrap().lines().count(), 2);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// An answer that nobody reads for a while is not written for that while.
#[test]
fn times_include_a_blocked_stdout() {
    let (mut node, errors) = spawn(&["--stats-interval", "0"]);
    let payload = format!("\"{}\"", "x".repeat(1_000_000));
    node.send(&echo(1, &payload));
    // The answer does not fit into the pipe. Once it has begun to come, the node waits.
    assert_eq!(node.stdout.fill_buf().unwrap()[0], b'{');
    thread::sleep(Duration::from_millis(300));
    assert!(node.line().contains("echo_ok"));
    node.wait();
    let report: Value = serde_json::from_str(&errors.iter().last().unwrap()).unwrap();
    assert!(report["service_us"]["by_type"]["echo"]["max"].as_u64().unwrap() > 200_000, "{report}");
}

/// A cluster may have any number of nodes, and a histogram takes 20 KB.
#[test]
fn no_more_than_64_peers_have_times_of_their_own() {
    let names: Vec<String> = (1..=70).map(|n| format!("n{n}")).collect();
    let mut node = Node::spawn(&mut messenger(&[]));
    let init = json!({"src": "c0", "dest": "n1", "body":
        {"type": "init", "msg_id": 1, "node_id": "n1", "node_ids": names}});
    node.ask(&init.to_string());
    for name in &names {
        let inner = json!({"type": "echo", "echo": 1});
        let body = json!({"type": "proxy", "msg_id": 2, "target": name, "inner": inner});
        let call: Value =
            serde_json::from_str(&node.ask(&json!({"src": "c1", "dest": "n1", "body": body}).to_string()))
                .unwrap();
        let body = json!({"type": "echo_ok", "in_reply_to": call["body"]["msg_id"]});
        assert!(node.ask(&json!({"src": name, "dest": "n1", "body": body}).to_string()).contains("proxy_ok"));
    }
    let report: Value = serde_json::from_str(node.end().lines().last().unwrap()).unwrap();
    let times = &report["round_trip_us"];
    assert_eq!((&times["all"]["count"], &times["other_peers"]["count"]), (&json!(70), &json!(6)), "{report}");
}

#[test]
fn a_type_may_be_called_anything() {
    let mut bench = bench();
    bench.receive("c1", json!({"type": "all", "msg_id": 1}));
    for n in 0..100 {
        bench.receive("c1", json!({"type": format!("junk {n}"), "msg_id": 1}));
    }
    bench.receive("c1", json!({"type": "echo", "msg_id": 1, "echo": 1}));
    let now = bench.now();
    bench.node_mut::<Messenger>("n1").handle_written(now);
    let report = report(&mut bench);
    assert_eq!(report["service_us"]["all"]["count"], 102);
    assert_eq!(report["service_us"]["other_types"]["count"], 101);
    assert_eq!(report["service_us"]["by_type"]["echo"]["count"], 1);
}

#[test]
fn a_trace_that_cannot_be_written_is_an_error() {
    let output = run(messenger(&["--trace", "/no/such/folder/trace"]), b"");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(r#"trace file "/no/such/folder/trace": No such file"#), "{stderr}");
}
