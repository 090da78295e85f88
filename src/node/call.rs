//! What a handler writes to make a call: to whom, what, how often it is tried, and what follows.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::context::{Context, Continuations};
use super::core::Core;
#[cfg(feature = "serde")]
use super::fields::type_name;
use super::outcome::{CallError, CallOutcome};
use crate::json::value::Value;
use crate::json::write::{WriteJson as _, write_in_one_line};
use crate::rpc::pending::{CallKey, PeerId};
use crate::rpc::retry::Policy;
use crate::time::Duration;
use crate::wire::error::{ErrorCode, RpcError};
use crate::wire::out::OutBuffer;

/// How long a call waits that nobody waits for.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(2);

/// A call that is being put together: one attempt that waits a second, unless it is given another
/// [policy](Self::policy).
#[derive(Debug)]
#[must_use = "a call is made by `then` or `forget`"]
pub struct Call<'m, H> {
    core: &'m mut Core,
    continuations: &'m mut Continuations<H>,
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
        let Context { core, continuations, out } = cx;
        let id = core.peer(peer).ok_or_else(|| {
            RpcError::new(
                ErrorCode::NODE_NOT_FOUND,
                format!("{peer:?} is neither of this cluster nor a service"),
            )
        });
        let body = core.writer.start(out, peer, kind);
        Self {
            core,
            continuations,
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

    /// Where its fields are written.
    pub(super) const fn body_mut(&mut self) -> &mut Vec<u8> {
        self.out.line()
    }

    /// Notes that a field cannot be sent.
    #[cold]
    pub(super) fn refuse_field(&mut self, why: &'static str) {
        self.peer = Err(RpcError::new(ErrorCode::CRASH, why));
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
                let kind = type_name(&line[kind]);
                self.kind = SmallVec::from_slice(kind.as_bytes());
                self.core.writer.trace.set_staged_type(&kind);
            }
            Err(error) => self.peer = Err(error),
        }
        self
    }

    /// How often to try, and how long to wait. The default is one attempt of a second.
    ///
    /// ```
    /// # let _ = messenger::handler_fn(|request, cx| {
    /// use messenger::{Duration, Policy};
    ///
    /// let patient = Policy::backoff(5, Duration::from_millis(100), Duration::from_secs(1));
    /// cx.call("n2", "write").field("value", 7).policy(patient).forget()?;
    /// # Ok(())
    /// # });
    /// ```
    pub const fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Makes the call. `callback` gets its outcome, once, in a later turn: the answer, or why there is none.
    ///
    /// # Errors
    /// [`CallError::Unsent`] if the call was not sent, and `callback` will never be called: with code 1 if there is no such
    /// node or service, with code 11 if as many calls wait as [`Config::max_pending`](crate::Config::max_pending) says or
    /// the peer's [breaker](crate::Config::breaker) is open, with code 13 for a field that is not its to write.
    pub fn then(
        self,
        callback: impl FnOnce(&mut H, CallOutcome<'_>, &mut Context<'_, H>) + 'static,
    ) -> Result<(), CallError> {
        let (key, continuations) = self.start(true)?;
        continuations.callbacks.put(key.place(), Box::new(callback));
        Ok(())
    }

    /// Makes the call and cares for nothing that comes of it. Until its answer comes, or for two seconds, it
    /// counts as pending. It is tried once, whatever its policy.
    ///
    /// ```
    /// # let _ = messenger::handler_fn(|request, cx| {
    /// cx.call("n2", "write").field("value", 7).forget()?;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// If the call was not sent: as of [`then`](Self::then).
    pub fn forget(self) -> Result<(), CallError> {
        self.policy(Policy::once(FORGOTTEN_AFTER)).start(false).map(drop)
    }

    fn start(self, is_awaited: bool) -> Result<(CallKey, &'m mut Continuations<H>), CallError> {
        let Self { core, continuations, out, peer, policy, kind, body } = self;
        let peer = peer.and_then(|peer| core.admit(peer)).map_err(|error| {
            core.writer.counters.calls_refused += 1;
            CallError::Unsent(error)
        })?;
        Ok((core.start_call(peer, policy, &kind, body, is_awaited, out), continuations))
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
    /// Starts a call to another node, or to one of Maelstrom's services: add fields, then say how to go on.
    ///
    /// ```
    /// # let _ = messenger::handler_fn(|request, cx| {
    /// cx.call("n2", "read").field("key", "x").then(|_, outcome, _| match outcome {
    ///     Ok(reply) => println!("{:?}", reply.body.get("value")),
    ///     Err(error) => eprintln!("{error}"),
    /// })?;
    /// # Ok(())
    /// # });
    /// ```
    pub fn call<'m>(&'m mut self, peer: &str, kind: &str) -> Call<'m, H> {
        Call::new(self, peer, kind)
    }

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
