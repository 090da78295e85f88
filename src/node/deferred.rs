//! Requests that are answered later.

use std::cell::RefCell;
use std::rc::Rc;

use smallvec::SmallVec;

use crate::telemetry::metrics::KindId;
use crate::time::Instant;

/// A request that will be answered later, with [`Context::answer`](crate::Context::answer).
///
/// If it is dropped without an answer, by a panic for instance, its client gets error 13: a client is never
/// left to wait for nothing.
#[derive(Debug)]
#[must_use = "a request that was deferred has to be answered"]
pub struct Deferred {
    pub(super) address: Option<ReturnAddress>,
    pub(super) abandoned: Abandoned,
}

/// Deferred requests that were dropped without an answer.
pub(super) type Abandoned = Rc<RefCell<Vec<ReturnAddress>>>;

/// A `msg_id` as its sender wrote it.
pub(super) type MsgIdText = SmallVec<[u8; 16]>;

/// Whom to answer, and what for.
#[derive(Debug)]
pub(super) struct ReturnAddress {
    pub(super) dest: SmallVec<[u8; 16]>,
    pub(super) msg_id: MsgIdText,
    /// The request's type.
    pub(super) kind: KindId,
    /// When the request came.
    pub(super) arrived: Instant,
    /// When an answer would come too late.
    pub(super) until: Instant,
}

impl ReturnAddress {
    pub(super) fn dest(&self) -> &str {
        std::str::from_utf8(&self.dest).expect("it is a copy of a string")
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        self.abandoned.borrow_mut().extend(self.address.take());
    }
}
