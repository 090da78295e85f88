//! `g-counter` by Maelstrom's service `seq-kv` alone, as the fourth of the Gossip Glomers exercises asks.
//!
//! Each node keeps its own total under a key of its own, so no two nodes ever change the same key. What is added while
//! a change is under way goes into the next one together.
//!
//! The service shows everybody the same order of changes, but whoever only reads may be shown an old state. Whoever
//! changes something has seen the newest one: so a read changes something first, and reads all totals then.
//!
//! Nobody knows what became of a change without an answer, and it may happen yet. Each change is a compare-and-set from
//! one total to another that never was there, so it happens once, however often it is tried.

use std::mem;

use futures_util::future::try_join_all;

use super::{incarnation, service_patience};
use crate::json::value::Value;
use crate::kv::{Cas, Kv, Seq};
use crate::node::{CallError, Config, Context, Deferred, Handle, Handler, Request};
use crate::time::Duration;
use crate::wire::error::{ErrorCode, RpcError};

/// Maximum requests that wait; more are refused with code 11.
const WAITING_MAX: usize = 10_000;

/// After the service did not answer.
const PAUSE: Duration = Duration::from_millis(100);

/// See the [module](self).
#[derive(Debug)]
pub struct SeqKvCounter {
    /// How long an answer of the service may take.
    patience: Duration,
    adds: Vec<(Deferred, i64)>,
    reads: Vec<Deferred>,
    /// A task works on what came before these.
    is_busy: bool,
    /// This node's name since its start.
    life: String,
    /// Its own total, unless that is unknown.
    own: Option<Total>,
    /// Counts what was written for the sake of reads.
    marks: u64,
}

/// How much a node added, and in which life it did so last: the node's last life may have tried to add as much, and
/// its change may happen late.
type Total = (i64, String);

impl SeqKvCounter {
    /// A node that answers within this time, if the service takes less than half of it.
    pub const fn new(answer_within: Duration) -> Self {
        Self {
            patience: service_patience(answer_within),
            adds: Vec::new(),
            reads: Vec::new(),
            is_busy: false,
            life: String::new(),
            own: None,
            marks: 0,
        }
    }
}

/// Answers within the time that a node has by default.
impl Default for SeqKvCounter {
    fn default() -> Self {
        Self::new(Config::default().answer_within)
    }
}

impl Handler for SeqKvCounter {
    fn on_init(&mut self, cx: &mut Context<'_, Self>) {
        self.life = incarnation(cx);
    }

    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        if self.adds.len() + self.reads.len() >= WAITING_MAX {
            let text = format!("{WAITING_MAX} requests wait, which is the limit");
            return Err(RpcError::temporarily_unavailable(text));
        }
        match request.kind() {
            "add" => {
                let not_negative = |delta: Value<'_>| delta.as_i64().filter(|&delta| delta >= 0);
                let delta = request.typed("delta", "an integer of 64 bits, not negative", not_negative)?;
                self.adds.push((cx.defer(request), delta));
            }
            "read" => self.reads.push(cx.defer(request)),
            kind => return Err(RpcError::not_supported(kind)),
        }
        if !self.is_busy {
            cx.spawn(Self::work)?;
            self.is_busy = true;
        }
        Ok(())
    }
}

impl SeqKvCounter {
    /// Works on what waits until nothing does.
    async fn work(node: Handle<Self>) -> Result<(), RpcError> {
        loop {
            let (adds, reads) = node.with(Self::take_waiting).await;
            if adds.is_empty() && reads.is_empty() {
                return Ok(());
            }
            let delta = adds.iter().map(|&(_, delta)| i128::from(delta)).sum();
            let added = if delta > 0 { Self::add(&node, delta).await } else { Ok(()) };
            node.with(move |_, cx| {
                for (client, _) in adds {
                    match &added {
                        Ok(()) => drop(cx.answer(client, "add_ok").send()),
                        Err(error) => cx.answer_error(client, error),
                    }
                }
            })
            .await;
            if !reads.is_empty() {
                let value = Self::read(&node).await;
                node.with(move |_, cx| {
                    for client in reads {
                        match &value {
                            Ok(value) => drop(cx.answer(client, "read_ok").field("value", value).send()),
                            Err(error) => cx.answer_error(client, &error.clone().into()),
                        }
                    }
                })
                .await;
            }
        }
    }

    fn take_waiting(&mut self, _: &mut Context<'_, Self>) -> (Vec<(Deferred, i64)>, Vec<Deferred>) {
        self.is_busy = !(self.adds.is_empty() && self.reads.is_empty());
        (mem::take(&mut self.adds), mem::take(&mut self.reads))
    }

    /// Adds to this node's own total. It is tried until it is certain, since what comes next begins where it ends.
    async fn add(node: &Handle<Self>, delta: i128) -> Result<(), RpcError> {
        let (kv, _) = Self::service(node).await;
        let (key, life, known) =
            node.with(|this: &mut Self, cx| (total_key(cx.id()), this.life.clone(), this.own.take())).await;
        let mut own = match known {
            Some(total) => total,
            None => Self::newest_total(node, &key).await,
        };
        loop {
            let Ok(total) = i64::try_from(i128::from(own.0) + delta) else {
                return Err(RpcError::new(ErrorCode::ABORT, "the total is beyond 64 bits"));
            };
            let to = (total, life.clone());
            if kv.cas_or_create(&key, &own, &to).await != Ok(Cas::Swapped) {
                // Its answer was lost, or somebody else was faster: this node's last life.
                own = Self::newest_total(node, &key).await;
                if own != to {
                    continue;
                }
            }
            node.with(move |this: &mut Self, _| this.own = Some(to)).await;
            return Ok(());
        }
    }

    /// What this node added, as the service has it now.
    async fn newest_total(node: &Handle<Self>, key: &str) -> Total {
        loop {
            if Self::change(node).await.is_ok()
                && let (_, reader) = Self::service(node).await
                && let Ok(total) = reader.read_or(key, Total::default()).await
            {
                return total;
            }
            node.sleep(PAUSE).await;
        }
    }

    /// The sum of all totals, no older than this call.
    async fn read(node: &Handle<Self>) -> Result<i128, CallError> {
        Self::change(node).await?;
        let nodes = node.with(|_, cx| cx.cluster().nodes().to_vec()).await;
        let (_, reader) = Self::service(node).await;
        let totals = nodes.iter().map(|name| reader.read_or(total_key(name), Total::default()));
        Ok(try_join_all(totals).await?.into_iter().map(|(total, _)| i128::from(total)).sum())
    }

    /// Changes something, so that what is read then is the newest. To write what is there already would change nothing,
    /// and may be done to an old state.
    async fn change(node: &Handle<Self>) -> Result<(), CallError> {
        let next_mark = |this: &mut Self, cx: &mut Context<'_, Self>| {
            this.marks += 1;
            (format!("mark of {}", cx.id()), format!("{} {}", this.life, this.marks))
        };
        let (key, mark) = node.with(next_mark).await;
        Self::service(node).await.0.write(key, mark).await
    }

    /// The service, for changes and for reads: each attempt may take as long.
    async fn service(node: &Handle<Self>) -> (Kv<Seq, Self>, Kv<Seq, Self>) {
        let patience = node.with(|this: &mut Self, _| this.patience).await;
        let reads = patience + patience + patience;
        (Kv::new(node).within(patience), Kv::new(node).within(reads))
    }
}

fn total_key(node: &str) -> String {
    format!("total of {node}")
}
