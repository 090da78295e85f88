//! Nodes that are processes, any number of them, driven over their pipes by one thread that waits for none.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant as Clock};

use mio::unix::pipe::{Receiver, Sender};
use mio::{Events, Interest, Poll, Token};
use rustix::process::{Pid, Signal, kill_process};

use super::nemesis::Order;
use super::world::World;
use crate::time::Instant;
use crate::wire::line::{LineBuffer, NextLine};

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

/// The pipes of a node have tokens side by side.
const PIPES: usize = 3;
const STDIN: usize = 0;
const STDOUT: usize = 1;
const STDERR: usize = 2;

/// A node's process.
struct Process {
    child: Child,
    stdin: Sender,
    stdout: Receiver,
    stderr: Receiver,
    lines: LineBuffer,
    errors: LineBuffer,
    log: File,
    last_words: VecDeque<String>,
    /// There may be something to read.
    speaks: bool,
    complains: bool,
    /// Its stdin is full, and watched.
    is_full: bool,
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
    let nodes = world.settings().nodes;
    let processes = (0..nodes).map(|node| Process::start(program, node, &poll).map(Some));
    let mut processes = processes.collect::<io::Result<Vec<Option<Process>>>>()?;
    let started = Clock::now();
    let now = || Instant::START + started.elapsed().into();
    while !world.is_over() {
        for order in world.take_orders() {
            match order {
                Order::Kill(node) => processes[node] = None,
                Order::Start(node) => processes[node] = Some(Process::start(program, node, &poll)?),
                Order::Pause(node) => signal(processes[node].as_ref(), Signal::STOP),
                Order::Resume(node) => signal(processes[node].as_ref(), Signal::CONT),
            }
        }
        let mut is_busy = false;
        for (node, process) in processes.iter_mut().enumerate() {
            if let Some(process) = process {
                process.feed(world, node, &poll)?;
                is_busy |= process.speaks || process.complains;
            }
        }
        let wait = world.poll_timeout().map(|due| Duration::from(due - now()));
        let wait = if is_busy { Some(Duration::ZERO) } else { wait };
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            let Token(token) = event.token();
            let Some(process) = &mut processes[token / PIPES] else { continue };
            match token % PIPES {
                STDIN if process.is_full => {
                    process.is_full = false;
                    poll.registry().deregister(&mut process.stdin)?;
                }
                STDIN => {}
                STDOUT => process.speaks = true,
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
        let now = now();
        world.handle_timeout(now);
        each_turn(world, now);
    }
    let Some(failure) = world.failure() else { return Ok(Vec::new()) };
    let Some(process) = &mut processes[failure.node] else { return Ok(Vec::new()) };
    // Its last words may still be under way.
    thread::sleep(Duration::from_millis(50));
    process.complains = true;
    process.hear(program, failure.node)?;
    Ok(process.last_words.drain(..).collect())
}

fn signal(process: Option<&Process>, signal: Signal) {
    if let Some(pid) = process.and_then(|process| Pid::from_raw(i32::try_from(process.child.id()).ok()?)) {
        // It may have ended, which its stdout tells.
        let _ = kill_process(pid, signal);
    }
}

impl Process {
    fn start(program: &Program, node: usize, poll: &Poll) -> io::Result<Self> {
        let mut command = Command::new(&program.path);
        command.args(&program.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| {
            io::Error::new(error.kind(), format!("{}: cannot be started: {error}", program.path.display()))
        })?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
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
            speaks: false,
            complains: false,
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
                // It is gone, which its stdout tells.
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
                    let text = match self.status()? {
                        Some(status) => format!("it ended while the test was running ({status})"),
                        None => "it closed its stdout".to_owned(),
                    };
                    world.fail(node, text + "; a node goes on until it is killed", None);
                }
                Ok(count) => {
                    self.lines.filled(count);
                    self.speaks = count == room;
                    while let Some(line) = self.lines.next_line() {
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
            self.log.write_all(&space[..count])?;
            self.errors.filled(count);
            while let Some(line) = self.errors.next_line() {
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

/// A node runs until it is killed, as under Maelstrom.
impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
