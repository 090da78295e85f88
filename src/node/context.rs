//! What a handler works with: the request that it got, and what it may do about it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use fastrand::Rng;
use foldhash::fast::FixedState;
use slab::Slab;
use smallvec::SmallVec;

use super::call::{Call, Completion};
use super::durability::TurnLog;
use super::fields::{NO_TYPE, type_name};
use super::remote::Inbox;
use super::sequential::{Answer, Tasks};
use super::timers::{HandlerTimer, TimerEvent};
use crate::boundary::Boundary;
use crate::boundary::chaos::{Chaos, ChaosConfig};
use crate::boundary::dedup::DedupConfig;
use crate::json::text::excerpt;
use crate::json::value::Integer;
use crate::json::write::WriteJson as _;
use crate::rpc::breaker::{Breaker, BreakerConfig};
use crate::rpc::pending::{PeerId, Pending};
use crate::telemetry::label::Label;
use crate::telemetry::metrics::{Counters, KindId, Metrics, Summary};
use crate::telemetry::trace::{Entry, Trace};
use crate::time::{Duration, Instant};
use crate::timer::Wheel;
use crate::wire::envelope::{Body, Envelope};
use crate::wire::error::{ErrorCode, RpcError};
use crate::wire::out::OutBuffer;

/// Maelstrom's services, which every node can call.
const SERVICES: [&str; 4] = ["lin-kv", "seq-kv", "lww-kv", "lin-tso"];

/// What a node may be told beyond its handler.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The seed of everything that is left to chance, together with the node's id: several nodes may have the same. A
    /// shell on real time takes it from chance itself.
    pub seed: u64,
    /// How many calls may wait at once. Beyond it a call fails with error 11.
    pub max_pending: usize,
    /// How many handlers may wait at once. Beyond it a request is answered with error 11.
    pub max_waiting: usize,
    /// How many things may wait that other threads want done. Beyond it [`Remote::run`](super::Remote::run) is an
    /// error.
    pub max_remote: usize,
    /// A deferred answer to a client that would leave later than this after its request is dropped. A client
    /// gives up after 5 seconds, and Maelstrom goes deaf to a node that answers one which is gone.
    pub answer_within: Duration,
    /// Whether, and when, to stop calling a peer that does not answer.
    pub breaker: Option<BreakerConfig>,
    /// Whether to answer a request that comes again with its first answer, and how many of those to keep.
    pub dedup: Option<DedupConfig>,
    /// What happens to the messages that the node sends, from the start.
    pub chaos: Option<ChaosConfig>,
    /// How many of the newest messages to remember; at least one.
    pub trace_size: usize,
    /// Lets what a handler says leave before what it persisted in that turn is durable: then a crash loses what was
    /// acknowledged. It is for those who want to see a test find that.
    pub loses_acknowledged_writes: bool,
}

impl Default for Config {
    /// A million calls, 10,000 handlers, 4.5 seconds, 100 messages; no breaker, dedup or chaos; seed 0; nothing leaves
    /// before what it depends on is durable.
    fn default() -> Self {
        Self {
            seed: 0,
            max_pending: 1_000_000,
            max_waiting: 10_000,
            max_remote: 1000,
            answer_within: Duration::from_millis(4500),
            breaker: None,
            dedup: None,
            chaos: None,
            trace_size: 100,
            loses_acknowledged_writes: false,
        }
    }
}

/// A request to this node. It reads like its [`Body`], which gives typed access to the fields.
#[derive(Debug)]
pub struct Request<'a> {
    envelope: &'a Envelope<'a>,
    reply_state: Cell<ReplyState>,
}

/// Whether a request has its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplyState {
    No,
    Now,
    /// It was put off.
    Later,
}

impl<'a> Request<'a> {
    pub(super) const fn new(envelope: &'a Envelope<'a>) -> Self {
        Self { envelope, reply_state: Cell::new(ReplyState::No) }
    }

    /// Who sent it.
    pub fn src(&self) -> &'a str {
        &self.envelope.src
    }

    /// `type`: what is asked for.
    pub fn kind(&self) -> &'a str {
        &self.envelope.body.kind
    }

    /// Whether it was answered, or is to be answered later.
    pub const fn is_answered(&self) -> bool {
        !matches!(self.reply_state.get(), ReplyState::No)
    }

    /// Whether it is to be answered later.
    pub(super) const fn is_put_off(&self) -> bool {
        matches!(self.reply_state.get(), ReplyState::Later)
    }

    /// Whom to answer; `None` if the request has no `msg_id` and wants no answer.
    pub(super) fn origin(&self) -> Option<Origin<'a>> {
        let Envelope { src, dest, body } = self.envelope;
        body.msg_id.map(|msg_id| Origin { src, dest, msg_id })
    }
}

impl<'a> Deref for Request<'a> {
    type Target = Body<'a>;

    fn deref(&self) -> &Body<'a> {
        &self.envelope.body
    }
}

/// Where a request came from, so that it can be answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    pub(super) src: &'a str,
    /// Whom it was sent to: the answer's sender as long as the node does not know its own name.
    pub(super) dest: &'a str,
    pub(super) msg_id: Integer<'a>,
}

/// A request that will be answered later, with [`Context::answer`].
///
/// If it is dropped without an answer, by a panic for instance, its client gets error 13: a client is never
/// left to wait for nothing.
#[derive(Debug)]
#[must_use = "a request that was deferred has to be answered"]
pub struct Deferred {
    address: Option<ReturnAddress>,
    abandoned: Abandoned,
}

/// Deferred requests that were dropped without an answer.
pub(super) type Abandoned = Rc<RefCell<Vec<ReturnAddress>>>;

/// A `msg_id` as its sender wrote it.
type MsgIdText = SmallVec<[u8; 16]>;

/// Whom to answer, and what for.
#[derive(Debug)]
pub(super) struct ReturnAddress {
    dest: SmallVec<[u8; 16]>,
    msg_id: MsgIdText,
    /// The request's type.
    kind: KindId,
    /// When the request came.
    arrived: Instant,
    /// When an answer would come too late.
    until: Instant,
}

impl ReturnAddress {
    fn dest(&self) -> &str {
        std::str::from_utf8(&self.dest).expect("it is a copy of a string")
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        self.abandoned.borrow_mut().extend(self.address.take());
    }
}

/// What a handler may do.
#[derive(Debug)]
pub struct Context<'a, H> {
    pub(super) core: &'a mut Core<H>,
    pub(super) out: &'a mut OutBuffer,
}

impl<'a, H> Context<'a, H> {
    pub(super) const fn new(core: &'a mut Core<H>, out: &'a mut OutBuffer) -> Self {
        Self { core, out }
    }

    /// Starts the answer to a request: add its fields, then send it.
    ///
    /// It goes from this node to the request's sender, with the request's `msg_id` as `in_reply_to`.
    #[inline]
    pub fn reply<'m>(&'m mut self, request: &'m Request<'_>, kind: &str) -> Message<'m> {
        let Envelope { src, dest, body } = request.envelope;
        let mut message = self.core.writer.message(self.out, dest, src, kind);
        match body.msg_id {
            None => message.writer.draft.disposition = Disposition::Discard,
            Some(_) if request.is_answered() => {
                message.writer.draft.disposition = Disposition::Refuse(Misuse::AnsweredTwice);
            }
            Some(msg_id) => {
                message.in_reply_to = msg_id.as_str();
                message.request = Some(request);
            }
        }
        message
    }

    /// Puts the answer to a request off.
    pub fn defer(&mut self, request: &Request<'_>) -> Deferred {
        let abandoned = Rc::clone(&self.core.abandoned);
        let origin = if request.is_answered() { None } else { request.origin() };
        request.reply_state.set(ReplyState::Later);
        let address = origin.map(|Origin { src, msg_id, .. }| {
            let is_patient = self.core.peer(src).is_some();
            let now = self.core.now;
            ReturnAddress {
                dest: SmallVec::from_slice(src.as_bytes()),
                msg_id: MsgIdText::from_slice(msg_id.as_str().as_bytes()),
                kind: self.core.writer.metrics.kind(request.kind()),
                arrived: self.core.arrived.unwrap_or(now),
                until: if is_patient { Instant::END } else { now + self.core.config.answer_within },
            }
        });
        Deferred { address, abandoned }
    }

    /// Starts the answer to a request that was put off: add its fields, then send it.
    ///
    /// If it is too late for its client, the answer is dropped and counted: see [`Config::answer_within`].
    pub fn answer(&mut self, deferred: Deferred, kind: &str) -> Message<'_> {
        self.core.answer(self.out, deferred, kind)
    }

    /// Answers a request that was put off with an error.
    pub fn answer_error(&mut self, deferred: Deferred, error: &RpcError) {
        self.core.answer_error(self.out, deferred, error);
    }

    /// Answers a request that was put off with what its handler came to.
    pub(super) fn end_task(&mut self, deferred: Deferred, answer: &Answer) {
        if let Some(why) = answer.fault {
            return self.answer_error(deferred, &RpcError::new(ErrorCode::CRASH, why));
        }
        let message = self.answer(deferred, "").send_whole(|line| {
            let start = line.len();
            line.extend_from_slice(&answer.members);
            Ok(start + answer.kind.start..start + answer.kind.end)
        });
        message.expect("its fields were checked");
    }

    /// Starts the answer to a request of a client that another node read and handed on: add its fields, then send it.
    /// `msg_id` is that of the client's request, as it is written. Whoever hands a request on must not answer it.
    pub fn reply_for<'m>(&'m mut self, client: &str, msg_id: &'m str, kind: &str) -> Message<'m> {
        let mut message = self.core.writer.message(self.out, "", client, kind);
        let digits = msg_id.strip_prefix('-').unwrap_or(msg_id);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            message.writer.draft.disposition = Disposition::Refuse(Misuse::NoRequest);
        }
        message.in_reply_to = msg_id;
        message
    }

    /// Appends a record to this node's log, which it gets back after its next start by
    /// [`Handler::recover`](super::Handler::recover). What is said in this turn, by whomever, leaves only when this is
    /// durable.
    ///
    /// All records of a turn become durable together, by one write. Where they are kept is for the shell to say: see
    /// [`reactor::Options::data`](crate::reactor::Options::data).
    pub fn persist(&mut self, record: &(impl AsRef<[u8]> + ?Sized)) {
        self.core.log.push(record.as_ref());
    }

    /// Appends a record that stands for all that was persisted before: that is forgotten, at once with this.
    pub fn snapshot(&mut self, record: &(impl AsRef<[u8]> + ?Sized)) {
        self.core.log.replace(record.as_ref());
    }

    /// Starts a message to another node, or to one of Maelstrom's services, that waits for no answer: add its
    /// fields, then send it.
    ///
    /// Unlike a call that is forgotten it is not pending: nothing is kept of it, and nothing ends later. It is
    /// numbered like every message of a node, so whoever gets it may answer. Such an answer is dropped, and
    /// counted as one that nothing waits for.
    ///
    /// To send it is an error of code 1 if there is no such node.
    pub fn message<'m>(&'m mut self, peer: &str, kind: &str) -> Message<'m> {
        let is_known = self.core.peer(peer).is_some();
        let message = self.core.writer.message(self.out, "", peer, kind);
        if !is_known {
            message.writer.draft.disposition = Disposition::Refuse(Misuse::NoSuchReceiver);
        }
        message
    }

    /// Starts a call to another node, or to one of Maelstrom's services: add fields, then say how to go on.
    pub fn call<'m>(&'m mut self, peer: &str, kind: &str) -> Call<'m, H> {
        Call::new(self, peer, kind)
    }

    /// How many calls wait for their answers.
    pub fn pending_calls(&self) -> usize {
        self.core.pending.len()
    }

    /// How many more calls may wait.
    pub fn room_for_calls(&self) -> usize {
        self.core.pending.room()
    }

    /// This node's id.
    pub fn id(&self) -> &str {
        self.cluster().id()
    }

    /// The node and the others of its cluster.
    ///
    /// # Panics
    /// Never in a handler: none runs before `init`.
    pub fn cluster(&self) -> &Cluster {
        self.core.cluster.as_ref().expect("handlers run after init")
    }

    /// When the bytes of this turn arrived.
    pub const fn now(&self) -> Instant {
        self.core.now
    }

    /// How long ago the bytes of this turn arrived, by the shell's clock. In virtual time a turn takes none.
    pub fn elapsed(&self) -> Duration {
        self.core.read_clock() - self.core.arrived.unwrap_or(self.core.now)
    }

    /// The newest messages, at most `count` of them, the oldest first: see [`Config::trace_size`].
    pub fn trace(&self, count: usize) -> Vec<Entry> {
        self.core.writer.trace.newest(count)
    }

    /// How many requests were answered since `init`, this moment's included, and how long that took.
    pub fn summary(&mut self) -> Summary {
        let (now, metrics) = (self.core.read_clock(), &mut self.core.writer.metrics);
        metrics.handle_written(now);
        metrics.summary(now)
    }

    /// What happens to the messages that this node sends.
    pub const fn chaos(&mut self) -> &mut Chaos {
        &mut self.core.boundary.chaos
    }

    /// Random numbers from the node's seed and id.
    pub const fn rng(&mut self) -> &mut Rng {
        &mut self.core.rng
    }

    pub(super) const fn is_initialised(&self) -> bool {
        self.core.cluster.is_some()
    }

    /// Takes on an identity; whether it is the first one.
    pub(super) fn identify(&mut self, cluster: Cluster) -> Result<bool, RpcError> {
        match &self.core.cluster {
            None => {
                self.core.identify(cluster);
                Ok(true)
            }
            Some(known) if *known == cluster => Ok(false),
            Some(known) => Err(RpcError::precondition_failed(format!(
                "this is node {:?} of {} since its first init, and cannot become {:?} of {}",
                known.id,
                known.nodes.len(),
                excerpt(&cluster.id),
                cluster.nodes.len(),
            ))),
        }
    }
}

/// A message that is being written into the output. It counts only once it is sent.
#[derive(Debug)]
#[must_use = "a message does not leave before `send`"]
pub struct Message<'m> {
    writer: &'m mut MessageWriter,
    out: &'m mut OutBuffer,
    /// Empty in what is no answer, or one that was put off.
    in_reply_to: &'m str,
    /// What it answers.
    request: Option<&'m Request<'m>>,
}

/// What else there is to know of the message that is being written. It stays with the writer, because a [`Message`] is
/// moved by each of its methods.
#[derive(Debug)]
struct Draft {
    disposition: Disposition,
    /// What it answers, if that was put off. It is still to be answered if the message is not sent.
    deferred: Option<Deferred>,
}

impl Draft {
    const NONE: Self = Self { disposition: Disposition::Discard, deferred: None };

    /// Whether it has anything that outlives the message.
    #[inline(always)]
    const fn has_side_state(&self) -> bool {
        self.deferred.is_some()
    }
}

/// What becomes of a message when it is sent.
#[derive(Clone, Copy, Debug)]
enum Disposition {
    Send,
    /// Nobody wants it.
    Discard,
    /// Nobody waits for it any more.
    TooLate,
    /// A handler did what it must not.
    Refuse(Misuse),
}

/// What a handler must not do.
#[derive(Clone, Copy, Debug)]
enum Misuse {
    AnsweredTwice,
    /// Of a field, and why.
    BadField(&'static str),
    NoSuchReceiver,
    NoRequest,
}

impl From<Misuse> for RpcError {
    #[cold]
    fn from(misuse: Misuse) -> Self {
        match misuse {
            Misuse::AnsweredTwice => Self::new(ErrorCode::CRASH, ANSWERED_ONCE),
            Misuse::BadField(why) => Self::new(ErrorCode::CRASH, why),
            Misuse::NoRequest => Self::new(ErrorCode::CRASH, "expected the msg_id of a request, an integer"),
            Misuse::NoSuchReceiver => {
                Self::new(ErrorCode::NODE_NOT_FOUND, "its receiver is neither of this cluster nor a service")
            }
        }
    }
}

impl<'m> Message<'m> {
    /// The message that was just started.
    #[inline(always)]
    fn new(writer: &'m mut MessageWriter, out: &'m mut OutBuffer, disposition: Disposition) -> Self {
        if writer.draft.has_side_state() {
            // The last message was neither sent nor dropped.
            writer.draft = Draft::NONE;
        }
        writer.draft.disposition = disposition;
        Self { writer, out, in_reply_to: "", request: None }
    }

    /// Lets `write` append to the body.
    #[inline(always)]
    pub(super) fn fields(self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), &'static str>) -> Self {
        if let Err(why) = write(self.out.line()) {
            self.writer.draft.disposition = Disposition::Refuse(Misuse::BadField(why));
        }
        self
    }

    /// Sends all members of a body, of a message that was started without type and fields. `write` appends them, and
    /// says where the type is.
    #[inline]
    pub(super) fn send_whole(
        self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<std::ops::Range<usize>, RpcError>,
    ) -> Result<(), RpcError> {
        if let Disposition::Discard | Disposition::Refuse(_) = self.writer.draft.disposition {
            return self.send();
        }
        let line = self.out.line();
        line.truncate(line.len() - NO_TYPE.len());
        let kind = write(line)?;
        // Most types are written as they are.
        match line[kind.start + 1..kind.end - 1].utf8_chunks().next().map(|text| text.valid()) {
            Some(kind) if !kind.contains('\\') => self.writer.trace.set_staged_type(kind),
            _ => self.writer.trace.set_staged_type(&type_name(&line[kind])),
        }
        self.send()
    }

    /// Sends it: gives it the next `msg_id` and puts it into the output.
    ///
    /// The answer to a request without `msg_id` goes nowhere, which is no error.
    ///
    /// # Errors
    /// Code 13 for what no handler should try: a second answer to the same request, or a field that
    /// is not its to write. Code 1 for a message to somebody who does not exist. Nothing is sent then.
    pub fn send(self) -> Result<(), RpcError> {
        let draft = &self.writer.draft;
        if let (Disposition::Send, Some(request), false) =
            (draft.disposition, self.request, draft.has_side_state())
        {
            request.reply_state.set(ReplyState::Now);
            self.writer.metrics.answered(request.kind());
            self.writer.end_reply(self.out, self.in_reply_to.as_bytes());
            return Ok(());
        }
        self.send_slow()
    }

    /// Sends what is not the first and only answer to a request, at once.
    #[inline(never)]
    fn send_slow(self) -> Result<(), RpcError> {
        let Draft { disposition, .. } = self.writer.draft;
        match disposition {
            Disposition::Refuse(misuse) => return Err(misuse.into()),
            Disposition::Discard => return Ok(()),
            Disposition::Send | Disposition::TooLate => {}
        }
        let address = self.writer.draft.deferred.take().and_then(|mut deferred| deferred.address.take());
        let in_reply_to = answered_id(self.in_reply_to, address.as_ref());
        if matches!(disposition, Disposition::TooLate) {
            self.writer.withhold(self.out, in_reply_to);
            return Ok(());
        }
        if let Some(&ReturnAddress { kind, arrived, .. }) = address.as_ref() {
            self.writer.metrics.answered_late(kind, arrived);
        }
        if let Some(request) = self.request {
            request.reply_state.set(ReplyState::Now);
            self.writer.metrics.answered(request.kind());
        }
        if in_reply_to.is_empty() {
            self.writer.end_message(self.out);
        } else {
            self.writer.end_reply(self.out, in_reply_to);
        }
        Ok(())
    }
}

impl Drop for Message<'_> {
    /// What was to be answered and is not, was given up.
    #[inline(always)]
    fn drop(&mut self) {
        if self.writer.draft.has_side_state() {
            self.writer.draft = Draft::NONE;
        }
    }
}

/// The `msg_id` that a message answers.
fn answered_id<'a>(msg_id: &'a str, deferred: Option<&'a ReturnAddress>) -> &'a [u8] {
    deferred.map_or(msg_id.as_bytes(), |address| &address.msg_id)
}

/// Why an answer was refused.
pub(super) const ANSWERED_ONCE: &str = "a request is answered only once";

/// A node's own id and the ids of its whole cluster, as `init` told them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    id: String,
    /// The id again, for quick comparisons.
    label: Label,
    nodes: Vec<String>,
    /// All but this one, to be shared with whoever sends to them.
    peers: Rc<[Rc<str>]>,
}

impl Cluster {
    pub(super) fn new(id: String, nodes: Vec<String>) -> Self {
        let peers = nodes.iter().filter(|node| **node != id).map(|node| Rc::from(&**node)).collect();
        Self { label: Label::new(&id), id, nodes, peers }
    }

    pub(super) fn peer_names(&self) -> Rc<[Rc<str>]> {
        Rc::clone(&self.peers)
    }

    /// Whether a message to `dest` is for this node.
    #[inline(always)]
    pub(super) fn is_for_us(&self, dest: &str) -> bool {
        self.label.is(dest) || self.id == dest
    }

    /// This node's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Every node of the cluster, this one included, in the order of `init`.
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }

    /// Every node but this one.
    pub fn peers(&self) -> impl Iterator<Item = &str> {
        self.peers.iter().map(|peer| &**peer)
    }
}

/// The state of a node that is not its handler's.
#[derive(Debug)]
pub(super) struct Core<H> {
    pub(super) config: Config,
    pub(super) now: Instant,
    pub(super) rng: Rng,
    pub(super) cluster: Option<Cluster>,
    pub(super) writer: MessageWriter,
    /// What was persisted and is not durable yet, and what was said that depends on it.
    pub(super) log: TurnLog,
    /// What messages pass on their way in and out. The core only keeps it, for handlers to find.
    pub(super) boundary: Boundary,
    /// When the bytes came that are handled, if that was before this turn.
    pub(super) arrived: Option<Instant>,
    /// The shell's clock, for those who measure. Everything else goes by `now`.
    pub(super) clock: Option<Clock>,
    /// Whom this node may call: its cluster and the services. Nobody else exists for Maelstrom.
    pub(super) peers: Vec<Peer>,
    /// The names come with `init`, so nobody can choose them to collide later.
    peer_ids: HashMap<Box<str>, PeerId, FixedState>,
    pub(super) pending: Pending<Completion<H>>,
    pub(super) wheel: Wheel<TimerEvent>,
    pub(super) timers: Slab<HandlerTimer<H>>,
    pub(super) timers_started: u64,
    pub(super) tasks: Tasks<H>,
    pub(super) abandoned: Abandoned,
    /// Memory that was used and will be again.
    buffers: Vec<Vec<u8>>,
    /// What other threads want done.
    pub(super) inbox: Inbox<H>,
}

/// Says what time it is.
pub(super) struct Clock(pub(super) Box<dyn Fn() -> Instant>);

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&(self.0)()).finish()
    }
}

/// Somebody to call.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: Box<str>,
    pub(super) breaker: Option<Breaker>,
}

impl<H> Core<H> {
    pub(super) fn new(config: Config) -> Self {
        Self {
            now: Instant::START,
            rng: Rng::with_seed(config.seed),
            cluster: None,
            writer: MessageWriter::new(&config),
            log: TurnLog::default(),
            boundary: Boundary::new(config.chaos.clone(), config.dedup),
            arrived: None,
            clock: None,
            peers: Vec::new(),
            peer_ids: HashMap::default(),
            pending: Pending::new(config.max_pending),
            wheel: Wheel::new(),
            timers: Slab::new(),
            timers_started: 0,
            tasks: Tasks::new(),
            abandoned: Abandoned::default(),
            buffers: Vec::new(),
            inbox: Inbox::new(),
            config,
        }
    }

    /// A turn begins.
    #[inline]
    pub(super) fn start_turn(&mut self, now: Instant) {
        self.now = now;
        self.writer.now = now;
        self.writer.metrics.start_turn(self.arrived.unwrap_or(now));
    }

    pub(super) fn read_clock(&self) -> Instant {
        self.clock.as_ref().map_or(self.now, |Clock(read)| read())
    }

    fn identify(&mut self, cluster: Cluster) {
        // Nodes that do the same things at random may not do the same in the same moment.
        for byte in cluster.id.bytes() {
            let seed = self.rng.u64(..) ^ u64::from(byte);
            self.rng.seed(seed);
        }
        self.writer.identify(&cluster.id);
        self.boundary.chaos.identify(&cluster.id);
        let nodes = cluster.nodes.iter().map(String::as_str);
        for name in nodes.chain(SERVICES).chain([&*cluster.id]) {
            if !self.peer_ids.contains_key(name) {
                self.peer_ids.insert(name.into(), PeerId(self.peers.len()));
                self.peers.push(Peer { name: name.into(), breaker: self.config.breaker.map(Breaker::new) });
            }
        }
        self.cluster = Some(cluster);
    }

    pub(super) fn peer(&self, name: &str) -> Option<PeerId> {
        self.peer_ids.get(name).copied()
    }

    /// A deferred request that was dropped without an answer.
    pub(super) fn next_abandoned(&mut self) -> Option<Deferred> {
        let address = self.abandoned.borrow_mut().pop()?;
        Some(Deferred { address: Some(address), abandoned: Rc::clone(&self.abandoned) })
    }

    /// The deferred request from there, if it was dropped without an answer.
    pub(super) fn take_abandoned(&mut self, origin: &Origin<'_>) -> Option<Deferred> {
        let mut abandoned = self.abandoned.borrow_mut();
        let (src, msg_id) = (origin.src.as_bytes(), origin.msg_id.as_str().as_bytes());
        let place = abandoned.iter().position(|from| from.dest[..] == *src && from.msg_id[..] == *msg_id)?;
        let address = Some(abandoned.swap_remove(place));
        Some(Deferred { address, abandoned: Rc::clone(&self.abandoned) })
    }

    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    pub(super) fn give_buffer(&mut self, mut buffer: Vec<u8>) {
        const BUFFERS_KEPT: usize = 64;
        const CAPACITY_KEPT: usize = 4096;
        if (1..=CAPACITY_KEPT).contains(&buffer.capacity()) && self.buffers.len() < BUFFERS_KEPT {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    pub(super) fn send_error(&mut self, origin: &Origin<'_>, error: &RpcError, out: &mut OutBuffer) {
        self.writer.counters.errors += 1;
        let mut message = self.writer.message(out, origin.dest, origin.src, ERROR);
        message.in_reply_to = origin.msg_id.as_str();
        message.send_error(error);
    }

    fn answer<'m>(&'m mut self, out: &'m mut OutBuffer, deferred: Deferred, kind: &str) -> Message<'m> {
        let Some(address) = &deferred.address else {
            out.start_line();
            return Message::new(&mut self.writer, out, Disposition::Discard);
        };
        let is_late = address.until < self.now;
        let message = self.writer.message(out, "", address.dest(), kind);
        if is_late {
            message.writer.draft.disposition = Disposition::TooLate;
        }
        message.writer.draft.deferred = Some(deferred);
        message
    }

    pub(super) fn answer_error(&mut self, out: &mut OutBuffer, deferred: Deferred, error: &RpcError) {
        if let Some(address) = &deferred.address {
            // One that comes too late is dropped, and counted as that.
            self.writer.counters.errors += u64::from(address.until >= self.now);
            self.answer(out, deferred, ERROR).send_error(error);
        }
    }
}

const ERROR: &str = "error";

impl Message<'_> {
    fn send_error(self, error: &RpcError) {
        self.field("code", error.code.0).field("text", &*error.text).send().expect("an error is no forgery");
    }
}

/// Writes the beginnings and the ends of messages, numbers them, and notes what happens to them.
#[derive(Debug)]
pub(super) struct MessageWriter {
    pub(super) now: Instant,
    pub(super) counters: Counters,
    pub(super) trace: Trace,
    pub(super) metrics: Metrics,
    headers: HeaderCache,
    numbering: Numbering,
    draft: Draft,
}

/// The beginnings of messages.
#[derive(Debug)]
struct HeaderCache {
    /// `{"src":"n1","dest":`, how every message of this node begins. Empty before `init`.
    src: Vec<u8>,
    /// Some that were written lately, each in the place that its receiver and its type make out.
    latest: Box<[Header; HEADERS_KEPT]>,
}

/// So many beginnings of messages are kept.
const HEADERS_KEPT: usize = 64;

/// Those with longer names are not.
const HEADER_NAMES_MAX: usize = 256;

/// The beginning of a message: all but the fields and the numbers.
#[derive(Debug, Default)]
struct Header {
    dest: Label,
    kind: Label,
    /// The text, and after a short one something to fill two times [`HALF`].
    text: Vec<u8>,
    length: usize,
    /// Where in the text the members of the body begin.
    members: usize,
}

/// A beginning that is not longer than two of these is copied as if it were as long, which takes less than a call.
const HALF: usize = 32;

impl HeaderCache {
    /// Starts a message of this type to `dest`; where the members of its body begin.
    #[inline(always)]
    fn start(&mut self, trace: &mut Trace, out: &mut OutBuffer, dest: &str, kind: &str) -> usize {
        match self.find(dest, kind) {
            Some(header) => {
                trace.stage_sent(&header.dest, &header.kind);
                header.begin(out.start_line())
            }
            None => self.start_long(trace, out, dest, kind),
        }
    }

    #[cold]
    fn start_long(&self, trace: &mut Trace, out: &mut OutBuffer, dest: &str, kind: &str) -> usize {
        trace.stage_sent(&Label::new(dest), &Label::new(kind));
        write_header(out.start_line(), &self.src, dest, kind)
    }

    /// Starts a message all members of whose body are still to be written, its type too.
    fn start_bare<'o>(
        &mut self,
        trace: &mut Trace,
        out: &'o mut OutBuffer,
        dest: &str,
        kind: &str,
    ) -> &'o mut Vec<u8> {
        let members = self.start(trace, out, dest, kind);
        out.line().truncate(members);
        out.line()
    }

    /// The beginning of a message of this type to `dest`; `None` if it is too long to be kept.
    #[inline(always)]
    fn find(&mut self, dest: &str, kind: &str) -> Option<&Header> {
        if dest.len() + kind.len() > HEADER_NAMES_MAX {
            return None;
        }
        let place = dest.bytes().next_back().unwrap_or(0) ^ kind.bytes().next().unwrap_or(0).rotate_left(3);
        let header = &mut self.latest[usize::from(place) % HEADERS_KEPT];
        if header.length == 0 || !header.dest.is(dest) || !header.kind.is(kind) {
            header.replace(&self.src, dest, kind);
        }
        Some(header)
    }
}

impl Header {
    #[inline(never)]
    fn replace(&mut self, src: &[u8], dest: &str, kind: &str) {
        self.dest.set(dest);
        self.kind.set(kind);
        self.text.clear();
        self.members = write_header(&mut self.text, src, dest, kind);
        self.length = self.text.len();
        self.text.resize(self.length.max(2 * HALF), 0);
    }

    /// Begins a line; where the members of its body begin.
    #[inline(always)]
    fn begin(&self, line: &mut Vec<u8>) -> usize {
        let start = line.len();
        // Two copies of a size that the compiler knows, which are a few instructions each.
        if let ([first, second, ..], true) = (self.text.as_chunks::<HALF>().0, self.length <= 2 * HALF) {
            line.extend_from_slice(first);
            line.extend_from_slice(second);
            line.truncate(start + self.length);
        } else {
            line.extend_from_slice(&self.text);
        }
        start + self.members
    }
}

/// The number of the next message, and the text that ends it: `,"msg_id":7}}`.
#[derive(Debug)]
struct Numbering {
    next: u64,
    text: [u8; Self::LONGEST],
    length: usize,
}

impl Numbering {
    const BEGINNING: &[u8] = b",\"msg_id\":";
    const END: &[u8] = b"}}";

    /// With as many digits as there can be.
    const LONGEST: usize = 32;

    fn new() -> Self {
        let mut numbering = Self { next: 0, text: [0; Self::LONGEST], length: 0 };
        numbering.write();
        numbering
    }

    #[inline(always)]
    fn end(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(&self.text);
        line.truncate(line.len() - Self::LONGEST + self.length);
    }

    /// Counts up, in nine of ten cases where the last digit is.
    #[inline(always)]
    fn step(&mut self) {
        self.next += 1;
        match self.text.get_mut(self.length - Self::END.len() - 1) {
            Some(digit @ b'0'..=b'8') => *digit += 1,
            _ => self.write(),
        }
    }

    #[inline(never)]
    fn write(&mut self) {
        self.length = 0;
        for piece in [Self::BEGINNING, itoa::Buffer::new().format(self.next).as_bytes(), Self::END] {
            self.text[self.length..self.length + piece.len()].copy_from_slice(piece);
            self.length += piece.len();
        }
    }
}

impl MessageWriter {
    fn new(config: &Config) -> Self {
        Self {
            now: Instant::START,
            counters: Counters::default(),
            trace: Trace::new(config.trace_size),
            metrics: Metrics::new(),
            headers: HeaderCache {
                src: Vec::new(),
                latest: Box::new(std::array::from_fn(|_| Header::default())),
            },
            numbering: Numbering::new(),
            draft: Draft::NONE,
        }
    }

    fn identify(&mut self, id: &str) {
        self.trace.identify(id);
        write_src(&mut self.headers.src, id);
        // What was refused before counts for nothing: `init_ok` has the number 0.
        self.numbering = Numbering::new();
    }

    /// The number of the next message.
    pub(super) const fn next_msg_id(&self) -> u64 {
        self.numbering.next
    }

    /// Starts a message. Before `init` its sender is `nameless_src`.
    #[inline(never)]
    fn message<'m>(
        &'m mut self,
        out: &'m mut OutBuffer,
        nameless_src: &str,
        dest: &str,
        kind: &str,
    ) -> Message<'m> {
        if self.headers.src.is_empty() {
            self.start_nameless(out, nameless_src, dest, kind);
        } else {
            self.start(out, dest, kind);
        }
        Message::new(self, out, Disposition::Send)
    }

    #[cold]
    fn start_nameless(&mut self, out: &mut OutBuffer, src: &str, dest: &str, kind: &str) -> usize {
        let mut beginning = Vec::new();
        write_src(&mut beginning, src);
        self.trace.stage_sent_before_init(src, &Label::new(dest), &Label::new(kind));
        write_header(out.start_line(), &beginning, dest, kind)
    }

    /// Starts a message of this type to `dest`; where the members of its body begin.
    #[inline(always)]
    pub(super) fn start(&mut self, out: &mut OutBuffer, dest: &str, kind: &str) -> usize {
        self.headers.start(&mut self.trace, out, dest, kind)
    }

    /// Starts a message of this type to `dest`, all members of whose body are still to be written, its type too.
    pub(super) fn start_bare<'o>(
        &mut self,
        out: &'o mut OutBuffer,
        dest: &str,
        kind: &str,
    ) -> &'o mut Vec<u8> {
        self.headers.start_bare(&mut self.trace, out, dest, kind)
    }

    /// Notes a message that came.
    #[inline(always)]
    pub(super) fn note_received(&mut self, envelope: &Envelope<'_>, is_ours: bool) {
        let Envelope { src, dest, body } = envelope;
        let stranger = if is_ours { None } else { Some(&**dest) };
        if !self.trace.received(self.now, src, stranger, &body.kind, envelope.line()) {
            self.counters.trace_dropped += 1;
        }
    }

    /// Sends a line again that was sent before.
    pub(super) fn send_again(&mut self, out: &mut OutBuffer, dest: &str, kind: &str, line: &[u8]) {
        self.trace.stage_sent(&Label::new(dest), &Label::new(kind));
        out.start_line().extend_from_slice(line);
        self.note_sent(out, b"");
    }

    /// Holds the reply back that is being written: its client has given up.
    fn withhold(&mut self, out: &mut OutBuffer, in_reply_to: &[u8]) {
        self.counters.late_answers += 1;
        if self.trace.watches_sent() {
            let start = out.end();
            write_in_reply_to(out.line(), in_reply_to);
            self.numbering.end(out.line());
            self.numbering.step();
            self.trace.withheld(&out.line()[start..], in_reply_to);
        }
    }

    /// Says what the message that is being written answers, numbers it, and sends it.
    #[inline(always)]
    fn end_reply(&mut self, out: &mut OutBuffer, in_reply_to: &[u8]) {
        write_in_reply_to(out.line(), in_reply_to);
        self.end(out, in_reply_to);
    }

    /// Numbers the message that is being written, and sends it.
    #[inline(always)]
    pub(super) fn end_message(&mut self, out: &mut OutBuffer) {
        self.end(out, b"");
    }

    #[inline(always)]
    fn end(&mut self, out: &mut OutBuffer, in_reply_to: &[u8]) {
        self.numbering.end(out.line());
        self.numbering.step();
        self.note_sent(out, in_reply_to);
    }

    #[inline(always)]
    fn note_sent(&mut self, out: &mut OutBuffer, in_reply_to: &[u8]) {
        let line = out.end_line();
        if !self.trace.sent(self.now, line, in_reply_to) {
            self.counters.trace_dropped += 1;
        }
        self.counters.sent += 1;
    }
}

#[inline(always)]
fn write_in_reply_to(line: &mut Vec<u8>, in_reply_to: &[u8]) {
    line.extend_from_slice(b",\"in_reply_to\":");
    line.extend_from_slice(in_reply_to);
}

/// Writes the beginning of a message, up to the fields of its handler; where the members of its body begin.
fn write_header(line: &mut Vec<u8>, src: &[u8], dest: &str, kind: &str) -> usize {
    line.extend_from_slice(src);
    dest.write_json(line);
    line.extend_from_slice(b",\"body\":{");
    let members = line.len();
    line.extend_from_slice(b"\"type\":");
    kind.write_json(line);
    members
}

fn write_src(line: &mut Vec<u8>, src: &str) {
    line.extend_from_slice(b"{\"src\":");
    src.write_json(line);
    line.extend_from_slice(b",\"dest\":");
}
