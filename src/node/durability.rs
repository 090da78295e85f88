//! What a handler said leaves only when what it persisted is durable.
//!
//! The records of a turn gather here. At its end its lines are taken out of the output, and given back when the shell
//! says that those records, and all before them, are durable. What is said meanwhile waits too, whether or not it was
//! persisted for: it may tell of what is not durable yet.
//!
//! ```text
//! records that are written now   | records since then
//! lines that wait for those      | lines that wait for these
//! ```

use std::mem;

use crate::store::Records;
use crate::wire::out::OutBuffer;

/// The records of a node that are not durable yet, and the lines that wait for them.
#[derive(Debug, Default)]
pub(super) struct TurnLog {
    /// What the shell writes now.
    under_way: Option<Records>,
    held: Vec<u8>,
    /// What it is given next.
    next: Records,
    held_for_next: Vec<u8>,
}

impl TurnLog {
    pub(super) fn push(&mut self, record: &[u8]) {
        self.next.push(record);
    }

    pub(super) fn replace(&mut self, record: &[u8]) {
        self.next.replace(record);
    }

    /// Whether something is not durable yet.
    #[inline(always)]
    pub(super) const fn is_busy(&self) -> bool {
        self.under_way.is_some() || !self.next.is_empty()
    }

    /// How many bytes of output wait.
    pub(super) const fn waiting(&self) -> usize {
        self.held.len() + self.held_for_next.len()
    }

    /// A turn has ended: what it wrote into `out` from `start` on waits.
    pub(super) fn hold(&mut self, start: usize, out: &mut OutBuffer) {
        out.take_from(start, &mut self.held_for_next);
    }

    /// The records to be written next, unless some are being written.
    pub(super) fn poll(&mut self) -> Option<&Records> {
        if self.under_way.is_some() || self.next.is_empty() {
            return None;
        }
        mem::swap(&mut self.held, &mut self.held_for_next);
        self.under_way = Some(mem::take(&mut self.next));
        self.under_way.as_ref()
    }

    /// What was being written is durable: what waited for it leaves.
    pub(super) fn handle_durable(&mut self, out: &mut OutBuffer) {
        let Some(mut records) = self.under_way.take() else { return };
        out.give(&self.held);
        self.held.clear();
        if self.next.is_empty() {
            out.give(&self.held_for_next);
            self.held_for_next.clear();
            // Its memory is used again.
            records.clear();
            self.next = records;
        }
    }
}
