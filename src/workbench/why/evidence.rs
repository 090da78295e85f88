//! What the journal has to say: an operation's messages, who can have heard of it, and what became of a message.

use std::collections::BTreeMap;

use super::super::checker::UNKNOWN_NODE;
use super::super::fault::Fault;
use super::super::history::Invocation;
use super::super::journal::{Address, Dropped, Entry, Numbers};
use super::super::nemesis::Window;
use super::super::question::Mark;
use super::super::world::World;
use super::carried::{holds, is_about};
use crate::time::Instant;
use crate::workbench::format::Seconds;

/// A test that is over, of which every message is known.
#[derive(Clone, Copy)]
pub(super) struct Evidence<'a> {
    pub world: &'a World,
    entries: &'a [Entry],
}

/// The first request of an operation, and when it arrived.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub request: &'a Entry,
    pub arrived: Instant,
}

impl<'a> Evidence<'a> {
    /// Nothing, if the journal lacks messages: one of those may have been the one.
    pub fn of(world: &'a World) -> Option<Self> {
        let journal = world.journal();
        let entries = journal.entries();
        let is_whole = entries.len() as u64 == journal.clients.sent + journal.servers.sent;
        is_whole.then_some(Self { world, entries })
    }

    pub fn operation(&self, index: usize) -> Option<&'a Invocation> {
        self.world.history().get(index).filter(|invocation| invocation.node != UNKNOWN_NODE)
    }

    /// The messages that were sent from one time to another, both included.
    pub fn sent(&self, from: Instant, to: Instant) -> &'a [Entry] {
        let start = self.entries.partition_point(|entry| entry.sent < from);
        let end = self.entries.partition_point(|entry| entry.sent <= to);
        &self.entries[start..end.max(start)]
    }

    /// The same of those that nodes and services sent each other.
    pub fn between_servers(&self, from: Instant, to: Instant) -> impl Iterator<Item = &'a Entry> + use<'a> {
        self.sent(from, to).iter().filter(|entry| !entry.src.is_client() && !entry.dest.is_client())
    }

    /// When the request of an operation reached its node.
    pub fn asked(&self, operation: &Invocation) -> Option<Asked<'a>> {
        let client = *self.world.clients().get(&operation.process)?;
        let of_it = self.sent(operation.interval.invoked, operation.interval.completed);
        let request = of_it.iter().find(|entry| entry.src == Address::Client(client))?;
        Some(Asked { request, arrived: first(request)? })
    }

    /// Who can have heard of an operation, and since when: its node, and whoever got a message from somebody who had.
    /// What clients carry from one node to another does not count. Nothing, if nodes speak in the names of others, as those
    /// do that pass on what they were asked: who heard what from whom is not in the journal then.
    pub fn heard(&self, operation: &Invocation, until: Instant) -> Option<BTreeMap<Address, Instant>> {
        if self.are_names_borrowed() {
            return None;
        }
        let asked = self.asked(operation)?;
        let mut heard = BTreeMap::from([(asked.request.dest, asked.arrived)]);
        for entry in self.between_servers(asked.arrived, until) {
            if let Some(arrived) = first(entry)
                && heard.get(&entry.src).is_some_and(|since| *since <= entry.sent)
            {
                let since = heard.entry(entry.dest).or_insert(arrived);
                *since = arrived.min(*since);
            }
        }
        heard.retain(|_, since| *since <= until);
        Some(heard)
    }

    /// Whether nodes wrote messages in the names of others.
    pub fn are_names_borrowed(&self) -> bool {
        self.world.borrowed_names().count > 0
    }

    /// Messages with a mark in them that nodes sent to others, since the operation that wrote it had arrived.
    pub fn carrying<'b>(
        &self,
        mark: &'b Mark,
        since: Instant,
        until: Instant,
    ) -> impl Iterator<Item = &'a Entry> + use<'a, 'b> {
        self.between_servers(since, until)
            .filter(|entry| entry.src.node().is_some())
            .filter(|entry| mark.is_in(&entry.body))
    }

    /// The last question about a key to which a node got an answer that holds a value, between two times.
    pub fn source(
        &self,
        node: usize,
        (from, to): (Instant, Instant),
        key: &str,
        value: &str,
    ) -> Option<(&'a Entry, &'a Entry)> {
        let node = Address::Node(node);
        let mut open: BTreeMap<(Address, i64), &Entry> = BTreeMap::new();
        let mut found = None;
        for entry in self.between_servers(from, to) {
            if entry.src == node && is_about(&entry.body, key) {
                let Numbers { msg_id, in_reply_to: None, .. } = numbers(entry) else { continue };
                open.extend(msg_id.map(|id| ((entry.dest, id), entry)));
            } else if entry.dest == node
                && let Some(id) = numbers(entry).in_reply_to
                && let Some(question) = open.get(&(entry.src, id))
                && first(entry).is_some_and(|arrived| arrived <= to)
                && holds(&entry.body, value)
            {
                found = Some((*question, entry));
            }
        }
        found
    }

    /// Whether a node sent nothing to another node or service between two times.
    pub fn asks_nobody(&self, node: usize, from: Instant, to: Instant) -> bool {
        !self.between_servers(from, to).any(|entry| entry.src == Address::Node(node))
    }

    /// The kill of a node between two times, if there was one.
    pub fn killed(&self, node: usize, from: Instant, to: Instant) -> Option<&'a Window> {
        self.world.faults().iter().find(|window| {
            window.fault == Fault::Kill && window.nodes.contains(&node) && (from..=to).contains(&window.from)
        })
    }

    /// What became of a message that was not there by some time.
    pub fn fate(&self, entry: &Entry) -> String {
        let during = |fault| {
            // It was under way for some time: the one that lasted when it was sent, or the next.
            let of_kind = || self.world.faults().iter().filter(move |window| window.fault == fault);
            let lasts =
                |window: &&Window| window.from <= entry.sent && window.to.is_none_or(|to| entry.sent <= to);
            of_kind().find(lasts).or_else(|| of_kind().find(|window| window.from >= entry.sent))
        };
        let span = |window: &Window| match window.to {
            Some(to) => format!("{} to {}", Seconds(window.from), Seconds(to)),
            None => format!("from {} on", Seconds(window.from)),
        };
        match entry.dropped {
            Some(_) if first(entry).is_some() => format!("it arrived at {}", Seconds(entry.received[0])),
            Some(Dropped::Partition) => match during(Fault::Partition) {
                Some(window) => format!("the partition {} ({}) swallowed it", window.target, span(window)),
                None => "a partition swallowed it".to_owned(),
            },
            Some(Dropped::DeadReceiver) => format!("{} was killed before it came", entry.dest),
            Some(Dropped::Loss) => "the network lost it".to_owned(),
            None => match first(entry) {
                Some(received) => format!("it arrived at {}, after the answer", Seconds(received)),
                None => "it was still under way".to_owned(),
            },
        }
    }
}

/// When a message first arrived.
pub(super) fn first(entry: &Entry) -> Option<Instant> {
    entry.received.iter().copied().min()
}

/// Whether a message had arrived by some time.
pub(super) fn is_there(entry: &Entry, by: Instant) -> bool {
    first(entry).is_some_and(|arrived| arrived <= by)
}

pub(super) fn numbers(entry: &Entry) -> Numbers {
    serde_json::from_str(&entry.body).unwrap_or_default()
}
