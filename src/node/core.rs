//! What a node is apart from its handler. None of it knows the handler's type.

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use fastrand::Rng;
use foldhash::fast::FixedState;
use smallvec::SmallVec;

use super::cluster::{Cluster, SERVICES};
use super::config::Config;
use super::deferred::{Abandoned, Deferred, MsgIdText, ReturnAddress};
use super::draft::Disposition;
use super::durability::TurnLog;
use super::message::Message;
use super::request::{Origin, ReplyState, Request};
use super::timers::{TimerEvent, Timers};
use super::writer::MessageWriter;
use crate::boundary::Boundary;
use crate::rpc::breaker::Breaker;
use crate::rpc::pending::{PeerId, Pending};
use crate::time::Instant;
use crate::timer::Wheel;
use crate::wire::error::RpcError;
use crate::wire::out::OutBuffer;

/// The state of a node that is not its handler's, whatever that is.
#[derive(Debug)]
pub(super) struct Core {
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
    pub(super) pending: Pending,
    pub(super) wheel: Wheel<TimerEvent>,
    pub(super) timers: Timers,
    pub(super) abandoned: Abandoned,
    /// Memory that was used and will be again.
    buffers: Vec<Vec<u8>>,
}

/// Says what time it is.
pub(super) struct Clock(pub(super) Box<dyn Fn() -> Instant>);

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&(self.0)()).finish()
    }
}

/// A node or service that this node may call.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: Box<str>,
    pub(super) breaker: Option<Breaker>,
}

impl Core {
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
            timers: Timers::default(),
            abandoned: Abandoned::default(),
            buffers: Vec::new(),
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

    pub(super) fn identify(&mut self, cluster: Cluster) {
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

    /// Puts the answer to a request off.
    pub(super) fn defer(&mut self, request: &Request<'_>) -> Deferred {
        let abandoned = Rc::clone(&self.abandoned);
        let origin = if request.is_answered() { None } else { request.origin() };
        request.reply_state.set(ReplyState::Later);
        let address = origin.map(|Origin { src, msg_id, .. }| {
            let is_patient = self.peer(src).is_some();
            ReturnAddress {
                dest: SmallVec::from_slice(src.as_bytes()),
                msg_id: MsgIdText::from_slice(msg_id.as_str().as_bytes()),
                kind: self.writer.metrics.kind(request.kind()),
                arrived: self.arrived.unwrap_or(self.now),
                until: if is_patient { Instant::END } else { self.now + self.config.answer_within },
            }
        });
        Deferred { address, abandoned }
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
        let mut message = Message::start(&mut self.writer, out, origin.dest, origin.src, ERROR);
        message.in_reply_to = origin.msg_id.as_str();
        message.send_error(error);
    }

    pub(super) fn answer<'m>(
        &'m mut self,
        out: &'m mut OutBuffer,
        deferred: Deferred,
        kind: &str,
    ) -> Message<'m> {
        let Some(address) = &deferred.address else {
            return Message::to_nobody(&mut self.writer, out);
        };
        let is_late = address.until < self.now;
        let message = Message::start(&mut self.writer, out, "", address.dest(), kind);
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
