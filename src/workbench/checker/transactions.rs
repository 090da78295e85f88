//! Transactions as the checkers take them: in few large tables instead of many small ones.
//!
//! A million transactions with two and a half million micro-operations take about 200 MB here. Keys and values
//! get dense numbers as they come. Lists that were read share what they have in common: a right node's reads of a
//! key all show the beginning of one list, so each costs eight bytes; only a list that contradicts the others of
//! its key is kept whole.

use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::FixedState;

use super::{Completion, Interval};

/// No transaction, version or list.
pub(super) const NONE: u32 = u32::MAX;

/// Transactions of one history, in the order in which they were handed in.
#[derive(Clone, Debug, Default)]
pub struct Transactions {
    pub(super) all: Vec<Transaction>,
    pub(super) ops: Vec<MicroOp>,
    pub(super) keys: Vec<Key>,
    /// Versions of all keys: what was written to a key, or read from it. For lists: their elements.
    pub(super) versions: Vec<Version>,
    /// Lists that were read.
    pub(super) lists: Vec<List>,
    numbers: HashMap<i64, u32, FixedState>,
    /// For each key: the operation of the newest transaction that wrote it last.
    last_write: Vec<u32>,
    repeated: Option<(i64, i64)>,
    /// What a write is called.
    word: &'static str,
}

/// One transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transaction {
    pub interval: Interval,
    pub process: u32,
    pub node: u32,
    /// Where its micro-operations begin; they end where those of the next one begin.
    ops: u32,
    pub completion: Completion,
}

/// One step of a transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct MicroOp {
    pub key: u32,
    pub action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// An append, or a write of a register: of this version.
    Write(u32),
    /// A read of a register: this version, or [`NONE`] for null.
    Read(u32),
    /// A read of a list: so many elements of a list; none at all are the same whatever the list.
    ReadList { list: u32, length: u32 },
    /// A read whose result nobody knows.
    Unread,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Key {
    pub name: i64,
    /// Versions by their value, where values are small and many.
    dense: Vec<u32>,
    sparse: HashMap<i64, u32, FixedState>,
    versions: u32,
    /// The first list of it that was read; each knows the next.
    pub first_list: u32,
    newest_list: u32,
}

/// What may be the value of a key, or an element of its list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Version {
    pub value: i64,
    pub key: u32,
    /// Who tried to write it; [`NONE`] if nobody did.
    pub writer: u32,
    /// The micro-operation that tried to.
    pub op: u32,
    /// Whether the same transaction wrote the same key again.
    pub is_intermediate: bool,
}

#[derive(Clone, Debug)]
pub(super) struct List {
    pub key: u32,
    pub next: u32,
    /// While transactions come: values. Afterwards `versions` has them.
    values: Vec<i64>,
    pub versions: Vec<u32>,
}

/// How many lists of a key a read is compared with. What is beyond is kept once more.
const LISTS_COMPARED: usize = 16;

impl Transactions {
    /// None yet, over lists that are appended to.
    pub fn over_lists() -> Self {
        Self { word: "append", ..Self::default() }
    }

    /// None yet, over registers that are written.
    pub fn over_registers() -> Self {
        Self { word: "w", ..Self::default() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Begins the next transaction; its micro-operations follow.
    ///
    /// # Panics
    /// Beyond 2³¹ transactions.
    pub fn begin(&mut self, process: usize, node: usize, interval: Interval, completion: Completion) {
        assert!(self.all.len() < 1 << 31, "at most 2^31 transactions");
        let ops = number(self.ops.len());
        self.all.push(Transaction {
            interval,
            process: u32::try_from(process).unwrap_or(NONE),
            node: u32::try_from(node).unwrap_or(NONE),
            ops,
            completion,
        });
    }

    /// It appends an element to a list, or writes a register.
    pub fn write(&mut self, key: i64, value: i64) {
        let (key, op) = (self.key(key), number(self.ops.len()));
        let (transaction, version) = (self.current(), self.version(key, value));
        let known = &mut self.versions[version as usize];
        if known.writer == NONE {
            (known.writer, known.op) = (transaction, op);
        } else {
            self.repeated.get_or_insert((self.keys[key as usize].name, value));
        }
        let last = &mut self.last_write[key as usize];
        if *last != NONE
            && *last >= self.all[transaction as usize].ops
            && let Action::Write(earlier) = self.ops[*last as usize].action
        {
            self.versions[earlier as usize].is_intermediate = true;
        }
        *last = op;
        self.ops.push(MicroOp { key, action: Action::Write(version) });
    }

    /// It reads a register.
    pub fn read(&mut self, key: i64, value: Option<i64>) {
        let key = self.key(key);
        let version = value.map_or(NONE, |value| self.version(key, value));
        self.ops.push(MicroOp { key, action: Action::Read(version) });
    }

    /// It reads a list. That there is no such list, and an empty one, are the same.
    pub fn read_list(&mut self, key: i64, values: &[i64]) {
        let key = self.key(key);
        let action = Action::ReadList { list: self.list(key, values), length: number(values.len()) };
        self.ops.push(MicroOp { key, action });
    }

    /// It reads, and nobody knows what: the transaction was not answered, or with a failure.
    pub fn read_unknown(&mut self, key: i64) {
        let key = self.key(key);
        self.ops.push(MicroOp { key, action: Action::Unread });
    }

    /// A value that was written to a key twice, if there is one: then nobody knows whose write a read saw.
    pub fn repeated_write(&self) -> Option<(i64, i64)> {
        self.repeated
    }

    /// Gives the elements of lists their numbers. Must be called after the last transaction.
    pub(super) fn number_elements(&mut self) {
        for list in 0..self.lists.len() {
            let key = self.lists[list].key;
            let values = std::mem::take(&mut self.lists[list].values);
            let versions = values.iter().map(|&value| self.version(key, value)).collect::<Vec<_>>();
            // A second call finds nothing to do.
            if !values.is_empty() {
                self.lists[list].versions = versions;
            }
        }
    }

    /// The micro-operations of a transaction, as positions in [`Transactions::ops`].
    pub(super) fn ops_of(&self, transaction: u32) -> Range<usize> {
        let start = self.all[transaction as usize].ops as usize;
        let end = self.all.get(transaction as usize + 1).map_or(self.ops.len(), |next| next.ops as usize);
        start..end
    }

    /// The elements that a read showed.
    pub(super) fn elements(&self, list: u32, length: u32) -> &[u32] {
        if length == 0 { &[] } else { &self.lists[list as usize].versions[..length as usize] }
    }

    /// How the transaction ended that tried to write a version; `None` if nobody did.
    pub(super) fn completion_of_writer(&self, version: usize) -> Option<Completion> {
        let writer = self.versions[version].writer;
        (writer != NONE).then(|| self.all[writer as usize].completion)
    }

    /// How much of a list was ever read.
    pub(super) fn elements_known(&self, list: u32) -> usize {
        self.lists.get(list as usize).map_or(0, |list| list.versions.len())
    }

    /// What a write is called in a micro-operation.
    pub(super) const fn word(&self) -> &'static str {
        self.word
    }

    fn current(&self) -> u32 {
        number(self.all.len().checked_sub(1).expect("a transaction was begun"))
    }

    fn key(&mut self, name: i64) -> u32 {
        *self.numbers.entry(name).or_insert_with(|| {
            self.keys.push(Key { name, first_list: NONE, newest_list: NONE, ..Key::default() });
            self.last_write.push(NONE);
            number(self.keys.len() - 1)
        })
    }

    fn version(&mut self, key: u32, value: i64) -> u32 {
        let known = &mut self.keys[key as usize];
        let index = usize::try_from(value).unwrap_or(usize::MAX);
        if let Some(&version) = known.dense.get(index)
            && version != NONE
        {
            return version;
        }
        if !known.sparse.is_empty()
            && let Some(&version) = known.sparse.get(&value)
        {
            return version;
        }
        let version = number(self.versions.len());
        if index < 64 + 4 * known.versions as usize {
            if index >= known.dense.len() {
                known.dense.resize(index + 1, NONE);
            }
            known.dense[index] = version;
        } else {
            known.sparse.insert(value, version);
        }
        known.versions += 1;
        self.versions.push(Version { value, key, writer: NONE, op: NONE, is_intermediate: false });
        version
    }

    /// The list that begins with these values: one that was read before, if it can be.
    fn list(&mut self, key: u32, values: &[i64]) -> u32 {
        if values.is_empty() {
            return NONE;
        }
        let mut next = self.keys[key as usize].first_list;
        for _ in 0..LISTS_COMPARED {
            if next == NONE {
                break;
            }
            let known = &mut self.lists[next as usize];
            let common = known.values.len().min(values.len());
            if known.values[..common] == values[..common] {
                known.values.extend_from_slice(&values[common..]);
                return next;
            }
            next = known.next;
        }
        let list = number(self.lists.len());
        self.lists.push(List { key, next: NONE, values: values.to_vec(), versions: Vec::new() });
        let key = &mut self.keys[key as usize];
        if key.newest_list == NONE {
            key.first_list = list;
        } else {
            self.lists[key.newest_list as usize].next = list;
        }
        key.newest_list = list;
        list
    }
}

/// A position in a table, which holds fewer than 2³² rows: more would not fit into memory.
pub(super) fn number(index: usize) -> u32 {
    u32::try_from(index).expect("fewer than 2^32 rows")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    fn begun() -> Transactions {
        let mut transactions = Transactions::over_lists();
        let interval = Interval { invoked: Instant::START, completed: Instant::END };
        transactions.begin(0, 0, interval, Completion::Ok);
        transactions
    }

    #[test]
    fn lists_share_what_they_have_in_common() {
        let mut transactions = begun();
        for list in [&[1, 2][..], &[], &[1], &[1, 2, 3], &[1, 3], &[2], &[1, 3, 4], &[1, 2, 3]] {
            transactions.read_list(9, list);
        }
        transactions.number_elements();
        transactions.number_elements();
        assert_eq!(transactions.lists.len(), 3);
        let shown: Vec<Vec<i64>> = transactions
            .ops
            .iter()
            .map(|op| match op.action {
                Action::ReadList { list, length } => transactions
                    .elements(list, length)
                    .iter()
                    .map(|&version| transactions.versions[version as usize].value)
                    .collect(),
                _ => unreachable!(),
            })
            .collect();
        let expected: [&[i64]; 8] = [&[1, 2], &[], &[1], &[1, 2, 3], &[1, 3], &[2], &[1, 3, 4], &[1, 2, 3]];
        assert_eq!(shown, expected);
    }

    #[test]
    fn values_far_apart_cost_no_more_than_others() {
        let mut transactions = begun();
        for value in [i64::MIN, -1, 0, 1, 1 << 53, i64::MAX] {
            transactions.write(i64::MAX, value);
            transactions.read(i64::MAX, Some(value));
        }
        assert_eq!(transactions.versions.len(), 6);
        assert!(transactions.keys[0].dense.len() <= 2);
        assert_eq!(transactions.repeated_write(), None);
        transactions.write(i64::MAX, -1);
        assert_eq!(transactions.repeated_write(), Some((i64::MAX, -1)));
    }

    #[test]
    fn a_write_that_its_transaction_writes_over_is_intermediate() {
        let mut transactions = begun();
        let interval = transactions.all[0].interval;
        transactions.write(1, 1);
        transactions.write(2, 1);
        transactions.write(1, 2);
        transactions.begin(1, 0, interval, Completion::Ok);
        transactions.write(1, 3);
        let intermediate: Vec<bool> =
            transactions.versions.iter().map(|version| version.is_intermediate).collect();
        assert_eq!(intermediate, [true, false, false, false]);
    }
}
