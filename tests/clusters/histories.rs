//! Histories that others made: those that Maelstrom wrote and judged, and files that are broken.

use std::fs;
use std::io::{BufReader, Read};
use std::path::Path;

use clojure_reader::edn::{self, Edn};
use flate2::read::GzDecoder;
use messenger::Instant;
use messenger::workbench::checker::Verdict;
use messenger::workbench::checker::models::Model;
use messenger::workbench::data::Data;
use messenger::workbench::history::{Invocation, Outcome, write_jsonl};
use messenger::workbench::history_file::{self, Limits, ReadError, write_edn};
use messenger::workbench::settings::Settings;
use messenger::workbench::verdict::Judgement;
use messenger::workbench::workload::broadcast::Broadcast;
use messenger::workbench::workload::counter::PnCounter;
use messenger::workbench::workload::echo::Echo;
use messenger::workbench::workload::kafka::Kafka;
use messenger::workbench::workload::lin_kv::LinKv;
use messenger::workbench::workload::list_append::ListAppend;
use messenger::workbench::workload::unique_ids::UniqueIds;
use messenger::workbench::workload::{self, Workload};
use serde_json::Value;

fn read(text: &str, workload: &dyn Workload) -> Result<Vec<Invocation>, ReadError> {
    history_file::read(text.as_bytes(), workload, Limits::default())
}

fn error(text: &str) -> String {
    read(text, &LinKv).unwrap_err().to_string()
}

fn judge(history: &[Invocation], workload: &dyn Workload) -> (Verdict, Vec<String>) {
    let judgement = Judgement::of(history, workload, &Settings::default(), None);
    (judgement.verdict, judgement.finding.anomalies())
}

/// The histories of workloads whose verdict depends on nothing but the history, with what is to be said of them.
fn judged() -> Vec<(String, &'static dyn Workload, Verdict, Vec<String>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/histories");
    let mut judged = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let expected: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        if !expected["models"].is_null() {
            continue;
        }
        let workload = workload::by_name(expected["workload"].as_str().unwrap()).unwrap();
        let mut text = String::new();
        let file = BufReader::new(fs::File::open(path.with_extension("edn.gz")).unwrap());
        GzDecoder::new(file).read_to_string(&mut text).unwrap();
        let verdict = if expected["expected"] == true { Verdict::Valid } else { Verdict::Invalid };
        let anomalies = expected["anomalies"].as_array().unwrap().iter();
        let anomalies = anomalies.map(|name| name.as_str().unwrap().to_owned()).collect();
        judged.push((text, workload, verdict, anomalies));
    }
    judged
}

/// Also after each of them was written and read back, in Jepsen's form and in ours.
#[test]
fn maelstroms_histories_get_their_verdicts() {
    let judged = judged();
    assert!(judged.len() >= 23, "{}", judged.len());
    for (text, workload, verdict, anomalies) in judged {
        let history = read(&text, workload).unwrap();
        let (mut edn, mut jsonl) = (Vec::new(), Vec::new());
        write_edn(&history, workload, &mut edn).unwrap();
        write_jsonl(&history, &mut jsonl).unwrap();
        let found = judge(&history, workload);
        assert_eq!(found.0, verdict, "{workload:?}: {:?}", found.1);
        for name in &anomalies {
            assert!(found.1.contains(name), "expected {name} among {:?}", found.1);
        }
        for written in [edn, jsonl] {
            let written = String::from_utf8(written).unwrap();
            let again = read(&written, workload).unwrap();
            // Reasons may be told in other words.
            let gist =
                |of: &Invocation| (of.process, of.operation.clone(), of.interval, of.answer().cloned());
            assert_eq!(
                again.iter().map(gist).collect::<Vec<_>>(),
                history.iter().map(gist).collect::<Vec<_>>()
            );
            assert_eq!(judge(&again, workload), found);
        }
    }
}

/// Other programs read ours as they read Jepsen's.
#[test]
fn what_is_written_as_edn_is_what_jepsen_writes() {
    let gist = |line: &str| {
        let record = edn::read_string(line).unwrap().into_owned();
        let members = ["type", "process", "f", "value", "seek-to-beginning?"];
        members.map(|name| record.get(&Edn::key(name)).cloned())
    };
    // Of one microsecond ours has the beginnings first.
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(gist).collect();
        lines.sort();
        lines
    };
    for (text, workload, ..) in judged() {
        let mut edn = Vec::new();
        write_edn(&read(&text, workload).unwrap(), workload, &mut edn).unwrap();
        assert!(sorted(&String::from_utf8(edn).unwrap()) == sorted(&text), "{workload:?}");
    }
}

const TWO: &str = r#"{:index 0, :time 1000, :type :invoke, :process 0, :f :write, :value [3 1]}
{:index 1, :time 2999, :type :invoke, :process :nemesis, :f :start-partition, :value [:isolated {"n0" #{"n1"}}]}
; a comment with a { in it
{:index 2, :time 5999, :type :ok, :process 0, :f :write, :value [3 1], :more \{, :text "\"}\n"}
#jepsen.history.Op{:index 3, :time 7000, :type :invoke, :process 1, :f :read, :value [3 nil]}
{:index 4, :time 8000, :type :info, :process 1, :f :read, :value [3 nil], :error :net-timeout}
"#;

#[test]
fn jepsens_notation_is_read_with_all_that_it_has() {
    let history = read(TWO, &LinKv).unwrap();
    let times = history.iter().map(|of| (of.interval.invoked.as_micros(), of.interval.completed.as_micros()));
    assert_eq!(times.collect::<Vec<_>>(), [(1, 5), (7, 8)]);
    assert_eq!(history[0].outcome, Outcome::Ok(Data::Ints(vec![3, 1])));
    assert_eq!(history[1].outcome, Outcome::Silence { is_indefinite: true });
    let in_a_vector = format!("[{}]", TWO.replace('\n', "\n,"));
    assert_eq!(read(&in_a_vector, &LinKv).unwrap(), history);
}

/// As elle-cli takes it: times are not needed, and all may be in one array.
#[test]
fn json_is_read_line_by_line_or_as_an_array() {
    let lines = [
        r#"{"type":"invoke","process":0,"f":"read","value":null}"#,
        r#"{"type":"invoke","process":1,"f":"broadcast","value":7}"#,
        r#"{"type":"ok","process":1,"f":"broadcast","value":7}"#,
        r#"{"type":"ok","process":0,"f":"read","value":[7]}"#,
    ];
    let history = read(&lines.join("\n"), &Broadcast).unwrap();
    let times = history.iter().map(|of| (of.interval.invoked.as_micros(), of.interval.completed.as_micros()));
    assert_eq!(times.collect::<Vec<_>>(), [(0, 3), (1, 2)]);
    assert_eq!(read(&format!("[{}]", lines.join(",\n ")), &Broadcast).unwrap(), history);
}

#[test]
fn what_never_ends_is_indefinite_and_what_has_ends_alone_may_have_begun_at_any_time() {
    let open = read(r"{:time 1000 :type :invoke :process 0 :f :read :value [1 nil]}", &LinKv).unwrap();
    assert!(matches!(open[0].outcome, Outcome::Info(_)) && open[0].interval.completed == Instant::END);
    let ends = "{:time 9000 :type :ok :process 0 :f :read :value [1 nil]} {:time 9999 :type :ok :process 0 :f :write :value [1 2]}";
    let ends = read(ends, &LinKv).unwrap();
    assert_eq!(
        (ends.len(), ends[1].interval.invoked, ends[1].interval.completed.as_micros()),
        (2, Instant::START, 10)
    );
}

#[test]
fn maelstroms_echo_is_the_whole_reply() {
    let text = r#"{:time 0 :type :invoke :process 0 :f :echo :value "Please echo 1"}
{:time 1 :type :ok :process 0 :f :echo :value {:type "echo_ok" :echo "Please echo 1" :msg_id 1 :in_reply_to 3}}"#;
    assert_eq!(judge(&read(text, &Echo).unwrap(), &Echo).0, Verdict::Valid);
}

/// Ids may be as large as a node likes.
#[test]
fn integers_of_any_size_are_kept() {
    let id = "340282366920938463463374607431768211455";
    for id in [id.to_owned(), format!("{id}N")] {
        let text = format!(
            "{{:time 0 :type :invoke :process 0 :f :generate :value nil}}
{{:time 1 :type :ok :process 0 :f :generate :value {id}}}"
        );
        let history = read(&text, &UniqueIds).unwrap();
        assert_eq!(history[0].answer().unwrap().to_string(), id.trim_end_matches('N'));
    }
}

#[test]
fn final_reads_are_told_by_a_mark() {
    let text = r"{:time 0 :type :invoke :process 0 :f :add :value 2} {:time 1 :type :ok :process 0 :f :add :value 2}
{:time 2 :type :invoke :process 0 :f :read :value nil, :final? true} {:time 3 :type :ok :process 0 :f :read :value 3, :final? true}";
    let history = read(text, &PnCounter).unwrap();
    assert!(history[1].is_final);
    assert_eq!(judge(&history, &PnCounter).0, Verdict::Invalid);
}

/// What a process begins and ends has to fit together, or the rest would be a guess.
#[test]
fn a_broken_file_gets_its_line_and_what_was_expected() {
    let begin = r"{:type :invoke :process 3 :f :read :value [1 nil]}";
    let end = r"{:type :ok :process 3 :f :read :value [1 nil]}";
    let info = r"{:type :info :process 3 :f :read :value [1 nil]}";
    for (lines, expected) in [
        (
            vec![begin, end, end],
            "line 3: expected a beginning, since the last operation of process 3 ended on line 2, found the end of read",
        ),
        (
            vec![begin, begin],
            "line 2: expected the end of what process 3 began on line 1, found the beginning of another read",
        ),
        (
            vec![begin, info, begin],
            "line 3: expected nothing of process 3 any more, since nobody knows how its operation ended on line 2, found the beginning of another read",
        ),
        (
            vec![begin, r"{:type :ok :process 3 :f :write :value [1 2]}"],
            "line 2: expected the end of read, which process 3 began on line 1, found that of write",
        ),
        (
            vec![end, begin],
            "line 2: expected ends alone of process 3, as before, found the beginning of another read",
        ),
        (
            vec![begin, "", "{:type :invoke"],
            "line 3: expected the brace that closes this operation, found the end of the file",
        ),
        (vec!["[", begin], "line 2: expected `]` or another operation, found the end of the file"),
        (
            vec!["invoke read"],
            "line 1: expected an operation, such as {\"type\":\"invoke\", …} or {:type :invoke, …}, found `i`",
        ),
        (
            vec![begin, "{:type :maybe :process 3 :f :read}"],
            "line 2: expected type to be invoke, ok, fail or info, found \"maybe\"",
        ),
        (vec!["{:process 3 :f :read}"], "line 1: expected an operation with a type, found one without"),
        (vec!["{:type :invoke :f :read}"], "line 1: expected an operation with a process, found one without"),
        (
            vec!["{:type :invoke :process 3 :f :jump}"],
            "line 1: expected f to be read or write or cas, found \"jump\"",
        ),
    ] {
        assert_eq!(error(&lines.join("\n")), expected);
    }
    assert!(
        error(&format!("{begin}\n{{:type :ok\n :process 3z}}"))
            .starts_with("line 3: expected an operation in EDN, found InvalidNumber")
    );
    assert!(
        error("{\"type\":\"ok\",\n\"process\":01}")
            .starts_with("line 1: expected an operation in JSON, found expected")
    );
}

#[test]
fn what_is_too_large_is_refused() {
    let limits = |record_bytes, memory_bytes| Limits { record_bytes, memory_bytes };
    let begin = r"{:type :invoke :process 3 :f :read :value [1 nil]}";
    let read =
        |limits| history_file::read(begin.as_bytes(), &LinKv, limits).map_err(|error| error.to_string());
    assert_eq!(read(limits(begin.len(), 4_000)).unwrap().len(), 1);
    let length = begin.len() - 1;
    assert_eq!(
        read(limits(length, 4_000)).unwrap_err(),
        format!("line 1: an operation takes more than {length} bytes")
    );
    assert_eq!(read(limits(1_000, 10)).unwrap_err(), "line 1: the history takes more than 10 bytes");
}

/// What was later in the file is later for the checkers, however short the time between the two is.
#[test]
fn times_within_one_microsecond_keep_their_order() {
    let stale = |times: [u64; 4]| {
        let [a, b, c, d] = times;
        format!(
            "{{:time {a} :type :invoke :process 0 :f :write :value [3 5]}} {{:time {b} :type :ok :process 0 :f :write :value [3 5]}}
{{:time {c} :type :invoke :process 1 :f :read :value [3 nil]}} {{:time {d} :type :ok :process 1 :f :read :value [3 nil]}}"
        )
    };
    for times in [[0, 1, 2, 3], [0, 100, 200, 300], [900, 1_100, 1_200, 2_000], [0, 1_000, 2_000, 3_000]] {
        let history = read(&stale(times), &LinKv).unwrap();
        assert_eq!(judge(&history, &LinKv).0, Verdict::Invalid, "{times:?}");
    }
    // Of the same nanosecond nobody knows.
    let history = read(&stale([0, 1, 1, 2]), &LinKv).unwrap();
    assert_eq!(judge(&history, &LinKv).0, Verdict::Valid);
    let appended = r"{:time 0 :type :invoke :process 0 :f :txn :value [[:append 1 1]]} {:time 1 :type :ok :process 0 :f :txn :value [[:append 1 1]]}
{:time 2 :type :invoke :process 1 :f :txn :value [[:r 1 nil]]} {:time 3 :type :ok :process 1 :f :txn :value [[:r 1 []]]}
{:time 4 :type :invoke :process 1 :f :txn :value [[:r 1 nil]]} {:time 5 :type :ok :process 1 :f :txn :value [[:r 1 [1]]]}";
    let (verdict, anomalies) = judge(&read(appended, &ListAppend).unwrap(), &ListAppend);
    assert_eq!(verdict, Verdict::Invalid);
    assert!(anomalies.iter().any(|name| name.contains("realtime")), "{anomalies:?}");
}

/// Also where a process goes on in the microsecond in which it ended, and where a file has ends alone.
#[test]
fn what_is_written_can_be_read_back() {
    let echoes = |time: fn(u64) -> u64| -> String {
        let one = |place: u64| {
            let [begun, ended] = [time(2 * place), time(2 * place + 1)];
            format!(
                "{{:time {begun} :type :invoke :process 0 :f :echo :value \"{place}\"}} {{:time {ended} :type :ok :process 0 :f :echo :value {{:echo \"{place}\"}}}}\n"
            )
        };
        (0..3).map(one).collect()
    };
    let ends = "{:time 9000 :type :ok :process 0 :f :echo :value 1} {:time 9000 :type :ok :process 0 :f :echo :value 2} {:time 9001 :type :ok :process 0 :f :echo :value 3}";
    for text in
        [echoes(|_| 5_000), echoes(|place| place), echoes(|place| place.div_ceil(2) * 1_000), ends.to_owned()]
    {
        let history = read(&text, &Echo).unwrap();
        let (mut edn, mut jsonl) = (Vec::new(), Vec::new());
        write_edn(&history, &Echo, &mut edn).unwrap();
        write_jsonl(&history, &mut jsonl).unwrap();
        for written in [edn, jsonl] {
            let written = String::from_utf8(written).unwrap();
            assert_eq!(read(&written, &Echo).unwrap(), history, "{written}");
        }
    }
}

/// Only the names of micro-operations are keywords.
#[test]
fn strings_at_the_beginning_of_a_list_stay_strings() {
    let id = r#"[["node one",1],["append"]]"#;
    let text = format!(
        r#"{{"time":0,"type":"invoke","process":0,"f":"generate","value":null}}
{{"time":1000,"type":"ok","process":0,"f":"generate","value":{id}}}"#
    );
    let history = read(&text, &UniqueIds).unwrap();
    let mut edn = Vec::new();
    write_edn(&history, &UniqueIds, &mut edn).unwrap();
    let edn = String::from_utf8(edn).unwrap();
    assert!(edn.contains(r#":value [["node one" 1] ["append"]]"#), "{edn}");
    assert_eq!(read(&edn, &UniqueIds).unwrap(), history);
}

/// Whoever reads what is nested goes as deep, and the stack has an end.
#[test]
fn what_is_nested_too_deep_is_refused() {
    let nested = |open: &str, count: usize, close: &str| {
        let value = [&open.repeat(count), "1", &close.repeat(count)].concat();
        format!("{{:type :invoke :process 0 :f :echo\n:value {value}}}")
    };
    for (open, close) in [("[", "]"), ("(", ")"), ("#{", "}"), ("{1 ", "}"), ("#a ", "")] {
        assert_eq!(read(&nested(open, 1_023, close), &Echo).unwrap().len(), 1, "{open}");
        for count in [1_024, 32_000] {
            assert_eq!(
                read(&nested(open, count, close), &Echo).unwrap_err().to_string(),
                "line 2: expected at most 1024 levels of nesting, found one more"
            );
        }
    }
    // What stands side by side is no deeper.
    let flat = r#"#a "x" #a 1 #a [] [] \[ "[[" "#.repeat(2_000);
    assert_eq!(read(&nested(&format!("[{flat}"), 1, "]"), &Echo).unwrap().len(), 1);
}

/// Nothing that stands in a file makes the reader panic, or read forever.
#[test]
fn mutated_files_are_refused_or_judged() {
    let mut rng = fastrand::Rng::with_seed(5);
    let text = r#"{:index 0, :time 1, :type :invoke, :process 1, :f :assign, :value ["9" "8"], :seek-to-beginning? true}
{:index 1, :time 2, :type :ok, :process 1, :f :assign, :value ["9" "8"], :seek-to-beginning? true}
{"type":"invoke","process":0,"f":"send","value":[["send","9",1]],"time":3}
{"type":"ok","process":0,"f":"send","value":[["send","9",[0,1]]],"time":4}
{:type :invoke :process 1 :f :poll :value [[:poll]] :time 5}
{:type :ok :process 1 :f :poll :value [[:poll {"9" [[0 1]]}]] :time 6}
"#;
    let mut judged = 0;
    for _ in 0..5_000 {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..rng.usize(0..4) {
            let place = rng.usize(0..bytes.len());
            match rng.u8(0..3) {
                0 => bytes[place] = rng.u8(..),
                1 => drop(bytes.remove(place)),
                _ => bytes.insert(place, *rng.choice(b"{}[]\"\\;#:, 019-\n").unwrap()),
            }
        }
        if let Ok(history) = history_file::read(&bytes[..], &Kafka, Limits::default()) {
            judge(&history, &Kafka);
            judged += 1;
        }
    }
    assert!((1_000..5_000).contains(&judged), "{judged}");
}

/// What a checker would pass over it would call right.
#[test]
fn a_value_that_the_workload_does_not_have_is_refused_with_its_line() {
    let refusal = |name: &str, f: &str, asked: &str, answer: &str| {
        let text = format!(
            "{{\"type\":\"invoke\",\"process\":0,\"f\":\"{f}\",\"value\":{asked}}}\n\
             {{\"type\":\"ok\",\"process\":0,\"f\":\"{f}\",\"value\":{answer}}}\n"
        );
        read(&text, workload::by_name(name).unwrap()).map(drop).map_err(|error| error.to_string())
    };
    let huge = "99999999999999999999";
    for (name, f, asked, answer, line, expected) in [
        ("g-set", "read", "null", "[0,\"x\"]", 2, "a list of integers"),
        ("broadcast", "read", "null", "null", 2, "a list of integers"),
        ("g-set", "add", "\"x\"", "\"x\"", 1, "the element that is added"),
        ("g-counter", "read", "null", "1.5", 2, "an integer of 64 bits"),
        ("pn-counter", "add", "null", "null", 1, "what is added"),
        ("lin-kv", "write", "[0,\"a\"]", "[0,\"a\"]", 1, "[key, value]"),
        ("lin-kv", "write", &format!("[0,{huge}]"), "[0,1]", 1, "of integers of 64 bits"),
        ("lin-kv", "read", "[0,null]", "[0,\"b\"]", 2, "null or an integer"),
        ("lin-kv", "read", "[0,null]", "[1,1]", 2, "of the key that was asked for"),
        ("lin-kv", "cas", "[0,[1]]", "[0,[1]]", 1, "[key, [from, to]]"),
        ("kafka", "send", "null", "null", 1, "[\"send\", key, message]"),
        (
            "kafka",
            "send",
            "[[\"send\",\"1\",1]]",
            &format!("[[\"send\",\"1\",[{huge},1]]]"),
            2,
            "[offset, message]",
        ),
        ("kafka", "poll", "[[\"poll\"]]", "[[\"poll\",{\"1\":[[0]]}]]", 2, "[[offset, message], …]"),
        ("kafka", "assign", "1", "1", 1, "a list of keys"),
        ("txn-list-append", "txn", "[[\"append\",\"k\",1]]", "[]", 1, "[\"append\", key, element]"),
        ("txn-list-append", "txn", "[[\"r\",1,null]]", "[[\"r\",1,2]]", 2, "list or null"),
        ("txn-list-append", "txn", "[[\"r\",1,null]]", "null", 2, "a list of"),
        ("txn-rw-register", "txn", "[[\"append\",1,1]]", "[]", 1, "[\"w\", key, value]"),
        ("txn-rw-register", "txn", "[[\"r\",1,null]]", "[[\"r\",1,[2]]]", 2, "value or null"),
    ] {
        let error = refusal(name, f, asked, answer).unwrap_err();
        let begins = error.starts_with(&format!("line {line}: expected "));
        assert!(begins && error.contains(expected) && error.contains(", found "), "{name} {f}: {error}");
    }
    for (name, f, asked, answer) in [
        ("echo", "echo", "{\"any\":1.5}", "null"),
        ("unique-ids", "generate", "null", huge),
        ("lin-kv", "read", "[0,null]", "[0,null]"),
        ("kafka", "poll", "[[\"poll\"]]", "[[\"poll\",{}]]"),
        ("kafka", "send", "[[\"send\",\"1\",\"text\"]]", "[[\"send\",\"1\",[null,\"text\"]]]"),
        ("txn-list-append", "txn", "[[\"r\",1,null],[\"append\",1,2]]", "[[\"r\",1,[]],[\"append\",1,2]]"),
        ("txn-rw-register", "txn", "[]", "[]"),
    ] {
        assert_eq!(refusal(name, f, asked, answer), Ok(()), "{name} {f}");
    }
}

#[test]
fn processes_and_times_that_cannot_be_are_refused_with_their_line() {
    let begin = |process: &str, time| {
        format!(
            "{{\"type\":\"invoke\",\"process\":{process},\"f\":\"write\",\"value\":[0,1],\"time\":{time}}}\n"
        )
    };
    for process in ["-1", "1.5", "99999999999999999999", "\"0\"", "null"] {
        let found = error(&begin(process, 0));
        assert_eq!(
            found,
            format!(
                "line 1: expected process to be a number from 0 on, or a word such as :nemesis, found {process}"
            )
        );
    }
    let end = "{\"type\":\"ok\",\"process\":0,\"f\":\"write\",\"value\":[0,1],\"time\":4000}\n";
    assert_eq!(
        error(&(begin("0", 5000) + end)),
        "line 2: expected a time from 5000 on, when the operation began, found 4000"
    );
    // Two files after one another: the second is of earlier operations.
    let later = begin("0", 4000) + end;
    let history = read(&(later + &begin("1", 1000)), &LinKv).unwrap();
    assert_eq!(history.iter().map(|of| of.process).collect::<Vec<_>>(), [1, 0]);
}

/// As Jepsen writes it where a node acknowledged a message without an offset.
#[test]
fn an_acknowledged_message_of_unknown_offset_is_known_to_be_sent() {
    let text = "{:type :ok, :process 0, :f :send, :value [[:send \"1\" 7]]}\n\
                {:type :ok, :process 0, :f :poll, :value [[:poll {\"1\" [[0 7]]}]]}\n";
    assert_eq!(judge(&read(text, &Kafka).unwrap(), &Kafka), (Verdict::Valid, vec![]));
}

#[test]
fn nothing_is_said_of_transactions_where_nobody_wrote_or_read_anything() {
    let append = workload::by_name("txn-list-append").unwrap();
    let text = "{:type :invoke, :process 0, :f :txn, :value [[:append 1 1]]}\n\
                {:type :info, :process 0, :f :txn, :value [[:append 1 1]]}\n\
                {:type :invoke, :process 1, :f :txn, :value [[:r 1 nil]]}\n\
                {:type :ok, :process 1, :f :txn, :value [[:r 1 nil]]}\n";
    let judgement = Judgement::of(&read(text, append).unwrap(), append, &Settings::default(), None);
    assert_eq!(judgement.verdict, Verdict::Unknown);
    assert!(
        judgement.explain()[0].contains("no transaction that writes succeeded"),
        "{:?}",
        judgement.explain()
    );
}

/// Nothing but time tells that the second write is lost: which of the two came first nobody saw.
#[test]
fn a_register_that_loses_a_write_is_not_strictly_serializable() {
    let register = workload::by_name("txn-rw-register").unwrap();
    let txn = |process: usize, at: usize, asked: &str, answer: &str| {
        let (begin, end) = (at * 1000, at * 1000 + 500);
        format!(
            "{{:type :invoke, :process {process}, :f :txn, :value [{asked}], :time {begin}000}}\n\
             {{:type :ok, :process {process}, :f :txn, :value [{answer}], :time {end}000}}\n"
        )
    };
    let judged = |last: &str, models: &str| {
        let write = |process, at, value: usize| {
            let txn_of = format!("[:w 1 {value}]");
            txn(process, at, &txn_of, &txn_of)
        };
        let text = write(0, 1, 1) + &write(1, 2, 2) + &txn(2, 3, "[:r 1 nil]", &format!("[:r 1 {last}]"));
        let mut settings = Settings::default();
        settings.transactions.models = Model::parse_list(models).unwrap();
        let judgement = Judgement::of(&read(&text, register).unwrap(), register, &settings, None);
        (judgement.verdict, judgement.finding.refuted(), judgement.explain().join("\n"))
    };
    let (verdict, refuted, explanation) = judged("1", "strict-serializable");
    assert_eq!(
        (verdict, refuted),
        (Verdict::Invalid, vec!["strong-snapshot-isolation".to_owned()]),
        "{explanation}"
    );
    assert!(
        explanation.contains("was there before the others. Maelstrom would not have noticed"),
        "{explanation}"
    );
    assert_eq!(judged("2", "strict-serializable").0, Verdict::Valid);
    assert_eq!(judged("1", "serializable").0, Verdict::Valid);
}
