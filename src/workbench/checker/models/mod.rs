//! Consistency models: their names, which follows from which, and which anomalies each of them forbids.
//!
//! The models form an order: whoever keeps a stronger one keeps the weaker ones too. An anomaly is forbidden by
//! the weakest models that it refutes and by all that are stronger, so two small tables say everything: what a
//! model implies directly, and what an anomaly refutes at least. They are those of Elle (Kingsbury and Alvaro,
//! 2020), which follow Adya's thesis (1999) and Cerone and others (2015).

use std::fmt;

/// A consistency model that a history of transactions can refute. The weaker come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Model {
    /// Writes of transactions do not interleave: one order fits all keys.
    ReadUncommitted,
    /// Strong within a session: read uncommitted, and each client's transactions in its order.
    StrongSessionReadUncommitted,
    /// Read uncommitted in the order of real time.
    StrongReadUncommitted,
    /// Only what was committed is read, and circles of information do not exist.
    ReadCommitted,
    /// What a transaction saw of another one it goes on to see (Adya's PL-2L).
    MonotonicView,
    /// Snapshots only grow.
    MonotonicSnapshotRead,
    /// Once a part of a transaction is seen, all of it is.
    MonotonicAtomicView,
    /// All or nothing of a transaction is seen.
    ReadAtomic,
    /// Read atomic, and causes before effects.
    CausalCerone,
    /// All see prefixes of one order of commits.
    Prefix,
    /// No update of a value that was read is lost.
    CursorStability,
    /// Read atomic without lost updates.
    UpdateAtomic,
    /// Snapshots that may disagree on the order of transactions that have nothing to do with each other.
    ParallelSnapshotIsolation,
    /// What is read fits together (Adya's PL-2+).
    ConsistentView,
    /// Consistent view, as of a moment (Adya's PL-FCV).
    ForwardConsistentView,
    /// Transactions that write are serializable, and each reader sees an order of them (Adya's PL-3U).
    UpdateSerializable,
    /// What was read stays as it was until the end.
    RepeatableRead,
    /// Each transaction reads a snapshot, and of two that write the same one fails.
    SnapshotIsolation,
    /// As if one after the other.
    Serializable,
    /// Read committed, and each client's transactions in its order.
    StrongSessionReadCommitted,
    /// Read committed in the order of real time.
    StrongReadCommitted,
    /// Snapshot isolation, and each client sees what it did.
    StrongSessionSnapshotIsolation,
    /// Snapshot isolation whose snapshots are never stale.
    StrongSnapshotIsolation,
    /// Serializable, and each client's transactions in its order.
    StrongSessionSerializable,
    /// Serializable in the order of real time.
    StrictSerializable,
}

use Model::{
    CausalCerone, ConsistentView, CursorStability, ForwardConsistentView, MonotonicAtomicView,
    MonotonicSnapshotRead, MonotonicView, ParallelSnapshotIsolation, Prefix, ReadAtomic, ReadCommitted,
    ReadUncommitted, RepeatableRead, Serializable, SnapshotIsolation, StrictSerializable,
    StrongReadCommitted, StrongReadUncommitted, StrongSessionReadCommitted, StrongSessionReadUncommitted,
    StrongSessionSerializable, StrongSessionSnapshotIsolation, StrongSnapshotIsolation, UpdateAtomic,
    UpdateSerializable,
};

/// What is known of each model.
struct Entry {
    model: Model,
    name: &'static str,
    aliases: &'static [&'static str],
    /// What follows from it directly.
    implies: &'static [Model],
}

const fn entry(
    model: Model,
    name: &'static str,
    aliases: &'static [&'static str],
    implies: &'static [Model],
) -> Entry {
    Entry { model, name, aliases, implies }
}

/// In the order of [`Model`].
const TABLE: [Entry; 25] = [
    entry(ReadUncommitted, "read-uncommitted", &["PL-1"], &[]),
    entry(
        StrongSessionReadUncommitted,
        "strong-session-read-uncommitted",
        &["strong-session-PL-1"],
        &[ReadUncommitted],
    ),
    entry(
        StrongReadUncommitted,
        "strong-read-uncommitted",
        &["strong-PL-1"],
        &[StrongSessionReadUncommitted],
    ),
    entry(ReadCommitted, "read-committed", &["PL-2"], &[ReadUncommitted]),
    entry(MonotonicView, "monotonic-view", &["PL-2L"], &[ReadCommitted]),
    entry(MonotonicSnapshotRead, "monotonic-snapshot-read", &["PL-MSR"], &[ReadCommitted]),
    entry(MonotonicAtomicView, "monotonic-atomic-view", &[], &[ReadCommitted]),
    entry(ReadAtomic, "read-atomic", &[], &[MonotonicAtomicView]),
    entry(CausalCerone, "causal-cerone", &[], &[ReadAtomic]),
    entry(Prefix, "prefix", &[], &[CausalCerone]),
    entry(CursorStability, "cursor-stability", &["PL-CS"], &[ReadCommitted]),
    entry(UpdateAtomic, "update-atomic", &[], &[ReadAtomic]),
    entry(ParallelSnapshotIsolation, "parallel-snapshot-isolation", &[], &[CausalCerone, UpdateAtomic]),
    entry(ConsistentView, "consistent-view", &["PL-2+"], &[CursorStability, MonotonicView]),
    entry(ForwardConsistentView, "forward-consistent-view", &["PL-FCV"], &[ConsistentView]),
    entry(UpdateSerializable, "update-serializable", &["PL-3U"], &[ForwardConsistentView]),
    entry(RepeatableRead, "repeatable-read", &["PL-2.99"], &[CursorStability, MonotonicAtomicView]),
    entry(
        SnapshotIsolation,
        "snapshot-isolation",
        &["PL-SI"],
        &[
            ForwardConsistentView,
            MonotonicAtomicView,
            MonotonicSnapshotRead,
            ParallelSnapshotIsolation,
            Prefix,
        ],
    ),
    entry(
        Serializable,
        "serializable",
        &["PL-3", "conflict-serializable"],
        &[RepeatableRead, SnapshotIsolation, UpdateSerializable],
    ),
    entry(
        StrongSessionReadCommitted,
        "strong-session-read-committed",
        &["strong-session-PL-2"],
        &[ReadCommitted, StrongSessionReadUncommitted],
    ),
    entry(
        StrongReadCommitted,
        "strong-read-committed",
        &["strong-PL-2"],
        &[StrongSessionReadCommitted, StrongReadUncommitted],
    ),
    entry(
        StrongSessionSnapshotIsolation,
        "strong-session-snapshot-isolation",
        &["strong-session-PL-SI"],
        &[SnapshotIsolation, StrongSessionReadCommitted],
    ),
    entry(
        StrongSnapshotIsolation,
        "strong-snapshot-isolation",
        &["strong-PL-SI"],
        &[StrongSessionSnapshotIsolation, StrongReadCommitted],
    ),
    entry(
        StrongSessionSerializable,
        "strong-session-serializable",
        &["strong-session-PL-3"],
        &[Serializable, StrongSessionSnapshotIsolation],
    ),
    entry(
        StrictSerializable,
        "strict-serializable",
        &["PL-SS", "strong-serializable"],
        &[Serializable, StrongSessionSerializable, StrongSnapshotIsolation],
    ),
];

/// Models of which these checkers see nothing. To take their names would be to call every history valid.
const UNDETECTABLE: [&str; 12] = [
    "linearizable",
    "sequential",
    "causal",
    "PRAM",
    "monotonic-reads",
    "monotonic-writes",
    "read-your-writes",
    "writes-follow-reads",
    "view-serializable",
    "1SR",
    "PL-1SR",
    "session-serializable",
];

impl Model {
    /// All of them, the weaker first.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        TABLE.iter().map(|entry| entry.model)
    }

    /// Its name, as Jepsen writes it.
    pub fn name(self) -> &'static str {
        TABLE[self as usize].name
    }

    /// Other names for it.
    pub fn aliases(self) -> &'static [&'static str] {
        TABLE[self as usize].aliases
    }

    /// Finds a model by its name or one of its aliases; upper and lower case are the same.
    ///
    /// # Errors
    /// If there is no such model, or one that no checker here can tell from others.
    pub fn parse(name: &str) -> Result<Self, ModelError> {
        let is = |known: &&str| known.eq_ignore_ascii_case(name);
        let found = TABLE.iter().find(|entry| is(&entry.name) || entry.aliases.iter().any(is));
        match found {
            Some(entry) => Ok(entry.model),
            None if UNDETECTABLE.iter().any(is) => Err(ModelError::Undetectable(name.to_owned())),
            None => Err(ModelError::Unknown(name.to_owned())),
        }
    }

    /// Reads names with commas between them; spaces around a name do not matter.
    ///
    /// # Errors
    /// Of the first name that is none: see [`parse`](Self::parse).
    pub fn parse_list(names: &str) -> Result<Vec<Self>, ModelError> {
        let mut models = Vec::new();
        for name in names.split(',') {
            let model = Self::parse(name.trim().trim_start_matches(':'))?;
            if !models.contains(&model) {
                models.push(model);
            }
        }
        Ok(models)
    }

    /// Whether whoever keeps this one keeps the other.
    pub fn implies(self, other: Self) -> bool {
        self.implied() & other.bit() != 0
    }

    /// Whether the anomaly shows that the model was not kept.
    pub fn forbids(self, anomaly: Anomaly) -> bool {
        anomaly.refutes().iter().any(|&weakest| self.implies(weakest))
    }

    /// Whether only a part of what the model promises can be seen in a history. A verdict "valid" says less then.
    pub const fn is_checked_in_part(self) -> bool {
        matches!(
            self,
            MonotonicView
                | MonotonicSnapshotRead
                | MonotonicAtomicView
                | CausalCerone
                | Prefix
                | ParallelSnapshotIsolation
        )
    }

    /// Whether each client's order counts.
    pub fn needs_process_order(self) -> bool {
        self.implies(StrongSessionReadUncommitted)
    }

    /// Whether the order of real time counts.
    pub fn needs_realtime_order(self) -> bool {
        self.implies(StrongReadUncommitted)
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// It and all that follows from it, a bit each.
    fn implied(self) -> u32 {
        TABLE[self as usize].implies.iter().fold(self.bit(), |bits, model| bits | model.implied())
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that stands for no model that can be checked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Nobody knows it.
    #[error("there is no consistency model {0:?}; there are: {names}", names = names())]
    Unknown(String),
    /// It is a model, but none that these checkers can refute.
    #[error(
        "{0:?} cannot be checked: no anomaly that can be found in transactions refutes it, so every history would be \
         called valid. What can be checked: {names}", names = names()
    )]
    Undetectable(String),
}

fn names() -> String {
    TABLE.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ")
}

/// Something that a history shows and that a model may forbid. The gravest come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Anomaly {
    /// A read of something that nobody tried to write. No model allows it.
    GarbageRead,
    /// An element is twice in one list.
    DuplicateElements,
    /// What is known of the order of a register's values contradicts itself.
    CyclicVersions,
    /// A read of a transaction that failed.
    G1a,
    /// A read of what a transaction wrote before its last write.
    G1b,
    /// A committed transaction built on one that failed.
    DirtyUpdate,
    /// Two reads of a list of which neither is the beginning of the other.
    IncompatibleOrder,
    /// A transaction read what it was to write only later.
    FutureRead,
    /// A transaction contradicts itself.
    Internal,
    /// Two transactions read the same version and both changed it.
    LostUpdate,
    /// Transactions that depend on each other in a circle.
    Cycle(Class, Order),
}

/// What dependencies a cycle is made of, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Class {
    /// Writes over writes only.
    G0,
    /// Writes over writes, and at least one read of a write.
    G1c,
    /// Exactly one anti-dependency: a read of what was overwritten.
    GSingle,
    /// Several anti-dependencies, never two in a row.
    GNonadjacent,
    /// Several anti-dependencies, somewhere two in a row.
    G2,
}

impl Class {
    /// All of them, the gravest first.
    pub const ALL: [Self; 5] = [Self::G0, Self::G1c, Self::GSingle, Self::GNonadjacent, Self::G2];
}

/// What else a cycle needs besides dependencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Order {
    /// Nothing.
    Data,
    /// The order in which one client did its transactions.
    Process,
    /// That one transaction ended before another began.
    Realtime,
}

impl Order {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Data, Self::Process, Self::Realtime];
}

impl Anomaly {
    /// The name that Elle gives it.
    pub const fn name(self) -> &'static str {
        use {Class as C, Order as O};
        match self {
            Self::GarbageRead => "garbage-read",
            Self::DuplicateElements => "duplicate-elements",
            Self::CyclicVersions => "cyclic-versions",
            Self::G1a => "G1a",
            Self::G1b => "G1b",
            Self::DirtyUpdate => "dirty-update",
            Self::IncompatibleOrder => "incompatible-order",
            Self::FutureRead => "future-read",
            Self::Internal => "internal",
            Self::LostUpdate => "lost-update",
            Self::Cycle(C::G0, O::Data) => "G0",
            Self::Cycle(C::G0, O::Process) => "G0-process",
            Self::Cycle(C::G0, O::Realtime) => "G0-realtime",
            Self::Cycle(C::G1c, O::Data) => "G1c",
            Self::Cycle(C::G1c, O::Process) => "G1c-process",
            Self::Cycle(C::G1c, O::Realtime) => "G1c-realtime",
            Self::Cycle(C::GSingle, O::Data) => "G-single-item",
            Self::Cycle(C::GSingle, O::Process) => "G-single-item-process",
            Self::Cycle(C::GSingle, O::Realtime) => "G-single-item-realtime",
            Self::Cycle(C::GNonadjacent, O::Data) => "G-nonadjacent-item",
            Self::Cycle(C::GNonadjacent, O::Process) => "G-nonadjacent-item-process",
            Self::Cycle(C::GNonadjacent, O::Realtime) => "G-nonadjacent-item-realtime",
            Self::Cycle(C::G2, O::Data) => "G2-item",
            Self::Cycle(C::G2, O::Process) => "G2-item-process",
            Self::Cycle(C::G2, O::Realtime) => "G2-item-realtime",
        }
    }

    /// The weakest models that it refutes. All that are stronger are refuted too.
    pub const fn refutes(self) -> &'static [Model] {
        use {Class as C, Order as O};
        match self {
            Self::GarbageRead
            | Self::DuplicateElements
            | Self::CyclicVersions
            | Self::Cycle(C::G0, O::Data) => &[ReadUncommitted],
            Self::G1a
            | Self::G1b
            | Self::DirtyUpdate
            | Self::IncompatibleOrder
            | Self::FutureRead
            | Self::Cycle(C::G1c, O::Data) => &[ReadCommitted],
            Self::Internal => &[ReadAtomic],
            Self::LostUpdate => &[CursorStability, UpdateAtomic],
            Self::Cycle(C::GSingle, O::Data) => &[ConsistentView, RepeatableRead],
            Self::Cycle(C::GNonadjacent, O::Data) => &[SnapshotIsolation, RepeatableRead],
            Self::Cycle(C::G2, O::Data) => &[RepeatableRead],
            Self::Cycle(C::G0, O::Process) => &[StrongSessionReadUncommitted],
            Self::Cycle(C::G1c, O::Process) => &[StrongSessionReadCommitted],
            Self::Cycle(C::GSingle | C::GNonadjacent, O::Process) => &[StrongSessionSnapshotIsolation],
            Self::Cycle(C::G2, O::Process) => &[StrongSessionSerializable],
            Self::Cycle(C::G0, O::Realtime) => &[StrongReadUncommitted],
            Self::Cycle(C::G1c, O::Realtime) => &[StrongReadCommitted],
            Self::Cycle(C::GSingle | C::GNonadjacent, O::Realtime) => &[StrongSnapshotIsolation],
            Self::Cycle(C::G2, O::Realtime) => &[StrictSerializable],
        }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which models some anomalies refute.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refuted {
    /// The weakest of them, by name: each of the others is stronger than one of these.
    pub not: Vec<Model>,
    /// The others, by name.
    pub also_not: Vec<Model>,
}

impl Refuted {
    /// By these anomalies.
    ///
    /// A read of garbage says that data was corrupted, and not which promise between transactions was broken. It
    /// refutes every model; [`Refuted::not`] names what the other anomalies refute where there are any.
    pub fn by(anomalies: &[Anomaly]) -> Self {
        let all = || anomalies.iter().copied();
        let telling = |anomaly: &Anomaly| {
            *anomaly != Anomaly::GarbageRead || all().all(|other| other == Anomaly::GarbageRead)
        };
        let mut weakest: Vec<Model> = all().filter(telling).flat_map(Anomaly::refutes).copied().collect();
        weakest.sort_unstable_by_key(|model| model.name());
        weakest.dedup();
        let is_minimal =
            |model: &&Model| !weakest.iter().any(|&other| other != **model && model.implies(other));
        let not: Vec<Model> = weakest.iter().filter(is_minimal).copied().collect();
        let is_refuted = |model: &Model| all().any(|anomaly| model.forbids(anomaly));
        let mut also_not: Vec<Model> =
            Model::all().filter(|model| is_refuted(model) && !not.contains(model)).collect();
        also_not.sort_unstable_by_key(|model| model.name());
        Self { not, also_not }
    }
}

#[cfg(test)]
mod tests;
