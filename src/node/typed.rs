//! Messages as types of their own: whole bodies read and written by serde.
//!
//! What ends in `_with` takes the whole body of a message, its `type` included; what is without takes the type, and then
//! fields. All of it acts when it is called, but for what a builder still waits for: [`Call::then`] and
//! [`Call::forget`], [`Message::send`], and the `.await` of a [`WaitingCall`].

use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::call::Call;
use super::context::Context;
use super::deferred::Deferred;
use super::fields::{logged, refused, type_name};
use super::message::Message;
use super::outcome::{CallError, Reply};
use super::request::Request;
use super::sequential::{Handle, OwnedReply, WaitingCall};
use crate::json::typed::write_body;
use crate::wire::error::RpcError;

impl Request<'_> {
    /// The request as a type of its own, which may borrow from its line: see [`Body::parse`].
    ///
    /// ```
    /// # use messenger::{Context, Handler, Request, RpcError};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Deserialize)]
    /// #[serde(rename_all = "snake_case")]
    /// enum Ask<'a> {
    ///     Write { key: &'a str, value: i64 },
    ///     Read { key: &'a str },
    /// }
    ///
    /// #[derive(Serialize)]
    /// #[serde(rename_all = "snake_case")]
    /// enum Tell {
    ///     WriteOk,
    ///     ReadOk { value: i64 },
    /// }
    ///
    /// # #[derive(Default)]
    /// # struct Store { values: std::collections::HashMap<String, i64> }
    /// impl Handler for Store {
    ///     fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
    ///         let answer = match request.parse()? {
    ///             Ask::Write { key, value } => {
    ///                 self.values.insert(key.to_owned(), value);
    ///                 Tell::WriteOk
    ///             }
    ///             Ask::Read { key } => Tell::ReadOk { value: self.values.get(key).copied().unwrap_or(0) },
    ///         };
    ///         cx.reply_with(request, &answer)
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// Code 12 with the first field that is not what the type wants, what that is, and what came. Code 10 for an enum
    /// without a variant for the request's type.
    ///
    /// [`Body::parse`]: crate::wire::Body::parse
    pub fn parse<'de, T: Deserialize<'de>>(&'de self) -> Result<T, RpcError> {
        let body: &crate::wire::Body<'_> = self;
        body.parse().map_err(|error| match &*error.field {
            // That it is a string was checked, so it is one that nobody wants.
            "body.type" => RpcError::not_supported(self.kind()),
            _ => error.into(),
        })
    }
}

impl<'a> Reply<'a> {
    /// The answer as a type of its own, which may borrow from its line: see
    /// [`Body::parse`](crate::wire::Body::parse).
    ///
    /// # Errors
    /// [`CallError::BadReply`] with the first field that is not what the type wants, which includes a `type` that it
    /// has no variant for.
    pub fn parse<T: Deserialize<'a>>(&self) -> Result<T, CallError> {
        Ok(self.body.parse()?)
    }
}

impl OwnedReply {
    /// The answer as a type of its own: see [`Body::parse`](crate::wire::Body::parse).
    ///
    /// # Errors
    /// [`CallError::BadReply`] with the first field that is not what the type wants, which includes a `type` that it
    /// has no variant for.
    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, CallError> {
        Ok(self.body().parse()?)
    }
}

impl<H> Context<'_, H> {
    /// Answers a request with a whole body: an enum whose variant is the type, or a struct or map with a field `type`.
    /// `in_reply_to` and `msg_id` are added to it.
    ///
    /// # Errors
    /// Code 13 for a second answer to the same request, and for a body without `type`, with `in_reply_to` or `msg_id`,
    /// or that JSON cannot say. Nothing is sent then.
    #[inline]
    pub fn reply_with(
        &mut self,
        request: &Request<'_>,
        body: &(impl Serialize + ?Sized),
    ) -> Result<(), RpcError> {
        self.reply(request, "").send_body(body)
    }

    /// Answers a request that was put off with a whole body: see [`reply_with`](Self::reply_with).
    ///
    /// # Errors
    /// Code 13 for a body that cannot be sent. The request's client gets an error of that code.
    pub fn answer_with(
        &mut self,
        deferred: Deferred,
        body: &(impl Serialize + ?Sized),
    ) -> Result<(), RpcError> {
        self.answer(deferred, "").send_body(body)
    }

    /// Sends a whole body to another node, or to one of Maelstrom's services, and waits for no answer: see
    /// [`message`](Self::message).
    ///
    /// # Errors
    /// Code 1 if there is no such node, and 13 for a body that cannot be sent.
    pub fn message_with(&mut self, peer: &str, body: &(impl Serialize + ?Sized)) -> Result<(), RpcError> {
        self.message(peer, "").send_body(body)
    }

    /// Starts a call with a whole body: say how to go on. See [`call`](Self::call). A body that cannot be sent is an
    /// error when the call is made.
    pub fn call_with<'m>(&'m mut self, peer: &str, body: &(impl Serialize + ?Sized)) -> Call<'m, H> {
        self.call(peer, "").whole_body(|line| write_body(body, line).map_err(|error| refused(&error)))
    }
}

impl Message<'_> {
    #[inline]
    fn send_body(self, body: &(impl Serialize + ?Sized)) -> Result<(), RpcError> {
        self.send_whole(|line| write_body(body, line).map_err(|error| refused(&error)))
    }
}

impl<H: 'static> Handle<H> {
    /// Calls another node with a whole body, which has its `type`: `.await` the answer. A body that cannot be sent is
    /// an error then.
    pub fn call_with(&self, peer: &str, body: &(impl Serialize + ?Sized)) -> WaitingCall<H> {
        let mut members = Vec::new();
        let kind = write_body(body, &mut members).map_err(|error| refused(&error));
        self.waiting_call(peer, kind.map(|kind| (type_name(&members[kind]), members)))
    }
}

impl Answer {
    /// An answer that is a whole body, with its `type`: see [`Context::reply_with`]. One that cannot be sent becomes an
    /// error 13 to the request's client.
    pub fn with(body: &(impl Serialize + ?Sized)) -> Self {
        let mut members = Vec::new();
        match write_body(body, &mut members) {
            Ok(kind) => Self::of_members(kind, members),
            Err(error) => Self::faulty(logged(&error)),
        }
    }
}
