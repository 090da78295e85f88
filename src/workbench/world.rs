//! The world that nodes live in during a test: the network, the clients, the services and what goes wrong.
//!
//! It knows no process and no clock. A driver hands it the lines that nodes say and the time, and hands each node
//! what is in its [`inbox`](World::inbox); that is the same for nodes that are processes and for nodes in virtual
//! time.

use std::collections::VecDeque;
use std::{fmt, mem};

use fastrand::Rng;
use slab::Slab;

use super::checker::stats::Availability;
use super::checker::{Completion, Interval};
use super::exercise::{Answer, Exercise, Generator, MalformedReply, Operation, Outcome, closed};
use super::journal::{Address, Journal, Logging};
use super::nemesis::{Fault, Nemesis, ProcessCommand, Window};
use super::network::{Distribution, Latency, Network};
use super::service::Services;
use crate::json::parser::Parser;
use crate::json::text::{beginning, excerpt};
use crate::json::value::Integer;
use crate::json::write::WriteJson as _;
use crate::time::{Duration, Instant};
use crate::timer::{TimerKey, Wheel};
use crate::wire::envelope::{Body, UncheckedEnvelope};
use crate::wire::lines::Line;
use crate::wire::out::OutBuffer;

/// How long a node may take for its `init`.
const INIT_WITHIN: Duration = Duration::from_secs(10);

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the cluster has to recover before the final operations.
const RECOVERY: Duration = Duration::from_secs(10);

/// So many bytes may wait for a node to read them.
const INBOX_MAX: usize = 256 * 1024 * 1024;

/// So many operations are kept. With them a test ends.
const OPERATIONS_MAX: usize = 5_000_000;

/// So many elements in answers to reads are kept. With them a test ends, too.
const ELEMENTS_MAX: usize = 50_000_000;

/// Operations that are due this long ago are not made up for any more.
const BEHIND_MAX: Duration = Duration::from_secs(1);

/// The next microsecond. A process starts nothing in the microsecond in which its last operation ended, or the
/// checkers would take the two for concurrent.
const TICK: Duration = Duration::from_micros(1);

/// What a test is like.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is tested.
    pub exercise: Exercise,
    /// How many nodes there are.
    pub nodes: usize,
    /// How many clients ask at once.
    pub workers: usize,
    /// How many operations there are a second, all clients together. Without a rate every client asks again as
    /// soon as it has its answer.
    pub rate: Option<f64>,
    /// For how long.
    pub time_limit: Duration,
    /// How long messages between nodes take.
    pub latency: Latency,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// How long until a fault starts, and until it ends.
    pub fault_interval: Duration,
    /// Which neighbours the nodes are told to have.
    pub topology: Topology,
    /// How many operations have to succeed.
    pub availability: Availability,
    /// The same seed and the same nodes make the same test.
    pub seed: u64,
    /// How many messages are kept for the journal.
    pub journal_size: usize,
    /// Which messages are logged.
    pub logging: Logging,
}

impl Settings {
    /// How long a client waits for an answer.
    pub fn patience(&self) -> Duration {
        match self.exercise {
            // As in Maelstrom: linearizability is checked faster if fewer operations are concurrent.
            Exercise::LinKv => {
                Duration::from_micros(10 * self.latency.mean.as_micros()).max(Duration::from_secs(1))
            }
            _ => PATIENCE,
        }
    }

    /// How long this crate's own nodes take at most, lest they answer a client that is gone.
    pub fn answer_within(&self) -> Duration {
        Duration::from_micros(self.patience().as_micros() / 100 * 95)
    }

    /// Five nodes, each with a client, five operations a second for ten seconds, no latency and no faults.
    pub const fn new(exercise: Exercise) -> Self {
        Self {
            exercise,
            nodes: 5,
            workers: 5,
            rate: Some(5.0),
            time_limit: Duration::from_secs(10),
            latency: Latency { mean: Duration::ZERO, spread: Distribution::Constant },
            faults: Vec::new(),
            fault_interval: Duration::from_secs(10),
            topology: Topology::Grid,
            availability: Availability::None,
            seed: 0,
            journal_size: 200_000,
            logging: Logging { sent: false, received: false },
        }
    }
}

/// The neighbours that a broadcast test suggests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Topology {
    /// Rows of about the square root of the number of nodes.
    #[default]
    Grid,
    /// Each to the next.
    Line,
    /// Each to all others.
    Total,
    /// Each to so many children.
    Tree(usize),
}

/// As on the command line: `grid`, `tree3`.
impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grid => f.write_str("grid"),
            Self::Line => f.write_str("line"),
            Self::Total => f.write_str("total"),
            Self::Tree(children) => write!(f, "tree{children}"),
        }
    }
}

impl Topology {
    /// The neighbours of a node among so many.
    fn neighbours(self, node: usize, nodes: usize) -> Vec<usize> {
        let width = (1..=nodes).find(|width| width * width >= nodes).unwrap_or(1);
        let is_next = |a: usize, b: usize| match self {
            Self::Grid => b == a + width || b == a + 1 && !b.is_multiple_of(width),
            Self::Line => b == a + 1,
            Self::Total => a < b,
            Self::Tree(children) => b > 0 && (b - 1) / children == a,
        };
        (0..nodes).filter(|&other| is_next(node, other) || is_next(other, node)).collect()
    }
}

/// What a client asked for, and what became of it.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Whose: a worker goes on under a new number when it does not know what became of its last operation.
    pub process: usize,
    /// Which node was asked.
    pub node: usize,
    /// What it was asked for.
    pub operation: Operation,
    /// From when to when.
    pub interval: Interval,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether it was one of the last, after the recovery.
    pub is_final: bool,
}

/// Why a test ended before its time: a node did what no node may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which node.
    pub node: usize,
    /// When.
    pub at: Instant,
    /// What it did, and what was expected.
    pub reason: String,
    /// The line in which it did it.
    pub line: Option<String>,
}

/// Answers of one sort that nobody waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnexpectedReplies {
    /// How many there were.
    pub count: u64,
    /// The first one.
    pub first: Option<String>,
}

impl UnexpectedReplies {
    fn note(&mut self, line: &[u8]) {
        self.count += 1;
        self.first.get_or_insert_with(|| shown(line));
    }
}

/// A line as people get to see it.
fn shown(line: &[u8]) -> String {
    const SHOWN: usize = 500;
    beginning(&String::from_utf8_lossy(line), SHOWN).into_owned()
}

/// See the [module](self).
#[derive(Debug)]
pub struct World {
    settings: Settings,
    now: Instant,
    rng: Rng,
    events: Wheel<Event>,
    phase: Phase,
    nodes: Vec<Node>,
    network: Network,
    packets: Slab<Packet>,
    services: Services,
    nemesis: Nemesis,
    generator: Generator,
    workers: Vec<Worker>,
    /// Workers that wait for something to do, and since when.
    free: VecDeque<(usize, Instant)>,
    /// When the next operation is due.
    next_at: Instant,
    /// It was due when everybody was busy.
    is_owed: bool,
    /// Whom each client number stands for.
    clients: Vec<Client>,
    /// What there is to do for the driver.
    orders: Vec<ProcessCommand>,
    /// Away while a line is read.
    parser: Option<Parser>,
    history: Vec<Invocation>,
    journal: Journal,
    late_answers: UnexpectedReplies,
    stray_answers: UnexpectedReplies,
    failure: Option<Failure>,
    started: Instant,
    /// When the last operations were invoked, but for the final ones.
    ended: Instant,
    /// How many elements the answers to reads have together.
    elements: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nodes get their `init`, and clients prepare.
    Starting,
    Running,
    /// No more operations start.
    Ending,
    Recovering,
    Final,
    Done,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    InitTimeout(usize),
    Arrival(usize),
    Next,
    /// A worker without pause may go on.
    Go(usize),
    Timeout(usize),
    Fault(usize),
    End,
    Recovered,
}

/// A message between nodes or services that is under way.
#[derive(Debug)]
struct Packet {
    id: u64,
    src: Address,
    dest: Address,
    /// The line, if it is for a node; the body, if it is for a service.
    text: Box<[u8]>,
}

#[derive(Debug)]
struct Node {
    inbox: OutBuffer,
    /// Killed, and not started again.
    is_dead: bool,
    /// The client that waits for the answer to its `init`, and until when.
    init: Option<(usize, TimerKey)>,
}

#[derive(Debug)]
struct Worker {
    process: usize,
    node: usize,
    client: usize,
    next_msg_id: u64,
    waits: Option<Waits>,
    is_prepared: bool,
}

/// What a worker waits for.
#[derive(Debug)]
struct Waits {
    msg_id: u64,
    timeout: TimerKey,
    /// Its place in the history; none for what is no operation.
    invocation: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Client {
    Init(usize),
    Worker(usize),
    /// It told a node something, and does not care for the answer.
    Told,
    /// It is gone.
    Closed,
}

impl World {
    /// A world in which nothing has happened yet. The driver has started the nodes.
    pub fn new(settings: Settings) -> Self {
        let Settings { exercise, nodes, workers, latency, .. } = settings;
        let node = |_| Node { inbox: OutBuffer::new(), is_dead: false, init: None };
        let worker = |place| Worker {
            process: place,
            node: place % nodes,
            client: 0,
            next_msg_id: 1,
            waits: None,
            is_prepared: exercise != Exercise::Broadcast,
        };
        let mut world = Self {
            now: Instant::START,
            rng: Rng::with_seed(settings.seed),
            events: Wheel::new(),
            phase: Phase::Starting,
            nodes: (0..nodes).map(node).collect(),
            network: Network::new(latency, nodes),
            packets: Slab::new(),
            services: Services::default(),
            nemesis: Nemesis::new(&settings.faults, settings.fault_interval, nodes),
            generator: Generator::new(exercise, nodes, workers),
            workers: (0..workers).map(worker).collect(),
            free: VecDeque::new(),
            next_at: Instant::START,
            is_owed: false,
            clients: Vec::new(),
            orders: Vec::new(),
            parser: None,
            history: Vec::new(),
            journal: Journal::new(settings.journal_size, settings.logging),
            late_answers: UnexpectedReplies::default(),
            stray_answers: UnexpectedReplies::default(),
            failure: None,
            started: Instant::START,
            ended: Instant::END,
            elements: 0,
            settings,
        };
        (0..nodes).for_each(|node| world.init(node));
        world
    }

    /// What is there for a node to read.
    pub fn inbox(&mut self, node: usize) -> &mut OutBuffer {
        &mut self.nodes[node].inbox
    }

    /// What is to be done to nodes.
    pub fn take_commands(&mut self) -> Vec<ProcessCommand> {
        mem::take(&mut self.orders)
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        self.events.next_deadline()
    }

    /// Whether the test is over.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Done || self.failure.is_some()
    }

    /// What a node did that ends the test.
    pub const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Ends the test: a node did what no node may.
    pub fn fail(&mut self, node: usize, reason: impl Into<String>, line: Option<&[u8]>) {
        let line = line.map(shown);
        self.failure.get_or_insert(Failure { node, at: self.now, reason: reason.into(), line });
    }

    /// Every operation so far, in the order in which they were invoked.
    pub fn history(&self) -> &[Invocation] {
        &self.history
    }

    /// Every message so far.
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What went wrong so far, and when.
    pub fn faults(&self) -> &[Window] {
        &self.nemesis.windows
    }

    /// Answers for clients that had given up.
    pub const fn late_answers(&self) -> &UnexpectedReplies {
        &self.late_answers
    }

    /// Answers to what a client had not asked, or had an answer to.
    pub const fn stray_answers(&self) -> &UnexpectedReplies {
        &self.stray_answers
    }

    /// How long operations were invoked.
    pub fn run_time(&self) -> Duration {
        self.ended.min(self.now) - self.started
    }

    /// When the operations began.
    pub const fn started(&self) -> Instant {
        self.started
    }

    /// What the test is like.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        while self.failure.is_none()
            && let Some((_, event)) = self.events.pop_expired(now)
        {
            match event {
                Event::InitTimeout(node) => {
                    let seconds = INIT_WITHIN.as_micros() / 1_000_000;
                    self.fail(node, format!("it did not answer `init` within {seconds} seconds"), None);
                }
                Event::Arrival(packet) => self.arrive(packet),
                Event::Next => self.next(),
                Event::Go(worker) => self.go(worker),
                Event::Timeout(worker) => self.time_out(worker),
                // Once it is healed, nothing goes wrong any more.
                Event::Fault(_) | Event::End if self.phase != Phase::Running => {}
                Event::Fault(place) => {
                    let nodes = &self.nodes;
                    let free = |node: usize| !nodes[node].is_dead && nodes[node].init.is_none();
                    let orders = self.nemesis.turn(place, now, &mut self.network, free, &mut self.rng);
                    self.apply(orders);
                    let pause = self.nemesis.pause(&mut self.rng);
                    self.events.insert(now + pause, Event::Fault(place));
                }
                Event::End => {
                    self.phase = Phase::Ending;
                    self.ended = now;
                    let orders = self.nemesis.heal(now, &mut self.network);
                    self.apply(orders);
                    self.end_if_quiet();
                }
                Event::Recovered => self.start_final(),
            }
        }
    }

    /// A node said this line.
    pub fn handle_line(&mut self, now: Instant, node: usize, line: Line<'_>) {
        self.now = now;
        let mut parser = self.parser.take().unwrap_or_default();
        if let Err((reason, line)) = self.read_line(node, line, &mut parser) {
            self.fail(node, reason, Some(&line));
        }
        self.parser = Some(parser);
    }

    /// Takes a message of a node; or why it is none, and the line.
    fn read_line(
        &mut self,
        node: usize,
        line: Line<'_>,
        parser: &mut Parser,
    ) -> Result<(), (String, Vec<u8>)> {
        const EXPECTED: &str = "expected a message on its stdout: a JSON object with src, dest and body";
        if line.bytes().trim_ascii().is_empty() {
            return Err((format!("{EXPECTED}; found a blank line"), Vec::new()));
        }
        let bytes = line.bytes().to_vec();
        let fail = |reason: String| (reason, bytes.clone());
        let unchecked = UncheckedEnvelope::parse(parser, line)
            .map_err(|error| fail(format!("{EXPECTED}; not JSON: {error}")))?;
        let message = unchecked.check().map_err(|error| fail(format!("{EXPECTED}; {error}")))?;
        if let Some(key) = unchecked.unknown_key() {
            return Err(fail(format!(
                "expected no keys but src, dest, body and id in a message; found {:?}",
                excerpt(&key)
            )));
        }
        let src = Address::Node(node);
        if Address::parse(&message.src) != Some(src) {
            return Err(fail(format!(
                "expected src {:?}, itself; found {:?}",
                src.to_string(),
                excerpt(&message.src)
            )));
        }
        let dest = Address::parse(&message.dest).filter(|dest| match *dest {
            Address::Node(node) => node < self.nodes.len(),
            Address::Client(client) => client < self.clients.len(),
            Address::Service(_) => true,
        });
        let Some(dest) = dest else {
            let dest = excerpt(&message.dest);
            return Err(fail(format!("it wrote to {dest:?}, which does not exist")));
        };
        let body = message.body.value().raw();
        let id = self.journal.sent(self.now, src, dest, body);
        match dest {
            Address::Client(client) => {
                self.journal.received(self.now, src, dest, id);
                self.handle_answer(node, client, &message.body, &bytes).map_err(fail)
            }
            Address::Node(_) => {
                self.send_packet(id, src, dest, &frame(id, src, dest, body));
                Ok(())
            }
            Address::Service(_) => {
                self.send_packet(id, src, dest, &bytes);
                Ok(())
            }
        }
    }

    /// Puts a message on its way.
    fn send_packet(&mut self, id: u64, src: Address, dest: Address, text: &[u8]) {
        let is_between_nodes =
            matches!((src, dest), (Address::Node(src), Address::Node(dest)) if src != dest);
        let copies = self.network.copies(is_between_nodes, &mut self.rng);
        if copies.is_empty() {
            self.journal.lost(id);
        }
        for delay in copies {
            let packet = self.packets.insert(Packet { id, src, dest, text: text.into() });
            self.events.insert(self.now + delay, Event::Arrival(packet));
        }
    }

    /// A message is there.
    fn arrive(&mut self, packet: usize) {
        let Packet { id, src, dest, text } = self.packets.remove(packet);
        if let Address::Node(receiver) = dest {
            let is_blocked =
                matches!(src, Address::Node(sender) if self.network.is_blocked(sender, receiver));
            if is_blocked || self.nodes[receiver].is_dead {
                return self.journal.lost(id);
            }
        }
        self.journal.received(self.now, src, dest, id);
        match dest {
            Address::Node(node) => self.deliver(node, &text),
            Address::Service(service) => {
                let parser = self.parser.get_or_insert_default();
                let Ok(unchecked) = UncheckedEnvelope::parse(parser, Line::new(&text)) else { return };
                let Ok(request) = unchecked.check() else { return };
                let mut members = Vec::new();
                if !self.services.answer(service, &request.src, &request.body, &mut self.rng, &mut members) {
                    return;
                }
                if let Some(msg_id) = request.body.msg_id {
                    members.extend_from_slice(b",\"in_reply_to\":");
                    msg_id.write_json(&mut members);
                }
                let body = format!("{{{}}}", String::from_utf8_lossy(&members));
                let reply = self.journal.sent(self.now, dest, src, &body);
                self.send_packet(reply, dest, src, &frame(reply, dest, src, &body));
            }
            Address::Client(_) => {}
        }
    }

    /// Hands a line to a node.
    fn deliver(&mut self, node: usize, line: &[u8]) {
        let inbox = &mut self.nodes[node].inbox;
        inbox.start_line().extend_from_slice(line);
        inbox.end_line();
        if inbox.len() > INBOX_MAX {
            self.fail(node, format!("it does not read its stdin: {INBOX_MAX} bytes wait there"), None);
        }
    }

    /// A client sends a request; its number.
    fn request(&mut self, client: usize, node: usize, msg_id: u64, members: &[u8]) {
        let mut body = Vec::with_capacity(members.len() + 32);
        body.push(b'{');
        body.extend_from_slice(members);
        body.extend_from_slice(b",\"msg_id\":");
        msg_id.write_json(&mut body);
        body.push(b'}');
        let body = String::from_utf8(body).expect("it was written from strings");
        let (src, dest) = (Address::Client(client), Address::Node(node));
        let id = self.journal.sent(self.now, src, dest, &body);
        if self.nodes[node].is_dead {
            return self.journal.lost(id);
        }
        self.journal.received(self.now, src, dest, id);
        self.deliver(node, &frame(id, src, dest, &body));
    }

    fn open_client(&mut self, client: Client) -> usize {
        self.clients.push(client);
        self.clients.len() - 1
    }

    /// Tells a node who it is.
    fn init(&mut self, node: usize) {
        let client = self.open_client(Client::Init(node));
        let names: Vec<String> = (0..self.nodes.len()).map(|node| Address::Node(node).to_string()).collect();
        let mut members = b"\"type\":\"init\",\"node_id\":".to_vec();
        names[node].write_json(&mut members);
        members.extend_from_slice(b",\"node_ids\":");
        names.write_json(&mut members);
        let timeout = self.events.insert(self.now + INIT_WITHIN, Event::InitTimeout(node));
        self.nodes[node].init = Some((client, timeout));
        self.request(client, node, 1, &members);
    }

    /// A message of a node for a client.
    fn handle_answer(
        &mut self,
        node: usize,
        client: usize,
        body: &Body<'_>,
        line: &[u8],
    ) -> Result<(), String> {
        if body.in_reply_to.is_none() {
            return Err(
                "expected in_reply_to, the msg_id of the request that it answers; found nothing".to_owned()
            );
        }
        let in_reply_to = body.in_reply_to.and_then(Integer::as_u64);
        match self.clients[client] {
            Client::Told => {}
            Client::Closed => self.late_answers.note(line),
            Client::Init(expected) => {
                if expected != node || in_reply_to != Some(1) {
                    return Err("expected in_reply_to 1 in the answer to `init`".to_owned());
                }
                closed(body, "init_ok", &[])
                    .map_err(|MalformedReply(text)| format!("its answer to `init`: {text}"))?;
                self.clients[client] = Client::Closed;
                if let Some((_, timeout)) = self.nodes[node].init.take() {
                    self.events.cancel(timeout);
                }
                if self.phase != Phase::Starting {
                    self.tell_topology(node);
                } else if self.nodes.iter().all(|node| node.init.is_none()) {
                    self.open_workers();
                }
            }
            Client::Worker(worker) => {
                let expected = self.workers[worker].waits.as_ref().map(|waits| waits.msg_id);
                if in_reply_to.is_some() && in_reply_to == expected {
                    return self.take_answer(worker, body);
                }
                self.stray_answers.note(line);
            }
        }
        Ok(())
    }

    /// Every node has answered its `init`: clients come, and prepare for their work.
    fn open_workers(&mut self) {
        let members = self.topology();
        for place in 0..self.workers.len() {
            self.workers[place].client = self.open_client(Client::Worker(place));
            if !self.workers[place].is_prepared {
                self.ask(place, None, &members);
            }
        }
        self.start_if_prepared();
    }

    /// A node that was started again has to be told of its neighbours again.
    fn tell_topology(&mut self, node: usize) {
        if self.settings.exercise == Exercise::Broadcast {
            let client = self.open_client(Client::Told);
            let members = self.topology();
            self.request(client, node, 1, &members);
        }
    }

    /// The members of a `topology` request.
    fn topology(&self) -> Vec<u8> {
        let (mut members, nodes) = (b"\"type\":\"topology\",\"topology\":{".to_vec(), self.nodes.len());
        for node in 0..nodes {
            if node > 0 {
                members.push(b',');
            }
            Address::Node(node).to_string().write_json(&mut members);
            members.push(b':');
            let neighbours = self.settings.topology.neighbours(node, nodes);
            let neighbours: Vec<_> =
                neighbours.into_iter().map(|node| Address::Node(node).to_string()).collect();
            neighbours.write_json(&mut members);
        }
        members.push(b'}');
        members
    }

    fn start_if_prepared(&mut self) {
        if self.phase != Phase::Starting || !self.workers.iter().all(|worker| worker.is_prepared) {
            return;
        }
        self.phase = Phase::Running;
        self.started = self.now;
        self.events.insert(self.now + self.settings.time_limit, Event::End);
        for place in self.nemesis.faults() {
            let pause = self.nemesis.pause(&mut self.rng);
            self.events.insert(self.now + pause, Event::Fault(place));
        }
        if self.settings.rate.is_some() {
            self.free = (0..self.workers.len()).map(|worker| (worker, self.now)).collect();
            self.next_at = self.now;
            self.next_soon();
        } else {
            for worker in 0..self.workers.len() {
                self.events.insert(self.now + TICK, Event::Go(worker));
            }
        }
    }

    /// It is time for another operation.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "intervals are positive and not long"
    )]
    fn next(&mut self) {
        let Some(rate) = self.settings.rate.filter(|_| self.phase == Phase::Running) else { return };
        match self.free.front() {
            None => self.is_owed = true,
            // It was just in use.
            Some((_, since)) if *since >= self.now => self.next_soon(),
            Some(_) => {
                let Some((worker, _)) = self.free.pop_front() else { return };
                self.go(worker);
                let pause = Duration::from_micros((self.rng.f64() * 2e6 / rate) as u64).max(TICK);
                // What was due while everybody was busy, or nobody looked, is made up for, but not for ever.
                let behind = self.now - self.next_at > BEHIND_MAX;
                self.next_at = if behind { self.now } else { self.next_at } + pause;
                self.events.insert(self.next_at, Event::Next);
            }
        }
    }

    fn next_soon(&mut self) {
        self.events.insert(self.now + TICK, Event::Next);
    }

    /// A worker does its next operation.
    fn go(&mut self, worker: usize) {
        let operation = match self.phase {
            Phase::Running => Some(self.generator.next(worker, &mut self.rng)),
            Phase::Final => self.settings.exercise.final_operation(),
            _ => None,
        };
        let Some(operation) = operation else { return };
        if self.phase == Phase::Running
            && (self.history.len() >= OPERATIONS_MAX || self.elements >= ELEMENTS_MAX)
        {
            self.events.insert(self.now, Event::End);
            return;
        }
        let Worker { process, node, .. } = self.workers[worker];
        let invocation = self.history.len();
        self.history.push(Invocation {
            process,
            node,
            operation,
            interval: Interval { invoked: self.now, completed: Instant::END },
            outcome: Outcome::Info("the test ended".into()),
            is_final: self.phase == Phase::Final,
        });
        let mut members = b"\"type\":".to_vec();
        operation.kind().write_json(&mut members);
        operation.write_fields(&mut members);
        self.ask(worker, Some(invocation), &members);
    }

    /// A worker sends a request, and waits for the answer.
    fn ask(&mut self, place: usize, invocation: Option<usize>, members: &[u8]) {
        let timeout = self.events.insert(self.now + self.settings.patience(), Event::Timeout(place));
        let worker = &mut self.workers[place];
        let msg_id = worker.next_msg_id;
        worker.next_msg_id += 1;
        worker.waits = Some(Waits { msg_id, timeout, invocation });
        let (client, node) = (worker.client, worker.node);
        self.request(client, node, msg_id, members);
    }

    /// The answer that a worker waits for.
    fn take_answer(&mut self, place: usize, body: &Body<'_>) -> Result<(), String> {
        let Some(Waits { timeout, invocation, .. }) = self.workers[place].waits.take() else { return Ok(()) };
        self.events.cancel(timeout);
        let Some(invocation) = invocation else {
            closed(body, "topology_ok", &[])
                .map_err(|MalformedReply(text)| format!("its answer to `topology`: {text}"))?;
            self.workers[place].is_prepared = true;
            self.start_if_prepared();
            return Ok(());
        };
        let operation = self.history[invocation].operation;
        let outcome = operation
            .read_answer(self.settings.exercise, body)
            .map_err(|MalformedReply(text)| format!("its answer to `{}`: {text}", operation.kind()))?;
        self.complete(place, invocation, outcome);
        Ok(())
    }

    /// A worker has waited long enough.
    fn time_out(&mut self, place: usize) {
        let Some(waits) = self.workers[place].waits.take() else { return };
        let node = self.workers[place].node;
        match waits.invocation {
            None => self.fail(node, "it did not answer `topology` within 5 seconds", None),
            Some(invocation) => {
                let is_indefinite = !self.history[invocation].operation.is_idempotent();
                self.complete(place, invocation, Outcome::Silence { is_indefinite });
            }
        }
    }

    /// An operation has ended.
    fn complete(&mut self, place: usize, invocation: usize, outcome: Outcome) {
        if outcome.completion() == Completion::Info {
            // Nobody knows what its process has done: another one goes on.
            let client = self.open_client(Client::Worker(place));
            let (workers, worker) = (self.workers.len(), &mut self.workers[place]);
            worker.process += workers;
            self.clients[mem::replace(&mut worker.client, client)] = Client::Closed;
            worker.next_msg_id = 1;
        }
        if let Outcome::Ok(Answer::Elements(elements)) = &outcome {
            self.elements += elements.len();
        }
        let entry = &mut self.history[invocation];
        entry.interval.completed = self.now;
        entry.outcome = outcome;
        match self.phase {
            Phase::Running if self.settings.rate.is_some() => {
                self.free.push_back((place, self.now));
                if mem::take(&mut self.is_owed) {
                    self.next_soon();
                }
            }
            Phase::Running => {
                self.events.insert(self.now + TICK, Event::Go(place));
            }
            Phase::Ending | Phase::Final => self.end_if_quiet(),
            Phase::Starting | Phase::Recovering | Phase::Done => {}
        }
    }

    /// Goes on if no operation is open any more.
    fn end_if_quiet(&mut self) {
        if self.workers.iter().any(|worker| worker.waits.is_some()) {
            return;
        }
        let has_final = self.settings.exercise.final_operation().is_some();
        match self.phase {
            Phase::Ending if has_final => {
                self.phase = Phase::Recovering;
                self.events.insert(self.now + RECOVERY, Event::Recovered);
            }
            Phase::Ending | Phase::Final => self.phase = Phase::Done,
            _ => {}
        }
    }

    fn start_final(&mut self) {
        self.phase = Phase::Final;
        (0..self.workers.len()).for_each(|worker| self.go(worker));
    }

    /// Notes what is done to nodes, and lets the driver do it.
    fn apply(&mut self, orders: Vec<ProcessCommand>) {
        self.orders.extend(&orders);
        for order in orders {
            match order {
                ProcessCommand::Kill(node) => {
                    let inbox = &mut self.nodes[node].inbox;
                    inbox.consume(inbox.len());
                    self.nodes[node].is_dead = true;
                    if let Some((_, timeout)) = self.nodes[node].init.take() {
                        self.events.cancel(timeout);
                    }
                }
                ProcessCommand::Start(node) => {
                    self.nodes[node].is_dead = false;
                    self.init(node);
                }
                ProcessCommand::Pause(_) | ProcessCommand::Resume(_) => {}
            }
        }
    }
}

/// A message as its receiver reads it, without the newline.
fn frame(id: u64, src: Address, dest: Address, body: &str) -> Vec<u8> {
    format!("{{\"id\":{id},\"src\":\"{src}\",\"dest\":\"{dest}\",\"body\":{body}}}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::network::Distribution;
    use super::super::simulation;
    use super::*;

    #[test]
    fn what_was_wrong_is_healed_when_the_time_is_over_and_stays_so() {
        let mut world = World::new(Settings {
            exercise: Exercise::Echo,
            nodes: 3,
            workers: 3,
            rate: Some(10.0),
            time_limit: Duration::from_secs(5),
            latency: Latency { mean: Duration::ZERO, spread: Distribution::Constant },
            faults: vec![Fault::Pause, Fault::Partition, Fault::Loss],
            fault_interval: Duration::from_millis(700),
            topology: Topology::Grid,
            availability: Availability::None,
            seed: 1,
            journal_size: 0,
            logging: Logging::default(),
        });
        simulation::run_own_nodes(&mut world);
        let end = world.started() + Duration::from_secs(5);
        assert!(world.faults().len() > 6);
        assert!(
            world.faults().iter().all(|window| window.to.is_some_and(|to| window.from < to && to <= end))
        );
    }
}
