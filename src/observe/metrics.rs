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
    /// Handlers that panicked.
    pub panics: u64,
}

/// `648 lines in, 648 messages out`, and after it whatever went wrong.
impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lines,
            sent,
            not_json,
            malformed,
            too_long,
            misaddressed,
            unmatched_replies,
            errors,
            panics,
        } = self;
        write!(f, "{lines} lines in, {sent} messages out")?;
        for (count, what) in [
            (not_json, "not JSON"),
            (malformed, "malformed"),
            (too_long, "too long"),
            (misaddressed, "for another node"),
            (unmatched_replies, "replies that nothing waited for"),
            (errors, "answered with an error"),
            (panics, "handlers panicked"),
        ] {
            if *count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}
