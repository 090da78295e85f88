//! The mio shell: a [`Node`] on the process's own stdin and stdout.
//!
//! One turn: wait until there is something to do; read once; handle the lines that are whole, as long
//! as the output stays below its mark; write once. A turn is bounded by the size of one read and by the
//! mark, so signals, timers and a slow reader of stdout are all seen in time.

mod alarm;
mod fd;
mod log;
mod trace_file;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::{Instant as Clock, SystemTime, UNIX_EPOCH};

use ::log::{debug, info, warn};
use mio::{Events, Interest, Poll, Token, Waker};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook_mio::v1_0::Signals;

use self::alarm::Alarm;
use self::fd::Descriptor;
pub use self::log::log_to_stderr;
use self::log::report;
use self::trace_file::TraceFile;
use crate::node::{Handler, Node};
use crate::store::{Folder, Store as _};
use crate::time::{Duration, Instant};
use crate::wire::lines::{LineBuffer, NextLine};
use crate::wire::out::{LOW_WATER, OutBuffer};

const STDIN: Token = Token(0);
const STDOUT: Token = Token(1);
const SIGNALS: Token = Token(2);
const OTHER_THREADS: Token = Token(3);
const ALARM: Token = Token(4);

/// What a shell has to know beyond its node. It may grow: end yours with `..Options::default()`.
#[derive(Clone, Debug)]
pub struct Options {
    /// The longest line that is read, in bytes without the newline. Longer ones are skipped. A line is kept
    /// whole while it is handled; with its index it may take ten times its length in the worst case.
    pub max_line: usize,
    /// At the end of the input, how long to wait for pending calls and handlers; after a signal, how long to
    /// wait for somebody to read what was said.
    pub drain_timeout: Duration,
    /// How often to report to stderr what was counted and measured, while messages come. It is reported at the end
    /// and on SIGUSR1 as well. [`Duration::MAX`] leaves it at that.
    pub stats_interval: Duration,
    /// Where to write every message that comes or goes, as a line of JSON. `{node}` in it becomes the node's id:
    /// Maelstrom gives all nodes the same options.
    pub trace: Option<PathBuf>,
    /// The folder of the node's log, for handlers that [persist](crate::Context::persist): a node that is started again
    /// with the same folder goes on from there. Without one it is gone with the process, and a line in the log says so.
    pub data: Option<PathBuf>,
}

impl Default for Options {
    /// Lines of up to 64 MiB, 5 seconds to drain, reports every 10 seconds, no trace, the
    /// [folder for data](data_folder) that the environment names.
    fn default() -> Self {
        Self {
            max_line: 64 * 1024 * 1024,
            drain_timeout: Duration::from_secs(5),
            stats_interval: Duration::from_secs(10),
            trace: None,
            data: data_folder(),
        }
    }
}

/// The folder that `MESSENGER_DATA` names, if it names one: the workbench gives each node of each test one of its own.
pub fn data_folder() -> Option<PathBuf> {
    std::env::var_os("MESSENGER_DATA").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// Runs a node until its input ends, a signal ends it, or nobody reads its output any more.
///
/// At the end of the input the node waits for its pending calls and handlers, but not for longer than
/// [`Options::drain_timeout`]; what it has said by then is written, however long that takes. SIGTERM, SIGINT
/// and SIGHUP end the waiting, and leave what was said the same time to be read; a second one ends that too. (A
/// SIGHUP that the process was started to ignore, as by `nohup`, stays ignored.) A summary and a last report go
/// to the log.
///
/// # Errors
/// Where stdin cannot be read or stdout cannot be written, or the operating system refuses what a
/// reactor needs. A closed stdout is no error. Where the data folder cannot be read or written, or is damaged: then
/// nothing was said that is not durable.
pub fn run<H: Handler>(node: &mut Node<H>, options: &Options) -> io::Result<()> {
    let mut reactor = Reactor::open(options)?;
    if io::stdin().is_terminal() {
        info!("reads messages from the terminal, one JSON object a line; Ctrl-D ends");
    }
    let end = reactor.run(node);
    let now = reactor.now();
    reactor.close(node);
    info!("{}: {}", node.cluster().map_or("no init", |cluster| cluster.id()), node.counters());
    report(&node.report(now));
    match end {
        Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
            Ok(())
        }
        end => end,
    }
}

struct Reactor {
    poll: Poll,
    signals: Signals,
    stdin: Descriptor,
    stdout: Descriptor,
    lines: LineBuffer,
    out: OutBuffer,
    input: Input,
    /// The buffer may hold whole lines that were not handled yet.
    lines_left: bool,
    /// The output is past its mark: read and handle nothing more until it is below the lower one.
    choked: bool,
    output: Output,
    /// A signal came: nothing is read or handled any more.
    is_stopping: bool,
    /// After a signal, when to give up writing; after the end of the input, when to give up waiting for what
    /// the node waits for.
    give_up_at: Option<Instant>,
    drain_timeout: Duration,
    /// For how many turns in a row timers were postponed.
    turns_postponed: u32,
    started: Clock,
    started_unix: SystemTime,
    /// When the bytes came that are handled now.
    arrived: Instant,
    /// The end of the last turn.
    now: Instant,
    trace: TraceFile,
    log: Log,
    stats_interval: Duration,
    /// When to report; never if nothing came since the last report and nobody asks.
    report_at: Instant,
    alarm: Alarm,
    /// How many lines had come by then.
    lines_reported: u64,
}

/// Where what the handler persists goes.
enum Log {
    Durable(Folder),
    /// Nowhere: it is gone with the process.
    Memory,
    /// The same, and it was said.
    MemoryAsTold,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    /// Nothing to read until the poll says otherwise.
    Drained,
    /// There may be something to read.
    Ready,
    /// Ready, and will stay so: the other end is closed, or the descriptor cannot be polled. A short
    /// read tells nothing here, only an empty one does.
    ReadyToEnd,
    /// Everything was read.
    Ended,
}

/// Stdout is watched only while something is left for it, or every answer that somebody reads would wake
/// us up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    /// It may take something.
    Open,
    /// It took less than it was given, and has not said yet that it takes more. It is watched.
    Full,
    /// It said that it takes more, and is still watched.
    Watched,
}

impl Reactor {
    fn open(options: &Options) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut signals = Signals::new(signals())?;
        poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
        let stdin = Descriptor::stdin()?;
        let stdout = Descriptor::stdout()?;
        let is_watched = stdin.watch(&poll, STDIN, Interest::READABLE)?;
        let alarm = Alarm::new(&poll, ALARM);
        Ok(Self {
            poll,
            signals,
            stdin,
            stdout,
            lines: LineBuffer::new(options.max_line),
            out: OutBuffer::new(),
            input: if is_watched { Input::Drained } else { Input::ReadyToEnd },
            lines_left: false,
            choked: false,
            output: Output::Open,
            is_stopping: false,
            give_up_at: None,
            drain_timeout: options.drain_timeout,
            turns_postponed: 0,
            started: Clock::now(),
            started_unix: SystemTime::now(),
            arrived: Instant::START,
            now: Instant::START,
            trace: TraceFile::new(options.trace.clone())?,
            log: match &options.data {
                Some(folder) => Log::Durable(Folder::open(folder)?),
                None => Log::Memory,
            },
            stats_interval: options.stats_interval,
            report_at: Instant::END,
            alarm,
            lines_reported: 0,
        })
    }

    fn run<H: Handler>(&mut self, node: &mut Node<H>) -> io::Result<()> {
        let started = self.started;
        let unix_us = self.started_unix.duration_since(UNIX_EPOCH).unwrap_or_default();
        node.set_clock(Duration::from(unix_us).as_micros(), move || now(started));
        let waker = Waker::new(self.poll.registry(), OTHER_THREADS)?;
        // The poll is as full as it can be of being woken.
        node.set_wake(move || drop(waker.wake()));
        if self.trace.is_wanted() {
            node.start_trace();
        }
        if let Log::Durable(folder) = &mut self.log {
            folder.recover(&mut |record| node.recover(record))?;
        }
        let mut events = Events::with_capacity(8);
        loop {
            let due = node.poll_timeout();
            self.wait(&mut events, due)?;
            // One reading of the clock for what came, and one for when it was dealt with.
            let now = self.now();
            if self.may_take_more(now) {
                if !self.lines_left {
                    self.read()?;
                    self.arrived = now;
                }
                node.set_arrival(self.arrived);
                self.handle_lines(node, now);
                if !self.may_have_missed_answers(due, now) {
                    node.handle_timeout(now, &mut self.out);
                }
            }
            if !self.may_take_more(now) && !self.choked {
                // Nothing will be done any more: what is held back leaves now, or never.
                node.release_held(&mut self.out);
            }
            self.make_durable(node)?;
            self.write()?;
            self.now = self.now();
            if self.out.is_empty() {
                node.handle_written(self.now);
            }
            self.observe(node);
            if self.is_done(node, now) {
                return Ok(());
            }
        }
    }

    /// Writes down what was persisted in this turn, all of it at once, and lets what was said with it leave.
    fn make_durable<H: Handler>(&mut self, node: &mut Node<H>) -> io::Result<()> {
        while let Some(records) = node.poll_persist() {
            match &mut self.log {
                Log::Durable(folder) => folder.commit(records)?,
                Log::Memory => {
                    warn!(
                        "what this node persists is in memory alone: --data or MESSENGER_DATA gives it a folder"
                    );
                    self.log = Log::MemoryAsTold;
                }
                Log::MemoryAsTold => {}
            }
            node.handle_durable(&mut self.out);
        }
        Ok(())
    }

    /// Reports if it is time to, and lets the trace be written.
    fn observe<H: Handler>(&mut self, node: &mut Node<H>) {
        let lines = node.counters().lines;
        let is_wanted = self.stats_interval < Duration::MAX && lines > self.lines_reported;
        if self.report_at == Instant::END && is_wanted {
            self.report_at = self.now + self.stats_interval;
            self.alarm.set(self.stats_interval);
        }
        if self.report_at <= self.now {
            report(&node.report(self.now));
            self.lines_reported = lines;
            self.report_at = Instant::END;
        }
        node.take_trace(|lines, id| self.trace.write(lines, id));
    }

    /// Gives the descriptors back, and ends the trace.
    fn close<H: Handler>(self, node: &mut Node<H>) {
        node.take_trace(|lines, _| self.trace.close(lines));
    }

    /// Waits for something to do, until `due` at the latest, and takes note of it.
    fn wait(&mut self, events: &mut Events, due: Option<Instant>) -> io::Result<()> {
        let now = self.now;
        let has_work = self.lines_left || matches!(self.input, Input::Ready | Input::ReadyToEnd);
        let wake_at = if self.may_take_more(now) {
            if has_work { now } else { due.unwrap_or(Instant::END).min(self.gives_up_at()) }
        } else if self.is_stopping {
            self.gives_up_at()
        } else {
            // Stdout alone makes it go on.
            Instant::END
        };
        let wake_at = if self.alarm.is_set() { wake_at } else { wake_at.min(self.report_at) };
        // The poll counts milliseconds, and rounds up.
        let mut timeout = (wake_at < Instant::END).then(|| std::time::Duration::from(wake_at - now));
        // A signal may have ended the wait before the poll could tell of anything: it is asked once more, or a
        // node that was stopped and continued would take its timers for late and its answers for lost.
        while let Err(error) = self.poll.poll(events, timeout) {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
            timeout = Some(std::time::Duration::ZERO);
        }
        for event in events.iter() {
            match event.token() {
                STDIN if self.input != Input::Ended => {
                    let is_ending = event.is_read_closed() || event.is_error();
                    self.input = if is_ending { Input::ReadyToEnd } else { Input::Ready };
                }
                STDOUT if self.output == Output::Full => self.output = Output::Watched,
                SIGNALS => self.take_signals(),
                _ => {}
            }
        }
        Ok(())
    }

    fn take_signals(&mut self) {
        for signal in self.signals.pending() {
            debug!("signal {signal}");
            if signal == SIGUSR1 {
                self.report_at = Instant::START;
                continue;
            }
            let patience = if self.is_stopping { Duration::ZERO } else { self.drain_timeout };
            self.is_stopping = true;
            self.give_up_at = Some(self.now() + patience);
        }
    }

    /// One read into the line buffer, if there may be something to read.
    fn read(&mut self) -> io::Result<()> {
        if !matches!(self.input, Input::Ready | Input::ReadyToEnd) {
            return Ok(());
        }
        let space = self.lines.space();
        let room = space.len();
        match rustix::io::read(&self.stdin, space) {
            Ok(0) | Err(Errno::CONNRESET) => self.input = Input::Ended,
            Ok(count) => {
                self.lines.filled(count);
                // A short read of a byte stream means drained: epoll(7). The next byte makes an event.
                if count < room && self.input == Input::Ready && self.stdin.is_byte_stream() {
                    self.input = Input::Drained;
                }
            }
            Err(Errno::AGAIN) => self.input = Input::Drained,
            Err(Errno::INTR) => {}
            // A terminal that was hung up.
            Err(Errno::IO) if rustix::termios::isatty(&self.stdin) => self.input = Input::Ended,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Handles the lines that are whole, until the output is past its mark.
    fn handle_lines<H: Handler>(&mut self, node: &mut Node<H>, now: Instant) {
        self.lines_left = !node.handle_lines(now, &mut self.lines, &mut self.out);
        if self.input == Input::Ended && !self.lines_left {
            match self.lines.last_line() {
                Some(NextLine::Line(line)) => node.handle_line(now, line, &mut self.out),
                Some(NextLine::TooLong(length)) => node.handle_too_long(length),
                None => {}
            }
        }
        self.choked = self.lines_left;
        if self.input == Input::Ended && !self.lines_left {
            self.give_up_at.get_or_insert(now + self.drain_timeout);
        }
    }

    /// Writes what waits, in one go where stdout takes it.
    fn write(&mut self) -> io::Result<()> {
        while self.output != Output::Full && !self.out.is_empty() {
            match rustix::io::write(&self.stdout, self.out.waiting()) {
                Ok(count) => {
                    self.out.consume(count);
                    // A partial write means full: epoll(7).
                    if !self.out.is_empty() {
                        self.stdout_is_full()?;
                    }
                }
                Err(Errno::AGAIN) => self.stdout_is_full()?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if self.out.is_empty() && self.output == Output::Watched {
            self.stdout.unwatch(&self.poll)?;
            self.output = Output::Open;
        }
        if self.out.len() <= LOW_WATER {
            self.choked = false;
        }
        Ok(())
    }

    /// Writes no more until stdout says so. One that cannot be watched is never full.
    fn stdout_is_full(&mut self) -> io::Result<()> {
        if self.output == Output::Watched || self.stdout.watch(&self.poll, STDOUT, Interest::WRITABLE)? {
            self.output = Output::Full;
        }
        Ok(())
    }

    /// Whether the next timer is so late that the process was held up, and the answers that the timers wait for
    /// may be among what was not read yet. Then they have to wait a little more.
    fn may_have_missed_answers(&mut self, due: Option<Instant>, now: Instant) -> bool {
        const LATE: Duration = Duration::from_millis(50);
        const TURNS_MAX: u32 = 256;
        let is_late = due.is_some_and(|due| due + LATE < now);
        let has_more = self.lines_left || self.input == Input::Ready;
        let postpones = is_late && has_more && self.turns_postponed < TURNS_MAX;
        self.turns_postponed = if postpones { self.turns_postponed + 1 } else { 0 };
        postpones
    }

    /// Whether there is anything to do but to write.
    fn may_take_more(&self, now: Instant) -> bool {
        !self.choked && !self.is_stopping && now < self.gives_up_at()
    }

    /// When it will give up, at the latest; never as things stand if nothing has ended it yet.
    fn gives_up_at(&self) -> Instant {
        self.give_up_at.unwrap_or(Instant::END)
    }

    fn is_done<H: Handler>(&self, node: &Node<H>, now: Instant) -> bool {
        let is_late = self.gives_up_at() <= now;
        if self.is_stopping {
            return self.out.is_empty() || is_late;
        }
        // Set when the input has ended and was handled.
        let is_over = self.give_up_at.is_some();
        is_over && self.out.is_empty() && (is_late || node.is_idle())
    }

    fn now(&self) -> Instant {
        now(self.started)
    }
}

/// The signals that a node handles: SIGHUP only if whoever started it has not had it ignored.
fn signals() -> Vec<i32> {
    let mut signals = vec![SIGTERM, SIGINT, SIGUSR1];
    // The standard library has no way to ask, and Linux a file: proc(5).
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    if ignored & (1 << (SIGHUP - 1)) == 0 {
        signals.push(SIGHUP);
    }
    signals
}

fn now(started: Clock) -> Instant {
    Instant::START + started.elapsed().into()
}
