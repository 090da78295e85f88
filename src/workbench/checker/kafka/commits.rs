//! The offsets that clients asked to commit.

use super::super::Completion;
use super::history::{Action, History, Key};
use crate::time::Instant;

/// The offsets that the clients asked to commit.
pub(super) struct Commits {
    /// Of each key when an offset was asked for that is higher than all before. In order.
    pub(super) asked: Vec<Vec<(Instant, i64)>>,
    /// When the first poll began of which nobody knows what it returned, and so what it committed.
    pub(super) unknown: Option<Instant>,
}

impl Commits {
    pub(super) fn of(history: &History) -> Self {
        let mut asked: Vec<Vec<(Instant, i64)>> = vec![Vec::new(); history.keys.len()];
        let mut unknown = None::<Instant>;
        for operation in &history.operations {
            let Action::Poll { lists, .. } = &operation.action else { continue };
            let at = operation.interval.invoked;
            if operation.completion != Completion::Ok {
                unknown = Some(unknown.map_or(at, |earlier| earlier.min(at)));
            }
            for (key, list) in lists {
                let highest = list.iter().map(|(offset, _)| *offset).max();
                asked[key.0 as usize].extend(highest.map(|offset| (at, offset)));
            }
        }
        for asked in &mut asked {
            asked.sort_unstable();
            let mut highest = None;
            asked.retain(|&(_, offset)| {
                let is_higher = highest.is_none_or(|highest| offset > highest);
                highest = highest.max(Some(offset));
                is_higher
            });
        }
        Self { asked, unknown }
    }

    /// The highest offset of a key that somebody had asked to commit by then.
    pub(super) fn highest_before(&self, key: Key, at: Instant) -> Option<i64> {
        let asked = &self.asked[key.0 as usize];
        let before = asked.partition_point(|&(invoked, _)| invoked <= at);
        before.checked_sub(1).map(|last| asked[last].1)
    }
}
