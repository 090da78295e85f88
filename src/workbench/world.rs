//! The world that nodes live in during a test: a cluster, which is inboxes, network, services and faults, and its clients.
//!
//! It knows no process and no clock. A driver hands it the lines that nodes say and the time, and hands each node
//! what is in its [`inbox`](World::inbox); that is the same for nodes that are processes and for nodes in virtual
//! time.

use std::collections::BTreeMap;

use super::clients::{Clients, Cluster};
pub use super::cluster::{Failure, UnexpectedReplies};
use super::fault::PlannedFault;
use super::history::Invocation;
use super::journal::{Address, Journal};
use super::nemesis::{ProcessCommand, Window};
use super::plan::{Plan, PlannedOperation};
use super::settings::{InvalidSetting, Settings};
use super::workload::Workload;
use crate::time::{Duration, Instant};
use crate::wire::lines::NextLine;
use crate::wire::out::OutBuffer;

/// Situations that are kept; a node which names more has a number in the text of one.
const SOMETIMES_MAX: usize = 1_000;

/// What comes before the text of an assertion of a node.
const BROKEN: &str = "it says that this should always hold: ";

/// See the [module](self).
#[derive(Debug)]
pub struct World {
    cluster: Cluster,
    clients: Clients,
    sometimes: BTreeMap<String, bool>,
    polling: BTreeMap<usize, Instant>,
}

impl World {
    /// A world in which nothing has happened yet. The driver has started the nodes.
    ///
    /// # Errors
    /// [Settings that make no test](Settings::check).
    pub fn new(workload: &'static dyn Workload, settings: Settings) -> Result<Self, InvalidSetting> {
        Self::of_plan(Plan { workload, settings, operations: None })
    }

    /// The world of a planned test.
    ///
    /// # Errors
    /// As those of [`new`](Self::new).
    pub fn of_plan(plan: Plan) -> Result<Self, InvalidSetting> {
        let Plan { workload, settings, operations } = plan;
        settings.check()?;
        let mut cluster = Cluster::new(&settings);
        (0..settings.nodes).for_each(|node| cluster.init(node));
        let clients = Clients::new(workload, settings, operations);
        Ok(Self { cluster, clients, sometimes: BTreeMap::new(), polling: BTreeMap::new() })
    }

    /// What is there for a node to read.
    pub fn inbox(&mut self, node: usize) -> &mut OutBuffer {
        self.cluster.inbox(node)
    }

    /// How many bytes wait for a node to read them.
    pub fn waiting(&self, node: usize) -> usize {
        self.cluster.waiting(node)
    }

    /// Whether a node has yet to answer its `init`.
    pub fn awaits_init(&self, node: usize) -> bool {
        self.cluster.awaits_init(node)
    }

    /// What is to be done to nodes.
    pub fn take_commands(&mut self) -> Vec<ProcessCommand> {
        self.cluster.take_commands()
    }

    /// A node said this line.
    pub fn handle_line(&mut self, now: Instant, node: usize, line: NextLine<'_>) {
        let Self { cluster, clients, .. } = self;
        cluster.handle_line(now, node, line, |cluster, said| clients.take(cluster, said));
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        self.cluster.poll_timeout()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Self { cluster, clients, .. } = self;
        cluster.handle_timeout(now, |cluster, reminder| clients.remind(cluster, reminder));
    }

    /// Whether the test is over.
    pub fn is_over(&self) -> bool {
        self.clients.are_done() || self.failure().is_some()
    }

    /// What a node did that ends the test.
    pub const fn failure(&self) -> Option<&Failure> {
        self.cluster.failure()
    }

    /// Ends the test: a node did what no node may.
    pub fn fail(&mut self, node: usize, reason: impl Into<String>, line: Option<&[u8]>) {
        self.cluster.fail(node, reason.into(), line);
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
        self.clients.operations().history()
    }

    /// Every message so far.
    pub const fn journal(&self) -> &Journal {
        self.cluster.journal()
    }

    /// What went wrong so far, and when.
    pub fn faults(&self) -> &[Window] {
        self.cluster.faults()
    }

    /// The number of each process's client.
    pub const fn clients(&self) -> &BTreeMap<usize, usize> {
        self.clients.numbers()
    }

    /// Answers for clients that had given up.
    pub const fn late_answers(&self) -> &UnexpectedReplies {
        &self.clients.unexpected().late
    }

    /// Answers to requests that had their answer.
    pub const fn repeated_answers(&self) -> &UnexpectedReplies {
        &self.clients.unexpected().repeated
    }

    /// Answers to what a client had not asked.
    pub const fn stray_answers(&self) -> &UnexpectedReplies {
        &self.clients.unexpected().stray
    }

    /// Messages in which a node names somebody else as the sender.
    pub const fn borrowed_names(&self) -> &UnexpectedReplies {
        self.cluster.borrowed_names()
    }

    /// The first node that wrote to itself in a client's name, as one does that swaps the two, and the client.
    pub const fn swapped(&self) -> Option<(usize, Address)> {
        self.cluster.swapped()
    }

    /// Nodes that answered nothing when they were asked again at the end, while nothing was wrong.
    pub fn silent_nodes(&self) -> &[usize] {
        self.clients.silence().nodes()
    }

    /// How long operations were invoked.
    pub fn run_time(&self) -> Duration {
        self.clients.ended().min(self.now()) - self.started()
    }

    /// What time it is.
    pub const fn now(&self) -> Instant {
        self.cluster.now()
    }

    /// When the operations began.
    pub const fn started(&self) -> Instant {
        self.clients.started()
    }

    /// What is asked of the nodes.
    pub const fn workload(&self) -> &'static dyn Workload {
        self.clients.workload()
    }

    /// What the test is like.
    pub const fn settings(&self) -> &Settings {
        self.clients.settings()
    }

    /// How long a node may take for an answer, lest the client be gone: a little less than clients wait.
    pub const fn answer_within(&self) -> Duration {
        Duration::from_micros(self.clients.patience().as_micros() / 100 * 95)
    }

    /// The bound at which the operations ended before their time, and when, if they did.
    pub fn cut_short(&self) -> Option<(&str, Instant)> {
        self.clients.operations().cut_short()
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
