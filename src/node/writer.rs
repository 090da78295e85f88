//! Writes the beginnings and the ends of messages, and notes what happens to them.

use super::config::Config;
use super::draft::Draft;
use super::header::{HeaderCache, Numbering, write_header, write_src};
use crate::telemetry::label::Label;
use crate::telemetry::metrics::{Counters, Metrics};
use crate::telemetry::trace::Trace;
use crate::time::Instant;
use crate::wire::envelope::Envelope;
use crate::wire::out::OutBuffer;

/// Writes the beginnings and the ends of messages, numbers them, and notes what happens to them.
#[derive(Debug)]
pub(super) struct MessageWriter {
    pub(super) now: Instant,
    pub(super) counters: Counters,
    pub(super) trace: Trace,
    pub(super) metrics: Metrics,
    headers: HeaderCache,
    numbering: Numbering,
    pub(super) draft: Draft,
}

impl MessageWriter {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            now: Instant::START,
            counters: Counters::default(),
            trace: Trace::new(config.trace_size),
            metrics: Metrics::new(),
            headers: HeaderCache::new(),
            numbering: Numbering::new(),
            draft: Draft::NONE,
        }
    }

    pub(super) fn identify(&mut self, id: &str) {
        self.trace.identify(id);
        write_src(&mut self.headers.src, id);
        // What was refused before counts for nothing: `init_ok` has the number 0.
        self.numbering = Numbering::new();
    }

    /// The number of the next message.
    pub(super) const fn next_msg_id(&self) -> u64 {
        self.numbering.next
    }

    /// Whether `init` has come, and with it the name that messages are sent under.
    #[inline(always)]
    pub(super) const fn has_name(&self) -> bool {
        !self.headers.src.is_empty()
    }

    /// Starts a message before `init`, as if this node was `src`.
    #[cold]
    pub(super) fn start_nameless(&mut self, out: &mut OutBuffer, src: &str, dest: &str, kind: &str) {
        let mut beginning = Vec::new();
        write_src(&mut beginning, src);
        self.trace.stage_sent_before_init(src, &Label::new(dest), &Label::new(kind));
        write_header(out.start_line(), &beginning, dest, kind);
    }

    /// Starts a message of this type to `dest`; where the members of its body begin.
    #[inline(always)]
    pub(super) fn start(&mut self, out: &mut OutBuffer, dest: &str, kind: &str) -> usize {
        self.headers.start(&mut self.trace, out, dest, kind)
    }

    /// Starts a message of this type to `dest`, all members of whose body are still to be written, its type too.
    pub(super) fn start_bare<'o>(
        &mut self,
        out: &'o mut OutBuffer,
        dest: &str,
        kind: &str,
    ) -> &'o mut Vec<u8> {
        self.headers.start_bare(&mut self.trace, out, dest, kind)
    }

    /// Notes a message that came.
    #[inline(always)]
    pub(super) fn note_received(&mut self, envelope: &Envelope<'_>, is_ours: bool) {
        let Envelope { src, dest, body, .. } = envelope;
        let stranger = if is_ours { None } else { Some(&**dest) };
        if !self.trace.received(self.now, src, stranger, &body.kind, envelope.line()) {
            self.counters.trace_dropped += 1;
        }
    }

    /// Sends a line again that was sent before.
    pub(super) fn send_again(&mut self, out: &mut OutBuffer, dest: &str, kind: &str, line: &[u8]) {
        self.trace.stage_sent(&Label::new(dest), &Label::new(kind));
        out.start_line().extend_from_slice(line);
        self.note_sent(out, b"");
    }

    /// Holds the reply back that is being written: its client has given up.
    pub(super) fn withhold(&mut self, out: &mut OutBuffer, in_reply_to: &[u8]) {
        self.counters.late_answers += 1;
        if self.trace.watches_sent() {
            let start = out.end();
            write_in_reply_to(out.line(), in_reply_to);
            self.numbering.end(out.line());
            self.numbering.step();
            self.trace.withheld(&out.line()[start..], in_reply_to);
        }
    }

    /// Says what the message that is being written answers, numbers it, and sends it.
    #[inline(always)]
    pub(super) fn end_reply(&mut self, out: &mut OutBuffer, in_reply_to: &[u8]) {
        write_in_reply_to(out.line(), in_reply_to);
        self.end(out, in_reply_to);
    }

    /// Numbers the message that is being written, and sends it.
    #[inline(always)]
    pub(super) fn end_message(&mut self, out: &mut OutBuffer) {
        self.end(out, b"");
    }

    #[inline(always)]
    fn end(&mut self, out: &mut OutBuffer, in_reply_to: &[u8]) {
        self.numbering.end(out.line());
        self.numbering.step();
        self.note_sent(out, in_reply_to);
    }

    #[inline(always)]
    fn note_sent(&mut self, out: &mut OutBuffer, in_reply_to: &[u8]) {
        let line = out.end_line();
        if !self.trace.sent(self.now, line, in_reply_to) {
            self.counters.trace_dropped += 1;
        }
        self.counters.sent += 1;
    }
}

#[inline(always)]
fn write_in_reply_to(line: &mut Vec<u8>, in_reply_to: &[u8]) {
    line.extend_from_slice(b",\"in_reply_to\":");
    line.extend_from_slice(in_reply_to);
}
