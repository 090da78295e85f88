//! What stands between a node and its network: one that loses messages or sends them twice, on purpose, and the
//! answers to requests that come again.
//!
//! The core knows nothing of it. Whoever writes a message tells whom it is for and what it says in
//! `Sent`; before the lines leave they pass here.

pub mod chaos;
pub mod dedup;

use std::hash::{DefaultHasher, Hasher as _};

use self::chaos::{Chaos, ChaosConfig};
use self::dedup::{Dedup, DedupConfig, Seen};
use crate::json::parser::Parser;
use crate::telemetry::trace::{Line as SentLine, Sent};
use crate::time::Instant;
use crate::wire::envelope::{Envelope, UncheckedEnvelope};
use crate::wire::error::ErrorCode;
use crate::wire::lines::Line;
use crate::wire::out::OutBuffer;

/// What a node's messages pass on their way in and out.
#[derive(Debug)]
pub(crate) struct Boundary {
    /// What the network does to what is sent.
    pub(crate) chaos: Chaos,
    dedup: Option<Dedup<KeptReply>>,
    /// Reads the errors among the answers.
    parser: Parser,
    /// The lines of one message's handling while they pass.
    passing: Vec<u8>,
}

/// A reply as it was sent, to be sent again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeptReply {
    pub(crate) kind: Box<str>,
    pub(crate) line: Box<[u8]>,
}

/// What is to be done with a request.
#[derive(Debug)]
pub(crate) enum Admission<'a> {
    /// It is handled. Afterwards the boundary is told [what became of it](Boundary::closed).
    Handle,
    /// It was handled before, and its reply is still to come, or was not kept.
    Drop,
    /// It was handled before: this was its reply.
    Reply(&'a KeptReply),
}

impl Boundary {
    pub(crate) fn new(chaos: Option<ChaosConfig>, dedup: Option<DedupConfig>) -> Self {
        let (parser, passing) = (Parser::new(), Vec::new());
        Self { chaos: Chaos::new(chaos), dedup: dedup.map(Dedup::new), parser, passing }
    }

    /// Whether messages have to pass here.
    #[inline(always)]
    pub(crate) const fn is_on(&self) -> bool {
        self.chaos.is_on() || self.dedup.is_some()
    }

    /// A request for this node came.
    pub(crate) fn admit(&mut self, now: Instant, request: &Envelope<'_>) -> Admission<'_> {
        let (Some(dedup), Some(msg_id)) = (&mut self.dedup, request.body.msg_id) else {
            return Admission::Handle;
        };
        match dedup.see(now, &request.src, msg_id.as_str(), fingerprint(request.body.value().raw())) {
            Seen::Never => Admission::Handle,
            Seen::Unanswered => Admission::Drop,
            Seen::Answered(reply) => Admission::Reply(reply),
        }
    }

    /// A request was handled, and nobody works on it any more.
    pub(crate) fn closed(&mut self, request: &Envelope<'_>) {
        if let (Some(dedup), Some(msg_id)) = (&mut self.dedup, request.body.msg_id) {
            dedup.closed(&request.src, msg_id.as_str());
        }
    }

    /// Lets the lines pass that were written into `out` from `start` on, of which `sent` tells one by one. Replies are
    /// kept, unless `are_replies` says that they answer no request that was admitted.
    pub(crate) fn pass(
        &mut self,
        now: Instant,
        sent: Vec<Sent>,
        are_replies: bool,
        start: usize,
        out: &mut OutBuffer,
    ) {
        let mut passing = std::mem::take(&mut self.passing);
        out.take_from(start, &mut passing);
        let mut rest = &passing[..];
        for message in sent {
            let line = match &message.line {
                SentLine::Withheld(line) => line,
                SentLine::Out(length) => &rest[..*length],
            };
            if are_replies && !message.in_reply_to.is_empty() {
                self.keep(&message, line);
            }
            if let SentLine::Out(length) = message.line {
                self.chaos.pass(now, &message, line, out);
                rest = &rest[length + 1..];
            }
        }
        debug_assert!(rest.is_empty(), "a line of which nobody was told");
        passing.clear();
        self.passing = passing;
        self.chaos.release(now, out);
    }

    /// Keeps a reply for when its request comes again; not one that says that nothing was done.
    fn keep(&mut self, message: &Sent, line: &[u8]) {
        let Some(dedup) = &mut self.dedup else { return };
        let Ok(msg_id) = std::str::from_utf8(&message.in_reply_to) else { return };
        let (dest, kind) = (message.dest.text(), message.kind.text());
        if kind == "error" && is_refusal(&mut self.parser, line) {
            return dedup.forget(&dest, msg_id);
        }
        let bytes = kind.len() + line.len();
        dedup.answered(&dest, msg_id, bytes, || KeptReply { kind: (*kind).into(), line: line.into() });
    }
}

/// Whether an error says that its request took no effect and may be tried again.
fn is_refusal(parser: &mut Parser, line: &[u8]) -> bool {
    let unchecked = UncheckedEnvelope::parse(parser, Line::new(line)).unwrap_or_default();
    let code = unchecked.check().ok().and_then(|reply| reply.body.integer("code").ok());
    code == Some(ErrorCode::TEMPORARILY_UNAVAILABLE.0)
}

/// Stands for a text: no two that come to a node have the same one.
fn fingerprint(text: &str) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(salt);
        hasher.write(text.as_bytes());
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}
