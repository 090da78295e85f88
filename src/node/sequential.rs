//! Handlers written as straight code that waits.
//!
//! Such a handler is a future that belongs to the node and is polled by it, on its one thread. It holds no
//! reference to the handler or the node while it waits: whatever it wants of them goes into a list of
//! commands, which the node runs as soon as nobody is being polled.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::mem;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{self, Poll, Wake, Waker};
use std::thread;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::call::{Call, CallError, Reply, write_forwarded};
use super::context::{ANSWERED_ONCE, Context, Deferred, Request};
use crate::json::value::Value;
use crate::json::write::WriteJson as _;
use crate::rpc::retry::Policy;
use crate::time::Duration;
use crate::wire::envelope::{Body, OwnedBody};
use crate::wire::error::{ErrorCode, RpcError};

/// The waiting handlers of a node.
pub(super) struct Tasks<H> {
    running: FuturesUnordered<Task>,
    commands: Commands<H>,
    woken: Arc<Woken>,
}

type Task = Pin<Box<dyn Future<Output = TaskEnd>>>;

/// The request of a handler that came to its end, and what it says to it.
///
/// A task that no request asked for has neither request nor answer.
pub(super) type TaskEnd = (Option<Deferred>, Result<Answer, RpcError>);

type Commands<H> = Rc<RefCell<Vec<Command<H>>>>;

pub(super) type Command<H> = Box<dyn FnOnce(&mut H, &mut Context<'_, H>)>;

/// Whether some task can go on. Wakers have to be shareable between threads; this one never is.
#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<H> Tasks<H> {
    pub(super) fn new() -> Self {
        Self { running: FuturesUnordered::new(), commands: Commands::default(), woken: Arc::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.running.len()
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
        let mut cx = task::Context::from_waker(&waker);
        match catch_unwind(AssertUnwindSafe(|| self.running.poll_next_unpin(&mut cx))) {
            Ok(Poll::Ready(Some(end))) => Some(Ok(end)),
            Ok(Poll::Ready(None) | Poll::Pending) => None,
            Err(panic) => Some(Err(panic)),
        }
    }

    pub(super) fn take_commands(&mut self) -> Vec<Command<H>> {
        mem::take(&mut *self.commands.borrow_mut())
    }
}

impl<H> fmt::Debug for Tasks<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").field("running", &self.running.len()).finish_non_exhaustive()
    }
}

impl<H: 'static> Context<'_, H> {
    /// Handles a request with straight code that may wait. What the code comes to is the answer.
    ///
    /// It may await what its [`Handle`] offers, and combinations of that. Nobody wakes the node for anything else; what
    /// another thread has to say comes by [`Context::remote`].
    ///
    /// ```
    /// # use messenger::{Answer, Context, Request, RpcError};
    /// # struct Relay;
    /// # impl messenger::Handler for Relay {
    /// # fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
    /// cx.wait(request, async |node| {
    ///     let reply = node.call("n2", "read").await?;
    ///     Ok(Answer::new("read_ok").field("value", reply.body().required("value")?))
    /// })
    /// # }}
    /// ```
    ///
    /// # Errors
    /// Code 11 if too many handlers wait already, and 13 if the request was answered before.
    pub fn wait<F>(
        &mut self,
        request: &Request<'_>,
        handler: impl FnOnce(Handle<H>) -> F,
    ) -> Result<(), RpcError>
    where
        F: Future<Output = Result<Answer, RpcError>> + 'static,
    {
        self.check_room_for_tasks()?;
        if request.is_answered() {
            return Err(RpcError::new(ErrorCode::CRASH, ANSWERED_ONCE));
        }
        let deferred = self.defer(request);
        let future = handler(self.handle());
        self.start_task(async move { (Some(deferred), future.await) });
        Ok(())
    }

    /// Starts straight code that may wait and that no request asked for, such as an election. An error that it comes to
    /// is logged. At the end of the input the node waits for it, but not for longer than for anything else.
    ///
    /// The handler's state is at hand for moments, by [`Handle::with`]; a reference to it cannot be kept while the
    /// code waits, which is why `self` cannot be used inside (`E0521`):
    ///
    /// ```
    /// # use messenger::{Context, Duration, Handler, Request, RpcError};
    /// struct Leader {
    ///     term: u64,
    /// }
    ///
    /// impl Handler for Leader {
    ///     fn on_init(&mut self, cx: &mut Context<'_, Self>) {
    ///         let started = cx.spawn(async |node| {
    ///             loop {
    ///                 node.sleep(Duration::from_millis(200)).await;
    ///                 node.with(|this: &mut Self, cx| {
    ///                     this.term += 1;
    ///                     cx.broadcast("heartbeat").field("term", this.term).send()
    ///                 })
    ///                 .await?;
    ///             }
    ///         });
    ///         started.expect("nothing else waits yet");
    ///     }
    /// #   fn on_request(&mut self, _: &Request<'_>, _: &mut Context<'_, Self>) -> Result<(), RpcError> { Ok(()) }
    /// }
    /// ```
    ///
    /// # Errors
    /// Code 11 if too many handlers wait already: see [`Config::max_waiting`](super::Config::max_waiting).
    pub fn spawn<F>(&mut self, task: impl FnOnce(Handle<H>) -> F) -> Result<(), RpcError>
    where
        F: Future<Output = Result<(), RpcError>> + 'static,
    {
        self.check_room_for_tasks()?;
        let future = task(self.handle());
        self.start_task(async move { (None, future.await.map(|()| Answer::new(""))) });
        Ok(())
    }

    fn check_room_for_tasks(&self) -> Result<(), RpcError> {
        let limit = self.core.config.max_waiting;
        if self.core.tasks.len() < limit {
            return Ok(());
        }
        Err(RpcError::temporarily_unavailable(format!("{limit} handlers wait, which is the limit")))
    }

    fn handle(&self) -> Handle<H> {
        Handle { commands: Rc::clone(&self.core.tasks.commands) }
    }

    fn start_task(&mut self, task: impl Future<Output = TaskEnd> + 'static) {
        self.core.tasks.running.push(Box::pin(task));
        self.core.tasks.woken.0.store(true, Ordering::Relaxed);
    }
}

/// How a waiting handler reaches its node.
pub struct Handle<H> {
    commands: Commands<H>,
}

impl<H> fmt::Debug for Handle<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl<H> Clone for Handle<H> {
    fn clone(&self) -> Self {
        Self { commands: Rc::clone(&self.commands) }
    }
}

impl<H: 'static> Handle<H> {
    /// Calls another node, or one of Maelstrom's services: add fields, then `.await` the answer.
    pub fn call(&self, peer: &str, kind: &str) -> WaitingCall<H> {
        let mut members = b"\"type\":".to_vec();
        kind.write_json(&mut members);
        self.waiting_call(peer, Ok((kind.to_owned(), members)))
    }

    /// Calls another node with a body that is forwarded: see [`Context::forward`].
    pub fn forward(&self, peer: &str, body: Value<'_>) -> WaitingCall<H> {
        let mut members = Vec::new();
        let kind = write_forwarded(body, &mut members);
        self.waiting_call(peer, kind.map(|kind| (kind.into_owned(), members)))
    }

    pub(super) fn waiting_call(
        &self,
        peer: &str,
        body: Result<(String, Vec<u8>), RpcError>,
    ) -> WaitingCall<H> {
        WaitingCall { node: self.clone(), peer: peer.to_owned(), body, policy: Policy::default() }
    }

    /// Waits this long. Never less.
    pub async fn sleep(&self, delay: Duration) {
        let (filler, slot) = slot();
        self.with(move |_, cx| cx.after(delay, move |_, _| filler.fill(()))).await;
        slot.await;
    }

    /// Has the handler and the node to itself for a moment.
    pub fn with<T, F>(&self, act: F) -> impl Future<Output = T> + use<H, T, F>
    where
        T: 'static,
        F: FnOnce(&mut H, &mut Context<'_, H>) -> T + 'static,
    {
        let (filler, slot) = slot();
        self.commands.borrow_mut().push(Box::new(move |handler, cx| filler.fill(act(handler, cx))));
        slot
    }
}

/// A call that a waiting handler puts together. It is made when it is awaited.
#[derive(Debug)]
#[must_use = "a call is made by `.await`"]
pub struct WaitingCall<H> {
    node: Handle<H>,
    peer: String,
    /// Its type, and its members.
    body: Result<(String, Vec<u8>), RpcError>,
    policy: Policy,
}

impl<H: 'static> WaitingCall<H> {
    /// Lets `write` append to the body.
    pub(super) fn fields(mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), &'static str>) -> Self {
        if let Ok((_, members)) = &mut self.body
            && let Err(why) = write(members)
        {
            self.body = Err(RpcError::new(ErrorCode::CRASH, why));
        }
        self
    }

    /// How often to try, and how long to wait. The default is one attempt of a second.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }
}

impl<H: 'static> IntoFuture for WaitingCall<H> {
    type Output = Result<OwnedReply, CallError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output>>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { node, peer, body, policy } = self;
        Box::pin(async move {
            let (kind, members) = body.map_err(CallError::Unsent)?;
            let (filler, slot) = slot();
            let made = node.with(move |_, cx| {
                let call = Call::new(cx, &peer, &kind).members(&members).policy(policy);
                call.then(move |_, outcome, _| filler.fill(outcome.map(|reply| OwnedReply::new(&reply))))
            });
            made.await?;
            slot.await
        })
    }
}

/// The answer to a call that a handler waited for.
#[derive(Clone, Debug)]
pub struct OwnedReply {
    body: OwnedBody,
    /// How many attempts were made.
    pub attempts: u32,
    /// The sum of the waits that those attempts had.
    pub waits: Duration,
}

impl OwnedReply {
    fn new(reply: &Reply<'_>) -> Self {
        Self { body: reply.body.detach(), attempts: reply.attempts, waits: reply.waits }
    }

    /// What it says. Its type is never `error`.
    pub fn body(&self) -> Body<'_> {
        self.body.body()
    }
}

/// What a waiting handler answers its request with.
#[derive(Clone, Debug)]
#[must_use = "an answer is what a waiting handler returns"]
pub struct Answer {
    /// Where its type is among the members.
    pub(super) kind: Range<usize>,
    /// All members of its body, its type among them.
    pub(super) members: Vec<u8>,
    /// Why it cannot be sent.
    pub(super) fault: Option<&'static str>,
}

impl Answer {
    /// An answer of that type without fields.
    pub fn new(kind: &str) -> Self {
        let mut members = b"\"type\":".to_vec();
        kind.write_json(&mut members);
        Self::of_members(b"\"type\":".len()..members.len(), members)
    }

    /// An answer that passes on what another node answered, byte for byte.
    pub fn forward(body: &Body<'_>) -> Self {
        Self::new(&body.kind).fields_of(body)
    }

    /// An answer of all these members, its type among them.
    pub(super) const fn of_members(kind: Range<usize>, members: Vec<u8>) -> Self {
        Self { kind, members, fault: None }
    }

    /// An answer that cannot be sent.
    #[cfg(feature = "serde")]
    pub(super) const fn faulty(why: &'static str) -> Self {
        Self { kind: 0..0, members: Vec::new(), fault: Some(why) }
    }

    /// Lets `write` append to the body.
    pub(super) fn fields(mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), &'static str>) -> Self {
        if let Err(why) = write(&mut self.members) {
            self.fault.get_or_insert(why);
        }
        self
    }
}

/// Where a waiting handler finds what it waits for, and the other end, which puts it there.
fn slot<T>() -> (Filler<T>, Slot<T>) {
    let shared = Rc::new(RefCell::new(Shared { state: State::Empty, waker: None }));
    (Filler(Rc::clone(&shared)), Slot(shared))
}

#[derive(Debug)]
struct Slot<T>(Rc<RefCell<Shared<T>>>);

#[derive(Debug)]
struct Filler<T>(Rc<RefCell<Shared<T>>>);

#[derive(Debug)]
struct Shared<T> {
    state: State<T>,
    waker: Option<Waker>,
}

#[derive(Debug)]
enum State<T> {
    Empty,
    Full(T),
    /// It will never be filled: what was to do it panicked.
    Lost,
}

impl<T> Filler<T> {
    fn fill(self, value: T) {
        self.0.borrow_mut().state = State::Full(value);
    }
}

impl<T> Drop for Filler<T> {
    fn drop(&mut self) {
        let mut shared = self.0.borrow_mut();
        if matches!(shared.state, State::Empty) {
            shared.state = State::Lost;
        }
        if let Some(waker) = shared.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Future for Slot<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<T> {
        let mut shared = self.0.borrow_mut();
        match mem::replace(&mut shared.state, State::Empty) {
            State::Full(value) => Poll::Ready(value),
            State::Lost => panic!("what this handler waited for panicked"),
            State::Empty => {
                shared.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
