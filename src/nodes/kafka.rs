//! `kafka`: logs that every node appends to by itself.

use std::collections::{BTreeMap, VecDeque};

use super::{incarnation, only_from_peers};
use crate::json::value::Value;
use crate::json::write::{Raw, WriteJson};
use crate::node::{Context, Handler, Request};
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
/// | `entries` | `start`, `from`, `entries`, `heard` | entries of the sender's stream from that place on; `start` is its name since it was started; `heard` the receiver's name and how many of its entries the sender has |
///
/// It keeps everything in memory: a node that is killed forgets its messages, and what it appends then may have offsets
/// that it gave before. It takes a gigabyte of messages, and refuses more with error 11.
#[derive(Debug, Default)]
pub struct Kafka {
    /// This node's place among the nodes, and how many there are.
    place: u64,
    nodes: u64,
    /// Its name since it was started.
    start: Box<str>,
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
}

/// A key's log.
#[derive(Debug, Default)]
struct Key {
    messages: BTreeMap<u64, Box<str>>,
    /// This node's watermark: where it appends next, or above it.
    own: u64,
    /// The watermark of each peer, as far as it has said.
    others: Vec<u64>,
    committed: Option<u64>,
}

#[derive(Debug)]
struct Peer {
    name: String,
    place: u64,
    /// How many entries of this node's stream were sent to it, and are confirmed.
    sent: usize,
    confirmed: usize,
    /// When something was sent last.
    sent_at: Instant,
    /// Its name since it was started, and how many of its entries are here.
    start: Box<str>,
    heard: usize,
    /// It does not know yet that they are.
    owes_confirmation: bool,
}

/// An entry of another node's stream.
enum Entry<'a> {
    Message { key: Box<str>, offset: u64, message: Value<'a> },
    Watermark { key: Box<str>, offset: u64 },
    Committed { key: Box<str>, offset: u64 },
}

impl Handler for Kafka {
    fn on_init(&mut self, cx: &mut Context<'_, Self>) {
        let id = cx.id().to_owned();
        self.start = incarnation(cx).into();
        let mut names = cx.cluster().nodes().to_vec();
        names.sort_unstable();
        self.nodes = names.len().max(1) as u64;
        self.place = names.iter().position(|name| *name == id).unwrap_or(0) as u64;
        let peer = |(place, name)| Peer {
            name,
            place,
            sent: 0,
            confirmed: 0,
            sent_at: Instant::START,
            start: Box::default(),
            heard: 0,
            owes_confirmation: false,
        };
        self.peers = (0..).zip(names).filter(|(_, name)| *name != id).map(peer).collect();
    }

    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "send" => self.handle_send(request, cx),
            "poll" => self.handle_poll(request, cx),
            "commit_offsets" => {
                for (key, offset) in request.typed("offsets", "an object of offsets", offsets)? {
                    self.commit(&key, offset, true);
                }
                self.send_soon(cx);
                cx.reply(request, "commit_offsets_ok").send()
            }
            "list_committed_offsets" => {
                let keys = request.typed("keys", "an array of strings", strings)?;
                let committed = keys.iter().filter_map(|key| Some((key, self.keys.get(key)?.committed?)));
                let committed: BTreeMap<_, _> = committed.collect();
                cx.reply(request, "list_committed_offsets_ok").field("offsets", &committed).send()
            }
            "entries" => self.handle_entries(request, cx),
            kind => Err(RpcError::not_supported(kind)),
        }
    }
}

impl Kafka {
    fn key(&mut self, name: &str) -> &mut Key {
        if !self.keys.contains_key(name) {
            // A node's first offset is its place, so it need not say that it appends nothing below.
            let others = self.peers.iter().map(|peer| peer.place).collect();
            self.keys.insert(name.into(), Key { own: self.place, others, ..Key::default() });
        }
        self.keys.get_mut(name).expect("it was just inserted")
    }

    fn handle_send(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let (name, message) = (request.string("key")?, request.required("msg")?);
        let length = message.raw().len();
        if self.bytes + length > LOG_BYTES_MAX {
            let text = format!("this node keeps {LOG_BYTES_MAX} bytes of messages, and has them");
            return Err(RpcError::temporarily_unavailable(text));
        }
        self.bytes += length;
        let nodes = self.nodes;
        let key = self.key(&name);
        let offset = key.own;
        key.own = offset + nodes;
        key.messages.insert(offset, message.raw().into());
        self.push(&[&"m", &&*name, &offset, &message]);
        self.send_soon(cx);
        cx.reply(request, "send_ok").field("offset", offset).send()
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

    /// Notes that everything up to an offset is processed. Others are told what a client said here.
    fn commit(&mut self, name: &str, offset: u64, is_own: bool) {
        let key = self.key(name);
        if key.committed < Some(offset) {
            key.committed = Some(offset);
            if is_own {
                self.push(&[&"c", &name, &offset]);
            }
        }
    }

    /// Adds an entry to this node's stream.
    fn push(&mut self, parts: &[&dyn WriteJson]) {
        if self.peers.is_empty() {
            return;
        }
        let mut entry = Vec::new();
        for part in parts {
            entry.push(if entry.is_empty() { b'[' } else { b',' });
            part.write_json(&mut entry);
        }
        entry.push(b']');
        let entry = String::from_utf8(entry).expect("JSON is text");
        self.entries.push_back(entry.into());
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
        peer.sent_at = cx.now();
        peer.owes_confirmation = false;
        cx.message(&peer.name, "entries")
            .field("start", &*self.start)
            .field("from", from)
            .exact_field("entries", &Raw(&text))
            .field("heard", (&*peer.start, peer.heard))
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
                if now - peer.sent_at >= RESEND {
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
        let start = request.string("start")?;
        let from = request.typed("from", "a number of entries", index)?;
        let entries = request.typed("entries", "an array of entries", |entries| {
            entries.as_array()?.map(entry).collect::<Option<Vec<_>>>()
        })?;
        let (heard_of, heard) = request.typed("heard", "a name and a number", |heard| {
            let mut parts = heard.as_array()?;
            Some((parts.next()?.as_str()?, index(parts.next()?)?))
        })?;
        let Some(place) = self.peers.iter().position(|peer| peer.name == request.src()) else {
            return Ok(());
        };
        let end = self.end();
        let peer = &mut self.peers[place];
        if *heard_of == *self.start && heard <= end {
            peer.confirmed = peer.confirmed.max(heard);
            peer.sent = peer.sent.max(heard);
        }
        if *start != *peer.start {
            // It was started anew, and has forgotten what it said and what it heard.
            peer.start = (&*start).into();
            peer.heard = 0;
        }
        peer.owes_confirmation |= !entries.is_empty();
        let skipped = peer.heard.checked_sub(from);
        if let Some(skipped) = skipped.filter(|skipped| *skipped < entries.len()) {
            peer.heard = from + entries.len();
            let mut learnt: BTreeMap<Box<str>, u64> = BTreeMap::new();
            for entry in entries.into_iter().skip(skipped) {
                self.take(place, entry, &mut learnt);
            }
            for (name, offset) in learnt {
                self.rise_above(&name, offset);
            }
        }
        self.forget_confirmed();
        self.send_soon(cx);
        Ok(())
    }

    fn take(&mut self, place: usize, entry: Entry<'_>, learnt: &mut BTreeMap<Box<str>, u64>) {
        let nodes = self.nodes;
        match entry {
            Entry::Message { key: name, offset, message } => {
                let key = self.key(&name);
                key.messages.insert(offset, message.raw().into());
                // A node that is ahead already says nothing more of its watermark: this says it, too.
                key.others[place] = key.others[place].max(offset + nodes);
                let highest = learnt.entry(name).or_default();
                *highest = offset.max(*highest);
            }
            Entry::Watermark { key: name, offset } => {
                let key = self.key(&name);
                key.others[place] = key.others[place].max(offset);
            }
            Entry::Committed { key, offset } => self.commit(&key, offset, false),
        }
    }

    /// Promises to append above an offset only.
    fn rise_above(&mut self, name: &str, offset: u64) {
        let (nodes, place) = (self.nodes, self.place);
        let key = self.key(name);
        if key.own <= offset {
            // The first offset above it that is this node's.
            let next = offset + 1;
            key.own = next + (place + nodes - next % nodes) % nodes;
            let own = key.own;
            self.push(&[&"w", &name, &own]);
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
        self.others.iter().copied().fold(self.own, u64::min)
    }
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
