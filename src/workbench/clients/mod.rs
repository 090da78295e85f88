//! The clients of a test: what each asks when, what it waits for, what became of it, and the phases from the first request
//! to the last.
//!
//! They know nodes only as a [`Cluster`] shows them: they put requests into inboxes, and get what is said to clients.

mod ending;
mod operations;
mod requests;
mod schedule;
mod silence;
mod unexpected;
mod workers;

use std::collections::BTreeMap;

use fastrand::Rng;

pub use self::operations::Operations;
use self::schedule::{Schedule, TICK};
pub use self::silence::Silence;
pub use self::unexpected::Unexpected;
use super::cluster::{self, Breach, ToClient};
use super::plan::{PlannedOperation, Script};
use super::settings::Settings;
use super::workload::{Client, RequestBody, Rpc, Workload};
use crate::time::{Duration, Instant};
use crate::timer::TimerKey;

/// The cluster as clients see it.
pub type Cluster = cluster::Cluster<Reminder>;

/// See the [module](self).
#[derive(Debug)]
pub struct Clients {
    workload: &'static dyn Workload,
    settings: Settings,
    /// How long a client waits for an answer.
    patience: Duration,
    phase: Phase,
    /// When operations began.
    started: Instant,
    /// When the last operations were invoked, but for the final ones.
    ended: Instant,
    workers: Vec<Worker>,
    /// Whom each client number stands for. Those that are missing gave nodes their `init`.
    roles: Vec<Role>,
    /// The number of each process's client.
    client_of: BTreeMap<usize, usize>,
    /// What each client sends first, if it sends anything.
    setup: Option<Request>,
    /// Where requests are written.
    request: RequestBody,
    schedule: Schedule,
    operations: Operations,
    unexpected: Unexpected,
    silence: Silence,
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

/// What clients want to be reminded of.
#[derive(Clone, Copy, Debug)]
pub enum Reminder {
    /// The next operation is due.
    Next,
    /// A worker without pause may go on.
    Go(usize),
    /// A worker has waited long enough.
    Timeout(usize),
    /// No more operations start.
    End,
    /// Nodes have rested before the final phase.
    Recovered,
    /// A worker goes on in the final phase.
    FinalStep(usize),
    /// The final phase has been long enough.
    FinalEnd,
    /// A worker asks its node if it still answers.
    Probe(usize),
}

/// Somebody who does one operation after the other, under one name until nobody knows what became of one.
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
    Worker(usize),
    /// It told a node something, and does not care for the answer.
    Told,
    /// It is gone, and had asked so many times.
    Closed {
        asked: u64,
    },
}

impl Role {
    /// It asked a node to answer its `init`, once.
    const INIT: Self = Self::Closed { asked: 1 };
}

impl Clients {
    /// Clients that have asked nothing yet. The operations are made up unless they are planned.
    pub fn new(
        workload: &'static dyn Workload,
        settings: Settings,
        planned: Option<Vec<PlannedOperation>>,
    ) -> Self {
        let mut request = RequestBody::default();
        workload.setup(&settings, &mut request);
        let setup = request.take().map(|(rpc, members)| Request { rpc, members: members.to_vec() });
        let worker = |place| Worker {
            process: place,
            node: place % settings.nodes,
            number: 0,
            client: workload.client(&settings),
            next_msg_id: 1,
            waits: None,
            is_prepared: setup.is_none(),
            is_done: false,
        };
        Self {
            workload,
            patience: workload.patience(&settings),
            phase: Phase::Starting,
            started: Instant::START,
            ended: Instant::END,
            workers: (0..settings.workers).map(worker).collect(),
            roles: Vec::new(),
            client_of: BTreeMap::new(),
            setup,
            request,
            schedule: Schedule::new(
                Rng::with_seed(!settings.seed),
                planned.map(|operations| Script::new(operations, settings.workers)),
            ),
            operations: Operations::new(Rng::with_seed(settings.seed), workload.generator(&settings)),
            unexpected: Unexpected::default(),
            silence: Silence::new(settings.nodes),
            settings,
        }
    }

    /// Takes what a node said to a client, or says what is wrong with it.
    pub fn take(&mut self, cluster: &mut Cluster, said: ToClient<'_>) -> Result<(), Breach> {
        match said {
            ToClient::Ready(node) if self.phase != Phase::Starting => self.set_up_again(cluster, node),
            ToClient::Ready(_) if cluster.awaits_any_init() => {}
            ToClient::Ready(_) => self.open_workers(cluster),
            ToClient::Answer(answer) => return self.take_answer(cluster, &answer),
        }
        Ok(())
    }

    /// Does what it is time for.
    pub fn remind(&mut self, cluster: &mut Cluster, of: Reminder) {
        match of {
            Reminder::Next => self.next(cluster),
            Reminder::Go(worker) => self.go(cluster, worker),
            Reminder::Timeout(worker) => self.time_out(cluster, worker),
            Reminder::End if self.phase != Phase::Running => {}
            Reminder::End => self.end(cluster),
            Reminder::Recovered => self.start_final(cluster),
            Reminder::FinalStep(worker) => self.go_on_finally(cluster, worker),
            Reminder::FinalEnd => self.end_final(cluster),
            Reminder::Probe(worker) => self.probe(cluster, worker),
        }
    }

    /// Whether there is nothing more to ask.
    pub fn are_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// What is asked of the nodes.
    pub const fn workload(&self) -> &'static dyn Workload {
        self.workload
    }

    /// What the test is like.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How long a client waits for an answer.
    pub const fn patience(&self) -> Duration {
        self.patience
    }

    /// When the operations began.
    pub const fn started(&self) -> Instant {
        self.started
    }

    /// When the last operations were invoked, but for the final ones, if that is over.
    pub const fn ended(&self) -> Instant {
        self.ended
    }

    /// The number of each process's client.
    pub const fn numbers(&self) -> &BTreeMap<usize, usize> {
        &self.client_of
    }

    /// What was asked, and what became of it.
    pub const fn operations(&self) -> &Operations {
        &self.operations
    }

    /// Answers that nobody waited for.
    pub const fn unexpected(&self) -> &Unexpected {
        &self.unexpected
    }

    /// Nodes that do not answer.
    pub const fn silence(&self) -> &Silence {
        &self.silence
    }

    fn open(&mut self, cluster: &mut Cluster, role: Role) -> usize {
        let number = cluster.open_client();
        self.roles.resize(number, Role::INIT);
        self.roles.push(role);
        number
    }

    /// Every node has answered its `init`: clients come, and prepare for their work.
    fn open_workers(&mut self, cluster: &mut Cluster) {
        for place in 0..self.workers.len() {
            self.workers[place].number = self.open(cluster, Role::Worker(place));
            self.client_of.insert(self.workers[place].process, self.workers[place].number);
            if let Some(Request { rpc, members }) = self.setup.take() {
                self.ask(cluster, place, None, rpc, &members);
                self.setup = Some(Request { rpc, members });
            }
        }
        self.start_if_prepared(cluster);
    }

    /// A node that was started again has to be told again what clients tell a node first.
    fn set_up_again(&mut self, cluster: &mut Cluster, node: usize) {
        if let Some(Request { rpc, members }) = self.setup.take() {
            let client = self.open(cluster, Role::Told);
            cluster.request(client, node, 1, rpc.request, &members);
            self.setup = Some(Request { rpc, members });
        }
    }

    fn start_if_prepared(&mut self, cluster: &mut Cluster) {
        if self.phase != Phase::Starting || !self.workers.iter().all(|worker| worker.is_prepared) {
            return;
        }
        self.phase = Phase::Running;
        self.started = cluster.now();
        cluster.remind(self.started + self.settings.time_limit, Reminder::End);
        cluster.start_faults();
        if self.schedule.script.is_some() {
            self.expect_planned(cluster);
        } else if self.settings.rate.is_some() {
            self.schedule.start(self.workers.len(), self.started);
            next_soon(cluster);
        } else {
            for worker in 0..self.workers.len() {
                go_soon(cluster, worker);
            }
        }
    }
}

/// Looks again whether an operation is due.
fn next_soon(cluster: &mut Cluster) {
    cluster.remind_last(cluster.now() + TICK, Reminder::Next);
}

/// A worker goes on.
fn go_soon(cluster: &mut Cluster, worker: usize) {
    cluster.remind_last(cluster.now() + TICK, Reminder::Go(worker));
}
