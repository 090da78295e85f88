//! The table of the calls that wait for their answers, found by any `msg_id` that they were sent with.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use slab::Slab;
use smallvec::SmallVec;

use super::retry::Policy;
use crate::time::{Duration, Instant};
use crate::timer::TimerKey;
use crate::wire::error::RpcError;

/// A peer, by its place in the node's list of names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerId(pub(crate) usize);

/// Names one call of one table. A slab hands its places out again; the `msg_id` of the first attempt, which
/// no other call ever has, tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallKey {
    index: usize,
    first_msg_id: u64,
}

impl CallKey {
    /// Its place among the calls that wait, which it has to itself.
    pub(crate) const fn place(self) -> usize {
        self.index
    }
}

/// A call that waits.
#[derive(Debug)]
pub struct Call {
    /// Who was asked. Nobody else can answer.
    pub peer: PeerId,
    /// What it may do.
    pub policy: Policy,
    /// When the last attempt ends at the latest.
    pub deadline: Instant,
    /// Each attempt, the first one first.
    pub attempts: SmallVec<[Attempt; 3]>,
    /// The sum of the waits of the attempts.
    pub waits: Duration,
    /// The end of the running attempt.
    pub timer: TimerKey,
    /// The type and after it the members of the body, for another attempt; empty if there will be none.
    pub body: Vec<u8>,
    /// How many bytes of that are the type.
    pub kind_len: usize,
    /// What the peer said last, if that was worth another attempt.
    pub refusal: Option<RpcError>,
    /// Whether somebody is to be told what came of it.
    pub is_awaited: bool,
}

/// One attempt of a call.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// What an answer to it names.
    pub msg_id: u64,
    /// When it was sent.
    pub sent: Instant,
}

impl Call {
    /// How many attempts were made.
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.attempts.len()).unwrap_or(u32::MAX)
    }

    /// When the attempt with this `msg_id` was sent.
    pub fn sent(&self, msg_id: u64) -> Option<Instant> {
        self.attempts.iter().find(|attempt| attempt.msg_id == msg_id).map(|attempt| attempt.sent)
    }

    /// Whether another attempt may follow at `now`.
    pub fn may_try_again(&self, now: Instant) -> bool {
        self.attempts() < self.policy.attempts.min(Policy::ATTEMPTS_MAX) && now < self.deadline
    }
}

/// The calls of a node that wait, found by the `msg_id` of any of their attempts.
///
/// It takes no more than its limit; what does not fit is for the caller to bear. Nothing here scans: the wheel
/// names each call whose time is up.
#[derive(Debug)]
pub struct Pending {
    calls: Slab<Call>,
    by_msg_id: HashMap<u64, usize, BuildHasherDefault<InOrder>>,
    limit: usize,
}

/// A table with room for more than this gives memory back once it is empty.
const ROOM_KEPT: usize = 4096;

impl Pending {
    /// An empty table for up to `limit` calls.
    pub fn new(limit: usize) -> Self {
        Self { calls: Slab::new(), by_msg_id: HashMap::default(), limit }
    }

    /// How many calls wait.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether no call waits.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// How many more calls may wait.
    pub fn room(&self) -> usize {
        self.limit - self.len()
    }

    /// The key that the next call gets if its first attempt has this `msg_id`.
    pub fn next_key(&self, first_msg_id: u64) -> CallKey {
        CallKey { index: self.calls.vacant_key(), first_msg_id }
    }

    /// Adds a call with one attempt. There has to be [`room`](Self::room).
    pub fn insert(&mut self, call: Call) {
        debug_assert!(self.room() > 0 && call.attempts.len() == 1);
        let msg_id = call.attempts[0].msg_id;
        self.by_msg_id.insert(msg_id, self.calls.insert(call));
    }

    /// Notes another attempt of a call.
    pub fn add_attempt(&mut self, key: CallKey, attempt: Attempt) {
        self.calls[key.index].attempts.push(attempt);
        self.by_msg_id.insert(attempt.msg_id, key.index);
    }

    /// The call, if it still waits.
    pub fn get_mut(&mut self, key: CallKey) -> Option<&mut Call> {
        self.calls.get_mut(key.index).filter(|call| call.attempts[0].msg_id == key.first_msg_id)
    }

    /// The call one of whose attempts had this `msg_id`, if it still waits.
    pub fn find(&self, msg_id: u64) -> Option<(CallKey, &Call)> {
        let index = *self.by_msg_id.get(&msg_id)?;
        let call = &self.calls[index];
        Some((CallKey { index, first_msg_id: call.attempts[0].msg_id }, call))
    }

    /// Takes a call out that still waits. Later answers to it find nothing.
    pub fn remove(&mut self, key: CallKey) -> Call {
        let call = self.calls.remove(key.index);
        for attempt in &call.attempts {
            self.by_msg_id.remove(&attempt.msg_id);
        }
        if self.calls.is_empty() && self.calls.capacity() > ROOM_KEPT {
            self.calls.shrink_to_fit();
            self.by_msg_id.shrink_to_fit();
        }
        call
    }
}

/// Keeps numbers that count up side by side, so that calls of the same age share cache lines: the low bits, which
/// choose the place, are the number's own. The top bits, by which the table tells neighbours apart, come from a
/// multiplication (Knuth, vol. 3, 6.4). The numbers are this node's own, so nobody can choose them to collide.
#[derive(Debug, Default)]
struct InOrder(u64);

impl Hasher for InOrder {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, number: u64) {
        const TOP: u64 = 0xFE << 56;
        self.0 = number & !TOP | number.wrapping_mul(0x9E37_79B9_7F4A_7C15) & TOP;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only numbers are hashed");
    }
}
