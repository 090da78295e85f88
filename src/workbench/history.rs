//! What clients asked for during a test, and what became of it.
//!
//! # The file
//!
//! `history.jsonl` has one JSON object a line, as Jepsen's history has one operation an entry: a line when a client
//! begins an operation (`"type":"invoke"`), and one when it ends (`"ok"`, `"fail"` or `"info"`), in the order of time.
//! Of one microsecond the beginnings come first, since the checkers take the two for concurrent, but that of a process
//! comes after the end of what it did before.
//!
//! ```text
//! {"index":8,"time":2001000,"type":"invoke","process":3,"node":"n1","f":"read","value":null}
//! {"index":9,"time":2417000,"type":"ok","process":3,"node":"n1","f":"read","value":[0,1]}
//! ```
//!
//! | member | what it is |
//! | --- | --- |
//! | `index` | the number of the line, from 0 |
//! | `time` | nanoseconds since the start of the nodes, a whole number of microseconds |
//! | `type` | `invoke`; `ok`: it happened; `fail`: it did not happen; `info`: nobody knows |
//! | `process` | whose operation it is; a process has one at a time, and none after an `info` |
//! | `node` | which node was asked |
//! | `f` | what was asked for, as the workload names it |
//! | `value` | with `invoke`, `fail` and `info` what was asked for; with `ok` what came of it |
//! | `error` | only with `fail` and `info`: why. [`NO_ANSWER`] where there was no answer in time |
//! | `final` | `true` in the final phase, after the rest; else it is missing |
//! | `probe` | `true` if a node was merely asked whether it still answers; else it is missing |
//!
//! An operation without a second line was open when the test ended. Whoever reads the file back has every
//! [`Invocation`] as it was, in the order of their first lines.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{self, Write};

use super::checker::{Completion, Interval, Place, UNKNOWN_NODE};
use super::data::Data;
use crate::json::write::WriteJson;
use crate::time::Instant;

/// The `error` of an operation without an answer in time.
pub const NO_ANSWER: &str = "no answer in time";

/// What a client is asked to do.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Operation {
    /// Which kind it is, as the workload names it: `read`, `add`. Jepsen calls it `:f`.
    pub f: &'static str,
    /// What it is about.
    pub value: Data,
}

impl Operation {
    /// An operation of that kind.
    pub fn new(f: &'static str, value: impl Into<Data>) -> Self {
        Self { f, value: value.into() }
    }
}

/// `broadcast 5`, `read`
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Data::Null => f.write_str(self.f),
            value => write!(f, "{} {value}", self.f),
        }
    }
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// It happened; what came of it, which is what was asked for where there is no more to say.
    Ok(Data),
    /// It did not happen, for this reason, and never will.
    Fail(Box<str>),
    /// It may have happened, may happen yet, or never, for this reason.
    Info(Box<str>),
    /// There was no answer in time.
    Silence {
        /// Whether it may have happened; else it is one of those that change nothing.
        is_indefinite: bool,
    },
}

impl Outcome {
    /// Its sort.
    pub const fn completion(&self) -> Completion {
        match self {
            Self::Ok(_) => Completion::Ok,
            Self::Fail(_) | Self::Silence { is_indefinite: false } => Completion::Fail,
            Self::Info(_) | Self::Silence { is_indefinite: true } => Completion::Info,
        }
    }

    /// The value, if it happened.
    pub const fn value(&self) -> Option<&Data> {
        match self {
            Self::Ok(value) => Some(value),
            _ => None,
        }
    }

    /// The same for an operation that changes nothing: whether it happened makes no difference, so it did not.
    #[must_use]
    pub fn definite(self) -> Self {
        match self {
            Self::Info(reason) => Self::Fail(reason),
            Self::Silence { .. } => Self::Silence { is_indefinite: false },
            other => other,
        }
    }
}

/// What a client asked for, and what became of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Invocation {
    /// Whose: a worker goes on under a new number when it does not know what became of its last operation.
    pub process: usize,
    /// Which node was asked; [`UNKNOWN_NODE`] in a history of somebody else's that does not tell.
    pub node: usize,
    /// What it was asked for.
    pub operation: Operation,
    /// From when to when; [`Instant::END`] if it was still open when the test ended.
    pub interval: Interval,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether it was one of the final phase, after the rest.
    pub is_final: bool,
    /// Whether it only asked a node if it still answers.
    pub is_probe: bool,
}

impl Invocation {
    /// Whether it ended before the test did.
    pub fn is_complete(&self) -> bool {
        self.interval.completed < Instant::END
    }

    /// Who ended it, and when.
    pub const fn answered(&self) -> Place {
        Place { node: self.node, at: self.interval.completed }
    }

    /// The value that came back, if it happened.
    pub const fn answer(&self) -> Option<&Data> {
        self.outcome.value()
    }
}

/// Where in a history the operations are that these nodes answered at these times, in the order of the places.
pub fn answered_at(history: &[Invocation], places: impl Iterator<Item = Place>) -> Vec<usize> {
    let places: Vec<Place> = places.collect();
    let wanted: HashSet<Place> = places.iter().copied().collect();
    let mut found = HashMap::new();
    for (index, invocation) in history.iter().enumerate() {
        if wanted.contains(&invocation.answered()) {
            found.entry(invocation.answered()).or_insert(index);
        }
    }
    let mut is_listed = HashSet::new();
    places
        .iter()
        .filter_map(|place| found.get(place).copied())
        .filter(|index| is_listed.insert(*index))
        .collect()
}

/// Writes `history.jsonl`: see the [module](self).
///
/// # Errors
/// Those of the writer.
pub fn write_jsonl(history: &[Invocation], out: &mut impl Write) -> io::Result<()> {
    let mut line = Vec::new();
    for (index, event) in events(history).into_iter().enumerate() {
        line.clear();
        event.write(index, &mut line);
        out.write_all(&line)?;
    }
    Ok(())
}

/// A beginning or an end of an operation.
#[derive(Debug)]
pub(super) struct Event<'a> {
    pub at: Instant,
    /// `invoke`, `ok`, `fail` or `info`.
    pub kind: &'static str,
    pub invocation: &'a Invocation,
    pub value: &'a Data,
    pub error: Option<&'a str>,
}

/// All beginnings and ends, in the order of time, and of one microsecond the beginnings first that may be.
pub(super) fn events(history: &[Invocation]) -> Vec<Event<'_>> {
    let ends_only = processes_of_ends(history);
    let mut last: HashMap<usize, Last> = HashMap::new();
    let mut events = Vec::with_capacity(2 * history.len());
    for (place, of) in history.iter().enumerate() {
        let Interval { invoked, completed } = of.interval;
        let before = last.get(&of.process).filter(|last| last.ended == invoked);
        let turn = before.map_or(0, |last| last.turn + 1);
        if !ends_only.contains(&of.process) {
            events.push((invoked, turn, false, place));
        }
        let turn = if invoked == completed { turn } else { 0 };
        if of.is_complete() {
            events.push((completed, turn, true, place));
        }
        last.insert(of.process, Last { ended: completed, turn });
    }
    events.sort_unstable();
    events.into_iter().map(|(at, _, is_end, place)| Event::of(at, is_end, &history[place])).collect()
}

/// The processes that did two things at once, as none does: of them a file had the ends alone.
fn processes_of_ends(history: &[Invocation]) -> HashSet<usize> {
    let mut ended = HashMap::new();
    let overlaps = |of: &&Invocation| {
        let before = ended.insert(of.process, of.interval.completed);
        before.is_some_and(|before| before > of.interval.invoked)
    };
    history.iter().filter(overlaps).map(|of| of.process).collect()
}

/// The end of the last operation of a process.
struct Last {
    ended: Instant,
    /// How many operations the process ended before in the same microsecond.
    turn: usize,
}

impl<'a> Event<'a> {
    fn of(at: Instant, is_end: bool, invocation: &'a Invocation) -> Self {
        let asked = &invocation.operation.value;
        let (kind, value, error) = match &invocation.outcome {
            _ if !is_end => ("invoke", asked, None),
            Outcome::Ok(value) => ("ok", value, None),
            Outcome::Fail(reason) => ("fail", asked, Some(&**reason)),
            Outcome::Info(reason) => ("info", asked, Some(&**reason)),
            Outcome::Silence { is_indefinite: true } => ("info", asked, Some(NO_ANSWER)),
            Outcome::Silence { is_indefinite: false } => ("fail", asked, Some(NO_ANSWER)),
        };
        Self { at, kind, invocation, value, error }
    }

    fn write(&self, index: usize, line: &mut Vec<u8>) {
        let Invocation { process, node, operation, is_final, is_probe, .. } = self.invocation;
        let mut member = |name: &str, value: &dyn WriteJson| {
            line.push(if line.is_empty() { b'{' } else { b',' });
            name.write_json(line);
            line.push(b':');
            value.write_json(line);
        };
        member("index", &index);
        member("time", &(1_000 * self.at.as_micros()));
        member("type", &self.kind);
        member("process", process);
        if *node != UNKNOWN_NODE {
            member("node", &format!("n{node}"));
        }
        member("f", &operation.f);
        member("value", self.value);
        if let Some(error) = self.error {
            member("error", &error);
        }
        if *is_final {
            member("final", &true);
        }
        if *is_probe {
            member("probe", &true);
        }
        line.extend_from_slice(b"}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_line_for_each_beginning_and_each_end() {
        let at = Instant::from_micros;
        let invocation = |process, invoked, completed, outcome| Invocation {
            process,
            node: process,
            operation: Operation::new("add", 7),
            interval: Interval { invoked: at(invoked), completed },
            outcome,
            is_final: process == 2,
            is_probe: false,
        };
        let history = [
            invocation(0, 5, at(9), Outcome::Ok(Data::Int(7))),
            invocation(1, 6, at(8), Outcome::Silence { is_indefinite: true }),
            invocation(2, 9, at(10), Outcome::Fail("error 11: busy".into())),
            invocation(3, 10, Instant::END, Outcome::Info("the test ended".into())),
        ];
        let mut file = Vec::new();
        write_jsonl(&history, &mut file).unwrap();
        let expected = r#"{"index":0,"time":5000,"type":"invoke","process":0,"node":"n0","f":"add","value":7}
{"index":1,"time":6000,"type":"invoke","process":1,"node":"n1","f":"add","value":7}
{"index":2,"time":8000,"type":"info","process":1,"node":"n1","f":"add","value":7,"error":"no answer in time"}
{"index":3,"time":9000,"type":"invoke","process":2,"node":"n2","f":"add","value":7,"final":true}
{"index":4,"time":9000,"type":"ok","process":0,"node":"n0","f":"add","value":7}
{"index":5,"time":10000,"type":"invoke","process":3,"node":"n3","f":"add","value":7}
{"index":6,"time":10000,"type":"fail","process":2,"node":"n2","f":"add","value":7,"error":"error 11: busy","final":true}
"#;
        assert_eq!(String::from_utf8(file).unwrap(), expected);
    }
}
