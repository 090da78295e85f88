//! What stays of a test: a page for people, pictures, and everything that happened as files for programs.
//!
//! The files say nothing of where and when they were written: what happened the same way is told in the same
//! bytes. Times count from the start of the nodes.

mod json;
mod page;
mod plots;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::Path;

use super::history::write_jsonl;
use super::journal::Entry;
use super::verdict::Results;
use super::workload::Picture;
use super::world::World;
use crate::telemetry::diagram::{counted, diagram, thousands};
use crate::time::Instant;

/// So many operations are written down.
const HISTORY_WRITTEN: usize = 1_000_000;

/// So many messages are drawn.
const MESSAGES_DRAWN: usize = 300;

/// So many of them come before what they are drawn for.
const MESSAGES_BEFORE: usize = 50;

/// The file with the picture of the messages.
const MESSAGES: &str = "messages.svg";

/// A test that is over, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// What happened.
    pub world: &'a World,
    /// Whether that is right.
    pub results: &'a Results,
    /// The last lines on the stderr of the node that ended the test.
    pub last_words: &'a [String],
    /// The command that runs this test again.
    pub command: Option<&'a str>,
}

impl Report<'_> {
    /// Writes the files into a folder that exists: `index.html`, `results.json`, `history.jsonl`,
    /// `journal.jsonl`, and the pictures for which there is something to draw: `latency.svg`,
    /// `latency-quantiles.svg`, `rate.svg` and `messages.svg`. The page also leads to the logs of the nodes if they
    /// are in `node-logs`.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::write(folder.join("results.json"), format!("{:#}\n", json::results(self)))?;
        let mut history = BufWriter::new(File::create(folder.join("history.jsonl"))?);
        let written = self.world.history().len().min(HISTORY_WRITTEN);
        write_jsonl(&self.world.history()[..written], &mut history)?;
        history.flush()?;
        let mut journal = BufWriter::new(File::create(folder.join("journal.jsonl"))?);
        let mut line = Vec::new();
        for entry in self.world.journal().entries() {
            line.clear();
            Entry::write(entry, &mut line);
            journal.write_all(&line)?;
        }
        journal.flush()?;
        let pictures = self.pictures()?;
        for picture in &pictures {
            fs::write(folder.join(&picture.file), &picture.svg)?;
        }
        let logs = (0..self.world.settings().nodes).map(|node| format!("node-logs/n{node}.log"));
        let logs: Vec<_> = logs.filter(|log| folder.join(log).exists()).collect();
        fs::write(folder.join("index.html"), page::page(self, &pictures, &logs))
    }

    fn pictures(&self) -> io::Result<Vec<Picture>> {
        let mut pictures = self.results.finding.pictures();
        if let Some(timeline) = plots::Timeline::of(self.world) {
            let plot = |file: &str, svg| Picture { file: file.to_owned(), caption: String::new(), svg };
            pictures.push(plot("latency.svg", timeline.latency()?));
            pictures.push(plot("latency-quantiles.svg", timeline.quantiles()?));
            pictures.push(plot("rate.svg", timeline.rate()?));
        }
        let (range, why) = self.messages();
        if !range.is_empty() {
            let journal = self.world.journal();
            let sent = usize::try_from(journal.clients.sent + journal.servers.sent).unwrap_or(usize::MAX);
            let caption = format!("{} of {}, {why}", counted(range.len(), "message"), thousands(sent));
            let svg = diagram(&journal.transfers(range), Instant::START, MESSAGES_DRAWN);
            pictures.push(Picture { file: MESSAGES.to_owned(), caption, svg });
        }
        Ok(pictures)
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
