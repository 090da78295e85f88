//! `kafka`: logs that every node appends to by itself.

use std::collections::{BTreeMap, VecDeque};
use std::mem;

use super::record::{LogLength, read_record, to_record};
use super::{incarnation, only_from_peers};
use crate::json::value::{OwnedValue, Value};
use crate::json::write::{Raw, WriteJson};
use crate::node::{Context, Handler, Request};
use crate::store::BadRecord;
use crate::time::{Duration, Instant};
use crate::wire::error::RpcError;

/// A node tells the others what is new at most this often.
const SPACING: Duration = Duration::from_millis(50);

/// What is not confirmed after this time is sent again.
const RESEND: Duration = Duration::from_secs(1);

/// About so many bytes of entries go in one message, and of messages in the answer to a poll.
const MESSAGE_BYTES: usize = 256 << 10;

/// A node takes so many bytes of messages from clients, and then refuses more.
const LOG_BYTES_MAX: usize = 1 << 30;

/// Why a message can be sent.
const PEER: &str = "it goes to a peer";

/// A node with a copy of every log.
///
/// Node i of n gives the offsets that are i modulo n, so it appends at once, whoever it can reach. A log's order is that
/// of its offsets, and what a node shows of it ends where another node may still append: each node has a *watermark* for
/// each key, below which it will never append again. A node that learns of an offset appends above it from then on, so
/// all watermarks rise with the messages, one exchange later.
///
/// Every node has a stream of entries for the others: its messages, its watermarks and the committed offsets that it was
/// told. A batch of them goes to each node at most every 50 ms, numbered, so that what was lost is sent again and what
/// came twice is seen. While nodes cannot reach each other, clients may send and poll as before; what is new then is
/// shown once everybody knows of it.
///
/// | message | fields | what for |
/// | --- | --- | --- |
/// | `entries` | `stream`, `from`, `entries`, `heard` | entries of the sender's stream from that place on; `stream` is the stream's name; `heard` that of the receiver's stream and how many of its entries the sender has |
///
/// A node persists its own stream and what it hears of the others', and goes on with both when it starts again. Without a
/// disk, a node that is killed forgets its messages, and what it appends then may have offsets that it gave before. It
/// takes a gigabyte of messages, and refuses more with error 11.
#[derive(Debug, Default)]
pub struct Kafka {
    /// This node's place among the nodes, and how many there are.
    place: usize,
    nodes: usize,
    /// The name of its stream.
    stream: Box<str>,
    keys: BTreeMap<Box<str>, Key>,
    peers: Vec<Peer>,
    /// The entries that some peer has not confirmed yet, as JSON, and how many came before them.
    entries: VecDeque<Box<str>>,
    confirmed_by_all: usize,
    bytes: usize,
    /// When a batch may be sent; a timer runs if there is one to be sent.
    not_before: Instant,
    is_scheduled: bool,
    is_resend_scheduled: bool,
    /// What was persisted, until it is known who the others are.
    recovered: Vec<OwnedValue>,
    log: LogLength,
}

/// A key's log.
#[derive(Debug)]
struct Key {
    messages: BTreeMap<u64, Box<str>>,
    /// The watermark of each node, as far as it has said. This node's own is where it appends next, or below that.
    watermarks: Vec<u64>,
    committed: Option<u64>,
}

#[derive(Debug)]
struct Peer {
    name: String,
    place: usize,
    /// How many entries of this node's stream were sent to it, and are confirmed.
    sent: usize,
    confirmed: usize,
    /// Since when it has not confirmed anything more, if it has not confirmed all.
    waits_since: Instant,
    /// Its stream's name, and how many of its entries are here.
    stream: Box<str>,
    heard: usize,
    /// It does not know yet that they are.
    owes_confirmation: bool,
}

/// An entry of a node's stream.
enum Entry<'a> {
    Message { key: Box<str>, offset: u64, message: Value<'a> },
    Watermark { key: Box<str>, offset: u64 },
    Committed { key: Box<str>, offset: u64 },
}

/// What a node persists.
enum Record<'a> {
    /// The next entry of its own stream.
    Own(Entry<'a>, &'a str),
    /// Entries of another node's stream, up to that place.
    Heard { peer: Box<str>, stream: Box<str>, end: usize, entries: Vec<Entry<'a>> },
    /// Where its own stream begins: its name, and what it amounts to up to the place that everybody has.
    Stream { stream: Box<str>, confirmed_by_all: usize, entries: Vec<Entry<'a>> },
}

impl Handler for Kafka {
    fn on_init(&mut self, cx: &mut Context<'_, Self>) {
        let mut names = cx.cluster().nodes().to_vec();
        names.sort_unstable();
        self.nodes = names.len();
        self.place = names.iter().position(|name| *name == cx.id()).unwrap_or(0);
        let peer = |(place, name)| Peer {
            name,
            place,
            sent: 0,
            confirmed: 0,
            waits_since: Instant::START,
            stream: Box::default(),
            heard: 0,
            owes_confirmation: false,
        };
        self.peers = names.into_iter().enumerate().filter(|(_, name)| *name != cx.id()).map(peer).collect();
        for record in mem::take(&mut self.recovered) {
            self.replay(read(record.value()).expect("it was read before"));
        }
        if self.stream.is_empty() {
            self.stream = incarnation(cx).into();
        }
        // What it learnt and did not rise above before its end.
        let keys = self.keys.iter();
        let learnt = keys.filter_map(|(name, key)| Some((name.clone(), *key.messages.last_key_value()?.0)));
        for (name, offset) in learnt.collect::<Vec<_>>() {
            self.rise_above(&name, offset, cx);
        }
        // What else the others have they say when they are sent it again.
        for peer in &mut self.peers {
            (peer.sent, peer.confirmed) = (self.confirmed_by_all, self.confirmed_by_all);
        }
        self.send_soon(cx);
    }

    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let handled = match request.kind() {
            "send" => self.handle_send(request, cx),
            "poll" => self.handle_poll(request, cx),
            "commit_offsets" => self.handle_commit(request, cx),
            "list_committed_offsets" => {
                let keys = request.typed("keys", "an array of strings", strings)?;
                let committed = keys.iter().filter_map(|key| Some((key, self.keys.get(key)?.committed?)));
                let committed: BTreeMap<_, _> = committed.collect();
                cx.reply(request, "list_committed_offsets_ok").field("offsets", &committed).send()
            }
            "entries" => self.handle_entries(request, cx),
            kind => Err(RpcError::not_supported(kind)),
        };
        if self.log.is_due() {
            self.persist_snapshot(cx);
        }
        handled
    }

    fn recover(&mut self, record: &[u8]) -> Result<(), BadRecord> {
        self.log.add(record);
        let record = read_record(record, "an entry, what was heard, or a stream", |record| {
            read(record).is_some().then(|| record.detach())
        })?;
        self.recovered.push(record);
        Ok(())
    }
}

impl Kafka {
    fn key(&mut self, name: &str) -> &mut Key {
        if !self.keys.contains_key(name) {
            // A node's first offset is its place, so it need not say that it appends nothing below.
            let watermarks = (0..self.nodes as u64).collect();
            self.keys.insert(name.into(), Key { messages: BTreeMap::new(), watermarks, committed: None });
        }
        self.keys.get_mut(name).expect("it was just inserted")
    }

    fn handle_send(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let (name, message) = (request.string("key")?, request.required("msg")?);
        if self.bytes + message.raw().len() > LOG_BYTES_MAX {
            let text = format!("this node keeps {LOG_BYTES_MAX} bytes of messages, and has them");
            return Err(RpcError::temporarily_unavailable(text));
        }
        let place = self.place;
        let offset = self.key(&name).watermarks[place];
        self.take(place, Entry::Message { key: (&*name).into(), offset, message });
        self.push(&[&"m", &&*name, &offset, &message], cx);
        self.send_soon(cx);
        cx.reply(request, "send_ok").field("offset", offset).send()
    }

    /// Notes that everything up to some offsets is processed.
    fn handle_commit(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        for (name, offset) in request.typed("offsets", "an object of offsets", offsets)? {
            let key = self.key(&name);
            if key.committed < Some(offset) {
                key.committed = Some(offset);
                self.push(&[&"c", &&*name, &offset], cx);
            }
        }
        self.send_soon(cx);
        cx.reply(request, "commit_offsets_ok").send()
    }

    fn handle_poll(&self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let mut room = MESSAGE_BYTES;
        let mut lists: BTreeMap<Box<str>, Vec<(u64, Raw<'_>)>> = BTreeMap::new();
        for (name, from) in request.typed("offsets", "an object of offsets", offsets)? {
            let Some(key) = self.keys.get(&name) else { continue };
            let list: Vec<_> = key
                .messages
                .range(from..key.end().max(from))
                .take_while(|(_, message)| {
                    let has_room = room > 0;
                    room = room.saturating_sub(message.len() + 16);
                    has_room
                })
                .map(|(&offset, message)| (offset, Raw(message.as_bytes())))
                .collect();
            if !list.is_empty() {
                lists.insert(name, list);
            }
        }
        cx.reply(request, "poll_ok").exact_field("msgs", &lists).send()
    }

    /// Takes an entry of a node's stream in.
    fn take(&mut self, place: usize, entry: Entry<'_>) {
        let (nodes, is_own) = (self.nodes as u64, place == self.place);
        match entry {
            Entry::Message { key, offset, message } => {
                self.bytes += if is_own { message.raw().len() } else { 0 };
                let key = self.key(&key);
                key.messages.insert(offset, message.raw().into());
                // A node that is ahead already says nothing more of its watermark: this says it, too.
                key.raise_watermark(place, offset + nodes);
            }
            Entry::Watermark { key, offset } => self.key(&key).raise_watermark(place, offset),
            Entry::Committed { key, offset } => {
                let key = self.key(&key);
                key.committed = key.committed.max(Some(offset));
            }
        }
    }

    /// Adds an entry to this node's stream.
    fn push(&mut self, parts: &[&dyn WriteJson], cx: &mut Context<'_, Self>) {
        if self.end() == 0 {
            let stream = self.stream.clone();
            self.persist(("stream", &*stream, 0, Raw(b"[]")), cx);
        }
        let entry = entry_text(parts);
        self.persist(Raw(entry.as_bytes()), cx);
        self.append(entry);
    }

    fn append(&mut self, entry: Box<str>) {
        if self.peers.is_empty() {
            self.confirmed_by_all += 1;
        } else {
            self.entries.push_back(entry);
        }
    }

    fn persist(&mut self, record: impl WriteJson, cx: &mut Context<'_, Self>) {
        let record = to_record(&record);
        self.log.add(&record);
        cx.persist(&record);
    }

    /// Begins a new log with what this node knows.
    fn persist_snapshot(&mut self, cx: &mut Context<'_, Self>) {
        // What each node's stream amounts to, by its place.
        let mut streams = vec![String::new(); self.nodes];
        let mut add = |place: usize, parts: &[&dyn WriteJson]| {
            let stream: &mut String = &mut streams[place];
            stream.push(if stream.is_empty() { '[' } else { ',' });
            stream.push_str(&entry_text(parts));
        };
        for (name, key) in &self.keys {
            for (offset, message) in &key.messages {
                add(place_of(*offset, self.nodes), &[&"m", &&**name, offset, &Raw(message.as_bytes())]);
            }
            for (place, watermark) in key.watermarks.iter().enumerate() {
                add(place, &[&"w", &&**name, watermark]);
            }
            if let Some(committed) = key.committed {
                add(self.place, &[&"c", &&**name, &committed]);
            }
        }
        let entries =
            |place: usize| format!("{}]", if streams[place].is_empty() { "[" } else { &streams[place] });
        let own = entries(self.place);
        let first = to_record(&("stream", &*self.stream, self.confirmed_by_all, Raw(own.as_bytes())));
        cx.snapshot(&first);
        let mut length = first.len();
        for peer in &self.peers {
            let entries = entries(peer.place);
            let record =
                to_record(&("heard", &*peer.name, &*peer.stream, peer.heard, Raw(entries.as_bytes())));
            cx.persist(&record);
            length += record.len();
        }
        for entry in &self.entries {
            cx.persist(&**entry);
            length += entry.len();
        }
        self.log.restart(length);
    }

    /// Takes back what was persisted.
    fn replay(&mut self, record: Record<'_>) {
        let (place, entries) = match record {
            Record::Own(entry, text) => {
                self.append(text.into());
                (self.place, vec![entry])
            }
            Record::Stream { stream, confirmed_by_all, entries } => {
                (self.stream, self.confirmed_by_all) = (stream, confirmed_by_all);
                (self.place, entries)
            }
            Record::Heard { peer, stream, end, entries } => {
                let Some(peer) = self.peers.iter_mut().find(|known| *known.name == *peer) else { return };
                (peer.stream, peer.heard) = (stream, end);
                (peer.place, entries)
            }
        };
        for entry in entries {
            self.take(place, entry);
        }
    }

    /// How many entries there are, with those that everybody has.
    fn end(&self) -> usize {
        self.confirmed_by_all + self.entries.len()
    }

    /// Sends what is new now, or as soon as it may.
    fn send_soon(&mut self, cx: &mut Context<'_, Self>) {
        let end = self.end();
        let is_due = |peer: &Peer| peer.sent < end || peer.owes_confirmation;
        if self.is_scheduled || !self.peers.iter().any(is_due) {
            return;
        }
        self.is_scheduled = true;
        // Never at once, so that what follows goes along.
        let delay = (self.not_before.max(cx.now() + Duration::from_millis(1))) - cx.now();
        cx.after(delay, |node: &mut Self, cx| {
            node.is_scheduled = false;
            node.not_before = cx.now() + SPACING;
            for peer in 0..node.peers.len() {
                let end = node.end();
                if node.peers[peer].sent < end || node.peers[peer].owes_confirmation {
                    node.send_batch(peer, cx);
                }
            }
            node.send_soon(cx);
            node.resend_later(cx);
        });
    }

    /// Sends a peer the entries that it was not sent yet, or as many of them as a message takes.
    fn send_batch(&mut self, peer: usize, cx: &mut Context<'_, Self>) {
        let peer = &mut self.peers[peer];
        let from = peer.sent.max(self.confirmed_by_all);
        if peer.confirmed >= from {
            peer.waits_since = cx.now();
        }
        let mut text = b"[".to_vec();
        for entry in self.entries.range(from - self.confirmed_by_all..) {
            if text.len() > MESSAGE_BYTES {
                break;
            }
            if text.len() > 1 {
                text.push(b',');
            }
            text.extend_from_slice(entry.as_bytes());
            peer.sent += 1;
        }
        text.push(b']');
        peer.owes_confirmation = false;
        cx.message(&peer.name, "entries")
            .field("stream", &*self.stream)
            .field("from", from)
            .exact_field("entries", &Raw(&text))
            .field("heard", (&*peer.stream, peer.heard))
            .send()
            .expect(PEER);
    }

    /// What is not confirmed in time is sent again.
    fn resend_later(&mut self, cx: &mut Context<'_, Self>) {
        let is_open = |peer: &Peer| peer.confirmed < peer.sent;
        if self.is_resend_scheduled || !self.peers.iter().any(is_open) {
            return;
        }
        self.is_resend_scheduled = true;
        cx.after(RESEND, move |node: &mut Self, cx| {
            node.is_resend_scheduled = false;
            let now = cx.now();
            for peer in node.peers.iter_mut().filter(|peer| is_open(peer)) {
                if now - peer.waits_since >= RESEND {
                    peer.sent = peer.confirmed;
                }
            }
            node.send_soon(cx);
            node.resend_later(cx);
        });
    }

    /// Takes in what another node sent.
    fn handle_entries(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        only_from_peers(request, cx)?;
        // All of it is read before anything is taken.
        let stream = request.string("stream")?;
        let from = request.typed("from", "a number of entries", index)?;
        let text = request.array("entries")?;
        let entries = request.typed("entries", "an array of entries", entries)?;
        let (heard_of, heard) = request.typed("heard", "a name and a number", |heard| {
            let mut parts = heard.as_array()?;
            Some((parts.next()?.as_str()?, index(parts.next()?)?))
        })?;
        let end = self.end();
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.name == request.src()) else {
            return Ok(());
        };
        if *heard_of == *self.stream && heard <= end {
            if heard > peer.confirmed {
                (peer.confirmed, peer.waits_since) = (heard, cx.now());
            }
            peer.sent = peer.sent.max(heard);
        }
        if *stream != *peer.stream {
            // It has forgotten what it said and what it heard.
            peer.stream = (&*stream).into();
            peer.heard = 0;
        }
        peer.owes_confirmation |= !entries.is_empty();
        let skipped = peer.heard.checked_sub(from);
        if let Some(skipped) = skipped.filter(|skipped| *skipped < entries.len()) {
            let (place, end) = (peer.place, from + entries.len());
            peer.heard = end;
            self.persist(("heard", request.src(), &*stream, end, text), cx);
            let mut learnt: BTreeMap<Box<str>, u64> = BTreeMap::new();
            for entry in entries.into_iter().skip(skipped) {
                if let Entry::Message { key, offset, .. } = &entry {
                    let highest = learnt.entry(key.clone()).or_default();
                    *highest = (*highest).max(*offset);
                }
                self.take(place, entry);
            }
            for (name, offset) in learnt {
                self.rise_above(&name, offset, cx);
            }
        }
        self.forget_confirmed();
        self.send_soon(cx);
        Ok(())
    }

    /// Promises to append above an offset only.
    fn rise_above(&mut self, name: &str, offset: u64, cx: &mut Context<'_, Self>) {
        let (nodes, place) = (self.nodes, self.place);
        let key = self.key(name);
        if key.watermarks[place] <= offset {
            // The first offset above it that is this node's.
            let next = offset + 1;
            let own = next + ((place + nodes - place_of(next, nodes)) % nodes) as u64;
            key.watermarks[place] = own;
            self.push(&[&"w", &name, &own], cx);
        }
    }

    /// Entries that everybody has need not be kept.
    fn forget_confirmed(&mut self) {
        let confirmed = self.peers.iter().map(|peer| peer.confirmed).min().unwrap_or(0);
        while self.confirmed_by_all < confirmed {
            self.entries.pop_front();
            self.confirmed_by_all += 1;
        }
    }
}

impl Key {
    /// Where what may be shown ends: nobody will append below that.
    fn end(&self) -> u64 {
        self.watermarks.iter().copied().min().unwrap_or(0)
    }

    fn raise_watermark(&mut self, place: usize, offset: u64) {
        self.watermarks[place] = self.watermarks[place].max(offset);
    }
}

/// The place of the node that gives an offset.
fn place_of(offset: u64, nodes: usize) -> usize {
    usize::try_from(offset % nodes as u64).expect("it is below a usize")
}

/// An entry of these parts.
fn entry_text(parts: &[&dyn WriteJson]) -> Box<str> {
    let mut text = Vec::new();
    for part in parts {
        text.push(if text.is_empty() { b'[' } else { b',' });
        part.write_json(&mut text);
    }
    text.push(b']');
    String::from_utf8(text).expect("JSON is text").into()
}

/// What a record says.
fn read(record: Value<'_>) -> Option<Record<'_>> {
    let mut parts = record.as_array()?;
    Some(match &*parts.next()?.as_str()? {
        "stream" => Record::Stream {
            stream: parts.next()?.as_str()?.into(),
            confirmed_by_all: index(parts.next()?)?,
            entries: entries(parts.next()?)?,
        },
        "heard" => Record::Heard {
            peer: parts.next()?.as_str()?.into(),
            stream: parts.next()?.as_str()?.into(),
            end: index(parts.next()?)?,
            entries: entries(parts.next()?)?,
        },
        _ => Record::Own(entry(record)?, record.raw()),
    })
}

fn index(value: Value<'_>) -> Option<usize> {
    usize::try_from(value.as_integer()?.as_u64()?).ok()
}

/// An offset: what follows it has to fit, too.
fn offset(value: Value<'_>) -> Option<u64> {
    value.as_integer()?.as_u64().filter(|offset| *offset < 1 << 62)
}

fn offsets(value: Value<'_>) -> Option<Vec<(Box<str>, u64)>> {
    value.as_object()?.map(|(key, value)| Some((key.as_str()?.into(), offset(value)?))).collect()
}

fn strings(value: Value<'_>) -> Option<Vec<Box<str>>> {
    value.as_array()?.map(|key| Some(key.as_str()?.into())).collect()
}

fn entries(value: Value<'_>) -> Option<Vec<Entry<'_>>> {
    value.as_array()?.map(entry).collect()
}

fn entry(value: Value<'_>) -> Option<Entry<'_>> {
    let mut parts = value.as_array()?;
    let (kind, key, offset) =
        (parts.next()?.as_str()?, parts.next()?.as_str()?.into(), offset(parts.next()?)?);
    Some(match &*kind {
        "m" => Entry::Message { key, offset, message: parts.next()? },
        "w" => Entry::Watermark { key, offset },
        "c" => Entry::Committed { key, offset },
        _ => return None,
    })
}
