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
//! - Times are nanoseconds, and are rounded down to microseconds. If a record has none, the places of the records
//!   count instead.
//! - Anything else that does not fit together is an error, with its line: an end without its beginning, a beginning
//!   while the process is busy, or after an indefinite end.
//!
//! A file is read record by record. What is kept of it is bounded by [`Limits`].

mod edn;
mod json;
mod pairing;
mod records;

use std::io::{self, BufRead, Write};

use thiserror::Error;

use self::pairing::Pairing;
use self::records::{Record, Records};
use super::checker::Completion;
use super::data::Data;
use super::history::{Invocation, NO_ANSWER};
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

/// Why a file is no history.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It could not be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Something in it is not as it should be.
    #[error("line {line}: expected {expected}, found {found}")]
    Malformed {
        /// The line, from 1.
        line: u64,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// It has more than is kept.
    #[error("line {line}: {what} takes more than {limit} bytes")]
    TooLarge {
        /// The line, from 1.
        line: u64,
        /// What is too large.
        what: &'static str,
        /// How large it may be.
        limit: usize,
    },
}

impl ReadError {
    fn malformed(line: u64, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Malformed { line, expected: expected.into(), found: found.into() }
    }
}

/// A beginning or an end of an operation, as it stands in a file.
#[derive(Clone, Debug, PartialEq)]
struct Event {
    line: u64,
    /// How it ended; `None` for a beginning.
    end: Option<Completion>,
    /// `None` for what is no client.
    process: Option<usize>,
    f: Box<str>,
    value: Data,
    /// In nanoseconds.
    time: Option<i64>,
    node: Option<usize>,
    error: Option<Box<str>>,
    is_final: bool,
    is_probe: bool,
    /// All other members.
    more: Vec<(Box<str>, Data)>,
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

/// What a record has, whatever its syntax.
type Members = Vec<(Box<str>, Data)>;

impl Event {
    fn of(line: u64, members: Members) -> Result<Self, ReadError> {
        let mut event = Self {
            line,
            end: None,
            process: None,
            f: Box::default(),
            value: Data::Null,
            time: None,
            node: None,
            error: None,
            is_final: false,
            is_probe: false,
            more: Vec::new(),
        };
        let (mut has_type, mut has_process) = (false, false);
        for (name, value) in members {
            match (name.trim_start_matches(':'), value) {
                ("type", value) => {
                    has_type = true;
                    event.end = match value.as_text().map(|text| text.trim_start_matches(':')) {
                        Some("invoke") => None,
                        Some("ok") => Some(Completion::Ok),
                        Some("fail") => Some(Completion::Fail),
                        Some("info") => Some(Completion::Info),
                        _ => {
                            let expected = "type to be invoke, ok, fail or info";
                            return Err(ReadError::malformed(line, expected, value.to_string()));
                        }
                    };
                }
                ("process", value) => {
                    has_process = true;
                    event.process = value.as_int().and_then(|process| usize::try_from(process).ok());
                }
                ("f", value) => event.f = word(value),
                ("value", value) => event.value = value,
                ("time", value) => event.time = value.as_int(),
                ("node", Data::Text(name)) => {
                    event.node = name.strip_prefix('n').and_then(|of| of.parse().ok());
                }
                ("error", value) => event.error = Some(reason(value)),
                ("final" | "final?", value) => event.is_final = value == Data::Bool(true),
                ("probe" | "probe?", value) => event.is_probe = value == Data::Bool(true),
                ("index", _) => {}
                (name, value) => event.more.push((name.into(), value)),
            }
        }
        for (is_there, name) in [(has_type, "type"), (has_process, "process")] {
            if !is_there {
                return Err(ReadError::malformed(line, format!("an operation with a {name}"), "one without"));
            }
        }
        Ok(event)
    }
}

/// A keyword or string without a colon before it.
fn word(value: Data) -> Box<str> {
    match value {
        Data::Text(text) => text.trim_start_matches(':').into(),
        other => other.to_string().into(),
    }
}

/// Jepsen's reasons are words such as `:net-timeout`, or pairs such as `[:crash "it crashed"]`.
fn reason(value: Data) -> Box<str> {
    match value {
        Data::Text(text) if &*text == "net-timeout" => NO_ANSWER.into(),
        Data::Text(text) => text,
        Data::List(parts) if parts.iter().all(|part| part.as_text().is_some()) => {
            let parts: Vec<_> = parts.iter().filter_map(Data::as_text).collect();
            parts.join(": ").into()
        }
        other => other.to_string().into(),
    }
}
