//! The other nodes of the cluster, all together.

use std::ops::Range;
use std::rc::Rc;

use super::context::Context;
use super::core::Core;
#[cfg(feature = "serde")]
use super::fields::refused;
use super::fields::type_name;
use crate::json::write::WriteJson as _;
use crate::wire::error::{ErrorCode, RpcError};
use crate::wire::out::OutBuffer;

/// The names of all nodes but this one, in the order of `init`. It borrows nothing, so whoever goes through them may
/// send meanwhile.
#[derive(Clone, Debug)]
pub struct Peers {
    pub(super) names: Rc<[Rc<str>]>,
    pub(super) next: usize,
}

impl Iterator for Peers {
    type Item = Rc<str>;

    fn next(&mut self) -> Option<Rc<str>> {
        let name = self.names.get(self.next)?;
        self.next += 1;
        Some(Rc::clone(name))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.names.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Peers {}

impl<H> Context<'_, H> {
    /// All nodes but this one. To send while going through them is what they are for:
    ///
    /// ```
    /// # use messenger::{Context, RpcError};
    /// # fn gossip<H>(cx: &mut Context<'_, H>) -> Result<(), RpcError> {
    /// for peer in cx.peers() {
    ///     cx.message(&peer, "gossip").field("to", &*peer).send()?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn peers(&self) -> Peers {
        Peers { names: self.cluster().peer_names(), next: 0 }
    }

    /// Starts a message to every node but this one, which waits for no answer: add its fields, then send it. See
    /// [`message`](Self::message).
    ///
    /// ```
    /// # let _ = messenger::handler_fn(|request, cx| {
    /// cx.broadcast("tell").field("value", request.required("value")?).send()?;
    /// cx.reply(request, "tell_ok").send()
    /// # });
    /// ```
    pub fn broadcast(&mut self, kind: &str) -> Broadcast<'_> {
        let mut members = self.core.take_buffer();
        members.extend_from_slice(b"\"type\":");
        let start = members.len();
        kind.write_json(&mut members);
        let kind = start..members.len();
        Broadcast { core: self.core, out: self.out, kind, members, fault: None }
    }

    /// Sends a whole body, which has its `type`, to every node but this one, and waits for no answer.
    ///
    /// # Errors
    /// Code 13 for a body that cannot be sent.
    #[cfg(feature = "serde")]
    pub fn broadcast_with(&mut self, body: &(impl serde::Serialize + ?Sized)) -> Result<(), RpcError> {
        let mut members = self.core.take_buffer();
        let kind = crate::json::typed::write_body(body, &mut members).map_err(|error| refused(&error))?;
        Broadcast { core: self.core, out: self.out, kind, members, fault: None }.send()
    }
}

/// A message to all other nodes that is being put together.
#[derive(Debug)]
#[must_use = "a message does not leave before `send`"]
pub struct Broadcast<'m> {
    core: &'m mut Core,
    out: &'m mut OutBuffer,
    /// Where the type is among the members.
    kind: Range<usize>,
    members: Vec<u8>,
    fault: Option<&'static str>,
}

impl Broadcast<'_> {
    /// Where its fields are written.
    pub(super) const fn body_mut(&mut self) -> &mut Vec<u8> {
        &mut self.members
    }

    /// Notes that a field cannot be sent.
    pub(super) fn refuse_field(&mut self, why: &'static str) {
        self.fault.get_or_insert(why);
    }

    /// Sends it to each of them.
    ///
    /// # Errors
    /// Code 13 for a field that is not the handler's to write. Nothing is sent then.
    ///
    /// # Panics
    /// Never in a handler: none runs before `init`.
    pub fn send(self) -> Result<(), RpcError> {
        let Self { core, out, kind, members, fault } = self;
        if let Some(why) = fault {
            return Err(RpcError::new(ErrorCode::CRASH, why));
        }
        let peers = core.cluster.as_ref().expect("handlers run after init").peer_names();
        let kind = type_name(&members[kind]);
        for peer in &*peers {
            core.writer.start_bare(out, peer, &kind).extend_from_slice(&members);
            core.writer.end_message(out);
        }
        core.give_buffer(members);
        Ok(())
    }
}
