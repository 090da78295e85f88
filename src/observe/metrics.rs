//! What a node counts.

use std::fmt;

/// How often each thing happened since the node started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Lines read, good or bad.
    pub lines: u64,
    /// Messages sent.
    pub sent: u64,
    /// Lines that are not JSON, or no object.
    pub not_json: u64,
    /// Lines that are JSON and no message.
    pub malformed: u64,
    /// Lines beyond the limit, skipped.
    pub too_long: u64,
    /// Messages for somebody else, not handled.
    pub misaddressed: u64,
    /// Replies that nothing waits for, dropped.
    pub unmatched_replies: u64,
    /// Requests answered with an error.
    pub errors: u64,
    /// Calls to other nodes.
    pub calls: u64,
    /// Attempts beyond the first of a call.
    pub retries: u64,
    /// Calls whose time was up without an answer.
    pub reaped: u64,
    /// Calls that were not made, for want of room or because the peer's breaker was open.
    pub calls_refused: u64,
    /// Answers to clients that had given up, dropped.
    pub late_answers: u64,
    /// Handlers that panicked.
    pub panics: u64,
}

/// `648 lines in, 648 messages out`, and after it whatever went wrong.
impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lines in, {} messages out", self.lines, self.sent)?;
        for (count, what) in [
            (self.not_json, "not JSON"),
            (self.malformed, "malformed"),
            (self.too_long, "too long"),
            (self.misaddressed, "for another node"),
            (self.unmatched_replies, "replies that nothing waited for"),
            (self.errors, "answered with an error"),
            (self.panics, "handlers panicked"),
            (self.calls, "calls"),
            (self.retries, "retries"),
            (self.reaped, "calls reaped"),
            (self.calls_refused, "calls refused"),
            (self.late_answers, "answers too late"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}
