//! What other threads want done, on its way into the node.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

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

/// Wakes the shell of the node, from any thread.
pub(super) type Wake = Arc<dyn Fn() + Send + Sync>;

/// The end of the other threads. What they want done is of type `C`.
pub(super) struct Entrance<C> {
    commands: SyncSender<C>,
    waiting: Arc<AtomicUsize>,
    wake: Option<Wake>,
}

impl<C> Entrance<C> {
    pub(super) fn send(&self, command: C) -> Result<(), RemoteError> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let sent = self.commands.try_send(command).map_err(|error| match error {
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

    /// How much waits to be done.
    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

impl<C> Clone for Entrance<C> {
    fn clone(&self) -> Self {
        let Self { commands, waiting, wake } = self;
        Self { commands: commands.clone(), waiting: Arc::clone(waiting), wake: wake.clone() }
    }
}

impl<C> fmt::Debug for Entrance<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entrance").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

/// The node's end.
pub(super) struct Inbox<C> {
    /// Made when somebody asks for it.
    open: Option<(Entrance<C>, Receiver<C>)>,
    wake: Option<Wake>,
}

impl<C> Inbox<C> {
    pub(super) const fn new() -> Self {
        Self { open: None, wake: None }
    }

    pub(super) fn set_wake(&mut self, wake: Wake) {
        self.wake = Some(wake);
    }

    /// Whether something waits to be done.
    pub(super) fn is_ready(&self) -> bool {
        self.open.as_ref().is_some_and(|(entrance, _)| entrance.waiting() > 0)
    }

    pub(super) fn take(&mut self) -> Option<C> {
        let (entrance, commands) = self.open.as_ref()?;
        let command = commands.try_recv().ok()?;
        entrance.waiting.fetch_sub(1, Ordering::SeqCst);
        Some(command)
    }

    /// The other end, with room for so much.
    pub(super) fn entrance(&mut self, room: usize) -> Entrance<C> {
        let wake = &self.wake;
        let (entrance, _) = self.open.get_or_insert_with(|| {
            let (commands, receiver) = sync_channel(room);
            (Entrance { commands, waiting: Arc::default(), wake: wake.clone() }, receiver)
        });
        entrance.clone()
    }
}

impl<C> fmt::Debug for Inbox<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("is_ready", &self.is_ready()).finish_non_exhaustive()
    }
}
