//! The cluster of a test: its nodes as the world sees them, the network and the services between them, and their faults.
//!
//! It knows no process and no clock, and nothing of what clients want. Its owner hands it the lines that nodes
//! [say](Cluster::handle_line) and the time, puts the requests of clients [into](Cluster::request) the nodes' inboxes,
//! and is given what nodes answer them. What an owner wants to be reminded of, `R`, is due in one order with the rest.

mod agenda;
mod answer;
mod failure;
mod frame;
mod inbox;
mod packets;
mod said;
mod transit;

use self::agenda::{Agenda, Due};
pub use self::answer::{Answer, ToClient};
use self::failure::shown;
pub use self::failure::{Breach, Failure, UnexpectedReplies};
use self::packets::Packets;
use super::checker::Verdict;
use super::journal::{Address, Journal};
use super::nemesis::{Nemesis, ProcessCommand, Window};
use super::network::Network;
use super::services::Services;
use super::settings::Settings;
use crate::json::parser::Parser;
use crate::time::{Duration, Instant};
use crate::timer::TimerKey;
use crate::wire::out::OutBuffer;
use crate::wire::reader::Reader;

/// How long a node may take for its `init`.
const INIT_WITHIN: Duration = Duration::from_secs(10);

/// See the [module](self).
#[derive(Debug)]
pub struct Cluster<R> {
    now: Instant,
    agenda: Agenda<R>,
    nodes: Vec<Node>,
    /// How many of them have yet to answer their `init`.
    inits: usize,
    /// Maximum bytes that wait for a node to read them.
    inbox_max: usize,
    network: Network,
    packets: Packets,
    services: Services,
    nemesis: Nemesis,
    /// Whether faults begin and end.
    has_faults: bool,
    /// What there is to do for the driver.
    commands: Vec<ProcessCommand>,
    /// How many clients there were.
    clients: usize,
    /// Everybody exists who is called as clients are.
    has_every_client: bool,
    journal: Journal,
    /// Of what nodes say; away while a line is read.
    reader: Option<Reader>,
    /// Of requests to services, and of what is odd in what nodes say.
    parser: Parser,
    /// Where the body of a request is written.
    body: Vec<u8>,
    /// Messages in which a node names somebody else as the sender.
    borrowed_names: UnexpectedReplies,
    /// The first node that wrote to itself in a client's name, and the client.
    swapped: Option<(usize, Address)>,
    failure: Option<Failure>,
}

/// A node, as others see it.
#[derive(Debug, Default)]
struct Node {
    inbox: OutBuffer,
    /// Killed, and not started again.
    is_dead: bool,
    is_paused: bool,
    /// How often it was killed. Messages that are under way to it then are gone, and so are the answers of services to
    /// what it had asked: the node that starts in its place counts its own from the beginning.
    life: u32,
    /// Its number is nobody's.
    is_left_out: bool,
    /// The client that waits for the answer to its `init`, and until when.
    init: Option<(usize, TimerKey)>,
}

impl<R> Cluster<R> {
    /// A cluster in which nothing has happened yet.
    pub fn new(settings: &Settings) -> Self {
        let Settings { nodes, seed, limits, .. } = *settings;
        Self {
            now: Instant::START,
            agenda: Agenda::new(),
            nodes: (0..nodes).map(|_| Node::default()).collect(),
            inits: 0,
            inbox_max: limits.inbox_bytes,
            network: Network::new(seed, settings.latency, nodes),
            packets: Packets::new(limits.under_way_bytes),
            services: Services::default(),
            nemesis: Nemesis::new(
                seed,
                &settings.faults,
                settings.fault_interval,
                &settings.planned_faults,
                settings.time_limit,
                nodes,
            ),
            has_faults: false,
            commands: Vec::new(),
            clients: 0,
            has_every_client: false,
            journal: Journal::new(settings.journal_size, limits.journal_bytes, settings.logging),
            reader: None,
            parser: Parser::new(),
            body: Vec::new(),
            borrowed_names: UnexpectedReplies::default(),
            swapped: None,
            failure: None,
        }
    }

    /// What time it is.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The name of a client that nobody had before: the number in it.
    pub const fn open_client(&mut self) -> usize {
        self.clients += 1;
        self.clients - 1
    }

    /// There is no node of that number, though there is a place for it.
    pub fn leave_out(&mut self, node: usize) {
        self.nodes[node].is_left_out = true;
    }

    /// From now on everybody exists who is called as clients are.
    pub const fn open_every_client(&mut self) {
        self.has_every_client = true;
    }

    /// It is so late: what happens next happens now.
    pub const fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    /// The network between nodes and services.
    pub const fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }

    /// Has the owner reminded of something then.
    pub fn remind(&mut self, at: Instant, what: R) -> TimerKey {
        self.agenda.insert(at, Due::Reminder(what))
    }

    /// Has the owner reminded of something when everything else that is due then is done.
    pub fn remind_last(&mut self, at: Instant, what: R) {
        self.agenda.insert(at, Due::LastReminder(what));
    }

    /// The owner does not want to be reminded of that any more.
    pub fn forget(&mut self, reminder: TimerKey) {
        self.agenda.cancel(reminder);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        self.agenda.next_deadline()
    }

    /// Does what is due, and reminds the owner of what it wanted; nothing more once a node has failed.
    pub fn handle_timeout(&mut self, now: Instant, mut remind: impl FnMut(&mut Self, R)) {
        self.now = now;
        while self.failure.is_none()
            && let Some(mut events) = self.agenda.take_due(now)
        {
            for event in events.drain(..) {
                if self.failure.is_some() {
                    break;
                }
                match event {
                    Due::Fault(place) => self.toggle_fault(place),
                    Due::Arrival(packet) => self.arrive(packet),
                    Due::InitTimeout(node) => self.give_up_init(node),
                    Due::Reminder(what) | Due::LastReminder(what) => remind(self, what),
                }
            }
            self.agenda.take_back(events);
        }
    }

    /// From now on faults begin and end as the settings have it.
    pub fn start_faults(&mut self) {
        self.has_faults = true;
        for place in self.nemesis.sources() {
            self.expect_fault(place);
        }
    }

    /// Ends all faults, for good.
    pub fn heal(&mut self) {
        self.has_faults = false;
        let commands = self.nemesis.heal(self.now, &mut self.network);
        self.apply(commands);
    }

    /// What went wrong so far, and when.
    pub fn faults(&self) -> &[Window] {
        &self.nemesis.windows
    }

    /// What is to be done to nodes.
    pub fn take_commands(&mut self) -> Vec<ProcessCommand> {
        std::mem::take(&mut self.commands)
    }

    /// Every message so far.
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Messages in which a node names somebody else as the sender.
    pub const fn borrowed_names(&self) -> &UnexpectedReplies {
        &self.borrowed_names
    }

    /// The first node that wrote to itself in a client's name, as one does that swaps the two, and the client.
    pub const fn swapped(&self) -> Option<(usize, Address)> {
        self.swapped
    }

    /// What a node did that ends the test.
    pub const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Ends the test: a node did what no node may.
    pub fn fail(&mut self, node: usize, reason: String, line: Option<&[u8]>) {
        self.end(Verdict::Invalid, node, Breach { reason, unnoticed: None }, line);
    }

    /// Ends the test: a node wrote this line, which no node may.
    pub(super) fn fail_for(&mut self, node: usize, breach: Breach, line: &[u8]) {
        self.end(Verdict::Invalid, node, breach, Some(line));
    }

    /// Ends the test, for what a node did.
    pub(super) fn end_with(&mut self, verdict: Verdict, node: usize, reason: String) {
        self.end(verdict, node, Breach { reason, unnoticed: None }, None);
    }

    /// What came first counts.
    fn end(&mut self, verdict: Verdict, node: usize, breach: Breach, line: Option<&[u8]>) {
        let Breach { reason, unnoticed } = breach;
        let at = self.now;
        let failure = || Failure { node, at, reason, verdict, line: line.map(shown), unnoticed };
        self.failure.get_or_insert_with(failure);
    }

    /// It is time for the fault of this source to begin, or to end.
    fn toggle_fault(&mut self, place: usize) {
        // Once it is healed, nothing goes wrong any more.
        if !self.has_faults {
            return;
        }
        let nodes = &self.nodes;
        let free = |node: usize| !nodes[node].is_dead && nodes[node].init.is_none();
        let commands = self.nemesis.toggle(place, self.now, &mut self.network, free);
        self.apply(commands);
        self.expect_fault(place);
    }

    fn expect_fault(&mut self, place: usize) {
        if let Some(delay) = self.nemesis.next_delay(place) {
            self.agenda.insert(self.now + delay, Due::Fault(place));
        }
    }

    /// Notes what is done to nodes, and lets the driver do it.
    fn apply(&mut self, commands: Vec<ProcessCommand>) {
        self.commands.extend(&commands);
        for command in commands {
            match command {
                ProcessCommand::Kill(node) => self.note_killed(node),
                ProcessCommand::Start(node) => {
                    self.revive(node);
                    self.init(node);
                }
                ProcessCommand::Pause(node) => self.note_paused(node, true),
                ProcessCommand::Resume(node) => self.note_paused(node, false),
            }
        }
    }
}
