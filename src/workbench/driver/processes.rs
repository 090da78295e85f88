//! Nodes that are processes, any number of them, driven over their pipes by one thread that waits for none.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant as Clock};

use mio::event::Event;
use mio::unix::pipe::{Receiver, Sender};
use mio::{Events, Interest, Poll, Token};
use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use super::LINE_MAX;
use super::running::Running;
use super::stderr::{READS, Stderr};
use crate::assertions::Told;
use crate::time::Instant;
use crate::wire::lines::LineBuffer;
use crate::workbench::format::counted;
use crate::workbench::nemesis::ProcessCommand;
use crate::workbench::world::World;

/// How nodes are started.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program.
    pub path: PathBuf,
    /// Its arguments. `{data}` in one becomes the node's data folder.
    pub args: Vec<OsString>,
    /// Where the data folder of each node is made, `n0`, `n1` and so on, which it is told in `MESSENGER_DATA` too. A node
    /// that is started again finds its own. Those that are empty in the end are removed.
    pub data: PathBuf,
    /// Where the stderr of each node goes: `n0.log`, `n1.log` and so on.
    pub logs: PathBuf,
    /// Whether it goes to our stderr as well.
    pub shows_stderr: bool,
}

/// How often to check whether the processes are still there, and have answered their `init`.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// How long a node may take for `init_ok` before what it did until then is told.
const INIT_HINT_AFTER: Duration = Duration::from_secs(2);

const SIGNALS: Token = Token(usize::MAX);

/// The pipes of a node have tokens side by side.
const PIPES: usize = 3;
const STDIN: usize = 0;
const STDOUT: usize = 1;
const STDERR: usize = 2;

/// A node's process.
struct Process {
    node: usize,
    child: Running,
    stdin: Sender,
    stdout: Receiver,
    stderr: Stderr,
    lines: LineBuffer,
    /// There may be something to read.
    stdout_ready: bool,
    /// Its stdout is closed: a short read does not mean that nothing is left.
    is_ending: bool,
    /// Its stdin is full, and watched.
    is_full: bool,
    started: Clock,
    /// What it wrote to stdout so far: whole lines, and bytes after the last of them.
    whole_lines: usize,
    bytes_after: usize,
    /// What was told on stderr of how slow it is to answer its `init`, if it is.
    hint: Option<String>,
}

/// How a test of processes ended.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// Why it was cut short, if it was: a signal, or what the operating system refused. What happened until then is in the
    /// world, and says nothing certain of what the test would have come to.
    pub cut_short: Option<String>,
    /// What may explain why the node that failed did so, in sentences.
    pub hints: Vec<String>,
    /// The last lines of its stderr.
    pub last_words: Vec<String>,
}

/// Runs a test, in real time. `each_turn` is called every now and then, with the time.
///
/// # Errors
/// Where a node cannot be started at the beginning, or the operating system refuses what it takes to drive it then.
/// What is refused later ends the test, and is told in [`Ending::cut_short`].
pub fn run(
    world: &mut World,
    program: &Program,
    mut each_turn: impl FnMut(&World, Instant),
) -> io::Result<Ending> {
    let nodes = world.settings().nodes;
    let mut processes = Processes::start(program, nodes)?;
    let driven = processes.drive(world, &mut each_turn);
    let driven = driven.and(processes.read_last_words(world));
    let mut ending = Ending { cut_short: driven.err().map(|error| error.to_string()), ..Ending::default() };
    if let Some(process) = world.failure().and_then(|failure| processes.of_nodes[failure.node].as_mut()) {
        ending.hints = process.init_hint(world).into_iter().collect();
        ending.last_words = process.stderr.last_words();
    }
    drop(processes);
    remove_empty_folders(program, nodes);
    Ok(ending)
}

/// Folders of nodes that kept nothing tell nobody anything.
fn remove_empty_folders(program: &Program, nodes: usize) {
    let folders = (0..nodes).map(|node| program.data.join(format!("n{node}")));
    for folder in folders.chain([program.data.clone()]) {
        // Whatever is not empty stays.
        let _ = std::fs::remove_dir(folder);
    }
}

/// The processes of a test, one for each node that runs, and what it takes to wait for them.
struct Processes<'a> {
    program: &'a Program,
    poll: Poll,
    signals: Signals,
    of_nodes: Vec<Option<Process>>,
}

impl<'a> Processes<'a> {
    fn start(program: &'a Program, nodes: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
        let of_nodes = (0..nodes).map(|node| Process::start(program, node, &poll).map(Some));
        Ok(Self { program, of_nodes: of_nodes.collect::<io::Result<_>>()?, poll, signals })
    }

    /// Until the test is over. An error cuts it short.
    fn drive(&mut self, world: &mut World, each_turn: &mut dyn FnMut(&World, Instant)) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        let started = Clock::now();
        let now = || Instant::START + started.elapsed().into();
        let mut checked = Instant::START;
        while !world.is_over() {
            for command in world.take_commands() {
                self.obey(command)?;
            }
            let is_busy = self.feed(world)?;
            let until_due =
                world.poll_timeout().map_or(CHECK_EVERY, |due| Duration::from(due - now()).min(CHECK_EVERY));
            match self.poll.poll(&mut events, Some(if is_busy { Duration::ZERO } else { until_due })) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                self.note(event)?;
            }
            let arrived = now();
            self.read(world, arrived)?;
            if arrived - checked > CHECK_EVERY.into() {
                checked = arrived;
                self.check(world)?;
            }
            let now = now();
            world.handle_timeout(now);
            each_turn(world, now);
        }
        Ok(())
    }

    /// Does to a process what the nemesis wants.
    fn obey(&mut self, command: ProcessCommand) -> io::Result<()> {
        let signal = |process: Option<&Process>, signal: Signal| {
            if let Some(process) = process {
                process.child.signal(signal);
            }
        };
        match command {
            ProcessCommand::Kill(node) => self.of_nodes[node] = None,
            ProcessCommand::Start(node) => {
                self.of_nodes[node] = Some(Process::start(self.program, node, &self.poll)?);
            }
            ProcessCommand::Pause(node) => signal(self.of_nodes[node].as_ref(), Signal::STOP),
            ProcessCommand::Resume(node) => signal(self.of_nodes[node].as_ref(), Signal::CONT),
        }
        Ok(())
    }

    /// Writes what waits for the nodes. Whether there may be something to read from one of them.
    fn feed(&mut self, world: &mut World) -> io::Result<bool> {
        let mut is_busy = false;
        for process in self.of_nodes.iter_mut().flatten() {
            process.feed(world, &self.poll)?;
            is_busy |= process.stdout_ready || process.stderr.is_ready;
        }
        Ok(is_busy)
    }

    /// Notes which pipe an event is about. A signal ends the test.
    fn note(&mut self, event: &Event) -> io::Result<()> {
        if event.token() == SIGNALS {
            return self
                .signals
                .pending()
                .next()
                .map_or(Ok(()), |signal| Err(io::Error::other(interrupted(signal))));
        }
        let Token(token) = event.token();
        let Some(process) = &mut self.of_nodes[token / PIPES] else { return Ok(()) };
        match token % PIPES {
            STDIN if process.is_full => {
                process.is_full = false;
                self.poll.registry().deregister(&mut process.stdin)?;
            }
            STDIN => {}
            STDOUT => {
                process.stdout_ready = true;
                process.is_ending |= event.is_read_closed() || event.is_error();
            }
            _ => process.stderr.is_ready = true,
        }
        Ok(())
    }

    /// Reads what the nodes wrote.
    fn read(&mut self, world: &mut World, arrived: Instant) -> io::Result<()> {
        for process in self.of_nodes.iter_mut().flatten() {
            process.read_stderr(world, self.program)?;
            process.read_stdout(world, arrived)?;
        }
        Ok(())
    }

    /// Notices what no event tells.
    fn check(&mut self, world: &mut World) -> io::Result<()> {
        for process in self.of_nodes.iter_mut().flatten() {
            process.check_exited(world)?;
            process.check_init(world);
        }
        Ok(())
    }

    /// What the nodes wrote to stderr in the end: it may still be under way when one has failed.
    fn read_last_words(&mut self, world: &mut World) -> io::Result<()> {
        if world.failure().is_some() {
            thread::sleep(Duration::from_millis(50));
        }
        let mut read = Ok(());
        for process in self.of_nodes.iter_mut().flatten() {
            process.stderr.is_ready = true;
            read = read.and(process.read_stderr(world, self.program));
        }
        read
    }
}

/// `interrupted by SIGINT`
pub fn interrupted(signal: i32) -> String {
    let name = match signal {
        SIGINT => "SIGINT",
        SIGTERM => "SIGTERM",
        SIGHUP => "SIGHUP",
        _ => return format!("interrupted by signal {signal}"),
    };
    format!("interrupted by {name}")
}

impl Process {
    fn start(program: &Program, node: usize, poll: &Poll) -> io::Result<Self> {
        let data = program.data.join(format!("n{node}"));
        std::fs::create_dir_all(&data).map_err(|error| {
            io::Error::new(error.kind(), format!("data folder {}: {error}", data.display()))
        })?;
        // A node looks for it from wherever it goes.
        let data = std::path::absolute(&data)?;
        let mut command = Command::new(&program.path);
        for arg in &program.args {
            command.arg(with_data_folder(arg, &data));
        }
        command.env("MESSENGER_DATA", &data);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Running::spawn(&mut command).map_err(|error| {
            let (path, hint) = (program.path.display(), start_hint(program, &error));
            io::Error::new(error.kind(), format!("{path}: cannot be started: {error}{hint}"))
        })?;
        let (stdin, stdout, stderr) =
            child.pipes().ok_or_else(|| io::Error::other("a process was started without its pipes"))?;
        let (stdin, mut stdout, mut stderr) =
            (Sender::from(stdin), Receiver::from(stdout), Receiver::from(stderr));
        stdin.set_nonblocking(true)?;
        stdout.set_nonblocking(true)?;
        stderr.set_nonblocking(true)?;
        let registry = poll.registry();
        registry.register(&mut stdout, Token(node * PIPES + STDOUT), Interest::READABLE)?;
        registry.register(&mut stderr, Token(node * PIPES + STDERR), Interest::READABLE)?;
        Ok(Self {
            node,
            child,
            stdin,
            stdout,
            stderr: Stderr::new(stderr, program.logs.join(format!("n{node}.log")))?,
            lines: LineBuffer::new(LINE_MAX),
            stdout_ready: false,
            is_ending: false,
            is_full: false,
            started: Clock::now(),
            whole_lines: 0,
            bytes_after: 0,
            hint: None,
        })
    }

    /// Writes what waits for the node, as much as its stdin takes.
    fn feed(&mut self, world: &mut World, poll: &Poll) -> io::Result<()> {
        let inbox = world.inbox(self.node);
        while !self.is_full && !inbox.is_empty() {
            match self.stdin.write(inbox.waiting()) {
                Ok(count) => inbox.consume(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_full = true;
                    // Watched only while it is full, or whatever the node reads would wake us up.
                    let token = Token(self.node * PIPES + STDIN);
                    poll.registry().register(&mut self.stdin, token, Interest::WRITABLE)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It reads no more. Whether it is gone is seen elsewhere.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => inbox.consume(inbox.len()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what the node says.
    fn read_stdout(&mut self, world: &mut World, now: Instant) -> io::Result<()> {
        for _ in 0..READS {
            if !self.stdout_ready || world.is_over() {
                return Ok(());
            }
            let space = self.lines.space();
            let room = space.len();
            match self.stdout.read(space) {
                Ok(0) => {
                    self.stdout_ready = false;
                    let status = self.status()?;
                    world.fail(self.node, ended(status), None);
                }
                Ok(count) => {
                    let newlines = memchr::memchr_iter(b'\n', &space[..count]);
                    let (lines, last) = newlines.fold((0, None), |(lines, _), at| (lines + 1, Some(at)));
                    self.whole_lines += lines;
                    self.bytes_after = last.map_or(self.bytes_after + count, |last| count - last - 1);
                    self.lines.filled(count);
                    self.stdout_ready = count == room || self.is_ending;
                    for line in self.lines.lines() {
                        world.handle_line(now, self.node, line);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.stdout_ready = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Notices that the process has ended although somebody else holds its stdout.
    fn check_exited(&mut self, world: &mut World) -> io::Result<()> {
        if !self.stdout_ready
            && let Some(status) = self.child.try_wait()?
        {
            world.fail(self.node, ended(Some(status)), None);
        }
        Ok(())
    }

    /// Tells what the node did so far if it is slow to answer its `init`. It may do more than that before the test ends.
    fn check_init(&mut self, world: &World) {
        if self.hint.is_none() {
            self.hint = self.init_hint(world);
            if let Some(hint) = &self.hint {
                let _ = writeln!(io::stderr(), "{hint}");
            }
        }
    }

    /// What the node did instead of answering its `init`, once that takes long: the most frequent mistakes are seen from it.
    fn init_hint(&self, world: &World) -> Option<String> {
        let node = self.node;
        let elapsed = self.started.elapsed();
        if !world.awaits_init(node) || elapsed < INIT_HINT_AFTER {
            return None;
        }
        let unread = rustix::io::ioctl_fionread(&self.stdin).unwrap_or(0) + world.waiting(node) as u64;
        let read = if unread > 0 {
            format!("it has not read {unread} bytes of its stdin")
        } else {
            "it has read its stdin".to_owned()
        };
        let wrote = match (self.whole_lines, self.bytes_after) {
            (0, 0) if unread > 0 => "and wrote nothing: does it read a line at a time?".to_owned(),
            (0, 0) => "and wrote nothing: does it flush its stdout after each message, and does it answer before its \
                       stdin ends?"
                .to_owned(),
            (lines, 0) => format!("and wrote {}, none of them init_ok", counted(lines, "line")),
            (_, bytes) => {
                format!("and wrote {} without a newline: a message ends with one, and is flushed", counted(bytes, "byte"))
            }
        };
        Some(format!(
            "{} s after its start n{node} has not answered `init`: {read} {wrote}",
            elapsed.as_secs()
        ))
    }

    /// How the process ended, if it does so within a moment.
    fn status(&mut self) -> io::Result<Option<ExitStatus>> {
        for _ in 0..20 {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(None)
    }

    /// Reads what the node says on stderr: assertions, and whatever else it logs.
    fn read_stderr(&mut self, world: &mut World, program: &Program) -> io::Result<()> {
        let node = self.node;
        self.stderr.read(|line| {
            match Told::parse(line.text()) {
                Some(Told::Broken(text)) => world.fail_assertion(node, text),
                // Of a text that was cut nobody knows whether it is the one that occurred elsewhere.
                Some(Told::Sometimes(text, occurred)) if !line.is_cut() => {
                    world.note_sometimes(text, occurred);
                }
                _ => {}
            }
            if program.shows_stderr {
                // Whoever reads it may have had enough.
                let _ = writeln!(io::stderr(), "n{node}: {}", line.text());
            }
        })
    }
}

/// An argument with the node's data folder in place of `{data}`.
fn with_data_folder(arg: &OsStr, data: &Path) -> OsString {
    const PLACE: &[u8] = b"{data}";
    let (mut rest, mut replaced) = (arg.as_bytes(), Vec::new());
    while let Some(at) = memchr::memmem::find(rest, PLACE) {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(data.as_os_str().as_bytes());
        rest = &rest[at + PLACE.len()..];
    }
    replaced.extend_from_slice(rest);
    OsString::from_vec(replaced)
}

/// What may be wrong with a program that cannot be started.
fn start_hint(program: &Program, error: &io::Error) -> String {
    const NO_EXEC: i32 = 8;
    let path = &program.path;
    let words: Vec<_> = path.to_str().unwrap_or_default().split_whitespace().collect();
    if path.is_dir() {
        return "; it is a folder: name the program in it".to_owned();
    }
    if let [first, rest @ ..] = &*words
        && !rest.is_empty()
        && !path.exists()
    {
        return format!("; arguments of the node go after --: --bin {first} -- {}", rest.join(" "));
    }
    match error.kind() {
        ErrorKind::NotFound if path.components().count() == 1 && path.exists() => {
            format!("; a file of this folder is called ./{}", path.display())
        }
        ErrorKind::NotFound if path.exists() => {
            "; the program that its first line names does not exist".to_owned()
        }
        ErrorKind::PermissionDenied => format!("; chmod +x {} makes a file a program", path.display()),
        _ if error.raw_os_error() == Some(NO_EXEC) => {
            "; a script begins with a line that names its program, such as #!/usr/bin/env python3".to_owned()
        }
        _ => String::new(),
    }
}

/// Says that a process has ended, or at least its stdout.
fn ended(status: Option<ExitStatus>) -> String {
    let what = match status {
        Some(status) => format!("it ended while the test was running ({status})"),
        None => "it closed its stdout".to_owned(),
    };
    what + "; a node goes on until it is killed"
}
