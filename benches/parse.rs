//! Reading one line: the envelope checked, its parts at hand, the echoed value ready to be copied.
//!
//! `cargo bench --bench parse`. Ours once by the template of the line before, as a node reads nearly all lines, and once by
//! simd-json's index and the grammar. Beside them: simd-json's whole tape, in place and with reused buffers, which still has to be searched;
//! and `serde_json` and `sonic-rs` with borrowed structs and a raw value.

use std::borrow::Cow;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use messenger::internals::{self, Parser, Templates, UncheckedEnvelope};
use messenger::wire::lines::Line;
use serde::Deserialize;
use serde_json::value::RawValue;
use simd_json::{Buffers, INPUT_PADDING, Tape};
use sonic_rs::LazyValue;

#[derive(Deserialize)]
struct Envelope<'a, Raw> {
    #[serde(borrow)]
    src: Cow<'a, str>,
    #[serde(bound(deserialize = "Raw: Deserialize<'de>"))]
    body: Body<'a, Raw>,
}

#[derive(Deserialize)]
struct Body<'a, Raw> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    msg_id: u64,
    echo: Raw,
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

        let look = |message: &internals::Envelope<'_>| {
            let internals::Envelope { src, body, .. } = message;
            black_box((src, &body.kind, body.msg_id, body.get("echo")));
        };
        // A node reads lines among others.
        let lines = format!("{line}\n{line}\n");
        let mut templates = Templates::new();
        templates.learn(&mut Parser::new(), Line::first_of(lines.as_bytes(), line.len()));
        group.bench_function(BenchmarkId::new("messenger, by template", size), |bencher| {
            bencher.iter(|| {
                let line = Line::first_of(black_box(lines.as_bytes()), line.len());
                look(&templates.read(line).unwrap());
            });
        });

        let mut parser = Parser::new();
        group.bench_function(BenchmarkId::new("messenger, by index", size), |bencher| {
            bencher.iter(|| {
                let line = Line::new(black_box(line.as_bytes()));
                look(&UncheckedEnvelope::parse(&mut parser, line).unwrap().check().unwrap());
            });
        });

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
                let Body { kind, msg_id, echo }: Body<'_, &RawValue> = body;
                black_box((src, kind, msg_id, echo.get()));
            });
        });

        group.bench_function(BenchmarkId::new("sonic-rs", size), |bencher| {
            bencher.iter(|| {
                let Envelope { src, body } = sonic_rs::from_str(black_box(&line)).unwrap();
                let Body { kind, msg_id, echo }: Body<'_, LazyValue<'_>> = body;
                black_box((src, kind, msg_id, echo.as_raw_str()));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, read_a_line);
criterion_main!(benches);
