//! The world that nodes live in during a test: the network, the clients, the services and what goes wrong.
//!
//! It knows no process and no clock. A driver hands it the lines that nodes say and the time, and hands each node
//! what is in its [`inbox`](World::inbox); that is the same for nodes that are processes and for nodes in virtual
//! time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;

use fastrand::Rng;
use slab::Slab;

use super::checker::{Completion, Interval, Verdict};
use super::data::Data;
use super::history::{Invocation, Operation, Outcome};
use super::journal::{Address, Dropped, Journal};
use super::limits::Limits;
use super::nemesis::{Nemesis, ProcessCommand, Window};
use super::network::{Delivery, Fate, Network};
use super::plan::{Plan, Script};
use super::services::Services;
use super::settings::{InvalidSetting, Settings};
use super::workload::{
    CallFailure, Client, FinalStep, Generator, GeneratorContext, MalformedReply, RequestBody, Rpc, Step,
    Workload,
};
use crate::json::parser::Parser;
use crate::json::text::{beginning, excerpt};
use crate::json::write::WriteJson as _;
use crate::telemetry::diagram::thousands;
use crate::time::{Duration, Instant};
use crate::timer::{TimerKey, Wheel};
use crate::wire::envelope::{Body, SchemaError, UncheckedEnvelope};
use crate::wire::lines::Line;
use crate::wire::out::OutBuffer;

/// How long a node may take for its `init`.
const INIT_WITHIN: Duration = Duration::from_secs(10);

/// How often a node is asked again that left a request without an answer. Each time a client waits as long as ever.
const PROBES: u32 = 3;

/// Operations that are due this long ago are not made up for any more.
const BEHIND_MAX: Duration = Duration::from_secs(1);

/// The next microsecond. A process starts nothing in the microsecond in which its last operation ended, or the
/// checkers would take the two for concurrent.
const TICK: Duration = Duration::from_micros(1);

/// Situations that are kept; a node which names more has a number in the text of one.
const SOMETIMES_MAX: usize = 1_000;

/// What comes before the text of an assertion of a node.
const BROKEN: &str = "it says that this should always hold: ";

/// Why a test ended before its time: a node did what no node may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which node.
    pub node: usize,
    /// When.
    pub at: Instant,
    /// What it did, and what was expected.
    pub reason: String,
    /// [`Verdict::Invalid`] if no right node does that; [`Verdict::Unknown`] where one might, and the workbench holds no
    /// more.
    pub verdict: Verdict,
    /// The line in which it did it.
    pub line: Option<String>,
    /// What Maelstrom does instead of noticing, if it would not have noticed.
    pub unnoticed: Option<&'static str>,
}

/// Something that no node may write.
#[derive(Debug)]
struct Breach {
    reason: String,
    /// See [`Failure::unnoticed`].
    unnoticed: Option<&'static str>,
}

impl Breach {
    /// A line that is no message.
    fn of_line(reason: String) -> Self {
        let unnoticed = "it passes over such a line, or reads nothing more of that node, and goes on";
        Self { reason, unnoticed: Some(unnoticed) }
    }

    /// An answer that is not what its request may be answered with.
    fn of_answer(reason: String) -> Self {
        Self { reason, unnoticed: Some("it takes such an answer for none, and goes on") }
    }
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
    workload: &'static dyn Workload,
    settings: Settings,
    /// How long a client waits for an answer.
    patience: Duration,
    now: Instant,
    /// Chance for the generator.
    rng: Rng,
    /// Chance for the times of operations.
    times_rng: Rng,
    /// The operations, if they are planned.
    script: Option<Script>,
    events: Wheel<Event>,
    phase: Phase,
    nodes: Vec<Node>,
    network: Network,
    packets: Slab<Packet>,
    /// What they take, in bytes.
    under_way: usize,
    services: Services,
    nemesis: Nemesis,
    generator: Box<dyn Generator>,
    workers: Vec<Worker>,
    /// Workers that wait for something to do, and since when.
    free: VecDeque<(usize, Instant)>,
    /// When the next operation is due.
    next_at: Instant,
    /// It was due when everybody was busy.
    is_owed: bool,
    /// Whom each client number stands for.
    clients: Vec<Role>,
    /// The number of each process's client.
    client_of: BTreeMap<usize, usize>,
    /// What each client sends first, if it sends anything.
    setup: Option<Request>,
    /// Where requests are written.
    request: RequestBody,
    /// Where the body of one is written.
    body: Vec<u8>,
    /// What there is to do for the driver.
    commands: Vec<ProcessCommand>,
    /// Where the events of one instant are put in order.
    due: Vec<Event>,
    /// Away while a line is read.
    parser: Option<Parser>,
    history: Vec<Invocation>,
    journal: Journal,
    late_answers: UnexpectedReplies,
    repeated_answers: UnexpectedReplies,
    stray_answers: UnexpectedReplies,
    /// Requests that clients gave up, by client and `msg_id`, and that are not answered yet.
    given_up: BTreeSet<(usize, u64)>,
    /// Messages in which a node names somebody else as the sender.
    borrowed_names: UnexpectedReplies,
    /// The first node that wrote to itself in a client's name, and the client.
    swapped: Option<(usize, Address)>,
    failure: Option<Failure>,
    sometimes: BTreeMap<String, bool>,
    polling: BTreeMap<usize, Instant>,
    started: Instant,
    /// When the last operations were invoked, but for the final ones.
    ended: Instant,
    /// How many values the answers have together.
    values: usize,
    /// Nodes that are asked if they still answer: the worker that asks, and how often it still may.
    probes: Vec<(usize, u32)>,
    silent_nodes: Vec<usize>,
    /// Which bound ended the operations before their time.
    cut_short: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nodes get their `init`, and clients prepare.
    Starting,
    Running,
    /// No more operations start.
    Ending,
    Recovering,
    /// Each worker does what the workload wants of it at last.
    Final,
    /// Nodes that left something without an answer rest once more, and are asked again.
    Probing,
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
    /// A worker goes on in the final phase.
    FinalStep(usize),
    FinalEnd,
    /// A worker asks its node if it still answers.
    Probe(usize),
}

/// A message between nodes or services that is under way.
#[derive(Debug)]
struct Packet {
    id: u64,
    /// Who wrote it.
    sender: Address,
    /// In whose name.
    src: Address,
    dest: Address,
    /// The line, if it is for a node; the body, if it is for a service.
    text: Box<[u8]>,
    fate: Fate,
}

impl Packet {
    /// About what it takes to hold it, in bytes: its text, its places in the slab and the wheel, and its allocation.
    const fn size(&self) -> usize {
        self.text.len() + size_of::<Self>() + 64
    }
}

#[derive(Debug)]
struct Node {
    inbox: OutBuffer,
    /// Killed, and not started again.
    is_dead: bool,
    /// The client that waits for the answer to its `init`, and until when.
    init: Option<(usize, TimerKey)>,
    /// It left a request without an answer, and answered nothing since.
    is_silent: bool,
}

#[derive(Debug)]
struct Worker {
    process: usize,
    node: usize,
    /// Its number among all clients.
    number: usize,
    /// What its process does and remembers.
    client: Box<dyn Client>,
    next_msg_id: u64,
    waits: Option<Waits>,
    is_prepared: bool,
    /// It does nothing more in the final phase.
    is_done: bool,
}

/// What a worker waits for.
#[derive(Debug)]
struct Waits {
    msg_id: u64,
    rpc: &'static Rpc,
    timeout: TimerKey,
    /// Its place in the history; none for what is no operation.
    invocation: Option<usize>,
}

/// A request that is sent again and again: the members of its body after the type.
#[derive(Debug)]
struct Request {
    rpc: &'static Rpc,
    members: Vec<u8>,
}

/// What a client is there for.
#[derive(Clone, Copy, Debug)]
enum Role {
    Init(usize),
    Worker(usize),
    /// It told a node something, and does not care for the answer.
    Told,
    /// It is gone, and had asked so many times.
    Closed {
        asked: u64,
    },
}

impl World {
    /// A world in which nothing has happened yet. The driver has started the nodes.
    ///
    /// # Errors
    /// [Settings that make no test](Settings::check).
    pub fn new(workload: &'static dyn Workload, settings: Settings) -> Result<Self, InvalidSetting> {
        settings.check()?;
        let mut request = RequestBody::default();
        workload.setup(&settings, &mut request);
        let setup = request.take().map(|(rpc, members)| Request { rpc, members: members.to_vec() });
        let Settings { nodes, workers, latency, .. } = settings;
        let node = |_| Node { inbox: OutBuffer::new(), is_dead: false, init: None, is_silent: false };
        let worker = |place| Worker {
            process: place,
            node: place % nodes,
            number: 0,
            client: workload.client(&settings),
            next_msg_id: 1,
            waits: None,
            is_prepared: setup.is_none(),
            is_done: false,
        };
        let mut world = Self {
            workload,
            patience: workload.patience(&settings),
            now: Instant::START,
            rng: Rng::with_seed(settings.seed),
            times_rng: Rng::with_seed(!settings.seed),
            script: None,
            events: Wheel::new(),
            phase: Phase::Starting,
            nodes: (0..nodes).map(node).collect(),
            network: Network::new(settings.seed, latency, nodes),
            packets: Slab::new(),
            under_way: 0,
            services: Services::default(),
            nemesis: Nemesis::new(
                settings.seed,
                &settings.faults,
                settings.fault_interval,
                &settings.planned_faults,
                settings.time_limit,
                nodes,
            ),
            generator: workload.generator(&settings),
            workers: (0..workers).map(worker).collect(),
            free: VecDeque::new(),
            next_at: Instant::START,
            is_owed: false,
            clients: Vec::new(),
            client_of: BTreeMap::new(),
            setup,
            request,
            body: Vec::new(),
            commands: Vec::new(),
            due: Vec::new(),
            parser: None,
            history: Vec::new(),
            journal: Journal::new(settings.journal_size, settings.limits.journal_bytes, settings.logging),
            late_answers: UnexpectedReplies::default(),
            repeated_answers: UnexpectedReplies::default(),
            stray_answers: UnexpectedReplies::default(),
            given_up: BTreeSet::new(),
            borrowed_names: UnexpectedReplies::default(),
            swapped: None,
            failure: None,
            sometimes: BTreeMap::new(),
            polling: BTreeMap::new(),
            started: Instant::START,
            ended: Instant::END,
            values: 0,
            probes: Vec::new(),
            silent_nodes: Vec::new(),
            cut_short: None,
            settings,
        };
        (0..nodes).for_each(|node| world.init(node));
        Ok(world)
    }

    /// The world of a planned test.
    ///
    /// # Errors
    /// As those of [`new`](Self::new).
    pub fn of_plan(plan: Plan) -> Result<Self, InvalidSetting> {
        let Plan { workload, settings, operations } = plan;
        let workers = settings.workers;
        let mut world = Self::new(workload, settings)?;
        world.script = operations.map(|operations| Script::new(operations, workers));
        Ok(world)
    }

    /// What is there for a node to read.
    pub fn inbox(&mut self, node: usize) -> &mut OutBuffer {
        &mut self.nodes[node].inbox
    }

    /// How many bytes wait for a node to read them.
    pub fn waiting(&self, node: usize) -> usize {
        self.nodes[node].inbox.len()
    }

    /// Whether a node has yet to answer its `init`.
    pub fn awaits_init(&self, node: usize) -> bool {
        self.nodes[node].init.is_some()
    }

    /// What is to be done to nodes.
    pub fn take_commands(&mut self) -> Vec<ProcessCommand> {
        mem::take(&mut self.commands)
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
        self.end_with(Verdict::Invalid, node, reason.into(), line);
    }

    /// Ends the test: what a node says must always hold does not. The text, and after a semicolon the state.
    pub fn fail_assertion(&mut self, node: usize, broken: &str) {
        self.fail(node, format!("{BROKEN}{broken}"), None);
    }

    /// Notes that a node looked for a situation, and whether it occurred.
    pub fn note_sometimes(&mut self, text: &str, occurred: bool) {
        if let Some(before) = self.sometimes.get_mut(text) {
            *before |= occurred;
        } else if self.sometimes.len() < SOMETIMES_MAX {
            self.sometimes.insert(text.to_owned(), occurred);
        }
    }

    /// The situations that nodes looked for, and whether they occurred; the first thousand.
    pub const fn sometimes(&self) -> &BTreeMap<String, bool> {
        &self.sometimes
    }

    fn end_with(&mut self, verdict: Verdict, node: usize, reason: String, line: Option<&[u8]>) {
        let line = line.map(shown);
        self.failure.get_or_insert(Failure { node, at: self.now, reason, verdict, line, unnoticed: None });
    }

    /// Notes that in virtual time a node polls, which would last for ever: it had something to do so often at this one
    /// instant that the time went on without it.
    pub fn note_polling(&mut self, node: usize, now: Instant) {
        self.polling.entry(node).or_insert(now);
    }

    /// The nodes that polled, and when first.
    pub const fn polling(&self) -> &BTreeMap<usize, Instant> {
        &self.polling
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

    /// Answers to requests that had their answer.
    pub const fn repeated_answers(&self) -> &UnexpectedReplies {
        &self.repeated_answers
    }

    /// Answers to what a client had not asked.
    pub const fn stray_answers(&self) -> &UnexpectedReplies {
        &self.stray_answers
    }

    /// Messages in which a node names somebody else as the sender.
    pub const fn borrowed_names(&self) -> &UnexpectedReplies {
        &self.borrowed_names
    }

    /// The first node that wrote to itself in a client's name, as one does that swaps the two, and the client.
    pub const fn swapped(&self) -> Option<(usize, Address)> {
        self.swapped
    }

    /// Nodes that answered nothing when they were asked again at the end, while nothing was wrong.
    pub fn silent_nodes(&self) -> &[usize] {
        &self.silent_nodes
    }

    /// How long operations were invoked.
    pub fn run_time(&self) -> Duration {
        self.ended.min(self.now) - self.started
    }

    /// What time it is.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// When the operations began.
    pub const fn started(&self) -> Instant {
        self.started
    }

    /// What is asked of the nodes.
    pub const fn workload(&self) -> &'static dyn Workload {
        self.workload
    }

    /// What the test is like.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How long a node may take for an answer, lest the client be gone: a little less than clients wait.
    pub const fn answer_within(&self) -> Duration {
        Duration::from_micros(self.patience.as_micros() / 100 * 95)
    }

    /// The bound at which the operations ended before their time, if they did.
    pub fn cut_short(&self) -> Option<&str> {
        self.cut_short.as_deref()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        let mut events = mem::take(&mut self.due);
        while self.failure.is_none() && self.take_due(now, &mut events) {
            events.drain(..).for_each(|event| self.handle_event(now, event));
        }
        self.due = events;
    }

    /// Takes the events of the earliest instant at which any are due. A planned test has other reasons to expect its
    /// faults and operations, and still they have to come in the same order: faults first, operations last.
    fn take_due(&mut self, now: Instant, events: &mut Vec<Event>) -> bool {
        let Some((at, first)) = self.events.pop_expired(now) else { return false };
        events.push(first);
        while self.events.next_deadline() == Some(at)
            && let Some((_, event)) = self.events.pop_expired(now)
        {
            events.push(event);
        }
        events.sort_by_key(|event| match event {
            Event::Fault(_) => 0,
            Event::Next | Event::Go(_) => 2,
            _ => 1,
        });
        true
    }

    /// Does what is due at one instant; nothing more once the test has failed.
    fn handle_event(&mut self, now: Instant, event: Event) {
        if self.failure.is_some() {
            return;
        }
        match event {
            // It was killed at this very instant.
            Event::InitTimeout(node) if self.nodes[node].init.is_none() => {}
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
                let commands = self.nemesis.toggle(place, now, &mut self.network, free);
                self.apply(commands);
                if let Some(delay) = self.nemesis.next_delay(place) {
                    self.events.insert(now + delay, Event::Fault(place));
                }
            }
            Event::End => {
                self.phase = Phase::Ending;
                self.ended = now;
                let commands = self.nemesis.heal(now, &mut self.network);
                self.apply(commands);
                self.end_if_quiet();
            }
            Event::Recovered => self.start_final(),
            Event::FinalStep(worker) => self.go_on_finally(worker),
            Event::Probe(worker) => self.probe(worker),
            Event::FinalEnd => {
                self.workers.iter_mut().for_each(|worker| worker.is_done = true);
                self.end_if_quiet();
            }
        }
    }

    /// A node said this line.
    pub fn handle_line(&mut self, now: Instant, node: usize, line: Line<'_>) {
        self.now = now;
        let mut parser = self.parser.take().unwrap_or_default();
        if let Err(Breach { reason, unnoticed }) = self.read_line(node, line, &mut parser) {
            self.fail(node, reason, Some(line.bytes()));
            if let Some(failure) = &mut self.failure {
                failure.unnoticed = unnoticed;
            }
        }
        self.parser = Some(parser);
    }

    /// Takes a message of a node, or says what is wrong with it.
    ///
    /// What stands in a line is held to what Maelstrom wants of it: whose `src` it is, and what a body between nodes or
    /// to a service has in it, is the nodes' own affair.
    fn read_line(&mut self, node: usize, line: Line<'_>, parser: &mut Parser) -> Result<(), Breach> {
        const EXPECTED: &str = "expected a message on its stdout: a JSON object with src, dest and body";
        if line.bytes().trim_ascii().is_empty() {
            return Err(Breach::of_line(format!("{EXPECTED}; found a blank line")));
        }
        let bytes = line.bytes();
        let message = UncheckedEnvelope::parse(parser, line)
            .map_err(|error| Breach::of_line(format!("{EXPECTED}; not JSON: {error}")))?;
        let parts: Result<_, SchemaError> =
            (|| Ok((message.src()?, message.dest()?, message.loose_body()?, message.id()?)))();
        let (src, dest, body, _) = parts.map_err(|error| Breach::of_line(format!("{EXPECTED}; {error}")))?;
        if let Some(key) = message.unknown_key() {
            return Err(Breach::of_line(format!(
                "expected no keys but src, dest, body and id in a message; found {:?}",
                excerpt(&key)
            )));
        }
        let Some(src) = self.existing(&src) else {
            let src = excerpt(&src);
            return Err(Breach::of_line(format!("it wrote in the name of {src:?}, which does not exist")));
        };
        if src != Address::Node(node) {
            self.borrowed_names.note(bytes);
        }
        let Some(dest) = self.existing(&dest) else {
            let dest = excerpt(&dest);
            return Err(Breach::of_line(format!("it wrote to {dest:?}, which does not exist")));
        };
        let text = body.value().raw();
        let id = self.journal.sent(self.now, src, dest, text);
        match dest {
            Address::Client(client) => {
                self.journal.received(self.now, src, dest, id);
                self.handle_answer(node, client, &message, &body, bytes)?;
            }
            // Whosever name it is in, it goes the way of the node that wrote it.
            Address::Node(receiver) => {
                if receiver == node && src.is_client() {
                    self.swapped.get_or_insert((node, src));
                }
                self.send_packet(id, Address::Node(node), src, dest, &frame(id, src, dest, text));
            }
            Address::Service(_) => self.send_packet(id, Address::Node(node), src, dest, bytes),
        }
        Ok(())
    }

    /// Whoever has that name, if there is or was somebody.
    fn existing(&self, name: &str) -> Option<Address> {
        Address::parse(name).filter(|address| match *address {
            Address::Node(node) => node < self.nodes.len(),
            Address::Client(client) => client < self.clients.len(),
            Address::Service(_) => true,
        })
    }

    /// Puts a message on its way.
    fn send_packet(&mut self, id: u64, sender: Address, src: Address, dest: Address, text: &[u8]) {
        let Delivery { copies, fate } = self.network.send(sender, dest);
        if copies.is_empty() {
            self.journal.dropped(id, Dropped::Loss);
        }
        for delay in copies {
            let packet = Packet { id, sender, src, dest, text: text.into(), fate };
            self.under_way += packet.size();
            let place = self.packets.insert(packet);
            self.events.insert(self.now + delay, Event::Arrival(place));
        }
        if self.under_way > self.settings.limits.under_way_bytes {
            self.fail_for_flood();
        }
    }

    /// Too much is under way: ends the test, and names the link that has most of it.
    fn fail_for_flood(&mut self) {
        let mut links: BTreeMap<(Address, Address), (usize, usize)> = BTreeMap::new();
        for (_, packet) in &self.packets {
            let (count, bytes) = links.entry((packet.sender, packet.dest)).or_default();
            *count += 1;
            *bytes += packet.size();
        }
        let Some(((src, dest), (count, bytes))) = links.into_iter().max_by_key(|(_, (_, bytes))| *bytes)
        else {
            return;
        };
        let messages = if count == 1 { "a message".to_owned() } else { format!("{count} messages") };
        let limit = self.settings.limits.under_way_bytes;
        let reason = format!(
            "{src} sent {dest} {messages} that are still under way and take {bytes} bytes; the network holds {limit} \
             bytes in all"
        );
        // What a service sends it was asked for.
        if let Some(node) = [src, dest].into_iter().find_map(Address::node) {
            self.end_with(Verdict::Unknown, node, reason, None);
        }
    }

    /// A message is there.
    fn arrive(&mut self, packet: usize) {
        let packet = self.packets.remove(packet);
        self.under_way -= packet.size();
        let Packet { id, sender, src, dest, text, fate } = packet;
        if let Address::Node(receiver) = dest {
            let is_blocked =
                matches!(sender, Address::Node(sender) if self.network.is_blocked(sender, receiver));
            if is_blocked {
                return self.journal.dropped(id, Dropped::Partition);
            }
            if self.nodes[receiver].is_dead {
                return self.journal.dropped(id, Dropped::DeadReceiver);
            }
        }
        self.journal.received(self.now, src, dest, id);
        match dest {
            Address::Node(node) => self.deliver(node, &text),
            Address::Service(service) => {
                let parser = self.parser.get_or_insert_default();
                let Ok(unchecked) = UncheckedEnvelope::parse(parser, Line::new(&text)) else { return };
                // A request without a type, or with one that is no string, gets no answer.
                let (Ok(client), Ok(request)) = (unchecked.src(), unchecked.loose_body()) else { return };
                let mut members = Vec::new();
                let mut rng = fate.service_rng();
                if !self.services.answer(service, &client, &request, &mut rng, &mut members) {
                    return;
                }
                // Whatever it is: who asks with `null` is answered with `null`.
                if let Some(msg_id) = request.get("msg_id") {
                    members.extend_from_slice(b",\"in_reply_to\":");
                    msg_id.write_json(&mut members);
                }
                let body = format!("{{{}}}", String::from_utf8_lossy(&members));
                let reply = self.journal.sent(self.now, dest, src, &body);
                // A client in whose name a node asked waits for nothing.
                if !src.is_client() {
                    self.send_packet(reply, dest, dest, src, &frame(reply, dest, src, &body));
                }
            }
            Address::Client(_) => {}
        }
    }

    /// Hands a line to a node.
    fn deliver(&mut self, node: usize, line: &[u8]) {
        let inbox = &mut self.nodes[node].inbox;
        inbox.start_line().extend_from_slice(line);
        inbox.end_line();
        self.check_inbox(node);
    }

    /// Ends the test if a node lets too much wait.
    fn check_inbox(&mut self, node: usize) {
        let limit = self.settings.limits.inbox_bytes;
        if self.nodes[node].inbox.len() > limit {
            let is_paused = |window: &Window| window.to.is_none() && window.nodes.contains(&node);
            let (verdict, reason) = if self.nemesis.windows.iter().any(is_paused) {
                (Verdict::Unknown, format!("more than {limit} bytes wait for it while it is paused"))
            } else {
                (Verdict::Invalid, format!("it does not read its stdin: more than {limit} bytes wait there"))
            };
            self.end_with(verdict, node, reason, None);
        }
    }

    /// A client sends a request: its type, and the members of its body after that.
    fn request(&mut self, client: usize, node: usize, msg_id: u64, kind: &str, members: &[u8]) {
        let mut body = mem::take(&mut self.body);
        body.clear();
        body.extend_from_slice(b"{\"type\":");
        kind.write_json(&mut body);
        body.extend_from_slice(members);
        body.extend_from_slice(b",\"msg_id\":");
        msg_id.write_json(&mut body);
        body.push(b'}');
        let text = str::from_utf8(&body).expect("it was written from strings");
        let (src, dest) = (Address::Client(client), Address::Node(node));
        let id = self.journal.sent(self.now, src, dest, text);
        if self.nodes[node].is_dead {
            self.journal.dropped(id, Dropped::DeadReceiver);
        } else {
            self.journal.received(self.now, src, dest, id);
            let inbox = &mut self.nodes[node].inbox;
            write_frame(id, src, dest, text, inbox.start_line());
            inbox.end_line();
            self.check_inbox(node);
        }
        self.body = body;
    }

    /// The number of each process's client.
    pub const fn clients(&self) -> &BTreeMap<usize, usize> {
        &self.client_of
    }

    fn open_client(&mut self, role: Role) -> usize {
        self.clients.push(role);
        self.clients.len() - 1
    }

    /// Tells a node who it is.
    fn init(&mut self, node: usize) {
        let client = self.open_client(Role::Init(node));
        let names: Vec<String> = (0..self.nodes.len()).map(|node| Address::Node(node).to_string()).collect();
        let mut members = b",\"node_id\":".to_vec();
        names[node].write_json(&mut members);
        members.extend_from_slice(b",\"node_ids\":");
        names.write_json(&mut members);
        let timeout = self.events.insert(self.now + INIT_WITHIN, Event::InitTimeout(node));
        self.nodes[node].init = Some((client, timeout));
        self.request(client, node, 1, "init", &members);
    }

    /// A message of a node for a client.
    fn handle_answer(
        &mut self,
        node: usize,
        client: usize,
        message: &UncheckedEnvelope<'_>,
        body: &Body<'_>,
        line: &[u8],
    ) -> Result<(), Breach> {
        const UNASKED: &str = "it throws such a message away, and goes on";
        let in_reply_to = match message.in_reply_to() {
            Ok(Some(in_reply_to)) => in_reply_to.as_u64(),
            Ok(None) => {
                let reason = "expected in_reply_to, the msg_id of the request that it answers; found nothing";
                return Err(Breach { reason: reason.to_owned(), unnoticed: Some(UNASKED) });
            }
            Err(error) => return Err(Breach::of_answer(error.to_string())),
        };
        match self.clients[client] {
            Role::Told => {}
            Role::Init(expected) => {
                if expected != node || in_reply_to != Some(1) {
                    let reason = "expected in_reply_to 1 in the answer to `init`".to_owned();
                    return Err(Breach { reason, unnoticed: None });
                }
                if body.kind != "init_ok" {
                    let reason = format!(
                        "its answer to `init`: type: expected \"init_ok\", found {:?}",
                        excerpt(&body.kind)
                    );
                    return Err(Breach { reason, unnoticed: None });
                }
                self.clients[client] = Role::Closed { asked: 1 };
                if let Some((_, timeout)) = self.nodes[node].init.take() {
                    self.events.cancel(timeout);
                }
                if self.phase != Phase::Starting {
                    self.set_up_again(node);
                } else if self.nodes.iter().all(|node| node.init.is_none()) {
                    self.open_workers();
                }
            }
            Role::Worker(worker) => {
                let expected = self.workers[worker].waits.as_ref().map(|waits| waits.msg_id);
                // Whoever answers, the node that was asked has seen to it.
                let asked_node = self.workers[worker].node;
                if in_reply_to.is_some() && in_reply_to == expected {
                    self.nodes[asked_node].is_silent = false;
                    message
                        .kind()
                        .and(message.msg_id())
                        .map_err(|error| Breach::of_answer(error.to_string()))?;
                    return self.take_answer(worker, body).map_err(Breach::of_answer);
                }
                let asked = self.workers[worker].next_msg_id - 1;
                self.note_unexpected(asked_node, client, asked, in_reply_to, line);
            }
            Role::Closed { asked } => self.note_unexpected(node, client, asked, in_reply_to, line),
        }
        Ok(())
    }

    /// An answer that nobody waits for came to a client that has asked so many times.
    fn note_unexpected(
        &mut self,
        node: usize,
        client: usize,
        asked: u64,
        in_reply_to: Option<u64>,
        line: &[u8],
    ) {
        let number = in_reply_to.filter(|number| (1..=asked).contains(number));
        self.nodes[node].is_silent &= number.is_none();
        let replies = match number {
            Some(number) if self.given_up.remove(&(client, number)) => &mut self.late_answers,
            Some(_) => &mut self.repeated_answers,
            None => &mut self.stray_answers,
        };
        replies.note(line);
    }

    /// Every node has answered its `init`: clients come, and prepare for their work.
    fn open_workers(&mut self) {
        for place in 0..self.workers.len() {
            self.workers[place].number = self.open_client(Role::Worker(place));
            self.client_of.insert(self.workers[place].process, self.workers[place].number);
            if let Some(Request { rpc, members }) = self.setup.take() {
                self.ask(place, None, rpc, &members);
                self.setup = Some(Request { rpc, members });
            }
        }
        self.start_if_prepared();
    }

    /// A node that was started again has to be told again what clients tell a node first.
    fn set_up_again(&mut self, node: usize) {
        if let Some(Request { rpc, members }) = self.setup.take() {
            let client = self.open_client(Role::Told);
            self.request(client, node, 1, rpc.request, &members);
            self.setup = Some(Request { rpc, members });
        }
    }

    fn start_if_prepared(&mut self) {
        if self.phase != Phase::Starting || !self.workers.iter().all(|worker| worker.is_prepared) {
            return;
        }
        self.phase = Phase::Running;
        self.started = self.now;
        self.events.insert(self.now + self.settings.time_limit, Event::End);
        for place in self.nemesis.sources() {
            if let Some(delay) = self.nemesis.next_delay(place) {
                self.events.insert(self.now + delay, Event::Fault(place));
            }
        }
        if self.script.is_some() {
            self.expect_planned();
        } else if self.settings.rate.is_some() {
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
        if self.script.is_some() {
            return self.next_planned();
        }
        let is_due = |rate: &f64| *rate > 0.0 && self.phase == Phase::Running;
        let Some(rate) = self.settings.rate.filter(is_due) else { return };
        match self.free.front() {
            None => self.is_owed = true,
            // It was just in use.
            Some((_, since)) if *since >= self.now => self.next_soon(),
            Some(_) => {
                let Some((worker, _)) = self.free.pop_front() else { return };
                self.go(worker);
                let pause = Duration::from_micros((self.times_rng.f64() * 2e6 / rate) as u64).max(TICK);
                // What was due while everybody was busy, or nobody looked, is made up for, but not for ever.
                let behind = self.now - self.next_at > BEHIND_MAX;
                self.next_at = if behind { self.now } else { self.next_at } + pause;
                self.events.insert(self.next_at, Event::Next);
            }
        }
    }

    /// The next planned operation will be due.
    fn expect_planned(&mut self) {
        if let Some(at) = self.script.as_ref().and_then(Script::next_at) {
            self.events.insert(self.started + at, Event::Next);
        }
    }

    /// The next planned operation is due.
    fn next_planned(&mut self) {
        let Some(script) = self.script.as_mut().filter(|_| self.phase == Phase::Running) else { return };
        let Some(worker) = script.take_due() else { return };
        self.expect_planned();
        self.go(worker);
    }

    fn next_soon(&mut self) {
        self.events.insert(self.now + TICK, Event::Next);
    }

    /// A worker does its next operation.
    fn go(&mut self, worker: usize) {
        if self.phase != Phase::Running {
            return;
        }
        let mut planned = None;
        if let Some(script) = &mut self.script {
            if self.workers[worker].waits.is_some() {
                return;
            }
            planned = script.start(worker, self.now);
            if planned.is_none() {
                if script.is_due(worker) {
                    self.events.insert(self.now + TICK, Event::Go(worker));
                }
                return;
            }
        }
        let Limits { operations, values, .. } = self.settings.limits;
        if self.history.len() >= operations {
            self.cut_short = Some(format!("{} operations", thousands(operations)));
        } else if self.values >= values {
            self.cut_short = Some(format!("{} values in answers", thousands(values)));
        }
        if self.cut_short.is_some() {
            self.events.insert(self.now, Event::End);
            return;
        }
        let mut cx =
            GeneratorContext { rng: &mut self.rng, now: self.now, process: self.workers[worker].process };
        // What is made up is of no use where there is a plan; but the generator, which has to know how to go on in the
        // end, comes to the same state as in the test that the plan is from.
        let made_up = self.generator.next(worker, &mut cx);
        self.invoke(worker, planned.unwrap_or(made_up));
    }

    /// A worker begins an operation.
    fn invoke(&mut self, place: usize, operation: Operation) {
        let Worker { process, node, ref mut client, .. } = self.workers[place];
        let step = client.begin(&operation, &mut self.request);
        let invocation = self.history.len();
        self.history.push(Invocation {
            process,
            node,
            operation,
            interval: Interval { invoked: self.now, completed: Instant::END },
            outcome: Outcome::Info("the test ended".into()),
            is_final: matches!(self.phase, Phase::Final | Phase::Probing),
            is_probe: self.phase == Phase::Probing,
        });
        self.take_step(place, invocation, step);
    }

    /// Does what a client wants done next.
    fn take_step(&mut self, place: usize, invocation: usize, step: Step) {
        match step {
            Step::Done(outcome) => self.complete(place, invocation, outcome),
            Step::Call => {
                let mut request = mem::take(&mut self.request);
                let (rpc, members) = request.take().expect("a client that calls has written a request");
                self.ask(place, Some(invocation), rpc, members);
                self.request = request;
            }
        }
    }

    /// A worker sends a request, and waits for the answer.
    fn ask(&mut self, place: usize, invocation: Option<usize>, rpc: &'static Rpc, members: &[u8]) {
        let timeout = self.events.insert(self.now + self.patience, Event::Timeout(place));
        let worker = &mut self.workers[place];
        let msg_id = worker.next_msg_id;
        worker.next_msg_id += 1;
        worker.waits = Some(Waits { msg_id, rpc, timeout, invocation });
        let (number, node) = (worker.number, worker.node);
        self.request(number, node, msg_id, rpc.request, members);
    }

    /// The answer that a worker waits for.
    fn take_answer(&mut self, place: usize, body: &Body<'_>) -> Result<(), String> {
        let Some(Waits { timeout, rpc, invocation, .. }) = self.workers[place].waits.take() else {
            return Ok(());
        };
        self.events.cancel(timeout);
        let malformed = |MalformedReply(text)| format!("its answer to `{}`: {text}", rpc.request);
        let answer = rpc.read(body).map_err(malformed)?;
        let Some(invocation) = invocation else {
            if let Err(error) = answer {
                return Err(format!(
                    "expected {:?}; it refused `{}`: {}",
                    rpc.reply, rpc.request, error.text
                ));
            }
            self.workers[place].is_prepared = true;
            self.start_if_prepared();
            return Ok(());
        };
        let (client, operation) = (&mut self.workers[place].client, &self.history[invocation].operation);
        let step = match answer {
            Ok(reply) => client.reply(operation, reply, &mut self.request).map_err(malformed)?,
            Err(error) => client.failed(operation, &CallFailure::Error(error), &mut self.request),
        };
        self.take_step(place, invocation, step);
        Ok(())
    }

    /// A worker has waited long enough.
    fn time_out(&mut self, place: usize) {
        let Worker { node, number, ref mut waits, .. } = self.workers[place];
        let Some(Waits { rpc, invocation, msg_id, .. }) = waits.take() else { return };
        self.nodes[node].is_silent = true;
        self.given_up.insert((number, msg_id));
        let Some(invocation) = invocation else {
            let seconds = self.patience.as_micros() / 1_000_000;
            let reason = format!("it did not answer `{}` within {seconds} seconds", rpc.request);
            return self.fail(node, reason, None);
        };
        let (client, operation) = (&mut self.workers[place].client, &self.history[invocation].operation);
        let step = client.failed(operation, &CallFailure::Timeout, &mut self.request);
        self.take_step(place, invocation, step);
    }

    /// An operation has ended.
    fn complete(&mut self, place: usize, invocation: usize, outcome: Outcome) {
        let entry = &mut self.history[invocation];
        let is_idempotent = self.workload.is_idempotent(entry.operation.f);
        entry.outcome = if is_idempotent { outcome.definite() } else { outcome };
        entry.interval.completed = self.now;
        self.values += entry.answer().map_or(0, Data::weight);
        self.generator.completed(place, entry);
        if entry.outcome.completion() == Completion::Info {
            self.go_on_as_another(place);
        }
        match self.phase {
            Phase::Running if self.script.is_some() => {
                let now = self.now;
                if self.script.as_mut().is_some_and(|script| script.end(place, now)) {
                    self.events.insert(now + TICK, Event::Go(place));
                }
            }
            Phase::Running if self.settings.rate.is_some() => {
                self.free.push_back((place, self.now));
                if mem::take(&mut self.is_owed) {
                    self.next_soon();
                }
            }
            Phase::Running => {
                self.events.insert(self.now + TICK, Event::Go(place));
            }
            Phase::Final => {
                self.events.insert(self.now + TICK, Event::FinalStep(place));
            }
            Phase::Probing => {
                self.events.insert(self.now + TICK, Event::Probe(place));
            }
            Phase::Ending => self.end_if_quiet(),
            Phase::Starting | Phase::Recovering | Phase::Done => {}
        }
    }

    /// Nobody knows what a worker's process has done: another one goes on, with a client that knows nothing.
    fn go_on_as_another(&mut self, place: usize) {
        let number = self.open_client(Role::Worker(place));
        let (workers, worker) = (self.workers.len(), &mut self.workers[place]);
        worker.process += workers;
        self.client_of.insert(worker.process, number);
        worker.client = self.workload.client(&self.settings);
        let asked = mem::replace(&mut worker.next_msg_id, 1) - 1;
        self.clients[mem::replace(&mut worker.number, number)] = Role::Closed { asked };
    }

    /// Goes on if no operation is open any more.
    fn end_if_quiet(&mut self) {
        if self.workers.iter().any(|worker| worker.waits.is_some()) {
            return;
        }
        match self.phase {
            Phase::Ending if self.workload.final_phase().is_some() => {
                self.phase = Phase::Recovering;
                self.events.insert(self.now + self.settings.recovery, Event::Recovered);
            }
            Phase::Ending => {
                // After faults nodes need some time to find each other again.
                let rest =
                    if self.nemesis.windows.is_empty() { TICK } else { self.settings.recovery.max(TICK) };
                self.start_probing(rest);
            }
            Phase::Final if self.workers.iter().all(|worker| worker.is_done) => self.start_probing(TICK),
            _ => {}
        }
    }

    /// Asks each node again that left its last request without an answer. Nothing is wrong any more: a node that still
    /// answers nothing has fallen silent.
    fn start_probing(&mut self, rest: Duration) {
        self.phase = Phase::Probing;
        let asker = |node: usize| self.workers.iter().position(|worker| worker.node == node);
        let is_silent = |node: &usize| self.nodes[*node].is_silent;
        self.probes =
            (0..self.nodes.len()).filter(is_silent).filter_map(asker).map(|place| (place, PROBES)).collect();
        for &(place, _) in &self.probes {
            self.events.insert(self.now + rest, Event::Probe(place));
        }
        self.end_if_probed();
    }

    fn probe(&mut self, place: usize) {
        let Some(at) = self.probes.iter().position(|&(asker, _)| asker == place) else { return };
        let Worker { node, process, .. } = self.workers[place];
        let (_, left) = &mut self.probes[at];
        if self.nodes[node].is_silent && *left > 0 {
            *left -= 1;
            let mut cx = GeneratorContext { rng: &mut self.rng, now: self.now, process };
            let operation = self.generator.probe(place, &mut cx);
            return self.invoke(place, operation);
        }
        if self.nodes[node].is_silent {
            self.silent_nodes.push(node);
        }
        self.probes.swap_remove(at);
        self.end_if_probed();
    }

    fn end_if_probed(&mut self) {
        if self.probes.is_empty() {
            self.silent_nodes.sort_unstable();
            self.phase = Phase::Done;
        }
    }

    fn start_final(&mut self) {
        self.phase = Phase::Final;
        let longest = self.workload.final_phase().unwrap_or_default();
        self.events.insert(self.now + longest, Event::FinalEnd);
        (0..self.workers.len()).for_each(|worker| self.go_on_finally(worker));
    }

    /// A worker takes its next step in the final phase.
    fn go_on_finally(&mut self, place: usize) {
        let worker = &self.workers[place];
        if self.phase != Phase::Final || worker.waits.is_some() || worker.is_done {
            return;
        }
        let mut cx = GeneratorContext { rng: &mut self.rng, now: self.now, process: worker.process };
        match self.generator.final_step(place, &mut cx) {
            FinalStep::Do(operation) => self.invoke(place, operation),
            FinalStep::Wait(span) => {
                self.events.insert(self.now + span.max(TICK), Event::FinalStep(place));
            }
            FinalStep::Done => {
                self.workers[place].is_done = true;
                self.end_if_quiet();
            }
        }
    }

    /// Notes what is done to nodes, and lets the driver do it.
    fn apply(&mut self, commands: Vec<ProcessCommand>) {
        self.commands.extend(&commands);
        for command in commands {
            match command {
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
    let mut line = Vec::with_capacity(body.len() + 64);
    write_frame(id, src, dest, body, &mut line);
    line
}

/// See [`frame`].
fn write_frame(id: u64, src: Address, dest: Address, body: &str, line: &mut Vec<u8>) {
    line.extend_from_slice(b"{\"id\":");
    id.write_json(line);
    line.extend_from_slice(b",\"src\":\"");
    src.write(line);
    line.extend_from_slice(b"\",\"dest\":\"");
    dest.write(line);
    line.extend_from_slice(b"\",\"body\":");
    line.extend_from_slice(body.as_bytes());
    line.push(b'}');
}
