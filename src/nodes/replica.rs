//! A set of JSON values that only grows, and what it takes to tell another node just what it lacks.
//!
//! Each value came to some node first, which put it at the end of its own log; the others have copies of that log. A
//! node that has the first n values of a log lacks those from place n on, so one number for each log, a
//! [`Version`], says all there is to say about what a node has.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use crate::json::value::Value;
use crate::json::write::{WriteJson, write_in_one_line};

/// How many values of each log a node has, from the log's beginning.
pub(super) type Version = BTreeMap<Box<str>, usize>;

/// One message takes about so many bytes of values; the rest waits for the next.
const MESSAGE_BYTES: usize = 256 << 10;

/// A run may begin so many places after the end of what is there. Only nonsense begins later.
const GAP_MAX: usize = 1 << 20;

/// The values that a node has. It grows with them, as the answer to a read does: there is no bound that could be
/// kept without losing some.
#[derive(Debug, Default)]
pub(super) struct Replica {
    /// All values in the order in which they came, with commas in between.
    text: String,
    /// Where each of them lies in it. Values are equal if their texts are.
    spans: HashMap<Box<str>, Range<usize>>,
    /// By the names of their owners: one for each start of each node.
    logs: BTreeMap<Box<str>, Log>,
}

#[derive(Debug, Default)]
struct Log {
    /// Where the value in each place lies; `None` where it has not come yet.
    places: Vec<Option<Range<usize>>>,
    /// How many there are before the first that has not come.
    whole: usize,
}

impl Replica {
    /// All values, with commas in between, in the order in which they came.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// How much of each log is here.
    pub(super) fn version(&self) -> Version {
        self.logs.iter().map(|(owner, log)| (owner.clone(), log.whole)).collect()
    }

    /// How many values of a log are here, from its beginning.
    pub(super) fn len_of(&self, owner: &str) -> usize {
        self.logs.get(owner).map_or(0, |log| log.whole)
    }

    /// Puts a value at the end of a log, unless it is here already.
    pub(super) fn add(&mut self, owner: &str, value: &str) -> bool {
        let is_new = !self.spans.contains_key(value);
        if is_new {
            let span = self.place(value);
            self.log(owner).put(span);
        }
        is_new
    }

    /// Takes in what another node sent of its [`Runs`], and tells `had` for each run whose it is and up to which place
    /// that node has it. Whether anything was new; `None` if these are no runs, or not all.
    pub(super) fn take(&mut self, runs: Value<'_>, mut had: impl FnMut(&str, usize)) -> Option<bool> {
        let mut is_new = false;
        for run in runs.as_array()? {
            let mut parts = run.as_array()?;
            let (owner, start) = (parts.next()?.as_str()?, parts.next()?.as_integer()?.as_u64()?);
            let start = usize::try_from(start).ok()?;
            if start > self.logs.get(&*owner).map_or(0, |log| log.places.len()) + GAP_MAX {
                return None;
            }
            let mut end = start;
            for value in parts.next()?.as_array()? {
                let is_here = |log: &Log| log.places.get(end).is_some_and(Option::is_some);
                if !self.logs.get(&*owner).is_some_and(is_here) {
                    let span = self.place(value.raw());
                    self.log(&owner).put_at(end, span);
                    is_new = true;
                }
                end += 1;
            }
            had(&owner, end);
        }
        Some(is_new)
    }

    /// Everything that a node with `version` lacks, or as much of it as a message takes. What came after a gap in a
    /// log is not handed on before the gap is closed.
    pub(super) fn beyond(&self, version: &Version) -> Runs<'_> {
        let start = |owner| version.get(owner).copied().unwrap_or(0);
        let runs = self.logs.iter().map(|(owner, log)| (&**owner, start(owner)..log.whole));
        self.runs(runs)
    }

    /// The values of one log from a place on, or as many of them as a message takes.
    pub(super) fn log_from(&self, owner: &str, start: usize) -> Runs<'_> {
        let log = self.logs.get_key_value(owner);
        self.runs(log.into_iter().map(|(owner, log)| (&**owner, start..log.whole)))
    }

    fn runs<'a>(&'a self, ranges: impl Iterator<Item = (&'a str, Range<usize>)>) -> Runs<'a> {
        let mut runs = Runs { replica: self, ranges: Vec::new(), is_cut: false };
        let mut room = MESSAGE_BYTES;
        for (owner, mut range) in ranges.filter(|(_, range)| !range.is_empty()) {
            let places = self.logs[owner].places[range.clone()].iter().flatten();
            // At least one value, or one that is longer than all that would never leave.
            let taken = places.take_while(|span| {
                let has_room = room > 0;
                room = room.saturating_sub(span.len() + 1);
                has_room
            });
            let end = range.start + taken.count();
            runs.is_cut |= end < range.end;
            range.end = end;
            if !range.is_empty() {
                runs.ranges.push((owner, range));
            }
        }
        runs
    }

    /// Where the value lies; it is put there if it is new.
    fn place(&mut self, value: &str) -> Range<usize> {
        if let Some(span) = self.spans.get(value) {
            return span.clone();
        }
        if !self.text.is_empty() {
            self.text.push(',');
        }
        let start = self.text.len();
        self.text.push_str(value);
        let span = start..self.text.len();
        self.spans.insert(value.into(), span.clone());
        span
    }

    fn log(&mut self, owner: &str) -> &mut Log {
        if !self.logs.contains_key(owner) {
            self.logs.insert(owner.into(), Log::default());
        }
        self.logs.get_mut(owner).expect("it was just put there")
    }
}

impl Log {
    fn put(&mut self, span: Range<usize>) {
        self.put_at(self.places.len(), span);
    }

    fn put_at(&mut self, place: usize, span: Range<usize>) {
        if self.places.len() <= place {
            self.places.resize(place + 1, None);
        }
        self.places[place] = Some(span);
        while self.places.get(self.whole).is_some_and(Option::is_some) {
            self.whole += 1;
        }
    }
}

/// Whether a node with `version` has all that one with `other` has.
pub(super) fn covers(version: &Version, other: &Version) -> bool {
    other.iter().all(|(owner, &count)| version.get(owner).copied().unwrap_or(0) >= count)
}

/// Notes that a node has so many values of a log.
pub(super) fn raise(version: &mut Version, owner: &str, count: usize) {
    match version.get_mut(owner) {
        Some(known) => *known = count.max(*known),
        None => drop(version.insert(owner.into(), count)),
    }
}

/// Parts of logs, to be sent: for each `[owner, first place, [values]]`.
#[derive(Debug)]
pub(super) struct Runs<'a> {
    replica: &'a Replica,
    /// Whose log, and which places.
    ranges: Vec<(&'a str, Range<usize>)>,
    /// Whether some had to be left out.
    pub(super) is_cut: bool,
}

impl Runs<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Notes that a node has got these.
    pub(super) fn raise(&self, version: &mut Version) {
        for (owner, range) in &self.ranges {
            raise(version, owner, range.end);
        }
    }
}

impl WriteJson for Runs<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        let Replica { text, logs, .. } = self.replica;
        out.push(b'[');
        for (n, (owner, range)) in self.ranges.iter().enumerate() {
            out.extend_from_slice(if n > 0 { b",[" } else { b"[" });
            owner.write_json(out);
            out.push(b',');
            range.start.write_json(out);
            out.extend_from_slice(b",[");
            for (n, span) in logs[*owner].places[range.clone()].iter().flatten().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write_in_one_line(text[span.clone()].as_bytes(), out);
            }
            out.extend_from_slice(b"]]");
        }
        out.push(b']');
    }
}
