//! Handlers that are a closure.

use std::fmt;

use super::Handler;
use super::context::{Context, Request};
use crate::wire::error::RpcError;

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
