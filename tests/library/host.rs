//! A node of this crate in virtual time, as the other nodes and the clients see it, with a log that it is started from
//! again.

use messenger::node::{Config, Node};
use messenger::store::{Memory, Store as _};
use messenger::wire::lines::Line;
use messenger::wire::out::OutBuffer;
use messenger::{Duration, Handler, Instant};
use serde_json::{Value, json};

/// Node n1 with a disk that is fast, of as many nodes as it is told.
pub struct Host<H> {
    node: Node<H>,
    pub store: Memory,
    out: OutBuffer,
    now: Instant,
    nodes: usize,
}

impl<H: Handler> Host<H> {
    pub fn new(nodes: usize, handler: H) -> Self {
        Self::start(nodes, handler, Memory::default(), Instant::START)
    }

    fn start(nodes: usize, handler: H, mut store: Memory, now: Instant) -> Self {
        let mut node = Node::new(handler, Config::default());
        store.recover(&mut |record| node.recover(record)).unwrap();
        let mut host = Self { node, store, out: OutBuffer::new(), now, nodes };
        let names: Vec<_> = (1..=nodes).map(|number| format!("n{number}")).collect();
        host.tell("c0", &json!({"type": "init", "msg_id": 1, "node_id": "n1", "node_ids": names}));
        host
    }

    pub fn restart(self, handler: H) -> Self {
        Self::start(self.nodes, handler, self.store, self.now + Duration::from_millis(1))
    }

    /// Receivers and bodies of what it says to that.
    pub fn tell(&mut self, src: &str, body: &Value) -> Vec<(String, Value)> {
        let line = json!({"src": src, "dest": "n1", "body": body}).to_string();
        self.node.handle_line(self.now, Line::new(line.as_bytes()), &mut self.out);
        self.said()
    }

    /// What it answers a client.
    pub fn ask(&mut self, mut body: Value) -> Value {
        body["msg_id"] = 7.into();
        let said = self.tell("c1", &body);
        said.into_iter().find(|(dest, _)| dest == "c1").expect("an answer at once").1
    }

    pub fn pass_ms(&mut self, millis: u64) -> Vec<(String, Value)> {
        let (end, mut said) = (self.now + Duration::from_millis(millis), Vec::new());
        while let Some(due) = self.node.poll_timeout().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.node.handle_timeout(self.now, &mut self.out);
            said.extend(self.said());
        }
        self.now = end;
        said
    }

    fn said(&mut self) -> Vec<(String, Value)> {
        while let Some(records) = self.node.poll_persist() {
            self.store.commit(records).unwrap();
            self.node.handle_durable(&mut self.out);
        }
        let text = String::from_utf8(self.out.waiting().to_vec()).unwrap();
        self.out.consume(self.out.len());
        let messages = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        messages
            .map(|message| (message["dest"].as_str().unwrap().to_owned(), message["body"].clone()))
            .collect()
    }

    /// How many records its log has, and how many bytes.
    pub fn log(&mut self) -> (usize, usize) {
        let (mut records, mut bytes) = (0, 0);
        let mut count = |record: &[u8]| {
            (records, bytes) = (records + 1, bytes + record.len());
            Ok(())
        };
        self.store.recover(&mut count).unwrap();
        (records, bytes)
    }
}
