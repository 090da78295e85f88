//! A conversation with nodes of this crate, in a test and in virtual time: what they are told when, and what they say to
//! that.
//!
//! A [`TestCluster`] runs as many of its nodes as are [started](TestCluster::start). The test plays everybody else:
//! clients, the other nodes, and the services. It [tells](TestCluster::tell) nodes what it likes in anybody's name, lets
//! time [pass](TestCluster::pass), and [takes](TestCluster::take) what was said, with the microsecond at which it was.
//! Nothing sleeps, and the same test does the same each time.
//!
//! ```
//! use messenger::workbench::test_cluster::{TestCluster, json};
//! use messenger::{Answer, Duration, RpcError, handler_fn};
//!
//! // Asks n2, and says what that has.
//! let relay = || {
//!     handler_fn(|request, cx| match request.kind() {
//!         "relay" => cx.wait(request, async |node| {
//!             let reply = node.call("n2", "read").await?;
//!             Ok(Answer::new("relay_ok").field("value", reply.body().integer("value")?))
//!         }),
//!         kind => Err(RpcError::not_supported(kind)),
//!     })
//! };
//!
//! let mut cluster = TestCluster::of(["n1", "n2"]);
//! cluster.start("n1", relay());
//! cluster.tell("c1", "n1", json!({"type": "relay", "msg_id": 7}));
//! let call = cluster.next(Duration::ZERO).expect("a call");
//! assert_eq!((&*call.dest, &call.body["type"]), ("n2", &json!("read")));
//!
//! cluster.pass(Duration::from_millis(300));
//! cluster.reply(&call, json!({"type": "read_ok", "value": 5}));
//! let answer = cluster.next(Duration::ZERO).expect("an answer");
//! assert_eq!((&answer.body["value"], &answer.body["in_reply_to"]), (&json!(5), &json!(7)));
//! assert_eq!(answer.at.as_micros(), 300_000);
//!
//! // Nobody answers for a second.
//! let answer = cluster.ask("n1", json!({"type": "relay"}));
//! assert_eq!(answer["code"], 0, "it timed out");
//! ```
//!
//! Between nodes that run, messages go over the network of a simulated test, with its latency and the
//! [faults](TestCluster::begin) of a `--fault`:
//!
//! ```
//! use messenger::Duration;
//! use messenger::nodes::broadcast::Broadcast;
//! use messenger::workbench::Latency;
//! use messenger::workbench::test_cluster::{TestCluster, json};
//!
//! let mut cluster = TestCluster::of(["n0", "n1", "n2"]).with_network(7, Latency::constant(Duration::from_millis(20)));
//! cluster.start_all(Broadcast::default);
//! cluster.begin("partition n0|n1,n2");
//! cluster.ask("n0", json!({"type": "broadcast", "message": 1}));
//! cluster.pass(Duration::from_secs(5));
//! assert_eq!(cluster.ask("n2", json!({"type": "read"}))["messages"], json!([]));
//! cluster.end("partition n0|n1,n2");
//! cluster.pass(Duration::from_secs(5));
//! assert_eq!(cluster.ask("n2", json!({"type": "read"}))["messages"], json!([1]));
//! ```
//!
//! Bodies of messages are `serde_json`'s [`Value`]s, written by its macro [`json!`]: both are re-exported here, so that a test
//! needs no dependency of its own for them. ([`messenger::Value`](crate::Value), which a handler reads, is another type.)
//!
//! What goes wrong with the test itself panics and says what was expected and what came: a node that writes a line which
//! no node may, to whomever; a name that nobody can have; an [`always!`](crate::always) that does not hold.

mod around;

use std::any::{self, Any};
use std::mem;

use serde::Serialize;
pub use serde_json::{Value, json};

pub use self::around::Said;
use self::around::{Around, Delivery};
use super::disk::Disk;
use super::driver::hosts::Hosts;
use super::driver::simulation::SimulatedNode;
use super::fault::{Action, PlannedFault, Time};
use super::journal::{Address, Journal};
use super::limits::Limits;
use super::network::{Latency, Network};
use super::settings::Settings;
/// How long [`TestCluster::ask`] waits for an answer: as long as the clients of a test.
pub use super::workload::PATIENCE;
use crate::assertions::Watch;
use crate::node::{Config, Handler, Node};
use crate::time::{Duration, Instant};

/// Who gives nodes their `init`, and asks for [`TestCluster::ask`].
const CLIENT: &str = "c0";

/// See the [module](self).
pub struct TestCluster {
    around: Around,
    hosts: Hosts,
    names: Vec<String>,
    now: Instant,
    /// A node that would go on for ever at this instant.
    polls: bool,
    /// Requests of [`CLIENT`], its `init`s included.
    asked: u64,
}

impl TestCluster {
    /// A cluster of nodes with these names, `n0` to `n999`, in the order in which their `init` lists them. None of them
    /// runs yet. Messages take a microsecond, the least there is, and what nodes persist is durable at once.
    ///
    /// # Panics
    /// Where a name is another one.
    pub fn of<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let numbers: Vec<usize> = names.iter().map(|name| number(name)).collect();
        let disk = |_| {
            let mut disk = Disk::new(0);
            disk.set_write_time(Duration::ZERO);
            disk
        };
        let around = Around::new(&numbers);
        Self {
            hosts: Hosts::new(around.was_started.len(), Limits::DEFAULT.turns_per_instant, disk),
            around,
            names,
            now: Instant::START,
            polls: false,
            asked: 0,
        }
    }

    /// Messages between nodes that run, and between them and services, take so long. What chance does to them is another
    /// thing for each seed.
    #[must_use]
    pub fn with_network(mut self, seed: u64, latency: Latency) -> Self {
        *self.around.cluster.network_mut() = Network::new(seed, latency, self.around.was_started.len());
        self
    }

    /// Maelstrom's services answer, over the network. Otherwise they are played by the test, as is everybody who runs not.
    #[must_use]
    pub const fn with_services(mut self) -> Self {
        self.around.has_services = true;
        self
    }

    /// The test plays the network between nodes that run as well: what they say to each other, or a node to itself, goes
    /// nowhere but to the test, which [hands it on](Self::hand_on) when, and as often, as it likes.
    #[must_use]
    pub const fn with_played_network(mut self) -> Self {
        self.around.is_network_played = true;
        self
    }

    /// What nodes persist is durable after so long. If they are killed before, it may be lost, all of it or in part.
    #[must_use]
    pub fn with_write_time(mut self, time: Duration) -> Self {
        (0..self.around.was_started.len()).for_each(|place| self.hosts.disk_mut(place).set_write_time(time));
        self
    }

    /// Starts a node, or starts it again after it was [killed](Self::kill), with what it had persisted and the default
    /// [`Config`]. It is given its `init`, which it has to answer at once.
    ///
    /// # Panics
    /// Where it runs, cannot read its records, or answers something else.
    pub fn start<H: Handler>(&mut self, name: &str, handler: H) {
        self.start_with(name, handler, Config::default());
    }

    /// Starts a node with a [`Config`] of its own.
    ///
    /// # Panics
    /// As [`start`](Self::start) does.
    pub fn start_with<H: Handler>(&mut self, name: &str, handler: H, config: Config) {
        self.start_node(name, Box::new(Node::new(handler, config)));
    }

    /// Starts all nodes.
    ///
    /// # Panics
    /// As [`start`](Self::start) does.
    pub fn start_all<H: Handler>(&mut self, mut handler: impl FnMut() -> H) {
        for name in self.names.clone() {
            self.start(&name, handler());
        }
    }

    /// Starts a node of any kind.
    ///
    /// # Panics
    /// As [`start`](Self::start) does.
    pub fn start_node(&mut self, name: &str, node: Box<dyn SimulatedNode>) {
        let place = self.place(name);
        assert!(self.hosts.node(place).is_none(), "{name} runs already: kill it before it is started again");
        if let Err(error) = self.hosts.start(place, node) {
            panic!("{name} could not start from its log: {error}");
        }
        self.around.was_started[place] = true;
        self.around.cluster.revive(place);
        let before = self.around.untaken.len();
        let init =
            json!({"type": "init", "msg_id": self.next_msg_id(), "node_id": name, "node_ids": self.names});
        self.tell(CLIENT, name, init);
        let mut said = self.around.untaken.iter().skip(before);
        let Some(at) = said.position(|said| said.dest == CLIENT && said.body["type"] == "init_ok") else {
            let came: Vec<_> = self.around.untaken.iter().skip(before).map(|said| &*said.line).collect();
            panic!("{name} was told its init: expected init_ok at once, found {came:?}");
        };
        self.around.untaken.remove(before + at);
    }

    /// Kills a node: what it had not read is gone, and what was not durable may be; what it is told is lost.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn kill(&mut self, name: &str) {
        let place = self.running(name);
        self.hosts.kill(place, self.now);
        self.around.cluster.note_killed(place);
    }

    /// Gives a node that was killed an empty disk.
    ///
    /// # Panics
    /// Where it runs, or there is no such node.
    pub fn wipe(&mut self, name: &str) {
        let place = self.place(name);
        assert!(
            self.hosts.node(place).is_none(),
            "expected a node that was killed, found {name}, which runs"
        );
        self.hosts.disk_mut(place).wipe();
    }

    /// Stops a node until it is [resumed](Self::resume): what it is told waits for it, and its timers run out.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn pause(&mut self, name: &str) {
        let place = self.running(name);
        self.hosts.pause(place);
        self.around.cluster.note_paused(place, true);
    }

    /// Lets a node go on that was paused: it reads what waits, and then does what is due.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn resume(&mut self, name: &str) {
        let place = self.running(name);
        self.hosts.resume(place);
        self.around.cluster.note_paused(place, false);
        self.settle();
    }

    /// Tells a node something in anybody's name, which it reads at once. The body is what follows `"body":`, from its
    /// `type` to the `msg_id` or `in_reply_to` that it may have.
    ///
    /// # Panics
    /// Where there is no such node, or one that was never started.
    pub fn tell(&mut self, src: &str, dest: &str, body: impl Serialize) {
        self.tell_line(dest, &line(src, dest, body));
    }

    /// Tells a node a line as it stands, without its newline, whatever it is.
    ///
    /// # Panics
    /// As [`tell`](Self::tell) does.
    pub fn tell_line(&mut self, dest: &str, line: &str) {
        let node = self.started(dest);
        self.around.cluster.hand_in(node, line.as_bytes());
        self.settle();
    }

    /// Tells a node something when so much time has passed.
    ///
    /// # Panics
    /// As [`tell`](Self::tell) does.
    pub fn tell_after(&mut self, delay: Duration, src: &str, dest: &str, body: impl Serialize) {
        let delivery = Delivery { node: self.started(dest), line: line(src, dest, body).into_bytes() };
        self.around.cluster.remind(self.now + delay, delivery);
    }

    /// Hands on to a node that runs what another one said to it.
    ///
    /// # Panics
    /// As [`tell`](Self::tell) does.
    pub fn hand_on(&mut self, said: &Said) {
        self.tell_line(&said.dest, &said.line);
    }

    /// Answers what a node said, in the name of the one to whom it was said.
    ///
    /// # Panics
    /// Where it had no `msg_id`, or the body is no object.
    pub fn reply(&mut self, to: &Said, body: impl Serialize) {
        self.tell(&to.dest, &to.src, answer(to, body));
    }

    /// Answers what a node said when so much time has passed.
    ///
    /// # Panics
    /// As [`reply`](Self::reply) does.
    pub fn reply_after(&mut self, delay: Duration, to: &Said, body: impl Serialize) {
        self.tell_after(delay, &to.dest, &to.src, answer(to, body));
    }

    /// Asks a node as the client `c0`, with a `msg_id` of its own, and lets time pass until it has answered. The answer's
    /// body.
    ///
    /// # Panics
    /// If there is no answer within [`PATIENCE`].
    pub fn ask(&mut self, dest: &str, body: impl Serialize) -> Value {
        let msg_id = self.next_msg_id();
        let body = with_member(body, "msg_id", msg_id.into());
        let end = self.now + PATIENCE;
        // What was said before is no answer to this.
        let mut seen = self.around.untaken.len();
        self.tell(CLIENT, dest, &body);
        loop {
            let mut new = self.around.untaken.iter().skip(seen);
            if let Some(at) = new.position(|said| said.dest == CLIENT && said.body["in_reply_to"] == msg_id) {
                return self.around.untaken.remove(seen + at).expect("it was found there").body;
            }
            seen = self.around.untaken.len();
            assert!(
                self.step(end),
                "{dest} was asked {body}: expected an answer within {}, found none",
                Time(PATIENCE)
            );
        }
    }

    /// What was said first to anybody whom the test plays and was not taken yet. If there is nothing, time passes until
    /// there is, but no longer than this.
    pub fn next(&mut self, within: Duration) -> Option<Said> {
        let end = self.now + within;
        while self.around.untaken.is_empty() {
            if !self.step(end) {
                return None;
            }
        }
        self.around.untaken.pop_front()
    }

    /// What was said to anybody whom the test plays and was not taken yet.
    pub fn said(&self) -> impl ExactSizeIterator<Item = &Said> {
        self.around.untaken.iter()
    }

    /// All that was said to anybody whom the test plays, since it was last taken.
    pub fn take(&mut self) -> Vec<Said> {
        mem::take(&mut self.around.untaken).into()
    }

    /// So much time passes, and everything happens that is due in it.
    pub fn pass(&mut self, span: Duration) {
        self.pass_until(self.now + span);
    }

    /// Time passes until then.
    pub fn pass_until(&mut self, end: Instant) {
        while self.step(end) {}
    }

    /// Time passes until the next thing has happened that is due, or until `end` if that comes first. Whether something
    /// happened.
    pub fn step(&mut self, end: Instant) -> bool {
        let now = self.now;
        // Whoever would go on for ever goes on when something else happens.
        let of_hosts = self.hosts.next_due(self.polls.then_some(now));
        let due = of_hosts.into_iter().chain(self.around.cluster.poll_timeout()).min();
        let Some(due) = due.filter(|due| *due <= end) else {
            self.now = end.max(now);
            self.polls &= end <= now;
            return false;
        };
        self.now = due.max(now);
        let Around { cluster, .. } = &mut self.around;
        cluster.handle_timeout(self.now, |cluster, Delivery { node, line }| cluster.hand_in(node, &line));
        self.settle();
        true
    }

    /// Begins a fault of the network, in the words of `--fault` without its time: `partition n0|n1,n2`, `loss 0.2`,
    /// `slow n0->n1 200ms`, `duplicate 0.2`, `reorder 60ms`. It concerns messages between nodes that run.
    ///
    /// # Panics
    /// Where it is no such fault.
    pub fn begin(&mut self, fault: &str) {
        let action = self.action(fault);
        self.around.cluster.network_mut().begin(&action);
    }

    /// Ends a fault of the network that was [begun](Self::begin) in the same words.
    ///
    /// # Panics
    /// Where it is no such fault.
    pub fn end(&mut self, fault: &str) {
        let action = self.action(fault);
        self.around.cluster.network_mut().end(&action);
    }

    /// What time it is: 0 s at first.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// A node that runs, with its handler: `cluster.node::<MyNode>("n1").handler()`.
    ///
    /// # Panics
    /// Where it does not, or is of another kind.
    pub fn node<H: Handler>(&self, name: &str) -> &Node<H> {
        let node: &dyn Any = self.hosts.node(self.running(name)).expect("it runs");
        node.downcast_ref().unwrap_or_else(|| panic!("{}", other_kind::<H>(name)))
    }

    /// As [`node`](Self::node). What its methods write goes nowhere.
    ///
    /// # Panics
    /// As [`node`](Self::node) does.
    pub fn node_mut<H: Handler>(&mut self, name: &str) -> &mut Node<H> {
        let place = self.running(name);
        let node: &mut dyn Any = &mut **self.hosts.node_mut(place).expect("it runs");
        node.downcast_mut().unwrap_or_else(|| panic!("{}", other_kind::<H>(name)))
    }

    /// The records that a node is started with for certain if it is killed now, the oldest first: those that are durable.
    ///
    /// # Panics
    /// Where there is no such node.
    pub fn records(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.hosts.disk(self.place(name)).durable(self.now)
    }

    /// The messages between nodes that ran, and between them and services that answer.
    pub const fn journal(&self) -> &Journal {
        self.around.cluster.journal()
    }

    fn next_msg_id(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// Lets everything happen that happens now.
    fn settle(&mut self) {
        let watch = Watch::start();
        self.around.cluster.set_now(self.now);
        self.polls = self.hosts.settle(&mut self.around, self.now, &watch).is_some();
        if let Some(failure) = self.around.cluster.failure() {
            let (node, at, reason) = (failure.node, Time(failure.at - Instant::START), &failure.reason);
            let line = failure.line.as_deref().map(|line| format!(": {line}")).unwrap_or_default();
            panic!("n{node} at {at}: {reason}{line}");
        }
    }

    fn action(&self, fault: &str) -> Action {
        let planned = match format!("{fault} at 0s").parse::<PlannedFault>() {
            Ok(planned) => planned,
            Err(error) => panic!("{error}"),
        };
        if let Some(node) = planned.unknown_node(self.around.was_started.len()) {
            panic!("{fault:?}: expected nodes of {:?}, found n{node}", self.names);
        }
        assert!(
            planned.action.links().is_some(),
            "{fault:?}: expected a fault of the network, or a call of its own"
        );
        planned.action
    }

    fn place(&self, name: &str) -> usize {
        assert!(
            self.names.iter().any(|known| known == name),
            "expected one of {:?}, found {name:?}",
            self.names
        );
        number(name)
    }

    fn started(&self, name: &str) -> usize {
        let place = self.place(name);
        assert!(
            self.around.was_started[place],
            "expected a node that was started, found {name}, which the test plays"
        );
        place
    }

    fn running(&self, name: &str) -> usize {
        let place = self.started(name);
        assert!(
            self.hosts.node(place).is_some(),
            "expected a node that runs, found {name}, which was killed"
        );
        place
    }
}

/// The number of the node that is called so.
fn number(name: &str) -> usize {
    match Address::parse(name) {
        Some(Address::Node(number)) if number < Settings::NODES_MAX => number,
        _ => panic!("expected the name of a node from n0 to n{}, found {name:?}", Settings::NODES_MAX - 1),
    }
}

fn other_kind<H>(name: &str) -> String {
    format!("expected {name} to have the handler {}, found another one", any::type_name::<H>())
}

fn line(src: &str, dest: &str, body: impl Serialize) -> String {
    json!({"src": src, "dest": dest, "body": body}).to_string()
}

fn answer(to: &Said, body: impl Serialize) -> Value {
    let msg_id = to.body.get("msg_id").unwrap_or_else(|| panic!("{} expects no reply", to.line));
    with_member(body, "in_reply_to", msg_id.clone())
}

fn with_member(body: impl Serialize, name: &str, value: Value) -> Value {
    match serde_json::to_value(body) {
        Ok(Value::Object(mut members)) => {
            members.insert(name.to_owned(), value);
            Value::Object(members)
        }
        Ok(other) => panic!("expected a body that is an object, found {other}"),
        Err(error) => panic!("expected a body that can be written as JSON: {error}"),
    }
}
