//! The file of a trace, which must not hold up the node: a disk may be slow, and a pipe may be full.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::mem;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ::log::error;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// So many bytes of trace wait for the file. A line that does not fit is dropped and counted.
const WAITING_MAX: usize = 4 * 1024 * 1024;

/// How long the end of a node waits for the end of its trace.
const PATIENCE: Duration = Duration::from_secs(1);

/// What stands for the node's id in the name of its file.
const NODE: &str = "{node}";

/// What a file is called whose node never learned its id.
const NOBODY: &str = "no-init";

/// A file that a thread of its own writes.
#[derive(Debug)]
pub(super) enum TraceFile {
    /// Nobody asked for one.
    Unwanted,
    /// Its name is not known yet.
    Nameless(PathBuf),
    /// It is written.
    Open(Arc<Shared>),
    /// It could not be opened when its name was known.
    Failed,
}

/// What the reactor hands to the writer.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    is_writing: bool,
    /// Lines that were lost since somebody asked.
    dropped: u64,
}

impl TraceFile {
    /// The file of that name, if that is wanted.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub(super) fn new(path: Option<PathBuf>) -> io::Result<Self> {
        Ok(match path {
            None => Self::Unwanted,
            Some(path) if path.to_string_lossy().contains(NODE) => Self::Nameless(path),
            Some(path) => Self::Open(create(&path)?),
        })
    }

    pub(super) const fn is_wanted(&self) -> bool {
        !matches!(self, Self::Unwanted)
    }

    /// Takes the node's lines; how many lines were lost since the last time. The file that waits for the node's id
    /// is opened when there is one. If that fails the node goes on without.
    pub(super) fn write(&mut self, lines: &mut Vec<u8>, node: Option<&str>) -> u64 {
        if let (Self::Nameless(path), Some(node)) = (&*self, node) {
            let path = path.to_string_lossy().replace(NODE, &file_name(node));
            *self = create(Path::new(&path)).map_or_else(
                |error| {
                    error!("{error}: there will be no trace");
                    Self::Failed
                },
                Self::Open,
            );
        }
        match self {
            Self::Unwanted => 0,
            Self::Nameless(_) => drop_beyond(lines, WAITING_MAX),
            Self::Failed => drop_beyond(lines, 0),
            Self::Open(shared) => {
                let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
                let room = WAITING_MAX.saturating_sub(state.waiting.len());
                state.dropped += drop_beyond(lines, room);
                if !lines.is_empty() {
                    state.waiting.append(lines);
                    shared.changed.notify_all();
                }
                mem::take(&mut state.dropped)
            }
        }
    }

    /// Waits a moment for the last lines to be written; how many lines were lost.
    pub(super) fn close(mut self, lines: &mut Vec<u8>) -> u64 {
        let mut dropped = self.write(lines, Some(NOBODY));
        if let Self::Open(shared) = &self {
            let state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            let is_busy = |state: &mut State| state.is_writing || !state.waiting.is_empty();
            let waited = shared.changed.wait_timeout_while(state, PATIENCE, is_busy);
            let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            dropped += state.dropped + drop_beyond(&mut state.waiting, 0);
            if timeout.timed_out() {
                error!("the end of the trace was not written: its file takes too long");
            }
        }
        dropped
    }
}

/// Opens a file to add to it, and starts the thread that writes it. What is there stays: a node that is started again
/// writes on, and several nodes may write to one file.
fn create(path: &Path) -> io::Result<Arc<Shared>> {
    let name = path.display().to_string();
    // A pipe that nobody reads would make us wait. To write it may make the thread wait.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().append(true).create(true).custom_flags(flags).open(path);
    let file = file.and_then(|file| {
        fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
        // While another node writes, its last line may look as if it had no end.
        if !matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            end_last_line(path, &file);
        }
        // For as long as the file is open. Nobody waits for a lock: at worst one node less tells the next that it writes.
        let _ = file.try_lock_shared();
        Ok(file)
    });
    let file = file.map_err(|error| io::Error::new(error.kind(), format!("trace file {name:?}: {error}")))?;
    let shared = Arc::new(Shared::default());
    let writer = Arc::clone(&shared);
    thread::Builder::new().name("trace".into()).spawn(move || write_all(&writer, file, &name))?;
    Ok(shared)
}

/// Ends the line in which a disk was full the last time, lest the first new one is taken for its end.
fn end_last_line(path: &Path, mut file: &File) {
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    let last_byte = || -> io::Result<u8> {
        let (mut file, mut last) = (File::open(path)?, [0]);
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        Ok(last[0])
    };
    if is_file && last_byte().is_ok_and(|last| last != b'\n') {
        // If that fails so will the first line.
        let _ = file.write_all(b"\n");
    }
}

/// Writes whatever comes, for ever. After an error it counts what comes.
///
/// Each write hands over whole lines, and a file that is open for appending takes them in one piece, whoever else
/// writes to it: open(2). A pipe takes only so much in one piece, so a pipe of several nodes gets short ones.
fn write_all(shared: &Shared, mut file: File, name: &str) {
    let is_pipe = file.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo());
    let mut lines = Vec::new();
    let mut has_failed = false;
    let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        state = shared
            .changed
            .wait_while(state, |state| state.waiting.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut state.waiting, &mut lines);
        state.is_writing = true;
        drop(state);
        let mut written = 0;
        while !has_failed && written < lines.len() {
            let rest = &lines[written..];
            let piece = if is_pipe { &rest[..whole_lines_within(rest, PIPE_BUF)] } else { rest };
            match file.write(piece) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    error!("trace file {name:?}: {error}: the trace ends here");
                    has_failed = true;
                }
            }
        }
        state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A line that is not all there is missing.
        state.dropped += memchr::memchr_iter(b'\n', &lines[written..]).count() as u64;
        lines.clear();
        state.is_writing = false;
        shared.changed.notify_all();
    }
}

/// What a pipe takes whole or not at all: pipe(7).
const PIPE_BUF: usize = 4096;

/// How many bytes of so many whole lines are no more than `room`; at least one line.
fn whole_lines_within(lines: &[u8], room: usize) -> usize {
    let last = memchr::memrchr(b'\n', &lines[..room.min(lines.len())]);
    last.or_else(|| memchr::memchr(b'\n', lines)).map_or(lines.len(), |newline| newline + 1)
}

/// Cuts off the lines that do not fit into so many bytes; how many those are.
fn drop_beyond(lines: &mut Vec<u8>, room: usize) -> u64 {
    if lines.len() <= room {
        return 0;
    }
    let kept = memchr::memrchr(b'\n', &lines[..room]).map_or(0, |newline| newline + 1);
    let dropped = memchr::memchr_iter(b'\n', &lines[kept..]).count();
    lines.truncate(kept);
    dropped as u64
}

/// The node's id, as far as it may be part of a file's name.
fn file_name(node: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    node.chars().take(64).map(|c| if is_plain(c) { c } else { '_' }).collect()
}
