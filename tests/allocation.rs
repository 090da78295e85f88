//! What is allocated per message once the buffers have their size: nothing for an echo, at most one piece for
//! a call, and nothing that stays.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use messenger::node::{Config, Node};
use messenger::nodes::course::Messenger;
use messenger::wire::lines::Line;
use messenger::wire::lines::LineBuffer;
use messenger::wire::out::OutBuffer;
use messenger::{Context, Duration, Handler, Instant, Policy, Request, RpcError};

/// Counts what this thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    /// Bytes that are allocated now.
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

fn note(allocations: u64, bytes: isize) {
    ALLOCATIONS.set(ALLOCATIONS.get() + allocations);
    LIVE.set(LIVE.get() + bytes);
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size().cast_signed());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(0, -layout.size().cast_signed());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(1, size.cast_signed() - layout.size().cast_signed());
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
            self.node.handle_lines(Instant::START, &mut self.lines, &mut self.out);
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

#[cfg(feature = "serde")]
mod typed {
    use messenger::messages::echo;
    use messenger::{Value, handler_fn};
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Ask<'a> {
        Write {
            key: &'a str,
            #[serde(borrow)]
            value: Value<'a>,
            place: Option<(i64, f64, [u8; 3])>,
        },
        Other,
    }

    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Tell<'a> {
        WriteOk { key: &'a str, was: Value<'a>, place: Option<(i64, f64, [u8; 3])> },
    }

    #[test]
    fn what_is_borrowed_and_sent_as_types_allocates_nothing() {
        let mut lines = Vec::new();
        for n in 0..1000 {
            let body = [
                format!(
                    r#""type":"write","key":"k{n}","value":[1e2,{{"a":"\\n"}}],"place":[{n},0,[1,2,255]],"more":[]"#
                ),
                r#""value":"é","place":null,"key":"k","type":"write""#.to_owned(),
                format!(r#""type":"other","n":{n}"#),
            ];
            let body = &body[n % 3];
            lines.push(format!(r#"{{"src":"c1","dest":"n1","body":{{{body},"msg_id":{n}}}}}"#));
        }
        let handler = handler_fn(|request, cx| match request.parse()? {
            Ask::Write { key, value, place } => {
                cx.reply_with(request, &Tell::WriteOk { key, was: value, place })
            }
            Ask::Other => cx.reply(request, "other_ok").send(),
        });
        let mut node = Node::new(handler, Config::default());
        let mut out = OutBuffer::new();
        let init = r#"{"src":"c0","dest":"n1","body":{"type":"init","node_id":"n1","node_ids":["n1"]}}"#;
        node.handle_line(Instant::START, Line::new(init.as_bytes()), &mut out);
        for round in 0..3 {
            for line in &lines {
                let before = ALLOCATIONS.get();
                node.handle_line(Instant::START, Line::new(line.as_bytes()), &mut out);
                let allocated = ALLOCATIONS.get() - before;
                // Everything gets its size first.
                assert!(round == 0 || allocated == 0, "{allocated} allocations for {line}");
                out.consume(out.len());
            }
        }
        assert_eq!(node.counters().errors, 0);
    }

    #[test]
    fn a_typed_echo_allocates_nothing() {
        let handler = handler_fn(|request, cx| {
            let echo::Request::Echo { echo } = request.parse()?;
            cx.reply_with(request, &echo::Reply::EchoOk { echo })
        });
        let (mut node, mut out) = (Node::new(handler, Config::default()), OutBuffer::new());
        let mut receive = |line: &str| {
            let before = ALLOCATIONS.get();
            node.handle_line(Instant::START, Line::new(line.as_bytes()), &mut out);
            out.consume(out.len());
            ALLOCATIONS.get() - before
        };
        receive(r#"{"src":"c0","dest":"n1","body":{"type":"init","node_id":"n1","node_ids":["n1"]}}"#);
        let line = r#"{"src":"c1","dest":"n1","body":{"type":"echo","echo":{"a":[1e2,"\n"]},"msg_id":1}}"#;
        // The log of the newest messages gets its size first.
        for n in 0..2000 {
            assert!(receive(line) == 0 || n < 1000);
        }
    }
}

/// Calls n2, as often and in the way that the request says.
struct Caller {
    answered: usize,
}

impl Handler for Caller {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        for n in 0..request.integer("times")? {
            if request.kind() == "tell" {
                cx.message("n2", "told").field("key", n).send()?;
                continue;
            }
            let call = cx.call("n2", "read").field("key", n);
            match request.kind() {
                "forget" => call.forget()?,
                "call" => call
                    .then(move |this, outcome, _| this.answered += usize::from(outcome.is_ok() && n >= 0))?,
                "retry" => call
                    .policy(Policy::repeat(3, Duration::from_secs(1)))
                    .then(move |this, outcome, _| this.answered += usize::from(outcome.is_ok() && n >= 0))?,
                kind => return Err(RpcError::not_supported(kind)),
            }
        }
        Ok(())
    }
}

struct Calls {
    node: Node<Caller>,
    out: OutBuffer,
}

impl Calls {
    fn new() -> Self {
        let node = Node::new(Caller { answered: 0 }, Config::default());
        let mut calls = Self { node, out: OutBuffer::new() };
        calls.receive(
            r#"{"src":"c0","dest":"n1","body":{"type":"init","node_id":"n1","node_ids":["n1","n2"]}}"#,
        );
        calls
    }

    fn receive(&mut self, line: &str) {
        self.node.handle_line(Instant::START, Line::new(line.as_bytes()), &mut self.out);
        self.out.consume(self.out.len());
    }
}

#[test]
fn a_call_allocates_one_piece_for_its_callback_and_none_without() {
    const COUNT: usize = 1000;
    for (kind, is_called_back) in [("forget", false), ("call", true), ("retry", true)] {
        let mut calls = Calls::new();
        let request = format!(r#"{{"src":"c1","dest":"n1","body":{{"type":"{kind}","times":1}}}}"#);
        let mut next_msg_id = 0..;
        for round in 0..3 {
            let replies: Vec<String> = next_msg_id
                .by_ref()
                .take(COUNT)
                .map(|id: u64| {
                    format!(r#"{{"src":"n2","dest":"n1","body":{{"type":"read_ok","value":1,"in_reply_to":{id}}}}}"#)
                })
                .collect();
            let before = ALLOCATIONS.get();
            // Up to ten wait at once.
            for replies in replies.chunks(10) {
                for _ in replies {
                    calls.receive(&request);
                }
                for reply in replies {
                    calls.receive(reply);
                }
            }
            let allocated = ALLOCATIONS.get() - before;
            assert_eq!(calls.node.pending_calls(), 0);
            if round > 0 {
                let expected = if is_called_back { COUNT as u64 } else { 0 };
                assert!(allocated <= expected, "{allocated} allocations for {COUNT} of {kind:?}");
            }
        }
        let answered = if is_called_back { 3 * COUNT } else { 0 };
        assert_eq!(calls.node.handler().answered, answered);
    }
}

#[test]
fn a_message_that_waits_for_no_answer_allocates_nothing() {
    let mut calls = Calls::new();
    let request = r#"{"src":"c1","dest":"n1","body":{"type":"tell","times":10}}"#;
    let mut allocated = 0;
    for round in 0..2000 {
        let before = ALLOCATIONS.get();
        calls.receive(request);
        // The log of the newest messages gets its size first.
        allocated += if round < 1000 { 0 } else { ALLOCATIONS.get() - before };
    }
    assert_eq!((allocated, calls.node.counters().sent), (0, 20_000));
}

#[test]
fn a_million_calls_that_all_time_out_leave_nothing() {
    for kind in ["call", "forget"] {
        let mut calls = Calls::new();
        let request = format!(r#"{{"src":"c1","dest":"n1","body":{{"type":"{kind}","times":1000}}}}"#);
        calls.receive(&request);
        let expire = |calls: &mut Calls, now| {
            while calls.node.poll_timeout().is_some_and(|due| due <= now) {
                calls.node.handle_timeout(now, &mut calls.out);
            }
        };
        let end = Instant::START + Duration::from_secs(2);
        expire(&mut calls, end);
        let before = LIVE.get();
        for _ in 0..1000 {
            calls.receive(&request);
        }
        assert_eq!(calls.node.pending_calls(), 1_000_000);
        assert!(LIVE.get() - before > 50 << 20, "it takes memory while they wait");
        expire(&mut calls, end + Duration::from_secs(2));
        assert_eq!((calls.node.pending_calls(), calls.node.counters().reaped), (0, 1_001_000));
        assert!(LIVE.get() - before < 1 << 20, "{} bytes stay", LIVE.get() - before);
    }
}

#[test]
fn the_count_counts() {
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(vec![1u8; 100]));
    assert_eq!(ALLOCATIONS.get() - before, 1);
}
