//! Nodes that are processes, any number of them, driven over their pipes by one thread that waits for none.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant as Clock};

use mio::unix::pipe::{Receiver, Sender};
use mio::{Events, Interest, Poll, Token};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use super::nemesis::ProcessCommand;
use super::world::World;
use crate::time::Instant;
use crate::wire::lines::{LineBuffer, NextLine};

/// How nodes are started.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Where the stderr of each node goes: `n0.log`, `n1.log` and so on.
    pub logs: PathBuf,
    /// Whether it goes to our stderr as well.
    pub shows_stderr: bool,
}

/// The longest line that a node may say.
const LINE_MAX: usize = 64 * 1024 * 1024;

/// So many reads from one node at a time, lest it keep others waiting.
const READS: usize = 16;

/// So many lines of a node's stderr are kept for an explanation.
const LAST_WORDS: usize = 10;

/// So many bytes of a node's stderr are kept in its log.
const LOG_MAX: u64 = 64 * 1024 * 1024;

/// How often to look whether the processes are still there.
const LOOK_EVERY: Duration = Duration::from_millis(500);

const SIGNALS: Token = Token(usize::MAX);

/// The pipes of a node have tokens side by side.
const PIPES: usize = 3;
const STDIN: usize = 0;
const STDOUT: usize = 1;
const STDERR: usize = 2;

/// A node's process.
#[allow(clippy::struct_excessive_bools, reason = "they are the states of three pipes")]
struct Process {
    child: Running,
    stdin: Sender,
    stdout: Receiver,
    stderr: Receiver,
    lines: LineBuffer,
    errors: LineBuffer,
    log: File,
    last_words: VecDeque<String>,
    /// What was written into it.
    logged: u64,
    /// There may be something to read.
    speaks: bool,
    complains: bool,
    /// Its stdout is closed: a short read does not mean that nothing is left.
    is_ending: bool,
    /// Its stdin is full, and watched.
    is_full: bool,
}

/// A process and whatever it started, until this is dropped: a node runs until it is killed, as under Maelstrom.
struct Running(Child);

impl Running {
    fn signal(&self, signal: Signal) {
        if let Ok(Some(pid)) = i32::try_from(self.0.id()).map(Pid::from_raw) {
            // It may have ended, which others notice.
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.0.wait();
    }
}

/// Runs a test to its end, in real time. `each_turn` is called every now and then, with the time.
///
/// The last lines of the stderr of the node that failed come back, if one did.
///
/// # Errors
/// Where a node cannot be started, or the operating system refuses what it takes to drive it.
pub fn run(
    world: &mut World,
    program: &Program,
    mut each_turn: impl FnMut(&World, Instant),
) -> io::Result<Vec<String>> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(256);
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
    let nodes = world.settings().nodes;
    let processes = (0..nodes).map(|node| Process::start(program, node, &poll).map(Some));
    let mut processes = processes.collect::<io::Result<Vec<Option<Process>>>>()?;
    let started = Clock::now();
    let now = || Instant::START + started.elapsed().into();
    let mut looked = Instant::START;
    while !world.is_over() {
        for order in world.take_commands() {
            match order {
                ProcessCommand::Kill(node) => processes[node] = None,
                ProcessCommand::Start(node) => processes[node] = Some(Process::start(program, node, &poll)?),
                ProcessCommand::Pause(node) => {
                    processes[node].iter().for_each(|process| process.child.signal(Signal::STOP));
                }
                ProcessCommand::Resume(node) => {
                    processes[node].iter().for_each(|process| process.child.signal(Signal::CONT));
                }
            }
        }
        let mut is_busy = false;
        for (node, process) in processes.iter_mut().enumerate() {
            if let Some(process) = process {
                process.feed(world, node, &poll)?;
                is_busy |= process.speaks || process.complains;
            }
        }
        let wait = world.poll_timeout().map_or(LOOK_EVERY, |due| Duration::from(due - now()).min(LOOK_EVERY));
        let wait = if is_busy { Some(Duration::ZERO) } else { Some(wait) };
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            if event.token() == SIGNALS {
                return Err(io::Error::other("interrupted"));
            }
            let Token(token) = event.token();
            let Some(process) = &mut processes[token / PIPES] else { continue };
            match token % PIPES {
                STDIN if process.is_full => {
                    process.is_full = false;
                    poll.registry().deregister(&mut process.stdin)?;
                }
                STDIN => {}
                STDOUT => {
                    process.speaks = true;
                    process.is_ending |= event.is_read_closed() || event.is_error();
                }
                _ => process.complains = true,
            }
        }
        let arrived = now();
        for (node, process) in processes.iter_mut().enumerate() {
            if let Some(process) = process {
                process.hear(program, node)?;
                process.listen(world, node, arrived)?;
            }
        }
        if arrived - looked > LOOK_EVERY.into() {
            looked = arrived;
            for (node, process) in processes.iter_mut().enumerate() {
                process.iter_mut().try_for_each(|process| process.look(world, node))?;
            }
        }
        let now = now();
        world.handle_timeout(now);
        each_turn(world, now);
    }
    // The last words may still be under way.
    if world.failure().is_some() {
        thread::sleep(Duration::from_millis(50));
    }
    for (node, process) in processes.iter_mut().enumerate() {
        if let Some(process) = process {
            process.complains = true;
            process.hear(program, node)?;
        }
    }
    let failed = world.failure().and_then(|failure| processes[failure.node].as_mut());
    Ok(failed.map(Process::last_words).unwrap_or_default())
}

impl Process {
    fn start(program: &Program, node: usize, poll: &Poll) -> io::Result<Self> {
        let mut command = Command::new(&program.path);
        command.args(&program.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, so that whatever it starts ends with it, and a Ctrl-C is for us alone.
        command.process_group(0);
        let child = command.spawn().map_err(|error| {
            let hint = match error.kind() {
                ErrorKind::NotFound if program.path.components().count() == 1 && program.path.exists() => {
                    "; a file of this folder is called ./ and its name"
                }
                ErrorKind::PermissionDenied => "; chmod +x makes a file a program",
                _ => "",
            };
            let path = program.path.display();
            io::Error::new(error.kind(), format!("{path}: cannot be started: {error}{hint}"))
        })?;
        let mut child = Running(child);
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.0.stdin.take(), child.0.stdout.take(), child.0.stderr.take())
        else {
            return Err(io::Error::other("a process was started without its pipes"));
        };
        let (stdin, mut stdout, mut stderr) =
            (Sender::from(stdin), Receiver::from(stdout), Receiver::from(stderr));
        stdin.set_nonblocking(true)?;
        stdout.set_nonblocking(true)?;
        stderr.set_nonblocking(true)?;
        let registry = poll.registry();
        registry.register(&mut stdout, Token(node * PIPES + STDOUT), Interest::READABLE)?;
        registry.register(&mut stderr, Token(node * PIPES + STDERR), Interest::READABLE)?;
        // One that is started again goes on with its log.
        let log =
            File::options().create(true).append(true).open(program.logs.join(format!("n{node}.log")))?;
        Ok(Self {
            child,
            stdin,
            stdout,
            stderr,
            lines: LineBuffer::new(LINE_MAX),
            errors: LineBuffer::new(LINE_MAX),
            log,
            last_words: VecDeque::new(),
            logged: 0,
            speaks: false,
            complains: false,
            is_ending: false,
            is_full: false,
        })
    }

    /// Writes what waits for the node, as much as its stdin takes.
    fn feed(&mut self, world: &mut World, node: usize, poll: &Poll) -> io::Result<()> {
        let inbox = world.inbox(node);
        while !self.is_full && !inbox.is_empty() {
            match self.stdin.write(inbox.waiting()) {
                Ok(count) => inbox.consume(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_full = true;
                    // Watched only while it is full, or whatever the node reads would wake us up.
                    let token = Token(node * PIPES + STDIN);
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
    fn listen(&mut self, world: &mut World, node: usize, now: Instant) -> io::Result<()> {
        for _ in 0..READS {
            if !self.speaks || world.is_over() {
                return Ok(());
            }
            let space = self.lines.space();
            let room = space.len();
            match self.stdout.read(space) {
                Ok(0) => {
                    self.speaks = false;
                    let status = self.status()?;
                    world.fail(node, ended(status), None);
                }
                Ok(count) => {
                    self.lines.filled(count);
                    self.speaks = count == room || self.is_ending;
                    for line in self.lines.lines() {
                        match line {
                            NextLine::Line(line) => world.handle_line(now, node, line),
                            NextLine::TooLong(length) => {
                                world.fail(node, format!("it wrote a line of {length} bytes"), None);
                            }
                        }
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.speaks = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Notices that the process has ended although somebody else holds its stdout.
    fn look(&mut self, world: &mut World, node: usize) -> io::Result<()> {
        if !self.speaks
            && let Some(status) = self.child.0.try_wait()?
        {
            world.fail(node, ended(Some(status)), None);
        }
        Ok(())
    }

    /// The last lines of its stderr.
    fn last_words(&mut self) -> Vec<String> {
        if let Some(NextLine::Line(line)) = self.errors.last_line() {
            self.last_words.push_back(String::from_utf8_lossy(line.bytes()).into_owned());
        }
        self.last_words.drain(..).collect()
    }

    /// How the process ended, if it does so within a moment.
    fn status(&mut self) -> io::Result<Option<ExitStatus>> {
        for _ in 0..20 {
            if let Some(status) = self.child.0.try_wait()? {
                return Ok(Some(status));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(None)
    }

    /// Reads the node's stderr into its log.
    fn hear(&mut self, program: &Program, node: usize) -> io::Result<()> {
        for _ in 0..READS {
            if !self.complains {
                return Ok(());
            }
            let space = self.errors.space();
            let count = match self.stderr.read(space) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => 0,
            };
            if count == 0 {
                self.complains = false;
                return Ok(());
            }
            if self.logged < LOG_MAX {
                self.log.write_all(&space[..count])?;
                self.logged += count as u64;
            } else if self.logged < u64::MAX {
                self.logged = u64::MAX;
                writeln!(self.log, "\n(the log ends here: it would be longer than {LOG_MAX} bytes)")?;
            }
            self.errors.filled(count);
            for line in self.errors.lines() {
                let NextLine::Line(line) = line else { continue };
                let line = String::from_utf8_lossy(line.bytes()).into_owned();
                if program.shows_stderr {
                    eprintln!("n{node}: {line}");
                }
                if self.last_words.len() == LAST_WORDS {
                    self.last_words.pop_front();
                }
                self.last_words.push_back(line);
            }
        }
        Ok(())
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
