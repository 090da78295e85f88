//! A message that is being put together in the output.

use super::deferred::ReturnAddress;
use super::draft::{Disposition, Draft, Misuse};
use super::fields::{NO_TYPE, type_name};
use super::request::{ReplyState, Request};
use super::writer::MessageWriter;
use crate::wire::error::RpcError;
use crate::wire::out::OutBuffer;

/// A message that is being written into the output. It counts only once it is sent.
#[derive(Debug)]
#[must_use = "a message does not leave before `send`"]
pub struct Message<'m> {
    pub(super) writer: &'m mut MessageWriter,
    pub(super) out: &'m mut OutBuffer,
    /// Empty in what is no answer, or one that was put off.
    pub(super) in_reply_to: &'m str,
    /// What it answers.
    pub(super) request: Option<&'m Request<'m>>,
}

impl<'m> Message<'m> {
    /// Starts a message. Before `init` its sender is `nameless_src`.
    #[inline(never)]
    pub(super) fn start(
        writer: &'m mut MessageWriter,
        out: &'m mut OutBuffer,
        nameless_src: &str,
        dest: &str,
        kind: &str,
    ) -> Self {
        if writer.has_name() {
            writer.start(out, dest, kind);
        } else {
            writer.start_nameless(out, nameless_src, dest, kind);
        }
        Self::new(writer, out, Disposition::Send)
    }

    /// A message that nobody wants, so that it goes nowhere when it is sent.
    pub(super) fn to_nobody(writer: &'m mut MessageWriter, out: &'m mut OutBuffer) -> Self {
        out.start_line();
        Self::new(writer, out, Disposition::Discard)
    }

    /// The message that was just started.
    #[inline(always)]
    fn new(writer: &'m mut MessageWriter, out: &'m mut OutBuffer, disposition: Disposition) -> Self {
        if writer.draft.has_side_state() {
            // The last message was neither sent nor dropped.
            writer.draft = Draft::NONE;
        }
        writer.draft.disposition = disposition;
        Self { writer, out, in_reply_to: "", request: None }
    }

    /// Where its fields are written.
    #[inline(always)]
    pub(super) const fn body_mut(&mut self) -> &mut Vec<u8> {
        self.out.line()
    }

    /// Notes that a field cannot be sent.
    #[cold]
    pub(super) fn refuse_field(&mut self, why: &'static str) {
        self.writer.draft.disposition = Disposition::Refuse(Misuse::BadField(why));
    }

    /// Sends all members of a body, of a message that was started without type and fields. `write` appends them, and
    /// says where the type is.
    #[inline]
    pub(super) fn send_whole(
        self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<std::ops::Range<usize>, RpcError>,
    ) -> Result<(), RpcError> {
        if let Disposition::Discard | Disposition::Refuse(_) = self.writer.draft.disposition {
            return self.send();
        }
        let line = self.out.line();
        line.truncate(line.len() - NO_TYPE.len());
        let kind = write(line)?;
        // Most types are written as they are.
        match line[kind.start + 1..kind.end - 1].utf8_chunks().next().map(|text| text.valid()) {
            Some(kind) if !kind.contains('\\') => self.writer.trace.set_staged_type(kind),
            _ => self.writer.trace.set_staged_type(&type_name(&line[kind])),
        }
        self.send()
    }

    /// Sends it: gives it the next `msg_id` and puts it into the output.
    ///
    /// The answer to a request without `msg_id` goes nowhere, which is no error.
    ///
    /// # Errors
    /// Code 13 for what no handler should try: a second answer to the same request, or a field that
    /// is not its to write. Code 1 for a message to somebody who does not exist. Nothing is sent then.
    pub fn send(self) -> Result<(), RpcError> {
        let draft = &self.writer.draft;
        if let (Disposition::Send, Some(request), false) =
            (draft.disposition, self.request, draft.has_side_state())
        {
            request.reply_state.set(ReplyState::Now);
            self.writer.metrics.answered(request.kind());
            self.writer.end_reply(self.out, self.in_reply_to.as_bytes());
            return Ok(());
        }
        self.send_slow()
    }

    /// Sends what is not the first and only answer to a request, at once.
    #[inline(never)]
    fn send_slow(self) -> Result<(), RpcError> {
        let Draft { disposition, .. } = self.writer.draft;
        match disposition {
            Disposition::Refuse(misuse) => return Err(misuse.into()),
            Disposition::Discard => return Ok(()),
            Disposition::Send | Disposition::TooLate => {}
        }
        let address = self.writer.draft.deferred.take().and_then(|mut deferred| deferred.address.take());
        let in_reply_to = answered_id(self.in_reply_to, address.as_ref());
        if matches!(disposition, Disposition::TooLate) {
            self.writer.withhold(self.out, in_reply_to);
            return Ok(());
        }
        if let Some(&ReturnAddress { kind, arrived, .. }) = address.as_ref() {
            self.writer.metrics.answered_late(kind, arrived);
        }
        if let Some(request) = self.request {
            request.reply_state.set(ReplyState::Now);
            self.writer.metrics.answered(request.kind());
        }
        if in_reply_to.is_empty() {
            self.writer.end_message(self.out);
        } else {
            self.writer.end_reply(self.out, in_reply_to);
        }
        Ok(())
    }
}

impl Message<'_> {
    pub(super) fn send_error(self, error: &RpcError) {
        self.field("code", error.code.0).field("text", &*error.text).send().expect("an error is no forgery");
    }
}

impl Drop for Message<'_> {
    /// What was to be answered and is not, was given up.
    #[inline(always)]
    fn drop(&mut self) {
        if self.writer.draft.has_side_state() {
            self.writer.draft = Draft::NONE;
        }
    }
}

/// The `msg_id` that a message answers.
fn answered_id<'a>(msg_id: &'a str, deferred: Option<&'a ReturnAddress>) -> &'a [u8] {
    deferred.map_or(msg_id.as_bytes(), |address| &address.msg_id)
}
