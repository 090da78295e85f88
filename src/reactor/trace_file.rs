//! The file of a trace, which must not hold up the node: a disk may be slow, and a pipe may be full.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;

use log::error;

use crate::time::Duration;

/// So many pieces wait for the file. More stay with the node, until that drops them.
const PIECES_WAITING: usize = 2;

/// What stands for the node's id in the name of its file.
const NODE: &str = "{node}";

/// A file that a thread of its own writes.
#[derive(Debug)]
pub(super) enum TraceFile {
    /// Nobody asked for one.
    Unwanted,
    /// Its name is not known yet.
    Nameless(PathBuf),
    /// It is written.
    Open(Writer),
}

#[derive(Debug)]
pub(super) struct Writer {
    pieces: SyncSender<Vec<u8>>,
    is_written: Receiver<()>,
}

impl TraceFile {
    /// The file of that name, if that is wanted.
    pub(super) fn new(path: Option<PathBuf>) -> io::Result<Self> {
        Ok(match path {
            None => Self::Unwanted,
            Some(path) if path.to_string_lossy().contains(NODE) => Self::Nameless(path),
            Some(path) => Self::Open(Writer::create(&path)?),
        })
    }

    pub(super) const fn is_wanted(&self) -> bool {
        !matches!(self, Self::Unwanted)
    }

    /// Opens the file, if it waits for the node's id and here it is.
    pub(super) fn open(&mut self, node: Option<&str>) -> io::Result<()> {
        if let (Self::Nameless(path), Some(node)) = (&*self, node) {
            // A name with a separator would be somewhere else.
            let node = node.replace(std::path::is_separator, "_");
            let path = path.to_string_lossy().replace(NODE, &node).into();
            *self = Self::Open(Writer::create(&path)?);
        }
        Ok(())
    }

    /// Takes the lines, if there is room for them.
    pub(super) fn write(&self, lines: &mut Vec<u8>) {
        if let Self::Open(writer) = self
            && !lines.is_empty()
            && let Err(TrySendError::Full(piece) | TrySendError::Disconnected(piece)) =
                writer.pieces.try_send(mem::take(lines))
        {
            *lines = piece;
        }
    }

    /// Writes the last lines, if that takes no longer than `patience`.
    pub(super) fn close(self, lines: Vec<u8>, patience: Duration) {
        let Self::Open(Writer { pieces, is_written }) = self else { return };
        thread::spawn(move || pieces.send(lines));
        if is_written.recv_timeout(patience.into()).is_err() {
            error!("the end of the trace was not written: its file takes too long");
        }
    }
}

impl Writer {
    /// Starts a new file.
    fn create(path: &PathBuf) -> io::Result<Self> {
        let name = path.display().to_string();
        let mut file = File::create(path)
            .map_err(|error| io::Error::new(error.kind(), format!("trace file {name:?}: {error}")))?;
        let (pieces, incoming) = mpsc::sync_channel::<Vec<u8>>(PIECES_WAITING);
        let (written, is_written) = mpsc::sync_channel(1);
        thread::Builder::new().name("trace".into()).spawn(move || {
            if let Err(error) = incoming.iter().try_for_each(|piece| file.write_all(&piece)) {
                error!("trace file {name:?}: {error}: the trace ends here");
                // What comes is still to be taken, or the node would count it as dropped for want of room.
                incoming.iter().for_each(drop);
            }
            let _ = written.send(());
        })?;
        Ok(Self { pieces, is_written })
    }
}
