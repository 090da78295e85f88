//! The waiting handlers of a node: futures that it polls itself, and what they want of it meanwhile.

use std::cell::RefCell;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::answer::Answer;
use super::deferred::Deferred;
use crate::wire::error::RpcError;

/// The waiting handlers of a node. Between two polls it runs their commands, of type `C`.
pub(super) struct Tasks<C> {
    running: FuturesUnordered<Task>,
    commands: Commands<C>,
    woken: Arc<Woken>,
}

type Task = Pin<Box<dyn Future<Output = TaskEnd>>>;

/// The request of a handler that came to its end, and what it says to it.
///
/// A task that no request asked for has neither request nor answer.
pub(super) type TaskEnd = (Option<Deferred>, Result<Answer, RpcError>);

/// What tasks want done, the oldest first.
pub(super) type Commands<C> = Rc<RefCell<Vec<C>>>;

/// Whether some task can go on. Wakers have to be shareable between threads; this one never is.
#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<C> Tasks<C> {
    pub(super) fn new() -> Self {
        Self { running: FuturesUnordered::new(), commands: Commands::default(), woken: Arc::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    pub(super) fn start(&mut self, task: impl Future<Output = TaskEnd> + 'static) {
        self.running.push(Box::pin(task));
        self.woken.0.store(true, Ordering::Relaxed);
    }

    /// Where tasks put their commands.
    pub(super) fn commands(&self) -> Commands<C> {
        Rc::clone(&self.commands)
    }

    /// Whether polling or running commands would get anywhere.
    pub(super) fn is_ready(&self) -> bool {
        let may_poll = !self.running.is_empty() && self.woken.0.load(Ordering::Relaxed);
        may_poll || !self.commands.borrow().is_empty()
    }

    /// Polls what can go on, until one handler comes to its end or panics; `None` if no more does.
    pub(super) fn poll(&mut self) -> Option<thread::Result<TaskEnd>> {
        self.woken.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&self.woken));
        let mut cx = Context::from_waker(&waker);
        match catch_unwind(AssertUnwindSafe(|| self.running.poll_next_unpin(&mut cx))) {
            Ok(Poll::Ready(Some(end))) => Some(Ok(end)),
            Ok(Poll::Ready(None) | Poll::Pending) => None,
            Err(panic) => Some(Err(panic)),
        }
    }

    pub(super) fn take_commands(&mut self) -> Vec<C> {
        mem::take(&mut *self.commands.borrow_mut())
    }
}

impl<C> fmt::Debug for Tasks<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").field("running", &self.running.len()).finish_non_exhaustive()
    }
}
