//! Where a reply finds its call; how calls are sent, tried again, and come to an end.

use std::borrow::Cow;

use smallvec::smallvec;

use super::core::{Core, Peer};
use super::outcome::{CallError, CallOutcome, Reply};
use super::timers::{TimerEvent, no_earlier_than_next_tick};
use crate::rpc::pending::{self, Attempt, CallKey, PeerId};
use crate::rpc::retry::Policy;
use crate::wire::envelope::{Body, Envelope};
use crate::wire::error::{ErrorCode, RpcError};
use crate::wire::out::OutBuffer;

impl Core {
    /// Whether a call to this peer may be made now.
    pub(super) fn admit(&mut self, peer: PeerId) -> Result<PeerId, RpcError> {
        if self.pending.room() == 0 {
            let limit = self.config.max_pending;
            return Err(RpcError::temporarily_unavailable(format!("{limit} calls wait, which is the limit")));
        }
        let Peer { name, breaker } = &mut self.peers[peer.0];
        if breaker.as_mut().is_some_and(|breaker| !breaker.allows(self.now)) {
            return Err(RpcError::temporarily_unavailable(format!(
                "{name:?} did not answer lately: its breaker is open"
            )));
        }
        Ok(peer)
    }

    /// Makes a call of which all but its number is written: the members of its body are in the line, from `members` on.
    pub(super) fn start_call(
        &mut self,
        peer: PeerId,
        policy: Policy,
        kind: &[u8],
        members: usize,
        is_awaited: bool,
        out: &mut OutBuffer,
    ) -> CallKey {
        let msg_id = self.writer.next_msg_id();
        let mut kept = Vec::new();
        if policy.attempts > 1 {
            kept = self.take_buffer();
            kept.extend_from_slice(kind);
            kept.extend_from_slice(&out.line()[members..]);
        }
        self.writer.end_message(out);
        self.writer.counters.calls += 1;

        let deadline = self.now + policy.deadline;
        let wait = policy.wait.wait(0, &mut self.rng).min(policy.deadline);
        let end = no_earlier_than_next_tick(self.now, wait);
        let key = self.pending.next_key(msg_id);
        self.pending.insert(pending::Call {
            peer,
            policy,
            deadline,
            attempts: smallvec![Attempt { msg_id, sent: self.now }],
            waits: wait,
            timer: self.wheel.insert(end, TimerEvent::Attempt(key)),
            body: kept,
            kind_len: kind.len(),
            refusal: None,
            is_awaited,
        });
        key
    }

    /// Takes a reply in. If that ends a call, which one, and what came of it.
    pub(super) fn handle_reply<'e>(
        &mut self,
        msg_id: Option<u64>,
        envelope: &'e Envelope<'e>,
    ) -> Option<(CallKey, CallOutcome<'e>)> {
        let found = msg_id.and_then(|msg_id| {
            let (key, call) = self.pending.find(msg_id)?;
            let is_the_peer = *self.peers[call.peer.0].name == *envelope.src;
            is_the_peer.then_some((key, call, call.sent(msg_id)?))
        });
        let Some((key, call, sent)) = found else {
            self.writer.counters.unmatched_replies += 1;
            log::debug!(
                "line {}: nothing waits for this reply of {:?}: dropped",
                self.writer.counters.lines,
                envelope.src
            );
            return None;
        };
        let error = remote_error(&envelope.body);
        let is_refusal = error.as_ref().is_some_and(|error| {
            error.code == ErrorCode::TEMPORARILY_UNAVAILABLE || !error.code.is_definite()
        });
        let may_retry = error.as_ref().is_some_and(|error| call.policy.may_retry(error.code));
        let tries_again = may_retry && call.may_try_again(self.now);
        let (peer, was_refused) = (call.peer, call.refusal.is_some());
        self.writer.metrics.round_trip(peer.0, self.now - sent);
        if !(is_refusal && was_refused) {
            self.record_outcome(peer, !is_refusal);
        }
        if tries_again {
            // The next attempt comes when the wait of this one is over.
            self.pending.get_mut(key)?.refusal = error;
            return None;
        }
        let call = self.end_call(key);
        let attempts = call.attempts();
        let outcome = match error {
            None => Ok(Reply { body: &envelope.body, attempts, waits: call.waits }),
            Some(error) => Err(CallError::Remote { error, attempts }),
        };
        Some((key, outcome))
    }

    /// The wait of an attempt is over: makes another one, or ends the call.
    pub(super) fn handle_attempt_over(
        &mut self,
        key: CallKey,
        out: &mut OutBuffer,
    ) -> Option<(CallKey, CallError)> {
        let now = self.now;
        let call = self.pending.get_mut(key)?;
        let (peer, was_refused) = (call.peer, call.refusal.is_some());
        let is_awaited = call.is_awaited;
        let tries_again = (call.policy.may_retry_silence() || was_refused) && call.may_try_again(now);
        // Whoever was asked to forget it may do so without an answer.
        if !was_refused && is_awaited {
            self.record_outcome(peer, false);
        }
        if !tries_again || !self.breaker_allows(peer) {
            let mut call = self.end_call(key);
            self.writer.counters.reaped += 1;
            let attempts = call.attempts();
            let error = match call.refusal.take() {
                Some(error) => CallError::Remote { error, attempts },
                None => CallError::Timeout { attempts },
            };
            return Some((key, error));
        }

        let msg_id = self.writer.next_msg_id();
        let call = self.pending.get_mut(key)?;
        call.refusal = None;
        let wait = call.policy.wait.wait(call.attempts(), &mut self.rng);
        let wait = wait.min(call.deadline - now);
        call.waits = call.waits + wait;
        call.timer = self.wheel.insert(no_earlier_than_next_tick(now, wait), TimerEvent::Attempt(key));
        let (kind, members) = call.body.split_at(call.kind_len);
        let kind = std::str::from_utf8(kind).unwrap_or_default();
        let line = self.writer.start_bare(out, &self.peers[peer.0].name, kind);
        line.extend_from_slice(members);
        self.writer.end_message(out);
        self.writer.counters.retries += 1;
        self.pending.add_attempt(key, Attempt { msg_id, sent: now });
        None
    }

    fn end_call(&mut self, key: CallKey) -> pending::Call {
        let mut call = self.pending.remove(key);
        self.wheel.cancel(call.timer);
        self.give_buffer(std::mem::take(&mut call.body));
        call
    }

    fn breaker_allows(&mut self, peer: PeerId) -> bool {
        let now = self.now;
        self.peers[peer.0].breaker.as_mut().is_none_or(|breaker| breaker.allows(now))
    }

    /// Tells the peer's breaker how a call went.
    fn record_outcome(&mut self, peer: PeerId, is_well: bool) {
        let (now, rng) = (self.now, &mut self.rng);
        match &mut self.peers[peer.0].breaker {
            Some(breaker) if is_well => breaker.succeeded(),
            Some(breaker) => breaker.failed(now, rng),
            None => {}
        }
    }
}

/// The error that a reply tells of, if it is one. One without a code that can be read is indefinite.
fn remote_error(body: &Body<'_>) -> Option<RpcError> {
    if body.kind != "error" {
        return None;
    }
    let code = body.integer("code").map_or(ErrorCode::CRASH, ErrorCode);
    let text = body.string("text").map_or_else(|_| "no text".into(), Cow::into_owned);
    Some(RpcError::new(code, text))
}
