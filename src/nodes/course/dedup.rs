//! Task 1-3-3 (3-3): a request that comes twice is handled once.

use crate::boundary::dedup::{Dedup, DedupConfig, Seen};
use crate::json::write::Raw;
use crate::node::{Context, Request};
use crate::time::Duration;
use crate::wire::error::RpcError;

/// What is remembered.
const DEDUP: DedupConfig = DedupConfig { entries: 1000, bytes: 16 * 1024 * 1024, within: Duration::MAX };

/// Of a `dedup_echo` that comes again the first echo counts, whatever it says itself.
const ANY_ECHO: u128 = 0;

/// The echoes that were answered last.
#[derive(Debug)]
pub(super) struct Echoes {
    first: Dedup<Box<str>>,
    /// How many `dedup_echo` there were, and how many of them for the second time or later.
    total: u64,
    duplicates: u64,
}

impl Default for Echoes {
    fn default() -> Self {
        Self { first: Dedup::new(DEDUP), total: 0, duplicates: 0 }
    }
}

impl Echoes {
    /// `dedup_echo`: echoes, and what came first if it comes again.
    pub(super) fn handle<H>(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_, H>,
    ) -> Result<(), RpcError> {
        let echo = request.required("echo")?;
        self.total += 1;
        // Without a number there is no telling, and nobody to answer.
        let Some(msg_id) = request.msg_id else { return Ok(()) };
        let mut first = echo.raw();
        let is_duplicate = match self.first.see(cx.now(), request.src(), msg_id.as_str(), ANY_ECHO) {
            Seen::Never => false,
            // It was too long to be kept, as this one is likely to be.
            Seen::Unanswered => true,
            Seen::Answered(echo) => {
                first = echo;
                true
            }
        };
        self.duplicates += u64::from(is_duplicate);
        cx.reply(request, "dedup_echo_ok")
            .exact_field("echo", &Raw(first.as_bytes()))
            .field("was_duplicate", is_duplicate)
            .send()?;
        let raw = echo.raw();
        self.first.answered(request.src(), msg_id.as_str(), raw.len(), || raw.into());
        self.first.closed(request.src(), msg_id.as_str());
        Ok(())
    }

    /// `dedup_stats`: how many there were.
    pub(super) fn stats<H>(&self, request: &Request<'_>, cx: &mut Context<'_, H>) -> Result<(), RpcError> {
        cx.reply(request, "dedup_stats_ok")
            .field("total", self.total)
            .field("duplicates", self.duplicates)
            .field("cache_size", self.first.len())
            .send()
    }
}
