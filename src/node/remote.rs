//! Other threads hand the node things to do.

use super::context::{Context, RemoteCommand};
use super::inbox::{Entrance, RemoteError};

/// How other threads reach a node. It may be cloned, and sent to them: see [`Context::remote`].
#[derive(Debug)]
pub struct Remote<H>(Entrance<RemoteCommand<H>>);

impl<H> Remote<H> {
    /// Has something done by the node, on its own thread, soon: with the handler's state and the node to itself.
    ///
    /// # Errors
    /// [`RemoteError::Full`] if so many wait as [`Config::max_remote`](super::Config::max_remote) says, and
    /// [`RemoteError::Gone`] if the node is. What was to be done is dropped then.
    pub fn run(
        &self,
        command: impl FnOnce(&mut H, &mut Context<'_, H>) + Send + 'static,
    ) -> Result<(), RemoteError> {
        self.0.send(Box::new(command))
    }
}

impl<H> Clone for Remote<H> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<H> Context<'_, H> {
    /// A handle by which other threads have things done by this node, which it wakes for that. It is bounded: see
    /// [`Config::max_remote`](super::Config::max_remote).
    ///
    /// ```
    /// # use messenger::{Context, Handler, Request, RpcError};
    /// struct Counter {
    ///     ticks: u64,
    /// }
    ///
    /// impl Handler for Counter {
    ///     fn on_init(&mut self, cx: &mut Context<'_, Self>) {
    ///         let remote = cx.remote();
    ///         std::thread::spawn(move || {
    ///             // Whatever takes its time.
    ///             while remote.run(|this, _| this.ticks += 1).is_ok() {
    ///                 std::thread::sleep(std::time::Duration::from_secs(1));
    ///             }
    ///         });
    ///     }
    /// #   fn on_request(&mut self, _: &Request<'_>, _: &mut Context<'_, Self>) -> Result<(), RpcError> { Ok(()) }
    /// }
    /// ```
    pub fn remote(&mut self) -> Remote<H> {
        let room = self.core.config.max_remote;
        Remote(self.continuations.inbox.entrance(room))
    }
}
