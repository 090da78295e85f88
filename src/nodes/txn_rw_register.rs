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
//! A node that is killed forgets everything, and learns of a key again when it is written again.

use std::collections::BTreeMap;

use super::only_from_peers;
use super::txn::{Answered, MicroOp, Raw, read_txn};
use crate::json::value::Value;
use crate::node::{Context, Handler, Request};
use crate::rpc::retry::Policy;
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
    peers: Vec<Peer>,
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
    /// The last own write of each key that it has not acknowledged.
    unsent: BTreeMap<Box<str>, (u64, Box<str>)>,
    /// A batch is under way.
    is_busy: bool,
}

impl Handler for TxnRwRegister {
    fn on_init(&mut self, cx: &mut Context<'_, Self>) {
        let own = cx.id().to_owned();
        let peers = cx.cluster().nodes().iter().enumerate().filter(|(_, name)| **name != own);
        self.peers = peers
            .map(|(place, name)| Peer { name: name.clone(), place, unsent: BTreeMap::new(), is_busy: false })
            .collect();
        if !self.peers.is_empty() {
            cx.every(BEAT, Self::beat);
        }
    }

    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "txn" => {
                let ops = read_txn(request, "w")?;
                let place = cx.cluster().nodes().iter().position(|name| name == cx.id()).unwrap_or_default();
                let reads = self.run(&ops, place);
                cx.reply(request, "txn_ok")
                    .exact_field("txn", &Answered { ops: &ops, reads, write: "w" })
                    .send()
            }
            "writes" => {
                only_from_peers(request, cx)?;
                let writes = request.typed("writes", "an array of [key, [clock, value]]", writes)?;
                let sender = self.peers.iter().find(|peer| peer.name == request.src());
                let place = sender.map(|peer| peer.place).unwrap_or_default();
                for (key, clock, value) in writes {
                    self.clock = self.clock.max(clock);
                    self.take(key, (clock, place), value);
                }
                cx.reply(request, "writes_ok").send()
            }
            kind => Err(RpcError::not_supported(kind)),
        }
    }
}

impl TxnRwRegister {
    /// Does a transaction; what its reads found.
    fn run(&mut self, ops: &[MicroOp], place: usize) -> Vec<Box<str>> {
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
        if !written.is_empty() {
            self.clock += 1;
        }
        for (key, value) in written {
            self.take(key.into(), (self.clock, place), value.into());
            for peer in &mut self.peers {
                peer.unsent.insert(key.into(), (self.clock, value.into()));
            }
        }
        reads
    }

    fn take(&mut self, key: Box<str>, stamp: Stamp, value: Box<str>) {
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
            let writes: Vec<(Raw<'_>, (u64, Raw<'_>))> =
                peer.unsent.iter().map(|(key, (clock, value))| (Raw(key), (*clock, Raw(value)))).collect();
            let sent: Vec<(Box<str>, u64)> =
                peer.unsent.iter().map(|(key, (clock, _))| (key.clone(), *clock)).collect();
            let call =
                cx.call(&peer.name, "writes").exact_field("writes", &writes).policy(Policy::once(PATIENCE));
            peer.is_busy = call
                .then(move |node: &mut Self, outcome, _| {
                    let peer = &mut node.peers[index];
                    peer.is_busy = false;
                    if outcome.is_ok() {
                        // What was written meanwhile stays.
                        for (key, clock) in sent {
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

type Write = (Box<str>, u64, Box<str>);

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
