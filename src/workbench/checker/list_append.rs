//! Transactions over lists that are only read and appended to.
//!
//! A read of a list shows everything that was appended before, in order. So what was read tells in which order the
//! appends to a key took effect, who saw whose, and who missed whose; a circle among these is what an isolation level
//! forbids. The method is that of Elle (Kingsbury and Alvaro, 2020).

use std::fmt::Write as _;

use super::Completion;
use super::graph::{self, Edges, kind};
use super::isolation::{Notes, Orders, Proof, Prove, Report, conclude};
use super::models::{Anomaly, Model};
use super::transactions::{Action, NONE, Transactions, number};

/// Pairs of a reader and an append that nobody read, of one key, that get an edge each. More go through hubs.
const PAIRS_MAX: usize = 1 << 16;

/// Judges transactions by consistency models: invalid if an anomaly is found that one of them forbids.
///
/// Takes time and memory proportional to the history, and a bounded search where there are cycles.
pub fn check(transactions: &mut Transactions, models: &[Model]) -> Report {
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

    /// What the orders of keys show by themselves.
    fn note_orders(&self, notes: &mut Notes) {
        let history = self.history;
        let mut reader_of = vec![NONE; history.lists.len()];
        for (index, op) in self.ok_reads() {
            if let Action::ReadList { list, length } = op.action
                && length > 0
                && length as usize == history.elements_known(list)
                && reader_of[list as usize] == NONE
            {
                reader_of[list as usize] = index;
            }
        }
        for (index, list) in history.lists.iter().enumerate() {
            let longest = self.longest[list.key as usize] as usize;
            let agrees = self.agrees[index] as usize;
            if agrees == list.versions.len() {
                continue;
            }
            notes.note_orders(Anomaly::IncompatibleOrder, || {
                let (key, one) = (self.key_name(list.key), &history.lists[longest].versions);
                let who = |list: usize| history.who_or_nobody(reader_of[list]);
                let values = |list: &[u32]| list.iter().map(|element| self.value(*element)).collect();
                let orders = Orders {
                    key,
                    agree: agrees,
                    reads: vec![(who(longest), values(one)), (who(index), values(&list.versions))],
                };
                let sentence = format!(
                    "  key {key}: {} read {}, and {} read {}: neither is the beginning of the other",
                    who(longest),
                    self.around(one, agrees),
                    who(index),
                    self.around(&list.versions, agrees),
                );
                (sentence, Some(orders))
            });
        }
        for key in 0..number(history.keys.len()) {
            let mut failed = None;
            for &element in self.order_of(key) {
                match history.completion_of_writer(element as usize) {
                    Some(Completion::Fail) => failed = failed.or(Some(element)),
                    Some(Completion::Ok) => {
                        if let Some(failed) = failed.take() {
                            notes.note(Anomaly::DirtyUpdate, || {
                                format!(
                                    "  key {}: the transaction that appended {} failed, and yet {} was appended after it",
                                    self.key_name(key),
                                    self.value(failed),
                                    self.value(element),
                                )
                            });
                        }
                    }
                    Some(Completion::Info) | None => {}
                }
            }
        }
    }

    fn ok_reads(&self) -> impl Iterator<Item = (u32, super::transactions::MicroOp)> + '_ {
        let history = self.history;
        (0..number(history.len()))
            .filter(|&index| history.all[index as usize].completion == Completion::Ok)
            .flat_map(move |index| history.ops[history.ops_of(index)].iter().map(move |&op| (index, op)))
    }

    /// What single reads show.
    fn note_reads(&self, notes: &mut Notes) {
        let history = self.history;
        let mut transaction = Transaction::new(history.keys.len());
        for index in 0..number(history.len()) {
            if history.all[index as usize].completion != Completion::Ok {
                continue;
            }
            transaction.begin();
            for op in history.ops_of(index) {
                let key = history.ops[op].key;
                match history.ops[op].action {
                    Action::Write(version) => transaction.key(key).appended.push(version),
                    Action::ReadList { list, length } => {
                        self.note_read(index, key, list, length, notes);
                        let known = transaction.key(key);
                        if let Some(sentence) = self.contradicts(known, key, list, length) {
                            notes.note(Anomaly::Internal, || format!("  {}: {sentence}", history.who(index)));
                        }
                        known.read = Some((list, length));
                        known.appended.clear();
                        self.note_future(index, op, list, length, notes);
                    }
                    Action::Read(_) | Action::Unread => {}
                }
            }
        }
    }

    fn note_read(&self, index: u32, key: u32, list: u32, length: u32, notes: &mut Notes) {
        let history = self.history;
        let Some(newest) = self.last(list, length) else { return };
        let elements = || history.elements(list, length);
        let name = self.key_name(key);
        let at = self.first_garbage[list as usize];
        if at < length {
            notes.note(Anomaly::GarbageRead, || {
                format!(
                    "  {} read key {name} as {}, and nobody tried to append {} to it",
                    history.who(index),
                    self.around(elements(), at as usize),
                    self.value(elements()[at as usize])
                )
            });
        }
        let at = self.first_repeated[list as usize];
        if at < length {
            notes.note(Anomaly::DuplicateElements, || {
                format!(
                    "  {} read key {name} as {}, with {} twice, and it was appended once",
                    history.who(index),
                    self.around(elements(), at as usize),
                    self.value(elements()[at as usize])
                )
            });
        }
        let at = self.first_failed[list as usize];
        if at < length {
            notes.note(Anomaly::G1a, || {
                let element = elements()[at as usize];
                let writer = history.versions[element as usize].writer;
                format!(
                    "  {} read key {name} as {}, and {} was appended by {}",
                    history.who(index),
                    self.around(elements(), at as usize),
                    self.value(element),
                    history.who(writer)
                )
            });
        }
        let version = &history.versions[newest as usize];
        if version.is_intermediate && version.writer != index && self.writer(newest).is_some() {
            notes.note(Anomaly::G1b, || {
                format!(
                    "  {} read key {name} up to {}, and the transaction that appended it ({}) went on to append more to it",
                    history.who(index),
                    version.value,
                    history.who(version.writer)
                )
            });
        }
    }

    /// Whether a read contradicts what its transaction read and appended before.
    fn contradicts(&self, known: &Known, key: u32, list: u32, length: u32) -> Option<String> {
        let history = self.history;
        let elements = history.elements(list, length);
        let agrees = match known.read {
            // The same list up to the same place, as nearly always.
            Some((before, until)) if before == list && until == length => known.appended.is_empty(),
            Some((before, until)) => {
                let before = history.elements(before, until);
                elements.len() == before.len() + known.appended.len()
                    && elements.starts_with(before)
                    && elements.ends_with(&known.appended)
            }
            None => elements.ends_with(&known.appended),
        };
        if agrees {
            return None;
        }
        let mut sentence = String::new();
        if let Some((before, until)) = known.read {
            _ = write!(
                sentence,
                "it had read key {} as {}",
                self.key_name(key),
                history.shown(before, until)
            );
        }
        if !known.appended.is_empty() {
            let appended: Vec<String> =
                known.appended.iter().map(|&version| self.value(version).to_string()).collect();
            let joint = if sentence.is_empty() { "it had" } else { " and then" };
            _ = write!(sentence, "{joint} appended {} to key {}", appended.join(", "), self.key_name(key));
        }
        _ = write!(sentence, ", and then read {}", history.shown(list, length));
        Some(sentence)
    }

    /// Whether a read shows what its transaction appends only later.
    fn note_future(&self, index: u32, read: usize, list: u32, length: u32, notes: &mut Notes) {
        if length == 0 {
            return;
        }
        let history = self.history;
        let key = history.ops[read].key;
        for op in read + 1..history.ops_of(index).end {
            let Action::Write(version) = history.ops[op].action else { continue };
            if history.ops[op].key != key || !self.is_observed[version as usize] {
                continue;
            }
            let place = self.place[version as usize];
            let shows =
                if length <= self.agrees[list as usize] && self.first_repeated[list as usize] >= length {
                    place < length
                } else {
                    history.elements(list, length).contains(&version)
                };
            if shows {
                notes.note(Anomaly::FutureRead, || {
                    format!(
                        "  {} read key {} as {}, and appended {} only afterwards",
                        history.who(index),
                        self.key_name(key),
                        history.shown(list, length),
                        self.value(version)
                    )
                });
            }
        }
    }

    /// Transactions that read the same version of a key first and appended to it later.
    fn note_lost_updates(&self, notes: &mut Notes) {
        let history = self.history;
        let mut updates: Vec<(u32, u32, u32, u32)> = Vec::new();
        let mut transaction = Transaction::new(history.keys.len());
        for index in 0..number(history.len()) {
            if history.all[index as usize].completion != Completion::Ok {
                continue;
            }
            transaction.begin();
            for op in &history.ops[history.ops_of(index)] {
                let known = transaction.key(op.key);
                match op.action {
                    Action::ReadList { list, length } if !known.is_done && known.read.is_none() => {
                        known.read = Some((list, length));
                    }
                    Action::Write(_) if !known.is_done => {
                        known.is_done = true;
                        if let Some((list, length)) = known.read {
                            let (list, length) = self.canonical(op.key, list, length);
                            updates.push((op.key, list, length, index));
                        }
                    }
                    _ => {}
                }
            }
        }
        updates.sort_unstable();
        for group in updates.chunk_by(|a, b| (a.0, a.1, a.2) == (b.0, b.1, b.2)) {
            if group.len() < 2 {
                continue;
            }
            let (key, list, length, _) = group[0];
            notes.note(Anomaly::LostUpdate, || {
                let who: Vec<String> = group.iter().take(3).map(|update| history.who(update.3)).collect();
                format!(
                    "  {} transactions read key {} as {} and then appended to it, each without the others' element: {}{}",
                    group.len(),
                    self.key_name(key),
                    history.shown(list, length),
                    who.join("; "),
                    if group.len() > 3 { "; …" } else { "" }
                )
            });
        }
    }

    /// The same for all reads that showed the same.
    fn canonical(&self, key: u32, list: u32, length: u32) -> (u32, u32) {
        if length == 0 {
            (NONE, 0)
        } else if length <= self.agrees[list as usize] {
            (self.longest[key as usize], length)
        } else {
            (list, length)
        }
    }

    /// `[… 3 4 5 …]`: the elements around this place.
    fn around(&self, elements: &[u32], place: usize) -> String {
        let from = place.saturating_sub(2).min(elements.len());
        let to = (place + 2).min(elements.len());
        let mut text = if from > 0 { "[… ".to_owned() } else { "[".to_owned() };
        let values: Vec<String> =
            elements[from..to].iter().map(|&version| self.value(version).to_string()).collect();
        text.push_str(&values.join(" "));
        text.push_str(if to < elements.len() { " …]" } else { "]" });
        text
    }
}

struct NotInOrder;

/// What a transaction knows of the keys that it touched so far.
pub(super) struct Transaction {
    /// For each key: the number of the transaction that touched it last, and where it is in `known`.
    touched: Vec<(u32, u32)>,
    current: u32,
    known: Vec<Known>,
    used: usize,
}

#[derive(Default)]
struct Known {
    read: Option<(u32, u32)>,
    appended: Vec<u32>,
    is_done: bool,
}

impl Transaction {
    fn new(keys: usize) -> Self {
        Self { touched: vec![(0, 0); keys], current: 0, known: Vec::new(), used: 0 }
    }

    fn begin(&mut self) {
        self.current += 1;
        self.used = 0;
    }

    fn key(&mut self, key: u32) -> &mut Known {
        let touched = &mut self.touched[key as usize];
        if touched.0 != self.current {
            *touched = (self.current, number(self.used));
            if self.used == self.known.len() {
                self.known.push(Known::default());
            }
            let known = &mut self.known[self.used];
            known.read = None;
            known.appended.clear();
            known.is_done = false;
            self.used += 1;
        }
        &mut self.known[touched.1 as usize]
    }
}

impl Prove for Lists<'_> {
    fn prove(&self, first: (u32, &str), second: (u32, &str), kind: u8) -> Option<Proof> {
        let ((first, t1), (second, t2)) = (first, second);
        match kind {
            kind::WW => self.prove_ww(first, t1, second, t2),
            kind::WR => self.history.ops_of(second).find_map(|op| {
                let Action::ReadList { list, length } = self.history.ops[op].action else { return None };
                let last = self.last(list, length)?;
                let version = &self.history.versions[last as usize];
                (version.writer == first).then(|| Proof {
                    sentence: format!(
                        "{t2} read key {} up to {}, which {t1} appended",
                        self.key_name(version.key),
                        version.value
                    ),
                    from_op: Some(version.op as usize),
                    to_op: Some(op),
                })
            }),
            _ => self.prove_rw(first, t1, second, t2),
        }
    }
}

impl Lists<'_> {
    fn prove_ww(&self, first: u32, t1: &str, second: u32, t2: &str) -> Option<Proof> {
        self.history.ops_of(second).find_map(|op| {
            let micro = self.history.ops[op];
            let Action::Write(version) = micro.action else { return None };
            let order = self.order_of(micro.key);
            let is_placed = self.place[version as usize] != NONE;
            let before = match self.place[version as usize] {
                NONE => order.last().copied(),
                0 => None,
                place => Some(order[place as usize - 1]),
            }?;
            if self.history.versions[before as usize].writer != first {
                return None;
            }
            let (key, old, new) = (self.key_name(micro.key), self.value(before), self.value(version));
            let sentence = if is_placed {
                format!("{t2} appended {new} to key {key} right after {t1}'s {old}")
            } else {
                format!(
                    "{t2} appended {new} to key {key}, {}, so it came after {t1}'s {old}, the last there",
                    self.why_last(version)
                )
            };
            Some(Proof {
                sentence,
                from_op: Some(self.history.versions[before as usize].op as usize),
                to_op: Some(op),
            })
        })
    }

    /// Why an append that the order of its key does not have comes after all that it has.
    fn why_last(&self, version: u32) -> &'static str {
        if self.is_observed[version as usize] {
            "which the longest list that was read does not have"
        } else {
            "which nobody ever read"
        }
    }

    fn prove_rw(&self, first: u32, t1: &str, second: u32, t2: &str) -> Option<Proof> {
        self.history.ops_of(first).find_map(|op| {
            let micro = self.history.ops[op];
            let Action::ReadList { list, length } = micro.action else { return None };
            let last = self.last(list, length);
            let next = self.after(micro.key, last).ok()?;
            let mine = |version: &u32| self.history.versions[*version as usize].writer == second;
            let missed = match next {
                Some(next) => Some(next).filter(mine),
                None => self.unplaced_of(micro.key).iter().map(|pair| pair.1).find(mine),
            }?;
            let (key, value) = (self.key_name(micro.key), self.value(missed));
            let mut sentence = match last {
                Some(last) => {
                    format!("{t1} read key {key} up to {}, so without {t2}'s {value}", self.value(last))
                }
                None => format!("{t1} found key {key} empty, so without {t2}'s {value}"),
            };
            if next.is_none() {
                _ = write!(sentence, ", {}, so it came later", self.why_last(missed));
            }
            Some(Proof {
                sentence,
                from_op: Some(op),
                to_op: Some(self.history.versions[missed as usize].op as usize),
            })
        })
    }
}
