//! Transactions over lists that are only read and appended to.
//!
//! A read of a list shows everything that was appended before, in order. So what was read tells in which order the
//! appends to a key took effect, who saw whose, and who missed whose; a circle among these is what an isolation level
//! forbids. The method is that of Elle (Kingsbury and Alvaro, 2020).

mod notes;
mod prove;

use super::Completion;
use super::graph::{self, Edges, kind};
use super::isolation::{IsolationResults, Notes, conclude};
use super::models::Model;
use super::transactions::{Action, NONE, Transactions, number};

/// Pairs of a reader and an append that nobody read, of one key, that get an edge each. More go through hubs.
const PAIRS_MAX: usize = 1 << 16;

/// Judges transactions by consistency models: invalid if an anomaly is found that one of them forbids.
///
/// Takes time and memory proportional to the history, and a bounded search where there are cycles.
pub fn check(transactions: &mut Transactions, models: &[Model]) -> IsolationResults {
    transactions.number_elements();
    let lists = Lists::of(transactions);
    let mut notes = Notes::default();
    if transactions.repeated_write().is_none() {
        lists.note_orders(&mut notes);
        lists.note_reads(&mut notes);
        lists.note_lost_updates(&mut notes);
    }
    let mut edges = Edges::default();
    let vertices = lists.dependencies(&mut edges);
    conclude(transactions, models, notes, edges, vertices, &lists)
}

/// What is known of the order of each key's elements.
struct Lists<'a> {
    history: &'a Transactions,
    /// For each key the list that has its order: the longest that was read.
    longest: Vec<u32>,
    /// For each version: its place in the order of its key, [`NONE`] if it has none.
    place: Vec<u32>,
    /// The order of each key without repetitions, one key after the other.
    order: Vec<u32>,
    /// Where the order of a key begins; it ends where the next one begins.
    starts: Vec<u32>,
    /// Whether an element was seen by anybody.
    is_observed: Vec<bool>,
    /// For each list: how long it agrees with the order of its key.
    agrees: Vec<u32>,
    /// For each list: the first element that is there a second time, that a failed transaction appended, that nobody did.
    first_repeated: Vec<u32>,
    first_failed: Vec<u32>,
    first_garbage: Vec<u32>,
    /// Appends that the order of their key does not have, of transactions that may have happened: by key. Who read the whole
    /// order did so before them.
    unplaced: Vec<(u32, u32)>,
}

impl<'a> Lists<'a> {
    fn of(history: &'a Transactions) -> Self {
        let (keys, versions, lists) = (history.keys.len(), history.versions.len(), history.lists.len());
        let mut longest = vec![NONE; keys];
        for (index, list) in history.lists.iter().enumerate() {
            let best = &mut longest[list.key as usize];
            if *best == NONE || history.lists[*best as usize].versions.len() < list.versions.len() {
                *best = number(index);
            }
        }
        let mut place = vec![NONE; versions];
        let (mut order, mut starts) = (Vec::new(), Vec::with_capacity(keys + 1));
        for &list in &longest {
            starts.push(number(order.len()));
            let elements = if list == NONE { &[][..] } else { &history.lists[list as usize].versions };
            let mut next = 0;
            for &element in elements {
                if place[element as usize] == NONE {
                    place[element as usize] = next;
                    next += 1;
                    order.push(element);
                }
            }
        }
        starts.push(number(order.len()));
        let mut is_observed = vec![false; versions];
        let mut seen_in = vec![NONE; versions];
        let (mut agrees, mut repeated) = (Vec::with_capacity(lists), Vec::with_capacity(lists));
        let (mut failed, mut garbage) = (Vec::with_capacity(lists), Vec::with_capacity(lists));
        for (index, list) in history.lists.iter().enumerate() {
            let model = &history.lists[longest[list.key as usize] as usize].versions;
            agrees.push(number(list.versions.iter().zip(model).take_while(|(a, b)| a == b).count()));
            let (mut first_repeated, mut first_failed, mut first_garbage) = (NONE, NONE, NONE);
            for (at, &element) in list.versions.iter().enumerate() {
                let element = element as usize;
                is_observed[element] = true;
                if seen_in[element] == number(index) {
                    first_repeated = first_repeated.min(number(at));
                }
                seen_in[element] = number(index);
                match history.completion_of_writer(element) {
                    None => first_garbage = first_garbage.min(number(at)),
                    Some(Completion::Fail) => first_failed = first_failed.min(number(at)),
                    Some(_) => {}
                }
            }
            repeated.push(first_repeated);
            failed.push(first_failed);
            garbage.push(first_garbage);
        }
        let mut unplaced: Vec<(u32, u32)> = history
            .versions
            .iter()
            .enumerate()
            .filter(|&(index, _)| {
                place[index] == NONE
                    && matches!(history.completion_of_writer(index), Some(Completion::Ok | Completion::Info))
            })
            .map(|(index, version)| (version.key, number(index)))
            .collect();
        unplaced.sort_unstable();
        Self {
            history,
            longest,
            place,
            order,
            starts,
            is_observed,
            agrees,
            first_repeated: repeated,
            first_failed: failed,
            first_garbage: garbage,
            unplaced,
        }
    }

    fn order_of(&self, key: u32) -> &[u32] {
        &self.order[self.starts[key as usize] as usize..self.starts[key as usize + 1] as usize]
    }

    /// Appends to a key that its order does not have.
    fn unplaced_of(&self, key: u32) -> &[(u32, u32)] {
        let start = self.unplaced.partition_point(|&(other, _)| other < key);
        let length = self.unplaced[start..].partition_point(|&(other, _)| other == key);
        &self.unplaced[start..start + length]
    }

    /// Who wrote a version, if that is a vertex of the graph.
    fn writer(&self, version: u32) -> Option<u32> {
        match self.history.completion_of_writer(version as usize)? {
            Completion::Ok | Completion::Info => Some(self.history.versions[version as usize].writer),
            Completion::Fail => None,
        }
    }

    fn value(&self, version: u32) -> i64 {
        self.history.versions[version as usize].value
    }

    fn key_name(&self, key: u32) -> i64 {
        self.history.keys[key as usize].name
    }

    /// The last element that a read showed; `Err` for a read of nothing.
    fn last(&self, list: u32, length: u32) -> Option<u32> {
        self.history.elements(list, length).last().copied()
    }

    /// The element after this one in the order of its key, or the first one. `Ok(None)` if it is the last; `Err` if the
    /// order does not have it.
    fn after(&self, key: u32, last: Option<u32>) -> Result<Option<u32>, NotInOrder> {
        let order = self.order_of(key);
        let next = match last.map(|last| self.place[last as usize]) {
            None => 0,
            Some(NONE) => return Err(NotInOrder),
            Some(place) => place as usize + 1,
        };
        Ok(order.get(next).copied())
    }

    /// Adds what depends on what. Returns the first vertex that is free then.
    fn dependencies(&self, edges: &mut Edges) -> u32 {
        let history = self.history;
        edges.reserve(3 * history.ops.len());
        let mut add = |from: Option<u32>, to: Option<u32>, kind| {
            if let (Some(from), Some(to)) = (from, to)
                && from != to
            {
                edges.push(from, to, kind);
            }
        };
        for key in 0..number(history.keys.len()) {
            let order = self.order_of(key);
            for pair in order.windows(2) {
                add(self.writer(pair[0]), self.writer(pair[1]), kind::WW);
            }
            if let Some(&last) = order.last() {
                for &(_, version) in self.unplaced_of(key) {
                    add(self.writer(last), self.writer(version), kind::WW);
                }
            }
        }
        // Who read all there ever was of a key, where more was appended.
        let mut readers_of_all: Vec<(u32, u32)> = Vec::new();
        let has_unplaced = self.keys_with_unplaced();
        for index in 0..number(history.len()) {
            if history.all[index as usize].completion != Completion::Ok {
                continue;
            }
            for op in &history.ops[history.ops_of(index)] {
                let Action::ReadList { list, length } = op.action else { continue };
                let last = self.last(list, length);
                if let Some(last) = last {
                    add(self.writer(last), Some(index), kind::WR);
                }
                match self.after(op.key, last) {
                    Ok(Some(next)) => add(Some(index), self.writer(next), kind::RW),
                    Ok(None) if has_unplaced[op.key as usize] => readers_of_all.push((op.key, index)),
                    Ok(None) | Err(NotInOrder) => {}
                }
            }
        }
        readers_of_all.sort_unstable();
        readers_of_all.dedup();
        let mut vertices = number(history.len());
        for readers in readers_of_all.chunk_by(|a, b| a.0 == b.0) {
            let missed = self.unplaced_of(readers[0].0);
            if readers.len() * missed.len() <= PAIRS_MAX {
                for &(_, reader) in readers {
                    for &(_, version) in missed {
                        let writer = history.versions[version as usize].writer;
                        if reader != writer {
                            edges.push(reader, writer, kind::RW);
                        }
                    }
                }
            } else {
                let readers: Vec<u32> = readers.iter().map(|reader| reader.1).collect();
                let writers: Vec<u32> =
                    missed.iter().map(|&(_, version)| history.versions[version as usize].writer).collect();
                vertices = graph::all_before_all(&readers, &writers, kind::RW, vertices, edges);
            }
        }
        vertices
    }

    fn keys_with_unplaced(&self) -> Vec<bool> {
        let mut has = vec![false; self.history.keys.len()];
        for &(key, _) in &self.unplaced {
            has[key as usize] = true;
        }
        has
    }
}

struct NotInOrder;
