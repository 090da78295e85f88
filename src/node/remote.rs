//! Other threads hand the node things to do.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use super::context::Context;

/// What another thread wants done: with the handler and the node to itself, like any callback.
type RemoteCommand<H> = Box<dyn FnOnce(&mut H, &mut Context<'_, H>) + Send>;

/// How other threads reach a node. It may be cloned, and sent to them: see [`Context::remote`].
pub struct Remote<H> {
    commands: SyncSender<RemoteCommand<H>>,
    waiting: Arc<AtomicUsize>,
    wake: Option<Wake>,
}

/// Wakes the shell of the node, from any thread.
pub(super) type Wake = Arc<dyn Fn() + Send + Sync>;

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
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let sent = self.commands.try_send(Box::new(command)).map_err(|error| match error {
            TrySendError::Full(_) => RemoteError::Full,
            TrySendError::Disconnected(_) => RemoteError::Gone,
        });
        if sent.is_err() {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        } else if let Some(wake) = &self.wake {
            wake();
        }
        sent
    }
}

impl<H> Clone for Remote<H> {
    fn clone(&self) -> Self {
        let Self { commands, waiting, wake } = self;
        Self { commands: commands.clone(), waiting: Arc::clone(waiting), wake: wake.clone() }
    }
}

impl<H> fmt::Debug for Remote<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

/// Why a node does not take what another thread wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// Too much waits already.
    #[error("too much waits for the node already")]
    Full,
    /// The node is no more.
    #[error("the node has ended")]
    Gone,
}

/// The node's end of it.
pub(super) struct Inbox<H> {
    /// Made when somebody asks for it.
    open: Option<(Remote<H>, Receiver<RemoteCommand<H>>)>,
    wake: Option<Wake>,
}

impl<H> Inbox<H> {
    pub(super) const fn new() -> Self {
        Self { open: None, wake: None }
    }

    pub(super) fn set_wake(&mut self, wake: Wake) {
        self.wake = Some(wake);
    }

    /// Whether something waits to be done.
    pub(super) fn is_ready(&self) -> bool {
        self.open.as_ref().is_some_and(|(remote, _)| remote.waiting.load(Ordering::SeqCst) > 0)
    }

    pub(super) fn take(&mut self) -> Option<RemoteCommand<H>> {
        let (remote, commands) = self.open.as_ref()?;
        let command = commands.try_recv().ok()?;
        remote.waiting.fetch_sub(1, Ordering::SeqCst);
        Some(command)
    }

    fn remote(&mut self, room: usize) -> Remote<H> {
        let wake = &self.wake;
        let (remote, _) = self.open.get_or_insert_with(|| {
            let (commands, receiver) = sync_channel(room);
            (Remote { commands, waiting: Arc::default(), wake: wake.clone() }, receiver)
        });
        remote.clone()
    }
}

impl<H> fmt::Debug for Inbox<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("is_ready", &self.is_ready()).finish_non_exhaustive()
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
        self.core.inbox.remote(room)
    }
}
