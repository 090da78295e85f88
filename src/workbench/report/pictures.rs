//! The pictures of a test.

use std::io;
use std::ops::Range;

use super::finished::Report;
use super::plots;
use crate::time::Instant;
use crate::workbench::format::{counted, thousands};
use crate::workbench::trace::svg::diagram;
use crate::workbench::workload::Picture;

/// So many messages are drawn.
const MESSAGES_DRAWN: usize = 300;

/// So many of them come before what they are drawn for.
const MESSAGES_BEFORE: usize = 50;

/// The file with the picture of the messages.
const MESSAGES: &str = "messages.svg";

/// The pictures of a test.
pub(super) struct Pictures {
    /// Of what the checker found.
    pub found: Vec<Picture>,
    /// Over time.
    pub plots: Vec<Picture>,
    /// Whether every answer came in the instant of its request, so that there is no latency to draw.
    pub is_instant: bool,
    /// Some of the messages.
    pub messages: Option<Picture>,
}

impl Pictures {
    pub fn all(&self) -> impl Iterator<Item = &Picture> {
        self.found.iter().chain(&self.plots).chain(&self.messages)
    }
}

impl Report<'_> {
    pub(super) fn pictures(&self) -> io::Result<Pictures> {
        let plot = |file: &str, svg| Picture { file: file.to_owned(), caption: String::new(), svg };
        let (mut plots, mut is_instant) = (Vec::new(), false);
        if let Some(timeline) = plots::Timeline::of(self.world) {
            is_instant = timeline.is_instant();
            if is_instant {
                plots.extend(timeline.round_trips()?.map(|svg| plot("round-trips.svg", svg)));
            } else {
                plots.push(plot("latency.svg", timeline.latency()?));
                plots.push(plot("latency-quantiles.svg", timeline.quantiles()?));
            }
            plots.push(plot("rate.svg", timeline.rate()?));
        }
        let (range, why) = self.messages();
        let messages = (!range.is_empty()).then(|| {
            let journal = self.world.journal();
            let sent = usize::try_from(journal.clients.sent + journal.servers.sent).unwrap_or(usize::MAX);
            let caption = format!("{} of {}, {why}", counted(range.len(), "message"), thousands(sent));
            let svg = diagram(&journal.transfers(range), Instant::START, MESSAGES_DRAWN);
            Picture { file: MESSAGES.to_owned(), caption, svg }
        });
        let found = self.results.finding.pictures(self.world.history());
        Ok(Pictures { found, plots, is_instant, messages })
    }

    /// Which messages to draw, and why those: around what went wrong first. Those before the first operation are
    /// of no interest, unless there is none.
    fn messages(&self) -> (Range<usize>, &'static str) {
        let entries = self.world.journal().entries();
        let after = |at| entries.partition_point(|entry| entry.sent <= at);
        let first = if self.world.history().is_empty() { 0 } else { after(self.world.started()) };
        let from = |start: usize| {
            let start = start.max(first);
            start..entries.len().min(start + MESSAGES_DRAWN)
        };
        if self.results.failure.is_some() {
            return (from(entries.len().saturating_sub(MESSAGES_DRAWN)), "up to the end of the test");
        }
        match self.world.faults().first().map(|window| after(window.from)) {
            Some(fault) if fault < entries.len() => {
                (from(fault.saturating_sub(MESSAGES_BEFORE)), "around the beginning of the first fault")
            }
            _ => (from(first), "from the first operation on"),
        }
    }
}
