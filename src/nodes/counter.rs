//! `g-counter` and `pn-counter`: a sum that every node adds to.

use std::collections::BTreeMap;

use super::record::{read_record, to_record};
use super::{incarnation, only_from_peers};
use crate::json::value::Value;
use crate::json::write::WriteJson;
use crate::node::{Context, Handler, Request};
use crate::store::BadRecord;
use crate::time::Duration;
use crate::wire::error::RpcError;

/// How often a node that has news tells one of the others, taken at random. News reaches twice as many nodes each
/// time, or more.
const BEAT: Duration = Duration::from_millis(500);

/// Having heard nothing new for so many beats, a node no longer talks on each of them.
const LIVELY_BEATS: u32 = 4;

/// Then it does so on each of these.
const QUIET_BEATS: u32 = 4;

/// A counter of which every node has its own part (a PN-counter, a CRDT).
///
/// A node adds to its own two totals only, one of what was added and one of what was taken away, and is answered at
/// once. Both only grow, so of two versions of a total the larger is the newer, whichever comes last: messages may be
/// lost, come twice or out of order, and partitions last as long as they like. The value is the sum over all nodes.
/// Nodes tell each other at random what they know, more rarely if nothing is new.
///
/// A node persists its own totals, under its name: all that was before is in the newest, so its log is one record long. The
/// others' totals come back from them. Without a disk, a node that is killed takes what it had not told yet with it, and
/// counts under a new name afterwards; what it had told stays. A request that comes twice counts twice, unless the node
/// runs with [`dedup`](crate::Config::dedup).
#[derive(Debug)]
pub struct Counter {
    /// Whether deltas may be negative.
    may_fall: bool,
    /// Whose totals are this node's own.
    own: Box<str>,
    totals: Totals,
    peers: Vec<String>,
    /// Beats since something was new.
    quiet: u32,
}

type Totals = BTreeMap<Box<str>, Total>;

/// No node adds more than this: so many deltas of 64 bits do not come in the life of a node.
const TOTAL_MAX: u128 = 1 << 100;

/// What was added and what was taken away. Both are sums of 64-bit integers, too many to count of which fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Total {
    added: u128,
    taken: u128,
}

impl Counter {
    /// A node for `g-counter`: it only grows, and a negative delta is an error of code 12.
    pub fn growing() -> Self {
        Self::new(false)
    }

    /// A node for `pn-counter`.
    pub fn any() -> Self {
        Self::new(true)
    }

    fn new(may_fall: bool) -> Self {
        Self { may_fall, own: Box::default(), totals: Totals::new(), peers: Vec::new(), quiet: 0 }
    }

    /// The sum of all that this node knows of.
    pub fn value(&self) -> i128 {
        self.totals
            .values()
            .fold(0, |sum, total| sum.wrapping_add_unsigned(total.added).wrapping_sub_unsigned(total.taken))
    }
}

impl Handler for Counter {
    fn on_init(&mut self, cx: &mut Context<'_, Self>) {
        if self.own.is_empty() {
            self.own = incarnation(cx).into();
        }
        self.peers = cx.cluster().peers().map(str::to_owned).collect();
        if !self.peers.is_empty() {
            cx.every(BEAT, Self::beat);
        }
    }

    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        if matches!(request.kind(), "totals" | "news") {
            only_from_peers(request, cx)?;
        }
        match request.kind() {
            "add" => {
                self.add(self.delta(request)?, cx);
                cx.reply(request, "add_ok").send()
            }
            "read" => cx.reply(request, "read_ok").field("value", self.value()).send(),
            // All that a peer knows: it is told what it does not.
            "totals" => {
                let theirs = totals(request)?;
                let mut news = self.totals.clone();
                news.retain(|origin, total| {
                    let known = theirs.get(origin).copied().unwrap_or_default();
                    known.merged(*total) != known
                });
                self.merge(theirs);
                if news.is_empty() {
                    return Ok(());
                }
                cx.message(request.src(), "news").exact_field("totals", &news).send()
            }
            "news" => {
                self.merge(totals(request)?);
                Ok(())
            }
            kind => Err(RpcError::not_supported(kind)),
        }
    }

    /// Takes this node's name and its totals back.
    fn recover(&mut self, record: &[u8]) -> Result<(), BadRecord> {
        self.totals = read_record(record, "this node's totals as {name: [added, taken]}", |record| {
            read_totals(record).filter(|totals| totals.len() == 1)
        })?;
        self.own = self.totals.keys().next().cloned().unwrap_or_default();
        Ok(())
    }
}

impl Counter {
    fn delta(&self, request: &Request<'_>) -> Result<i64, RpcError> {
        if self.may_fall {
            return Ok(request.integer("delta")?);
        }
        let read = |value: Value<'_>| value.as_i64().filter(|&delta| delta >= 0);
        Ok(request.typed("delta", "an integer of 64 bits, not negative", read)?)
    }

    fn add(&mut self, delta: i64, cx: &mut Context<'_, Self>) {
        if delta != 0 {
            let total = self.totals.entry(self.own.clone()).or_default();
            let side = if delta < 0 { &mut total.taken } else { &mut total.added };
            *side = side.saturating_add(delta.unsigned_abs().into());
            cx.snapshot(&to_record(&BTreeMap::from([(&*self.own, *total)])));
            self.quiet = 0;
        }
    }

    /// Takes in what others know of anybody's totals but this node's own, which it knows best.
    fn merge(&mut self, mut totals: Totals) {
        totals.remove(&self.own);
        for (origin, total) in totals {
            let known = self.totals.entry(origin).or_default();
            let merged = known.merged(total);
            if *known != merged {
                *known = merged;
                self.quiet = 0;
            }
        }
    }

    fn beat(&mut self, cx: &mut Context<'_, Self>) {
        self.quiet = self.quiet.saturating_add(1);
        if self.quiet <= LIVELY_BEATS || self.quiet.is_multiple_of(QUIET_BEATS) {
            let peer = &self.peers[cx.rng().usize(..self.peers.len())];
            cx.message(peer, "totals").exact_field("totals", &self.totals).send().expect("it is a peer");
        }
    }
}

impl Total {
    fn merged(self, other: Self) -> Self {
        Self { added: self.added.max(other.added), taken: self.taken.max(other.taken) }
    }
}

/// As `[added, taken]`.
impl WriteJson for Total {
    fn write_json(&self, out: &mut Vec<u8>) {
        (self.added, self.taken).write_json(out);
    }
}

fn totals(request: &Request<'_>) -> Result<Totals, RpcError> {
    Ok(request.typed("totals", "an object of pairs of integers, not negative", read_totals)?)
}

fn read_totals(value: Value<'_>) -> Option<Totals> {
    let members = value.as_object()?.map(|(origin, total)| {
        let mut sides = total.as_array()?.map(|side| side.raw().parse().ok());
        let total = Total { added: sides.next()??, taken: sides.next()?? };
        let is_possible = total.added <= TOTAL_MAX && total.taken <= TOTAL_MAX && sides.next().is_none();
        is_possible.then_some((origin.as_str()?.into(), total))
    });
    members.collect()
}
