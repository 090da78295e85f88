//! `messenger trace`: what happened between nodes, by their trace files.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::reactor;
use crate::wire::lines::{LineBuffer, NextLine};
use crate::workbench::trace::recording::Recording;
use crate::workbench::trace::svg::diagram;
use crate::workbench::trace::transfer::{Filter, Log, start};
use clap::Args;
use log::warn;

use super::args::LogArgs;

/// Lines at the beginning of a file that are looked at before it is taken for something else.
const PROBED: u64 = 10;

/// More than a node reads by default, with what a record adds to it.
const MAX_LINE: usize = 65 << 20;

/// Half a gigabyte of memory, or so.
const MAX_RECORDS: usize = 500_000;

#[derive(Args)]
pub struct TraceArgs {
    /// Trace files, one of each node, or the journal.jsonl of a test; - for stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Show only messages to or from this node (may be repeated, like the next two)
    #[arg(long = "node", value_name = "NODE")]
    nodes: Vec<String>,
    /// Show only messages whose other end is this one
    #[arg(long = "peer", value_name = "PEER")]
    peers: Vec<String>,
    /// Show only messages of this type
    #[arg(long = "type", value_name = "TYPE")]
    kinds: Vec<String>,
    /// Draw a sequence diagram into this file, too
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Draw at most so many messages
    #[arg(long, value_name = "COUNT", default_value_t = 500)]
    limit: usize,
    #[command(flatten)]
    log: LogArgs,
}

pub fn run(args: TraceArgs) -> io::Result<()> {
    reactor::log_to_stderr(args.log.log_level);
    let mut recording = Recording::new(MAX_RECORDS);
    for path in &args.files {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        if path == Path::new("-") {
            read(&mut recording, path, io::stdin().lock()).map_err(named)?;
        } else {
            File::open(path).and_then(|file| read(&mut recording, path, file)).map_err(named)?;
        }
    }
    if recording.forgotten() > 0 {
        warn!("only the first {MAX_RECORDS} records are shown, {} later ones are not", recording.forgotten());
    }

    let mut transfers = recording.into_transfers();
    let start = start(&transfers);
    let filter = Filter { nodes: args.nodes, peers: args.peers, kinds: args.kinds };
    transfers.retain(|transfer| filter.matches(transfer));
    if let Some(path) = args.svg {
        fs::write(&path, diagram(&transfers, start, args.limit))
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    }
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    write!(stdout, "{}", Log { transfers: &transfers, start })?;
    stdout.flush()
}

/// Adds what is in a file, and reports what is no record.
fn read(recording: &mut Recording, path: &Path, mut file: impl Read) -> io::Result<()> {
    let mut lines = LineBuffer::new(MAX_LINE);
    let (mut number, mut records) = (0, 0);
    let mut add = |line: NextLine<'_>| {
        number += 1;
        let path = path.display();
        match line {
            NextLine::Line(line) => {
                match recording.add(line) {
                    Ok(()) => records += 1,
                    // Not a line of complaint for each line of what was never meant.
                    Err(error) if records == 0 && number >= PROBED => {
                        let text =
                            format!("none of the first {PROBED} lines is a record of a trace: {error}");
                        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                    }
                    Err(error) => warn!("{path}: line {number}: {error}"),
                }
            }
            NextLine::TooLong(length) => {
                warn!("{path}: line {number}: {length} bytes are more than a line may have: skipped");
            }
        }
        Ok(())
    };
    loop {
        let count = file.read(lines.space())?;
        lines.filled(count);
        for line in lines.lines() {
            add(line)?;
        }
        if count == 0 {
            return lines.last_line().map_or(Ok(()), add);
        }
    }
}
