//! A request, and whether it has its reply.

use std::cell::Cell;
use std::ops::Deref;

use crate::json::value::Integer;
use crate::wire::envelope::{Body, Envelope};

/// A request to this node. It reads like its [`Body`], which gives typed access to the fields.
#[derive(Debug)]
pub struct Request<'a> {
    pub(super) envelope: &'a Envelope<'a>,
    pub(super) reply_state: Cell<ReplyState>,
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
    ///
    /// ```
    /// # let _ = messenger::handler_fn(|request, cx| {
    /// cx.reply(request, "whoami_ok").field("name", request.src()).send()
    /// # });
    /// ```
    pub fn src(&self) -> &'a str {
        &self.envelope.src
    }

    /// `type`: what is asked for.
    ///
    /// ```
    /// # let _ = messenger::handler_fn(|request, cx| {
    /// match request.kind() {
    ///     "ping" => cx.reply(request, "pong").send(),
    ///     kind => Err(messenger::RpcError::not_supported(kind)),
    /// }
    /// # });
    /// ```
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
        let Envelope { src, dest, body, .. } = self.envelope;
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
