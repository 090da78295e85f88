//! What a handler works with.

use fastrand::Rng;

use super::answer::Answer;
use super::cluster::Cluster;
use super::core::Core;
use super::deferred::Deferred;
use super::draft::{Disposition, Misuse};
use super::inbox::Inbox;
use super::message::Message;
use super::outcome::CallOutcome;
use super::places::ByPlace;
use super::request::Request;
use super::tasks::Tasks;
use super::timers::{TimerId, no_earlier_than_next_tick};
use crate::boundary::chaos::Chaos;
use crate::json::text::excerpt;
use crate::telemetry::metrics::Summary;
use crate::telemetry::trace::Entry;
use crate::time::{Duration, Instant};
use crate::wire::envelope::Envelope;
use crate::wire::error::{ErrorCode, RpcError};
use crate::wire::out::OutBuffer;

/// What a handler may do, in one turn: answer, call, keep time, persist. It writes into the output at once; what it wrote
/// leaves after the turn, when what was [persisted](Self::persist) in it is durable.
///
/// Every method of a [`Handler`](super::Handler) gets one, and every callback. Straight code that waits has a
/// [`Handle`](super::Handle) in its place.
#[derive(Debug)]
pub struct Context<'a, H> {
    pub(super) core: &'a mut Core,
    pub(super) continuations: &'a mut Continuations<H>,
    pub(super) out: &'a mut OutBuffer,
}

/// What a handler wants to be told later, and of what type it is. The [`Core`] knows the places alone.
#[derive(Debug)]
pub(super) struct Continuations<H> {
    /// By the places of their calls.
    pub(super) callbacks: ByPlace<Callback<H>>,
    /// By the places of their timers.
    pub(super) timers: ByPlace<TimerCallback<H>>,
    pub(super) tasks: Tasks<Command<H>>,
    /// What other threads want done.
    pub(super) inbox: Inbox<RemoteCommand<H>>,
}

/// Gets the outcome of a call.
pub(super) type Callback<H> = Box<dyn FnOnce(&mut H, CallOutcome<'_>, &mut Context<'_, H>)>;

/// Is called whenever a timer fires.
pub(super) type TimerCallback<H> = Box<dyn FnMut(&mut H, &mut Context<'_, H>)>;

/// What a task wants done with the handler and the node to itself.
pub(super) type Command<H> = Box<dyn FnOnce(&mut H, &mut Context<'_, H>)>;

/// What another thread wants done.
pub(super) type RemoteCommand<H> = Box<dyn FnOnce(&mut H, &mut Context<'_, H>) + Send>;

impl<H> Continuations<H> {
    pub(super) fn new() -> Self {
        let (callbacks, timers) = (ByPlace::new(), ByPlace::new());
        Self { callbacks, timers, tasks: Tasks::new(), inbox: Inbox::new() }
    }
}

impl<H> Context<'_, H> {
    /// Starts the answer to a request: add its fields, then send it.
    ///
    /// It goes from this node to the request's sender, with the request's `msg_id` as `in_reply_to`. A request without
    /// `msg_id` wants no answer: this one is then written and goes nowhere. A second answer to one request is refused by
    /// [`send`](Message::send), with code 13.
    ///
    /// ```
    /// # let _ = messenger::handler_fn(|request, cx| {
    /// cx.reply(request, "read_ok").field("value", 7).send()
    /// # });
    /// ```
    #[inline]
    pub fn reply<'m>(&'m mut self, request: &'m Request<'_>, kind: &str) -> Message<'m> {
        let Envelope { src, dest, body, .. } = request.envelope;
        let mut message = Message::start(&mut self.core.writer, self.out, dest, src, kind);
        match body.msg_id {
            None => message.writer.draft.disposition = Disposition::Discard,
            Some(_) if request.is_answered() => {
                message.writer.draft.disposition = Disposition::Refuse(Misuse::AnsweredTwice);
            }
            Some(msg_id) => {
                message.in_reply_to = msg_id.as_str();
                message.request = Some(request);
            }
        }
        message
    }

    /// Puts the answer to a request off, until [`answer`](Self::answer) or [`answer_error`](Self::answer_error). Without
    /// either, when what this returns is dropped, the client gets error 13.
    ///
    /// ```
    /// # let _ = messenger::handler_fn(|request, cx| {
    /// let later = cx.defer(request);
    /// cx.after(messenger::Duration::from_millis(50), |_, cx| {
    ///     cx.answer(later, "done").send().expect("it is well formed");
    /// });
    /// # Ok(())
    /// # });
    /// ```
    pub fn defer(&mut self, request: &Request<'_>) -> Deferred {
        self.core.defer(request)
    }

    /// Starts the answer to a request that was put off: add its fields, then send it.
    ///
    /// If it is too late for its client, the answer is dropped and counted, which is no error: see
    /// [`Config::answer_within`](crate::Config::answer_within).
    pub fn answer(&mut self, deferred: Deferred, kind: &str) -> Message<'_> {
        self.core.answer(self.out, deferred, kind)
    }

    /// Answers a request that was put off with an error.
    ///
    /// ```
    /// # let _ = messenger::handler_fn(|request, cx| {
    /// let later = cx.defer(request);
    /// cx.answer_error(later, &messenger::RpcError::temporarily_unavailable("there is no leader yet"));
    /// # Ok(())
    /// # });
    /// ```
    pub fn answer_error(&mut self, deferred: Deferred, error: &RpcError) {
        self.core.answer_error(self.out, deferred, error);
    }

    /// Answers a request that was put off with what its handler came to.
    pub(super) fn end_task(&mut self, deferred: Deferred, answer: &Answer) {
        if let Some(why) = answer.fault {
            return self.answer_error(deferred, &RpcError::new(ErrorCode::CRASH, why));
        }
        let message = self.answer(deferred, "").send_whole(|line| {
            let start = line.len();
            line.extend_from_slice(&answer.members);
            Ok(start + answer.kind.start..start + answer.kind.end)
        });
        message.expect("its fields were checked");
    }

    /// Starts the answer to a request of a client that another node read and handed on: add its fields, then send it.
    /// `msg_id` is that of the client's request, as it is written. Whoever hands a request on must not answer it.
    pub fn reply_for<'m>(&'m mut self, client: &str, msg_id: &'m str, kind: &str) -> Message<'m> {
        let mut message = Message::start(&mut self.core.writer, self.out, "", client, kind);
        let digits = msg_id.strip_prefix('-').unwrap_or(msg_id);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            message.writer.draft.disposition = Disposition::Refuse(Misuse::NoRequest);
        }
        message.in_reply_to = msg_id;
        message
    }

    /// Calls `callback` once, after this time. Never early, and never in the same turn.
    ///
    /// ```
    /// # let _ = messenger::handler_fn(|request, cx| {
    /// cx.after(messenger::Duration::from_secs(1), |_, cx| {
    ///     cx.broadcast("heartbeat").send().expect("it is well formed");
    /// });
    /// # Ok(())
    /// # });
    /// ```
    pub fn after(
        &mut self,
        delay: Duration,
        callback: impl FnOnce(&mut H, &mut Context<'_, H>) + 'static,
    ) -> TimerId {
        let mut callback = Some(callback);
        let once = move |handler: &mut H, cx: &mut Context<'_, H>| {
            if let Some(callback) = callback.take() {
                callback(handler, cx);
            }
        };
        self.start_timer(delay, None, Box::new(once))
    }

    /// Calls `callback` again and again with this time in between, which is at least a millisecond. A node that
    /// was held up for longer fires once and goes on from there.
    ///
    /// ```
    /// # use messenger::{Context, Duration, Handler, Request, RpcError};
    /// struct Beating;
    ///
    /// impl Handler for Beating {
    ///     fn on_init(&mut self, cx: &mut Context<'_, Self>) {
    ///         cx.every(Duration::from_millis(100), |_, cx| {
    ///             cx.broadcast("heartbeat").send().expect("it is well formed");
    ///         });
    ///     }
    /// #   fn on_request(&mut self, _: &Request<'_>, _: &mut Context<'_, Self>) -> Result<(), RpcError> { Ok(()) }
    /// }
    /// ```
    pub fn every(
        &mut self,
        period: Duration,
        callback: impl FnMut(&mut H, &mut Context<'_, H>) + 'static,
    ) -> TimerId {
        let period = period.max(Duration::from_millis(1));
        self.start_timer(period, Some(period), Box::new(callback))
    }

    fn start_timer(
        &mut self,
        delay: Duration,
        period: Option<Duration>,
        callback: TimerCallback<H>,
    ) -> TimerId {
        let due = no_earlier_than_next_tick(self.core.now, delay);
        let id = self.core.timers.start(&mut self.core.wheel, due, period);
        self.continuations.timers.put(id.place(), callback);
        id
    }

    /// Stops a timer; `false` if it has fired for the last time or was stopped before. A timer may stop itself.
    ///
    /// ```
    /// # let _ = messenger::handler_fn(|request, cx| {
    /// let bell = cx.after(messenger::Duration::from_secs(1), |_, _| ());
    /// assert!(cx.cancel(bell));
    /// # Ok(())
    /// # });
    /// ```
    pub fn cancel(&mut self, id: TimerId) -> bool {
        let was_running = self.core.timers.stop(&mut self.core.wheel, id);
        if was_running {
            self.continuations.timers.take(id.place());
        }
        was_running
    }

    /// Appends a record to this node's log, which it gets back after its next start by
    /// [`Handler::recover`](super::Handler::recover). What is said in this turn, by whomever, leaves only when this is
    /// durable.
    ///
    /// All records of a turn become durable together, by one write. Where they are kept is for the shell to say: see
    /// [`reactor::Options::data`](crate::reactor::Options::data).
    ///
    /// ```
    /// # let _ = messenger::handler_fn(|request, cx| {
    /// let value = request.integer("value")?;
    /// cx.persist(&value.to_string());
    /// // It leaves when the record is durable.
    /// cx.reply(request, "write_ok").send()
    /// # });
    /// ```
    pub fn persist(&mut self, record: &(impl AsRef<[u8]> + ?Sized)) {
        self.core.log.push(record.as_ref());
    }

    /// Appends a record that stands for all that was persisted before: that is forgotten, at once with this.
    pub fn snapshot(&mut self, record: &(impl AsRef<[u8]> + ?Sized)) {
        self.core.log.replace(record.as_ref());
    }

    /// Starts a message to another node, or to one of Maelstrom's services, that waits for no answer: add its
    /// fields, then send it.
    ///
    /// Unlike a call that is forgotten it is not pending: nothing is kept of it, and nothing ends later. It is
    /// numbered like every message of a node, so whoever gets it may answer. Such an answer is dropped, and
    /// counted as one that nothing waits for.
    ///
    /// To send it is an error of code 1 if there is no such node.
    ///
    /// ```
    /// # let _ = messenger::handler_fn(|request, cx| {
    /// cx.message("n2", "tell").field("value", 7).send()
    /// # });
    /// ```
    pub fn message<'m>(&'m mut self, peer: &str, kind: &str) -> Message<'m> {
        let is_known = self.core.peer(peer).is_some();
        let message = Message::start(&mut self.core.writer, self.out, "", peer, kind);
        if !is_known {
            message.writer.draft.disposition = Disposition::Refuse(Misuse::NoSuchReceiver);
        }
        message
    }

    /// How many calls wait for their answers.
    pub fn pending_calls(&self) -> usize {
        self.core.pending.len()
    }

    /// How many more calls may wait.
    pub fn room_for_calls(&self) -> usize {
        self.core.pending.room()
    }

    /// This node's id.
    ///
    /// ```
    /// # let _ = messenger::handler_fn(|request, cx| {
    /// let number = cx.rng().u64(..);
    /// let id = format!("{}-{number}", cx.id());
    /// cx.reply(request, "generate_ok").field("id", id).send()
    /// # });
    /// ```
    pub fn id(&self) -> &str {
        self.cluster().id()
    }

    /// The node and the others of its cluster.
    ///
    /// ```
    /// # let _ = messenger::handler_fn(|request, cx| {
    /// let leader = &cx.cluster().nodes()[0];
    /// let is_leader = cx.id() == leader;
    /// cx.reply(request, "role_ok").field("is_leader", is_leader).send()
    /// # });
    /// ```
    ///
    /// # Panics
    /// Never in a handler: none runs before `init`.
    pub fn cluster(&self) -> &Cluster {
        self.core.cluster.as_ref().expect("handlers run after init")
    }

    /// When the bytes of this turn arrived.
    ///
    /// ```
    /// # let _ = messenger::handler_fn(|request, cx| {
    /// let up_ms = cx.now().as_micros() / 1000;
    /// cx.reply(request, "up_ok").field("ms", up_ms).send()
    /// # });
    /// ```
    pub const fn now(&self) -> Instant {
        self.core.now
    }

    /// How long ago the bytes of this turn arrived, by the shell's clock. In virtual time a turn takes none.
    pub fn elapsed(&self) -> Duration {
        self.core.read_clock() - self.core.arrived.unwrap_or(self.core.now)
    }

    /// The newest messages that came or went, at most `count` of them, the oldest first. The node remembers as many as
    /// [`Config::trace_size`](crate::Config::trace_size) says.
    pub fn trace(&self, count: usize) -> Vec<Entry> {
        self.core.writer.trace.newest(count)
    }

    /// How many requests were answered since `init`, this moment's included, and how long that took.
    pub fn summary(&mut self) -> Summary {
        let (now, metrics) = (self.core.read_clock(), &mut self.core.writer.metrics);
        metrics.handle_written(now);
        metrics.summary(now)
    }

    /// What happens to the messages that this node sends.
    pub const fn chaos(&mut self) -> &mut Chaos {
        &mut self.core.boundary.chaos
    }

    /// Random numbers from the node's seed and id.
    ///
    /// ```
    /// # let _ = messenger::handler_fn(|request, cx| {
    /// let peers: Vec<_> = cx.peers().collect();
    /// let lucky = cx.rng().choice(&peers).cloned();
    /// cx.reply(request, "draw_ok").field("peer", lucky.as_deref()).send()
    /// # });
    /// ```
    pub const fn rng(&mut self) -> &mut Rng {
        &mut self.core.rng
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
                "this is node {:?} of {} since its first init, and cannot become {:?} of {}",
                known.id,
                known.nodes.len(),
                excerpt(&cluster.id),
                cluster.nodes.len(),
            ))),
        }
    }
}
