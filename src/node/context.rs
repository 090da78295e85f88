//! What a handler works with: the request that it got, and what it may do about it.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Deref;

use crate::observe::metrics::Counters;
use crate::time::Instant;
use crate::wire::encode::ToJson;
use crate::wire::error::{ErrorCode, RpcError};
use crate::wire::message::{Body, Envelope};
use crate::wire::out::OutBuffer;
use crate::wire::value::Integer;

/// A request to this node. It reads like its [`Body`], which gives typed access to the fields.
#[derive(Debug)]
pub struct Request<'a> {
    envelope: &'a Envelope<'a>,
    answered: Cell<bool>,
}

impl<'a> Request<'a> {
    pub(super) const fn new(envelope: &'a Envelope<'a>) -> Self {
        Self { envelope, answered: Cell::new(false) }
    }

    /// Who sent it.
    pub fn src(&self) -> &'a str {
        &self.envelope.src
    }

    /// `type`: what is asked for.
    pub fn kind(&self) -> &'a str {
        &self.envelope.body.kind
    }

    /// Whether an answer to it was sent.
    pub const fn is_answered(&self) -> bool {
        self.answered.get()
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

/// What a handler may do.
#[derive(Debug)]
pub struct Context<'a, W> {
    core: &'a mut Core,
    out: &'a mut OutBuffer,
    now: Instant,
    workload: PhantomData<fn(&mut W)>,
}

impl<'a, W> Context<'a, W> {
    pub(super) const fn new(core: &'a mut Core, out: &'a mut OutBuffer, now: Instant) -> Self {
        Self { core, out, now, workload: PhantomData }
    }

    /// Starts the answer to a request: add its fields, then send it.
    ///
    /// It goes from this node to the request's sender, with the request's `msg_id` as `in_reply_to`.
    pub fn reply<'m>(&'m mut self, request: &'m Request<'_>, kind: &str) -> Message<'m> {
        let Envelope { src, dest, body } = request.envelope;
        let mut message = self.core.message(self.out, dest, src, kind);
        message.answer = Some(Answer { in_reply_to: body.msg_id, sent: &request.answered });
        if request.is_answered() {
            message.fault = Some("a request is answered only once");
        }
        message
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
        self.now
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
                "this is node {:?} of {:?} since its first init, and cannot become {:?} of {:?}",
                known.id, known.nodes, cluster.id, cluster.nodes,
            ))),
        }
    }
}

/// A message that is being written into the output. It counts only once it is sent.
#[derive(Debug)]
#[must_use = "a message does not leave before `send`"]
pub struct Message<'m> {
    core: &'m mut Core,
    out: &'m mut OutBuffer,
    answer: Option<Answer<'m>>,
    fault: Option<&'static str>,
}

#[derive(Debug)]
struct Answer<'m> {
    in_reply_to: Option<Integer<'m>>,
    sent: &'m Cell<bool>,
}

impl Message<'_> {
    /// Adds a field to the body. Fields keep the order in which they are added.
    pub fn field(mut self, name: &str, value: impl ToJson) -> Self {
        if matches!(name, "type" | "msg_id" | "in_reply_to") {
            self.fault = Some("the fields `type`, `msg_id` and `in_reply_to` are the node's to write");
        }
        let line = self.out.line();
        line.push(b',');
        name.write_json(line);
        line.push(b':');
        value.write_json(line);
        self
    }

    /// Sends it: gives it the next `msg_id` and puts it into the output.
    ///
    /// The answer to a request without `msg_id` goes nowhere, which is no error.
    ///
    /// # Errors
    /// Code 13 for what no handler should try: a second answer to the same request, or a field that
    /// is not its to write. Nothing is sent then.
    pub fn send(self) -> Result<(), RpcError> {
        let Self { core, out, answer, fault } = self;
        if let Some(fault) = fault {
            return Err(RpcError::new(ErrorCode::CRASH, fault));
        }
        let in_reply_to = match answer {
            None => None,
            Some(Answer { in_reply_to: None, .. }) => return Ok(()),
            Some(Answer { in_reply_to, sent }) => {
                sent.set(true);
                in_reply_to
            }
        };
        core.end_message(out, in_reply_to);
        Ok(())
    }
}

/// A node's own id and the ids of its whole cluster, as `init` told them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    id: String,
    nodes: Vec<String>,
}

impl Cluster {
    pub(super) const fn new(id: String, nodes: Vec<String>) -> Self {
        Self { id, nodes }
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
        self.nodes.iter().map(String::as_str).filter(|&node| node != self.id)
    }
}

/// The state of a node that is not its workload's.
#[derive(Debug, Default)]
pub(super) struct Core {
    pub(super) cluster: Option<Cluster>,
    pub(super) counters: Counters,
    /// `{"src":"n1","dest":`, how every message of this node begins. Empty before `init`.
    head: Vec<u8>,
    next_msg_id: u64,
}

impl Core {
    fn identify(&mut self, cluster: Cluster) {
        write_src(&mut self.head, &cluster.id);
        self.cluster = Some(cluster);
        // What was refused before counts for nothing: `init_ok` has the number 0.
        self.next_msg_id = 0;
    }

    /// Starts a message. Before `init` its sender is `nameless_src`.
    fn message<'m>(
        &'m mut self,
        out: &'m mut OutBuffer,
        nameless_src: &str,
        dest: &str,
        kind: &str,
    ) -> Message<'m> {
        let line = out.start_line();
        if self.head.is_empty() {
            write_src(line, nameless_src);
        } else {
            line.extend_from_slice(&self.head);
        }
        dest.write_json(line);
        line.extend_from_slice(b",\"body\":{\"type\":");
        kind.write_json(line);
        Message { core: self, out, answer: None, fault: None }
    }

    fn end_message(&mut self, out: &mut OutBuffer, in_reply_to: Option<Integer<'_>>) {
        let line = out.line();
        if let Some(in_reply_to) = in_reply_to {
            line.extend_from_slice(b",\"in_reply_to\":");
            in_reply_to.write_json(line);
        }
        line.extend_from_slice(b",\"msg_id\":");
        self.next_msg_id.write_json(line);
        line.extend_from_slice(b"}}");
        out.end_line();
        self.next_msg_id += 1;
        self.counters.sent += 1;
    }

    pub(super) fn send_error(&mut self, origin: &Origin<'_>, error: &RpcError, out: &mut OutBuffer) {
        self.counters.errors += 1;
        let message = self.message(out, origin.dest, origin.src, "error");
        let Message { core, out, .. } = message.field("code", error.code.0).field("text", &*error.text);
        core.end_message(out, Some(origin.msg_id));
    }
}

fn write_src(line: &mut Vec<u8>, src: &str) {
    line.extend_from_slice(b"{\"src\":");
    src.write_json(line);
    line.extend_from_slice(b",\"dest\":");
}
