//! Handlers written as straight code that waits.
//!
//! Such a handler is a future that belongs to the node and is polled by it, on its one thread. It holds no
//! reference to the handler or the node while it waits: whatever it wants of them goes into a list of
//! commands, which the node runs as soon as nobody is being polled.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;

use super::answer::Answer;
use super::call::{Call, write_forwarded};
use super::context::{Command, Context};
use super::draft::ANSWERED_ONCE;
use super::oneshot::oneshot;
use super::outcome::{CallError, Reply};
use super::request::Request;
use super::tasks::Commands;
use crate::json::value::Value;
use crate::json::write::WriteJson as _;
use crate::rpc::retry::Policy;
use crate::time::Duration;
use crate::wire::envelope::{Body, OwnedBody};
use crate::wire::error::{ErrorCode, RpcError};

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
        self.continuations.tasks.start(async move { (Some(deferred), future.await) });
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
        self.continuations.tasks.start(async move { (None, future.await.map(|()| Answer::new(""))) });
        Ok(())
    }

    fn check_room_for_tasks(&self) -> Result<(), RpcError> {
        let limit = self.core.config.max_waiting;
        if self.continuations.tasks.len() < limit {
            return Ok(());
        }
        Err(RpcError::temporarily_unavailable(format!("{limit} handlers wait, which is the limit")))
    }

    fn handle(&self) -> Handle<H> {
        Handle { commands: self.continuations.tasks.commands() }
    }
}

/// How a waiting handler reaches its node. A clone reaches the same one; it stays on the node's thread.
pub struct Handle<H> {
    commands: Commands<Command<H>>,
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
    /// Calls another node, or one of Maelstrom's services: add fields, then `.await` the answer. Without a
    /// [policy](WaitingCall::policy) that is one attempt of a second.
    ///
    /// What comes of it is an [`OwnedReply`], or a [`CallError`]: no answer in time, an error as the answer, or why the call
    /// was not sent, as [`Call::then`] has it. As the error of a handler (`?`) a timeout becomes code 0, and what the peer
    /// said is passed on.
    ///
    /// ```
    /// # use messenger::{Answer, kv::{Kv, Lin}};
    /// # let _ = messenger::handler_fn(|request, cx| cx.wait(request, async |node| {
    /// let reply = node.call("n2", "read").field("key", "x").await?;
    /// let value: i64 = reply.body().field("value")?;
    /// # Ok(Answer::new("done"))
    /// # }));
    /// ```
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
        let (kind, members, refusal) = match body {
            Ok((kind, members)) => (kind, members, None),
            Err(error) => (String::new(), Vec::new(), Some(error)),
        };
        let (node, peer, policy) = (self.clone(), peer.to_owned(), Policy::default());
        WaitingCall { node, peer, kind, members, refusal, policy }
    }

    /// Waits this long. Never less.
    ///
    /// ```
    /// # use messenger::{Answer, kv::{Kv, Lin}};
    /// # let _ = messenger::handler_fn(|request, cx| cx.wait(request, async |node| {
    /// node.sleep(messenger::Duration::from_millis(100)).await;
    /// # Ok(Answer::new("done"))
    /// # }));
    /// ```
    pub async fn sleep(&self, delay: Duration) {
        let (sender, receiver) = oneshot();
        self.with(move |_, cx| cx.after(delay, move |_, _| sender.send(()))).await;
        receiver.await;
    }

    /// Has the handler and the node to itself for a moment: nothing else runs between its begin and
    /// its end. Between two of them anything may.
    ///
    /// ```
    /// # use messenger::{Answer, Context, Handler, Request, RpcError};
    /// struct Counting {
    ///     count: u64,
    /// }
    ///
    /// impl Handler for Counting {
    ///     fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
    ///         cx.wait(request, async |node| {
    ///             node.call("n2", "ping").await?;
    ///             let count = node
    ///                 .with(|this: &mut Self, _| {
    ///                     this.count += 1;
    ///                     this.count
    ///                 })
    ///                 .await;
    ///             Ok(Answer::new("count_ok").field("count", count))
    ///         })
    ///     }
    /// }
    /// ```
    pub fn with<T, F>(&self, act: F) -> impl Future<Output = T> + use<H, T, F>
    where
        T: 'static,
        F: FnOnce(&mut H, &mut Context<'_, H>) -> T + 'static,
    {
        let (sender, receiver) = oneshot();
        self.commands.borrow_mut().push(Box::new(move |handler, cx| sender.send(act(handler, cx))));
        receiver
    }
}

/// A call that a waiting handler puts together. It is made when it is awaited.
#[derive(Debug)]
#[must_use = "a call is made by `.await`"]
pub struct WaitingCall<H> {
    node: Handle<H>,
    peer: String,
    kind: String,
    /// The members of its body, the type among them.
    members: Vec<u8>,
    /// Why it cannot be made.
    refusal: Option<RpcError>,
    policy: Policy,
}

impl<H: 'static> WaitingCall<H> {
    /// Where its fields are written.
    pub(super) const fn body_mut(&mut self) -> &mut Vec<u8> {
        &mut self.members
    }

    /// Notes that a field cannot be sent.
    pub(super) fn refuse_field(&mut self, why: &'static str) {
        self.refusal.get_or_insert_with(|| RpcError::new(ErrorCode::CRASH, why));
    }

    /// How often to try, and how long to wait. The default is one attempt of a second.
    ///
    /// ```
    /// # use messenger::{Answer, kv::{Kv, Lin}};
    /// # let _ = messenger::handler_fn(|request, cx| cx.wait(request, async |node| {
    /// use messenger::{Duration, Policy};
    ///
    /// let policy = Policy::repeat(3, Duration::from_millis(500));
    /// node.call("n2", "read").policy(policy).await?;
    /// # Ok(Answer::new("done"))
    /// # }));
    /// ```
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }
}

impl<H: 'static> IntoFuture for WaitingCall<H> {
    type Output = Result<OwnedReply, CallError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output>>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { node, peer, kind, members, refusal, policy } = self;
        Box::pin(async move {
            if let Some(error) = refusal {
                return Err(CallError::Unsent(error));
            }
            let (sender, receiver) = oneshot();
            let made = node.with(move |_, cx| {
                let call = Call::new(cx, &peer, &kind).members(&members).policy(policy);
                call.then(move |_, outcome, _| sender.send(outcome.map(|reply| OwnedReply::new(&reply))))
            });
            made.await?;
            receiver.await
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
