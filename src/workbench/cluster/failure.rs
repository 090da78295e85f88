//! What nodes do that they may not, which ends the test, and what is merely odd.

use crate::json::text::beginning;
use crate::time::Instant;
use crate::workbench::checker::Verdict;

/// Why a test ended before its time: a node did what no node may.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// Which node.
    pub node: usize,
    /// When.
    pub at: Instant,
    /// What it did, and what was expected.
    pub reason: String,
    /// [`Verdict::Invalid`] if no right node does that; [`Verdict::Unknown`] where one might, and the workbench holds no
    /// more.
    pub verdict: Verdict,
    /// The line in which it did it.
    pub line: Option<String>,
    /// What Maelstrom does instead of noticing, if it would not have noticed.
    pub unnoticed: Option<&'static str>,
}

/// Something that no node may write.
#[derive(Debug)]
pub struct Breach {
    /// What it is, and what was expected.
    pub reason: String,
    /// See [`Failure::unnoticed`].
    pub unnoticed: Option<&'static str>,
}

impl Breach {
    /// A line that is no message.
    pub(super) fn of_line(reason: String) -> Self {
        let unnoticed = "it passes over such a line, or reads nothing more of that node, and goes on";
        Self { reason, unnoticed: Some(unnoticed) }
    }

    /// An answer that is not what its request may be answered with.
    pub fn of_answer(reason: String) -> Self {
        Self { reason, unnoticed: Some("it takes such an answer for none, and goes on") }
    }
}

/// Answers of one sort that nobody waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnexpectedReplies {
    /// How many there were.
    pub count: u64,
    /// The first one.
    pub first: Option<String>,
}

impl UnexpectedReplies {
    /// Counts one.
    pub fn note(&mut self, line: &[u8]) {
        self.count += 1;
        self.first.get_or_insert_with(|| shown(line));
    }
}

/// A line as people get to see it.
pub(super) fn shown(line: &[u8]) -> String {
    const SHOWN: usize = 500;
    beginning(&String::from_utf8_lossy(line), SHOWN).into_owned()
}
