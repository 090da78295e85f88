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

mod talk;

use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use self::talk::{Step, Talk};

/// The suites that come with this crate, by name.
pub const BUILT_IN: [(&str, &str); 2] = [
    ("gossip-glomers", include_str!("../suites/gossip-glomers.toml")),
    ("the-messenger", include_str!("../suites/the-messenger.toml")),
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
    /// Flags of `messenger test`, as a shell has them, but for the program and its arguments, the place of the report, and
    /// what is printed.
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
    /// Its test has flags that cannot be given.
    #[error(
        "task {task:?}: expected flags of one test, and none of --json, --test-count, --bin, --store or --, found {found}"
    )]
    Flags {
        /// The task's name.
        task: String,
        /// What is wrong with them.
        found: String,
    },
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
            if let Some(found) = test.as_deref().and_then(wrong_flag) {
                return Err(SuiteError::Flags { task: name.clone(), found });
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

/// What of these flags a suite cannot have, if anything.
fn wrong_flag(flags: &str) -> Option<String> {
    let Some(words) = shlex::split(flags) else { return Some(format!("a quote without its end in {flags}")) };
    let is_wrong = |word: &String| {
        let name = word.split_once('=').map_or(&**word, |(name, _)| name);
        ["--json", "--test-count", "--bin", "--store", "--"].contains(&name)
    };
    words.into_iter().find(is_wrong)
}

impl Task {
    /// The flags of its test; none where it has none.
    pub fn flags(&self) -> Vec<String> {
        self.test.as_deref().and_then(shlex::split).unwrap_or_default()
    }

    /// The workload of its test, if it names one.
    pub fn workload(&self) -> Option<String> {
        let mut flags = self.flags().into_iter();
        while let Some(flag) = flags.next() {
            match flag.strip_prefix("--workload=").or_else(|| flag.strip_prefix("-w")) {
                Some("") => return flags.next(),
                Some(workload) => return Some(workload.trim_start_matches('=').to_owned()),
                None if flag == "--workload" => return flags.next(),
                None => {}
            }
        }
        None
    }

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
    /// Leads it with a program, which may take so long for each line that is expected or sent. It is ended at once when
    /// `is_stopped` becomes true.
    ///
    /// # Errors
    /// Where the program departs from it: what was expected, what came instead, and its last words on stderr.
    pub fn lead(
        &self,
        program: &Path,
        args: &[OsString],
        patience: Duration,
        is_stopped: &AtomicBool,
    ) -> Result<(), String> {
        let mut talk = Talk::start(program, &self.args, args, patience, is_stopped)?;
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::talk::matches;
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
        for (flags, found) in [
            ("-w echo --json", "--json"),
            ("-w echo --test-count=3", "--test-count=3"),
            ("-w echo -- x", "--"),
            ("-w echo --fault 'pause n0", "a quote without its end in -w echo --fault 'pause n0"),
        ] {
            let task = format!("[[task]]\nname = 'a'\nabout = ''\ntest = \"{flags}\"");
            assert_eq!(
                refused(&format!("about = 'x'\n{task}")),
                format!(
                    "task \"a\": expected flags of one test, and none of --json, --test-count, --bin, --store or --, found {found}"
                )
            );
        }
        let limit = "[[task.limit]]\nwhat = 'x'\nvalue = '/x'\n";
        assert!(refused(&format!("about = 'x'\n{task}{limit}")).contains("expected a max or a min"));
        let script = "[[task]]\nname = 'a'\nabout = ''\n[[task.conversation]]\nscript = '>> x'";
        assert!(
            refused(&format!("about = 'x'\n{script}"))
                .contains("expected ->, <-, <~, ==, .., eof or end, found >> x")
        );
    }

    #[test]
    fn flags_are_words_of_a_shell() {
        let task = |flags: &str| {
            let text = format!("about = 'x'\n[[task]]\nname = 'a'\nabout = ''\ntest = \"{flags}\"");
            Suite::parse(&text).unwrap().tasks.remove(0)
        };
        assert_eq!(
            task("--fault 'pause n0 at 1s' -w echo").flags(),
            ["--fault", "pause n0 at 1s", "-w", "echo"]
        );
        for flags in ["-w echo", "-wecho", "-w=echo", "--workload echo", "--rate 5 --workload=echo"] {
            assert_eq!(task(flags).workload().unwrap(), "echo", "{flags}");
        }
        assert_eq!(task("--plan x").workload(), None);
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
