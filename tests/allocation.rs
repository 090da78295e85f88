//! Nothing is allocated per message once the buffers have their size.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use messenger::node::{Config, Node};
use messenger::time::Instant;
use messenger::wire::line::{LineBuffer, NextLine};
use messenger::wire::out::OutBuffer;
use messenger::workload::messenger::Messenger;

/// Counts what this thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The way of the bytes through the reactor: line buffer, node, output.
struct Pipeline {
    node: Node<Messenger>,
    lines: LineBuffer,
    out: OutBuffer,
    answers: usize,
}

impl Pipeline {
    /// Feeds `input` in reads of at most `step` bytes, and takes the output in writes of that size.
    fn feed(&mut self, mut input: &[u8], step: usize) {
        while !input.is_empty() {
            let space = self.lines.space();
            let count = input.len().min(step).min(space.len());
            space[..count].copy_from_slice(&input[..count]);
            self.lines.filled(count);
            input = &input[count..];
            while let Some(line) = self.lines.next_line() {
                let NextLine::Line(line) = line else { panic!("too long") };
                self.node.handle_line(Instant::START, line, &mut self.out);
            }
            while !self.out.is_empty() {
                let count = self.out.len().min(step);
                self.answers += memchr::memchr_iter(b'\n', &self.out.waiting()[..count]).count();
                self.out.consume(count);
            }
        }
    }
}

#[test]
fn an_echo_allocates_nothing() {
    let line = |n: usize, value: &str| {
        format!(r#"{{"id":{n},"src":"c4","dest":"n0","body":{{"echo":{value},"type":"echo","msg_id":{n}}}}}"#)
            + "\n"
    };
    let nested = r#"[{"k":[1,2,{"deep":[[[]]]}],"text":"with \"escapes\" \u00e9"},"é",1e400]"#;
    let long = format!("\"{}\"", "x".repeat(5_000));
    let lines: String =
        (0..1000).map(|n| line(n, ["\"Please echo 7\"", nested, &long, "null"][n % 4])).collect();
    let mut pipeline = Pipeline {
        node: Node::new(Messenger::default(), Config::default()),
        lines: LineBuffer::new(1 << 20),
        out: OutBuffer::new(),
        answers: 0,
    };
    pipeline.feed(b"{\"src\":\"c0\",\"dest\":\"n0\",\"body\":{\"type\":\"init\",\"node_id\":\"n0\",\"node_ids\":[\"n0\"],\"msg_id\":1}}\n", 1000);
    for step in [1 << 16, 1000, 7] {
        pipeline.feed(lines.as_bytes(), step);
        let before = (ALLOCATIONS.get(), pipeline.answers);
        pipeline.feed(lines.as_bytes(), step);
        assert_eq!(pipeline.answers - before.1, 1000);
        assert_eq!(ALLOCATIONS.get() - before.0, 0, "allocations for 1,000 echoes in reads of {step}");
    }
}

#[test]
fn the_count_counts() {
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(vec![1u8; 100]));
    assert_eq!(ALLOCATIONS.get() - before, 1);
}
