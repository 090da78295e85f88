//! Messages as types against the untyped ones, and against `serde_json` and simd-json by hand: the same answer to the same
//! line, numbered and with `in_reply_to`. Those by hand check no envelope, trace and count nothing.
//!
//! `cargo bench -p benches --bench typed`

use std::collections::BTreeSet;
use std::hint::black_box;
use std::io::Write as _;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use messenger::messages::{broadcast, echo};
use messenger::node::{Config, Node};
use messenger::wire::lines::Line;
use messenger::wire::out::OutBuffer;
use messenger::{Handler, HandlerFn, Instant, RpcError, handler_fn};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

const ECHO: &str =
    r#"{"id":4,"src":"c4","dest":"n0","body":{"echo":"Please echo 37","type":"echo","msg_id":1}}"#;
const BROADCAST: &str = r#"{"id":4,"src":"n1","dest":"n0","body":{"type":"gossip","messages":[1,2,3,4,5,6,7,8,9,10,1000,2000],"msg_id":1}}"#;

fn untyped_echo() -> HandlerFn {
    handler_fn(|request, cx| match request.kind() {
        "echo" => cx.reply(request, "echo_ok").field("echo", request.required("echo")?).send(),
        kind => Err(RpcError::not_supported(kind)),
    })
}

fn typed_echo() -> HandlerFn {
    handler_fn(|request, cx| {
        let echo::Request::Echo { echo } = request.parse()?;
        cx.reply_with(request, &echo::Reply::EchoOk { echo })
    })
}

/// With a `tag`, which serde reads into a buffer first.
fn tagged_echo() -> HandlerFn {
    #[derive(Deserialize)]
    #[serde(tag = "type", rename_all = "snake_case")]
    enum Ask<'a> {
        Echo { echo: &'a str },
    }
    #[derive(Serialize)]
    #[serde(tag = "type", rename_all = "snake_case")]
    enum Tell<'a> {
        EchoOk { echo: &'a str },
    }
    handler_fn(|request, cx| {
        let Ask::Echo { echo } = request.parse()?;
        cx.reply_with(request, &Tell::EchoOk { echo })
    })
}

fn untyped_broadcast() -> HandlerFn {
    let mut known = BTreeSet::new();
    handler_fn(move |request, cx| match request.kind() {
        "gossip" => {
            let messages = request.array("messages")?;
            for message in messages.as_array().into_iter().flatten() {
                known.insert(
                    message.as_i64().ok_or_else(|| RpcError::malformed("messages: expected integers"))?,
                );
            }
            cx.reply(request, "gossip_ok").send()
        }
        kind => Err(RpcError::not_supported(kind)),
    })
}

fn typed_broadcast() -> HandlerFn {
    let mut known = BTreeSet::new();
    handler_fn(move |request, cx| match request.parse()? {
        broadcast::Request::Gossip { messages } => {
            known.extend(messages);
            cx.reply_with(request, &broadcast::Reply::GossipOk)
        }
        _ => Err(RpcError::not_supported(request.kind())),
    })
}

#[derive(Deserialize)]
struct Envelope<'a, B> {
    src: &'a str,
    dest: &'a str,
    body: B,
}

#[derive(Deserialize)]
struct EchoBody<'a> {
    msg_id: u64,
    #[serde(borrow)]
    echo: &'a RawValue,
}

/// simd-json has no raw value.
#[derive(Deserialize)]
struct TextBody<'a> {
    msg_id: u64,
    echo: &'a str,
}

#[derive(Deserialize)]
struct GossipBody {
    msg_id: u64,
    messages: Vec<i64>,
}

#[derive(Serialize)]
struct Answer<'a, B> {
    src: &'a str,
    dest: &'a str,
    body: B,
}

#[derive(Serialize)]
struct EchoOk<E> {
    r#type: &'static str,
    echo: E,
    in_reply_to: u64,
    msg_id: u64,
}

#[derive(Serialize)]
struct GossipOk {
    r#type: &'static str,
    in_reply_to: u64,
    msg_id: u64,
}

fn node(criterion: &mut Criterion, group: &str, name: &str, handler: impl Handler, line: &str) {
    let (mut node, mut out) = (Node::new(handler, Config::default()), OutBuffer::new());
    let init = br#"{"src":"c0","dest":"n0","body":{"type":"init","node_id":"n0","node_ids":["n0","n1"],"msg_id":1}}"#;
    node.handle_line(Instant::START, Line::new(init), &mut out);
    out.consume(out.len());
    // A node gets lines among others.
    let lines = format!("{line}\n{line}\n");
    criterion.benchmark_group(group).bench_function(BenchmarkId::from_parameter(name), |bencher| {
        bencher.iter(|| {
            node.handle_line(
                Instant::START,
                Line::first_of(black_box(lines.as_bytes()), line.len()),
                &mut out,
            );
            black_box(out.waiting());
            out.consume(out.len());
        });
    });
    assert_eq!(node.counters().errors, 0);
}

fn by_hand(criterion: &mut Criterion, group: &str, name: &str, mut answer: impl FnMut(&mut Vec<u8>, u64)) {
    let (mut out, mut msg_id) = (Vec::new(), 0);
    criterion.benchmark_group(group).bench_function(BenchmarkId::from_parameter(name), |bencher| {
        bencher.iter(|| {
            out.clear();
            answer(&mut out, msg_id);
            out.write_all(b"\n").expect("memory takes it");
            msg_id += 1;
            black_box(&out);
        });
    });
}

fn echoes(criterion: &mut Criterion) {
    const GROUP: &str = "an echo";
    node(criterion, GROUP, "untyped", untyped_echo(), ECHO);
    node(criterion, GROUP, "typed", typed_echo(), ECHO);
    node(criterion, GROUP, "typed, by a tag", tagged_echo(), ECHO);
    by_hand(criterion, GROUP, "serde_json by hand", |out, msg_id| {
        let Envelope { src, dest, body: EchoBody { msg_id: in_reply_to, echo } } =
            serde_json::from_str(black_box(ECHO)).expect("it is a message");
        let body = EchoOk { r#type: "echo_ok", echo, in_reply_to, msg_id };
        serde_json::to_writer(out, &Answer { src: dest, dest: src, body }).expect("memory takes it");
    });
    let mut copy = Vec::new();
    let mut buffers = simd_json::Buffers::default();
    by_hand(criterion, GROUP, "simd-json by hand", |out, msg_id| {
        copy.clear();
        copy.extend_from_slice(black_box(ECHO).as_bytes());
        let Envelope { src, dest, body: TextBody { msg_id: in_reply_to, echo } } =
            simd_json::serde::from_slice_with_buffers(&mut copy, &mut buffers).expect("it is a message");
        let body = EchoOk { r#type: "echo_ok", echo, in_reply_to, msg_id };
        simd_json::serde::to_writer(out, &Answer { src: dest, dest: src, body }).expect("memory takes it");
    });
}

fn broadcasts(criterion: &mut Criterion) {
    const GROUP: &str = "a batch of twelve";
    node(criterion, GROUP, "untyped", untyped_broadcast(), BROADCAST);
    node(criterion, GROUP, "typed", typed_broadcast(), BROADCAST);
    let mut known = BTreeSet::new();
    by_hand(criterion, GROUP, "serde_json by hand", |out, msg_id| {
        let Envelope { src, dest, body: GossipBody { msg_id: in_reply_to, messages } } =
            serde_json::from_str(black_box(BROADCAST)).expect("it is a message");
        known.extend(messages);
        let body = GossipOk { r#type: "gossip_ok", in_reply_to, msg_id };
        serde_json::to_writer(out, &Answer { src: dest, dest: src, body }).expect("memory takes it");
    });
    let mut known = BTreeSet::new();
    let (mut copy, mut buffers) = (Vec::new(), simd_json::Buffers::default());
    by_hand(criterion, GROUP, "simd-json by hand", |out, msg_id| {
        copy.clear();
        copy.extend_from_slice(black_box(BROADCAST).as_bytes());
        let Envelope { src, dest, body: GossipBody { msg_id: in_reply_to, messages } } =
            simd_json::serde::from_slice_with_buffers(&mut copy, &mut buffers).expect("it is a message");
        known.extend(messages);
        let body = GossipOk { r#type: "gossip_ok", in_reply_to, msg_id };
        simd_json::serde::to_writer(out, &Answer { src: dest, dest: src, body }).expect("memory takes it");
    });
}

criterion_group!(benches, echoes, broadcasts);
criterion_main!(benches);
