//! How the nodes of a cluster come to have the same [`Replica`], with few messages and soon.
//!
//! One node is the hub, the others are its leaves. A leaf sends a new value to the hub at once. The hub sends what is
//! new to all leaves in one batch, and at most one batch in the time that [`SPACING`] grants: n values in that time
//! cost n + leaves messages, and a value is everywhere after two latencies and a part of that time. Nothing of this
//! is acknowledged. A leaf knows that its value arrived when it comes back in a batch, sends it along with the next
//! until then, and sees by the batches' numbers if one is missing.
//!
//! Below that is a slow exchange, which needs no hub and bears any loss. Every few seconds a node tells another one
//! by a `digest` how much of each log it has, and how much of that it has had for a while. The other sends what the
//! node lacks and should have by now, and asks for what it lacks itself. A node that has something for longer than
//! that should take, and has not heard that the hub has it, does so every second. So any nodes that can reach each
//! other come to have the same, and a cluster at rest sends next to nothing.
//!
//! | message | fields | what for |
//! | --- | --- | --- |
//! | `values` | `runs`, and perhaps `batch` or `more` | `runs` is what [`Runs`] writes; `batch` the hub's name since its start and the batch's number; `more` that there was no room for all |
//! | `digest` | `have`, `had`, and perhaps `is_in_doubt` | how many values of each log the sender has, and, where that is less, had some seconds ago; in doubt about what the hub has it wants a digest back |
//! | `missing` | `have` | asks for the values beyond these, all of them |
//!
//! A node persists each value that is new to it, and where in whose log it is: that is as long as the set, so it is never
//! made shorter. Without a disk, a node that is killed forgets its values and gets them from the others; those that it
//! had not sent on are lost. The set has no bound, as little as the answer to a read has one; a message holds a quarter
//! megabyte of values, and what does not fit follows.

use std::collections::BTreeSet;

use super::record::{read_record, to_record};
use super::replica::{Replica, Runs, Version, covers, raise, read_runs};
use super::{incarnation, only_from_peers};
use crate::json::value::Value;
use crate::json::write::{Raw, WriteJson, write_in_one_line};
use crate::node::{Context, Handler, Message, Request};
use crate::store::BadRecord;
use crate::time::{Duration, Instant};
use crate::wire::error::RpcError;

/// A node sends one message with new values in this time, on average: the hub a batch to 24 leaves every 192 ms, or to
/// 4 every 32 ms; a leaf whatever came within 8 ms.
const SPACING: Duration = Duration::from_millis(8);

/// A batch may be overtaken by a later one. If it is not there after this time, it is asked for.
const GAP_PATIENCE: Duration = Duration::from_millis(100);

/// A node does whatever is not urgent in this rhythm.
const BEAT: Duration = Duration::from_secs(1);

/// A digest leaves on each of these beats, to the hub and to any node in turn.
const DIGEST_BEATS: u64 = 2;

/// What a node has had for so many beats should have reached everybody. That is enough for latencies of up to half a
/// second; with longer ones nodes send more than they need to, with 3 s nearly twice as much.
const SETTLED_BEATS: usize = 2;

/// A node asks at most this often: several may offer it the same.
const ASK_PAUSE: Duration = Duration::from_millis(500);

/// So many missing batches are remembered. One answer makes up for all of them.
const MISSING_MAX: usize = 64;

/// Why a message can be sent.
const PEER: &str = "it goes to a peer";

/// A workload that spreads values.
pub(super) trait Spreads: Handler {
    fn spread(&mut self) -> &mut Gossip;
}

/// One node's part in it.
#[derive(Debug, Default)]
pub(super) struct Gossip {
    replica: Replica,
    /// The name of this node's own log, which is as old as the log.
    own: Box<str>,
    /// This node's name since its start.
    start: Box<str>,
    /// All nodes but this one.
    peers: Vec<String>,
    role: Role,
    /// When the next values may be sent; a timer runs if there are some.
    not_before: Instant,
    is_scheduled: bool,
    may_ask: Instant,
    beats: u64,
    /// What was here at the last beats, the newest first.
    past: [Version; SETTLED_BEATS + 1],
}

#[derive(Debug)]
enum Role {
    Hub(Hub),
    Leaf(Leaf),
}

#[derive(Debug, Default)]
struct Hub {
    /// What was in batches so far, and how many there were.
    sent: Version,
    batches: u64,
}

#[derive(Debug, Default)]
struct Leaf {
    hub: String,
    /// What the hub is known to have.
    confirmed: Version,
    /// The hub's name since its start. Another one has forgotten everything.
    hub_start: Box<str>,
    /// The number of the next batch, and the earlier ones that did not come.
    next_batch: u64,
    missing: BTreeSet<u64>,
    /// A timer runs, after which it asks for those.
    is_patient: bool,
}

/// A node without peers is a hub without leaves.
impl Default for Role {
    fn default() -> Self {
        Self::Hub(Hub::default())
    }
}

impl Gossip {
    /// Takes part, from `on_init` on. The hub is the node whose name comes first, which all nodes agree on.
    pub(super) fn start<W: Spreads>(&mut self, cx: &mut Context<'_, W>) {
        self.start = incarnation(cx).into();
        if self.own.is_empty() {
            self.own = self.start.clone();
        }
        self.peers = cx.cluster().peers().map(str::to_owned).collect();
        if self.peers.is_empty() {
            return;
        }
        // What was persisted is told by digests to whoever lacks it.
        let recovered = self.replica.version();
        self.role = match self.peers.iter().min().filter(|&hub| **hub < *cx.id()) {
            Some(hub) => Role::Leaf(Leaf { hub: hub.clone(), ..Leaf::default() }),
            None => Role::Hub(Hub { sent: recovered.clone(), batches: 0 }),
        };
        self.past.fill(recovered);
        // Nodes start together, and need not all talk in the same moment of the same beat.
        self.beats = cx.rng().u64(..2 * DIGEST_BEATS);
        let phase = Duration::from_micros(cx.rng().u64(..BEAT.as_micros()));
        cx.after(phase, |_, cx| {
            cx.every(BEAT, |workload: &mut W, cx| workload.spread().beat(cx));
        });
    }

    /// The values, with commas in between, in the order in which they came.
    pub(super) fn text(&self) -> &str {
        self.replica.text()
    }

    /// The values, as a field of a message.
    pub(super) fn values(&self) -> Values<'_> {
        Values(self)
    }

    /// Takes back what was persisted: the name of this node's own log, or a value.
    pub(super) fn recover(&mut self, record: &[u8]) -> Result<(), BadRecord> {
        read_record(record, "the name of a log, or [log, place, value]", |record| {
            if let Some(own) = record.as_str() {
                self.own = own.into();
                return Some(());
            }
            let mut parts = record.as_array()?;
            let (owner, place) = (parts.next()?.as_str()?, parts.next()?.as_integer()?.as_u64()?);
            self.replica.put(&owner, usize::try_from(place).ok()?, parts.next()?.raw());
            Some(())
        })
    }

    /// Adds a value of a client's.
    pub(super) fn add<W: Spreads>(&mut self, value: Value<'_>, cx: &mut Context<'_, W>) {
        if let Some(place) = self.replica.add(&self.own, value.raw()) {
            if place == 0 {
                cx.persist(&to_record(&*self.own));
            }
            cx.persist(&to_record(&(&*self.own, place, value)));
            self.send_soon(cx);
        }
    }

    /// Handles what other nodes send, and refuses everything else.
    pub(super) fn handle<W: Spreads>(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_, W>,
    ) -> Result<(), RpcError> {
        if matches!(request.kind(), "values" | "digest" | "missing") {
            only_from_peers(request, cx)?;
        }
        match request.kind() {
            "values" => self.handle_values(request, cx),
            "digest" => self.handle_digest(request, cx),
            "missing" => {
                let have = version(request, "have")?;
                send_values(&self.replica.beyond(&have), request.src(), cx)
            }
            kind => Err(RpcError::not_supported(kind)),
        }
    }

    /// Sends new values now, or as soon as it may.
    fn send_soon<W: Spreads>(&mut self, cx: &mut Context<'_, W>) {
        if self.peers.is_empty() || self.is_scheduled {
            return;
        }
        let now = cx.now();
        if self.not_before <= now {
            return self.send(cx);
        }
        self.is_scheduled = true;
        cx.after(self.not_before - now, |workload: &mut W, cx| {
            let spread = workload.spread();
            spread.is_scheduled = false;
            spread.send(cx);
        });
    }

    fn send<W: Spreads>(&mut self, cx: &mut Context<'_, W>) {
        let (count, is_cut) = match &mut self.role {
            Role::Hub(hub) => {
                let runs = self.replica.beyond(&hub.sent);
                if runs.is_empty() {
                    return;
                }
                for peer in &self.peers {
                    let message = cx.message(peer, "values").field("batch", (&*self.start, hub.batches));
                    message.exact_field("runs", &runs).send().expect(PEER);
                }
                runs.raise(&mut hub.sent);
                hub.batches += 1;
                (self.peers.len() as u64, runs.is_cut)
            }
            Role::Leaf(leaf) => {
                // What the hub does not have after a while, it is offered by a digest.
                let known = [&leaf.confirmed, &self.past[SETTLED_BEATS]];
                let known = known.into_iter().filter_map(|version| version.get(&*self.own)).max();
                let runs = self.replica.log_from(&self.own, known.copied().unwrap_or(0));
                cx.message(&leaf.hub, "values").exact_field("runs", &runs).send().expect(PEER);
                (1, false)
            }
        };
        self.not_before = cx.now() + Duration::from_micros(SPACING.as_micros().saturating_mul(count));
        if is_cut {
            self.send_soon(cx);
        }
    }

    fn handle_values<W: Spreads>(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_, W>,
    ) -> Result<(), RpcError> {
        // All of it is read before anything is taken.
        let runs = request.typed("runs", "runs of values", read_runs)?;
        let batch = match request.get("batch") {
            Some(_) => Some(request.typed("batch", "a name and a number", batch)?),
            None => None,
        };
        let Self { replica, role, past, .. } = self;
        let mut of_hub = match role {
            Role::Leaf(leaf) if leaf.hub == request.src() => Some(leaf),
            _ => None,
        };
        match (&mut of_hub, batch) {
            (Some(leaf), Some((start, number))) => leaf.note_batch(&start, number),
            (Some(leaf), None) => leaf.missing.clear(),
            (None, _) => {}
        }
        let persist = |owner: &str, place: usize, value: &str| {
            cx.persist(&to_record(&(owner, place, Raw(value.as_bytes()))));
        };
        let is_new = replica.take(&runs, persist, |owner, count| {
            if let Some(leaf) = &mut of_hub {
                raise(&mut leaf.confirmed, owner, count);
            }
        });
        let is_of_hub = of_hub.is_some();
        match role {
            Role::Hub(_) if is_new => self.send_soon(cx),
            Role::Leaf(leaf) if is_of_hub && !leaf.missing.is_empty() && !leaf.is_patient => {
                leaf.is_patient = true;
                cx.after(GAP_PATIENCE, |workload: &mut W, cx| workload.spread().end_patience(cx));
            }
            // Whoever sends this has had it for a while: it need not wait here once more to be handed on.
            Role::Leaf(_) if is_new && !is_of_hub => past.fill(replica.version()),
            Role::Hub(_) | Role::Leaf(_) => {}
        }
        let has_more = request.get("more").and_then(Value::as_bool) == Some(true);
        if is_new && has_more { self.ask(request.src(), cx) } else { Ok(()) }
    }

    fn end_patience<W: Spreads>(&mut self, cx: &mut Context<'_, W>) {
        let Role::Leaf(leaf) = &mut self.role else { return };
        leaf.is_patient = false;
        if !leaf.missing.is_empty() {
            let hub = leaf.hub.clone();
            self.ask(&hub, cx).expect(PEER);
        }
    }

    fn handle_digest<W: Spreads>(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_, W>,
    ) -> Result<(), RpcError> {
        let have = version(request, "have")?;
        let mut had = have.clone();
        had.extend(version(request, "had")?);
        if !covers(&have, &self.past[SETTLED_BEATS]) {
            send_values(&self.replica.beyond(&have), request.src(), cx)?;
        }
        match &mut self.role {
            // Not the larger of both: it may have forgotten.
            Role::Leaf(leaf) if leaf.hub == request.src() => leaf.confirmed = have,
            _ => {}
        }
        if had.iter().any(|(owner, &count)| self.replica.len_of(owner) < count) {
            if cx.now() >= self.may_ask { self.ask(request.src(), cx) } else { Ok(()) }
        } else if request.get("is_in_doubt").is_some() {
            self.digest(request.src(), cx).send()
        } else {
            Ok(())
        }
    }

    /// Asks a node for everything that is not here.
    fn ask<W: Spreads>(&mut self, peer: &str, cx: &mut Context<'_, W>) -> Result<(), RpcError> {
        self.may_ask = cx.now() + ASK_PAUSE;
        cx.message(peer, "missing").field("have", self.replica.version()).send()
    }

    fn beat<W: Spreads>(&mut self, cx: &mut Context<'_, W>) {
        self.beats += 1;
        self.past.rotate_right(1);
        self.past[0] = self.replica.version();
        let any = &self.peers[cx.rng().usize(..self.peers.len())];
        let is_time = self.beats.is_multiple_of(DIGEST_BEATS);
        let Role::Leaf(leaf) = &self.role else {
            if is_time {
                self.digest(any, cx).send().expect(PEER);
            }
            return;
        };
        if !covers(&leaf.confirmed, &self.past[SETTLED_BEATS]) {
            self.digest(&leaf.hub, cx).field("is_in_doubt", true).send().expect(PEER);
            if *any != leaf.hub {
                self.digest(any, cx).send().expect(PEER);
            }
        } else if is_time {
            let is_hubs_turn = (self.beats / DIGEST_BEATS).is_multiple_of(2);
            self.digest(if is_hubs_turn { &leaf.hub } else { any }, cx).send().expect(PEER);
        }
        if !leaf.missing.is_empty() && !leaf.is_patient {
            let hub = leaf.hub.clone();
            self.ask(&hub, cx).expect(PEER);
        }
    }

    fn digest<'m, W: Spreads>(&self, peer: &str, cx: &'m mut Context<'_, W>) -> Message<'m> {
        let (have, settled) = (self.replica.version(), &self.past[SETTLED_BEATS]);
        let mut had = Version::new();
        for (owner, &count) in &have {
            let before = settled.get(owner).copied().unwrap_or(0);
            if before < count {
                had.insert(owner.clone(), before);
            }
        }
        cx.message(peer, "digest").field("have", have).field("had", had)
    }
}

impl Leaf {
    /// A batch came: which ones did not?
    fn note_batch(&mut self, start: &str, number: u64) {
        if *self.hub_start != *start {
            self.hub_start = start.into();
            self.confirmed.clear();
            self.missing.clear();
            self.next_batch = 0;
        }
        if number < self.next_batch {
            self.missing.remove(&number);
        } else {
            self.missing.extend((self.next_batch..number).rev().take(MISSING_MAX));
            self.next_batch = number.saturating_add(1);
            while self.missing.len() > MISSING_MAX {
                self.missing.pop_first();
            }
        }
    }
}

fn send_values<W: Spreads>(runs: &Runs<'_>, peer: &str, cx: &mut Context<'_, W>) -> Result<(), RpcError> {
    let message = cx.message(peer, "values").exact_field("runs", runs);
    if runs.is_cut { message.field("more", true) } else { message }.send()
}

fn batch(value: Value<'_>) -> Option<(Box<str>, u64)> {
    let mut parts = value.as_array()?;
    Some((parts.next()?.as_str()?.into(), parts.next()?.as_integer()?.as_u64()?))
}

fn version(request: &Request<'_>, field: &str) -> Result<Version, RpcError> {
    let read = |value: Value<'_>| {
        let counts = value.as_object()?.map(|(owner, count)| {
            let count = usize::try_from(count.as_integer()?.as_u64()?).ok()?;
            Some((owner.as_str()?.into(), count))
        });
        counts.collect()
    };
    Ok(request.typed(field, "an object of counts", read)?)
}

/// The values, as an array.
#[derive(Debug)]
pub(super) struct Values<'a>(&'a Gossip);

impl WriteJson for Values<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        write_in_one_line(self.0.text().as_bytes(), out);
        out.push(b']');
    }
}
