//! What is known of the message that is being written, and what becomes of it.

use super::deferred::Deferred;
use crate::wire::error::{ErrorCode, RpcError};

/// What else there is to know of the message that is being written. It stays with the writer, because a [`Message`] is
/// moved by each of its methods.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) disposition: Disposition,
    /// What it answers, if that was put off. It is still to be answered if the message is not sent.
    pub(super) deferred: Option<Deferred>,
}

impl Draft {
    pub(super) const NONE: Self = Self { disposition: Disposition::Discard, deferred: None };

    /// Whether it has anything that outlives the message.
    #[inline(always)]
    pub(super) const fn has_side_state(&self) -> bool {
        self.deferred.is_some()
    }
}

/// What becomes of a message when it is sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Disposition {
    Send,
    /// Nobody wants it.
    Discard,
    /// Nobody waits for it any more.
    TooLate,
    /// A handler did what it must not.
    Refuse(Misuse),
}

/// What a handler must not do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Misuse {
    AnsweredTwice,
    /// Of a field, and why.
    BadField(&'static str),
    NoSuchReceiver,
    NoRequest,
}

impl From<Misuse> for RpcError {
    #[cold]
    fn from(misuse: Misuse) -> Self {
        match misuse {
            Misuse::AnsweredTwice => Self::new(ErrorCode::CRASH, ANSWERED_ONCE),
            Misuse::BadField(why) => Self::new(ErrorCode::CRASH, why),
            Misuse::NoRequest => Self::new(ErrorCode::CRASH, "expected the msg_id of a request, an integer"),
            Misuse::NoSuchReceiver => {
                Self::new(ErrorCode::NODE_NOT_FOUND, "its receiver is neither of this cluster nor a service")
            }
        }
    }
}

/// Why an answer was refused.
pub(super) const ANSWERED_ONCE: &str = "a request is answered only once";
