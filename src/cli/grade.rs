//! `messenger grade`: suites of tasks, for programs in any language.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::workbench::checker::Verdict;
use crate::workbench::grade::{BUILT_IN, Suite, Task};
use crate::workbench::processes::interrupted;
use crate::workbench::report::junit::{self, Case, CaseOutcome};
use clap::{Args, value_parser};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::args::{coloured, harmless, print, refuse, seconds, show};
use super::interrupt::Interrupts;
use super::own_node::OwnNode;

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct GradeArgs {
    /// A suite: gossip-glomers, the-messenger, or a TOML file of your own
    #[arg(value_name = "SUITE")]
    suite: PathBuf,
    /// The program; {name} in it becomes the name of the task, {workload} that of its test's workload [default: this
    /// program's own nodes]
    #[arg(long, value_name = "FILE")]
    bin: Option<String>,
    /// Grade only this task (may be repeated)
    #[arg(long = "task", value_name = "NAME")]
    tasks: Vec<String>,
    /// How many tasks to grade at once. Tests compete for the machine, and those with limits on time may fail for it.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// How long a program may take for a line that a conversation expects
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    patience: crate::time::Duration,
    /// Print the grade as JSON
    #[arg(long)]
    json: bool,
    /// Also write it to this file as `JUnit` XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Where to write reports
    #[arg(long, value_name = "FOLDER", default_value = "store")]
    store: PathBuf,
    /// Arguments for the program
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<OsString>,
}

const EXAMPLES: &str = "Examples:
  The exercises, by one program each, ./1-echo to ./6c-txn:
    messenger grade gossip-glomers --bin './{name}'
  The fifteen tasks of the course, for a build server:
    messenger grade the-messenger --bin ./node.py --jobs 4 --junit grade.xml

Exit status: 0 all tasks passed, 1 one did not, 254 wrong arguments, 255 the grade did not come to its end.";

/// What became of a task.
struct Graded<'a> {
    task: &'a Task,
    took: Duration,
    outcome: CaseOutcome,
    /// What to look at, if it did not pass.
    report: Option<String>,
}

/// What is to end at a signal.
#[derive(Default)]
struct Stop {
    is_stopped: AtomicBool,
    signal: AtomicI32,
    /// The processes of tests, which end their nodes.
    tests: Mutex<Vec<Pid>>,
}

impl Stop {
    /// Ends the conversations and tests at a signal, and begins no more.
    fn at_signals() -> io::Result<Arc<Self>> {
        let stop = Arc::new(Self::default());
        let stopped = Arc::clone(&stop);
        Interrupts::new()?.on_first(move |signal| {
            let tests = stopped.tests.lock().expect("nobody panics with it");
            stopped.signal.store(signal, Ordering::SeqCst);
            stopped.is_stopped.store(true, Ordering::SeqCst);
            for &test in &*tests {
                let _ = kill_process(test, Signal::TERM);
            }
        })?;
        Ok(stop)
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    /// Runs a test to its end.
    fn run(&self, command: &mut Command) -> io::Result<Output> {
        let mut tests = self.tests.lock().expect("nobody panics with it");
        if self.is_stopped() {
            return Err(ErrorKind::Interrupted.into());
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        tests.extend(id);
        drop(tests);
        let output = child.wait_with_output();
        self.tests.lock().expect("nobody panics with it").retain(|&test| Some(test) != id);
        output
    }
}

pub fn run(args: &GradeArgs, own: &dyn OwnNode) -> ExitCode {
    match grade(args, own) {
        Ok(passed) => ExitCode::from(u8::from(!passed)),
        Err(error) => refuse(&error),
    }
}

fn grade(args: &GradeArgs, own: &dyn OwnNode) -> io::Result<bool> {
    let (name, suite) = suite(&args.suite)?;
    let unknown = args.tasks.iter().find(|name| suite.tasks.iter().all(|task| task.name != **name));
    if let Some(unknown) = unknown {
        let names: Vec<_> = suite.tasks.iter().map(|task| &*task.name).collect();
        return Err(invalid(format!("no task {unknown}: expected one of {}", names.join(", "))));
    }
    let tasks: Vec<&Task> =
        suite.tasks.iter().filter(|task| args.tasks.is_empty() || args.tasks.contains(&task.name)).collect();
    if !args.json {
        let own = || {
            if own.is_example() {
                "messenger's own nodes: --bin grades yours".to_owned()
            } else {
                own.command()
            }
        };
        let program = args.bin.clone().unwrap_or_else(own);
        let _ = writeln!(io::stdout(), "{}\ngrading {program}", suite.about);
    }
    let stop = Stop::at_signals()?;
    let graded = in_parallel(args, &tasks, &stop);
    if stop.is_stopped() {
        let reason = interrupted(stop.signal.load(Ordering::SeqCst));
        return Err(io::Error::other(format!("{reason} before the grade was complete")));
    }
    let passed = graded.iter().filter(|graded| graded.outcome == CaseOutcome::Passed).count();
    let mut text = String::new();
    if args.json {
        let tasks: Vec<Value> = graded.iter().map(Graded::json).collect();
        let grade = json!({"suite": name, "passed": passed, "of": graded.len(), "tasks": tasks});
        let _ = writeln!(text, "{grade:#}");
    } else {
        let _ = writeln!(text, "{passed} of {} passed", graded.len());
    }
    print(text.as_bytes())?;
    if let Some(path) = &args.junit {
        let case = |Graded { task, took, outcome, .. }: &Graded<'_>| Case {
            name: format!("{}: {}", task.name, task.about),
            took: *took,
            outcome: outcome.clone(),
        };
        write_junit(path, &name, &graded.iter().map(case).collect::<Vec<_>>())?;
    }
    Ok(passed == graded.len())
}

/// Writes a file for build servers.
pub fn write_junit(path: &Path, suite: &str, cases: &[Case]) -> io::Result<()> {
    let xml = junit::junit(suite, cases)?;
    fs::write(path, xml).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}

fn suite(path: &Path) -> io::Result<(String, Suite)> {
    let name = path.to_string_lossy().into_owned();
    if let Some(suite) = Suite::built_in(&name) {
        return Ok((name, suite));
    }
    let text = fs::read_to_string(path).map_err(|error| {
        let names = BUILT_IN.map(|(name, _)| name).join(", ");
        invalid(format!("{name}: {error}; expected a TOML file, or one of {names}"))
    })?;
    let suite = Suite::parse(&text).map_err(|error| invalid(format!("{name}: {error}")))?;
    Ok((name, suite))
}

fn invalid(text: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, text)
}

/// Grades so many at once, and prints each when it is done and those before it are. In their order.
fn in_parallel<'a>(args: &GradeArgs, tasks: &[&'a Task], stop: &Stop) -> Vec<Graded<'a>> {
    let next = AtomicUsize::new(0);
    let done: Mutex<(Vec<Option<Graded<'a>>>, usize)> = Mutex::new((tasks.iter().map(|_| None).collect(), 0));
    thread::scope(|scope| {
        for _ in 0..usize::from(args.jobs).min(tasks.len()) {
            scope.spawn(|| {
                while let place = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(task) = tasks.get(place)
                {
                    let graded = grade_one(args, task, stop);
                    if stop.is_stopped() {
                        break;
                    }
                    let mut done = done.lock().expect("nobody panics with it");
                    let (all, printed) = &mut *done;
                    all[place] = Some(graded);
                    while let Some(Some(graded)) = all.get(*printed) {
                        if !args.json {
                            show(&graded.lines());
                        }
                        *printed += 1;
                    }
                }
            });
        }
    });
    let (all, _) = done.into_inner().expect("nobody panics with it");
    all.into_iter().flatten().collect()
}

fn grade_one<'a>(args: &GradeArgs, task: &'a Task, stop: &Stop) -> Graded<'a> {
    let began = Instant::now();
    let mut report = None;
    let outcome = converse(args, task, stop).unwrap_or_else(|| match &task.test {
        Some(_) => test(args, task, stop, &mut report),
        None => CaseOutcome::Passed,
    });
    Graded { task, took: began.elapsed(), outcome, report }
}

/// Leads the conversations; the first that fails.
fn converse(args: &GradeArgs, task: &Task, stop: &Stop) -> Option<CaseOutcome> {
    let program = match program(args, task) {
        Some(program) => PathBuf::from(program),
        None => std::env::current_exe().unwrap_or_else(|_| "messenger".into()),
    };
    let mut talks = task.conversations.iter();
    talks
        .find_map(|talk| talk.lead(&program, &args.args, args.patience.into(), &stop.is_stopped).err())
        .map(CaseOutcome::Failed)
}

/// The program for a task; this crate's own without one.
fn program(args: &GradeArgs, task: &Task) -> Option<String> {
    let workload = task.workload().unwrap_or_else(|| task.name.clone());
    args.bin.as_ref().map(|bin| bin.replace("{name}", &task.name).replace("{workload}", &workload))
}

/// Runs the test, in a process of its own.
fn test(args: &GradeArgs, task: &Task, stop: &Stop, report: &mut Option<String>) -> CaseOutcome {
    let tested = std::env::current_exe().and_then(|messenger| {
        let mut command = Command::new(messenger);
        command.arg("test").args(task.flags()).arg("--json").arg("--store").arg(&args.store);
        if let Some(program) = program(args, task) {
            command.arg("--bin").arg(program);
        }
        if !args.args.is_empty() {
            command.arg("--").args(&args.args);
        }
        stop.run(&mut command)
    });
    let output = match tested {
        Ok(output) => output,
        Err(error) => return CaseOutcome::Error(format!("the test could not be run: {error}")),
    };
    let Ok(results) = serde_json::from_slice::<Value>(&output.stdout) else {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let said: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        return CaseOutcome::Error(format!(
            "the test could not be run: {}",
            said.first().unwrap_or(&"it said nothing")
        ));
    };
    *report = results["report"].as_str().map(str::to_owned);
    match task.judge(&results) {
        None => CaseOutcome::Passed,
        Some(reason) if results["valid"] == "unknown" => CaseOutcome::Error(reason),
        Some(reason) => CaseOutcome::Failed(reason),
    }
}

impl Graded<'_> {
    const fn word(&self) -> &'static str {
        match self.outcome {
            CaseOutcome::Passed => "pass",
            CaseOutcome::Failed(_) => "FAIL",
            CaseOutcome::Error(_) => "ERROR",
        }
    }

    fn reason(&self) -> Option<&str> {
        match &self.outcome {
            CaseOutcome::Passed => None,
            CaseOutcome::Failed(reason) | CaseOutcome::Error(reason) => Some(reason),
        }
    }

    /// Its line of the table, and why it did not pass.
    fn lines(&self) -> String {
        // What programs say may have anything in it, and a terminal obeys.
        let Task { name, about, hint, .. } = self.task;
        let verdict = match self.outcome {
            CaseOutcome::Passed => Verdict::Valid,
            CaseOutcome::Failed(_) => Verdict::Invalid,
            CaseOutcome::Error(_) => Verdict::Unknown,
        };
        let word = coloured(verdict, &format!("{:5}", self.word()));
        let mut text = format!("  {word}  {name:14}  {about}\n");
        if let Some(reason) = self.reason() {
            let _ = writeln!(text, "         why: {}", harmless(reason));
            let hint = Some(hint.as_str()).filter(|hint| !hint.is_empty());
            for look_at in [hint, self.report.as_deref()].into_iter().flatten() {
                let _ = writeln!(text, "         look at: {look_at}");
            }
        }
        text
    }

    fn json(&self) -> Value {
        let Task { name, about, hint, .. } = self.task;
        json!({
            "name": name,
            "about": about,
            "outcome": self.word().to_lowercase(),
            "reason": self.reason(),
            "hint": hint,
            "report": self.report,
            "took_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        })
    }
}
