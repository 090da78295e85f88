//! Linearizable registers: each key's operations can be put in an order in which each of them takes effect at
//! one moment between its request and its answer, and each answer is right.
//!
//! A key is a register that holds nothing at first, and is read, written, and compared and set. What a
//! definite failure says of the register is not made use of, as in Maelstrom: such an operation did not happen.
//! An indefinite one may take effect at any time after its request, or never.

mod operation;
mod search;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use self::operation::Held;
pub use self::operation::{Action, RegisterOperation};
use self::search::{DeadEnd, Search, SearchEnd};
use super::{Completion, Findings, Verdict};

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinearizableResults {
    /// Invalid if a key is not linearizable; unknown if none is known not to be and the search for some took too
    /// long, or if there is nothing to explain.
    pub verdict: Verdict,
    /// How many keys there are.
    pub keys: usize,
    /// How many operations succeeded, which is how many had to be explained.
    pub explained: usize,
    /// The keys that are not linearizable, in order.
    pub anomalies: Findings<Anomaly>,
    /// The keys whose search took too long, in order.
    pub undecided: Findings<i64>,
}

/// Why a key is not linearizable: all operations that were answered before this one was can be explained, and
/// with this one they cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Anomaly {
    /// The operation.
    pub operation: RegisterOperation,
    /// An order, as long as any that was found, that explains all that were answered before.
    pub order: Vec<RegisterOperation>,
    /// All that the register could hold when the operation took effect.
    pub values: Vec<Option<i64>>,
    /// Where what the operation saw may come from.
    pub origin: Origin,
}

/// Where a value comes from that an operation saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Somebody wrote it, or it is nothing, as at first.
    Written,
    /// Nobody ever tried to write it.
    Nobody,
    /// Whoever tried to write it was told that it failed; this is the first who did.
    Failed(RegisterOperation),
    /// It was written only after it had been seen; this is the first who did.
    Later(RegisterOperation),
}

impl Origin {
    fn of(seen: &RegisterOperation, operations: &[&RegisterOperation]) -> Self {
        let (Action::Read(Some(value)) | Action::Cas { from: value, .. }) = seen.action else {
            return Self::Written;
        };
        let writes = |operation: &&&RegisterOperation| match operation.action {
            Action::Write(to) | Action::Cas { to, .. } => to == value && **operation != seen,
            Action::Read(_) => false,
        };
        let mut sources: Vec<&RegisterOperation> = operations.iter().filter(writes).copied().collect();
        sources.sort_by_key(|operation| operation.interval.invoked);
        let mut happened = sources.iter().filter(|operation| operation.completion != Completion::Fail);
        match (sources.first(), happened.next()) {
            (None, _) => Self::Nobody,
            (Some(first), None) => Self::Failed(**first),
            (_, Some(first)) if first.interval.invoked > seen.answered() => Self::Later(**first),
            _ => Self::Written,
        }
    }
}

/// Checks each key's operations.
///
/// For each key the search may take so many steps: looks at an operation that might come next, or at a
/// configuration that is remembered. A hundred million take some seconds and, at worst, some hundred megabytes.
/// Most keys take far less: a thousand operations of about ten clients a millisecond where there is an order, and
/// a second where there is none and one in twenty operations is indefinite.
pub fn check(operations: &[RegisterOperation], steps: u64) -> LinearizableResults {
    let mut keys = BTreeMap::<i64, Vec<&RegisterOperation>>::new();
    for operation in operations {
        keys.entry(operation.key).or_default().push(operation);
    }
    let (mut anomalies, mut undecided) = (Vec::new(), Vec::new());
    for (&key, operations) in &keys {
        match Search::new(operations, steps).run() {
            SearchEnd::Explained => {}
            SearchEnd::Stuck(operation, DeadEnd { order, values, .. }) => anomalies.push(Anomaly {
                operation,
                order,
                values: values.into_iter().collect(),
                origin: Origin::of(&operation, operations),
            }),
            SearchEnd::TookTooLong => undecided.push(key),
        }
    }
    let explained = operations.iter().filter(|operation| operation.completion == Completion::Ok).count();
    let verdict = if !anomalies.is_empty() {
        Verdict::Invalid
    } else if !undecided.is_empty() || explained == 0 {
        Verdict::Unknown
    } else {
        Verdict::Valid
    };
    LinearizableResults {
        verdict,
        keys: keys.len(),
        explained,
        anomalies: anomalies.into_iter().collect(),
        undecided: undecided.into_iter().collect(),
    }
}

impl LinearizableResults {
    /// Why it is not valid.
    pub fn explain(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.explained == 0 {
            sentences.push("no operation succeeded, so nothing can be said about them".to_owned());
        }
        self.anomalies.explain(&mut sentences, Anomaly::explain);
        self.undecided.explain(&mut sentences, |key| {
            format!("nobody knows whether the operations on key {key} have an order that explains them: the search took too long")
        });
        sentences
    }
}

impl Anomaly {
    /// The write that the operation is without: the last, in the order, of those that were answered before the operation
    /// was asked for and made the register hold something else. If what it saw was written after all of those, it is
    /// without a later one, of which somebody else knew.
    pub fn missed_write(&self) -> Option<&RegisterOperation> {
        let saw = match self.operation.action {
            Action::Read(value) => value,
            Action::Cas { from, .. } => Some(from),
            Action::Write(_) => return None,
        };
        let holds = |operation: &RegisterOperation| match operation.action {
            Action::Write(to) | Action::Cas { to, .. } => Some(to),
            Action::Read(_) => None,
        };
        let mut later = None;
        for operation in self.order.iter().rev() {
            let Some(value) = holds(operation) else { continue };
            if Some(value) == saw {
                break;
            }
            later = later.or(Some(operation));
            if operation.completion == Completion::Ok
                && operation.answered() < self.operation.interval.invoked
            {
                return Some(operation);
            }
        }
        later
    }

    fn explain(&self) -> String {
        const VALUES: usize = 8;
        const OPERATIONS: usize = 5;

        let (operation, key) = (self.operation, self.operation.key);
        let mut values: Vec<_> =
            self.values.iter().take(VALUES).map(|&value| Held(value).to_string()).collect();
        if self.values.len() > VALUES {
            values.push("…".to_owned());
        }
        let values = values.join(" or ");
        let mut sentence = format!(
            "key {key}: {operation}, but no order of the operations explains it: after all that was answered before, \
             the key could only hold {values}"
        );
        let last = self.order.len().saturating_sub(OPERATIONS);
        if let Some(last) = self.order.get(last..).filter(|last| !last.is_empty()) {
            let last: Vec<_> = last.iter().map(RegisterOperation::to_string).collect();
            sentence += "; one order up to there ends with: ";
            sentence += &last.join(", ");
        }
        // Writing to a string cannot fail.
        let _ = match &self.origin {
            Origin::Written => Ok(()),
            Origin::Nobody => write!(sentence, "; nobody ever tried to write what it saw"),
            Origin::Failed(writer) => {
                write!(sentence, "; whoever tried to write what it saw was refused: {writer}")
            }
            Origin::Later(writer) => write!(sentence, "; what it saw was written only later: {writer}"),
        };
        if operation.action == Action::Read(None) {
            sentence += ". Maelstrom would not have noticed: it takes such an answer for none";
        }
        sentence
    }
}

#[cfg(test)]
mod tests;
