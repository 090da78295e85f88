//! Several nodes in one process and in virtual time, on a network that loses, doubles and cuts off.
#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(clippy::needless_pass_by_value, reason = "short tests")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fastrand::Rng;
use messenger::node::{Config, Node};
use messenger::wire::lines::Line;
use messenger::wire::out::OutBuffer;
use messenger::{Duration, Handler, Instant};
use serde_json::{Value, json};

/// What happens to a message of one node or service to another.
pub struct Conditions {
    pub latency: Duration,
    /// Each message takes up to this much longer, by chance.
    pub jitter: Duration,
    pub loss: f64,
    pub duplication: f64,
    /// Whether what goes from one to the other at this time is cut off.
    pub is_cut: Cut,
}

type Cut = Box<dyn Fn(Instant, &str, &str) -> bool>;

/// Makes an answer's body of a request's, or says nothing.
pub type Service = Box<dyn FnMut(&Value) -> Option<Value>>;

pub struct Network<W> {
    pub now: Instant,
    pub conditions: Conditions,
    pub nodes: Vec<Node<W>>,
    /// Messages that nodes sent to nodes or services.
    pub sent: u64,
    /// The longest of them, in bytes.
    pub longest: usize,
    /// What clients got and when, until it is taken.
    pub replies: Vec<(Instant, Value)>,
    service: (String, Service),
    rng: Rng,
    out: OutBuffer,
    /// What is under way, by the time of its arrival.
    transit: BinaryHeap<Reverse<(Instant, u64, String)>>,
    delivered: u64,
    requests: u64,
}

impl<W: Handler> Network<W> {
    /// Nodes n0 and on, all with the same seed, after their `init`.
    pub fn new(count: usize, seed: u64, conditions: Conditions, workload: impl Fn() -> W) -> Self {
        let config = Config { seed, ..Config::default() };
        let mut network = Self {
            now: Instant::START,
            conditions,
            nodes: (0..count).map(|_| Node::new(workload(), config.clone())).collect(),
            sent: 0,
            longest: 0,
            replies: Vec::new(),
            service: (String::new(), Box::new(|_| None)),
            rng: Rng::with_seed(seed),
            out: OutBuffer::new(),
            transit: BinaryHeap::new(),
            delivered: 0,
            requests: 0,
        };
        for node in 0..count {
            network.init(node);
        }
        network
    }

    pub fn with_service(mut self, name: &str, service: Service) -> Self {
        self.service = (name.to_owned(), service);
        self
    }

    fn init(&mut self, node: usize) {
        let names: Vec<_> = (0..self.nodes.len()).map(|node| format!("n{node}")).collect();
        let init = json!({"type": "init", "node_id": names[node], "node_ids": names});
        assert_eq!(self.ask(node, init)["type"], "init_ok");
    }

    /// Kills a node and starts it again with the same seed and an empty memory.
    pub fn restart(&mut self, node: usize, workload: W, config: Config) {
        self.nodes[node] = Node::new(workload, config);
        self.init(node);
    }

    /// A new client asks a node, and gets its answer later. The client's name.
    pub fn request(&mut self, node: usize, mut body: Value) -> String {
        self.requests += 1;
        let client = format!("c{}", self.requests);
        body["msg_id"] = 1.into();
        self.deliver(&json!({"src": client, "dest": format!("n{node}"), "body": body}).to_string());
        client
    }

    /// A new client asks a node that answers at once.
    pub fn ask(&mut self, node: usize, body: Value) -> Value {
        let client = self.request(node, body);
        let (_, reply) = self.replies.pop().expect("an answer at once");
        assert_eq!(reply["dest"], *client);
        reply["body"].clone()
    }

    /// Time goes on. After each event `look` sees everything.
    pub fn run_until(&mut self, end: Instant, mut look: impl FnMut(&mut Self)) {
        loop {
            let arrival = self.transit.peek().map(|Reverse((at, ..))| *at);
            let timers = self.nodes.iter_mut().enumerate().map(|(n, node)| (node.poll_timeout(), n));
            let timer = timers.filter_map(|(due, n)| Some((due?, n))).min();
            match (arrival, timer) {
                (Some(at), timer) if at <= end && timer.is_none_or(|(due, _)| at <= due) => {
                    self.now = at;
                    let Reverse((.., line)) = self.transit.pop().expect("it was peeked at");
                    self.arrive(&line);
                }
                (_, Some((due, n))) if due <= end => {
                    self.now = self.now.max(due);
                    self.nodes[n].handle_timeout(self.now, &mut self.out);
                    self.collect(n);
                }
                _ => break,
            }
            look(self);
        }
        self.now = end;
    }

    fn arrive(&mut self, line: &str) {
        let message: Value = serde_json::from_str(line).unwrap();
        let (src, dest) = (message["src"].as_str().unwrap(), message["dest"].as_str().unwrap());
        if (self.conditions.is_cut)(self.now, src, dest) {
            return;
        }
        if dest != self.service.0 {
            return self.deliver(line);
        }
        if let Some(mut body) = (self.service.1)(&message["body"]) {
            body["in_reply_to"] = message["body"]["msg_id"].clone();
            self.send(json!({"src": dest, "dest": src, "body": body}).to_string());
        }
    }

    fn deliver(&mut self, line: &str) {
        let message: Value = serde_json::from_str(line).unwrap();
        let node: usize = message["dest"].as_str().unwrap()[1..].parse().unwrap();
        self.nodes[node].handle_line(self.now, Line::new(line.as_bytes()), &mut self.out);
        self.collect(node);
    }

    /// Takes what a node has said. What it persists is durable at once, and gone when it starts again.
    fn collect(&mut self, node: usize) {
        while self.nodes[node].poll_persist().is_some() {
            self.nodes[node].handle_durable(&mut self.out);
        }
        let said = String::from_utf8(self.out.waiting().to_vec()).unwrap();
        self.out.consume(self.out.len());
        for line in said.lines() {
            let message: Value = serde_json::from_str(line).unwrap();
            if message["dest"].as_str().unwrap().starts_with('c') {
                self.replies.push((self.now, message));
            } else {
                self.sent += 1;
                self.longest = self.longest.max(line.len());
                self.send(line.to_owned());
            }
        }
    }

    fn send(&mut self, line: String) {
        let copies = 1 + u32::from(self.rng.f64() < self.conditions.duplication);
        for _ in 0..copies {
            if self.rng.f64() >= self.conditions.loss {
                self.delivered += 1;
                let late = Duration::from_micros(self.rng.u64(..=self.conditions.jitter.as_micros()));
                let at = self.now + self.conditions.latency + late;
                self.transit.push(Reverse((at, self.delivered, line.clone())));
            }
        }
    }
}
