//! Beginnings and ends of operations, brought together.

use std::collections::HashMap;
use std::mem;

use foldhash::fast::RandomState;

use super::error::ReadError;
use super::event::Event;
use crate::time::Instant;
use crate::workbench::checker::{Completion, Interval, UNKNOWN_NODE};
use crate::workbench::data::Data;
use crate::workbench::history::{Invocation, NO_ANSWER, Operation, Outcome};
use crate::workbench::workload::Workload;

/// Makes invocations of the events of a file.
pub(super) struct Pairing<'a> {
    workload: &'a dyn Workload,
    /// The names that the workload has for its operations.
    names: Vec<&'static str>,
    memory_max: usize,
    memory: usize,
    history: Vec<Invocation>,
    processes: HashMap<usize, Process, RandomState>,
    /// How many events there were.
    events: u64,
    /// When each operation of the history began and ended, if the file tells.
    marks: Vec<[Option<Mark>; 2]>,
    /// Whether each event had a time so far.
    has_times: bool,
}

/// Where an event stands in the order of events.
#[derive(Clone, Copy)]
struct Mark {
    /// In nanoseconds; 0 where the record has none.
    time: i64,
    /// Its place among the events of the file, for a file without times.
    place: u64,
}

/// What a process does.
enum Process {
    /// The operation, by its place in the history, began on that line.
    Busy { invocation: usize, line: u64 },
    /// Its last operation ended on that line.
    Free { line: u64 },
    /// Nobody knows how its last operation ended, on that line, so it is over.
    Gone { line: u64 },
    /// It has ends alone.
    EndsOnly,
}

impl<'a> Pairing<'a> {
    pub fn new(workload: &'a dyn Workload, memory_max: usize) -> Self {
        Self {
            workload,
            names: workload.operations(),
            memory_max,
            memory: 0,
            history: Vec::new(),
            processes: HashMap::default(),
            events: 0,
            marks: Vec::new(),
            has_times: true,
        }
    }

    pub fn add(&mut self, mut event: Event) -> Result<(), ReadError> {
        let Some(process) = event.process else { return Ok(()) };
        let line = event.line;
        let Some(&f) = self.names.iter().find(|name| **name == &*event.f) else {
            let expected = format!("f to be {}", self.names.join(" or "));
            return Err(ReadError::malformed(line, expected, format!("{:?}", event.f)));
        };
        self.has_times &= event.time.is_some();
        let value = self.workload.import(f, mem::take(&mut event.value), &event.more);
        self.memory += memory(&value) + event.error.as_ref().map_or(0, |error| error.len());
        match event.end {
            None => self.begin(process, f, value, &event)?,
            Some(completion) => self.end(process, f, value, completion, &mut event)?,
        }
        self.events += 1;
        if self.memory > self.memory_max {
            return Err(ReadError::TooLarge { line, what: "the history", limit: self.memory_max });
        }
        Ok(())
    }

    fn begin(
        &mut self,
        process: usize,
        f: &'static str,
        value: Data,
        event: &Event,
    ) -> Result<(), ReadError> {
        let line = event.line;
        let invocation = self.history.len();
        let found = format!("the beginning of another {f}");
        match self.processes.insert(process, Process::Busy { invocation, line }) {
            None | Some(Process::Free { .. }) => {}
            Some(Process::Busy { line: began, .. }) => {
                let expected = format!("the end of what process {process} began on line {began}");
                return Err(ReadError::malformed(line, expected, found));
            }
            Some(Process::Gone { line: ended }) => {
                let expected = format!(
                    "nothing of process {process} any more, since nobody knows how its operation ended on line {ended}"
                );
                return Err(ReadError::malformed(line, expected, found));
            }
            Some(Process::EndsOnly) => {
                let expected = format!("ends alone of process {process}, as before");
                return Err(ReadError::malformed(line, expected, found));
            }
        }
        self.push(process, f, value, event, Some(self.mark(event)));
        self.check_fit(invocation, None, line)
    }

    /// Whether an operation has a value of its workload, and so has its answer, if it has one.
    fn check_fit(&self, invocation: usize, answer: Option<&Data>, line: u64) -> Result<(), ReadError> {
        let operation = &self.history[invocation].operation;
        match self.workload.misfit(operation, answer) {
            None => Ok(()),
            Some(expected) => {
                Err(ReadError::malformed(line, expected, answer.unwrap_or(&operation.value).to_string()))
            }
        }
    }

    fn mark(&self, event: &Event) -> Mark {
        Mark { time: event.time.unwrap_or_default(), place: self.events }
    }

    fn push(&mut self, process: usize, f: &'static str, value: Data, event: &Event, begun: Option<Mark>) {
        self.memory += mem::size_of::<Invocation>() + mem::size_of::<[Option<Mark>; 2]>();
        self.marks.push([begun, None]);
        self.history.push(Invocation {
            process,
            node: event.node.unwrap_or(UNKNOWN_NODE),
            operation: Operation { f, value },
            interval: Interval { invoked: Instant::START, completed: Instant::END },
            outcome: Outcome::Info("it was still open at the end of the file".into()),
            is_final: event.is_final,
            is_probe: event.is_probe,
        });
    }

    fn end(
        &mut self,
        process: usize,
        f: &'static str,
        value: Data,
        completion: Completion,
        event: &mut Event,
    ) -> Result<(), ReadError> {
        let line = event.line;
        let after = match completion {
            Completion::Info => Process::Gone { line },
            _ => Process::Free { line },
        };
        let invocation = match self.processes.insert(process, after) {
            Some(Process::Busy { invocation, line: began }) => {
                let other = self.history[invocation].operation.f;
                if other != f {
                    let expected =
                        format!("the end of {other}, which process {process} began on line {began}");
                    return Err(ReadError::malformed(line, expected, format!("that of {f}")));
                }
                invocation
            }
            // Without a beginning it may have begun at any time.
            None | Some(Process::EndsOnly) => {
                self.processes.insert(process, Process::EndsOnly);
                self.push(process, f, value.clone(), event, None);
                self.history.len() - 1
            }
            Some(Process::Free { line: ended } | Process::Gone { line: ended }) => {
                let expected = format!(
                    "a beginning, since the last operation of process {process} ended on line {ended}"
                );
                return Err(ReadError::malformed(line, expected, format!("the end of {f}")));
            }
        };
        if completion == Completion::Ok {
            self.check_fit(invocation, Some(&value), line)?;
        }
        if let (Some(Mark { time: began, .. }), Some(ended)) = (self.marks[invocation][0], event.time)
            && ended < began
        {
            let expected = format!("a time from {began} on, when the operation began");
            return Err(ReadError::malformed(line, expected, ended.to_string()));
        }
        let error = event.error.take();
        let is_silence = error.as_deref() == Some(NO_ANSWER);
        let reason = error.unwrap_or_else(|| "no reason is given".into());
        self.marks[invocation][1] = Some(self.mark(event));
        self.history[invocation].outcome = match completion {
            Completion::Ok => Outcome::Ok(value),
            Completion::Fail if is_silence => Outcome::Silence { is_indefinite: false },
            Completion::Info if is_silence => Outcome::Silence { is_indefinite: true },
            Completion::Fail => Outcome::Fail(reason),
            Completion::Info => Outcome::Info(reason),
        };
        Ok(())
    }

    /// The history, in the order in which its operations began.
    pub fn finish(mut self) -> Vec<Invocation> {
        let clock = self.has_times.then(|| Microseconds::of(self.marks.iter().flatten().flatten()));
        let instant =
            |mark: Mark| Instant::from_micros(clock.as_ref().map_or(mark.place, |clock| clock.at(mark.time)));
        for (invocation, &[begun, ended]) in self.history.iter_mut().zip(&self.marks) {
            let invoked = begun.map_or(Instant::START, instant);
            let completed = ended.map_or(Instant::END, |mark| instant(mark).max(invoked));
            invocation.interval = Interval { invoked, completed };
        }
        if self.has_times {
            // Several files that were put together are not in order.
            self.history.sort_by_key(|invocation| invocation.interval.invoked);
        }
        self.history
    }
}

/// Microseconds for times in nanoseconds: those in which they lie, unless there were more times than one in such a
/// microsecond. Then the later ones get later ones, for the checkers take for concurrent what is of the same.
struct Microseconds {
    /// The times in nanoseconds, in their order, and the microsecond of each; empty where all is as it lies.
    nanos: Vec<i64>,
    micros: Vec<u64>,
}

impl Microseconds {
    fn of<'a>(marks: impl Iterator<Item = &'a Mark>) -> Self {
        let mut nanos: Vec<i64> = marks.map(|mark| mark.time).collect();
        nanos.sort_unstable();
        nanos.dedup();
        if nanos.windows(2).all(|pair| rounded_down(pair[0]) < rounded_down(pair[1])) {
            return Self { nanos: Vec::new(), micros: Vec::new() };
        }
        let mut next = 0;
        let distinct = |&time: &i64| {
            let micros = rounded_down(time).max(next);
            next = micros + 1;
            micros
        };
        let micros = nanos.iter().map(distinct).collect();
        Self { nanos, micros }
    }

    fn at(&self, time: i64) -> u64 {
        match self.nanos.binary_search(&time) {
            Ok(place) => self.micros[place],
            Err(_) => rounded_down(time),
        }
    }
}

/// A time before the beginning is the beginning.
fn rounded_down(nanos: i64) -> u64 {
    u64::try_from(nanos).unwrap_or_default() / 1_000
}

/// About what a value takes beyond the place where it is kept.
fn memory(value: &Data) -> usize {
    /// What an allocation takes besides what it is for.
    const ALLOCATION: usize = 16;
    let inline = mem::size_of::<Data>();
    match value {
        Data::Null | Data::Bool(_) | Data::Int(_) => 0,
        Data::Text(text) | Data::Raw(text) => ALLOCATION + text.len(),
        Data::Ints(integers) => ALLOCATION + 8 * integers.capacity(),
        Data::List(items) => ALLOCATION + inline * items.capacity() + items.iter().map(memory).sum::<usize>(),
        Data::Map(members) => {
            let inner = |(key, value): &(Data, Data)| memory(key) + memory(value);
            ALLOCATION + 2 * inline * members.capacity() + members.iter().map(inner).sum::<usize>()
        }
    }
}
