//! What stays of a test: a page for people, pictures, and everything that happened as files for programs.
//!
//! The files say nothing of where and when they were written: what happened the same way is told in the same
//! bytes. Times count from the start of the nodes.

mod json;
pub mod junit;
mod page;
mod plots;
pub mod runs;
mod timeline;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::Path;

use super::history::write_jsonl;
use super::journal::Entry;
use super::plan::Plan;
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

/// The pictures of a test.
struct Pictures {
    /// Of what the checker found.
    found: Vec<Picture>,
    /// Over time.
    plots: Vec<Picture>,
    /// Whether every answer came in the instant of its request, so that there is no latency to draw.
    is_instant: bool,
    /// Some of the messages.
    messages: Option<Picture>,
}

impl Pictures {
    fn all(&self) -> impl Iterator<Item = &Picture> {
        self.found.iter().chain(&self.plots).chain(&self.messages)
    }
}

/// A test that is over, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// What happened.
    pub world: &'a World,
    /// Whether that is right.
    pub results: &'a Results,
    /// What was tested: a program, or this crate's own node.
    pub program: &'a str,
    /// Why the test was cut short, if it was. Then nothing is called right or wrong.
    pub cut_short: Option<&'a str>,
    /// What may explain why the node that failed did so, in sentences.
    pub hints: &'a [String],
    /// The last lines on its stderr.
    pub last_words: &'a [String],
    /// The command that runs this test again.
    pub command: Option<&'a str>,
}

/// Writes `history.jsonl`, `journal.jsonl` and `plan.json` (unless there were more operations than the history has) into
/// a folder that exists: what happened, before anybody judges it. Until
/// [`Report::write`] has written another, `results.json` says that there is no verdict.
///
/// # Errors
/// The first file that could not be written whole, by its name.
pub fn write_recordings(world: &World, folder: &Path) -> io::Result<()> {
    let history = write_whole(&folder.join("history.jsonl"), |file| {
        let written = world.history().len().min(HISTORY_WRITTEN);
        write_jsonl(&world.history()[..written], file)
    });
    let journal = write_whole(&folder.join("journal.jsonl"), |file| {
        let mut line = Vec::new();
        world.journal().entries().iter().try_for_each(|entry| {
            line.clear();
            Entry::write(entry, &mut line);
            file.write_all(&line)
        })
    });
    // One without all of the operations would be another test.
    let plan = if world.history().len() <= HISTORY_WRITTEN {
        write_whole(&folder.join("plan.json"), |file| Plan::of(world).write(file))
    } else {
        Ok(())
    };
    let results =
        serde_json::json!({"valid": "unknown", "verdict": "incomplete", "cut_short": "not checked"});
    let results = write_whole(&folder.join("results.json"), |file| writeln!(file, "{results:#}"));
    history.and(journal).and(plan).and(results)
}

/// Writes a file, to its end. An error says which.
fn write_whole(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let written = File::create(path).and_then(|file| {
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        file.flush()
    });
    written.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

impl<'a> Report<'a> {
    /// Of a test that came to its end, without anything that is known besides.
    pub const fn new(world: &'a World, results: &'a Results, program: &'a str) -> Self {
        Self { world, results, program, cut_short: None, hints: &[], last_words: &[], command: None }
    }

    /// Writes the files into a folder that exists: what [`write_recordings`] writes, `index.html`, `results.json`, and
    /// the pictures for which there is something to draw: `latency.svg` and `latency-quantiles.svg`, or `round-trips.svg`
    /// where every answer came in the instant of its request; `rate.svg` and `messages.svg`; and those of what the checker
    /// found. The page also leads to the logs of the nodes if they are in `node-logs`.
    ///
    /// # Errors
    /// The first file that could not be written whole, by its name. The others are written as far as they can be.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        write_recordings(self.world, folder).and(self.write_judged(folder))
    }

    /// The same without the recordings, which are there.
    ///
    /// # Errors
    /// As of [`write`](Self::write).
    pub fn write_judged(&self, folder: &Path) -> io::Result<()> {
        let results = write_whole(&folder.join("results.json"), |file| writeln!(file, "{:#}", self.json()));
        let pictures = self.pictures()?;
        let drawn = pictures
            .all()
            .map(|picture| {
                write_whole(&folder.join(&picture.file), |file| file.write_all(picture.svg.as_bytes()))
            })
            .fold(Ok(()), io::Result::and);
        let logs = (0..self.world.settings().nodes).map(|node| format!("node-logs/n{node}.log"));
        let logs: Vec<_> = logs.filter(|log| folder.join(log).exists()).collect();
        let page = page::page(self, &pictures, &logs);
        let page = write_whole(&folder.join("index.html"), |file| file.write_all(page.as_bytes()));
        results.and(drawn).and(page)
    }

    /// What `results.json` has.
    pub fn json(&self) -> serde_json::Value {
        json::results(self)
    }

    /// What a person should know, in sentences, the gravest first.
    pub fn explain(&self) -> Vec<String> {
        if let Some(reason) = self.cut_short {
            // What the checkers would say is about a test that came to its end.
            return vec![format!("the test was cut short, and nothing is called right or wrong: {reason}")];
        }
        let mut sentences = self.results.explain();
        sentences.extend_from_slice(self.hints);
        sentences
    }

    /// `valid`, `invalid`, `unknown` or `incomplete`.
    pub fn verdict(&self) -> &'static str {
        if self.cut_short.is_some() { "incomplete" } else { self.results.verdict.name() }
    }

    fn pictures(&self) -> io::Result<Pictures> {
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
