//! `txn-rw-register`: transactions over registers, on every node at once whoever else can be reached.
//!
//! A node does a whole transaction on its own copy, at one moment, and answers. Its writes get a stamp, a Lamport clock
//! and the node's place among all, and go to the others in batches that are acknowledged and sent again until they are;
//! of two writes of a key the one with the larger stamp stays. A node that is told of a stamp raises its clock above it
//! first of all, so what it does afterwards comes later. Hence what overwrites or reads has the larger stamp, and there
//! is no circle of that; nothing fails, so nothing of a failure is seen; only the last write of a key leaves a node, and a
//! transaction's writes leave and are taken together: read atomic. More cannot be had without asking anybody.
//!
//! | message | fields | what for |
//! | --- | --- | --- |
//! | `writes` | `writes`: `[key, [clock, value]]` each | what the sender wrote and the receiver has not acknowledged |
//!
//! A node persists what it writes and what it is told. What others acknowledged is not, so after a restart it sends them its
//! own writes again, which changes nothing where they are known. Without a disk, a node that is killed forgets everything,
//! and learns of a key again when it is written again.

use std::collections::BTreeMap;
use std::mem;

use super::only_from_peers;
use super::record::{LogLength, read_record, to_record};
use super::txn::{Answered, MicroOp, Raw, read_txn};
use crate::json::value::Value;
use crate::json::write::WriteJson;
use crate::node::{Context, Handler, Request};
use crate::rpc::retry::Policy;
use crate::store::BadRecord;
use crate::time::Duration;
use crate::wire::error::RpcError;

/// How often a node sends what is new.
const BEAT: Duration = Duration::from_millis(50);

/// How long it waits for the acknowledgement before it sends again, with whatever came meanwhile.
const PATIENCE: Duration = Duration::from_millis(500);

/// See the [module](self).
#[derive(Debug, Default)]
pub struct TxnRwRegister {
    registers: BTreeMap<Box<str>, Register>,
    clock: u64,
    /// This node's place among all nodes.
    place: usize,
    peers: Vec<Peer>,
    /// The last own write of each key that was persisted, before it is known who the others are.
    recovered: Unsent,
    log: LogLength,
}

#[derive(Debug)]
struct Register {
    stamp: Stamp,
    value: Box<str>,
}

/// Clock and place of whoever wrote it.
type Stamp = (u64, usize);

#[derive(Debug)]
struct Peer {
    name: String,
    /// Its place among all nodes.
    place: usize,
    unsent: Unsent,
    /// A batch is under way.
    is_busy: bool,
}

/// The last own write of each key that a peer has not acknowledged: its clock and its value.
type Unsent = BTreeMap<Box<str>, (u64, Box<str>)>;

impl Handler for TxnRwRegister {
    fn on_init(&mut self, cx: &mut Context<'_, Self>) {
        let unsent = mem::take(&mut self.recovered);
        for (place, name) in cx.cluster().nodes().iter().enumerate() {
            if name == cx.id() {
                self.place = place;
            } else {
                self.peers.push(Peer { name: name.clone(), place, unsent: unsent.clone(), is_busy: false });
            }
        }
        if !self.peers.is_empty() {
            cx.every(BEAT, Self::beat);
        }
    }

    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let handled = match request.kind() {
            "txn" => {
                let ops = read_txn(request, "w")?;
                let reads = self.run(&ops, cx);
                cx.reply(request, "txn_ok")
                    .exact_field("txn", &Answered { ops: &ops, reads, write: "w" })
                    .send()
            }
            "writes" => {
                only_from_peers(request, cx)?;
                let writes = request.typed("writes", "an array of [key, [clock, value]]", writes)?;
                let sender = self.peers.iter().find(|peer| peer.name == request.src());
                let place = sender.map(|peer| peer.place).unwrap_or_default();
                self.persist(false, place, &writes, cx);
                for (key, clock, value) in writes {
                    self.take(key, (clock, place), value);
                }
                cx.reply(request, "writes_ok").send()
            }
            kind => Err(RpcError::not_supported(kind)),
        };
        if self.log.is_due() {
            self.persist_snapshot(cx);
        }
        handled
    }

    fn recover(&mut self, record: &[u8]) -> Result<(), BadRecord> {
        self.log.add(record);
        let (is_own, place, writes) =
            read_record(record, "[whether they are own, whose place, writes]", |record| {
                let mut parts = record.as_array()?;
                let (is_own, place) = (parts.next()?.as_bool()?, parts.next()?.as_integer()?.as_u64()?);
                Some((is_own, usize::try_from(place).ok()?, writes(parts.next()?)?))
            })?;
        for (key, clock, value) in writes {
            if is_own {
                self.recovered.insert(key.clone(), (clock, value.clone()));
            }
            self.take(key, (clock, place), value);
        }
        Ok(())
    }
}

impl TxnRwRegister {
    /// Does a transaction; what its reads found.
    fn run(&mut self, ops: &[MicroOp], cx: &mut Context<'_, Self>) -> Vec<Box<str>> {
        let mut written: BTreeMap<&str, &str> = BTreeMap::new();
        let mut reads = Vec::new();
        for MicroOp { key, write } in ops {
            if let Some(value) = write {
                written.insert(key, value);
            } else {
                let own = written.get(&**key).copied();
                let known = own.or_else(|| self.registers.get(key).map(|register| &*register.value));
                reads.push(known.unwrap_or("null").into());
            }
        }
        if written.is_empty() {
            return reads;
        }
        let clock = self.clock + 1;
        let writes: Vec<Write> =
            written.into_iter().map(|(key, value)| (key.into(), clock, value.into())).collect();
        self.persist(true, self.place, &writes, cx);
        for (key, clock, value) in writes {
            for peer in &mut self.peers {
                peer.unsent.insert(key.clone(), (clock, value.clone()));
            }
            self.take(key, (clock, self.place), value);
        }
        reads
    }

    fn persist(&mut self, is_own: bool, place: usize, writes: &[Write], cx: &mut Context<'_, Self>) {
        let record = to_record(&(is_own, place, Writes(writes)));
        self.log.add(&record);
        cx.persist(&record);
    }

    /// Begins a new log with all registers, and with the own writes that somebody has not acknowledged.
    fn persist_snapshot(&mut self, cx: &mut Context<'_, Self>) {
        let unsent: Unsent = self.peers.iter().flat_map(|peer| peer.unsent.clone()).collect();
        let unsent: Vec<Write> =
            unsent.into_iter().map(|(key, (clock, value))| (key, clock, value)).collect();
        let record = to_record(&(true, self.place, Writes(&unsent)));
        cx.snapshot(&record);
        let mut length = record.len();
        let mut by_place: BTreeMap<usize, Vec<Write>> = BTreeMap::new();
        for (key, Register { stamp: (clock, place), value }) in &self.registers {
            by_place.entry(*place).or_default().push((key.clone(), *clock, value.clone()));
        }
        for (place, writes) in by_place {
            let record = to_record(&(false, place, Writes(&writes)));
            cx.persist(&record);
            length += record.len();
        }
        self.log.restart(length);
    }

    fn take(&mut self, key: Box<str>, stamp: Stamp, value: Box<str>) {
        self.clock = self.clock.max(stamp.0);
        let known =
            self.registers.entry(key).or_insert_with(|| Register { stamp: (0, 0), value: "null".into() });
        if stamp > known.stamp {
            *known = Register { stamp, value };
        }
    }

    fn beat(&mut self, cx: &mut Context<'_, Self>) {
        for index in 0..self.peers.len() {
            let peer = &mut self.peers[index];
            if peer.is_busy || peer.unsent.is_empty() {
                continue;
            }
            let unsent = peer.unsent.iter();
            let sent: Vec<Write> =
                unsent.map(|(key, (clock, value))| (key.clone(), *clock, value.clone())).collect();
            let call = cx.call(&peer.name, "writes").exact_field("writes", &Writes(&sent));
            let call = call.policy(Policy::once(PATIENCE));
            peer.is_busy = call
                .then(move |node: &mut Self, outcome, _| {
                    let peer = &mut node.peers[index];
                    peer.is_busy = false;
                    if outcome.is_ok() {
                        // What was written meanwhile stays.
                        for (key, clock, _) in sent {
                            if peer.unsent.get(&key).is_some_and(|(newest, _)| *newest == clock) {
                                peer.unsent.remove(&key);
                            }
                        }
                    }
                })
                .is_ok();
        }
    }
}

/// A key, the clock of whoever wrote it, and the value.
type Write = (Box<str>, u64, Box<str>);

/// As `[[key, [clock, value]], …]`.
struct Writes<'a>(&'a [Write]);

impl WriteJson for Writes<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        let writes = self.0.iter().map(|(key, clock, value)| (Raw(key), (*clock, Raw(value))));
        writes.collect::<Vec<_>>().write_json(out);
    }
}

fn writes(value: Value<'_>) -> Option<Vec<Write>> {
    value
        .as_array()?
        .map(|write| {
            let mut parts = write.as_array()?;
            let key = parts.next()?.raw().into();
            let mut rest = parts.next()?.as_array()?;
            let clock = rest.next()?.as_integer()?.as_u64()?;
            Some((key, clock, rest.next()?.raw().into()))
        })
        .collect()
}
