//! A node in virtual time: nothing sleeps, and every message is seen with the microsecond it left at.
#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(clippy::needless_pass_by_value, clippy::cast_precision_loss, reason = "short tests, short spans")]

use messenger::node::{Config, Node};
use messenger::wire::lines::Line;
use messenger::wire::out::OutBuffer;
use messenger::{Duration, Handler, Instant};
use serde_json::{Value, json};

pub struct Bench<W> {
    pub node: Node<W>,
    out: OutBuffer,
    pub now: Instant,
    /// What the node sent and when, in milliseconds with a fraction.
    pub sent: Vec<(f64, Value)>,
    /// The same as it was written.
    lines: String,
}

impl<W: Handler> Bench<W> {
    /// Node n1 of n1, n2 and n3, after its `init`.
    pub fn new(workload: W, config: Config) -> Self {
        let node = Node::new(workload, config);
        let mut bench =
            Self { node, out: OutBuffer::new(), now: Instant::START, sent: Vec::new(), lines: String::new() };
        let init = json!({"type": "init", "msg_id": 1, "node_id": "n1", "node_ids": ["n1", "n2", "n3"]});
        bench.receive("c0", init);
        assert_eq!(
            bench.take(),
            [(0.0, message("c0", json!({"type": "init_ok", "in_reply_to": 1, "msg_id": 0})))]
        );
        bench.take_lines();
        bench
    }

    /// The node gets a message.
    pub fn receive(&mut self, src: &str, body: Value) {
        self.receive_line(&json!({"src": src, "dest": "n1", "body": body}).to_string());
    }

    /// The node gets a line.
    pub fn receive_line(&mut self, line: &str) {
        self.node.handle_line(self.now, Line::new(line.as_bytes()), &mut self.out);
        self.note();
    }

    /// Time passes, and the node does what is due when it is due, or now if that was missed.
    pub fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(due) = self.node.poll_timeout().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            let due = self.now;
            self.node.handle_timeout(due, &mut self.out);
            self.note();
        }
        self.now = end;
    }

    pub fn pass_ms(&mut self, millis: u64) {
        self.pass(Duration::from_millis(millis));
    }

    /// What the node sent since this was last asked.
    pub fn take(&mut self) -> Vec<(f64, Value)> {
        std::mem::take(&mut self.sent)
    }

    /// The lines that the node sent since this was last asked.
    pub fn take_lines(&mut self) -> String {
        self.sent.clear();
        std::mem::take(&mut self.lines)
    }

    /// The bodies of what the node sent since this was last asked.
    pub fn bodies(&mut self) -> Vec<Value> {
        self.take().into_iter().map(|(_, message)| message["body"].clone()).collect()
    }

    /// The times at which something was sent.
    pub fn times(&self) -> Vec<f64> {
        self.sent.iter().map(|(time, _)| *time).collect()
    }

    fn note(&mut self) {
        // Every disk is fast.
        while self.node.poll_persist().is_some() {
            self.node.handle_durable(&mut self.out);
        }
        let millis = self.now.as_micros() as f64 / 1000.0;
        let lines = std::str::from_utf8(self.out.waiting()).unwrap();
        self.lines.push_str(lines);
        for line in lines.lines() {
            self.sent.push((millis, serde_json::from_str(line).unwrap()));
        }
        self.out.consume(self.out.len());
    }
}

/// A message of n1.
pub fn message(dest: &str, body: Value) -> Value {
    json!({"src": "n1", "dest": dest, "body": body})
}
