//! `messenger trace` over the trace files of several nodes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::{messenger, run};
use roxmltree::Document;
use serde_json::{Value, json};

/// A directory of one test's own.
struct Traces(PathBuf);

impl Traces {
    fn new(test: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trace").join(test);
        fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    /// With a file for each node.
    fn of(test: &str, nodes: &[(&str, &[String])]) -> Self {
        let traces = Self::new(test);
        for (node, lines) in nodes {
            fs::write(traces.0.join(node), lines.concat()).unwrap();
        }
        traces
    }

    /// Status, stdout, stderr; run where the files are.
    fn trace(&self, args: &[&str]) -> (Option<i32>, String, String) {
        self.trace_with(args, b"")
    }

    fn trace_with(&self, args: &[&str], stdin: &[u8]) -> (Option<i32>, String, String) {
        let mut command = messenger(&["trace"]);
        command.args(args).current_dir(&self.0);
        let output = run(command, stdin);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// What stdout has where nothing goes wrong.
    fn log(&self, args: &[&str]) -> String {
        let (status, log, errors) = self.trace(args);
        assert_eq!((status, &*errors), (Some(0), ""));
        log
    }

    /// The drawing, which is well-formed XML.
    fn svg(&self, args: &[&str]) -> String {
        self.log(&[args, &["--svg", "out.svg"]].concat());
        let svg = fs::read_to_string(self.0.join("out.svg")).unwrap();
        Document::parse(&svg).unwrap_or_else(|error| panic!("{error} in\n{svg}"));
        svg
    }
}

/// A line of `node`'s file, `ts` microseconds after some moment; `way` is such as `n1>n2`.
fn line(ts: u64, node: &str, dir: &str, way: &str, body: &Value) -> String {
    let (src, dest) = way.split_once('>').unwrap();
    let ts = 1_763_800_000_000_000 + ts;
    let message = json!({"src": src, "dest": dest, "body": body});
    format!("{}\n", json!({"ts_us": ts, "node": node, "dir": dir, "message": message}))
}

fn sent(ts: u64, way: &str, body: &Value) -> String {
    line(ts, way.split_once('>').unwrap().0, "SENT", way, body)
}

fn received(ts: u64, way: &str, body: &Value) -> String {
    line(ts, way.split_once('>').unwrap().1, "RECV", way, body)
}

/// A client asks n1, which asks n2 three times: the first call is answered, the second is lost, and of the
/// third, which comes twice, the answer is lost.
fn conversation(test: &str) -> Traces {
    let relay = json!({"type": "relay", "msg_id": 7});
    let relay_ok = json!({"type": "relay_ok", "in_reply_to": 7, "msg_id": 4});
    let read = |id| json!({"type": "read", "msg_id": id});
    let read_ok = |id, of| json!({"type": "read_ok", "msg_id": id, "in_reply_to": of});
    // Not in the order of time, within a file and among files.
    let n1 = [
        received(0, "c1>n1", &relay),
        sent(2_000, "n1>n2", &read(2)),
        sent(10, "n1>n2", &read(1)),
        received(900, "n2>n1", &read_ok(1, 1)),
        sent(4_000, "n1>n2", &read(3)),
        sent(1_000_000, "n1>c1", &relay_ok),
    ];
    let n2 = [
        received(300, "n1>n2", &read(1)),
        sent(310, "n2>n1", &read_ok(1, 1)),
        received(4_500, "n1>n2", &read(3)),
        sent(4_510, "n2>n1", &read_ok(2, 3)),
        received(4_700, "n1>n2", &read(3)),
    ];
    Traces::of(test, &[("n2", &n2), ("n1", &n1)])
}

#[test]
fn the_log_is_in_order_and_in_columns_and_tells_what_became_of_messages() {
    let expected = "\
0.000000  n1  RECV  c1 -> n1  relay     #7
0.000010  n1  SENT  n1 -> n2  read      #1
0.000300  n2  RECV  n1 -> n2  read      #1
0.000310  n2  SENT  n2 -> n1  read_ok   #1  ↩ 1
0.000900  n1  RECV  n2 -> n1  read_ok   #1  ↩ 1
0.002000  n1  SENT  n1 -> n2  read      #2       lost, unanswered
0.004000  n1  SENT  n1 -> n2  read      #3       unanswered
0.004500  n2  RECV  n1 -> n2  read      #3
0.004510  n2  SENT  n2 -> n1  read_ok   #2  ↩ 3  lost
0.004700  n2  RECV  n1 -> n2  read      #3       duplicate
1.000000  n1  SENT  n1 -> c1  relay_ok  #4  ↩ 7
";
    let traces = conversation("log");
    assert_eq!(traces.log(&["n1", "n2"]), expected);
    assert_eq!(traces.log(&["n2", "n1"]), expected);
    let n2 = fs::read(traces.0.join("n2")).unwrap();
    assert_eq!(traces.trace_with(&["n1", "-"], &n2), (Some(0), expected.to_owned(), String::new()));
}

#[test]
fn without_the_receivers_file_nothing_counts_as_lost() {
    let log = conversation("one_file").log(&["n1"]);
    assert!(!log.contains("lost") && log.contains("#3       unanswered"), "{log}");
}

#[test]
fn messages_match_every_filter_that_there_is() {
    let traces = conversation("filters");
    let times = |args: &[&str]| {
        let log = traces.log(&[&["n1", "n2"], args].concat());
        log.lines().map(|line| line[2..8].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(times(&["--node", "c1"]), ["000000", "000000"], "times count from the first record of all");
    assert_eq!(times(&["--peer", "c1"]), times(&["--node", "c1"]));
    assert_eq!(times(&["--node", "n2", "--peer", "n1"]).len(), 9);
    assert_eq!(times(&["--node", "n2", "--peer", "c1"]).len(), 0);
    assert_eq!(times(&["--type", "relay"]), ["000000"]);
    assert_eq!(times(&["--type", "relay", "--type", "relay_ok"]).len(), 2);
    assert_eq!(times(&["--node", "n2", "--type", "relay"]).len(), 0);
    assert_eq!(times(&["--node", "n2", "--node", "c1"]).len(), 11);
    let log = traces.log(&["n1", "n2", "--type", "relay"]);
    assert!(!log.contains("unanswered"), "the answer is there, if not shown: {log}");
}

#[test]
fn messages_without_msg_id_are_told_apart_by_their_bodies_and_their_order() {
    let gossip = |value: i32| json!({"type": "gossip", "value": value});
    let n1 = [sent(0, "n1>n2", &gossip(1)), sent(100, "n1>n2", &gossip(2)), sent(200, "n1>n2", &gossip(1))];
    let n2 = [
        received(50, "n1>n2", &gossip(1)),
        received(60, "n1>n2", &gossip(1)),
        received(250, "n1>n2", &gossip(1)),
    ];
    let log = Traces::of("gossip", &[("n1", &n1), ("n2", &n2)]).log(&["n1", "n2"]);
    let marks: Vec<_> = log.lines().map(|line| line.rsplit("  ").next().unwrap()).collect();
    assert_eq!(marks, ["gossip", "gossip", "duplicate", "lost", "gossip", "gossip"]);
}

#[test]
fn clocks_that_differ_tear_nothing_apart() {
    let (read, read_ok) =
        (json!({"type": "read", "msg_id": 1}), json!({"type": "read_ok", "in_reply_to": 1}));
    let n1 = [sent(1_000, "n1>n2", &read), received(1_900, "n2>n1", &read_ok)];
    let n2 = [received(500, "n1>n2", &read), sent(600, "n2>n1", &read_ok)];
    let traces = Traces::of("clocks", &[("n1", &n1), ("n2", &n2)]);
    let log = traces.log(&["n1", "n2"]);
    assert!(!log.contains("lost") && !log.contains("unanswered"), "{log}");
    assert!(traces.svg(&["n1", "n2"]).contains("lost: 0"));
}

#[test]
fn a_node_can_write_to_itself() {
    let (echo, echo_ok) =
        (json!({"type": "echo", "msg_id": 1}), json!({"type": "echo_ok", "in_reply_to": 1}));
    let n1 = [
        sent(0, "n1>n1", &echo),
        received(10, "n1>n1", &echo),
        sent(10, "n1>n1", &echo_ok),
        received(20, "n1>n1", &echo_ok),
    ];
    let traces = Traces::of("itself", &[("n1", &n1)]);
    let log = traces.log(&["n1"]);
    let directions: Vec<_> = log.lines().map(|line| line[10..].trim_end()).collect();
    assert_eq!(
        directions,
        [
            "n1  SENT  n1 -> n1  echo     #1",
            "n1  RECV  n1 -> n1  echo     #1",
            "n1  SENT  n1 -> n1  echo_ok      ↩ 1",
            "n1  RECV  n1 -> n1  echo_ok      ↩ 1",
        ]
    );
    assert!(traces.svg(&["n1"]).contains("2 messages, 1 participant<"));
}

#[test]
fn bad_lines_are_reported_by_number_and_cost_nothing_else() {
    let good = sent(0, "n1>n2", &json!({"type": "read", "msg_id": 1}));
    let with = |from: &str, to: &str| {
        let line = good.replace(from, to);
        assert_ne!(line, good);
        line
    };
    let lines = [
        good.clone(),
        "nonsense\n".into(),
        "\n".into(),
        "[]\n".into(),
        with("\"SENT\"", "\"LOST\""),
        with("1763800000000000", "-1"),
        with("\"src\"", "\"source\""),
        with("\"msg_id\":1", "\"msg_id\":1.5"),
        with("\"body\":{", "\"body\":3,\"x\":{"),
        good.trim_end().into(),
    ];
    let traces = Traces::of("bad", &[("n1", &lines)]);
    let (status, log, errors) = traces.trace(&["n1"]);
    assert_eq!((status, log.lines().count()), (Some(0), 2), "{log}");
    let errors: Vec<_> = errors.lines().collect();
    assert_eq!(
        errors,
        [
            "messenger: warn: n1: line 2: not JSON: expected an object at byte 1, found `n`",
            "messenger: warn: n1: line 3: not JSON: expected an object, found nothing",
            "messenger: warn: n1: line 4: not a record: ts_us: expected a time in microseconds, found nothing",
            r#"messenger: warn: n1: line 5: not a record: dir: expected "RECV" or "SENT", found "LOST""#,
            "messenger: warn: n1: line 6: not a record: ts_us: expected a time in microseconds, found -1",
            "messenger: warn: n1: line 7: not a record: message.src: expected a string, found nothing",
            "messenger: warn: n1: line 8: not a record: message.body.msg_id: expected an integer of 64 bits, found 1.5",
            "messenger: warn: n1: line 9: not a record: message.body: expected an object, found 3",
        ]
    );
}

#[test]
fn nothing_at_all_is_no_error() {
    let traces = Traces::of("nothing", &[("n1", &[])]);
    assert_eq!(traces.log(&["n1"]), "");
    assert!(traces.svg(&["n1"]).contains("0 messages, 0 participants<"));
}

#[test]
fn a_file_that_cannot_be_read_or_written_is_named() {
    let traces = Traces::of("missing", &[("n1", &[])]);
    for args in [&["n1", "n2"][..], &["n1", "--svg", "n2/n3"]] {
        let (status, _, errors) = traces.trace(args);
        assert_eq!(status, Some(1));
        assert!(errors.starts_with("messenger: n2") && errors.contains("No such file"), "{errors}");
    }
    assert_eq!(traces.trace(&[]).0, Some(254), "no file at all");
}

#[test]
fn any_name_makes_a_well_formed_drawing_and_a_harmless_log() {
    let name = "<n&\"'\u{0}\u{1b}[31m\r\n\u{7f}\u{ffff}é😀";
    let body = json!({"type": format!("]]>{name}"), "msg_id": 1, name: name.repeat(100)});
    let lines = [sent(0, &format!("{name}>{name}!"), &body)];
    let traces = Traces::of("names", &[("n1", &lines)]);
    let svg = traces.svg(&["n1"]);
    let document = Document::parse(&svg).unwrap();
    let texts: Vec<_> = document.descendants().filter_map(|node| node.text()).collect();
    let shown = r#"<n&"'\u{0}\u{1b}[31m\r\n\u{7f}\u{ffff}é😀"#;
    assert!(texts.iter().any(|text| text.contains(shown)), "{texts:?}");
    let log = traces.log(&["n1"]);
    assert_eq!(log.lines().count(), 1);
    assert!(!log.trim_end().contains(char::is_control), "{log:?}");
}

#[test]
fn the_drawing_has_an_arrow_for_every_message() {
    let svg = conversation("drawing").svg(&["n1", "n2"]);
    let document = Document::parse(&svg).unwrap();
    let of_class = |wanted: &str| {
        let classes = document.descendants().filter_map(|node| node.attribute("class"));
        classes.filter(|class| class.split(' ').any(|class| class == wanted)).count()
    };
    assert_eq!(of_class("label"), 7);
    assert_eq!(of_class("amber"), 2 + 1, "one of each is in the legend");
    assert_eq!((of_class("again"), of_class("half")), (1 + 1, 2 + 1));
    assert_eq!(
        document.descendants().filter(|node| node.attribute("class") == Some("line lost")).count(),
        2 + 1
    );
    assert!(svg.contains("lost: 2") && svg.contains("duplicated: 1") && svg.contains("unanswered: 2"));
    assert!(svg.contains(">+ 995 ms<"), "the long pause is cut short");
    assert!(svg.find(">c1<") < svg.find(">n1<") && svg.find(">n1<") < svg.find(">n2<"));
    assert!(!svg.contains("not drawn"));
}

#[test]
fn a_drawing_has_a_limit_and_says_so() {
    let lines: Vec<_> =
        (0..2_000).map(|id| sent(id, "n1>n2", &json!({"type": "gossip", "msg_id": id}))).collect();
    let traces = Traces::of("limit", &[("n1", &lines)]);
    let labels = |svg: &str| svg.matches("class=\"label").count();
    let svg = traces.svg(&["n1"]);
    assert!(labels(&svg) == 500 && svg.contains("… 1,500 more messages not drawn"));
    let svg = traces.svg(&["n1", "--limit", "1999"]);
    assert!(labels(&svg) == 1_999 && svg.contains("… 1 more message not drawn"));
    let svg = traces.svg(&["n1", "--limit", "2000"]);
    assert!(labels(&svg) == 2_000 && !svg.contains("not drawn"));
    assert_eq!(labels(&traces.svg(&["n1", "--limit", "0"])), 0);
}

#[test]
fn participants_stand_in_their_natural_order() {
    let ways = ["n10>n9", "lin-kv>n0", "c12>n2", "c3>n10", "seq-kv>n1"];
    let lines: Vec<_> = ways.map(|way| sent(0, way, &json!({"type": "x", "msg_id": 1}))).into();
    let svg = Traces::of("order", &[("n1", &lines)]).svg(&["n1"]);
    let document = Document::parse(&svg).unwrap();
    let names = document.descendants().filter(|node| node.attribute("class") == Some("name"));
    let mut names: Vec<_> = names.filter_map(|node| node.text()).collect();
    names.dedup();
    assert_eq!(names, ["c3", "c12", "n0", "n1", "n2", "n9", "n10", "lin-kv", "seq-kv"]);
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let lines: Vec<_> =
        (0..50_000).map(|id| sent(id, "n1>n2", &json!({"type": "x", "msg_id": id}))).collect();
    let traces = Traces::of("pipe", &[("n1", &lines)]);
    let mut command = messenger(&["trace", "n1"]);
    let mut trace = command.current_dir(&traces.0).stdout(Stdio::piped()).spawn().unwrap();
    drop(trace.stdout.take());
    assert_eq!(trace.wait().unwrap().code(), Some(0));
}

#[test]
fn a_file_that_is_no_trace_is_refused_in_one_line() {
    let lines: Vec<String> = (0..1_000).map(|n| format!("line {n} of a letter\n")).collect();
    let traces = Traces::of("letter", &[("letter", &lines)]);
    let mut command = messenger(&["trace", "letter", "--log-level", "error"]);
    command.current_dir(&traces.0);
    let output = run(command, b"");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.starts_with("messenger: letter: none of the first 10 lines is a record of a trace"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

/// The README shows this drawing. Draw it again with `messenger trace` where this fails.
#[test]
fn the_drawing_of_the_readme_is_what_its_traces_make() {
    let example = |file: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/trace").join(file);
    let traces = Traces::new("readme");
    let svg = traces.svg(&[example("n1.jsonl").to_str().unwrap(), example("n2.jsonl").to_str().unwrap()]);
    assert!(svg == fs::read_to_string(example("diagram.svg")).unwrap());
}
