//! Calls to other nodes: how they are made, tried again, and come to an end.

use std::borrow::Cow;
use std::fmt;

use smallvec::{SmallVec, smallvec};
use thiserror::Error;

use super::context::{Context, Core, Peer};
use super::timers::{TimerEvent, no_earlier_than_next_tick};
use crate::json::value::Value;
use crate::json::write::{WriteJson as _, write_in_one_line};
use crate::rpc::pending::{self, Attempt, CallKey, PeerId};
use crate::rpc::retry::Policy;
use crate::time::Duration;
use crate::wire::envelope::{Body, Envelope, SchemaError};
use crate::wire::error::{ErrorCode, RpcError};
use crate::wire::out::OutBuffer;

/// How long a call waits that nobody waits for.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(2);

/// Why a call has no answer that it could use.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CallError {
    /// Nothing came in time. What became of the request is unknown.
    #[error("no answer after {attempts} attempts")]
    Timeout {
        /// How many attempts were made.
        attempts: u32,
    },
    /// The peer answered with an error.
    #[error("{error}")]
    Remote {
        /// What it said.
        error: RpcError,
        /// How many attempts were made.
        attempts: u32,
    },
    /// It was never sent: there is no such node (code 1), too many calls wait or the peer's breaker is open
    /// (code 11), or its body was not right.
    #[error("not sent: {0}")]
    Unsent(RpcError),
    /// The answer is not what such an answer should be.
    #[error("a strange answer: {0}")]
    BadReply(#[from] SchemaError),
}

impl CallError {
    /// The code that a client gets to see.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Timeout { .. } => ErrorCode::TIMEOUT,
            Self::Remote { error, .. } | Self::Unsent(error) => error.code,
            Self::BadReply(_) => ErrorCode::CRASH,
        }
    }
}

/// What a peer said is passed on, and why a call was not sent. A timeout becomes code 0, a strange answer 13.
impl From<CallError> for RpcError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Remote { error, .. } | CallError::Unsent(error) => error,
            _ => Self::new(error.code(), error.to_string()),
        }
    }
}

/// The answer to a call.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// What it says. Its type is never `error`.
    pub body: &'a Body<'a>,
    /// How many attempts were made.
    pub attempts: u32,
    /// The sum of the waits that those attempts had.
    pub waits: Duration,
}

/// What a call comes to.
pub type Outcome<'a> = Result<Reply<'a>, CallError>;

/// What becomes of a call's outcome.
pub(super) enum Completion<H> {
    Callback(Callback<H>),
    Forget,
}

type Callback<H> = Box<dyn FnOnce(&mut H, Outcome<'_>, &mut Context<'_, H>)>;

impl<H> fmt::Debug for Completion<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Callback(_) => "Callback",
            Self::Forget => "Forget",
        })
    }
}

/// A call that is being put together.
#[derive(Debug)]
#[must_use = "a call is made by `then` or `forget`"]
pub struct Call<'m, H> {
    core: &'m mut Core<H>,
    out: &'m mut OutBuffer,
    peer: Result<PeerId, RpcError>,
    policy: Policy,
    /// The type, for further attempts.
    kind: SmallVec<[u8; 24]>,
    /// Where the members of the body begin in the line.
    body: usize,
}

impl<'m, H> Call<'m, H> {
    /// A call of that type, whose fields are still to be written.
    pub(super) fn new(cx: &'m mut Context<'_, H>, peer: &str, kind: &str) -> Self {
        let Context { core, out } = cx;
        let id = core.peer(peer).ok_or_else(|| {
            RpcError::new(
                ErrorCode::NODE_NOT_FOUND,
                format!("{peer:?} is neither of this cluster nor a service"),
            )
        });
        let body = core.writer.start(out, peer, kind);
        Self {
            core,
            out,
            peer: id,
            policy: Policy::default(),
            kind: SmallVec::from_slice(kind.as_bytes()),
            body,
        }
    }

    /// Members of a body, its type among them, in place of those that it has.
    pub(super) fn members(self, members: &[u8]) -> Self {
        self.out.line().truncate(self.body);
        self.out.line().extend_from_slice(members);
        self
    }

    /// Lets `write` append to the body.
    #[inline(always)]
    pub(super) fn fields(mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), &'static str>) -> Self {
        if let Err(why) = write(self.out.line()) {
            self.peer = Err(RpcError::new(ErrorCode::CRASH, why));
        }
        self
    }

    /// All members of a body in place of those that it has. `write` appends them, and says where the type is.
    #[cfg(feature = "serde")]
    pub(super) fn whole_body(
        mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<std::ops::Range<usize>, RpcError>,
    ) -> Self {
        let line = self.out.line();
        line.truncate(self.body);
        match write(line) {
            Ok(kind) => {
                let kind = super::fields::type_name(&line[kind]);
                self.kind = SmallVec::from_slice(kind.as_bytes());
                self.core.writer.trace.set_staged_type(&kind);
            }
            Err(error) => self.peer = Err(error),
        }
        self
    }

    /// How often to try, and how long to wait. The default is one attempt of a second.
    pub const fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Makes the call. `callback` gets its outcome, once, in a later turn.
    ///
    /// # Errors
    /// If the call was not sent, and `callback` will never be called.
    pub fn then(
        self,
        callback: impl FnOnce(&mut H, Outcome<'_>, &mut Context<'_, H>) + 'static,
    ) -> Result<(), CallError> {
        self.make(|| Completion::Callback(Box::new(callback)))
    }

    /// Makes the call and cares for nothing that comes of it. Until its answer comes, or for two seconds, it
    /// counts as pending. It is tried once, whatever its policy.
    ///
    /// # Errors
    /// If the call was not sent.
    pub fn forget(self) -> Result<(), CallError> {
        self.policy(Policy::once(FORGOTTEN_AFTER)).make(|| Completion::Forget)
    }

    fn make(self, completion: impl FnOnce() -> Completion<H>) -> Result<(), CallError> {
        let Self { core, out, peer, policy, kind, body } = self;
        let peer = peer.and_then(|peer| core.admit(peer)).map_err(|error| {
            core.writer.counters.calls_refused += 1;
            CallError::Unsent(error)
        })?;
        let msg_id = core.writer.next_msg_id();
        let mut kept = Vec::new();
        if policy.attempts > 1 {
            kept = core.take_buffer();
            kept.extend_from_slice(&kind);
            kept.extend_from_slice(&out.line()[body..]);
        }
        core.writer.end_message(out);
        core.writer.counters.calls += 1;

        let deadline = core.now + policy.deadline;
        let wait = policy.wait.wait(0, &mut core.rng).min(policy.deadline);
        let end = no_earlier_than_next_tick(core.now, wait);
        let key = core.pending.next_key(msg_id);
        core.pending.insert(pending::Call {
            peer,
            policy,
            deadline,
            attempts: smallvec![Attempt { msg_id, sent: core.now }],
            waits: wait,
            timer: core.wheel.insert(end, TimerEvent::Attempt(key)),
            body: kept,
            kind_len: kind.len(),
            refusal: None,
            completion: completion(),
        });
        Ok(())
    }
}

/// Appends the members of a body that is forwarded: all of its own in their order, but for those that the node
/// writes. Returns its type.
///
/// # Errors
/// Code 12 if it has no `type`, which every request needs.
pub(super) fn write_forwarded<'v>(body: Value<'v>, out: &mut Vec<u8>) -> Result<Cow<'v, str>, RpcError> {
    let (kind, is_numbered) = body.as_body().unwrap_or_default();
    if is_numbered {
        let start = out.len();
        let is_numbering =
            |key: &Value<'_>| matches!(key.as_str().as_deref(), Some("msg_id" | "in_reply_to"));
        for (key, value) in body.as_object().into_iter().flatten().filter(|(key, _)| !is_numbering(key)) {
            if out.len() > start {
                out.push(b',');
            }
            key.write_json(out);
            out.push(b':');
            value.write_json(out);
        }
    } else {
        let inside = body.raw().strip_prefix('{').and_then(|body| body.strip_suffix('}'));
        write_in_one_line(inside.unwrap_or_default().as_bytes(), out);
    }
    kind.and_then(Value::as_str)
        .ok_or_else(|| RpcError::malformed("type: expected a string in the body to forward"))
}

impl<H> Context<'_, H> {
    /// Starts a call whose body is forwarded: it keeps its fields in their order and to the byte, and gets a
    /// `msg_id` of this node.
    ///
    /// # Errors
    /// Code 12 if it has no `type`, which every request needs.
    pub fn forward(&mut self, peer: &str, body: Value<'_>) -> Result<Call<'_, H>, RpcError> {
        let mut call = Call::new(self, peer, "");
        call.out.line().truncate(call.body);
        let kind = write_forwarded(body, call.out.line())?;
        call.kind = SmallVec::from_slice(kind.as_bytes());
        call.core.writer.trace.set_staged_type(&kind);
        Ok(call)
    }
}

/// A call that has ended by a reply: how many attempts it took and what they waited, or the error.
type CallOutcome = Result<(u32, Duration), CallError>;

impl<H> Core<H> {
    /// Whether a call to this peer may be made now.
    fn admit(&mut self, peer: PeerId) -> Result<PeerId, RpcError> {
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

    /// Takes a reply in. If that ends a call, its completion and its reply's attempts and waits, or the error.
    pub(super) fn handle_reply(
        &mut self,
        msg_id: Option<u64>,
        envelope: &Envelope<'_>,
    ) -> Option<(Completion<H>, CallOutcome)> {
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
            None => Ok((attempts, call.waits)),
            Some(error) => Err(CallError::Remote { error, attempts }),
        };
        Some((call.completion, outcome))
    }

    /// The wait of an attempt is over: makes another one, or ends the call.
    pub(super) fn handle_attempt_over(
        &mut self,
        key: CallKey,
        out: &mut OutBuffer,
    ) -> Option<(Completion<H>, CallError)> {
        let now = self.now;
        let call = self.pending.get_mut(key)?;
        let (peer, was_refused) = (call.peer, call.refusal.is_some());
        let is_forgotten = matches!(call.completion, Completion::Forget);
        let tries_again = (call.policy.may_retry_silence() || was_refused) && call.may_try_again(now);
        // Whoever was asked to forget it may do so without an answer.
        if !was_refused && !is_forgotten {
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
            return Some((call.completion, error));
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

    fn end_call(&mut self, key: CallKey) -> pending::Call<Completion<H>> {
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

impl<H> Completion<H> {
    pub(super) fn complete(self, handler: &mut H, outcome: Outcome<'_>, cx: &mut Context<'_, H>) {
        match self {
            Self::Callback(callback) => callback(handler, outcome, cx),
            Self::Forget => {}
        }
    }
}
