//! `messenger parse`: who said what to whom.

use std::io::{self, Read, Write};

use crate::json;
use crate::reactor;
use crate::wire::envelope::{SchemaError, UncheckedEnvelope};
use crate::wire::lines::{LineBuffer, NextLine};
use clap::Args;
use log::warn;

use super::args::{LogArgs, size};

#[derive(Args)]
pub struct ParseArgs {
    /// Skip lines longer than this (bytes, or with KiB, MiB, GiB)
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size)]
    max_line: usize,
    #[command(flatten)]
    log: LogArgs,
}

/// Prints the gist of each message, and reports what is none.
pub fn run(args: &ParseArgs) -> io::Result<()> {
    reactor::log_to_stderr(args.log.log_level);
    let mut lines = LineBuffer::new(args.max_line);
    let (mut stdin, mut stdout) = (io::stdin().lock(), io::BufWriter::new(io::stdout().lock()));
    let mut parser = json::parser::Parser::new();
    let mut number = 0;
    loop {
        let count = stdin.read(lines.space())?;
        lines.filled(count);
        for line in lines.lines() {
            number += 1;
            print_gist(&mut parser, number, line, &mut stdout)?;
        }
        if count == 0 {
            if let Some(line) = lines.last_line() {
                print_gist(&mut parser, number + 1, line, &mut stdout)?;
            }
            return stdout.flush();
        }
        stdout.flush()?;
    }
}

fn print_gist(
    parser: &mut json::parser::Parser,
    number: u64,
    line: NextLine<'_>,
    out: &mut impl Write,
) -> io::Result<()> {
    let line = match line {
        NextLine::Line(line) => line,
        NextLine::TooLong(length) => {
            warn!("line {number}: {length} bytes are more than a line may have: skipped");
            return Ok(());
        }
    };
    let unchecked = match UncheckedEnvelope::parse(parser, line) {
        Ok(unchecked) => unchecked,
        Err(error) => {
            warn!("line {number}: not JSON: {error}");
            return Ok(());
        }
    };
    let gist = || -> Result<String, SchemaError> {
        let (src, dest, _) = (unchecked.src()?, unchecked.dest()?, unchecked.body()?);
        let kind = if unchecked.has_kind() { unchecked.kind()? } else { "unknown".into() };
        let gist = format!("PARSED: {src}|{dest}|{kind}");
        // A name may have any character; a line of output and a terminal may not.
        let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
        Ok(if gist.contains(char::is_control) { gist.chars().map(shown).collect() } else { gist })
    };
    match gist() {
        Ok(gist) => writeln!(out, "{gist}"),
        Err(error) => {
            warn!("line {number}: not a message: {error}");
            Ok(())
        }
    }
}
