//! The line path against `serde_json`: the same lines accepted, the same parts, the same values echoed.
//!
//! Both the property test and the fuzz target end here. Nothing of the parser under test is used to
//! say what is right, only `serde_json` and the rules that it does not know: the bound on nesting,
//! that halves of surrogate pairs are handed on and not decoded, and that the last of equal keys counts.

use std::borrow::Cow;
use std::fmt;

use messenger::internals::{Envelope, Parser, Templates, UncheckedEnvelope};
use messenger::json::text::MAX_DEPTH;
use messenger::json::value::{Integer, Value};
use messenger::node::{Config, Node};
use messenger::nodes::course::Messenger;
use messenger::time::Instant;
use messenger::wire::lines::Line;
use messenger::wire::lines::{LineBuffer, NextLine};
use messenger::wire::out::OutBuffer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Sends `input` through a line buffer in reads of `step` bytes, and each line to a parser and a node
/// that have seen all the lines before it.
pub fn check_stream(input: &[u8], step: usize) {
    check_stream_with(node(), input, step);
}

/// The same with a node that has come to expect that no line is like another, and indexes all lines of a read together.
pub fn check_unlike_stream(input: &[u8], step: usize) {
    check_stream_with(unlike_traffic(node()), input, step);
}

fn check_stream_with((mut node, mut out): (Node<Messenger>, OutBuffer), input: &[u8], step: usize) {
    let mut path = LinePath::new();
    let mut lines = LineBuffer::new(1 << 20);
    let mut expected = input.split(|&x| x == b'\n');
    let mut rest = input;
    while !rest.is_empty() {
        let space = lines.space();
        let (chunk, after) = rest.split_at(rest.len().min(step.max(1)).min(space.len()));
        space[..chunk.len()].copy_from_slice(chunk);
        lines.filled(chunk.len());
        rest = after;
        let mut answers = Vec::new();
        for line in lines.clone().lines() {
            let NextLine::Line(line) = line else { continue };
            assert_eq!(Some(line.bytes()), expected.next());
            answers.append(&mut path.check(line));
        }
        // All of them in one go: where they end is found by their templates, or they are indexed together.
        let mut is_done = false;
        while !is_done {
            is_done = node.handle_lines(Instant::START, &mut lines, &mut out);
            let answer: Vec<u8> = answers.drain(..out.len()).collect();
            assert_eq!(String::from_utf8_lossy(out.waiting()), String::from_utf8_lossy(&answer));
            out.consume(out.len());
        }
        assert!(answers.is_empty());
    }
    if let Some(NextLine::Line(line)) = lines.last_line() {
        assert_eq!(Some(line.bytes()), expected.next());
        path.check(line);
    }
    assert!(expected.next().is_none_or(<[u8]>::is_empty));
}

struct LinePath {
    parser: Parser,
    templates: Templates,
    node: Node<Messenger>,
    out: OutBuffer,
}

/// A node named n, after its init.
fn node() -> (Node<Messenger>, OutBuffer) {
    let (mut node, mut out) = (Node::new(Messenger::default(), Config::default()), OutBuffer::new());
    let init =
        br#"{"src":"c","dest":"n","body":{"type":"init","msg_id":1,"node_id":"n","node_ids":[]}}"#.as_slice();
    node.handle_line(Instant::START, Line::new(init), &mut out);
    out.consume(out.len());
    (node, out)
}

fn unlike_traffic((mut node, mut out): (Node<Messenger>, OutBuffer)) -> (Node<Messenger>, OutBuffer) {
    let line = "{\"src\":\"c\",\"dest\":\"not n\",\"body\":{\"type\":\"echo\",\"echo\":[]}}\n";
    let mut lines = LineBuffer::new(1 << 20);
    for _ in 0..32 {
        lines.space()[..line.len()].copy_from_slice(line.as_bytes());
        lines.filled(line.len());
        assert!(node.handle_lines(Instant::START, &mut lines, &mut out));
    }
    assert!(out.is_empty());
    (node, out)
}

impl LinePath {
    fn new() -> Self {
        let (node, out) = node();
        Self { parser: Parser::new(), templates: Templates::new(), node, out }
    }

    /// What the node answers.
    fn check(&mut self, line: Line<'_>) -> Vec<u8> {
        let text = line.bytes().to_vec();
        let reference = Reference::read(&text);
        check_unchecked(&mut self.parser, line, &reference);
        // By the templates of the lines before, then by its own.
        check_envelope(&mut self.templates, line, &reference);
        if UncheckedEnvelope::parse(&mut self.parser, line).is_ok_and(|unchecked| unchecked.check().is_ok()) {
            self.templates.learn(&mut self.parser, line);
            check_envelope(&mut self.templates, line, &reference);
        }

        self.node.handle_line(Instant::START, line, &mut self.out);
        let answers = std::str::from_utf8(self.out.waiting()).unwrap().to_owned();
        for answer in answers.lines() {
            serde_json::from_str::<&RawValue>(answer).unwrap();
        }
        if let Reference::Parts(Some(parts)) = reference
            && let Some(echo) = parts.echo_request()
        {
            let expected = format!(r#""body":{{"type":"echo_ok","echo":{echo},"in_reply_to":"#);
            assert!(
                answers.contains(&expected),
                "{} was answered with {answers}",
                String::from_utf8_lossy(&text)
            );
        }
        self.out.consume(self.out.len());
        answers.into_bytes()
    }
}

/// A line that is read by a template is the message that it is.
fn check_envelope(templates: &mut Templates, line: Line<'_>, reference: &Reference<'_>) {
    let Some(Envelope { src, dest, body, .. }) = templates.read(line) else { return };
    let shown = String::from_utf8_lossy(line.bytes());
    let Reference::Parts(Some(parts)) = reference else { panic!("{shown}: read by a template") };
    assert_eq!(Some(src), string(parts.top("src")), "{shown}");
    assert_eq!(Some(dest), string(parts.top("dest")), "{shown}");
    assert_eq!(Some(&body.kind), string(parts.in_body("type")).as_ref(), "{shown}");
    assert_eq!(body.msg_id.map(Integer::as_str), parts.in_body("msg_id"), "{shown}");
    assert_eq!(body.in_reply_to.map(Integer::as_str), parts.in_body("in_reply_to"), "{shown}");
    let members = parts.body.as_ref().expect("a message has a body");
    let copy = body.detach();
    for body in [&body, &copy.body()] {
        check_body(body.value(), members, &shown);
        for (name, _) in members {
            assert_eq!(body.get(name).map(Value::raw), parts.in_body(name), "{shown}");
        }
        assert_eq!(body.get("no such name"), None);
    }
}

/// A body has these members.
fn check_body(body: Value<'_>, members: &[(Cow<'_, str>, &RawValue)], shown: &str) {
    let got: Vec<_> = body.as_object().unwrap().collect();
    assert_eq!(got.len(), members.len(), "{shown}");
    for ((key, value), (expected_key, expected)) in got.into_iter().zip(members) {
        assert_eq!(key.as_str().as_ref(), Some(expected_key), "{shown}");
        check_value(value, expected.get());
    }
}

fn check_unchecked<'a>(parser: &'a mut Parser, line: Line<'a>, reference: &Reference<'_>) {
    let shown = String::from_utf8_lossy(line.bytes());
    let unchecked = UncheckedEnvelope::parse(parser, line);
    let (unchecked, reference) = match (unchecked, reference) {
        (Err(_), Reference::Refused) | (Ok(_), Reference::Parts(None)) => return,
        (Ok(unchecked), Reference::Parts(Some(parts))) => (unchecked, parts),
        (unchecked, reference) => panic!("{shown}: read as {unchecked:?}, expected {reference:?}"),
    };
    assert_eq!(unchecked.src().ok(), string(reference.top("src")), "{shown}");
    assert_eq!(unchecked.dest().ok(), string(reference.top("dest")), "{shown}");
    assert_eq!(unchecked.kind().ok(), string(reference.in_body("type")), "{shown}");
    for (name, got) in [("msg_id", unchecked.msg_id()), ("in_reply_to", unchecked.in_reply_to())] {
        let raw = reference.in_body(name);
        let is_integer = |raw: &str| raw.bytes().all(|x| x == b'-' || x.is_ascii_digit());
        match got {
            Ok(None) => assert_eq!(raw, None, "{shown}"),
            Ok(Some(integer)) => assert_eq!(raw, Some(integer.as_str()), "{shown}"),
            Err(_) => assert!(!is_integer(raw.unwrap()), "{shown}"),
        }
    }
    match (unchecked.body(), &reference.body) {
        (Ok(body), Some(members)) => check_body(body, members, &shown),
        (Err(_), None) => {}
        (got, expected) => panic!("{shown}: body is {got:?}, expected {expected:?}"),
    }
}

/// Looks into a value as deep as it goes.
fn check_value(value: Value<'_>, expected: &str) {
    assert_eq!(value.raw(), expected);
    if let Some(elements) = value.as_array() {
        let expected: Vec<&RawValue> = serde_json::from_str(expected).unwrap();
        let got: Vec<_> = elements.collect();
        assert_eq!(got.len(), expected.len());
        // Each level is read again: what is deep enough for the reader is too slow to check like this.
        if expected.len() > 1 || value.raw().len() < 100 {
            got.into_iter().zip(expected).for_each(|(got, expected)| check_value(got, expected.get()));
        }
    } else if let Some(members) = value.as_object() {
        let got: Vec<_> = members.collect();
        let Ok(Members(expected)) = serde_json::from_str(expected) else { return };
        assert_eq!(got.len(), expected.len());
        for ((key, value), (expected_key, expected)) in got.into_iter().zip(expected) {
            assert_eq!(key.as_str(), Some(expected_key));
            check_value(value, expected.get());
        }
    } else {
        assert_eq!(value.as_str(), serde_json::from_str::<String>(expected).ok().map(Cow::Owned));
        // Where `serde_json` keeps the sign of a zero, it takes it for a float.
        if expected != "-0" {
            assert_eq!(value.as_i64(), serde_json::from_str::<i64>(expected).ok());
        }
        assert_eq!(value.as_bool(), serde_json::from_str::<bool>(expected).ok());
        assert_eq!(value.as_f64(), serde_json::from_str::<f64>(expected).ok());
    }
}

/// A line as `serde_json` reads it.
#[derive(Debug)]
enum Reference<'a> {
    Refused,
    /// What is in it; `None` if a key has half of a surrogate pair, which `serde_json` lets pass only as
    /// long as it does not look.
    Parts(Option<Parts<'a>>),
}

impl<'a> Reference<'a> {
    fn read(text: &'a [u8]) -> Self {
        match serde_json::from_slice::<&RawValue>(text) {
            Ok(raw) if raw.get().starts_with('{') && depth(raw.get()) <= MAX_DEPTH => {
                Self::Parts(Parts::read(raw.get()))
            }
            _ => Self::Refused,
        }
    }
}

#[derive(Debug)]
struct Parts<'a> {
    top: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// The members of the last `body`, if that is an object.
    body: Option<Vec<(Cow<'a, str>, &'a RawValue)>>,
}

impl<'a> Parts<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let Members(top) = serde_json::from_str(text).ok()?;
        let body = top.iter().rev().find(|(key, _)| key == "body").map(|(_, value)| value.get());
        let body = match body.filter(|body| body.starts_with('{')) {
            Some(body) => Some(serde_json::from_str::<Members<'_>>(body).ok()?.0),
            None => None,
        };
        Some(Self { top, body })
    }

    fn top(&self, name: &str) -> Option<&'a str> {
        self.top.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.get())
    }

    fn in_body(&self, name: &str) -> Option<&'a str> {
        self.body.as_ref()?.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.get())
    }

    /// The value to echo, if that is what is asked of node n.
    fn echo_request(&self) -> Option<&'a str> {
        let is_echo = string(self.in_body("type"))? == "echo" && string(self.top("dest"))? == "n";
        let is_integer = |raw: &&str| raw.bytes().all(|x| x == b'-' || x.is_ascii_digit());
        string(self.top("src"))?;
        self.in_body("msg_id").filter(is_integer)?;
        if is_echo && self.in_body("in_reply_to").is_none() { self.in_body("echo") } else { None }
    }
}

fn string(raw: Option<&str>) -> Option<Cow<'static, str>> {
    serde_json::from_str::<String>(raw?).ok().map(Cow::Owned)
}

fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth -= 1,
            _ => {}
        }
    }
    deepest
}

/// An object's members in their order, duplicates included.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((Cow::Owned(key), value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}
