//! Reading one line: the envelope checked, its parts at hand, the echoed value ready to be copied.
//!
//! `cargo bench --bench parse`. Beside ours: simd-json's whole tape, in place and with reused buffers, which
//! still has to be searched; and `serde_json` with borrowed structs and a raw value.

use std::borrow::Cow;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use messenger::wire::json::{Line, Parser};
use messenger::wire::message::Outline;
use serde::Deserialize;
use serde_json::value::RawValue;
use simd_json::{Buffers, INPUT_PADDING, Tape};

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    src: Cow<'a, str>,
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

fn read_a_line(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read a line");
    for size in [100, 256, 4096, 65536] {
        let around = r#"{"id":4,"src":"c4","dest":"n0","body":{"echo":"","type":"echo","msg_id":1}}"#.len();
        let echo = "x".repeat(size - around);
        let line = format!(
            r#"{{"id":4,"src":"c4","dest":"n0","body":{{"echo":"{echo}","type":"echo","msg_id":1}}}}"#
        );
        let mut padded = line.clone().into_bytes();
        padded.resize(size + INPUT_PADDING, 0);
        group.throughput(Throughput::Bytes(size as u64));

        // A node reads lines among others, and by the shapes of those. A line that comes alone has to be read by the
        // grammar.
        let many = format!("{line}\n{line}\n");
        for (name, bytes) in [("messenger", &many), ("messenger, a line alone", &line)] {
            let mut parser = Parser::new();
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| {
                    let line = Line::first_of(black_box(bytes.as_bytes()), line.len());
                    let outline = Outline::parse(&mut parser, line).unwrap();
                    let envelope = outline.check().unwrap();
                    black_box((
                        &envelope.src,
                        &envelope.body.kind,
                        envelope.body.msg_id,
                        envelope.body.get("echo"),
                    ));
                });
            });
        }

        let (mut buffers, mut tape) = (Buffers::new(size), Some(Tape::null()));
        group.bench_function(BenchmarkId::new("simd_json tape", size), |bencher| {
            bencher.iter(|| {
                let mut filled = tape.take().unwrap().reset();
                simd_json::fill_tape_padded(black_box(&mut padded), size, &mut buffers, &mut filled).unwrap();
                tape = Some(black_box(filled).reset());
            });
        });

        group.bench_function(BenchmarkId::new("serde_json", size), |bencher| {
            bencher.iter(|| {
                let Envelope { src, body } = serde_json::from_str(black_box(&line)).unwrap();
                black_box((src, body.kind, body.msg_id, body.echo.get()));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, read_a_line);
criterion_main!(benches);
