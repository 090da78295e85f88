//! A conversation that goes on, and the values that its words stand for.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::json::text::beginning;
use crate::workbench::driver::running::Running;

/// Maximum bytes of stderr that are kept for an explanation: the last.
const STDERR_MAX: usize = 4096;

/// Maximum bytes of a line of its stdout.
const LINE_MAX: usize = 1024 * 1024;

/// Maximum lines of its stdout that nobody has looked at yet.
const LINES_MAX: usize = 100;

/// How often somebody who waits looks whether to stop.
const TURN: Duration = Duration::from_millis(20);

/// Maximum bytes of a line as people get to see it.
const SHOWN: usize = 300;

/// One step of a conversation.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Send(String),
    Expect { any_order: bool, patterns: Vec<Value> },
    Text(String),
    Silence(Duration),
    Eof,
    End,
}

/// A conversation that goes on.
pub(super) struct Talk<'a> {
    process: Running,
    patience: Duration,
    is_stopped: &'a AtomicBool,
    stdin: Option<Stdin>,
    lines: Receiver<Said>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    bindings: BTreeMap<String, Value>,
    last_sent: String,
}

/// What a program says on its stdout.
enum Said {
    Line(String),
    /// It says nothing any more that anybody hears: this line is longer than [`LINE_MAX`].
    TooMuch,
}

impl Said {
    fn show(self) -> String {
        match self {
            Self::Line(line) => line,
            Self::TooMuch => format!("a line of more than {LINE_MAX} bytes"),
        }
    }
}

/// A program's stdin, in the hands of a thread: whoever writes into a pipe that nobody reads waits for ever.
struct Stdin {
    lines: Sender<String>,
    written: Receiver<io::Result<()>>,
}

impl Stdin {
    fn of(mut pipe: ChildStdin) -> Self {
        let (lines, to_write) = mpsc::channel::<String>();
        let (done, written) = mpsc::channel();
        thread::spawn(move || {
            for line in to_write {
                if done.send(pipe.write_all(line.as_bytes())).is_err() {
                    break;
                }
            }
        });
        Self { lines, written }
    }
}

/// Takes the lines of a program, until it has no more, nobody wants them, or one is too long.
fn listen(stdout: ChildStdout, lines: &SyncSender<Said>) {
    let mut stdout = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        match stdout.by_ref().take(LINE_MAX as u64 + 1).read_until(b'\n', &mut line) {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        let is_whole = line.pop_if(|last| *last == b'\n').is_some() || line.len() <= LINE_MAX;
        let said =
            if is_whole { Said::Line(String::from_utf8_lossy(&line).into_owned()) } else { Said::TooMuch };
        if lines.send(said).is_err() || !is_whole {
            return;
        }
    }
}

impl<'a> Talk<'a> {
    pub fn start(
        program: &Path,
        first: &[String],
        rest: &[OsString],
        patience: Duration,
        is_stopped: &'a AtomicBool,
    ) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.args(first).args(rest).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Running::spawn(&mut command)
            .map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
        let (stdin, stdout, stderr) = process.pipes().ok_or("it was started without its pipes")?;
        let (sender, lines) = mpsc::sync_channel(LINES_MAX);
        thread::spawn(move || listen(stdout, &sender));
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
            is_stopped,
            stdin: Some(Stdin::of(stdin)),
            lines,
            stderr: Some(stderr),
            bindings: BTreeMap::new(),
            last_sent: "its start".to_owned(),
        })
    }

    pub fn take(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Send(line) => {
                let line = self.filled_in(line);
                let Some(stdin) = &self.stdin else { return Err("its stdin has ended".to_owned()) };
                self.last_sent = beginning(&line, SHOWN).into_owned();
                // Where the thread has ended, there is no answer either.
                let _ = stdin.lines.send(format!("{line}\n"));
                let error = match self.wait(&stdin.written, self.patience) {
                    Ok(Ok(())) => return Ok(()),
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => format!("it read nothing for {} seconds", self.patience.as_secs()),
                };
                Err(format!("it did not take {}: {error}", self.last_sent))
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
            Step::Silence(span) => match self.wait(&self.lines, *span) {
                Ok(said) => Err(self.mismatch("nothing more", &said.show())),
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
        let found = match self.wait(&self.lines, self.patience) {
            Ok(Said::Line(line)) => return Ok(line),
            Ok(too_much) => too_much.show(),
            Err(RecvTimeoutError::Timeout) => {
                format!("nothing for {} seconds; does it flush its stdout?", self.patience.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => "the end of its stdout".to_owned(),
        };
        Err(self.mismatch(&expected(), &found))
    }

    /// Waits so long for what comes, unless the conversation is to stop.
    fn wait<T>(&self, of: &Receiver<T>, span: Duration) -> Result<T, RecvTimeoutError> {
        let deadline = Instant::now() + span;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match of.recv_timeout(left.min(TURN)) {
                Err(RecvTimeoutError::Timeout) if left > TURN && !self.is_stopped.load(Ordering::Relaxed) => {
                }
                came => return came,
            }
        }
    }

    fn mismatch(&self, expected: &str, found: &str) -> String {
        let found = beginning(found, SHOWN);
        format!("after {} expected {expected}, found {found}", self.last_sent)
    }

    fn ends(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + self.patience;
        let status = loop {
            match self.process.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < deadline && !self.is_stopped.load(Ordering::Relaxed) => {
                    match self.lines.recv_timeout(TURN) {
                        Ok(said) => return Err(self.mismatch("nothing more", &said.show())),
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => thread::sleep(TURN / 4),
                    }
                }
                Ok(None) => return Err(self.mismatch("the end of the program", "that it runs on")),
                Err(error) => return Err(error.to_string()),
            }
        };
        // What it said just before may still be in the pipe. It ends there, unless it started somebody who has it, too.
        if let Ok(said) = self.wait(&self.lines, self.patience) {
            return Err(self.mismatch("nothing more", &said.show()));
        }
        if status.success() { Ok(()) } else { Err(self.mismatch("status 0", &status.to_string())) }
    }

    /// A line to send, with the values of its names.
    fn filled_in(&self, line: &str) -> String {
        self.bindings.iter().fold(line.to_owned(), |line, (name, value)| {
            line.replace(&format!("\"${name}\""), &value.to_string())
        })
    }

    /// Ends the program; what it said on stderr at last, in one line.
    pub fn stderr(&mut self) -> String {
        self.process.kill();
        let stderr = self.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let text = String::from_utf8_lossy(&stderr);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        beginning(&lines[lines.len().saturating_sub(3)..].join(" | "), SHOWN).into_owned()
    }
}

/// Whether a value is what is expected; what has a name gets its value.
pub(super) fn matches(pattern: &Value, found: &Value, bindings: &mut BTreeMap<String, Value>) -> bool {
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
