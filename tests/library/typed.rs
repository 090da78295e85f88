//! Messages as types: what is read, what is refused and how, what is written; and the same answers as `serde_json`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::thread;

use messenger::kv::{Kv, Lin};
use messenger::node::{Config, Remote, RemoteError};
use messenger::{
    Answer, Context, Duration, ErrorCode, Handler, OrCode as _, OwnedValue, Request, RpcError, Value,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::talk::{Talk as _, message, n1};

/// An operation of a transaction: `["append", 9, 1]`, `["r", 1, null]`.
type Operation = (Cow<'static, str>, u64, Option<i64>);

/// A whole protocol.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ask<'a> {
    Echo {
        #[serde(borrow)]
        echo: Value<'a>,
    },
    Txn {
        txn: Vec<Operation>,
    },
    #[serde(borrow)]
    Told(Told<'a>),
    Ping,
    #[serde(rename = "strict")]
    Strict(Strict),
}

#[derive(Debug, Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
    #[serde(default)]
    counts: BTreeMap<u16, i8>,
    place: Option<Place>,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
struct Place {
    x: f64,
    y: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    key: u8,
    msg_id: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Tell<'a> {
    EchoOk { echo: Value<'a> },
    TxnOk { txn: &'a [Operation] },
    ToldOk(&'a Place),
    Pong,
    StrictOk { key: u8, msg_id_was: u64 },
}

/// The same protocol, as it is written for other libraries.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Tagged {
    Txn { txn: Vec<Operation> },
    TxnOk { txn: Vec<Operation> },
    Told { counts: BTreeMap<String, i8>, places: Vec<Place>, deep: Deep },
    Kept { value: OwnedValue },
    Ping,
    Pong,
}

#[derive(Debug, Deserialize, Serialize)]
struct Deep {
    pair: (i64, i64),
    inner: Inner,
}

#[derive(Debug, Deserialize, Serialize)]
struct Inner {
    needed: bool,
}

struct Typed;

impl Handler for Typed {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.parse()? {
            Ask::Echo { echo } => cx.reply_with(request, &Tell::EchoOk { echo }),
            Ask::Txn { txn } => cx.reply_with(request, &Tell::TxnOk { txn: &txn }),
            Ask::Told(Told { place: Some(place), .. }) => cx.reply_with(request, &Tell::ToldOk(&place)),
            Ask::Told(told) => {
                let count = told.counts.len();
                cx.reply(request, "told_ok").field("text", told.text).field("count", count).send()
            }
            Ask::Ping => cx.reply_with(request, &Tell::Pong),
            Ask::Strict(Strict { key, msg_id }) => {
                cx.reply_with(request, &Tell::StrictOk { key, msg_id_was: msg_id })
            }
        }
    }
}

struct TypedByTag;

impl Handler for TypedByTag {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.parse()? {
            Tagged::Txn { txn } => cx.reply_with(request, &Tagged::TxnOk { txn }),
            _ => cx.reply_with(request, &Tagged::Pong),
        }
    }
}

/// What a node says to a body, which is given as its members after `type` and `msg_id`.
fn answer<H: Handler>(handler: H, members: &str) -> String {
    let mut bench = n1(handler, Config::default());
    bench.tell_line("n1", &format!(r#"{{"src":"c1","dest":"n1","body":{{"msg_id":7,{members}}}}}"#));
    let lines = bench.lines();
    let body = lines.strip_prefix(r#"{"src":"n1","dest":"c1","body":{"#).expect(&lines);
    body.strip_suffix(",\"in_reply_to\":7,\"msg_id\":1}}\n").expect(body).to_owned()
}

#[test]
fn a_protocol_is_an_enum() {
    for (asked, answered) in [
        (
            r#""type":"echo","echo":{"exactly" : [1e2,-0,1.0,"\u00e9"]}"#,
            r#""type":"echo_ok","echo":{"exactly" : [1e2,-0,1.0,"\u00e9"]}"#,
        ),
        (
            r#""txn":[["r",1,null],["append",9,-1]],"type":"txn""#,
            r#""type":"txn_ok","txn":[["r",1,null],["append",9,-1]]"#,
        ),
        (
            r#""type":"told","text":"a\n\ud83d\ude00","more":[{"x":1}],"counts":{"1":2,"65535":-128}"#,
            "\"type\":\"told_ok\",\"text\":\"a\\n\u{1f600}\",\"count\":2",
        ),
        (
            r#""type":"told","text":"","place":{"x":-0,"y":1e400e}"#.replace("1e400e", "25").as_str(),
            r#""type":"told_ok","x":-0.0,"y":25.0"#,
        ),
        (r#""type":"ping","text":1"#, r#""type":"pong""#),
        (r#""type":"strict","key":255"#, r#""type":"strict_ok","key":255,"msg_id_was":7"#),
    ] {
        assert_eq!(answer(Typed, asked), answered);
    }
}

#[test]
fn a_tag_is_understood() {
    let txn = r#""type":"txn","txn":[["r",1,null]]"#;
    assert_eq!(answer(TypedByTag, txn), r#""type":"txn_ok","txn":[["r",1,null]]"#);
    assert_eq!(answer(TypedByTag, r#""type":"ping""#), r#""type":"pong""#);
}

/// Of a key that comes twice the last one counts, as for the untyped readers and Maelstrom; serde's derived code alone
/// would refuse it.
#[test]
fn of_a_key_that_comes_twice_the_last_one_counts() {
    let doubled =
        r#""type":"told","text":1,"text":"a","place":{"x":{"x":0,"x":0},"y":2,"x":1},"te\u0078t":"b""#;
    assert_eq!(answer(Typed, doubled), r#""type":"told_ok","x":1.0,"y":2.0"#);
    let doubled = r#""txn":[["r",1,1]],"type":"ping","txn":[["r",2,2]],"type":"txn""#;
    assert_eq!(answer(Typed, doubled), r#""type":"txn_ok","txn":[["r",2,2]]"#);
    assert_eq!(answer(TypedByTag, doubled), r#""type":"txn_ok","txn":[["r",2,2]]"#);
    // What is wrong with the rest is said as well as before.
    let wrong = r#""type":"strict","key":1,"key":256"#;
    assert_eq!(fault(Typed, wrong), "body.key: expected an integer of 8 bits, not negative, found 256");
}

/// The text of the error 12 that a request is answered with.
fn fault<H: Handler>(handler: H, members: &str) -> String {
    let answer = answer(handler, members);
    let text = answer.strip_prefix(r#""type":"error","code":12,"text":"#).expect(&answer);
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_wrong_field_is_named_with_what_was_expected_and_what_came() {
    for (members, text) in [
        (
            r#""type":"txn","txn":[["r",1,2],["r","1",2]]"#,
            r#"body.txn[1][1]: expected an integer of 64 bits, not negative, found "1""#,
        ),
        (r#""type":"txn","txn":[["r",1,2],["r",2,3],[7,1,2]]"#, "body.txn[2][0]: expected a string, found 7"),
        (r#""type":"txn","txn":[["r",1,2.0]]"#, "body.txn[0][2]: expected an integer of 64 bits, found 2.0"),
        (
            r#""type":"txn","txn":[["r",1,9223372036854775808]]"#,
            "body.txn[0][2]: expected an integer of 64 bits, found 9223372036854775808",
        ),
        (r#""type":"txn","txn":[["r",1]]"#, r#"body.txn[0]: expected an array of 3 elements, found ["r",1]"#),
        (
            r#""type":"txn","txn":[["r",1,2,3]]"#,
            r#"body.txn[0]: expected an array of 3 elements, found ["r",1,2,3]"#,
        ),
        (r#""type":"txn","txn":{"r":1}"#, r#"body.txn: expected an array, found {"r":1}"#),
        (r#""type":"txn""#, "body.txn: expected a value, found nothing"),
        (r#""type":"told","text":null"#, "body.text: expected a string, found null"),
        (r#""type":"told","text":"\ud800""#, r#"body.text: expected a string, found "\ud800""#),
        (
            r#""type":"told","text":"","counts":{"1":128}"#,
            "body.counts.1: expected an integer of 8 bits, found 128",
        ),
        (
            r#""type":"told","text":"","counts":{"x":1}"#,
            "body.counts.x: expected an integer of 16 bits, not negative, found 1",
        ),
        (r#""type":"told","text":"","counts":[]"#, "body.counts: expected an object, found []"),
        (r#""type":"told","text":"","place":{"x":1}"#, "body.place.y: expected a value, found nothing"),
        (
            r#""type":"told","text":"","place":{"x":1,"y":true}"#,
            "body.place.y: expected a number, found true",
        ),
        (
            r#""type":"told","text":"","place":{"x":1,"y":1e400}"#,
            "body.place.y: expected a number, found 1e400",
        ),
        (
            r#""type":"strict","key":1,"more":[2]"#,
            "body.more: expected no field but `key`, `msg_id`, found [2]",
        ),
        (r#""type":"strict","key":-1"#, "body.key: expected an integer of 8 bits, not negative, found -1"),
    ] {
        assert_eq!(fault(Typed, members), text);
    }
}

/// serde reads what has a `tag` into a buffer and forgets where it was; the error says it all the same.
#[test]
fn a_wrong_field_is_named_behind_a_tag_too() {
    let told = |counts: &str, places: &str, deep: &str| {
        format!(r#""counts":{counts},"places":{places},"type":"told","deep":{deep}"#)
    };
    let (places, deep) = (r#"[{"x":1,"y":2}]"#, r#"{"pair":[1,2],"inner":{"needed":true}}"#);
    for (members, text) in [
        (
            r#""type":"txn","txn":[["r",1,2],["r","1",2]]"#.to_owned(),
            r#"body.txn[1][1]: expected an integer of 64 bits, not negative, found "1""#,
        ),
        (
            r#""type":"txn","txn":[["r",1,2],["r",2,3],[7,1,2]]"#.to_owned(),
            "body.txn[2][0]: expected a string, found 7",
        ),
        (
            r#""type":"txn","txn":[["r",1,2],["r",1]]"#.to_owned(),
            r#"body.txn[1]: expected an array of 3 elements, found ["r",1]"#,
        ),
        (
            r#""type":"txn","txn":[["r",1,2,3]]"#.to_owned(),
            r#"body.txn[0]: expected an array of 3 elements, found ["r",1,2,3]"#,
        ),
        (r#""type":"txn""#.to_owned(), "body.txn: expected a value, found nothing"),
        (told(r#"{"1":300}"#, places, deep), "body.counts.1: expected an integer of 8 bits, found 300"),
        (told("{}", r#"[{"x":1,"y":2},{"x":1}]"#, deep), "body.places[1].y: expected a value, found nothing"),
        (told("{}", r#"[{"x":1,"y":[]}]"#, deep), "body.places[0].y: expected a number, found []"),
        (
            told("{}", places, r#"{"pair":[1,2],"inner":{}}"#),
            "body.deep.inner.needed: expected a value, found nothing",
        ),
        (
            told("{}", places, r#"{"inner":{"needed":true}}"#),
            "body.deep.pair: expected a value, found nothing",
        ),
        (
            told("{}", places, r#"{"pair":[1,[2]],"inner":{"needed":true}}"#),
            "body.deep.pair[1]: expected an integer of 64 bits, found [2]",
        ),
    ] {
        assert_eq!(fault(TypedByTag, &members), text);
    }
    // Without an end to what could be probed the error names what is around.
    let many = vec![r#"["r",1,2]"#; 1000].join(",");
    let text = fault(TypedByTag, &format!(r#""type":"txn","txn":[{many},["r","x",1]]"#));
    assert!(
        text.starts_with("body") && text.contains("expected an integer of 64 bits, not negative"),
        "{text}"
    );
    // A value that is to stay as it is does not go through such a buffer.
    let text = fault(TypedByTag, r#""type":"kept","value":1e2"#);
    assert!(text.contains("an enum that is the whole body of a message needs no `tag`"), "{text}");
}

#[test]
fn a_type_that_no_variant_has_is_not_supported() {
    let expected =
        r#""type":"error","code":10,"text":"no request of type \"dance\" is supported here""#.to_owned();
    assert_eq!(answer(Typed, r#""type":"dance""#), expected);
    assert_eq!(answer(TypedByTag, r#""type":"dance""#), expected);
}

/// As deep as a line may be, which reading it must bear.
#[test]
fn depth_is_what_a_line_may_have() {
    #[derive(Deserialize)]
    struct Nested(Vec<Nested>);
    let depth = |nested: &Nested| {
        let (mut depth, mut inner) = (1, nested);
        while let Some(next) = inner.0.first() {
            (depth, inner) = (depth + 1, next);
        }
        depth
    };
    let text = "[".repeat(1024) + &"]".repeat(1024);
    let value = OwnedValue::parse(&text).unwrap();
    assert_eq!(depth(&value.value().parse("it").unwrap()), 1024);
    let ignored: serde::de::IgnoredAny = value.value().parse("it").unwrap();
    assert_eq!(ignored, serde::de::IgnoredAny);
    assert!(OwnedValue::parse(&format!("[{text}]")).is_err());
}

/// Answers each request with what it should not.
struct Wrong;

#[derive(Serialize)]
#[serde(tag = "type", rename = "twice_ok")]
struct Twice {
    r#type: &'static str,
}

impl Handler for Wrong {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let numbered = HashMap::from([("type", json!("x")), ("msg_id", json!(1))]);
        let answering = HashMap::from([("type", json!("x")), ("in_reply_to", json!(1))]);
        let unkeyed = HashMap::from([([1], 1)]);
        match request.kind() {
            "no_type" => cx.reply_with(request, &Place { x: 1.0, y: 2.0 }),
            "no_object" => cx.reply_with(request, &[1]),
            "text" => cx.reply_with(request, "text"),
            "numbered" => cx.reply_with(request, &numbered),
            "answering" => cx.reply_with(request, &answering),
            "type_of_a_number" => cx.reply_with(request, &json!({"type": 1})),
            "typed_twice" => cx.reply_with(request, &Twice { r#type: "again" }),
            "no_key" => cx.reply(request, "x").field("map", &unkeyed).send(),
            "field_type" => cx.reply(request, "x").body(&numbered).send(),
            "twice" => {
                cx.reply_with(request, &Tell::Pong)?;
                assert_eq!(cx.reply_with(request, &Tell::Pong).unwrap_err().code, ErrorCode::CRASH);
                Ok(())
            }
            "later" => cx.wait(request, async |_| Ok(Answer::with(&Place { x: 0.0, y: 0.0 }))),
            "nobody" => {
                assert_eq!(cx.message_with("n9", &Tell::Pong).unwrap_err().code, ErrorCode::NODE_NOT_FOUND);
                cx.reply_with(request, &Tell::Pong)
            }
            kind => Err(RpcError::not_supported(kind)),
        }
    }
}

/// Nobody's code gets anything into the output that is no message.
#[test]
fn what_is_no_body_is_never_sent() {
    for kind in [
        "no_type",
        "no_object",
        "text",
        "numbered",
        "answering",
        "type_of_a_number",
        "typed_twice",
        "no_key",
        "field_type",
        "later",
    ] {
        let answer = answer(Wrong, &format!(r#""type":"{kind}""#));
        assert!(answer.starts_with(r#""type":"error","code":13"#), "{kind}: {answer}");
    }
    for kind in ["twice", "nobody"] {
        assert_eq!(answer(Wrong, &format!(r#""type":"{kind}""#)), r#""type":"pong""#);
    }
}

/// Sends whole bodies in every way that there is.
struct Sender;

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Between {
    Read { key: u8 },
    ReadOk { value: i64 },
    Told { value: i64 },
}

impl Handler for Sender {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "call" => {
                let later = cx.defer(request);
                cx.call_with("n2", &Between::Read { key: 1 }).then(|_, outcome, cx| {
                    match outcome.and_then(|reply| reply.parse()) {
                        Ok(Between::ReadOk { value }) => {
                            cx.answer_with(later, &Between::Told { value }).unwrap();
                        }
                        Ok(other) => panic!("{other:?}"),
                        Err(error) => cx.answer_error(later, &error.into()),
                    }
                })?;
                Ok(())
            }
            "wait" => cx.wait(request, async |node| {
                let Between::ReadOk { value } =
                    node.call_with("n2", &Between::Read { key: 2 }).await?.parse()?
                else {
                    return Err(RpcError::temporarily_unavailable("another answer"));
                };
                Ok(Answer::with(&Between::Told { value }))
            }),
            "tell" => {
                cx.message_with("n2", &Between::Told { value: 3 })?;
                cx.call("n2", "read").body(&HashMap::from([("b", 2), ("a", 1), ("c", 3)])).forget()?;
                cx.reply(request, "tell_ok").body(&Place { x: 0.5, y: 1.0 }).field("more", "x").send()
            }
            kind => Err(RpcError::not_supported(kind)),
        }
    }
}

#[test]
fn calls_and_their_answers_are_typed() {
    for (kind, key) in [("call", 1), ("wait", 2)] {
        let mut bench = n1(Sender, Config::default());
        bench.receive("c1", json!({"type": kind, "msg_id": 7}));
        assert_eq!(bench.sent(), [(0.0, message("n2", json!({"type": "read", "key": key, "msg_id": 1})))]);
        bench.receive("n2", json!({"type": "read_ok", "value": 5, "in_reply_to": 1}));
        let answer = json!({"type": "told", "value": 5, "in_reply_to": 7, "msg_id": 2});
        assert_eq!(bench.sent(), [(0.0, message("c1", answer))]);
        // An answer that is not what was asked for is the peer's fault, not the client's.
        bench.receive("c1", json!({"type": kind, "msg_id": 8}));
        bench.receive("n2", json!({"type": "read_ok", "value": [5], "in_reply_to": 3}));
        let (_, answer) = &bench.sent()[1];
        assert_eq!(answer["body"]["code"], 13);
        let text = "a strange answer: body.value: expected an integer of 64 bits, found [5]";
        assert_eq!(answer["body"]["text"], text);
    }
    let mut bench = n1(Sender, Config::default());
    bench.receive("c1", json!({"type": "tell", "msg_id": 7}));
    let expected = concat!(
        r#"{"src":"n1","dest":"n2","body":{"type":"told","value":3,"msg_id":1}}"#,
        "\n",
        r#"{"src":"n1","dest":"n2","body":{"type":"read","a":1,"b":2,"c":3,"msg_id":2}}"#,
        "\n",
        r#"{"src":"n1","dest":"c1","body":{"type":"tell_ok","x":0.5,"y":1.0,"more":"x","in_reply_to":7,"msg_id":3}}"#,
        "\n",
    );
    assert_eq!(bench.lines(), expected);
}

/// Each as `serde_json` writes it, but for hash tables, which are in order.
#[test]
fn values_are_written_as_serde_json_writes_them() {
    #[derive(Serialize)]
    enum Each {
        Unit,
        New(u8),
        Tuple(u8, char),
        Struct { a: Option<u8>, b: () },
    }
    #[derive(Serialize)]
    struct Unit;
    #[derive(Serialize)]
    struct All {
        each: [Each; 4],
        unit: Unit,
        numbers: (i8, u64, i128, f32, f64, f64),
        text: &'static str,
        bytes: Box<[u8]>,
        keys: BTreeMap<i32, BTreeMap<bool, Option<char>>>,
        nan: f64,
    }
    let all = All {
        each: [Each::Unit, Each::New(1), Each::Tuple(2, 'é'), Each::Struct { a: None, b: () }],
        unit: Unit,
        numbers: (-128, u64::MAX, i128::MIN, 0.1, 1e300, -0.0),
        text: "\u{0}\u{1f}\"\\/\u{7f}é\u{2028}\u{1f600}",
        bytes: Box::new([0, 255]),
        keys: BTreeMap::from([
            (-1, BTreeMap::from([(true, Some('"')), (false, None)])),
            (2, BTreeMap::new()),
        ]),
        nan: f64::NAN,
    };
    let expected = serde_json::to_string(&all).unwrap().replace("1e+300", "1e300");
    assert_eq!(written(all), expected);
    let table = HashSet::from([3, 1, 2]);
    assert_eq!(written(Some(table.clone())), "[1,2,3]");
    assert_eq!(
        written([HashMap::from([("b", table.clone()), ("a", table)])]),
        r#"[{"a":[1,2,3],"b":[1,2,3]}]"#
    );
}

/// The value's text as a field of a message.
fn written(value: impl Serialize + 'static) -> String {
    struct Says<T>(T);
    impl<T: Serialize + 'static> Handler for Says<T> {
        fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
            cx.reply(request, "x").field("x", &self.0).send()
        }
    }
    answer(Says(value), r#""type":"say""#).strip_prefix(r#""type":"x","x":"#).unwrap().to_owned()
}

/// Texts that are likely to be read as something.
fn text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => "-?[1-9][0-9]{0,2}|0",
        1 => "-?[1-9][0-9]{15,40}",
        1 => "-?(0|[1-9][0-9]{0,4})(\\.[0-9]{1,20})([eE][+-]?[0-9]{1,2})?",
        1 => "[1-9]e[0-9]{3}",
        2 => select(vec!["null", "true", "false", "[]", "{}", "\"x\"", "\"unit\"", "\"é\"", "\"\\u00e9\\n\"", "\"\\ud800\"", "\"7\""])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let key = select(vec![
            "x", "y", "z", "type", "kind", "unit", "new", "more", "1", "-2", "300", "\\u00e9", "true",
        ]);
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|elements| format!("[{}]", elements.join(" , "))),
            (btree_map(key, inner.clone(), 0..4), option::of(inner)).prop_map(|(members, doubled)| {
                let member = |(key, value): (&&str, &String)| format!("\"{key}\" : {value}");
                let mut members: Vec<_> = members.iter().map(member).collect();
                if let (Some(value), Some(last)) = (doubled, members.last()) {
                    let (key, _) = last.split_once(':').unwrap();
                    members.insert(0, format!("{DOUBLED}{key}:{value}"));
                }
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// Before a member of a key that comes again.
const DOUBLED: &str = "\t";

/// Without the members whose key comes again.
fn undoubled(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some(start) = text.rfind(DOUBLED) {
        // Nothing in its value is doubled any more, so its end is where serde_json has read one.
        let value = start + text[start..].find(':').unwrap() + 1;
        let mut values =
            serde_json::Deserializer::from_str(&text[value..]).into_iter::<serde::de::IgnoredAny>();
        values.next().unwrap().unwrap();
        let end = value + values.byte_offset();
        assert_eq!(text.as_bytes()[end], b',');
        text.replace_range(start..=end, "");
    }
    text
}

/// `parse` comes to what `serde_json` does.
fn agree<T: serde::de::DeserializeOwned + std::fmt::Debug + PartialEq>(text: &str) {
    let value = OwnedValue::parse(text).unwrap();
    let ours: Result<T, String> = value.value().parse("it").map_err(|error| error.to_string());
    // Of a key that comes twice the last one counts here.
    let theirs: Result<T, String> = serde_json::from_str(&undoubled(text)).map_err(|error| error.to_string());
    match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{text}"),
        (Err(_), Err(_)) => {}
        _ => panic!("{text} as {}: {ours:?}, but {theirs:?}", std::any::type_name::<T>()),
    }
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Outside {
    Unit,
    New(i64),
    X(i64, i64),
    More { x: Option<i64>, y: bool },
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Inside {
    Unit,
    X { x: f64, more: Option<Box<Inside>> },
    New(Place),
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum Either {
    Number(i64),
    Text(String),
    Pair(u8, char),
    Place(Place),
    Many(Vec<Either>),
}

#[derive(Debug, Deserialize, PartialEq)]
struct Flat {
    x: i128,
    #[serde(default, alias = "z")]
    y: Vec<u16>,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Closed {
    x: (i64, Box<str>),
    more: Option<()>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_serde_json_reads_is_read(text in text()) {
        agree::<i64>(&text);
        agree::<u8>(&text);
        agree::<u128>(&text);
        agree::<f64>(&text);
        agree::<bool>(&text);
        agree::<char>(&text);
        agree::<String>(&text);
        agree::<Option<i16>>(&text);
        agree::<(i64, Option<String>)>(&text);
        agree::<[i8; 2]>(&text);
        agree::<BTreeMap<String, Option<i64>>>(&text);
        agree::<BTreeMap<i16, serde_json::Value>>(&text);
        agree::<BTreeMap<bool, f64>>(&text);
        agree::<HashSet<u64>>(&text);
        agree::<Vec<Place>>(&text);
        agree::<Place>(&text);
        agree::<Closed>(&text);
        agree::<Flat>(&text);
        agree::<Outside>(&text);
        agree::<Vec<Outside>>(&text);
        agree::<Inside>(&text);
        agree::<Either>(&text);
        agree::<serde_json::Value>(&text);
        agree::<()>(&text);
    }
}

/// One handler for each thing that was a fight before.
#[derive(Default)]
struct Edges {
    ticks: u64,
    kept: Option<OwnedValue>,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
struct Kept {
    count: u32,
    names: Vec<String>,
}

impl Handler for Edges {
    fn on_init(&mut self, cx: &mut Context<'_, Self>) {
        let started = cx.spawn(async |node| {
            for _ in 0..3 {
                node.sleep(Duration::from_millis(10)).await;
                // State in code that waits.
                node.with(|this: &mut Self, cx| {
                    this.ticks += 1;
                    cx.broadcast("tick").field("n", this.ticks).send()
                })
                .await?;
            }
            Err(RpcError::temporarily_unavailable("it is over"))
        });
        started.unwrap();
    }

    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "each" => {
                for peer in cx.peers() {
                    cx.message(&peer, "told").field("op", ("append", 9, 1)).send()?;
                    cx.message_with(&peer, &Between::Told { value: 1 })?;
                }
                assert_eq!(cx.peers().len(), 2);
                cx.broadcast_with(&Between::Told { value: 2 })?;
                assert!(cx.broadcast("x").field("msg_id", 1).send().is_err());
                let exact = OwnedValue::parse(r#"["r", 1,null]"#).or_code(ErrorCode::CRASH)?;
                cx.reply(request, "each_ok").field("exact", exact).field("three", ("r", 1, None::<u8>)).send()
            }
            "pass_on" => cx.wait(request, async |node| {
                let reply = node.call("n2", "read").await?;
                Ok(Answer::forward(&reply.body()))
            }),
            "pass_back" => {
                let later = cx.defer(request);
                cx.call("n2", "read").then(move |_, outcome, cx| match outcome {
                    Ok(reply) => {
                        cx.answer(later, &reply.body.kind).fields_of(reply.body).send().unwrap();
                    }
                    Err(error) => cx.answer_error(later, &error.into()),
                })?;
                Ok(())
            }
            "foreign" => {
                let number: u8 = request.string("text")?.parse().or_code(ErrorCode::ABORT)?;
                cx.reply(request, "foreign_ok").field("number", number).send()
            }
            "field" => {
                let (place, counts): (Option<i16>, BTreeMap<u8, (i8, String)>) =
                    (request.field("place")?, request.field("counts")?);
                self.kept = Some(request.field("kept")?);
                cx.reply(request, "field_ok").field("place", place).field("counts", counts).send()
            }
            "update" => cx.wait(request, async |node| {
                let kv = Kv::<Lin, _>::new(&node);
                let none = Kept { count: 0, names: vec![] };
                let more = |kept: &Kept| Kept { count: kept.count + 1, ..kept.clone() };
                let kept = kv.update("k", none, more).await?;
                Ok(Answer::new("update_ok").body(&kept))
            }),
            kind => Err(RpcError::not_supported(kind)),
        }
    }
}

#[test]
fn peers_are_sent_to_while_they_are_gone_through() {
    let mut bench = n1(Edges::default(), Config::default());
    bench.receive("c1", json!({"type": "each", "msg_id": 7}));
    let to: Vec<_> = bench.sent().into_iter().map(|(_, message)| message).collect();
    let told = |dest, mut body: serde_json::Value, id: u64| {
        body["msg_id"] = json!(id);
        message(dest, body)
    };
    let op = json!({"type": "told", "op": ["append", 9, 1]});
    let value = |value: u64| json!({"type": "told", "value": value});
    let answer =
        json!({"type": "each_ok", "exact": ["r", 1, null], "three": ["r", 1, null], "in_reply_to": 7});
    assert_eq!(
        to,
        [
            told("n2", op.clone(), 1),
            told("n2", value(1), 2),
            told("n3", op, 3),
            told("n3", value(1), 4),
            told("n2", value(2), 5),
            told("n3", value(2), 6),
            told("c1", answer, 7),
        ]
    );
}

/// Starts a task for each request.
struct Crowd;
impl Handler for Crowd {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        cx.spawn(async |node| {
            node.sleep(Duration::from_secs(1)).await;
            Ok(())
        })?;
        cx.reply(request, "x").send()
    }
}

#[test]
fn a_task_needs_no_request() {
    let mut bench = n1(Edges::default(), Config::default());
    assert!(!bench.node::<Edges>("n1").is_idle());
    bench.pass_ms(100);
    let ticks: Vec<_> =
        bench.sent().into_iter().map(|(at, message)| (at, message["body"]["n"].clone())).collect();
    let both = |at: f64, n: u64| [(at, json!(n)), (at, json!(n))];
    assert_eq!(ticks, [both(10.0, 1), both(20.0, 2), both(30.0, 3)].concat());
    assert!(bench.node::<Edges>("n1").is_idle());
    // Where too many wait, none is started.
    let mut bench = n1(Crowd, Config { max_waiting: 2, ..Config::default() });
    for _ in 0..3 {
        bench.receive("c1", json!({"type": "x", "msg_id": 7}));
    }
    let codes: Vec<_> = bench.bodies().into_iter().map(|body| body["code"].clone()).collect();
    assert_eq!(codes, [json!(null), json!(null), json!(11)]);
}

#[test]
fn an_answer_is_passed_on_as_it_came() {
    for kind in ["pass_on", "pass_back"] {
        let mut bench = n1(Edges::default(), Config::default());
        bench.receive("c1", json!({"type": kind, "msg_id": 7}));
        bench.lines();
        bench.tell_line(
            "n1",
            r#"{"src":"n2","dest":"n1","body":{"value":[1e2, -0],"msg_id":3,"type":"read_ok","in_reply_to":1,"x":"\u00e9"}}"#,
        );
        let line = r#"{"src":"n1","dest":"c1","body":{"type":"read_ok","value":[1e2, -0],"x":"\u00e9","in_reply_to":7,"msg_id":2}}"#;
        assert_eq!(bench.lines(), format!("{line}\n"));
    }
}

#[test]
fn a_foreign_error_has_the_code_that_the_author_chose() {
    let ok = answer(Edges::default(), r#""type":"foreign","text":"255""#);
    assert_eq!(ok, r#""type":"foreign_ok","number":255"#);
    let error = answer(Edges::default(), r#""type":"foreign","text":"256""#);
    assert_eq!(error, r#""type":"error","code":14,"text":"number too large to fit in target type""#);
}

#[test]
fn one_field_is_read_as_any_type() {
    let read = |place: &str, counts: &str| {
        answer(Edges::default(), &format!(r#""type":"field","kept":1e2,"place":{place},"counts":{counts}"#))
    };
    assert_eq!(read("null", "{}"), r#""type":"field_ok","place":null,"counts":{}"#);
    assert_eq!(read("-7", r#"{"7":[1,"x"]}"#), r#""type":"field_ok","place":-7,"counts":{"7":[1,"x"]}"#);
    for (place, counts, text) in [
        ("40000", "{}", "place: expected an integer of 16 bits, found 40000"),
        ("1", r#"{"7":[1,2]}"#, "counts.7[1]: expected a string, found 2"),
        (
            "1",
            r#"{"256":[1,"x"]}"#,
            r#"counts.256: expected an integer of 8 bits, not negative, found [1,"x"]"#,
        ),
        ("1", r#"{"1":[1]}"#, "counts.1: expected an array of 2 elements, found [1]"),
    ] {
        assert_eq!(read(place, counts), format!(r#""type":"error","code":12,"text":{}"#, json!(text)));
    }
}

#[test]
fn an_update_goes_on_until_nobody_else_was_faster() {
    let mut bench = n1(Edges::default(), Config::default());
    bench.receive("c1", json!({"type": "update", "msg_id": 7}));
    bench.receive("lin-kv", json!({"type": "error", "code": 20, "text": "no such key", "in_reply_to": 1}));
    let cas = |from: u32, id: u64| {
        let value = |count: u32| json!({"count": count, "names": []});
        let body = json!({"type": "cas", "key": "k", "from": value(from), "to": value(from + 1),
            "create_if_not_exists": true, "msg_id": id});
        (0.0, message("lin-kv", body))
    };
    assert_eq!(bench.sent()[1], cas(0, 2));
    bench.receive("lin-kv", json!({"type": "error", "code": 22, "text": "another value", "in_reply_to": 2}));
    bench.receive("lin-kv", json!({"type": "read_ok", "value": {"count": 4, "names": []}, "in_reply_to": 3}));
    assert_eq!(bench.sent()[1], cas(4, 4));
    bench.receive("lin-kv", json!({"type": "cas_ok", "in_reply_to": 4}));
    let answer = json!({"type": "update_ok", "count": 5, "names": [], "in_reply_to": 7, "msg_id": 5});
    assert_eq!(bench.sent(), [(0.0, message("c1", answer))]);
    // Nobody knows what became of a change that timed out, so it is not made again.
    bench.receive("c1", json!({"type": "update", "msg_id": 8}));
    bench.receive("lin-kv", json!({"type": "read_ok", "value": {"count": 5, "names": []}, "in_reply_to": 6}));
    bench.take();
    bench.pass_ms(5000);
    assert_eq!(bench.bodies().last().unwrap()["code"], 0);
}

/// Counts what other threads tell it.
#[derive(Default)]
struct Counted {
    remote: Option<Remote<Counted>>,
    count: u64,
}

impl Handler for Counted {
    fn on_init(&mut self, cx: &mut Context<'_, Self>) {
        self.remote = Some(cx.remote());
    }

    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        cx.reply(request, "count_ok").field("count", self.count).send()
    }
}

#[test]
fn other_threads_have_things_done_up_to_a_bound() {
    let mut bench = n1(Counted::default(), Config { max_remote: 3, ..Config::default() });
    let remote = bench.node::<Counted>("n1").handler().remote.clone().unwrap();
    assert_eq!(bench.node_mut::<Counted>("n1").poll_timeout(), None);
    let teller = remote.clone();
    let outcomes = thread::spawn(move || {
        let tell = || {
            teller.run(|this, cx| {
                this.count += 1;
                cx.broadcast("told").send().unwrap();
            })
        };
        [tell(), tell(), tell(), tell()]
    });
    assert_eq!(outcomes.join().unwrap(), [Ok(()), Ok(()), Ok(()), Err(RemoteError::Full)]);
    assert_eq!(bench.node_mut::<Counted>("n1").poll_timeout(), Some(bench.now()), "it is due at once");
    bench.pass_ms(0);
    assert_eq!((bench.node::<Counted>("n1").handler().count, bench.bodies().len()), (3, 6));
    assert_eq!(bench.node_mut::<Counted>("n1").poll_timeout(), None);
    // One that panics costs the others nothing.
    remote.run(|_, _| panic!("from afar")).unwrap();
    remote.run(|this, _| this.count += 1).unwrap();
    bench.pass_ms(0);
    assert_eq!(
        (bench.node::<Counted>("n1").handler().count, bench.node::<Counted>("n1").counters().panics),
        (4, 1)
    );
    drop(bench);
    assert_eq!(remote.run(|_, _| ()), Err(RemoteError::Gone));
}

/// Maelstrom's messages as types, against the table that the workbench checks nodes by.
#[cfg(feature = "workbench")]
mod ready {
    use messenger::messages;
    use messenger::workbench::workload::{Field, by_name};
    use messenger::{HandlerFn, handler_fn};

    use super::answer;

    /// Answers what was asked with the same, read as this type and written again.
    macro_rules! again {
        ($type:ty) => {
            handler_fn(|request, cx| cx.reply_with(request, &request.parse::<$type>()?))
        };
    }

    /// Reads each request of the table and each reply, and writes it again.
    fn check(workload: &str, request: fn() -> HandlerFn, reply: fn() -> HandlerFn) {
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(&format!("{{{text}}}")).unwrap();
        for rpc in by_name(workload).unwrap().rpcs() {
            for (kind, fields, again) in
                [(rpc.request, rpc.fields, request), (rpc.reply, rpc.reply_fields, reply)]
            {
                let member = |field: &Field| format!(",{:?}:{}", field.name, field.example);
                let text = format!("\"type\":\"{kind}\"{}", fields.iter().map(member).collect::<String>());
                assert_eq!(value(&answer(again(), &text)), value(&text), "{workload}");
            }
        }
    }

    #[test]
    fn messages_are_those_of_the_table() {
        use messages::{broadcast, counter, echo, g_set, kafka, lin_kv, unique_ids};
        check("echo", || again!(echo::Request<'_>), || again!(echo::Reply<'_>));
        check("unique-ids", || again!(unique_ids::Request), || again!(unique_ids::Reply));
        check("broadcast", || again!(broadcast::Request), || again!(broadcast::Reply));
        check("g-set", || again!(g_set::Request), || again!(g_set::Reply));
        check("g-counter", || again!(counter::Request), || again!(counter::Reply));
        check("pn-counter", || again!(counter::Request), || again!(counter::Reply));
        check("lin-kv", || again!(lin_kv::Request), || again!(lin_kv::Reply));
        check("kafka", || again!(kafka::Request<'_>), || again!(kafka::Reply));
    }

    #[test]
    fn operations_of_transactions_are_written_as_maelstrom_does() {
        use messages::txn::{List, Register, Reply, Request};
        for txn in [r#"[["r",1,null],["w",2,3]]"#, "[]"] {
            for kind in ["txn", "txn_ok"] {
                let text = format!(r#""type":"{kind}","txn":{txn}"#);
                let again = if kind == "txn" { again!(Request<Register>) } else { again!(Reply<Register>) };
                assert_eq!(answer(again, &text), text);
            }
        }
        let text = r#""type":"txn","txn":[["r",1,null],["append",1,2],["r",1,[2,3]]]"#;
        assert_eq!(answer(again!(Request<List>), text), text);
    }
}
