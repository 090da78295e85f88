//! What was seen where: the logs of all keys, and what there is to know of each message without its place.

use super::super::{Completion, Interval};
use super::history::{Action, History, Key, Message, count};
use crate::time::Instant;

/// A message that was seen at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sighting {
    pub(super) key: u32,
    pub(super) offset: i64,
    /// When, and by which operation.
    pub(super) at: Instant,
    pub(super) operation: u32,
    pub(super) message: u32,
}

/// The logs of all keys, one after the other.
pub(super) struct Logs {
    /// In order. What was seen several times at the same offset is there once, when it was seen first.
    pub(super) sightings: Vec<Sighting>,
    /// The key and offset of each index, over all keys, in order.
    pub(super) offsets: Vec<(u32, i64)>,
    /// Which message has each index: the first that was seen there.
    pub(super) picked: Vec<u32>,
    /// Of each message the first and the last place in `offsets` where it was seen.
    pub(super) first: Vec<Option<u32>>,
    pub(super) last: Vec<Option<u32>>,
    /// Of each message the last place where it was picked: its index, plus the places of the keys before.
    pub(super) index: Vec<Option<u32>>,
}

impl Logs {
    pub(super) fn of(history: &History) -> Self {
        let mut sightings = Vec::new();
        for (place, operation) in history.operations.iter().enumerate() {
            let (at, operation_id) = (operation.interval.completed, count(place));
            let mut see = |offset, message: Message| {
                let key = history.messages[message.0 as usize].0;
                sightings.push(Sighting { key, offset, at, operation: operation_id, message: message.0 });
            };
            match &operation.action {
                Action::Send { message, offset: Some(offset) }
                    if operation.completion != Completion::Fail =>
                {
                    see(*offset, *message);
                }
                Action::Poll { lists, .. } => {
                    for &(offset, message) in lists.iter().flat_map(|(_, list)| list) {
                        see(offset, message);
                    }
                }
                _ => {}
            }
        }
        keep_first(&mut sightings);

        let messages = history.messages.len();
        let (mut offsets, mut picked) = (Vec::new(), Vec::new());
        let (mut first, mut last, mut index) =
            (vec![None; messages], vec![None; messages], vec![None; messages]);
        for sighting in &sightings {
            let message = sighting.message as usize;
            if offsets.last() != Some(&(sighting.key, sighting.offset)) {
                index[message] = Some(count(offsets.len()));
                offsets.push((sighting.key, sighting.offset));
                picked.push(sighting.message);
            }
            let place = count(offsets.len() - 1);
            first[message].get_or_insert(place);
            last[message] = Some(place);
        }
        Self { sightings, offsets, picked, first, last, index }
    }

    /// The place of an offset.
    pub(super) fn place(&self, key: Key, offset: i64) -> Option<u32> {
        self.offsets.binary_search(&(key.0, offset)).ok().map(count)
    }

    /// How much further the one message is in the log than the other. Between such as have no place, one step.
    pub(super) fn distance(&self, from: Message, to: Message) -> i64 {
        match (self.index[from.0 as usize], self.index[to.0 as usize]) {
            (Some(from), Some(to)) => i64::from(to) - i64::from(from),
            _ => 1,
        }
    }

    pub(super) fn offset_of(&self, message: Message) -> Option<i64> {
        self.last[message.0 as usize].map(|place| self.offsets[place as usize].1)
    }
}

/// Sorts them, and of the sightings of a message at an offset keeps the first.
pub(super) fn keep_first(sightings: &mut Vec<Sighting>) {
    sightings.sort_unstable_by_key(|&Sighting { key, offset, at, operation, message }| {
        (key, offset, message, at, operation)
    });
    sightings.dedup_by_key(|&mut Sighting { key, offset, message, .. }| (key, offset, message));
    sightings.sort_unstable();
}

/// What there is to know of a message without its place. Operations are meant by their places in the history.
#[derive(Clone, Copy, Default)]
pub(super) struct Known {
    /// The first send of it that was invoked.
    pub(super) sent: Option<u32>,
    /// The first that was acknowledged.
    pub(super) sent_ok: Option<u32>,
    /// One that failed.
    pub(super) sent_fail: Option<u32>,
    /// Whether a send may have happened.
    pub(super) may_be_sent: bool,
    /// The first poll that returned it and succeeded, by its completion.
    pub(super) read_ok: Option<u32>,
}

pub(super) struct Facts {
    pub(super) messages: Vec<Known>,
}

impl Facts {
    pub(super) fn of(history: &History) -> Self {
        let mut messages = vec![Known::default(); history.messages.len()];
        let at = |place: u32| history.operations[place as usize].interval;
        let earlier = |slot: &mut Option<u32>, place: u32, time: fn(Interval) -> Instant| {
            if slot.is_none_or(|old| time(at(place)) < time(at(old))) {
                *slot = Some(place);
            }
        };
        for (place, operation) in history.operations.iter().enumerate() {
            let place = count(place);
            match &operation.action {
                Action::Send { message, .. } => {
                    let known = &mut messages[message.0 as usize];
                    earlier(&mut known.sent, place, |interval| interval.invoked);
                    match operation.completion {
                        Completion::Ok => earlier(&mut known.sent_ok, place, |interval| interval.completed),
                        Completion::Fail => {
                            earlier(&mut known.sent_fail, place, |interval| interval.completed);
                        }
                        Completion::Info => {}
                    }
                    known.may_be_sent |= operation.completion != Completion::Fail;
                }
                Action::Poll { lists, .. } if operation.completion == Completion::Ok => {
                    for (_, message) in lists.iter().flat_map(|(_, list)| list) {
                        let known = &mut messages[message.0 as usize];
                        earlier(&mut known.read_ok, place, |interval| interval.completed);
                    }
                }
                _ => {}
            }
        }
        Self { messages }
    }
}
