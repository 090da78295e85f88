//! Drives a whole node process over its pipes, as Maelstrom does, and measures it from outside.
//!
//! ```sh
//! cargo bench --bench load                              # as fast as the pipes take it
//! cargo bench --bench load -- closed --outstanding 8    # 8 requests in flight
//! cargo bench --bench load -- open --rate 50000         # on schedule, whatever the node does
//! cargo bench --bench load -- proxy                     # each request needs a call, which we answer
//! cargo bench --bench load -- --mixed                   # ten clients, keys in any order, escapes
//! cargo bench --bench load -- --mixed --uniform 'floor=target/release/floor_node'
//! cargo bench --bench load -- --against 'peer=python3 peer.py' -- --an-option-of-our-node
//! ```
//!
//! Paths start at the root of the workspace.
//!
//! Every reply is checked, in any order, once the clock has stopped: the driver shares the machine
//! with the node, so while the clock runs it only writes, reads and counts newlines. If anything
//! was wrong, the run has no figures and the exit status is 1. A node whose answer to `init` is that very line copies
//! its input, as `perf/copy_node.rs` does: then every reply has to be its request, and the node is there for its rate
//! only.
//!
//! What the figures mean:
//!
//! - `init_ms` is the time from before the start of the process until `init_ok` is read.
//! - The clock runs from before the first request's write until the read that brings the last reply.
//!   The start of the process, `init` and the shutdown are outside.
//! - `MB` is 10^6 bytes; `in` is what the node reads, `out` what it writes.
//! - `cpu_us_per_msg` is the node's user and system time while the clock runs, of all threads, from
//!   `/proc/PID/task/*/schedstat` (nanoseconds). A thread that ends before the clock is lost.
//! - `rss_peak_mib` is `VmHWM` of `/proc/PID/status`, over the life of the process.
//! - Latency ends when the driver has read the reply's newline. In the closed loop it begins when the
//!   request may be sent. In the open loop it begins when the schedule wants it sent, so a node that
//!   stalls is charged for all that it holds up (no coordinated omission). `perf/README.md` has a check of it.
//! - `late_sends` counts requests that the open loop began to write over 1 ms late by its own fault;
//!   `driver_lag_us` is the worst such delay. Where they are not small, the latencies are those of the
//!   driver. `pipe_wait_us` is the longest write: the node's doing, by not reading,
//!   or the kernel's, by giving the core to another process.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "counts, bytes and nanoseconds of one run are far below 2^52"
)]

use std::error::Error;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{env, fs, iter, mem, thread};

use clap::{Parser, ValueEnum};
use hdrhistogram::Histogram;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use serde_json::{Value, json};

/// Measures a Maelstrom node from outside: throughput, CPU, memory, latency.
#[derive(Parser)]
#[command(name = "load")]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command line")]
struct Options {
    #[arg(value_enum, default_value = "flood")]
    mode: Mode,
    /// Requests a run [default: 1000000 flood, 100000 closed, 50000 open, 300000 proxy]
    #[arg(long)]
    count: Option<NonZeroUsize>,
    /// Bytes of a request, with its newline [default: 100, 200 proxy]
    #[arg(long)]
    size: Option<usize>,
    /// Requests of ten clients, a quarter with their keys in any order, one in eight with an escape
    #[arg(long)]
    mixed: bool,
    /// Requests in flight [default: 1 closed, 1000 proxy]
    #[arg(long)]
    outstanding: Option<NonZeroUsize>,
    /// Requests a second in the open loop
    #[arg(long, default_value = "10000")]
    rate: NonZeroU64,
    /// Runs of each node, each in a fresh process
    #[arg(long, default_value = "3")]
    runs: NonZeroUsize,
    /// The node to measure [default: this crate's, built if need be]
    #[arg(long)]
    bin: Option<PathBuf>,
    /// Arguments of the node
    #[arg(last = true)]
    node_args: Vec<OsString>,
    /// Another node, whose runs alternate with the main one's (repeatable)
    #[arg(long, value_name = "NAME=COMMAND", value_parser = Target::from_shell)]
    against: Vec<Target>,
    /// The same, with uniform requests even if the load is mixed: the floor reads no others (repeatable)
    #[arg(long, value_name = "NAME=COMMAND", value_parser = Target::from_shell)]
    uniform: Vec<Target>,
    /// End the nodes as Maelstrom does, by SIGKILL, not by the end of their input: some do not know it
    #[arg(long)]
    kill: bool,
    /// Let the nodes' stderr through
    #[arg(long)]
    stderr: bool,
    /// Seconds until a run is given up and its node killed
    #[arg(long, default_value_t = 120)]
    time_limit: u64,
    /// Seconds without a byte from the node until it is killed
    #[arg(long, default_value_t = 10)]
    stall_limit: u64,
    /// Also write the figures to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Print a table of medians and ranges in Markdown, and no single runs
    #[arg(long)]
    markdown: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Flood,
    Closed,
    Open,
    /// Each request makes the node call n1, whose part is ours.
    Proxy,
}

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    // `cargo bench` appends a `--bench` to whatever it was given.
    let arguments = env::args_os().filter(|argument| argument != "--bench");
    let options = Options::parse_from(arguments);
    // And it runs a bench in the folder of its package.
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    match env::set_current_dir(root).map_err(Into::into).and_then(|()| compare(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the targets in turn, prints the table, and says whether every reply was right.
fn compare(options: &Options) -> Outcome<bool> {
    let load = Load::new(options, options.mixed)?;
    let uniform = if options.uniform.is_empty() { None } else { Some(Load::new(options, false)?) };
    let others = options.against.iter().cloned();
    let of_uniform = options.uniform.iter().map(|target| Target { is_uniform: true, ..target.clone() });
    let mut targets: Vec<Target> =
        iter::once(Target::main(options)?).chain(others).chain(of_uniform).collect();
    let machine = machine();
    let title = load.title();
    if options.markdown {
        println!("{title}; medians of {} runs and their range; {machine}\n", options.runs);
    } else {
        println!("{title}; {machine}\n");
    }

    let mut replies = load.reply_buffer();
    for round in 1..=options.runs.get() {
        // There and back again, so that a machine that drifts favours nobody.
        let mut order: Vec<&mut Target> = targets.iter_mut().collect();
        if round % 2 == 0 {
            order.reverse();
        }
        for target in order {
            let load = uniform.as_ref().filter(|_| target.is_uniform).unwrap_or(&load);
            let run = measure(target, load, &mut replies)
                .map_err(|error| format!("{} {round}: {error}", target.name))?;
            if run.failures.count > 0 {
                let (count, examples) = (run.failures.count, run.failures.examples.join("\n    "));
                eprintln!("{} {round}: {count} failures, such as\n    {examples}", target.name);
            }
            target.runs.push(run);
        }
    }
    if options.markdown {
        print_markdown(&targets);
    } else {
        print_table(&targets);
    }
    if let Some(path) = &options.json {
        let targets: Vec<Value> = targets.iter().map(Target::to_json).collect();
        let report = json!({ "load": title, "size": load.size, "machine": machine, "targets": targets });
        fs::write(path, format!("{report:#}\n"))?;
    }
    let mut runs = targets.iter().flat_map(|target| &target.runs);
    Ok(runs.all(|run| run.failures.count == 0))
}

/// A node to measure, and what was measured.
#[derive(Clone)]
struct Target {
    name: String,
    /// The program and its arguments.
    command: Vec<OsString>,
    /// Its requests are uniform, whatever the others'.
    is_uniform: bool,
    runs: Vec<Run>,
}

impl Target {
    fn main(options: &Options) -> Outcome<Self> {
        let bin = options.bin.clone().map_or_else(build_messenger, Ok)?;
        let name = bin.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = vec![bin.into()];
        command.extend(options.node_args.iter().cloned());
        Ok(Self::new(&name, command))
    }

    fn from_shell(text: &str) -> Result<Self, String> {
        let (name, command) = text.split_once('=').ok_or("expected NAME=COMMAND")?;
        // `exec`: the process that is measured must be the node, not the shell.
        let command = ["/bin/sh", "-c", &format!("exec {command}")];
        Ok(Self::new(name, command.map(OsString::from).into()))
    }

    fn new(name: &str, command: Vec<OsString>) -> Self {
        Self { name: name.into(), command, is_uniform: false, runs: Vec::new() }
    }

    /// The lowest, the median and the highest of each figure; of none where one is missing.
    fn spread(&self) -> [Figures; 3] {
        let mut spread = [const { Figures::new() }; 3];
        for (column, &(name, _)) in self.runs[0].figures.iter().enumerate() {
            let mut values: Vec<f64> = self.runs.iter().map(|run| run.figures[column].1).collect();
            values.sort_by(f64::total_cmp);
            let last = values.len() - 1;
            if values[last].is_nan() {
                values.fill(f64::NAN);
            }
            let median = f64::midpoint(values[last / 2], values[last.div_ceil(2)]);
            spread[0].push((name, values[0]));
            spread[1].push((name, median));
            spread[2].push((name, values[last]));
        }
        spread
    }

    fn to_json(&self) -> Value {
        let object = |figures: &Figures| -> Value { figures.iter().copied().collect() };
        let runs = self.runs.iter().map(|run| {
            let Failures { count, examples } = &run.failures;
            let Run { figures, latency, .. } = run;
            json!({
                "figures": object(figures),
                "latency_us_at_percent": latency,
                "failures": count,
                "examples": examples,
            })
        });
        json!({
            "name": self.name,
            "command": self.command.iter().map(|word| word.to_string_lossy()).collect::<Value>(),
            "runs": runs.collect::<Value>(),
            "median": object(&self.spread()[1]),
        })
    }
}

/// Builds this crate's binary where the driver itself was built, in `target/release` unless told otherwise, and says where
/// it is: Cargo does so for the benches of the binary's own package only.
fn build_messenger() -> Outcome<PathBuf> {
    let driver = env::current_exe()?;
    let folder =
        driver.parent().and_then(Path::parent).ok_or("expected the driver in target/release/deps")?;
    let target = folder.parent().ok_or("expected the driver in target/release/deps")?;
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--quiet",
            "--release",
            "--bin",
            "messenger",
            "--manifest-path",
            manifest,
            "--target-dir",
        ])
        .arg(target)
        .status()?;
    if build.success() {
        Ok(folder.join("messenger"))
    } else {
        Err("this crate's node cannot be built".into())
    }
}

/// The requests of a run. Request `index` has `msg_id` `index + 1`.
struct Load<'a> {
    options: &'a Options,
    is_mixed: bool,
    count: usize,
    size: usize,
    /// Each `size` bytes.
    requests: Vec<u8>,
    /// When the open loop is to send each.
    schedule: Vec<Duration>,
}

impl<'a> Load<'a> {
    fn new(options: &'a Options, is_mixed: bool) -> Outcome<Self> {
        let (count, size) = match options.mode {
            Mode::Flood => (1_000_000, 100),
            Mode::Closed => (100_000, 100),
            Mode::Open => (50_000, 100),
            Mode::Proxy => (300_000, 200),
        };
        let count = options.count.map_or(count, NonZeroUsize::get);
        let size = options.size.unwrap_or(size);
        let at = |index| Duration::from_secs_f64(index as f64 / options.rate.get() as f64);
        let schedule = (0..count).map(at).collect();
        let requests = Vec::with_capacity(count * size);
        let mut load = Self { options, is_mixed, count, size, requests, schedule };
        let size_min = load.request(count - 1, "").len();
        if size < size_min {
            return Err(format!("{count} requests need --size {size_min} or more").into());
        }
        for index in 0..count {
            let request = load.request(index, &load.echo(index).replace('\n', "\\n"));
            load.requests.extend_from_slice(request.as_bytes());
        }
        Ok(load)
    }

    fn title(&self) -> String {
        let shape = match self.options.mode {
            Mode::Flood => "flood".into(),
            Mode::Closed => format!("closed loop of {}", self.outstanding()),
            Mode::Open => format!("open loop at {}/s", self.options.rate),
            Mode::Proxy => format!("proxies, {} at once", self.outstanding()),
        };
        let mixed = if self.is_mixed { "mixed " } else { "" };
        format!("{shape}, {} {mixed}requests of {} bytes", self.count, self.size)
    }

    fn is_proxy(&self) -> bool {
        matches!(self.options.mode, Mode::Proxy)
    }

    fn outstanding(&self) -> usize {
        let default = if self.is_proxy() { 1000 } else { 1 };
        self.options.outstanding.map_or(default, NonZeroUsize::get)
    }

    /// A line as Maelstrom writes it, its fields in Maelstrom's order, or in any.
    fn request(&self, index: usize, echo: &str) -> String {
        let (id, src) = (index + 1, self.client(index));
        let body = if self.is_proxy() {
            vec![
                r#""target":"n1""#.to_owned(),
                format!(r#""inner":{{"type":"echo","echo":"{echo}"}}"#),
                r#""type":"proxy""#.to_owned(),
                format!(r#""msg_id":{id}"#),
            ]
        } else {
            vec![format!(r#""echo":"{echo}""#), r#""type":"echo""#.to_owned(), format!(r#""msg_id":{id}"#)]
        };
        let envelope = vec![
            format!(r#""id":{id}"#),
            format!(r#""src":"{src}""#),
            r#""dest":"n0""#.to_owned(),
            format!(r#""body":{}"#, self.object(index, body)),
        ];
        self.object(index, envelope) + "\n"
    }

    /// An object of these members; if the load is mixed, a quarter of the requests have theirs in any order.
    fn object(&self, index: usize, mut members: Vec<String>) -> String {
        let mut rng = fastrand::Rng::with_seed(index as u64);
        if self.is_mixed && rng.u8(..4) == 0 {
            rng.shuffle(&mut members);
        }
        format!("{{{}}}", members.join(","))
    }

    fn client(&self, index: usize) -> &'static str {
        let clients = ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c0"];
        if self.is_mixed {
            clients[fastrand::Rng::with_seed(!(index as u64)).usize(..10)]
        } else {
            clients[index % 5]
        }
    }

    /// Maelstrom's text, padded at its end or cut at its front to fill the request. If the load is mixed, one in eight
    /// begins with a character that has to be escaped.
    fn echo(&self, index: usize) -> String {
        let room = self.size - self.request(index, "").len();
        let mut echo = format!("Please echo {}", index % 128);
        echo.extend(iter::repeat_n('.', room.saturating_sub(echo.len())));
        echo.drain(..echo.len() - room);
        if self.is_mixed && room >= 2 && fastrand::Rng::with_seed(index as u64 ^ 1 << 40).u8(..8) == 0 {
            echo.replace_range(..2, "\n");
        }
        echo
    }

    fn bytes(&self, messages: Range<usize>) -> &[u8] {
        let size = self.size;
        &self.requests[messages.start * size..messages.end * size]
    }

    /// Room for replies that are up to 128 bytes longer than their requests. Every page is written
    /// to, so that no page fault of ours comes while the clock runs.
    fn reply_buffer(&self) -> Vec<u8> {
        let lines = if self.is_proxy() { 2 } else { 1 };
        vec![b'?'; self.count * lines * (self.size + 128) + 4096]
    }
}

/// By name; NaN where it could not be measured or the run failed. All runs of a mode have the same ones.
type Figures = Vec<(&'static str, f64)>;

/// What came of one process.
#[derive(Clone)]
struct Run {
    figures: Figures,
    /// Percents, and the microseconds that so many of the replies took at most; empty in a flood.
    latency: Vec<(f64, f64)>,
    failures: Failures,
}

#[derive(Clone, Default)]
struct Failures {
    count: usize,
    /// The first few, explained.
    examples: Vec<String>,
}

impl Failures {
    fn add(&mut self, count: usize, why: String) {
        self.count += count;
        if self.examples.len() < 5 {
            self.examples.push(why);
        }
    }
}

/// One run, from the start of the process to its end.
fn measure(target: &Target, load: &Load<'_>, replies: &mut [u8]) -> Outcome<Run> {
    let stderr = load.options.stderr.then(Stdio::inherit);
    let started = Instant::now();
    let mut child = Command::new(&target.command[0])
        .args(&target.command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(stderr.unwrap_or_else(Stdio::null))
        .process_group(0)
        .spawn()?;
    let pid = Pid::from_child(&child);
    let mut stdin = child.stdin.take().expect("is piped");
    let (finished, finish) = mpsc::channel();
    let progress = &AtomicUsize::new(0);
    let mut reader = Reader {
        stdout: child.stdout.take().expect("is piped"),
        replies,
        filled: 0,
        lines: 0,
        clock: Instant::now(),
        arrivals: Vec::new(),
        progress,
    };

    let (conversation, killed) = thread::scope(|scope| {
        let watchdog = scope.spawn(move || watch(pid, load.options, progress, &finish));
        let conversation = initialize(&mut stdin, &mut reader).map(|is_copy| {
            let init = ("init_ms", started.elapsed().as_secs_f64() * 1e3);
            Conversation::hold(pid, stdin, reader, load, is_copy, init)
        });
        // Waited for but not reaped, so that the process id is its own while the watchdog may kill.
        let exited = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let waited = rustix::process::waitid(WaitId::Pid(pid), exited);
        drop(finished);
        let killed = watchdog.join().expect("the watchdog does not panic");
        waited.map(|_| (conversation, killed))
    })?;
    let status = child.wait()?;
    let end = killed.unwrap_or_else(|| format!("the node ended with {status}"));
    let conversation = conversation.map_err(|error| format!("{error}; {end}"))?;
    let mut failures = Failures::default();
    if !status.success() && !load.options.kill {
        failures.add(1, end);
    }
    Ok(conversation.judge(load, replies, failures))
}

/// Kills a node that takes too long, and says why.
fn watch(pid: Pid, options: &Options, progress: &AtomicUsize, finish: &Receiver<()>) -> Option<String> {
    let start = Instant::now();
    let (mut seen, mut seen_at) = (0, start);
    while finish.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
        let filled = progress.load(Ordering::Relaxed);
        if filled != seen {
            (seen, seen_at) = (filled, Instant::now());
        }
        let why = if start.elapsed().as_secs() >= options.time_limit {
            format!("killed at the time limit of {} s", options.time_limit)
        } else if seen_at.elapsed().as_secs() >= options.stall_limit {
            format!("killed after {} s of silence", options.stall_limit)
        } else {
            continue;
        };
        // Fails only if the group has just ended by itself.
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        return Some(why);
    }
    None
}

/// Replies in one buffer, and when each read came: enough to do everything else later.
struct Reader<'a> {
    stdout: ChildStdout,
    replies: &'a mut [u8],
    filled: usize,
    lines: usize,
    clock: Instant,
    /// How far `replies` was filled, and when.
    arrivals: Vec<(usize, Duration)>,
    progress: &'a AtomicUsize,
}

impl Reader<'_> {
    /// Reads once; false at the end of the output or of the buffer.
    fn read(&mut self) -> bool {
        let free = &mut self.replies[self.filled..];
        let read = self.stdout.read(free).expect("a pipe can be read");
        let now = self.clock.elapsed();
        self.lines += memchr::memchr_iter(b'\n', &free[..read]).count();
        self.filled += read;
        self.arrivals.push((self.filled, now));
        self.progress.store(self.filled, Ordering::Relaxed);
        read > 0
    }

    /// Reads until there are so many lines, or no more.
    fn read_lines(&mut self, lines: usize) {
        while self.lines < lines && self.read() {}
    }
}

/// Makes it a node, and says whether it only copies.
fn initialize(stdin: &mut ChildStdin, reader: &mut Reader<'_>) -> Outcome<bool> {
    let body = json!({ "type": "init", "node_id": "n0", "node_ids": ["n0", "n1"], "msg_id": 1 });
    let init = json!({ "id": 0, "src": "c0", "dest": "n0", "body": body }).to_string() + "\n";
    stdin.write_all(init.as_bytes())?;
    reader.read_lines(1);
    let text = &reader.replies[..reader.filled];
    if text == init.as_bytes() {
        return Ok(true);
    }
    let reply: Value = serde_json::from_slice(text).unwrap_or_default();
    let names = (&reply["src"], &reply["dest"]) == (&json!("n0"), &json!("c0"));
    let reply = &reply["body"];
    if !names || reply["type"] != "init_ok" || reply["in_reply_to"] != 1 {
        return Err(format!("expected init_ok, got {:?}", String::from_utf8_lossy(text)).into());
    }
    Ok(false)
}

/// What was seen of a node between `init` and its end, to be judged when it is gone.
struct Conversation {
    figures: Figures,
    /// Where in the reply buffer the replies are.
    replies: Range<usize>,
    arrivals: Vec<(usize, Duration)>,
    /// When each request was due; empty in a flood.
    due: Vec<Duration>,
    is_copy: bool,
}

impl Conversation {
    fn hold(
        pid: Pid,
        mut stdin: ChildStdin,
        mut reader: Reader<'_>,
        load: &Load<'_>,
        is_copy: bool,
        init: (&'static str, f64),
    ) -> Self {
        let start = reader.filled;
        let (mut due, mut lag) = (Vec::new(), Figures::new());
        let cpu_before = cpu_seconds(pid);
        reader.lines = 0;
        reader.arrivals = Vec::with_capacity(load.count);
        reader.clock = Instant::now();
        match load.options.mode {
            Mode::Flood => flood(&mut stdin, &mut reader, load),
            Mode::Closed => due = closed_loop(&mut stdin, &mut reader, load),
            Mode::Open => {
                lag = open_loop(&mut stdin, &mut reader, load);
                due.clone_from(&load.schedule);
            }
            Mode::Proxy => proxies(&mut stdin, &mut reader, load),
        }
        let seconds = reader.arrivals.last().map_or(0.0, |last| last.1.as_secs_f64());
        let bytes_out = reader.filled - start;
        // The last reply is here before the node's turn is over and the kernel's sum is made.
        thread::sleep(Duration::from_millis(5));
        let cpu = cpu_seconds(pid).zip(cpu_before).map_or(f64::NAN, |(after, before)| after - before);
        let mut figures = vec![
            ("msgs_per_s", load.count as f64 / seconds),
            ("mb_in_per_s", load.requests.len() as f64 / 1e6 / seconds),
            ("mb_out_per_s", bytes_out as f64 / 1e6 / seconds),
            ("cpu_us_per_msg", cpu * 1e6 / load.count as f64),
            ("rss_peak_mib", rss_peak_mib(pid).unwrap_or(f64::NAN)),
            init,
        ];
        figures.extend(lag);

        if load.options.kill {
            // Fails only if the group has just ended by itself.
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
        drop(stdin);
        while reader.read() {}
        let (replies, arrivals) = (start..reader.filled, reader.arrivals);
        Self { figures, replies, arrivals, due, is_copy }
    }

    /// Checks every reply, and adds the latencies to the figures.
    fn judge(mut self, load: &Load<'_>, buffer: &[u8], mut failures: Failures) -> Run {
        let mut latency = Histogram::<u64>::new(3).expect("3 digits are possible");
        let mut answered = vec![false; load.count];
        let mut arrivals = self.arrivals.iter().peekable();
        let mut end = self.replies.start;
        if self.replies.end == buffer.len() {
            failures.add(1, format!("over {} bytes of output, the rest unread", buffer.len()));
        }
        for reply in buffer[self.replies].split_inclusive(|byte| *byte == b'\n') {
            end += reply.len();
            while arrivals.next_if(|(filled, _)| *filled < end).is_some() {}
            if load.is_proxy() && Call::read(reply).is_some() {
                // What came of it is in the answer.
                continue;
            }
            let verdict = parse(reply, load.count, self.is_copy).and_then(|(index, message)| {
                if let (Some(due), Some((_, at))) = (self.due.get(index), arrivals.peek()) {
                    latency += at.saturating_sub(*due).as_nanos() as u64;
                }
                if mem::replace(&mut answered[index], true) {
                    return Err(format!("msg_id {} was answered before", index + 1));
                }
                if !self.is_copy {
                    check(&message, load, index)
                } else if reply == load.bytes(index..index + 1) {
                    Ok(())
                } else {
                    Err("no copy of the request".into())
                }
            });
            if let Err(why) = verdict {
                let shown = String::from_utf8_lossy(&reply[..reply.len().min(200)]);
                failures.add(1, format!("{why}: {}", shown.trim_end()));
            }
        }
        let missing = answered.iter().filter(|answered| !**answered).count();
        if let Some(first) = answered.iter().position(|answered| !answered) {
            let why = format!("{missing} without a reply, first msg_id {}", first + 1);
            failures.add(missing, why);
        }
        let mut at_percent = Vec::new();
        if !self.due.is_empty() {
            let at = |percent: f64| latency.value_at_quantile(percent / 100.0) as f64 / 1e3;
            self.figures.extend([
                ("p50_us", at(50.0)),
                ("p90_us", at(90.0)),
                ("p99_us", at(99.0)),
                ("p999_us", at(99.9)),
                ("max_us", latency.max() as f64 / 1e3),
            ]);
            let percents = [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99, 99.999];
            at_percent.extend(percents.map(|percent| (percent, at(percent))));
        }
        if failures.count > 0 {
            // To answer wrongly, or not at all, is always faster.
            self.figures.iter_mut().for_each(|(_, value)| *value = f64::NAN);
            at_percent.clear();
        }
        Run { figures: self.figures, latency: at_percent, failures }
    }
}

/// The reply and the request that it answers, or is a copy of.
fn parse(reply: &[u8], count: usize, is_copy: bool) -> Result<(usize, Value), String> {
    let line = reply.strip_suffix(b"\n").ok_or("the output ends within a line")?;
    let message: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let index = message["body"][if is_copy { "msg_id" } else { "in_reply_to" }]
        .as_u64()
        .and_then(|id| (id as usize).checked_sub(1))
        .filter(|index| *index < count)
        .ok_or("its in_reply_to is no request's msg_id")?;
    Ok((index, message))
}

fn check(message: &Value, load: &Load<'_>, index: usize) -> Result<(), String> {
    let body = &message["body"];
    let (kind, echo) =
        if load.is_proxy() { ("proxy_ok", &body["result"]["echo"]) } else { ("echo_ok", &body["echo"]) };
    let fields = [
        ("type", &body["type"], kind),
        ("src", &message["src"], "n0"),
        ("dest", &message["dest"], load.client(index)),
        ("echo", echo, &load.echo(index)),
    ];
    match fields.iter().find(|(_, value, expected)| value != expected) {
        Some((name, _, expected)) => Err(format!("expected {name} {expected:?}")),
        None => Ok(()),
    }
}

/// Writes all as fast as the pipe takes it, in as few calls as the kernel lets.
fn flood(stdin: &mut ChildStdin, reader: &mut Reader<'_>, load: &Load<'_>) {
    thread::scope(|scope| {
        // A write fails only when the node is gone: its status and the missing replies will tell.
        scope.spawn(|| stdin.write_all(&load.requests).ok());
        reader.read_lines(load.count);
    });
}

/// Keeps `outstanding` requests in flight, and returns when each could be sent. One thread does it
/// all: the wake-up of a second one would be in every latency.
fn closed_loop(stdin: &mut ChildStdin, reader: &mut Reader<'_>, load: &Load<'_>) -> Vec<Duration> {
    // Were we to block here while the node blocks on its output, neither would ever go on. The
    // node's own end of the pipe stays as it was.
    rustix::io::ioctl_fionbio(&*stdin, true).expect("a pipe can be made non-blocking");
    let mut due = Vec::with_capacity(load.count);
    let mut written = 0;
    while reader.lines < load.count {
        let allowed = load.count.min(reader.lines + load.outstanding());
        due.resize(allowed, reader.clock.elapsed());
        let unwritten = &load.bytes(0..allowed)[written..];
        if !unwritten.is_empty() {
            // Full, or broken: then the output will end.
            let wrote = stdin.write(unwritten).unwrap_or(0);
            written += wrote;
            if wrote < unwritten.len() {
                let room = PollFd::new(&*stdin, PollFlags::OUT);
                let mut ends = [PollFd::new(&reader.stdout, PollFlags::IN), room];
                rustix::event::poll(&mut ends, None).expect("pipes can be polled");
                if ends[0].revents().is_empty() {
                    continue;
                }
            }
        }
        if !reader.read() {
            break;
        }
    }
    due
}

/// What a proxy asks of n1.
struct Call<'a> {
    msg_id: &'a str,
    echo: &'a str,
}

impl<'a> Call<'a> {
    /// By position, because the clock runs: what a call must be is checked by what becomes of its answer.
    fn read(line: &'a [u8]) -> Option<Self> {
        let line = str::from_utf8(line).ok()?;
        let after = |name: &str| line.find(name).map(|at| &line[at + name.len()..]);
        after(r#""dest":"n1""#)?;
        let (msg_id, echo) = (after(r#""msg_id":"#)?, after(r#""echo":""#)?);
        let digits = msg_id.find(|c: char| !c.is_ascii_digit())?;
        Some(Self { msg_id: &msg_id[..digits], echo: &echo[..echo.find('"')?] })
    }
}

/// Keeps `outstanding` proxies in flight, and answers the calls that they make.
fn proxies(stdin: &mut ChildStdin, reader: &mut Reader<'_>, load: &Load<'_>) {
    rustix::io::ioctl_fionbio(&*stdin, true).expect("a pipe can be made non-blocking");
    let (mut asked, mut answered, mut seen) = (0, 0, reader.filled);
    let mut unwritten = Vec::new();
    while answered < load.count {
        let allowed = load.count.min(answered + load.outstanding());
        unwritten.extend_from_slice(load.bytes(asked..allowed));
        asked = allowed;
        let wrote = stdin.write(&unwritten).unwrap_or(0);
        unwritten.drain(..wrote);
        if !unwritten.is_empty() {
            let room = PollFd::new(&*stdin, PollFlags::OUT);
            let mut ends = [PollFd::new(&reader.stdout, PollFlags::IN), room];
            rustix::event::poll(&mut ends, None).expect("pipes can be polled");
            if ends[0].revents().is_empty() {
                continue;
            }
        }
        if !reader.read() {
            break;
        }
        let new = &reader.replies[seen..reader.filled];
        for line in new.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            seen += line.len();
            if let Some(Call { msg_id, echo }) = Call::read(line) {
                let body = format!(r#"{{"type":"echo_ok","echo":"{echo}","in_reply_to":{msg_id}}}"#);
                writeln!(unwritten, r#"{{"src":"n1","dest":"n0","body":{body}}}"#)
                    .expect("a vector takes everything");
            } else {
                answered += 1;
            }
        }
    }
}

/// Writes each request when it is due, whatever became of those before it; in one write what is due
/// together. Returns how far it was behind.
fn open_loop(stdin: &mut ChildStdin, reader: &mut Reader<'_>, load: &Load<'_>) -> Figures {
    let due = &load.schedule;
    let clock = reader.clock;
    let write = || {
        // By default a sleep may be 50 us too long, more than many a reply takes. Refused or not,
        // the lag is in the figures.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let (mut late_sends, mut driver_lag, mut pipe_wait) = (0, Duration::ZERO, Duration::ZERO);
        let (mut next, mut wrote_at) = (0, Duration::ZERO);
        while next < due.len() {
            thread::sleep(due[next].saturating_sub(clock.elapsed()));
            let now = clock.elapsed();
            // What came due while the pipe was full is late by the node's fault, not by ours.
            let lag = |due: &Duration| now.saturating_sub(wrote_at.max(*due));
            let end = due.partition_point(|due| *due <= now);
            driver_lag = driver_lag.max(lag(&due[next]));
            late_sends += due[next..end].partition_point(|due| lag(due).as_micros() > 1000);
            if stdin.write_all(load.bytes(next..end)).is_err() {
                break;
            }
            wrote_at = clock.elapsed();
            pipe_wait = pipe_wait.max(wrote_at.saturating_sub(now));
            next = end;
        }
        vec![
            ("late_sends", late_sends as f64),
            ("driver_lag_us", driver_lag.as_secs_f64() * 1e6),
            ("pipe_wait_us", pipe_wait.as_secs_f64() * 1e6),
        ]
    };
    thread::scope(|scope| {
        let writer = scope.spawn(write);
        reader.read_lines(load.count);
        writer.join().expect("the writer does not panic")
    })
}

/// How long all threads together ran.
fn cpu_seconds(pid: Pid) -> Option<f64> {
    let mut nanoseconds = 0.0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        nanoseconds += text.split(' ').next()?.parse::<f64>().ok()?;
    }
    Some(nanoseconds / 1e9)
}

fn rss_peak_mib(pid: Pid) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024.0)
}

/// The runs of each target, their spread, and how the first target's medians compare.
fn print_table(targets: &[Target]) {
    let (main, others) = targets.split_first().expect("there is a main one");
    print_row("", &main.runs[0].figures, |name, _| name.to_string());
    for Target { name, runs, .. } in targets {
        for (round, run) in iter::zip(1.., runs) {
            print_row(&format!("{name} {round}"), &run.figures, |_, value| show(value));
        }
    }
    for target in targets {
        for (what, figures) in iter::zip(["lowest", "median", "highest"], target.spread()) {
            print_row(&format!("{} {what}", target.name), &figures, |_, value| show(value));
        }
    }
    let [_, ours, _] = main.spread();
    for other in others {
        let [_, theirs, _] = other.spread();
        let ratio = |((name, ours), (_, theirs)): (&(&'static str, f64), _)| (*name, ours / theirs);
        let ratios = iter::zip(&ours, theirs).map(ratio).collect();
        let label = format!("{} / {}", main.name, other.name);
        print_row(&label, &ratios, |_, ratio| show(ratio) + "x");
    }
}

/// The figures by which nodes are compared: medians, ranges, and the ratio of the median to the first target's.
fn print_markdown(targets: &[Target]) {
    const THROUGHPUT: &[(&str, &str)] = &[
        ("msgs_per_s", "messages/s"),
        ("cpu_us_per_msg", "CPU µs per message"),
        ("rss_peak_mib", "peak memory, MiB"),
        ("init_ms", "start to `init_ok`, ms"),
    ];
    const LATENCY: &[(&str, &str)] = &[
        ("p50_us", "p50 µs"),
        ("p99_us", "p99 µs"),
        ("p999_us", "p99.9 µs"),
        ("cpu_us_per_msg", "CPU µs per message"),
    ];
    let names: Vec<&str> = targets[0].runs[0].figures.iter().map(|figure| figure.0).collect();
    let columns = if names.contains(&"p50_us") { LATENCY } else { THROUGHPUT };
    let headings: Vec<&str> = columns.iter().map(|column| column.1).collect();
    println!("| node | {} |\n|{}", headings.join(" | "), " --- |".repeat(columns.len() + 1));
    let [_, ours, _] = targets[0].spread();
    for target in targets {
        let spread = target.spread();
        print!("| {} |", target.name);
        for (name, _) in columns {
            let column = names.iter().position(|other| other == name).expect("every run has it");
            let [low, median, high] = spread.each_ref().map(|figures| figures[column].1);
            print!(" {} ({} to {})", brief(median), brief(low), brief(high));
            print!(", {}× |", brief(median / ours[column].1));
        }
        println!();
    }
}

/// Three digits.
fn brief(value: f64) -> String {
    match value {
        _ if value.is_nan() => "-".into(),
        1e6.. => format!("{:.2} M", value / 1e6),
        1e5.. => format!("{:.0} k", value / 1e3),
        1e4.. => format!("{:.1} k", value / 1e3),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        0.1.. => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn print_row(label: &str, figures: &Figures, cell: impl Fn(&str, f64) -> String) {
    print!("{label:<24}");
    for (name, value) in figures {
        print!("  {:>1$}", cell(name, *value), name.len().max(9));
    }
    println!();
}

fn show(value: f64) -> String {
    match value {
        _ if value.is_nan() => "-".into(),
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        1000.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// What no figure means much without.
fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let cpu = cpus.lines().find(|line| line.starts_with("model name"));
    let cpu = cpu.and_then(|line| line.split_once(": ")).map_or("unknown CPU", |(_, name)| name);
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let (kernel, load) = (read("/proc/sys/kernel/osrelease"), read("/proc/loadavg"));
    let (kernel, load) = (kernel.trim(), load.split(' ').next().unwrap_or_default());
    format!("{cores} x {cpu}, Linux {kernel}, load average {load}")
}
