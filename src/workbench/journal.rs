//! Every message of a test: who sent it to whom, and when it arrived, if it did.

use std::fmt;
use std::ops::Range;

use log::info;
use serde::Deserialize;
use smallvec::SmallVec;

use super::services::Service;
use crate::json::parser::Parser;
use crate::json::text::beginning;
use crate::json::value::Integer;
use crate::json::write::{Raw, WriteJson as _};
use crate::time::Instant;
use crate::wire::envelope::UncheckedEnvelope;
use crate::wire::lines::Line;
use crate::workbench::trace::transfer::{Transfer, mark_unanswered};

/// Somebody who sends and receives messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Address {
    /// `n0`, `n1` and so on.
    Node(usize),
    /// `c0`, `c1` and so on.
    Client(usize),
    /// One of Maelstrom's services.
    Service(Service),
}

impl Address {
    /// The address of that name, if there is such a thing. It may not exist yet, or any more.
    pub fn parse(name: &str) -> Option<Self> {
        let number = || {
            let digits = &name[1..];
            let is_plain = digits == "0" || !digits.starts_with(['0', '+']);
            digits.parse().ok().filter(|_| is_plain)
        };
        match name.as_bytes().first()? {
            b'n' => number().map(Self::Node),
            b'c' => number().map(Self::Client),
            _ => Service::ALL.into_iter().find(|service| service.name() == name).map(Self::Service),
        }
    }

    /// The number of the node that it is, if it is one.
    pub const fn node(self) -> Option<usize> {
        match self {
            Self::Node(node) => Some(node),
            _ => None,
        }
    }

    /// Whether it is a client.
    pub const fn is_client(self) -> bool {
        matches!(self, Self::Client(_))
    }
}

impl Address {
    /// Appends its name.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        let (letter, number) = match self {
            Self::Node(number) => (b'n', number),
            Self::Client(number) => (b'c', number),
            Self::Service(service) => return out.extend_from_slice(service.name().as_bytes()),
        };
        out.push(letter);
        (number as u64).write_json(out);
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(number) => write!(f, "n{number}"),
            Self::Client(number) => write!(f, "c{number}"),
            Self::Service(service) => f.write_str(service.name()),
        }
    }
}

/// A message that was sent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Its number in the whole test: `id` in what its receiver reads.
    pub id: u64,
    /// Who sent it.
    pub src: Address,
    /// Whom it is for.
    pub dest: Address,
    /// The text of its body.
    pub body: Box<str>,
    /// When it was sent.
    pub sent: Instant,
    /// When it arrived; more than once if the network doubled it.
    pub received: SmallVec<[Instant; 2]>,
    /// Why it, or a copy of it, never arrives.
    pub dropped: Option<Dropped>,
}

/// What a body says that makes its message a request or an answer.
#[derive(Deserialize, Debug, Default)]
pub(super) struct Numbers {
    #[serde(default)]
    pub msg_id: Option<i64>,
    #[serde(default)]
    pub in_reply_to: Option<i64>,
    #[serde(default, rename = "type")]
    pub kind: String,
}

/// Why a message does not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dropped {
    /// The network lost it by chance.
    Loss,
    /// Its link carried nothing when it would have arrived.
    Partition,
    /// Its receiver was dead.
    DeadReceiver,
}

impl Dropped {
    /// Its word in the journal's file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Partition => "partition",
            Self::DeadReceiver => "dead receiver",
        }
    }
}

/// How many messages there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Sent.
    pub sent: u64,
    /// Arrived, duplicates included.
    pub received: u64,
}

/// The messages of a test: the first of them with all that they say, and how many there were.
#[derive(Debug)]
pub struct Journal {
    /// Maximum messages kept.
    messages_max: usize,
    /// Maximum bytes of their bodies; the message that reaches it is the last.
    bytes_max: usize,
    entries: Vec<Entry>,
    /// What their bodies take.
    bytes: usize,
    /// Messages of which one end is a client.
    pub clients: Traffic,
    /// Messages between nodes, or nodes and services.
    pub servers: Traffic,
    /// What to say while the test runs.
    logging: Logging,
}

/// Which messages go to the log as they happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Logging {
    /// Those that are sent.
    pub sent: bool,
    /// Those that arrive.
    pub received: bool,
}

impl Journal {
    /// Keeps at most so many messages, and none after those whose bodies have so many bytes.
    pub const fn new(messages_max: usize, bytes_max: usize, logging: Logging) -> Self {
        let none = Traffic { sent: 0, received: 0 };
        Self { messages_max, bytes_max, entries: Vec::new(), bytes: 0, clients: none, servers: none, logging }
    }

    /// The messages that were kept, in the order in which they were sent.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Notes a message that is sent; its number.
    pub fn sent(&mut self, now: Instant, src: Address, dest: Address, body: &str) -> u64 {
        let id = self.clients.sent + self.servers.sent;
        self.traffic(src, dest).sent += 1;
        if self.logging.sent {
            info!("sent #{id} {src} -> {dest} {body}");
        }
        if self.entries.len() < self.messages_max && self.bytes < self.bytes_max {
            self.bytes += body.len();
            let received = SmallVec::new();
            self.entries.push(Entry { id, src, dest, body: body.into(), sent: now, received, dropped: None });
        }
        id
    }

    /// Notes that a message arrived.
    pub fn received(&mut self, now: Instant, src: Address, dest: Address, id: u64) {
        self.traffic(src, dest).received += 1;
        if self.logging.received {
            info!("received #{id} {src} -> {dest}");
        }
        if let Some(entry) = self.entry(id) {
            entry.received.push(now);
        }
    }

    /// Notes that a message, or a copy of it, did not arrive.
    pub fn dropped(&mut self, id: u64, why: Dropped) {
        if let Some(entry) = self.entry(id) {
            entry.dropped = Some(why);
        }
    }

    fn entry(&mut self, id: u64) -> Option<&mut Entry> {
        // They are numbered from 0, and the first ones are kept.
        self.entries.get_mut(usize::try_from(id).ok()?)
    }

    const fn traffic(&mut self, src: Address, dest: Address) -> &mut Traffic {
        if src.is_client() || dest.is_client() { &mut self.clients } else { &mut self.servers }
    }

    /// Some of the messages that were kept, by their places, for a sequence diagram.
    pub fn transfers(&self, range: Range<usize>) -> Vec<Transfer> {
        let (mut parser, mut line) = (Parser::new(), Vec::new());
        let transfer = |entry: &Entry| {
            line.clear();
            line.extend_from_slice(b"{\"body\":");
            line.extend_from_slice(entry.body.as_bytes());
            line.push(b'}');
            let unchecked = UncheckedEnvelope::parse(&mut parser, Line::new(&line)).unwrap_or_default();
            let number = |id: Option<Integer<'_>>| id.and_then(Integer::as_i64);
            Transfer {
                src: entry.src.to_string(),
                dest: entry.dest.to_string(),
                kind: unchecked.kind().unwrap_or_default().into_owned(),
                msg_id: number(unchecked.msg_id().unwrap_or_default()),
                in_reply_to: number(unchecked.in_reply_to().unwrap_or_default()),
                body: beginning(&entry.body, BODY_SHOWN).into_owned(),
                sent_at: Some(entry.sent),
                received_at: entry.received.to_vec(),
                lost: entry.is_lost(),
                unanswered: false,
            }
        };
        // A request among these may have its answer among the next.
        let with_next = self.entries.iter().skip(range.start).take(2 * range.len());
        let mut transfers: Vec<Transfer> = with_next.map(transfer).collect();
        mark_unanswered(&mut transfers);
        transfers.truncate(range.len());
        transfers
    }
}

/// How many characters of a body a diagram shows.
const BODY_SHOWN: usize = 200;

impl Entry {
    /// Whether neither it nor a copy of it arrived, nor ever will.
    pub fn is_lost(&self) -> bool {
        self.dropped.is_some() && self.received.is_empty()
    }

    /// Appends the line of a journal file.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        self.id.write_json(out);
        out.extend_from_slice(b",\"sent_us\":");
        self.sent.as_micros().write_json(out);
        out.extend_from_slice(b",\"received_us\":");
        let received: Vec<u64> = self.received.iter().map(|received| received.as_micros()).collect();
        received.write_json(out);
        out.extend_from_slice(b",\"lost\":");
        self.is_lost().write_json(out);
        if let Some(dropped) = self.dropped {
            out.extend_from_slice(b",\"dropped\":");
            dropped.name().write_json(out);
        }
        out.extend_from_slice(b",\"src\":");
        self.src.to_string().write_json(out);
        out.extend_from_slice(b",\"dest\":");
        self.dest.to_string().write_json(out);
        out.extend_from_slice(b",\"body\":");
        Raw(self.body.as_bytes()).write_json(out);
        out.extend_from_slice(b"}\n");
    }
}
