//! The trace files that nodes write, put together again.
//!
//! A node writes down each message that it sends and each that it receives, one JSON object a line:
//!
//! ```json
//! {"ts_us":1763800000000150,"node":"n1","dir":"SENT","message":{"src":"n1","dest":"n2","body":{"type":"read","msg_id":1}}}
//! ```
//!
//! `ts_us` is Unix time in microseconds, `dir` is `SENT` or `RECV`. What one node sent and another received
//! is the same message if `src`, `dest` and `body.msg_id` are the same, or where there is no `msg_id` the
//! body's text. What is the same in all of that is paired in the order in which it happened.
//!
//! The workbench's own journal has both ends of each message in one line, with times since the start of the test:
//!
//! ```json
//! {"id":7,"sent_us":150,"received_us":[350],"lost":false,"src":"n1","dest":"n2","body":{"type":"read","msg_id":1}}
//! ```

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};

use thiserror::Error;

use super::transfer::{Transfer, mark_unanswered};
use crate::json::error::SyntaxError;
use crate::json::parser::Parser;
use crate::json::text::beginning;
use crate::json::value::{Kind, Value};
use crate::time::Instant;
use crate::wire::envelope::SchemaError;
use crate::wire::lines::Line;

/// How much of a body is kept, in characters.
const BODY_KEPT: usize = 200;

/// Why a line is no record.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// It is not JSON.
    #[error("not JSON: {0}")]
    Syntax(#[from] Box<SyntaxError>),
    /// It is JSON, but not what a node writes down.
    #[error("not a record: {0}")]
    Schema(#[from] SchemaError),
}

/// The records of any number of nodes.
///
/// It keeps a given number of them. Of more than that it forgets the latest, so that what it tells is true up
/// to some moment; of the messages that were on their way just then it may say that they were lost.
#[derive(Debug)]
pub struct Recording {
    max_records: usize,
    parser: Parser,
    /// By time; records of the same time in the order in which they were added.
    records: BTreeMap<(Instant, u64), Record>,
    added: u64,
    /// Who wrote records.
    nodes: HashSet<String>,
}

#[derive(Debug)]
struct Record {
    /// By what its other end is found; `None` if both are known.
    identity: Option<Identity>,
    /// The message, with the times that this record tells.
    transfer: Transfer,
}

/// What tells a message from others between the same two.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Identity {
    MsgId(i64),
    /// A hash of the body's text.
    Body(u64),
}

impl Recording {
    /// Nothing yet, with room for so many records. One takes about a kilobyte.
    pub fn new(max_records: usize) -> Self {
        Self { max_records, parser: Parser::new(), records: BTreeMap::new(), added: 0, nodes: HashSet::new() }
    }

    /// Adds a line of a trace file or a journal. The order of lines does not matter, but for those of the same time.
    ///
    /// # Errors
    /// If it is no JSON, or not what a node writes down. What was added before is kept.
    pub fn add(&mut self, line: Line<'_>) -> Result<(), RecordError> {
        let record = self.parser.value(line.bytes())?;
        if record.member("sent_us").is_some() {
            let (at, transfer) = journal_entry(record)?;
            self.keep(at, Record { identity: None, transfer });
            return Ok(());
        }
        let at = field(record, "ts_us", "a time in microseconds", |time| time.as_integer()?.as_u64())?;
        let at = Instant::from_micros(at);
        let node = field(record, "node", "a string", Value::as_str)?;
        let is_sent = field(record, "dir", r#""RECV" or "SENT""#, |dir| match &*dir.as_str()? {
            "SENT" => Some(true),
            "RECV" => Some(false),
            _ => None,
        })?;
        let message = field(record, "message", "an object", object)?;
        let body = field(message, "message.body", "an object", object)?;
        let transfer = Transfer {
            sent_at: is_sent.then_some(at),
            received_at: if is_sent { Vec::new() } else { vec![at] },
            ..transfer(message, body)?
        };
        let identity = transfer.msg_id.map_or_else(
            || {
                let mut hasher = DefaultHasher::new();
                hash(body, &mut hasher);
                Identity::Body(hasher.finish())
            },
            Identity::MsgId,
        );
        if !self.nodes.contains(&*node) {
            self.nodes.insert(node.into_owned());
        }
        self.keep(at, Record { identity: Some(identity), transfer });
        Ok(())
    }

    fn keep(&mut self, at: Instant, record: Record) {
        self.records.insert((at, self.added), record);
        self.added += 1;
        if self.records.len() > self.max_records {
            self.records.pop_last();
        }
    }

    /// How many records were forgotten for want of room.
    pub fn forgotten(&self) -> u64 {
        self.added - self.records.len() as u64
    }

    /// Every message once, in the order in which they were first seen, with what became of it: one that was
    /// sent to a node that wrote records, none of them of this message, was lost.
    pub fn into_transfers(self) -> Vec<Transfer> {
        let mut transfers: Vec<Transfer> = Vec::new();
        let mut pairings: HashMap<_, Pairing> = HashMap::new();
        for Record { identity, transfer } in self.records.into_values() {
            let Some(identity) = identity else {
                transfers.push(transfer);
                continue;
            };
            let Pairing { open, paired } =
                pairings.entry((transfer.src.clone(), transfer.dest.clone(), identity)).or_default();
            // Clocks differ: what was received may have been sent later.
            let other_end = open
                .front()
                .copied()
                .filter(|&other| transfers[other].sent_at.is_some() != transfer.sent_at.is_some());
            if let Some(other) = other_end {
                open.pop_front();
                *paired = Some(other);
                transfers[other].sent_at = transfers[other].sent_at.or(transfer.sent_at);
                transfers[other].received_at.extend(transfer.received_at);
            } else if let (Some(original), None) = (*paired, transfer.sent_at) {
                transfers[original].received_at.extend(transfer.received_at);
            } else {
                open.push_back(transfers.len());
                transfers.push(transfer);
            }
        }
        for transfer in &mut transfers {
            transfer.lost |= transfer.received_at.is_empty() && self.nodes.contains(&transfer.dest);
        }
        mark_unanswered(&mut transfers);
        transfers
    }
}

fn object(value: Value<'_>) -> Option<Value<'_>> {
    (value.kind() == Kind::Object).then_some(value)
}

/// Hashes what a value says: who receives a message need not write it down as it was written.
fn hash(value: Value<'_>, hasher: &mut impl Hasher) {
    if let Some(members) = value.as_object() {
        let mut members: Vec<_> = members.map(|(key, value)| (key.as_str(), value)).collect();
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        hasher.write_usize(members.len());
        for (key, value) in members {
            key.hash(hasher);
            hash(value, hasher);
        }
    } else if let Some(items) = value.as_array() {
        "[".hash(hasher);
        items.for_each(|item| hash(item, hasher));
        "]".hash(hasher);
    } else {
        match value.as_str() {
            Some(text) => text.hash(hasher),
            None => value.raw().hash(hasher),
        }
    }
}

/// A message of which nobody has said yet when it was sent and received.
fn transfer(message: Value<'_>, body: Value<'_>) -> Result<Transfer, SchemaError> {
    let string = |of, path| field(of, path, "a string", |value| Some(value.as_str()?.into_owned()));
    let integer = |name, path| {
        let is_there = body.member(name).is_some();
        is_there.then(|| field(body, path, "an integer of 64 bits", Value::as_i64)).transpose()
    };
    Ok(Transfer {
        src: string(message, "message.src")?,
        dest: string(message, "message.dest")?,
        kind: string(body, "message.body.type")?,
        msg_id: integer("msg_id", "message.body.msg_id")?,
        in_reply_to: integer("in_reply_to", "message.body.in_reply_to")?,
        body: beginning(body.raw(), BODY_KEPT).into_owned(),
        sent_at: None,
        received_at: Vec::new(),
        lost: false,
        unanswered: false,
    })
}

/// A line of the workbench's journal, and when it happened.
fn journal_entry(entry: Value<'_>) -> Result<(Instant, Transfer), SchemaError> {
    let time = |value: Value<'_>| Some(Instant::from_micros(value.as_integer()?.as_u64()?));
    let sent = field(entry, "sent_us", "a time in microseconds", time)?;
    let received = field(entry, "received_us", "an array of times in microseconds", |times| {
        times.as_array()?.map(time).collect::<Option<Vec<_>>>()
    })?;
    let lost = field(entry, "lost", "true or false", Value::as_bool)?;
    let body = field(entry, "body", "an object", object)?;
    Ok((sent, Transfer { sent_at: Some(sent), received_at: received, lost, ..transfer(entry, body)? }))
}

/// The messages of one identity.
#[derive(Default)]
struct Pairing {
    /// Those of which one end was seen so far; of all of them the same one.
    open: VecDeque<usize>,
    /// The last one of which both ends were seen: what arrives once more is its duplicate.
    paired: Option<usize>,
}

/// The member that the last part of `path` names, read by `read`, which says `None` where it is not `expected`.
fn field<'a, T>(
    of: Value<'a>,
    path: &'static str,
    expected: &'static str,
    read: impl FnOnce(Value<'a>) -> Option<T>,
) -> Result<T, SchemaError> {
    let name = path.rsplit_once('.').map_or(path, |(_, name)| name);
    let found = of.member(name);
    found.and_then(read).ok_or_else(|| SchemaError::new(path, expected, found.map(Value::raw)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_forgotten_where_there_is_no_room() {
        let mut recording = Recording::new(3);
        for ts in [5, 1, 4, 3, 2, 6] {
            let line = format!(
                r#"{{"ts_us":{ts},"node":"a","dir":"SENT","message":{{"src":"a","dest":"b","body":{{"type":"t","msg_id":{ts}}}}}}}"#
            );
            recording.add(Line::new(line.as_bytes())).unwrap();
        }
        assert_eq!(recording.forgotten(), 3);
        let ids: Vec<_> = recording.into_transfers().iter().map(|transfer| transfer.msg_id).collect();
        assert_eq!(ids, [Some(1), Some(2), Some(3)]);
    }

    /// A message without an id is known by what it says, in whatever order.
    #[test]
    fn a_message_written_down_otherwise_is_the_same() {
        let mut recording = Recording::new(10);
        for (ts, node, dir, body) in [
            (1, "a", "SENT", r#"{"type":"t","x":[{"b":1,"c":"é"},2]}"#),
            (2, "b", "RECV", r#"{"x":[{"c":"\u00e9", "b":1}, 2], "type":"t"}"#),
            (3, "a", "SENT", r#"{"type":"t","x":[{"b":1},2]}"#),
            (4, "b", "RECV", r#"{"type":"t","x":[2,{"b":1}]}"#),
        ] {
            let line = format!(
                r#"{{"ts_us":{ts},"node":"{node}","dir":"{dir}","message":{{"src":"a","dest":"b","body":{body}}}}}"#
            );
            recording.add(Line::new(line.as_bytes())).unwrap();
        }
        let transfers = recording.into_transfers();
        let ends: Vec<_> = transfers.iter().map(|of| (of.sent_at.is_some(), of.received_at.len())).collect();
        assert_eq!(ends, [(true, 1), (true, 0), (false, 1)]);
    }

    #[test]
    fn a_journal_tells_both_ends_of_a_message() {
        let mut recording = Recording::new(10);
        for line in [
            r#"{"id":0,"sent_us":5,"received_us":[7,9],"lost":false,"src":"c1","dest":"n0","body":{"type":"read","msg_id":1}}"#,
            r#"{"id":1,"sent_us":8,"received_us":[],"lost":true,"src":"n0","dest":"c1","body":{"type":"read_ok","in_reply_to":1}}"#,
        ] {
            recording.add(Line::new(line.as_bytes())).unwrap();
        }
        let line =
            r#"{"id":2,"sent_us":8,"received_us":5,"lost":true,"src":"n0","dest":"c1","body":{"type":"x"}}"#;
        let error = recording.add(Line::new(line.as_bytes())).unwrap_err();
        assert!(error.to_string().contains("received_us"), "{error}");
        let transfers = recording.into_transfers();
        let gist = |of: &Transfer| (of.kind.clone(), of.received_at.len(), of.lost, of.unanswered);
        let gists: Vec<_> = transfers.iter().map(gist).collect();
        assert_eq!(gists, [("read".to_owned(), 2, false, true), ("read_ok".to_owned(), 0, true, false)]);
    }
}
