//! Every row of the table of bad input: one by one, and all in a row.

use crate::support::{INIT, INIT_OK, answers, echo, echo_ok, message, messenger, run};
use serde_json::{Value, json};

struct Row {
    line: String,
    /// The answer's `in_reply_to`, code, and a part of its text.
    answer: Option<(i64, i64, &'static str)>,
    /// A part of what stderr says after `line N: `.
    report: Option<&'static str>,
}

fn row(
    line: impl Into<String>,
    answer: Option<(i64, i64, &'static str)>,
    report: Option<&'static str>,
) -> Row {
    Row { line: line.into(), answer, report }
}

/// A request of client c9 to n1.
fn request(body: &str) -> String {
    format!(r#"{{"src":"c9","dest":"n1","body":{body}}}"#)
}

fn rows() -> Vec<Row> {
    let mut rows = vec![
        // Not JSON, not UTF-8 (see below), not an object.
        row("", None, Some("not JSON: expected an object, found nothing")),
        row("hello", None, Some("not JSON: expected an object at byte 1, found `h`")),
        row("[1,2]", None, Some("not JSON: expected an object at byte 1, found `[`")),
        row("17", None, Some("not JSON: expected an object at byte 1, found `1`")),
        row(
            r#"{"src":"c9""#,
            None,
            Some("not JSON: expected `,` or `}` at byte 12, found the end of the line"),
        ),
        row(r#"{"src":"c9"} x"#, None, Some("not JSON: expected the end of the line at byte 14, found `x`")),
        row(r#"{"src":"c9}"#, None, Some("not JSON: expected a string's closing quote")),
        row(echo(1, "\"\u{1}\""), None, Some("found a control character")),
        // No src, dest or body, or of the wrong type; no body.type.
        row(
            r#"{"dest":"n1","body":{"type":"echo","msg_id":7}}"#,
            None,
            Some("src: expected a string, found nothing"),
        ),
        row(
            r#"{"src":5,"dest":"n1","body":{"type":"echo","msg_id":7}}"#,
            None,
            Some("src: expected a string, found 5"),
        ),
        row(
            r#"{"src":"c9","body":{"type":"echo","msg_id":7}}"#,
            Some((7, 12, "dest: expected a string, found nothing")),
            Some("dest: expected a string"),
        ),
        row(
            r#"{"src":"c9","dest":[],"body":{"type":"echo","msg_id":7}}"#,
            Some((7, 12, "dest: expected a string, found []")),
            Some("dest"),
        ),
        row(r#"{"src":"c9","dest":"n1"}"#, None, Some("body: expected an object, found nothing")),
        row(request("[]"), None, Some("body: expected an object, found []")),
        row(
            request(r#"{"msg_id":8}"#),
            Some((8, 12, "body.type: expected a string, found nothing")),
            Some("body.type"),
        ),
        row(
            request(r#"{"type":null,"msg_id":8}"#),
            Some((8, 12, "body.type: expected a string, found null")),
            Some("body.type"),
        ),
        row(
            request(r#"{"type":"echo","echo":1,"msg_id":1.0}"#),
            None,
            Some("body.msg_id: expected an integer, found 1.0"),
        ),
        row(
            request(r#"{"type":"echo","echo":1,"msg_id":"1"}"#),
            None,
            Some("body.msg_id: expected an integer"),
        ),
        // What claims to be a reply is never answered.
        row(
            request(r#"{"type":"echo_ok","msg_id":8,"in_reply_to":"1"}"#),
            None,
            Some("body.in_reply_to: expected an integer"),
        ),
        row(request(r#"{"msg_id":8,"in_reply_to":1}"#), None, Some("body.type")),
        row(request(r#"{"type":"echo_ok","in_reply_to":1}"#), None, None),
        row(
            request(r#"{"type":"echo","echo":1,"msg_id":8,"in_reply_to":null}"#),
            Some((8, 12, "body.in_reply_to: expected an integer, found null")),
            Some("body.in_reply_to"),
        ),
        row(request(r#"{"type":"echo","echo":1,"msg_id":8,"in_reply_to":0}"#), None, None),
        // A field of a known request missing or of the wrong type.
        row(
            request(r#"{"type":"echo","msg_id":9}"#),
            Some((9, 12, "echo: expected a value, found nothing")),
            None,
        ),
        row(
            request(r#"{"type":"validate","msg_id":9}"#),
            Some((9, 12, "payload: expected a string, found nothing")),
            None,
        ),
        row(
            request(r#"{"type":"validate","msg_id":9,"payload":{}}"#),
            Some((9, 12, "payload: expected a string, found {}")),
            None,
        ),
        // An unknown type, and one that nobody can be told about.
        row(request(r#"{"type":"dance","msg_id":10}"#), Some((10, 10, "\"dance\"")), None),
        row(request(r#"{"type":"dance"}"#), None, Some("\"dance\" has no msg_id")),
        // init again: another identity, and fields that are wrong.
        row(
            request(r#"{"type":"init","msg_id":11,"node_id":"n1","node_ids":["n1"]}"#),
            Some((11, 22, "since its first init")),
            None,
        ),
        row(
            request(r#"{"type":"init","msg_id":11,"node_id":"n2","node_ids":["n1","n2"]}"#),
            Some((11, 22, "since its first init")),
            None,
        ),
        row(
            request(r#"{"type":"init","msg_id":11,"node_ids":[]}"#),
            Some((11, 12, "node_id: expected a non-empty string, found nothing")),
            None,
        ),
        row(
            request(r#"{"type":"init","msg_id":11,"node_id":"n1","node_ids":["n1",2]}"#),
            Some((11, 12, "node_ids: expected an array of strings")),
            None,
        ),
        // Somebody else's.
        row(
            r#"{"src":"c9","dest":"n2","body":{"type":"echo","echo":1,"msg_id":12}}"#,
            None,
            Some("dest is \"n2\", this node is \"n1\": not handled"),
        ),
        row(r#"{"src":"c9","dest":"n2","body":{"msg_id":12}}"#, None, Some("body.type")),
    ];
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    rows.push(row(echo(1, &deep(1023)), None, Some("not JSON: expected at most 1024 levels of nesting")));
    rows
}

fn check(row: &Row, number: usize, answer: Option<&Value>, stderr: &str) {
    let body = answer.map(|answer| {
        assert_eq!((&answer["src"], &answer["dest"]), (&json!("n1"), &json!("c9")), "{}", row.line);
        &answer["body"]
    });
    match (row.answer, body) {
        (None, None) => {}
        (Some((in_reply_to, code, text)), Some(body)) => {
            assert_eq!(body["type"], "error", "{}", row.line);
            assert_eq!(
                (&body["in_reply_to"], &body["code"]),
                (&json!(in_reply_to), &json!(code)),
                "{}",
                row.line
            );
            assert!(body["text"].as_str().unwrap().contains(text), "{} gave {body}", row.line);
        }
        (expected, got) => panic!("{} was to be answered with {expected:?}, not {got:?}", row.line),
    }
    let report = stderr.lines().find(|line| line.contains(&format!("line {number}: ")));
    match (row.report, report) {
        (None, None) => {}
        (Some(text), Some(report)) => assert!(report.contains(text), "{} gave {report}", row.line),
        (expected, got) => panic!("{} was to be reported as {expected:?}, not {got:?}", row.line),
    }
}

#[test]
fn one_by_one() {
    for row in rows() {
        let (messages, stderr) = answers(&[INIT, &row.line, &echo(99, "\"still here\"")]);
        let answer = row.answer.map(|_| &messages[1]);
        check(&row, 2, answer, &stderr);
        let last = messages.last().unwrap();
        assert_eq!(*last, message(&echo_ok(99, "\"still here\"", messages.len() as u64 - 1)), "{}", row.line);
        assert_eq!(messages.len(), if row.answer.is_some() { 3 } else { 2 }, "{}", row.line);
    }
}

#[test]
fn all_in_a_row() {
    let rows = rows();
    let last = echo(99, "\"still here\"");
    let lines: Vec<&str> =
        [INIT].into_iter().chain(rows.iter().map(|row| &*row.line)).chain([&*last]).collect();
    let (messages, stderr) = answers(&lines);
    let mut rest = &messages[1..];
    for (n, row) in rows.iter().enumerate() {
        let answer = row.answer.and_then(|_| rest.split_off_first());
        check(row, n + 2, answer, &stderr);
    }
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0]["body"]["echo"], "still here");
    for (number, message) in messages.iter().enumerate() {
        assert_eq!(message["body"]["msg_id"], json!(number), "one counter numbers everything");
    }
    let summary = stderr.lines().rev().nth(1).unwrap();
    assert!(summary.contains("9 not JSON, 14 malformed"), "{summary}");
    assert!(summary.contains("1 for another node, 2 replies that nothing waited for"), "{summary}");
}

#[test]
fn bytes_that_are_not_utf8() {
    for bytes in
        [&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82", b"\xe2\x82\"", b"\x80"]
    {
        let mut input = format!("{INIT}\n").into_bytes();
        for surroundings in [["", ""], [r#"{"src":""#, r#"","dest":"n1","body":{}}"#]] {
            input.extend_from_slice(surroundings[0].as_bytes());
            input.extend_from_slice(bytes);
            input.extend_from_slice(surroundings[1].as_bytes());
            input.push(b'\n');
        }
        input.extend_from_slice(echo(1, "1").as_bytes());
        let output = run(messenger(&[]), &input);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{INIT_OK}\n{}\n", echo_ok(1, "1", 1)));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            stderr.contains("line 2: not JSON: expected UTF-8, found an invalid sequence at byte 1"),
            "{stderr}"
        );
        assert!(
            stderr.contains("line 3: not JSON: expected UTF-8, found an invalid sequence at byte 9"),
            "{stderr}"
        );
    }
}

#[test]
fn before_init() {
    let early = r#"{"src":"n2","dest":"n1","body":{"type":"echo","echo":1,"msg_id":5}}"#;
    let nameless = r#"{"src":"n2","body":{"type":"echo","echo":1,"msg_id":5}}"#;
    let bad_init = r#"{"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":7,"node_ids":[]}}"#;
    let reply = r#"{"src":"n2","dest":"n1","body":{"type":"read_ok","in_reply_to":0}}"#;
    let (messages, _) = answers(&[early, nameless, bad_init, reply, INIT]);
    let body = &messages[0]["body"];
    assert_eq!((&messages[0]["src"], &messages[0]["dest"]), (&json!("n1"), &json!("n2")));
    assert_eq!((&body["code"], &body["in_reply_to"]), (&json!(11), &json!(5)));
    assert_eq!((&messages[1]["body"]["code"], &messages[1]["src"]), (&json!(12), &json!("n1")));
    assert_eq!(messages[2], message(INIT_OK), "init_ok has the number 0 whatever was refused before");
    assert_eq!(messages.len(), 3);
}

#[test]
fn init_again_with_the_same_identity() {
    let (messages, _) = answers(&[
        INIT,
        INIT,
        r#"{"src":"c1","dest":"n1","body":{"type":"init","node_id":"n1","node_ids":["n1","n2"]}}"#,
    ]);
    assert_eq!(messages.len(), 2, "without a msg_id there is no answer");
    assert_eq!(messages[1]["body"], json!({"type": "init_ok", "in_reply_to": 1, "msg_id": 1}));
}

#[test]
fn a_request_without_msg_id_gets_no_answer() {
    let silent = r#"{"src":"c1","dest":"n1","body":{"type":"echo","echo":"x"}}"#;
    let (messages, stderr) = answers(&[INIT, silent, &echo(1, "2")]);
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[1]["body"]["msg_id"], 1, "what is not sent uses no number");
    assert!(!stderr.contains("warn"), "{stderr}");
}

#[test]
fn lines_beyond_the_limit_are_skipped_and_the_rest_goes_on() {
    let long = echo(5, &format!("\"{}\"", "x".repeat(2000)));
    let input = format!("{INIT}\n{long}\n{}\n{long}", echo(6, "6"));
    let output = run(messenger(&["--max-line", "1KiB"]), input.as_bytes());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{INIT_OK}\n{}\n", echo_ok(6, "6", 1)));
    let stderr = String::from_utf8(output.stderr).unwrap();
    for line in [2, 4] {
        assert!(
            stderr.contains(&format!("line {line}: {} bytes are more than a line may have", long.len())),
            "{stderr}"
        );
    }
    assert!(stderr.contains("2 too long"), "{stderr}");
}

#[test]
fn the_last_line_needs_no_newline() {
    for input in [format!("{INIT}\n{}", echo(1, "1")), format!("{INIT}\n{}\n", echo(1, "1"))] {
        let output = run(messenger(&[]), input.as_bytes());
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{INIT_OK}\n{}\n", echo_ok(1, "1", 1)));
    }
}

#[test]
fn parse_reports_bad_lines_and_goes_on() {
    let input = "{\"src\":\"a\",\"dest\":\"b\",\"body\":{\"type\":\"t\"}}\nnonsense\n{\"src\":\"a\",\"dest\":\"b\",\"body\":{}}\n\
                 {\"src\":1,\"dest\":\"b\",\"body\":{}}\n{\"src\":\"a\",\"dest\":\"b\"}\n{\"src\":\"a\",\"dest\":\"b\",\"body\":{\"type\":7}}\n\
                 {\"src\":\"c\",\"dest\":\"d\",\"body\":{\"type\":\"u\"}}";
    let output = run(messenger(&["parse"]), input.as_bytes());
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "PARSED: a|b|t\nPARSED: a|b|unknown\nPARSED: c|d|u\n"
    );
    let stderr = String::from_utf8(output.stderr).unwrap();
    for report in [
        "line 2: not JSON",
        "line 4: not a message: src",
        "line 5: not a message: body",
        "line 6: not a message: body.type",
    ] {
        assert!(stderr.contains(report), "{stderr}");
    }
}
