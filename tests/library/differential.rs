//! The line path against `serde_json`, over random, mutated and remembered lines.

use crate::oracle::{check_stream, check_unlike_stream};
use messenger::json::text::MAX_DEPTH;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// White space between tokens.
fn space() -> impl Strategy<Value = String> {
    prop_oneof![8 => Just(String::new()), 1 => vec(select(vec![' ', '\t', '\r']), 1..70).prop_map(String::from_iter)]
}

fn string() -> impl Strategy<Value = String> {
    let escape = select(vec![
        "\\\"",
        "\\\\",
        "\\/",
        "\\b",
        "\\f",
        "\\n",
        "\\r",
        "\\t",
        "\\u0000",
        "\\u00e9",
        "\\uD83D\\uDE00",
        "\\u20AC",
    ]);
    let piece = prop_oneof![
        6 => "[a-zA-Z0-9 ,:{}\\[\\]]{0,20}",
        1 => "[^\\x00-\\x1f\"\\\\]{0,5}",
        2 => escape.prop_map(str::to_owned),
    ];
    vec(piece, 0..6).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// Strings that no `String` can hold, but every JSON text.
fn half_of_a_pair() -> impl Strategy<Value = String> {
    select(vec!["\"\\ud800\"", "\"a\\udfffb\"", "\"\\ud83d\\u0041\"", "\"\\ude00\\ud83d\""])
        .prop_map(str::to_owned)
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof!["-?(0|[1-9][0-9]{0,30})", "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?"]
}

fn value() -> impl Strategy<Value = String> {
    let literal = select(vec!["null", "true", "false", "[]", "{}"]).prop_map(str::to_owned);
    let leaf = prop_oneof![3 => string(), 3 => number(), 2 => literal, 1 => half_of_a_pair()];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let element = (space(), inner.clone(), space()).prop_map(|(a, value, b)| a + &value + &b);
        prop_oneof![
            vec(element, 0..6).prop_map(|elements| format!("[{}]", elements.join(","))),
            vec((key(), inner), 0..6).prop_map(object),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    let known =
        select(vec!["src", "dest", "body", "type", "msg_id", "in_reply_to", "echo", "t\\u0079pe", "k"]);
    prop_oneof![4 => known.prop_map(|key| format!("\"{key}\"")), 1 => string()]
}

fn object(members: Vec<(String, String)>) -> String {
    let members: Vec<_> = members.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
    format!("{{{}}}", members.join(","))
}

/// A line that is likely to be a message, its keys in any order, some of them wrong, missing or twice.
fn line() -> impl Strategy<Value = String> {
    let id = prop_oneof![4 => number(), 1 => value()];
    let kind = prop_oneof![4 => Just("\"echo\"".to_owned()), 1 => value()];
    let name = prop_oneof![4 => Just("\"n\"".to_owned()), 1 => value()];
    let body_member = prop_oneof![
        kind.prop_map(|value| ("\"type\"".to_owned(), value)),
        id.prop_map(|value| ("\"msg_id\"".to_owned(), value)),
        value().prop_map(|value| ("\"echo\"".to_owned(), value)),
        (key(), value()),
    ];
    let body = prop_oneof![6 => vec(body_member, 0..7).prop_map(object), 1 => value()];
    let member = prop_oneof![
        name.clone().prop_map(|value| ("\"src\"".to_owned(), value)),
        name.prop_map(|value| ("\"dest\"".to_owned(), value)),
        body.prop_map(|value| ("\"body\"".to_owned(), value)),
        (key(), value()),
    ];
    (space(), vec(member, 0..7), space()).prop_map(|(a, members, b)| a + &object(members) + &b)
}

/// An echo request, well formed but for what the mutations do to it.
fn echo() -> impl Strategy<Value = String> {
    (number(), value()).prop_map(|(id, value)| {
        format!(r#"{{"src":"c","dest":"n","body":{{"type":"echo","msg_id":{id},"echo":{value}}}}}"#)
    })
}

#[derive(Clone, Debug)]
enum Mutation {
    Replace(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Truncate(Index),
    Repeat(Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let byte = || prop_oneof![3 => select(b"{}[]:,\"\\ \n\t0-.eEtfnu\x00\x1f\x7f\x80\xff".to_vec()), 1 => any::<u8>()];
    prop_oneof![
        (any::<Index>(), byte()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        (any::<Index>(), byte()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        any::<Index>().prop_map(Mutation::Remove),
        any::<Index>().prop_map(Mutation::Truncate),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Mutation::Repeat(from, to)),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    if bytes.is_empty() {
        return;
    }
    let len = bytes.len();
    match mutation {
        Mutation::Replace(at, byte) => bytes[at.index(len)] = *byte,
        Mutation::Insert(at, byte) => bytes.insert(at.index(len), *byte),
        Mutation::Remove(at) => drop(bytes.remove(at.index(len))),
        Mutation::Truncate(at) => bytes.truncate(at.index(len)),
        Mutation::Repeat(from, to) => {
            let (from, to) = (from.index(len), to.index(len));
            let piece = bytes[from.min(to)..from.max(to)].to_vec();
            bytes.splice(to..to, piece);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_lines(lines in vec(prop_oneof![line(), echo(), value()], 1..4), step in 1_usize..200) {
        check_stream(lines.join("\n").as_bytes(), step);
    }

    #[test]
    fn mutated_lines(
        lines in vec(prop_oneof![line(), echo()], 1..3),
        mutations in vec(mutation(), 1..4),
        step in 1_usize..200,
    ) {
        let lines = lines.join("\n");
        let mut bytes = lines.clone().into_bytes();
        for mutation in &mutations {
            mutate(&mut bytes, mutation);
        }
        check_stream(&bytes, step);
        // The same again after the lines that they were.
        bytes.splice(..0, (lines + "\n").bytes());
        bytes.push(b'\n');
        check_stream(&bytes, step);
    }
}

/// A line that is no JSON, and makes simd-json refuse the read that it is in.
fn refused() -> impl Strategy<Value = Vec<u8>> {
    select(vec![
        b"\xff".to_vec(),
        b"{\"src\":\"\xc3\"}".to_vec(),
        b"{\"src\":\"c".to_vec(),
        b"{\"src\":\"a\tb\"}".to_vec(),
        b"\"\\u0041\" {".to_vec(),
        b"{\"a\":\"\\\"}".to_vec(),
        b"".to_vec(),
        b" \r".to_vec(),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Reads of many lines, of which any number is refused, come to the same as line by line.
    #[test]
    fn mixed_reads(
        lines in vec(
            prop_oneof![
                6 => echo().prop_map(String::into_bytes),
                3 => line().prop_map(String::into_bytes),
                1 => refused(),
            ],
            1..60,
        ),
        step in select(vec![50_usize, 1000, 1 << 16]),
    ) {
        let mut bytes = lines.join(&b'\n');
        bytes.push(b'\n');
        check_stream(&bytes, step);
        check_unlike_stream(&bytes, step);
    }

    /// The same of lines that would do, so that they are indexed together.
    #[test]
    fn whole_reads(lines in vec(prop_oneof![echo(), line()], 1..60)) {
        check_unlike_stream((lines.join("\n") + "\n").as_bytes(), 1 << 16);
    }
}

/// Every byte at every place of a line that crosses the parser's blocks of 64 bytes, put in and put in
/// place of another, after the line as it was.
#[test]
fn every_byte_at_every_place() {
    for line in [
        br#" {"src":"c","dest":"n","id":[1,-2.5e3,true, null],"body":{"type":"echo","echo":{"a\n\\":"\u00e9 x"},"msg_id":12}}"#
            .as_slice(),
        br#"{"id":3,"src":"c1","dest":"n","body":{"echo":"seventeen letters, or more","type":"echo","msg_id":10}}"#,
    ] {
        let mut stream = [line, b"\n"].concat();
        for at in 0..line.len() {
            for byte in 0..=255 {
                stream.truncate(line.len() + 1);
                stream.extend_from_slice(line);
                stream[line.len() + 1 + at] = byte;
                stream.push(b'\n');
                check_stream(&stream, 1000);
                stream.truncate(line.len() + 1);
                stream.extend_from_slice(&line[..at]);
                stream.push(byte);
                stream.extend_from_slice(&line[at..]);
                stream.push(b'\n');
                check_stream(&stream, 1000);
            }
        }
    }
}

/// The nesting that is allowed, and one level more, after a line of the same template.
#[test]
fn nesting_to_the_limit() {
    for depth in [1, MAX_DEPTH - 2, MAX_DEPTH - 1] {
        for (id, echo) in [(depth + 1, 1), (1, depth)] {
            let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
            let line = |id: &str, echo: &str| {
                format!(
                    r#"{{"src":"c","dest":"n","id":{id},"body":{{"type":"echo","echo":{echo},"msg_id":1}}}}"#
                ) + "\n"
            };
            check_stream((line("1", "2") + &line(&nested(id), &nested(echo))).as_bytes(), 10_000);
        }
    }
}

/// What the fuzzer starts from, and what it once found.
#[test]
fn remembered_lines() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/lines");
    let mut count = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for step in [1, 64, 1000] {
            check_stream(&bytes, step);
        }
        count += 1;
    }
    assert!(count > 5);
}
