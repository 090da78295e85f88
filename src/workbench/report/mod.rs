//! What stays of a test: a page for people, pictures, and everything that happened as files for programs.
//!
//! The files say nothing of where and when they were written: what happened the same way is told in the same
//! bytes. Times count from the start of the nodes.

mod finished;
mod json;
pub mod junit;
mod page;
mod pictures;
mod plots;
pub mod runs;
mod timeline;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

pub use self::finished::Report;
use super::history::write_jsonl;
use super::journal::Entry;
use super::plan::Plan;
use super::world::World;

/// So many operations are written down.
const HISTORY_WRITTEN: usize = 1_000_000;

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

impl Report<'_> {
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
}
