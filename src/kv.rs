//! Clients for the services that Maelstrom runs beside the nodes, for handlers that wait.
//!
//! ```no_run
//! # use messenger::{Answer, Context, Request, RpcError};
//! # use messenger::kv::{Kv, Lin};
//! # struct Counter;
//! # impl messenger::Handler for Counter {
//! # fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
//! cx.wait(request, async |node| {
//!     let value: i64 = Kv::<Lin, _>::new(&node).read_or("counter", 0).await?;
//!     Ok(Answer::new("read_ok").field("value", value))
//! })
//! # }}
//! ```

use std::marker::PhantomData;

use crate::json::read::FromJson;
use crate::json::to_json::ToJson;
use crate::node::{CallError, Handle, OwnedReply, WaitingCall};
use crate::rpc::retry::Policy;
use crate::time::Duration;
use crate::wire::error::{ErrorCode, RpcError};

/// Reads, and other requests that may be handled twice: three attempts of a second.
const IDEMPOTENT: Policy = Policy::repeat(ATTEMPTS, Duration::from_secs(1));

/// Writes, which may not. What became of one that timed out is unknown.
const ONCE: Policy = Policy::once(Duration::from_secs(1));

const ATTEMPTS: u32 = 3;

/// Which key-value service.
pub trait Service {
    /// Its name on the network.
    const NAME: &'static str;
}

/// `lin-kv`: linearizable. Every operation takes effect at one moment between its request and its answer.
#[derive(Clone, Copy, Debug)]
pub struct Lin;

/// `seq-kv`: sequentially consistent. Everybody sees the same order of changes, but a read may show an old
/// state, though never one before what this node has seen. To be sure of the newest, change something first.
#[derive(Clone, Copy, Debug)]
pub struct Seq;

/// `lww-kv`: eventually consistent; of two writes the later wins by a clock that is not yours. Reads may go
/// back in time, and what was acknowledged may be lost.
#[derive(Clone, Copy, Debug)]
pub struct Lww;

impl Service for Lin {
    const NAME: &'static str = "lin-kv";
}

impl Service for Seq {
    const NAME: &'static str = "seq-kv";
}

impl Service for Lww {
    const NAME: &'static str = "lww-kv";
}

/// Services that create a missing key in a compare-and-set if asked to. `lww-kv` passes over the wish.
pub trait Creates: Service {}

impl Creates for Lin {}
impl Creates for Seq {}

/// What a compare-and-set came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cas {
    /// The value was `from`, and is `to` now.
    Swapped,
    /// The value is something else, and was left alone.
    Differs,
    /// There is no such key.
    Missing,
}

/// A client of a key-value service. Keys and values keep their JSON types: the key 1 is not the key "1".
#[derive(Debug)]
pub struct Kv<S, W> {
    node: Handle<W>,
    idempotent: Policy,
    once: Policy,
    service: PhantomData<S>,
}

impl<S: Service, W: 'static> Kv<S, W> {
    /// A client for the handler that has this handle.
    pub fn new(node: &Handle<W>) -> Self {
        Self { node: node.clone(), idempotent: IDEMPOTENT, once: ONCE, service: PhantomData }
    }

    /// Ends each operation after this long, where the default is three attempts of a second for a read, and one for
    /// whatever changes something. A read still tries three times.
    #[must_use]
    pub const fn within(mut self, limit: Duration) -> Self {
        let attempt = Duration::from_micros(limit.as_micros() / ATTEMPTS as u64);
        self.idempotent = Policy::repeat(ATTEMPTS, attempt);
        self.once = Policy::once(limit);
        self
    }

    /// The value of a key.
    ///
    /// ```
    /// # use messenger::{Answer, kv::{Kv, Lin}};
    /// # let _ = messenger::handler_fn(|request, cx| cx.wait(request, async |node| {
    /// let value: i64 = Kv::<Lin, _>::new(&node).read("x").await?;
    /// # Ok(Answer::new("done"))
    /// # }));
    /// ```
    ///
    /// # Errors
    /// Code 20 if there is no such key, and what every call may come to.
    pub async fn read<T: FromJson>(&self, key: impl ToJson) -> Result<T, CallError> {
        let reply = self.call("read").field("key", key).policy(self.idempotent).await?;
        value(&reply, "value")
    }

    /// The value of a key, or `default` if there is no such key.
    ///
    /// # Errors
    /// What every call may come to.
    pub async fn read_or<T: FromJson>(&self, key: impl ToJson, default: T) -> Result<T, CallError> {
        match self.read(key).await {
            Err(error) if error.code() == ErrorCode::KEY_DOES_NOT_EXIST => Ok(default),
            read => read,
        }
    }

    /// Sets the value of a key, whatever it was.
    ///
    /// ```
    /// # use messenger::{Answer, kv::{Kv, Lin}};
    /// # let _ = messenger::handler_fn(|request, cx| cx.wait(request, async |node| {
    /// Kv::<Lin, _>::new(&node).write("x", 7).await?;
    /// # Ok(Answer::new("done"))
    /// # }));
    /// ```
    ///
    /// # Errors
    /// What every call may come to.
    pub async fn write(&self, key: impl ToJson, value: impl ToJson) -> Result<(), CallError> {
        self.call("write").field("key", key).field("value", value).policy(self.once).await.map(drop)
    }

    /// Sets the value of a key to `to` if it is `from`. Values are compared as JSON values.
    ///
    /// ```
    /// # use messenger::{Answer, kv::{Kv, Lin}};
    /// # let _ = messenger::handler_fn(|request, cx| cx.wait(request, async |node| {
    /// use messenger::kv::Cas;
    ///
    /// match Kv::<Lin, _>::new(&node).cas("x", 7, 8).await? {
    ///     Cas::Swapped => println!("it is 8 now"),
    ///     Cas::Differs => println!("somebody else was faster"),
    ///     Cas::Missing => println!("there is no x"),
    /// }
    /// # Ok(Answer::new("done"))
    /// # }));
    /// ```
    ///
    /// # Errors
    /// What every call may come to.
    pub async fn cas(&self, key: impl ToJson, from: impl ToJson, to: impl ToJson) -> Result<Cas, CallError> {
        cas_outcome(
            self.call("cas").field("key", key).field("from", from).field("to", to).policy(self.once).await,
        )
    }

    fn call(&self, kind: &str) -> WaitingCall<W> {
        self.node.call(S::NAME, kind)
    }
}

/// An update is tried so often while others change the same key.
const UPDATES: u32 = 100;

impl<S: Creates, W: 'static> Kv<S, W> {
    /// Changes the value of a key, or `default` if there is no such key, to what `change` makes of it, and gives that
    /// back. If another one changes it meanwhile, `change` gets the new value.
    ///
    /// ```
    /// # use messenger::{Answer, kv::{Kv, Lin}};
    /// # let _ = messenger::handler_fn(|request, cx| cx.wait(request, async |node| {
    /// let sum: i64 = Kv::<Lin, _>::new(&node).update("sum", 0, |sum| sum + 5).await?;
    /// # Ok(Answer::new("done"))
    /// # }));
    /// ```
    ///
    /// # Errors
    /// Code 30 if others were faster a hundred times, and what every call may come to. After a timeout it is unknown
    /// whether the value was changed, so that is not tried again.
    pub async fn update<T: FromJson + ToJson>(
        &self,
        key: impl ToJson,
        default: T,
        mut change: impl FnMut(&T) -> T,
    ) -> Result<T, CallError> {
        for _ in 0..UPDATES {
            let read = match self.read(&key).await {
                Err(error) if error.code() == ErrorCode::KEY_DOES_NOT_EXIST => None,
                read => Some(read?),
            };
            let before = read.as_ref().unwrap_or(&default);
            let after = change(before);
            if self.cas_or_create(&key, before, &after).await? == Cas::Swapped {
                return Ok(after);
            }
        }
        let error = RpcError::new(ErrorCode::TXN_CONFLICT, "others changed the value all the time");
        Err(CallError::Remote { error, attempts: UPDATES })
    }

    /// Sets the value of a key to `to` if it is `from` or if there is no such key. Never [`Cas::Missing`].
    ///
    /// # Errors
    /// What every call may come to.
    pub async fn cas_or_create(
        &self,
        key: impl ToJson,
        from: impl ToJson,
        to: impl ToJson,
    ) -> Result<Cas, CallError> {
        let call = self.call("cas").field("key", key).field("from", from).field("to", to);
        cas_outcome(call.field("create_if_not_exists", true).policy(self.once).await)
    }
}

/// A new timestamp from `lin-tso`: larger than every one that was given before this was asked for.
///
/// ```
/// # use messenger::{Answer, kv::{Kv, Lin}};
/// # let _ = messenger::handler_fn(|request, cx| cx.wait(request, async |node| {
/// let ts = messenger::kv::timestamp(&node).await?;
/// # Ok(Answer::new("done"))
/// # }));
/// ```
///
/// # Errors
/// What every call may come to.
pub async fn timestamp<W: 'static>(node: &Handle<W>) -> Result<i64, CallError> {
    let reply = node.call("lin-tso", "ts").policy(IDEMPOTENT).await?;
    value(&reply, "ts")
}

fn cas_outcome(outcome: Result<OwnedReply, CallError>) -> Result<Cas, CallError> {
    match outcome {
        Ok(_) => Ok(Cas::Swapped),
        Err(error) if error.code() == ErrorCode::PRECONDITION_FAILED => Ok(Cas::Differs),
        Err(error) if error.code() == ErrorCode::KEY_DOES_NOT_EXIST => Ok(Cas::Missing),
        Err(error) => Err(error),
    }
}

fn value<T: FromJson>(reply: &OwnedReply, field: &str) -> Result<T, CallError> {
    Ok(reply.body().field(field)?)
}
