//! What a node does: a type with a state, or a closure.

use std::fmt;

use super::context::Context;
use super::request::Request;
use crate::store::BadRecord;
use crate::wire::error::RpcError;

/// What a node does. Its state is its own: a handler has it to itself while it runs.
pub trait Handler: Sized + 'static {
    /// Called once, when the node has learned who it is and has said so with `init_ok`.
    fn on_init(&mut self, cx: &mut Context<'_, Self>) {
        let _ = cx;
    }

    /// Handles a request of another node or of a client.
    ///
    /// Answer it with [`Context::reply`]. An `Err` is answered as an error message; so is a panic (which the
    /// program has to unwind, not abort), with code 13. A request without `msg_id` is handled like any other and gets no answer,
    /// whatever this does.
    ///
    /// # Errors
    /// Whatever is to be said to the sender: the code and the text of an error message.
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError>;

    /// Takes back a record that was [persisted](Context::persist) before the node's last end. At the start, before
    /// [`on_init`](Self::on_init), this is called for each record, the oldest first.
    ///
    /// # Errors
    /// If it cannot make the record out; the node does not start then. That is what a handler comes to that persists
    /// nothing and is given the log of another.
    fn recover(&mut self, record: &[u8]) -> Result<(), BadRecord> {
        Err(BadRecord(format!("this node persists nothing; found a record of {} bytes", record.len())))
    }
}

/// A handler that is a closure, with the state that it captures: see [`handler_fn`].
pub struct HandlerFn(Box<OnRequest>);

type OnRequest = dyn FnMut(&Request<'_>, &mut Context<'_, HandlerFn>) -> Result<(), RpcError>;

/// Makes a handler of a closure, for nodes of a few lines: what they keep is what the closure captures.
///
/// ```no_run
/// use messenger::{RpcError, handler_fn};
///
/// fn main() -> std::io::Result<()> {
///     messenger::run(handler_fn(|request, cx| match request.kind() {
///         "echo" => cx.reply(request, "echo_ok").field("echo", request.required("echo")?).send(),
///         kind => Err(RpcError::not_supported(kind)),
///     }))
/// }
/// ```
pub fn handler_fn(
    on_request: impl FnMut(&Request<'_>, &mut Context<'_, HandlerFn>) -> Result<(), RpcError> + 'static,
) -> HandlerFn {
    HandlerFn(Box::new(on_request))
}

impl Handler for HandlerFn {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        (self.0)(request, cx)
    }
}

impl fmt::Debug for HandlerFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerFn").finish_non_exhaustive()
    }
}
