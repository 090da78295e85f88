//! The world that nodes live in during a test: the network, the clients, the services and what goes wrong.
//!
//! It knows no process and no clock. A driver hands it the lines that nodes say and the time, and hands each node
//! what is in its [`inbox`](World::inbox); that is the same for nodes that are processes and for nodes in virtual
//! time.

mod clients;
mod cluster;
mod ending;
mod failure;
mod frame;
mod operations;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;

use fastrand::Rng;
use slab::Slab;

use self::failure::shown;
pub use self::failure::{Failure, UnexpectedReplies};
use super::checker::Verdict;
use super::fault::PlannedFault;
use super::history::Invocation;
use super::journal::{Address, Journal};
use super::nemesis::{Nemesis, ProcessCommand, Window};
use super::network::{Fate, Network};
use super::plan::{Plan, PlannedOperation, Script};
use super::services::Services;
use super::settings::{InvalidSetting, Settings};
use super::workload::{Client, Generator, RequestBody, Rpc, Workload};
use crate::json::parser::Parser;
use crate::time::{Duration, Instant};
use crate::timer::{TimerKey, Wheel};
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
}

impl Plan {
    /// What happened in a test, so that it can happen again.
    pub fn of(world: &World) -> Self {
        let (workload, started) = (world.workload(), world.started());
        let ended = started + world.run_time();
        let fault = |window: &Window| PlannedFault {
            action: window.action.clone(),
            at: window.from - started,
            // What lasted to the end was ended by it.
            lasts: window.to.filter(|to| *to < ended).map(|to| to - window.from),
        };
        let settings = Settings {
            faults: Vec::new(),
            planned_faults: world.faults().iter().map(fault).collect(),
            ..world.settings().clone()
        };
        let invocations = world.history().iter().filter(|of| !of.is_final && !of.is_probe);
        let operations = invocations.map(|invocation| PlannedOperation {
            at: invocation.interval.invoked - started,
            // A worker that goes on as another process adds the number of workers to its own.
            worker: invocation.process % settings.workers,
            operation: invocation.operation.clone(),
        });
        Self { workload, operations: Some(operations.collect()), settings }
    }
}
