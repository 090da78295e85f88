//! Transactions over registers that are read and written.
//!
//! A register shows only its newest value, so the order of its values has to be guessed from what is certain: nothing
//! comes before everything; and where a transaction read a value and wrote another one over it, the first came before the
//! second. Each value is written to a key at most once, so whoever read it saw that write. The method is that of Elle
//! (Kingsbury and Alvaro, 2020). The file stands above 600 lines: where the order of versions comes from and what it
//! proves are read side by side.

use super::graph::{self, Edges, Graph, kind};
use super::isolation::{IsolationResults, Notes, Proof, Prove, conclude};
use super::models::{Anomaly, Class, Model, Order};
use super::transactions::{Action, NONE, Transactions, number};
use super::{Completion, Verdict};

/// Pairs of a reader and a writer that get an edge each, for one version. More go through hubs.
const PAIRS_MAX: usize = 1 << 16;

/// What else is taken for certain of the order of a key's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assumptions {
    /// Whoever reads a value and writes another one in the same transaction writes over it.
    pub writes_follow_reads: bool,
    /// Each key alone is sequentially consistent: what a client saw of it later is newer.
    pub sequential_keys: bool,
    /// Each key alone is linearizable: what was seen of it later is newer.
    pub linearizable_keys: bool,
}

impl Default for Assumptions {
    /// As Maelstrom has it.
    fn default() -> Self {
        Self { writes_follow_reads: true, sequential_keys: false, linearizable_keys: false }
    }
}

/// Judges transactions by consistency models: invalid if an anomaly is found that one of them forbids.
///
/// Takes time and memory proportional to the history, and a bounded search where there are cycles.
pub fn check(
    transactions: &mut Transactions,
    models: &[Model],
    assumptions: Assumptions,
) -> IsolationResults {
    transactions.number_elements();
    let mut notes = Notes::default();
    let mut registers = Registers::of(transactions);
    if transactions.repeated_write().is_none() {
        registers.note_reads(&mut notes);
        registers.note_lost_updates(&mut notes);
        registers.order_versions(assumptions, &mut notes);
    }
    let mut edges = Edges::default();
    let vertices = registers.dependencies(&mut edges);
    let results = conclude(transactions, models, notes, edges, vertices, &registers);
    let keeps_to_time = models.iter().any(|model| model.forbids(AGAINST_TIME));
    if results.verdict != Verdict::Valid || !keeps_to_time {
        return results;
    }
    let Some(versions) = registers.contradiction_in_time() else { return results };
    let mut notes = Notes::default();
    registers.note_lost_updates(&mut notes);
    notes.note(AGAINST_TIME, || {
        format!(
            "  by the times at which they were seen, {}. Maelstrom would not have noticed: it does not order the values of a \
             key by time",
            registers.each_before_the_others(&versions)
        )
    });
    let mut edges = Edges::default();
    let vertices = registers.dependencies(&mut edges);
    conclude(transactions, models, notes, edges, vertices, &registers)
}

/// What a key comes to whose values are not in the order of time: a transaction is without one that was there before it
/// began, though it is not known which of the two values came first. Models that keep to time forbid that, and such a
/// key is all that is seen of a write that was lost.
const AGAINST_TIME: Anomaly = Anomaly::Cycle(Class::GSingle, Order::Realtime);

/// Why one value of a key came before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// A transaction read the first and wrote the second.
    WritesFollowReads,
    /// A client saw the first earlier.
    Process,
    /// The first was seen before a transaction that saw the second began.
    Realtime,
}

/// What a transaction has to do with a key, as others can see it.
#[derive(Clone, Copy, Debug)]
struct Access {
    transaction: u32,
    key: u32,
    /// What it read before it wrote: `None` if it wrote first, or only.
    read: Option<u32>,
    /// What it wrote last.
    written: Option<u32>,
    read_op: u32,
    written_op: u32,
}

/// What is known of the order of each key's values. A version's number, or one beyond them for the nothing that a key has
/// at first.
struct Registers<'a> {
    history: &'a Transactions,
    /// Of all transactions that succeeded, in their order.
    accesses: Vec<Access>,
    /// For each version the transaction that wrote it last in its key, if it counts: [`NONE`] otherwise.
    writer: Vec<u32>,
    /// Who read a version first of its key, sorted.
    readers: Vec<(u32, u32)>,
    /// Which version came before which, sorted; that nothing came before everything is not listed.
    before: Vec<(u32, u32, Source)>,
}

impl<'a> Registers<'a> {
    fn of(history: &'a Transactions) -> Self {
        let accesses = accesses(history);
        let versions = history.versions.len();
        let mut is_read = vec![false; versions];
        let mut readers = Vec::with_capacity(accesses.len());
        for access in &accesses {
            if let Some(version) = access.read {
                readers.push((version, access.transaction));
                if let Some(is_read) = is_read.get_mut(version as usize) {
                    *is_read = true;
                }
            }
        }
        readers.sort_unstable();
        let writer = history
            .versions
            .iter()
            .enumerate()
            .map(|(index, version)| match history.completion_of_writer(index) {
                Some(Completion::Ok) if !version.is_intermediate => version.writer,
                Some(Completion::Info) if !version.is_intermediate && is_read[index] => version.writer,
                _ => NONE,
            })
            .collect();
        Self { history, accesses, writer, readers, before: Vec::new() }
    }

    fn value(&self, version: u32) -> String {
        match self.history.versions.get(version as usize) {
            Some(version) => version.value.to_string(),
            None => "nothing".to_owned(),
        }
    }

    fn key_name(&self, key: u32) -> i64 {
        self.history.keys[key as usize].name
    }

    fn nothing(&self, key: u32) -> u32 {
        nothing(self.history, key)
    }

    fn readers_of(&self, version: u32) -> &[(u32, u32)] {
        let start = self.readers.partition_point(|&(other, _)| other < version);
        let length = self.readers[start..].partition_point(|&(other, _)| other == version);
        &self.readers[start..start + length]
    }

    /// What single reads show.
    fn note_reads(&self, notes: &mut Notes) {
        let history = self.history;
        // For each key: the transaction that touched it last, and the operation that said what it holds.
        let mut known = vec![(NONE, 0_usize); history.keys.len()];
        for index in 0..number(history.len()) {
            if history.all[index as usize].completion != Completion::Ok {
                continue;
            }
            for op in history.ops_of(index) {
                let micro = history.ops[op];
                let known = &mut known[micro.key as usize];
                if let Action::Read(version) = micro.action {
                    if version != NONE {
                        self.note_read(index, version, notes);
                    }
                    let before = history.ops[known.1].action;
                    let held = match before {
                        Action::Write(held) | Action::Read(held) => held,
                        _ => NONE,
                    };
                    if known.0 == index && held != version {
                        let did = if matches!(before, Action::Write(_)) { "written" } else { "read" };
                        let value = |version: u32| {
                            if version == NONE { "nothing".to_owned() } else { self.value(version) }
                        };
                        notes.note(Anomaly::Internal, || {
                            format!(
                                "  {}: it had {did} {} in key {}, and then read {}",
                                history.who(index),
                                value(held),
                                self.key_name(micro.key),
                                value(version)
                            )
                        });
                    }
                }
                if micro.action != Action::Unread {
                    *known = (index, op);
                }
            }
        }
    }

    fn note_read(&self, index: u32, read: u32, notes: &mut Notes) {
        let history = self.history;
        let version = &history.versions[read as usize];
        let name = self.key_name(version.key);
        match history.completion_of_writer(read as usize) {
            None => notes.note(Anomaly::GarbageRead, || {
                format!(
                    "  {} read {} from key {name}, and nobody tried to write that",
                    history.who(index),
                    version.value
                )
            }),
            Some(Completion::Fail) => notes.note(Anomaly::G1a, || {
                format!(
                    "  {} read {} from key {name}, written by {}",
                    history.who(index),
                    version.value,
                    history.who(version.writer)
                )
            }),
            Some(Completion::Ok | Completion::Info) => {
                if version.is_intermediate && version.writer != index {
                    notes.note(Anomaly::G1b, || {
                        format!(
                            "  {} read {} from key {name}, and the transaction that wrote it ({}) went on to write \
                             something else there",
                            history.who(index),
                            version.value,
                            history.who(version.writer)
                        )
                    });
                }
            }
        }
    }

    /// Transactions that read the same version of a key first and wrote it later.
    fn note_lost_updates(&self, notes: &mut Notes) {
        let mut updates: Vec<(u32, u32)> = self
            .accesses
            .iter()
            .filter(|access| access.written.is_some())
            .filter_map(|access| Some((access.read?, access.transaction)))
            .collect();
        updates.sort_unstable();
        for group in updates.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1) {
            notes.note(Anomaly::LostUpdate, || {
                let version = group[0].0;
                let who: Vec<String> = group.iter().take(3).map(|update| self.history.who(update.1)).collect();
                format!(
                    "  {} transactions read {} from key {} and then wrote it, each without the others' value: {}{}",
                    group.len(),
                    self.value(version),
                    self.key_name(self.key_of(version)),
                    who.join("; "),
                    if group.len() > 3 { "; …" } else { "" }
                )
            });
        }
    }

    fn key_of(&self, version: u32) -> u32 {
        let versions = self.history.versions.len();
        match self.history.versions.get(version as usize) {
            Some(version) => version.key,
            None => version - number(versions),
        }
    }

    /// Finds which versions came before which. A source that contradicts the others, or itself, is not used.
    fn order_versions(&mut self, assumptions: Assumptions, notes: &mut Notes) {
        let mut sources: Vec<Vec<(u32, u32, Source)>> = Vec::new();
        if assumptions.writes_follow_reads {
            sources.push(self.writes_follow_reads());
        }
        if assumptions.sequential_keys {
            sources.push(self.sequential());
        }
        if assumptions.linearizable_keys {
            sources.push(self.linearizable());
        }
        for source in sources {
            let mut all = self.before.clone();
            all.extend(source);
            all.sort_unstable();
            all.dedup();
            match self.contradiction(&all) {
                None => self.before = all,
                Some(versions) => notes.note(Anomaly::CyclicVersions, || {
                    format!("  {}", self.each_before_the_others(&versions))
                }),
            }
        }
    }

    /// Versions that come before themselves if each key's are in the order of time.
    fn contradiction_in_time(&self) -> Option<Vec<u32>> {
        let mut all = self.before.clone();
        all.extend(self.linearizable());
        all.sort_unstable();
        all.dedup();
        self.contradiction(&all)
    }

    fn each_before_the_others(&self, versions: &[u32]) -> String {
        let values: Vec<String> = versions.iter().take(4).map(|&version| self.value(version)).collect();
        let key = self.key_name(self.key_of(versions[0]));
        format!("key {key}: each of {} was there before the others", values.join(", "))
    }

    /// Versions that come before themselves.
    fn contradiction(&self, before: &[(u32, u32, Source)]) -> Option<Vec<u32>> {
        let vertices = number(self.history.versions.len() + self.history.keys.len());
        let mut edges = Edges::default();
        let mut leads_to_nothing = false;
        for &(from, to, _) in before {
            edges.push(from, to, kind::WW);
            leads_to_nothing |= to as usize >= self.history.versions.len();
        }
        if leads_to_nothing {
            for (index, version) in self.history.versions.iter().enumerate() {
                edges.push(self.nothing(version.key), number(index), kind::WW);
            }
        }
        let mut components = Graph::new(vertices, vertices, &edges).components(kind::WW);
        for component in &mut components {
            component.sort_unstable();
        }
        components.into_iter().min()
    }

    fn writes_follow_reads(&self) -> Vec<(u32, u32, Source)> {
        self.accesses
            .iter()
            .filter_map(|access| Some((access.read?, access.written?, Source::WritesFollowReads)))
            // Nothing comes before everything anyway.
            .filter(|&(from, to, _)| from != to && (from as usize) < self.history.versions.len())
            .collect()
    }

    /// What a client saw of a key, before what it saw of it next.
    fn sequential(&self) -> Vec<(u32, u32, Source)> {
        let mut touched: Vec<_> = self
            .accesses
            .iter()
            .map(|access| {
                let transaction = &self.history.all[access.transaction as usize];
                ((transaction.process, access.key), transaction.interval.invoked, access)
            })
            .collect();
        touched.sort_by_key(|&(group, invoked, _)| (group, invoked));
        touched
            .windows(2)
            .filter(|pair| pair[0].0 == pair[1].0)
            .map(|pair| (pair[0].2.last(), pair[1].2.first(), Source::Process))
            .filter(|&(from, to, _)| from != to)
            .collect()
    }

    /// What was seen of a key, before what transactions saw that began later.
    fn linearizable(&self) -> Vec<(u32, u32, Source)> {
        let interval = |access: &Access| self.history.all[access.transaction as usize].interval;
        let mut touched: Vec<&Access> = self.accesses.iter().collect();
        touched.sort_by_key(|access| (access.key, interval(access).invoked));
        let mut before = Vec::new();
        for accesses in touched.chunk_by(|a, b| a.key == b.key) {
            let mut ended: Vec<&Access> = accesses.to_vec();
            ended.sort_by_key(|access| interval(access).completed);
            let mut ended = ended.into_iter().peekable();
            // Those that ended and that none which ended came after.
            let mut newest: Vec<&Access> = Vec::new();
            for access in accesses {
                let invoked = interval(access).invoked;
                while let Some(done) = ended.next_if(|done| interval(done).completed < invoked) {
                    newest.retain(|older| interval(older).completed >= interval(done).invoked);
                    newest.push(done);
                }
                let edges = newest.iter().map(|older| (older.last(), access.first(), Source::Realtime));
                before.extend(edges.filter(|&(from, to, _)| from != to));
            }
        }
        before
    }

    /// Adds what depends on what. Returns the first vertex that is free then.
    fn dependencies(&self, edges: &mut Edges) -> u32 {
        let history = self.history;
        edges.reserve(3 * history.ops.len());
        let mut vertices = number(history.len());
        // Every value of a key comes after the nothing at first.
        let mut writers: Vec<(u32, u32)> = history
            .versions
            .iter()
            .zip(&self.writer)
            .filter(|&(_, &writer)| writer != NONE)
            .map(|(version, &writer)| (self.nothing(version.key), writer))
            .collect();
        writers.sort_unstable();
        for readers in self.readers.chunk_by(|a, b| a.0 == b.0) {
            let version = readers[0].0;
            if let Some(&writer) = self.writer.get(version as usize) {
                for &(_, reader) in readers.iter().filter(|&&(_, reader)| reader != writer && writer != NONE)
                {
                    edges.push(writer, reader, kind::WR);
                }
            } else {
                let start = writers.partition_point(|&(other, _)| other < version);
                let end = start + writers[start..].partition_point(|&(other, _)| other == version);
                vertices = missed(readers, writers[start..end].iter().map(|pair| pair.1), vertices, edges);
            }
        }
        for group in self.before.chunk_by(|a, b| a.0 == b.0) {
            let version = group[0].0;
            let after = || {
                group
                    .iter()
                    .filter_map(|&(_, to, _)| self.writer.get(to as usize))
                    .copied()
                    .filter(|&to| to != NONE)
            };
            if let Some(&writer) = self.writer.get(version as usize)
                && writer != NONE
            {
                for later in after().filter(|&later| later != writer) {
                    edges.push(writer, later, kind::WW);
                }
            }
            vertices = missed(self.readers_of(version), after(), vertices, edges);
        }
        vertices
    }
}

/// Edges from whoever read something to whoever wrote over it.
fn missed(
    readers: &[(u32, u32)],
    writers: impl Iterator<Item = u32> + Clone,
    vertices: u32,
    edges: &mut Edges,
) -> u32 {
    if readers.len() * writers.clone().count() > PAIRS_MAX {
        let readers: Vec<u32> = readers.iter().map(|reader| reader.1).collect();
        let writers: Vec<u32> = writers.collect();
        return graph::all_before_all(&readers, &writers, kind::RW, vertices, edges);
    }
    for &(_, reader) in readers {
        for writer in writers.clone().filter(|&writer| writer != reader) {
            edges.push(reader, writer, kind::RW);
        }
    }
    vertices
}

/// The number of the nothing that a key has at first.
fn nothing(history: &Transactions, key: u32) -> u32 {
    number(history.versions.len()) + key
}

impl Access {
    /// What it saw of the key first.
    fn first(&self) -> u32 {
        self.read.or(self.written).expect("it touched the key")
    }

    /// What it left in the key, or saw last.
    fn last(&self) -> u32 {
        self.written.or(self.read).expect("it touched the key")
    }
}

/// What each transaction that succeeded has to do with each key that it touched.
fn accesses(history: &Transactions) -> Vec<Access> {
    let mut accesses: Vec<Access> = Vec::with_capacity(history.ops.len());
    // Where the newest access of a key is.
    let mut newest = vec![NONE; history.keys.len()];
    for index in 0..number(history.len()) {
        if history.all[index as usize].completion != Completion::Ok {
            continue;
        }
        let first = accesses.len();
        for op in history.ops_of(index) {
            let micro = history.ops[op];
            let at = newest[micro.key as usize] as usize;
            let is_new = at < first || at >= accesses.len();
            let (read, written) = match micro.action {
                Action::Read(NONE) => (Some(nothing(history, micro.key)), None),
                Action::Read(version) => (Some(version), None),
                Action::Write(version) => (None, Some(version)),
                Action::ReadList { .. } | Action::Unread => continue,
            };
            if is_new {
                newest[micro.key as usize] = number(accesses.len());
                accesses.push(Access {
                    transaction: index,
                    key: micro.key,
                    read,
                    written,
                    read_op: number(op),
                    written_op: number(op),
                });
            } else if written.is_some() {
                accesses[at].written = written;
                accesses[at].written_op = number(op);
            }
        }
    }
    accesses
}

impl Registers<'_> {
    fn accesses_of(&self, transaction: u32) -> &[Access] {
        let start = self.accesses.partition_point(|access| access.transaction < transaction);
        let length = self.accesses[start..].partition_point(|access| access.transaction == transaction);
        &self.accesses[start..start + length]
    }

    /// Versions that a transaction wrote and that count, each with the operation.
    fn written_by(&self, transaction: u32) -> impl Iterator<Item = (u32, usize)> + '_ {
        self.history.ops_of(transaction).filter_map(move |op| match self.history.ops[op].action {
            Action::Write(version) if self.writer[version as usize] == transaction => Some((version, op)),
            _ => None,
        })
    }

    fn source(&self, from: u32, to: u32) -> Option<Source> {
        let at = self.before.partition_point(|&(a, b, _)| (a, b) < (from, to));
        self.before.get(at).filter(|&&(a, b, _)| (a, b) == (from, to)).map(|&(_, _, source)| source)
    }
}

impl Prove for Registers<'_> {
    fn prove(&self, first: (u32, &str), second: (u32, &str), kind: u8) -> Option<Proof> {
        let ((first, t1), (second, t2)) = (first, second);
        match kind {
            kind::WR => self.accesses_of(second).iter().find_map(|access| {
                let version = access.read.filter(|&version| self.writer.get(version as usize) == Some(&first))?;
                Some(Proof {
                    sentence: format!("{t2} read {t1}'s {} from key {}", self.value(version), self.key_name(access.key)),
                    from_op: Some(self.history.versions[version as usize].op as usize),
                    to_op: Some(access.read_op as usize),
                })
            }),
            kind::WW => self.written_by(first).find_map(|(earlier, from_op)| {
                self.written_by(second).find_map(|(later, to_op)| {
                    let source = self.source(earlier, later)?;
                    let key = self.key_name(self.key_of(later));
                    let (old, new) = (self.value(earlier), self.value(later));
                    let sentence = match source {
                        Source::WritesFollowReads => {
                            format!("{t2} read {t1}'s {old} from key {key} and wrote {new} over it")
                        }
                        Source::Process | Source::Realtime => format!(
                            "{t2} wrote {new} to key {key} after {t1}'s {old}: it was seen later ({})",
                            source.name()
                        ),
                    };
                    Some(Proof { sentence, from_op: Some(from_op), to_op: Some(to_op) })
                })
            }),
            _ => self.accesses_of(first).iter().find_map(|access| {
                let read = access.read?;
                self.written_by(second).find_map(|(later, to_op)| {
                    if self.key_of(later) != access.key {
                        return None;
                    }
                    let (key, old, new) = (self.key_name(access.key), self.value(read), self.value(later));
                    let sentence = if read == self.nothing(access.key) {
                        format!("{t1} found nothing in key {key}, so it was there before {t2} wrote {new}")
                    } else {
                        match self.source(read, later)? {
                            Source::WritesFollowReads => format!(
                                "{t1} read {old} from key {key}, and {t2}, which had read it too, wrote {new} over it"
                            ),
                            source => format!(
                                "{t1} read {old} from key {key}, and {t2} wrote {new} over it: that was seen later ({})",
                                source.name()
                            ),
                        }
                    };
                    Some(Proof { sentence, from_op: Some(access.read_op as usize), to_op: Some(to_op) })
                })
            }),
        }
    }
}

impl Source {
    const fn name(self) -> &'static str {
        match self {
            Self::WritesFollowReads => "writes follow reads",
            Self::Process => "by one client",
            Self::Realtime => "in real time",
        }
    }
}
