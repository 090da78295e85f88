//! Histories that somebody else made, read back.
//!
//! Three kinds of file are read, and told apart by their first operation: Jepsen's `history.edn`, as Maelstrom writes
//! it; the JSON that elle-cli reads, one operation a line or all in an array; and this crate's own `history.jsonl`. All
//! of them say the same: a record when a client begins an operation, and one when it ends. What they have in common is
//! described where ours is written, in [`history`](super::history).
//!
//! - Records of a process that is no number, such as Jepsen's `:nemesis`, are skipped.
//! - An operation that never ends is indefinite. A file may also have ends alone, as made by hand: then nobody knows
//!   when the operations began, and they may have begun at any time before.
//! - Times are nanoseconds, and are rounded down to microseconds; but what was later stays later, if it takes the next
//!   microsecond. If a record has none, the places of the records count instead.
//! - Anything else that does not fit together is an error, with its line: an end without its beginning, a beginning
//!   while the process is busy, or after an indefinite end.
//!
//! A file is read record by record. What is kept of it is bounded by [`Limits`].

mod edn;
mod error;
mod event;
mod json;
mod pairing;
mod records;

use std::io::{self, BufRead, Write};

pub use self::error::ReadError;
use self::event::Event;
use self::pairing::Pairing;
use self::records::{Record, Records};
use super::history::Invocation;
use super::workload::Workload;
use crate::json::parser::Parser;

/// How much of a file is kept. Beyond it the file is refused.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest record, in bytes.
    pub record_bytes: usize,
    /// About how much memory the operations take, in bytes.
    pub memory_bytes: usize,
}

/// Records of 64 MiB, and operations of 4 GiB: some four million transactions of lists.
impl Default for Limits {
    fn default() -> Self {
        Self { record_bytes: 64 << 20, memory_bytes: 4 << 30 }
    }
}

/// Reads a history of a workload: the operations in the order in which they began.
///
/// # Errors
/// The first thing that is not as it should be, with its line.
pub fn read(
    file: impl BufRead,
    workload: &dyn Workload,
    limits: Limits,
) -> Result<Vec<Invocation>, ReadError> {
    let mut parser = Parser::new();
    let mut records = Records::new(file, limits.record_bytes);
    let mut pairing = Pairing::new(workload, limits.memory_bytes);
    while let Some(Record { line, text }) = records.next()? {
        let members = match first_member(text) {
            Some(b'"') => json::members(&mut parser, line, text)?,
            _ => edn::members(line, text)?,
        };
        pairing.add(Event::of(line, members)?)?;
    }
    Ok(pairing.finish())
}

/// Writes a history as Jepsen has it, one operation a line.
///
/// # Errors
/// Those of the writer.
pub fn write_edn(history: &[Invocation], workload: &dyn Workload, out: &mut impl Write) -> io::Result<()> {
    edn::write(history, workload, out)
}

/// The first byte of the first key of a map: a quote in JSON.
fn first_member(record: &[u8]) -> Option<u8> {
    let inner = record.strip_prefix(b"{")?;
    inner.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}
