//! Grades: suites of tasks, each with tests of a workload and conversations with a node, for programs in any language.
//!
//! A suite is a TOML file. A task may have a test, as flags of `messenger test`, with limits on figures of its
//! `results.json`, and conversations, which say what goes into a program and what has to come out of it:
//!
//! ```toml
//! about = "Two tasks"
//!
//! [[task]]
//! name = "efficient"
//! about = "Broadcast with few messages"
//! hint = "Gossip in batches"
//! test = "-w broadcast --node-count 25 --time-limit 20 --rate 100 --latency 100"
//!
//! [[task.limit]]
//! what = "messages between nodes for each operation"
//! value = "/messages/servers_per_operation"
//! max = 30.0
//!
//! [[task]]
//! name = "echo"
//! about = "Answer what was asked"
//!
//! [[task.conversation]]
//! script = '''
//! -> {"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1"]}}
//! <- {"src":"n1","dest":"c0","body":{"type":"init_ok","in_reply_to":1,"msg_id":"$int"}}
//! .. 200
//! '''
//! ```
//!
//! A line of a script is one of
//!
//! - `-> LINE`: goes into the program's stdin;
//! - `<- JSON`: the next line of its stdout is this value; `<~ JSON`: several of these in a row come in any order;
//! - `== TEXT`: the next line is this text;
//! - `.. MILLIS`: it says nothing for so long;
//! - `eof`: its stdin ends; `end`: it ends by itself, with status 0, and says nothing more.
//!
//! In what is expected, a string may stand for a value that differs from program to program: `"$any"`, `"$int"` (not
//! negative), `"$number"`, `"$string"`, `"$time"` (ISO 8601 in UTC with microseconds), `"$100..115"` (an integer from 100 to
//! 115). `"$id=int"` gives it a name, under which it is expected again, and sent, as `"$id"`; `"$a+b"` is a sum.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::driver::running::Running;
use crate::json::text::beginning;

/// Maximum bytes of stderr that are kept for an explanation: the last.
const STDERR_MAX: usize = 4096;

/// Maximum bytes of a line as people get to see it.
const SHOWN: usize = 300;

/// The suites that come with this crate, by name.
pub const BUILT_IN: [(&str, &str); 2] = [
    ("gossip-glomers", include_str!("suites/gossip-glomers.toml")),
    ("the-messenger", include_str!("suites/the-messenger.toml")),
];

/// What is graded.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Suite {
    /// What it is, in a sentence.
    pub about: String,
    /// In the order in which they are shown.
    #[serde(rename = "task")]
    pub tasks: Vec<Task>,
}

/// One line of the grade.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Task {
    /// A word.
    pub name: String,
    /// What the program has to do.
    pub about: String,
    /// What to look at if it does not.
    #[serde(default)]
    pub hint: String,
    /// Flags of `messenger test`, but for the program and the place of the report.
    pub test: Option<String>,
    /// Limits on figures of the test's results.
    #[serde(default, rename = "limit")]
    pub limits: Vec<Limit>,
    /// Conversations, each with a new process.
    #[serde(default, rename = "conversation")]
    pub conversations: Vec<Conversation>,
}

/// A limit on a figure.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Limit {
    /// What the figure is, for people.
    pub what: String,
    /// Where it is in `results.json`, as a JSON pointer.
    pub value: String,
    /// The most that it may be.
    pub max: Option<f64>,
    /// The least that it has to be.
    pub min: Option<f64>,
}

/// What goes in, and what has to come out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Conversation {
    /// What it is about.
    #[serde(default)]
    pub name: String,
    /// Arguments for the program, before those that it is always given.
    #[serde(default)]
    pub args: Vec<String>,
    /// See the [module](self).
    pub script: Script,
}

/// The steps of a conversation.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Script(Vec<Step>);

#[derive(Clone, Debug)]
enum Step {
    Send(String),
    Expect { any_order: bool, patterns: Vec<Value> },
    Text(String),
    Silence(Duration),
    Eof,
    End,
}

/// A suite that is none.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SuiteError {
    /// It is no TOML, or not of this form; the text says where.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// It has nothing to grade.
    #[error("task {0:?}: expected a test or a conversation, found neither")]
    Empty(String),
    /// Two tasks have the same name.
    #[error("task {0:?}: expected a name of its own, found it twice")]
    Twice(String),
    /// A limit without a bound.
    #[error("task {0:?}: expected a max or a min for each limit, and a test that it is of")]
    NoLimit(String),
}

impl Suite {
    /// Reads a suite.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, SuiteError> {
        let suite: Self = toml::from_str(text)?;
        for (place, Task { name, test, limits, conversations, .. }) in suite.tasks.iter().enumerate() {
            if test.is_none() && conversations.is_empty() {
                return Err(SuiteError::Empty(name.clone()));
            }
            if suite.tasks[..place].iter().any(|other| other.name == *name) {
                return Err(SuiteError::Twice(name.clone()));
            }
            let is_limit = |limit: &Limit| limit.max.is_some() || limit.min.is_some();
            if !limits.iter().all(is_limit) || (test.is_none() && !limits.is_empty()) {
                return Err(SuiteError::NoLimit(name.clone()));
            }
        }
        Ok(suite)
    }

    /// A suite that comes with this crate.
    ///
    /// # Panics
    /// Never: those are well formed.
    pub fn built_in(name: &str) -> Option<Self> {
        let (_, text) = BUILT_IN.into_iter().find(|(known, _)| *known == name)?;
        Some(Self::parse(text).expect("what comes with the crate is well formed"))
    }
}

impl Task {
    /// What the results of its test, `results.json`, miss; nothing if they pass.
    pub fn judge(&self, results: &Value) -> Option<String> {
        if results["valid"] != Value::Bool(true) {
            let verdict = results["verdict"].as_str().unwrap_or("unknown");
            let first = results["explanations"][0].as_str().unwrap_or("for no reason that it gives");
            return Some(format!("{verdict}: {first}"));
        }
        self.limits.iter().find_map(|limit| limit.judge(results))
    }
}

impl Limit {
    fn judge(&self, results: &Value) -> Option<String> {
        let Self { what, value, max, min } = self;
        let Some(found) = results.pointer(value).and_then(Value::as_f64) else {
            return Some(format!("{what}: expected a number at {value} of the results, found none"));
        };
        if let Some(max) = max.filter(|max| found > *max) {
            return Some(format!("{what}: expected at most {max}, found {found:.2}"));
        }
        let min = min.filter(|min| found < *min)?;
        Some(format!("{what}: expected at least {min}, found {found:.2}"))
    }
}

impl TryFrom<String> for Script {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut steps: Vec<Step> = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (sign, rest) = line.split_once(' ').unwrap_or((line, ""));
            let json = || serde_json::from_str(rest).map_err(|error| format!("{error} in {line}"));
            match sign {
                "->" => steps.push(Step::Send(rest.to_owned())),
                "<-" => steps.push(Step::Expect { any_order: false, patterns: vec![json()?] }),
                "<~" => match steps.last_mut() {
                    Some(Step::Expect { any_order: true, patterns }) => patterns.push(json()?),
                    _ => steps.push(Step::Expect { any_order: true, patterns: vec![json()?] }),
                },
                "==" => steps.push(Step::Text(rest.to_owned())),
                ".." => {
                    let millis = rest.parse().map_err(|_| format!("expected milliseconds in {line}"))?;
                    steps.push(Step::Silence(Duration::from_millis(millis)));
                }
                "eof" => steps.push(Step::Eof),
                "end" => steps.push(Step::End),
                _ => return Err(format!("expected ->, <-, <~, ==, .., eof or end, found {line}")),
            }
        }
        Ok(Self(steps))
    }
}

impl Conversation {
    /// Leads it with a program, which may take so long for each line that is expected.
    ///
    /// # Errors
    /// Where the program departs from it: what was expected, what came instead, and its last words on stderr.
    pub fn lead(&self, program: &Path, args: &[OsString], patience: Duration) -> Result<(), String> {
        let mut talk = Talk::start(program, &self.args, args, patience)?;
        let outcome = self.script.0.iter().try_for_each(|step| talk.take(step));
        outcome.map_err(|error| {
            let name = if self.name.is_empty() { String::new() } else { format!("{}: ", self.name) };
            let stderr = talk.stderr();
            let stderr =
                if stderr.is_empty() { stderr } else { format!("; its last words on stderr: {stderr}") };
            format!("{name}{error}{stderr}")
        })
    }
}

/// A conversation that goes on.
struct Talk {
    process: Running,
    patience: Duration,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    bindings: BTreeMap<String, Value>,
    last_sent: String,
}

impl Talk {
    fn start(
        program: &Path,
        first: &[String],
        rest: &[OsString],
        patience: Duration,
    ) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.args(first).args(rest).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Running::spawn(&mut command)
            .map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
        let (stdin, stdout, stderr) = process.pipes().ok_or("it was started without its pipes")?;
        let (sender, lines) = mpsc::sync_channel(1_000);
        thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
            }
        });
        let stderr = thread::spawn(move || {
            let (mut kept, mut stderr, mut buffer) = (Vec::new(), stderr, [0; 4096]);
            while let Ok(count @ 1..) = stderr.read(&mut buffer) {
                kept.extend_from_slice(&buffer[..count]);
                kept.drain(..kept.len().saturating_sub(STDERR_MAX));
            }
            kept
        });
        Ok(Self {
            process,
            patience,
            stdin: Some(stdin),
            lines,
            stderr: Some(stderr),
            bindings: BTreeMap::new(),
            last_sent: "its start".to_owned(),
        })
    }

    fn take(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Send(line) => {
                let line = self.filled_in(line);
                let Some(stdin) = &mut self.stdin else { return Err("its stdin has ended".to_owned()) };
                let sent = stdin.write_all(format!("{line}\n").as_bytes());
                self.last_sent = beginning(&line, SHOWN).into_owned();
                sent.map_err(|error| format!("it did not take {}: {error}", self.last_sent))
            }
            Step::Expect { any_order: _, patterns } => {
                let mut open: Vec<&Value> = patterns.iter().collect();
                while !open.is_empty() {
                    let expected = || open.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
                    let line = self.next(&expected)?;
                    let found: Value = serde_json::from_str(&line).map_err(|error| {
                        self.mismatch(&expected(), &format!("{line:?}, which is no JSON: {error}"))
                    })?;
                    let fits = open.iter().position(|pattern| {
                        let mut bindings = self.bindings.clone();
                        let fits = matches(pattern, &found, &mut bindings);
                        if fits {
                            self.bindings = bindings;
                        }
                        fits
                    });
                    let Some(place) = fits else { return Err(self.mismatch(&expected(), &line)) };
                    open.remove(place);
                }
                Ok(())
            }
            Step::Text(text) => {
                let line = self.next(&|| text.clone())?;
                if line == *text { Ok(()) } else { Err(self.mismatch(text, &line)) }
            }
            Step::Silence(span) => match self.lines.recv_timeout(*span) {
                Ok(line) => Err(self.mismatch("nothing more", &line)),
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Err(RecvTimeoutError::Disconnected) if self.stdin.is_none() => Ok(()),
                Err(RecvTimeoutError::Disconnected) => Err(format!("after {} it ended", self.last_sent)),
            },
            Step::Eof => {
                self.stdin = None;
                "the end of its stdin".clone_into(&mut self.last_sent);
                Ok(())
            }
            Step::End => self.ends(),
        }
    }

    /// The next line.
    fn next(&self, expected: &dyn Fn() -> String) -> Result<String, String> {
        self.lines.recv_timeout(self.patience).map_err(|error| {
            let found = match error {
                RecvTimeoutError::Timeout => {
                    format!("nothing for {} seconds; does it flush its stdout?", self.patience.as_secs())
                }
                RecvTimeoutError::Disconnected => "the end of its stdout".to_owned(),
            };
            self.mismatch(&expected(), &found)
        })
    }

    fn mismatch(&self, expected: &str, found: &str) -> String {
        let found = beginning(found, SHOWN);
        format!("after {} expected {expected}, found {found}", self.last_sent)
    }

    fn ends(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + self.patience;
        loop {
            if let Ok(line) = self.lines.try_recv() {
                return Err(self.mismatch("nothing more", &line));
            }
            match self.process.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(self.mismatch("status 0", &status.to_string())),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
                Ok(None) => return Err(self.mismatch("the end of the program", "that it runs on")),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// A line to send, with the values of its names.
    fn filled_in(&self, line: &str) -> String {
        self.bindings.iter().fold(line.to_owned(), |line, (name, value)| {
            line.replace(&format!("\"${name}\""), &value.to_string())
        })
    }

    /// Ends the program; what it said on stderr at last, in one line.
    fn stderr(&mut self) -> String {
        self.process.kill();
        let stderr = self.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let text = String::from_utf8_lossy(&stderr);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        beginning(&lines[lines.len().saturating_sub(3)..].join(" | "), SHOWN).into_owned()
    }
}

/// Whether a value is what is expected; what has a name gets its value.
fn matches(pattern: &Value, found: &Value, bindings: &mut BTreeMap<String, Value>) -> bool {
    match (pattern, found) {
        (Value::String(pattern), _) if pattern.starts_with('$') => stands_for(&pattern[1..], found, bindings),
        (Value::Object(pattern), Value::Object(found)) => {
            pattern.len() == found.len()
                && pattern.iter().all(|(key, pattern)| {
                    found.get(key).is_some_and(|found| matches(pattern, found, bindings))
                })
        }
        (Value::Array(pattern), Value::Array(found)) => {
            pattern.len() == found.len()
                && pattern.iter().zip(found).all(|(pattern, found)| matches(pattern, found, bindings))
        }
        _ => pattern == found,
    }
}

/// Whether a value is what a word stands for.
fn stands_for(word: &str, found: &Value, bindings: &mut BTreeMap<String, Value>) -> bool {
    if let Some((name, kind)) = word.split_once('=') {
        let fits = stands_for(kind, found, bindings);
        bindings.insert(name.to_owned(), found.clone());
        return fits;
    }
    if let Some((low, high)) = word.split_once("..") {
        let range = low.parse::<i64>().ok().zip(high.parse::<i64>().ok());
        return range.zip(found.as_i64()).is_some_and(|((low, high), found)| (low..=high).contains(&found));
    }
    if word.contains('+') {
        let sum: Option<i64> = word.split('+').map(|name| bindings.get(name)?.as_i64()).sum();
        return sum.is_some() && sum == found.as_i64();
    }
    match word {
        "any" => true,
        "int" => found.is_u64(),
        "number" => found.is_number(),
        "string" => found.is_string(),
        "time" => found.as_str().is_some_and(is_time),
        name => bindings.get(name) == Some(found),
    }
}

/// `2026-11-26T14:05:09.000123Z`
fn is_time(text: &str) -> bool {
    let form = "dddd-dd-ddTdd:dd:dd.ddddddZ";
    let text = text.strip_suffix("+00:00").map_or_else(|| text.to_owned(), |text| format!("{text}Z"));
    text.len() == form.len()
        && text
            .chars()
            .zip(form.chars())
            .all(|(c, form)| if form == 'd' { c.is_ascii_digit() } else { c == form })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_comes_with_the_crate_is_well_formed() {
        let count = |name| Suite::built_in(name).unwrap().tasks.len();
        assert_eq!((count("gossip-glomers"), count("the-messenger")), (14, 15));
        assert!(Suite::built_in("no-such-suite").is_none());
    }

    #[test]
    fn a_suite_that_is_none_says_what_is_wrong() {
        let refused = |text: &str| Suite::parse(text).unwrap_err().to_string();
        assert!(refused("about = 'x'").contains("missing field `task`"));
        assert!(
            refused("about = 'x'\n[[task]]\nname = 'a'\nabout = ''\ntset = ''")
                .contains("unknown field `tset`")
        );
        assert_eq!(
            refused("about = 'x'\n[[task]]\nname = 'a'\nabout = ''"),
            "task \"a\": expected a test or a conversation, found neither"
        );
        let task = "[[task]]\nname = 'a'\nabout = ''\ntest = '-w echo'\n";
        assert!(refused(&format!("about = 'x'\n{task}{task}")).contains("found it twice"));
        let limit = "[[task.limit]]\nwhat = 'x'\nvalue = '/x'\n";
        assert!(refused(&format!("about = 'x'\n{task}{limit}")).contains("expected a max or a min"));
        let script = "[[task]]\nname = 'a'\nabout = ''\n[[task.conversation]]\nscript = '>> x'";
        assert!(
            refused(&format!("about = 'x'\n{script}"))
                .contains("expected ->, <-, <~, ==, .., eof or end, found >> x")
        );
    }

    #[test]
    fn words_stand_for_values() {
        let mut bindings = BTreeMap::new();
        let mut fits = |pattern: Value, found: Value| matches(&pattern, &found, &mut bindings);
        assert!(fits(json!({"a": "$int", "b": ["$string", "$any"]}), json!({"a": 1, "b": ["x", null]})));
        assert!(!fits(json!({"a": "$int"}), json!({"a": 1, "b": 2})), "a key too many");
        assert!(!fits(json!("$int"), json!(1.0)) && !fits(json!("$int"), json!("1")));
        assert!(fits(json!("$100..110"), json!(110)) && !fits(json!("$100..110"), json!(111)));
        assert!(fits(json!(["$a=int", "$b=0..5", "$a+b", "$a"]), json!([7, 5, 12, 7])));
        assert!(!fits(json!(["$a=int", "$a"]), json!([7, 8])));
        assert!(!fits(json!("$nobody"), json!(1)));
        assert!(fits(json!("$time"), json!("2026-11-26T14:05:09.000123Z")));
        assert!(!fits(json!("$time"), json!("2026-11-26T14:05:09Z")));
    }

    #[test]
    fn limits_are_held_at_the_limit() {
        let limit =
            Limit { what: "messages".to_owned(), value: "/x/y".to_owned(), max: Some(30.0), min: Some(1.0) };
        let judge = |found: Value| limit.judge(&json!({"x": {"y": found}}));
        assert_eq!((judge(json!(30.0)), judge(json!(1))), (None, None));
        assert_eq!(judge(json!(30.01)).unwrap(), "messages: expected at most 30, found 30.01");
        assert_eq!(judge(json!(0.5)).unwrap(), "messages: expected at least 1, found 0.50");
        assert!(judge(Value::Null).unwrap().contains("found none"));
    }
}
