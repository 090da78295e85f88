//! The log on stderr, which must not hold up the node.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::panic;

use ::log::{LevelFilter, error, info};
use rustix::fs::{FileType, OFlags, fstat};
use rustix::io::Errno;

use super::fd::open_again;

/// The target of records that are lines of JSON, which stand for themselves.
const REPORT: &str = "messenger::report";

/// Sends a report to the log, at level info.
pub(super) fn report(json: &str) {
    info!(target: REPORT, "{json}");
}

/// Sends the log to stderr, one line a record, up to this level, and panics to the log. A logger that the
/// process has already stays.
///
/// Where stderr is a pipe that nobody empties, lines are lost rather than the node blocked; how many
/// is said once there is room again.
pub fn log_to_stderr(level: LevelFilter) {
    let _ = env_logger::Builder::new()
        .filter_level(level)
        .format(|line, record| {
            if record.target() == REPORT {
                return writeln!(line, "{}", record.args());
            }
            writeln!(line, "messenger: {}: {}", record.level().as_str().to_lowercase(), record.args())
        })
        .target(env_logger::Target::Pipe(Box::new(Stderr::open())))
        .try_init();
    // The hook that every program starts with writes to stderr itself, and would wait for it.
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
        error!("a panic at {place}: {text}");
    }));
}

/// What a pipe takes whole or not at all: pipe(7).
const PIPE_BUF: usize = 4096;

/// Stderr; a pipe through a non-blocking description of our own.
struct Stderr {
    pipe: Option<OwnedFd>,
    lost: u64,
}

impl Stderr {
    fn open() -> Self {
        let stderr = rustix::stdio::stderr();
        let is_pipe = fstat(stderr).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
        Self { pipe: if is_pipe { open_again(stderr, OFlags::WRONLY) } else { None }, lost: 0 }
    }
}

impl Write for Stderr {
    /// Takes all of `record` or, where it would block, loses it. What is too long to be written in one piece
    /// is cut: never an error, never a part.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let whole = record.len();
        let mut cut;
        let record = if whole <= PIPE_BUF {
            record
        } else {
            cut = record[..PIPE_BUF].to_vec();
            cut[PIPE_BUF - 1] = b'\n';
            &cut
        };
        let Some(pipe) = &self.pipe else {
            return io::stderr().write_all(record).map(|()| whole);
        };
        if self.lost > 0 {
            let notice = format!("messenger: warn: {} log lines lost: stderr was full\n", self.lost);
            if rustix::io::write(pipe, notice.as_bytes()).is_ok() {
                self.lost = 0;
            }
        }
        if let Err(Errno::AGAIN) = rustix::io::write(pipe, record) {
            self.lost += 1;
        }
        Ok(whole)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
