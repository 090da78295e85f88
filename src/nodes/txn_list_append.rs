//! `txn-list-append`: transactions over lists, strictly serializable by one log that all nodes share.
//!
//! The log is a row of keys in the service `lin-kv`, which everybody can reach. A node puts a batch of transactions into
//! the first slot that is free, by a compare-and-set that only succeeds where nothing is; the order of the slots is the
//! order of all transactions. A node that loses the race learns what is in the slot, does it on its own copy, and tries
//! the next one at once: appends do not depend on what was before them. Its own batch it does when its slot is certain,
//! and answers. Transactions that only read need no slot: if the next one is still free after they came, the node's copy is
//! the newest state.
//!
//! A compare-and-set without an answer may have succeeded, or may do so yet; the node asks for the slot, and finds its own
//! name there, or another's, or tries the same again. It never goes to the next slot before, so a batch is in the log once.
//! A node that was killed reads the log from the start, many slots at a time: whatever it would persist is there already.
//!
//! | message | fields | what for |
//! | --- | --- | --- |
//! | `slot` | `place`, `batch` | to the other nodes, which need not ask the service for it then |

use std::collections::{BTreeMap, VecDeque};

use super::txn::{Answered, MicroOp, read_txn};
use super::{incarnation, only_from_peers, service_patience};
use crate::json::value::Value;
use crate::json::write::WriteJson;
use crate::node::{CallError, Config, Context, Deferred, Handler, Request};
use crate::rpc::retry::Policy;
use crate::time::Duration;
use crate::wire::error::{ErrorCode, RpcError};

const SERVICE: &str = "lin-kv";

/// After the service refused something else than expected.
const PAUSE: Duration = Duration::from_millis(100);

/// Transactions in one slot at most.
const BATCH_MAX: usize = 256;

/// Transactions that wait at most; more are refused with code 11.
const WAITING_MAX: usize = 10_000;

/// Slots that are known before their turn at most; the others are asked for.
const AHEAD_MAX: usize = 1_000;

/// So many slots are looked at together before the end of the log is found.
const WINDOW: u64 = 64;

/// See the [module](self).
#[derive(Debug)]
pub struct TxnListAppend {
    /// How long an answer of the service may take before the slot is looked at.
    patience: Duration,
    lists: BTreeMap<Box<str>, Vec<Box<str>>>,
    /// The first slot that is not in `lists`.
    next: u64,
    /// Slots that came from other nodes before their turn.
    ahead: BTreeMap<u64, Appends>,
    waiting: VecDeque<Waiting>,
    /// What is to be put into the next slot, and its name in the log.
    batch: Vec<Waiting>,
    name: String,
    /// A batch is under way.
    is_busy: bool,
    own: String,
    batches: u64,
    /// Whether the log was read to its end once.
    is_caught_up: bool,
    /// Until then: the first slot that was not looked at.
    looked_until: u64,
}

#[derive(Debug)]
struct Waiting {
    client: Deferred,
    ops: Vec<MicroOp>,
}

impl TxnListAppend {
    /// A node that answers within this time, if the service takes less than half of it.
    pub fn new(answer_within: Duration) -> Self {
        Self {
            patience: service_patience(answer_within),
            lists: BTreeMap::new(),
            next: 0,
            ahead: BTreeMap::new(),
            waiting: VecDeque::new(),
            batch: Vec::new(),
            name: String::new(),
            is_busy: false,
            own: String::new(),
            batches: 0,
            is_caught_up: false,
            looked_until: 0,
        }
    }
}

/// Answers within the time that a node has by default.
impl Default for TxnListAppend {
    fn default() -> Self {
        Self::new(Config::default().answer_within)
    }
}

impl Handler for TxnListAppend {
    fn on_init(&mut self, cx: &mut Context<'_, Self>) {
        self.own = incarnation(cx);
    }

    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "txn" => {
                let ops = read_txn(request, "append")?;
                if self.waiting.len() >= WAITING_MAX {
                    let text = format!("{WAITING_MAX} transactions wait, which is the limit");
                    return Err(RpcError::temporarily_unavailable(text));
                }
                self.waiting.push_back(Waiting { client: cx.defer(request), ops });
                self.begin(cx);
                Ok(())
            }
            "slot" => {
                only_from_peers(request, cx)?;
                let place = request.typed("place", "a number", |place| place.as_integer()?.as_u64())?;
                let (_, appends) = request.typed("batch", "an object with by and appends", read_batch)?;
                if place >= self.next && self.ahead.len() < AHEAD_MAX {
                    self.ahead.insert(place, appends);
                }
                if !self.is_busy {
                    self.use_ahead();
                }
                Ok(())
            }
            kind => Err(RpcError::not_supported(kind)),
        }
    }
}

impl TxnListAppend {
    /// Takes the next batch in hand, if none is.
    fn begin(&mut self, cx: &mut Context<'_, Self>) {
        if self.is_busy || self.waiting.is_empty() {
            return;
        }
        self.is_busy = true;
        let count = self.waiting.len().min(BATCH_MAX);
        self.batch = self.waiting.drain(..count).collect();
        self.batches += 1;
        self.name = format!("{}-{}", self.own, self.batches);
        self.advance(cx);
    }

    /// Tries the next slot for the batch.
    fn advance(&mut self, cx: &mut Context<'_, Self>) {
        self.use_ahead();
        if !self.is_caught_up {
            self.look_ahead(cx);
        }
        if !self.is_caught_up || self.only_reads() {
            return self.look(cx);
        }
        let call = cx
            .call(SERVICE, "cas")
            .field("key", slot(self.next))
            .field("from", None::<i64>)
            .exact_field("to", &Batch { name: &self.name, waiting: &self.batch })
            .field("create_if_not_exists", true)
            .policy(Policy::once(self.patience));
        let sent = call.then(|node: &mut Self, outcome, cx| match outcome {
            Ok(_) => node.finish(cx),
            // Another node was first, and told so.
            Err(_) if node.ahead.contains_key(&node.next) => node.advance(cx),
            // Whatever it was, the slot tells.
            Err(_) => node.look(cx),
        });
        if sent.is_err() {
            Self::pause(cx);
        }
    }

    /// Asks what is in the next slot.
    fn look(&mut self, cx: &mut Context<'_, Self>) {
        let call = cx.call(SERVICE, "read").field("key", slot(self.next)).policy(Policy::once(self.patience));
        let sent = call.then(|node: &mut Self, outcome, cx| {
            let batch = match outcome {
                Ok(reply) => reply.body.get("value").and_then(read_batch),
                Err(CallError::Remote { error, .. }) if error.code == ErrorCode::KEY_DOES_NOT_EXIST => {
                    return node.found_end(cx);
                }
                Err(_) => None,
            };
            match batch {
                Some((name, _)) if name == node.name => node.finish(cx),
                Some((_, appends)) => {
                    node.take(appends);
                    node.advance(cx);
                }
                None => Self::pause(cx),
            }
        });
        if sent.is_err() {
            Self::pause(cx);
        }
    }

    /// Asks what is in the slots after the next one.
    fn look_ahead(&mut self, cx: &mut Context<'_, Self>) {
        if self.next < self.looked_until {
            return;
        }
        self.looked_until = self.next + WINDOW;
        for place in self.next + 1..self.looked_until {
            let call = cx.call(SERVICE, "read").field("key", slot(place)).policy(Policy::once(self.patience));
            // Those that are not answered are asked for in their turn.
            let _ = call.then(move |node: &mut Self, outcome, _| {
                let batch = outcome.ok().and_then(|reply| read_batch(reply.body.get("value")?));
                if let Some((_, appends)) = batch.filter(|(name, _)| *name != node.name) {
                    node.ahead.insert(place, appends);
                }
            });
        }
    }

    /// The next slot is free: this node knows everything that was done before it asked.
    fn found_end(&mut self, cx: &mut Context<'_, Self>) {
        self.is_caught_up = true;
        if self.only_reads() { self.answer(cx) } else { self.advance(cx) }
    }

    fn only_reads(&self) -> bool {
        self.batch.iter().flat_map(|waiting| &waiting.ops).all(|op| op.write.is_none())
    }

    fn pause(cx: &mut Context<'_, Self>) {
        cx.after(PAUSE, |node: &mut Self, cx| node.look(cx));
    }

    /// The batch has its slot.
    fn finish(&mut self, cx: &mut Context<'_, Self>) {
        let batch = Batch { name: &self.name, waiting: &self.batch };
        let peers: Vec<String> = cx.cluster().peers().map(str::to_owned).collect();
        for peer in &peers {
            let message = cx.message(peer, "slot").field("place", self.next).exact_field("batch", &batch);
            message.send().expect("it goes to a peer");
        }
        self.next += 1;
        self.answer(cx);
    }

    /// Does the batch, answers it, and goes on with the next.
    fn answer(&mut self, cx: &mut Context<'_, Self>) {
        for Waiting { client, ops } in std::mem::take(&mut self.batch) {
            let mut reads = Vec::new();
            for MicroOp { key, write } in &ops {
                match write {
                    Some(element) => self.lists.entry(key.clone()).or_default().push(element.clone()),
                    None => reads.push(match self.lists.get(key) {
                        Some(elements) => format!("[{}]", elements.join(",")).into(),
                        None => "null".into(),
                    }),
                }
            }
            let answered = Answered { ops: &ops, reads, write: "append" };
            // One that comes too late is dropped, and the client is told nothing.
            let _ = cx.answer(client, "txn_ok").exact_field("txn", &answered).send();
        }
        self.is_busy = false;
        self.begin(cx);
    }

    fn take(&mut self, appends: Vec<(Box<str>, Box<str>)>) {
        for (key, element) in appends {
            self.lists.entry(key).or_default().push(element);
        }
        self.next += 1;
    }

    /// Does what other nodes told of the next slots.
    fn use_ahead(&mut self) {
        while let Some(appends) = self.ahead.remove(&self.next) {
            self.take(appends);
        }
        self.ahead = self.ahead.split_off(&self.next);
    }
}

fn slot(place: u64) -> String {
    format!("txn-list-append/{place}")
}

/// What is in a slot: whose it is, and its appends in their order.
struct Batch<'a> {
    name: &'a str,
    waiting: &'a [Waiting],
}

impl WriteJson for Batch<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"by\":");
        self.name.write_json(out);
        out.extend_from_slice(b",\"appends\":[");
        let mut is_first = true;
        for MicroOp { key, write } in self.waiting.iter().flat_map(|waiting| &waiting.ops) {
            let Some(element) = write else { continue };
            if !std::mem::take(&mut is_first) {
                out.push(b',');
            }
            for (before, text) in [(b'[', key), (b',', element)] {
                out.push(before);
                out.extend_from_slice(text.as_bytes());
            }
            out.push(b']');
        }
        out.extend_from_slice(b"]}");
    }
}

type Appends = Vec<(Box<str>, Box<str>)>;

fn read_batch(batch: Value<'_>) -> Option<(String, Appends)> {
    let (mut name, mut appends) = (None, None);
    for (key, value) in batch.as_object()? {
        match &*key.as_str()? {
            "by" => name = Some(value.as_str()?.into_owned()),
            "appends" => {
                let read = |append: Value<'_>| {
                    let mut parts = append.as_array()?;
                    Some((parts.next()?.raw().into(), parts.next()?.raw().into()))
                };
                appends = Some(value.as_array()?.map(read).collect::<Option<_>>()?);
            }
            _ => {}
        }
    }
    Some((name?, appends?))
}
