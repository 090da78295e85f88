//! What lists show without a circle: orders that contradict each other, odd reads, updates that were lost.

use std::fmt::Write as _;

use super::super::Completion;
use super::super::isolation::{Notes, Orders};
use super::super::models::Anomaly;
use super::super::transactions::{Action, MicroOp, NONE, number};
use super::Lists;

impl Lists<'_> {
    /// What the orders of keys show by themselves.
    pub(super) fn note_orders(&self, notes: &mut Notes) {
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

    fn ok_reads(&self) -> impl Iterator<Item = (u32, MicroOp)> + '_ {
        let history = self.history;
        (0..number(history.len()))
            .filter(|&index| history.all[index as usize].completion == Completion::Ok)
            .flat_map(move |index| history.ops[history.ops_of(index)].iter().map(move |&op| (index, op)))
    }

    /// What single reads show.
    pub(super) fn note_reads(&self, notes: &mut Notes) {
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
    pub(super) fn note_lost_updates(&self, notes: &mut Notes) {
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
    pub(super) fn canonical(&self, key: u32, list: u32, length: u32) -> (u32, u32) {
        if length == 0 {
            (NONE, 0)
        } else if length <= self.agrees[list as usize] {
            (self.longest[key as usize], length)
        } else {
            (list, length)
        }
    }

    /// `[… 3 4 5 …]`: the elements around this place.
    pub(super) fn around(&self, elements: &[u32], place: usize) -> String {
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

/// What a transaction knows of the keys that it touched so far.
struct Transaction {
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
