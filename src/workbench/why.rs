//! Why a node did not know what it should have known: what the journal says of the messages that carried it.
//!
//! A message carries a value if the value stands somewhere in its body. So nothing is claimed of values that more than
//! one operation writes, of nodes that encode what they say, or of a journal that has not every message.

use super::checker::Seconds;
use super::fault::Fault;
use super::history::Invocation;
use super::journal::{Dropped, Entry};
use super::nemesis::Window;
use super::workload::MissingValue;
use super::world::World;
use crate::time::Instant;

/// Why that value was missing, in a sentence; nothing if that cannot be known.
pub fn why_missing(world: &World, missing: MissingValue) -> Option<String> {
    let MissingValue { value, node, at } = missing;
    let journal = world.journal();
    let entries = journal.entries();
    if (entries.len() as u64) < journal.clients.sent + journal.servers.sent {
        return None;
    }
    let text = value.to_string();
    let sent_by_nodes = || {
        let before = entries.iter().take_while(|entry| entry.sent <= at);
        before.filter(|entry| {
            entry.src.node().is_some() && !entry.dest.is_client() && carries(entry, &text, value)
        })
    };
    let to_it: Vec<&Entry> = sent_by_nodes().filter(|entry| entry.dest.node() == Some(node)).collect();
    let told = to_it.iter().find_map(|entry| {
        let arrived = entry.received.iter().copied().min()?;
        (arrived <= at).then_some((*entry, arrived))
    });
    if let Some((entry, arrived)) = told {
        let times =
            to_it.iter().filter(|entry| entry.received.iter().any(|received| *received <= at)).count();
        let told = format!("{} told n{node} of {value} at {}", entry.src, Seconds(arrived));
        return Some(match killed(world, node, arrived, at) {
            Some(window) => format!(
                "{told}; n{node} was killed at {}, and came back without what it had in memory",
                Seconds(window.from)
            ),
            None => {
                format!("{told} ({times} {} of it arrived there), and n{node} did not keep it", plural(times))
            }
        });
    }
    if let Some(acknowledged) = acknowledged_by(world, node, value, at) {
        let took = format!("n{node} acknowledged {value} itself, at {}", Seconds(acknowledged));
        return Some(match killed(world, node, acknowledged, at) {
            Some(window) => format!(
                "{took}; it was killed at {}, and came back without what it had in memory",
                Seconds(window.from)
            ),
            None => format!("{took}, and did not keep it"),
        });
    }
    if let Some(last) = to_it.last() {
        let often = match to_it.len() {
            1 => "once,".to_owned(),
            count => format!("{count} times, the last time"),
        };
        let (sender, sent) = (last.src, Seconds(last.sent));
        return Some(format!(
            "{sender} told n{node} of {value} {often} at {sent}; {}; it was not sent there again",
            fate(world, last, node)
        ));
    }
    // Whoever says nothing that can be read may have told it in words of its own.
    sent_by_nodes().next()?;
    let others: Vec<String> = (0..world.settings().nodes)
        .filter(|other| sent_by_nodes().any(|entry| entry.dest.node() == Some(*other)))
        .map(|other| format!("n{other}"))
        .collect();
    Some(format!(
        "nobody sent n{node} a message with {value} in it; such messages went to {}",
        others.join(" ")
    ))
}

/// Whether a value stands somewhere in a body, other than as the number of a message.
fn carries(entry: &Entry, text: &str, value: i64) -> bool {
    fn has(json: &serde_json::Value, value: i64) -> bool {
        match json {
            serde_json::Value::Number(number) => number.as_i64() == Some(value),
            serde_json::Value::Array(items) => items.iter().any(|item| has(item, value)),
            serde_json::Value::Object(members) => members
                .iter()
                .any(|(name, member)| !matches!(&**name, "msg_id" | "in_reply_to") && has(member, value)),
            _ => false,
        }
    }
    entry.body.contains(text) && serde_json::from_str(&entry.body).is_ok_and(|body| has(&body, value))
}

/// The kill of a node between two times, if there was one.
fn killed(world: &World, node: usize, from: Instant, to: Instant) -> Option<&Window> {
    world.faults().iter().find(|window| {
        window.fault == Fault::Kill
            && window.nodes.contains(&node)
            && window.from >= from
            && window.from <= to
    })
}

/// When a node acknowledged the operation that wrote a value.
fn acknowledged_by(world: &World, node: usize, value: i64, before: Instant) -> Option<Instant> {
    let wrote = |invocation: &&Invocation| {
        invocation.node == node
            && world.workload().writes_once(invocation.operation.f)
            && invocation.operation.value.as_int() == Some(value)
            && invocation.answer().is_some()
            && invocation.interval.completed <= before
    };
    world.history().iter().find(wrote).map(|invocation| invocation.interval.completed)
}

/// What became of a message that was not there in time.
fn fate(world: &World, entry: &Entry, node: usize) -> String {
    let during = |fault| {
        // It was under way for some time: the one that lasted when it was sent, or the next.
        let of_kind = || world.faults().iter().filter(|window| window.fault == fault);
        let lasting = of_kind().find(|window| lasts(window, entry.sent));
        lasting.or_else(|| of_kind().find(|window| window.from >= entry.sent))
    };
    let span = |window: &Window| match window.to {
        Some(to) => format!("{} to {}", Seconds(window.from), Seconds(to)),
        None => format!("from {} on", Seconds(window.from)),
    };
    match entry.dropped {
        Some(Dropped::Partition) => match during(Fault::Partition) {
            Some(window) => format!("the partition {} ({}) swallowed it", window.target, span(window)),
            None => "a partition swallowed it".to_owned(),
        },
        Some(Dropped::DeadReceiver) => format!("n{node} was dead when it came"),
        Some(Dropped::Loss) => "the network lost it".to_owned(),
        None => match entry.received.first() {
            Some(received) => format!("it arrived at {}, after the answer", Seconds(*received)),
            None => "it was still under way".to_owned(),
        },
    }
}

fn lasts(window: &Window, at: Instant) -> bool {
    window.from <= at && window.to.is_none_or(|to| at <= to)
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "message" } else { "messages" }
}
