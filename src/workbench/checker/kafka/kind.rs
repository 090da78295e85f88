//! The kinds of anomalies, and their names.

use std::fmt;

/// A kind of anomaly. The names are Jepsen's where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Two messages at one offset.
    InconsistentOffsets,
    /// One message at two offsets.
    Duplicate,
    /// An acknowledged message that no poll returned, though one returned what comes after it.
    LostWrite,
    /// An acknowledged message that no poll returned.
    Unseen,
    /// A poll returned a message whose send had failed.
    AbortedRead,
    /// A poll returned a message that nobody sent.
    Phantom,
    /// A poll returned a message before it was sent.
    ReadBeforeSend,
    /// One poll leaves out messages between two that it returns.
    SkipInPoll,
    /// One poll returns a message and then one from before it, or the same.
    NonmonotonicInPoll,
    /// A process polls on beyond messages that it was not given.
    Skip,
    /// A process is given again what it had, or what comes before that.
    Nonmonotonic,
    /// A process's message comes before one that it had sent earlier.
    NonmonotonicSend,
    /// A poll's answer has a key that was not asked for.
    UnaskedKey,
    /// A poll's answer begins before the offset that was asked for.
    BelowRequested,
    /// A committed offset is above all that anybody committed.
    CommitFromNowhere,
}

impl Kind {
    /// All of them, the gravest first.
    pub const ALL: [Self; 15] = [
        Self::InconsistentOffsets,
        Self::Duplicate,
        Self::LostWrite,
        Self::Unseen,
        Self::AbortedRead,
        Self::Phantom,
        Self::ReadBeforeSend,
        Self::SkipInPoll,
        Self::NonmonotonicInPoll,
        Self::Skip,
        Self::Nonmonotonic,
        Self::NonmonotonicSend,
        Self::UnaskedKey,
        Self::BelowRequested,
        Self::CommitFromNowhere,
    ];

    /// Jepsen's name for it, where it has one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InconsistentOffsets => "inconsistent-offsets",
            Self::Duplicate => "duplicate",
            Self::LostWrite => "lost-write",
            Self::Unseen => "unseen",
            Self::AbortedRead => "G1a",
            Self::Phantom => "phantom",
            Self::ReadBeforeSend => "G1c-realtime",
            Self::SkipInPoll => "int-poll-skip",
            Self::NonmonotonicInPoll => "int-nonmonotonic-poll",
            Self::Skip => "poll-skip",
            Self::Nonmonotonic => "nonmonotonic-poll",
            Self::NonmonotonicSend => "nonmonotonic-send",
            Self::UnaskedKey => "unasked-key",
            Self::BelowRequested => "below-requested-offset",
            Self::CommitFromNowhere => "commit-from-nowhere",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
