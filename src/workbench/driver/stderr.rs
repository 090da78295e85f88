//! The stderr of a node that is a process: written to its log, cut into lines, the newest of which are kept.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;

use mio::unix::pipe::Receiver;

/// Maximum bytes of a line; of a longer one its beginning is told, and that it was cut.
const LINE_MAX: usize = 64 * 1024;

/// Maximum lines that are kept for an explanation: the newest.
const LAST_WORDS: usize = 10;

/// Maximum bytes of a node's stderr in its log, however often it is started. What comes later is left out, and the log
/// says so.
const LOG_MAX: u64 = 64 * 1024 * 1024;

/// Maximum reads from a pipe of a node at a time, lest it keep others waiting.
pub(super) const READS: usize = 16;

/// Bytes that are read at a time.
const READ_SIZE: usize = 64 * 1024;

/// The stderr of a process.
pub(super) struct Stderr {
    pipe: Receiver,
    /// There may be something to read.
    pub(super) is_ready: bool,
    read: Box<[u8]>,
    begun: Begun,
    log: Log,
    last_words: VecDeque<String>,
}

impl Stderr {
    /// What comes out of this pipe, and goes to the log of this path.
    pub(super) fn new(pipe: Receiver, log: PathBuf) -> io::Result<Self> {
        Ok(Self {
            pipe,
            is_ready: false,
            read: vec![0; READ_SIZE].into(),
            begun: Begun::default(),
            log: Log::open(log)?,
            last_words: VecDeque::new(),
        })
    }

    /// Reads what there is into the log. Each line that became whole is told.
    pub(super) fn read(&mut self, mut tell: impl FnMut(&Line)) -> io::Result<()> {
        for _ in 0..READS {
            if !self.is_ready {
                return Ok(());
            }
            let count = match self.pipe.read(&mut self.read) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => 0,
            };
            if count == 0 {
                self.is_ready = false;
                return Ok(());
            }
            let read = &self.read[..count];
            self.log.append(read)?;
            for part in read.split_inclusive(|&byte| byte == b'\n') {
                let ended = part.strip_suffix(b"\n");
                self.begun.extend(ended.unwrap_or(part));
                if ended.is_some() {
                    let line = self.begun.end();
                    tell(&line);
                    keep(&mut self.last_words, line);
                }
            }
        }
        Ok(())
    }

    /// The last lines, with what came after the last newline.
    pub(super) fn last_words(&mut self) -> Vec<String> {
        if self.begun.length > 0 {
            keep(&mut self.last_words, self.begun.end());
        }
        self.last_words.drain(..).collect()
    }
}

fn keep(last_words: &mut VecDeque<String>, line: Line) {
    if last_words.len() == LAST_WORDS {
        last_words.pop_front();
    }
    last_words.push_back(line.text);
}

/// A line of stderr.
pub(super) struct Line {
    text: String,
    is_cut: bool,
}

impl Line {
    /// The line without its newline; the beginning of one that was cut, and that it was.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it was longer than [`LINE_MAX`].
    pub(super) const fn is_cut(&self) -> bool {
        self.is_cut
    }
}

/// What came so far of a line whose newline did not.
#[derive(Default)]
struct Begun {
    beginning: Vec<u8>,
    length: u64,
}

impl Begun {
    fn extend(&mut self, part: &[u8]) {
        let room = LINE_MAX - self.beginning.len();
        self.beginning.extend_from_slice(&part[..part.len().min(room)]);
        self.length += part.len() as u64;
    }

    /// The line, and the beginning of the next one.
    fn end(&mut self) -> Line {
        let Self { beginning, length } = self;
        let is_cut = *length > beginning.len() as u64;
        let mut text = String::from_utf8_lossy(beginning).into_owned();
        if is_cut {
            text = format!("{text}… (cut: the line has {length} bytes)");
        }
        beginning.clear();
        *length = 0;
        Line { text, is_cut }
    }
}

/// The log of a node. One that is started again goes on with it.
struct Log {
    file: File,
    path: PathBuf,
    /// Only with the words that it ends is it longer than [`LOG_MAX`].
    length: u64,
}

impl Log {
    fn open(path: PathBuf) -> io::Result<Self> {
        let opened = File::options().create(true).append(true).open(&path);
        let opened = opened.and_then(|file| Ok((file.metadata()?.len(), file)));
        match opened {
            Ok((length, file)) => Ok(Self { file, path, length }),
            Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        }
    }

    /// Writes what fits.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(room) = LOG_MAX.checked_sub(self.length) else { return Ok(()) };
        let fitting = usize::try_from(room).map_or(bytes, |room| &bytes[..bytes.len().min(room)]);
        self.write(fitting)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.path.display())))?;
        if fitting.len() < bytes.len() {
            self.write(
                format!("\n(the log ends here: it would be longer than {LOG_MAX} bytes)\n").as_bytes(),
            )?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }
}
