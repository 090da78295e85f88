//! The parts of a turn, and whole turns without pipes: lines cut from the input, an echo, a proxied call, messages
//! encoded.
//!
//! `cargo bench --bench node`. Beside ours stands what the standard library and `serde_json` offer for the same.

use std::borrow::Cow;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use memchr::memchr;
use messenger::node::{Config, Node};
use messenger::nodes::course::Messenger;
use messenger::wire::lines::Line;
use messenger::wire::lines::{LineBuffer, NextLine};
use messenger::wire::out::OutBuffer;
use messenger::{Context, Handler, Instant, Request, RpcError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

const INIT: &[u8] =
    br#"{"src":"c0","dest":"n0","body":{"type":"init","node_id":"n0","node_ids":["n0","n1"],"msg_id":1}}"#;

/// An echo request of `size` bytes.
fn echo(size: usize) -> String {
    let around = r#"{"id":4,"src":"c4","dest":"n0","body":{"echo":"","type":"echo","msg_id":1}}"#.len();
    let echo = "x".repeat(size - around);
    format!(r#"{{"id":4,"src":"c4","dest":"n0","body":{{"echo":"{echo}","type":"echo","msg_id":1}}}}"#)
}

fn initialized<W: Handler>(workload: W) -> (Node<W>, OutBuffer) {
    let (mut node, mut out) = (Node::new(workload, Config::default()), OutBuffer::new());
    node.handle_line(Instant::START, Line::new(INIT), &mut out);
    out.consume(out.len());
    (node, out)
}

/// A mebibyte of lines, in reads of 64 KiB.
fn cut_lines(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cut 1 MiB into lines");
    for size in [100, 4096] {
        let text = (echo(size - 1) + "\n").repeat((1 << 20) / size).into_bytes();
        group.throughput(Throughput::Elements(((1 << 20) / size) as u64));

        let mut lines = LineBuffer::new(1 << 20);
        group.bench_function(BenchmarkId::new("line buffer", size), |bencher| {
            bencher.iter(|| {
                let mut rest = black_box(&*text);
                while !rest.is_empty() {
                    let space = lines.space();
                    let count = space.len().min(rest.len()).min(1 << 16);
                    space[..count].copy_from_slice(&rest[..count]);
                    lines.filled(count);
                    rest = &rest[count..];
                    for line in lines.lines() {
                        let NextLine::Line(line) = line else { continue };
                        black_box(line);
                    }
                }
            });
        });

        let mut line = Vec::new();
        group.bench_function(BenchmarkId::new("BufRead::read_until", size), |bencher| {
            bencher.iter(|| {
                let mut reader = BufReader::with_capacity(1 << 16, black_box(&*text));
                while reader.read_until(b'\n', &mut line).expect("memory can be read") > 0 {
                    black_box(&line);
                    line.clear();
                }
            });
        });
    }
    group.finish();
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    src: Cow<'a, str>,
    #[serde(borrow)]
    dest: Cow<'a, str>,
    #[serde(borrow)]
    body: Body<'a>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    msg_id: u64,
    #[serde(borrow)]
    echo: &'a RawValue,
}

/// So many echo requests of about `size` bytes, one a line: uniform, or mixed as `perf/flood mixed` has them, with ten
/// clients, a quarter with their keys in any order, and one in eight with an escape.
fn echoes(size: usize, count: usize, is_mixed: bool) -> String {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut object = |mut members: Vec<String>| {
        if is_mixed && rng.u8(..4) == 0 {
            rng.shuffle(&mut members);
        }
        format!("{{{}}}", members.join(","))
    };
    let lines = (0..count).map(|n| {
        let (client, escape) =
            if is_mixed { (n * 7 % 10, if n % 8 == 0 { "\\n" } else { "" }) } else { (4, "") };
        let echo = format!("\"echo\":\"{escape}{}\"", "x".repeat(size - 76 - escape.len()));
        let body = object(vec![echo, "\"type\":\"echo\"".into(), format!("\"msg_id\":{n}")]);
        let (src, body) = (format!("\"src\":\"c{client}\""), format!("\"body\":{body}"));
        object(vec![format!("\"id\":{n}"), src, "\"dest\":\"n0\"".into(), body]) + "\n"
    });
    lines.collect()
}

fn answer_a_read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("answer a read of echoes");
    for size in [100, 256, 4096] {
        let count = 48 * 1024 / size;
        group.throughput(Throughput::Elements(count as u64));
        for (name, is_mixed) in [("uniform", false), ("mixed", true)] {
            let text = echoes(size, count, is_mixed);
            let (mut node, mut out) = initialized(Messenger::default());
            let mut lines = LineBuffer::new(1 << 20);
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| {
                    lines.space()[..text.len()].copy_from_slice(black_box(text.as_bytes()));
                    lines.filled(text.len());
                    while !node.handle_lines(Instant::START, &mut lines, &mut out) {
                        out.consume(out.len());
                    }
                    black_box(out.waiting());
                    out.consume(out.len());
                });
            });
        }
    }
    group.finish();
}

fn answer_an_echo(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("answer an echo");
    for size in [100, 256, 4096, 65536] {
        let line = echo(size);
        // A node gets lines among others.
        let lines = format!("{line}\n{line}\n");
        group.throughput(Throughput::Bytes(size as u64));

        let (mut node, mut out) = initialized(Messenger::default());
        group.bench_function(BenchmarkId::new("node", size), |bencher| {
            bencher.iter(|| {
                let line = Line::first_of(black_box(lines.as_bytes()), line.len());
                node.handle_line(Instant::START, line, &mut out);
                black_box(out.waiting());
                out.consume(out.len());
            });
        });

        let (mut out, mut next_msg_id) = (Vec::new(), 0_u64);
        group.bench_function(BenchmarkId::new("serde_json, no more than that", size), |bencher| {
            bencher.iter(|| {
                let Envelope { src, dest, body } = serde_json::from_str(black_box(&line)).unwrap();
                let Body { kind, msg_id, echo } = body;
                out.clear();
                writeln!(
                    out,
                    r#"{{"src":"{dest}","dest":"{src}","body":{{"type":"{kind}_ok","echo":{echo},"in_reply_to":{msg_id},"msg_id":{next_msg_id}}}}}"#
                )
                .unwrap();
                next_msg_id += 1;
                black_box(&out);
            });
        });
    }
    group.finish();
}

/// Request in, call out, its answer in, answer out: two turns.
fn proxy(criterion: &mut Criterion) {
    const PROXIES: u64 = 1000;
    let mut group = criterion.benchmark_group("proxy");
    group.throughput(Throughput::Elements(PROXIES));
    let (mut node, mut out) = initialized(Messenger::default());
    // What the node says next, after init_ok.
    let mut msg_id = 1;
    let mut lines = move || {
        let mut lines = Vec::new();
        for n in 0..PROXIES {
            writeln!(
                lines,
                r#"{{"src":"c1","dest":"n0","body":{{"target":"n1","inner":{{"type":"read","key":"x"}},"type":"proxy","msg_id":{n}}}}}
{{"src":"n1","dest":"n0","body":{{"type":"read_ok","value":7,"in_reply_to":{msg_id}}}}}"#
            )
            .expect("memory takes it");
            msg_id += 2;
        }
        lines
    };
    group.bench_function("node, 1,000 times", |bencher| {
        bencher.iter_batched_ref(
            &mut lines,
            |lines| {
                let mut rest = &**lines;
                while let Some(length) = memchr(b'\n', rest) {
                    node.handle_line(Instant::START, Line::first_of(rest, length), &mut out);
                    black_box(out.waiting());
                    out.consume(out.len());
                    rest = &rest[length + 1..];
                }
                assert_eq!(node.pending_calls(), 0, "every call was answered");
            },
            // In the order in which they were made: the numbers count on.
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

const MESSAGES: u64 = 100;

/// Tells n1 something many times.
struct Teller;

impl Handler for Teller {
    fn on_request(&mut self, _: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        (0..MESSAGES)
            .try_for_each(|n| cx.message("n1", "told").field("n", n).field("text", "some \"text\"").send())
    }
}

#[derive(Serialize)]
struct Told<'a> {
    src: &'a str,
    dest: &'a str,
    body: ToldBody<'a>,
}

#[derive(Serialize)]
struct ToldBody<'a> {
    r#type: &'a str,
    n: u64,
    text: &'a str,
}

fn told(n: u64) -> Told<'static> {
    Told { src: "n0", dest: "n1", body: ToldBody { r#type: "told", n, text: black_box("some \"text\"") } }
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode a message");
    group.throughput(Throughput::Elements(MESSAGES));
    let (mut node, mut out) = initialized(Teller);
    let request = br#"{"src":"c1","dest":"n0","body":{"type":"tell","msg_id":1}}"#;
    group.bench_function("node, 100 in a turn", |bencher| {
        bencher.iter(|| {
            node.handle_line(Instant::START, Line::new(black_box(request)), &mut out);
            black_box(out.waiting());
            out.consume(out.len());
        });
    });
    let mut out = Vec::new();
    group.bench_function("serde_json, 100 structs", |bencher| {
        bencher.iter(|| {
            out.clear();
            for n in 0..MESSAGES {
                serde_json::to_writer(&mut out, &told(n)).unwrap();
                out.push(b'\n');
            }
            black_box(&out);
        });
    });
    group.bench_function("sonic-rs, 100 structs", |bencher| {
        bencher.iter(|| {
            out.clear();
            for n in 0..MESSAGES {
                sonic_rs::to_writer(&mut out, &told(n)).unwrap();
                out.push(b'\n');
            }
            black_box(&out);
        });
    });
    group.finish();
}

criterion_group!(benches, answer_a_read, cut_lines, answer_an_echo, proxy, encode);
criterion_main!(benches);
