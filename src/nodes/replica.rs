//! A set of JSON values that only grows, and what it takes to tell another node just what it lacks.
//!
//! Each value came to some node first, which put it at the end of its own log; the others have copies of that log. A
//! node that has the first n values of a log lacks those from place n on, so one number for each log, a
//! [`Version`], says all there is to say about what a node has.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use crate::json::value::Value;
use crate::json::write::{WriteJson, write_in_one_line};

/// How many values of each log a node has, from the log's beginning.
pub(super) type Version = BTreeMap<Box<str>, usize>;

/// One message takes about so many bytes of values; the rest waits for the next.
const MESSAGE_BYTES: usize = 256 << 10;

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
    /// Where each value lies, up to the first that has not come.
    whole: Vec<Range<usize>>,
    /// Where those lie that came after a gap, by their places. It takes as much as came, however wide the gap is said
    /// to be.
    beyond: BTreeMap<usize, Range<usize>>,
}

/// A part of a log as another node sent it, checked.
#[derive(Debug)]
pub(super) struct Run<'a> {
    owner: Cow<'a, str>,
    start: usize,
    values: Value<'a>,
}

/// What another node sent of its [`Runs`]; `None` if these are no runs, or not all.
pub(super) fn read_runs(runs: Value<'_>) -> Option<Vec<Run<'_>>> {
    runs.as_array()?.map(read_run).collect()
}

fn read_run(run: Value<'_>) -> Option<Run<'_>> {
    let mut parts = run.as_array()?;
    let (owner, start) = (parts.next()?.as_str()?, parts.next()?.as_integer()?.as_u64()?);
    let (start, values) = (usize::try_from(start).ok()?, parts.next()?);
    start.checked_add(values.as_array()?.count())?;
    Some(Run { owner, start, values })
}

impl Replica {
    /// All values, with commas in between, in the order in which they came.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// How much of each log is here.
    pub(super) fn version(&self) -> Version {
        self.logs.iter().map(|(owner, log)| (owner.clone(), log.whole.len())).collect()
    }

    /// How many values of a log are here, from its beginning.
    pub(super) fn len_of(&self, owner: &str) -> usize {
        self.logs.get(owner).map_or(0, |log| log.whole.len())
    }

    /// Puts a value at the end of a log, unless it is here already. Its place, if it was put there.
    pub(super) fn add(&mut self, owner: &str, value: &str) -> Option<usize> {
        let is_new = !self.spans.contains_key(value);
        is_new.then(|| {
            let place = self.len_of(owner);
            self.put(owner, place, value);
            place
        })
    }

    /// Takes in what another node sent. Tells `put` each value that is new: whose, its place and what it is; and `had`
    /// for each run whose it is and up to which place that node has it. Whether anything was new.
    pub(super) fn take(
        &mut self,
        runs: &[Run<'_>],
        mut put: impl FnMut(&str, usize, &str),
        mut had: impl FnMut(&str, usize),
    ) -> bool {
        let mut is_new = false;
        for Run { owner, start, values } in runs {
            let mut end = *start;
            for value in values.as_array().into_iter().flatten() {
                if self.put(owner, end, value.raw()) {
                    put(owner, end, value.raw());
                    is_new = true;
                }
                end += 1;
            }
            had(owner, end);
        }
        is_new
    }

    /// Puts a value into a place of a log, unless something is there. Whether it was put there.
    pub(super) fn put(&mut self, owner: &str, place: usize, value: &str) -> bool {
        let is_free = !self.logs.get(owner).is_some_and(|log| log.has(place));
        if is_free {
            let span = self.place(value);
            self.log(owner).put_at(place, span);
        }
        is_free
    }

    /// Everything that a node with `version` lacks, or as much of it as a message takes. What came after a gap in a
    /// log is not handed on before the gap is closed.
    pub(super) fn beyond(&self, version: &Version) -> Runs<'_> {
        let start = |owner| version.get(owner).copied().unwrap_or(0);
        let runs = self.logs.iter().map(|(owner, log)| (&**owner, start(owner)..log.whole.len()));
        self.runs(runs)
    }

    /// The values of one log from a place on, or as many of them as a message takes.
    pub(super) fn log_from(&self, owner: &str, start: usize) -> Runs<'_> {
        let log = self.logs.get_key_value(owner);
        self.runs(log.into_iter().map(|(owner, log)| (&**owner, start..log.whole.len())))
    }

    fn runs<'a>(&'a self, ranges: impl Iterator<Item = (&'a str, Range<usize>)>) -> Runs<'a> {
        let mut runs = Runs { replica: self, ranges: Vec::new(), is_cut: false };
        let mut room = MESSAGE_BYTES;
        for (owner, mut range) in ranges.filter(|(_, range)| !range.is_empty()) {
            let places = self.logs[owner].whole[range.clone()].iter();
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
    fn has(&self, place: usize) -> bool {
        place < self.whole.len() || self.beyond.contains_key(&place)
    }

    /// Puts a value into a place that is free.
    fn put_at(&mut self, place: usize, span: Range<usize>) {
        if place != self.whole.len() {
            self.beyond.insert(place, span);
            return;
        }
        self.whole.push(span);
        while let Some(next) = self.beyond.remove(&self.whole.len()) {
            self.whole.push(next);
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
            for (n, span) in logs[*owner].whole[range.clone()].iter().enumerate() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parser::Parser;
    use crate::wire::envelope::UncheckedEnvelope;
    use crate::wire::lines::Line;

    /// Has the replica take what stands under `runs`; whether anything was new, or `None` if that is refused.
    fn take(replica: &mut Replica, runs: &str) -> Option<bool> {
        let line = format!(r#"{{"src":"n2","dest":"n1","body":{{"type":"values","runs":{runs}}}}}"#);
        let mut parser = Parser::new();
        let outline = UncheckedEnvelope::parse(&mut parser, Line::new(line.as_bytes())).unwrap();
        let envelope = outline.check().unwrap();
        let runs = read_runs(envelope.body.get("runs").unwrap())?;
        Some(replica.take(&runs, |_, _, _| {}, |_, _| {}))
    }

    #[test]
    fn a_gap_takes_no_memory_however_wide_it_is_said_to_be() {
        let mut replica = Replica::default();
        for place in [1 << 20, 1 << 40, usize::MAX - 1] {
            assert_eq!(take(&mut replica, &format!(r#"[["n2",{place},["far {place}"]]]"#)), Some(true));
        }
        let log = &replica.logs["n2"];
        assert_eq!((log.whole.capacity(), log.beyond.len()), (0, 3));
        assert_eq!(
            take(&mut replica, &format!(r#"[["n2",{},[1,2]]]"#, usize::MAX - 1)),
            None,
            "past the end of places"
        );
    }

    #[test]
    fn what_came_after_a_gap_counts_once_it_is_closed() {
        let mut replica = Replica::default();
        take(&mut replica, r#"[["n2",1,[1,2]],["n2",4,[4]]]"#);
        assert_eq!((replica.len_of("n2"), replica.text()), (0, "1,2,4"));
        take(&mut replica, r#"[["n2",0,[0]]]"#);
        assert_eq!(replica.len_of("n2"), 3);
        assert_eq!(take(&mut replica, r#"[["n2",2,[2,3]]]"#), Some(true));
        assert_eq!((replica.len_of("n2"), take(&mut replica, r#"[["n2",0,[0,1,2,3,4]]]"#)), (5, Some(false)));
    }

    #[test]
    fn runs_are_taken_whole_or_not_at_all() {
        let mut replica = Replica::default();
        for last in [r#"["n2",0]"#, r#"["n2",-1,[1]]"#, r#"["n2",0.5,[1]]"#, r#"["n2",0,{"1":1}]"#, "7", "[]"]
        {
            assert_eq!(take(&mut replica, &format!(r#"[["n2",0,["good"]],{last}]"#)), None, "{last}");
            assert_eq!((replica.text(), replica.version().len()), ("", 0), "{last}");
        }
    }
}
