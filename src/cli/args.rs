//! What several subcommands share: arguments, and how they end.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::process::ExitCode;

pub use crate::args::{millis, seconds, size};
use crate::workbench::checker::Verdict;
use crate::workbench::workload;
use anstyle::AnsiColor;
use clap::{Args, FromArgMatches};
use log::{LevelFilter, info};

/// Exit status: the arguments make no sense. Jepsen's, as all of these.
pub const INVALID_ARGUMENTS: u8 = 254;

/// Exit status: something kept the test from its end.
pub const NOT_ENDED: u8 = 255;

/// The exit status for a verdict.
pub const fn status(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Valid => 0,
        Verdict::Invalid => 1,
        Verdict::Unknown => 2,
    }
}

/// Writes to stdout what a program reads: all of it, unless nobody reads on.
pub fn print(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        // Whoever reads it may have had enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// The exit status of what could not be run.
pub fn refuse(error: &io::Error) -> ExitCode {
    complain(error);
    ExitCode::from(if error.kind() == io::ErrorKind::InvalidInput { INVALID_ARGUMENTS } else { NOT_ENDED })
}

#[derive(Args)]
pub struct LogArgs {
    /// What to report on stderr: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: LevelFilter,
}

/// A word in the colour of its verdict. Print it by [`show`], which leaves the colour out where none is wanted.
pub fn coloured(verdict: Verdict, word: &str) -> String {
    let colour = match verdict {
        Verdict::Valid => AnsiColor::Green,
        Verdict::Invalid => AnsiColor::Red,
        Verdict::Unknown => AnsiColor::Yellow,
    };
    let style = colour.on_default().bold();
    format!("{style}{word}{style:#}")
}

/// Prints a text for people, with its colours on a terminal only, and not if `NO_COLOR` is set. Whoever reads it may have
/// had enough.
pub fn show(text: &str) {
    let _ = anstream::stdout().write_all(text.as_bytes());
}

/// Says on stderr what is wrong, under the name of this program. Whoever reads it may have had enough.
pub fn complain(text: &dyn Display) {
    let style = AnsiColor::Red.on_default().bold();
    let name = file_name(&called());
    let _ = writeln!(anstream::stderr(), "{style}{name}{style:#}: {text}");
}

/// Says what was perhaps meant by arguments that make no sense: `messenger echo`, `messenger -w echo`.
pub fn suggest(given: impl Iterator<Item = OsString>) {
    let words: Vec<String> = given.skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let meant = match &*words {
        [name, rest @ ..] if workload::by_name(name).is_some() => format!("-w {name} {}", rest.join(" ")),
        [flag, ..] if flag == "-w" || flag == "--workload" || flag.starts_with("--workload=") => {
            words.join(" ")
        }
        _ => return,
    };
    let _ = writeln!(io::stderr(), "\nDid you mean `messenger test {}`?", meant.trim_end());
}

/// The arguments of this process; how it ends, if they make no sense or ask for help.
pub fn parsed<C: FromArgMatches>(command: clap::Command) -> Result<C, ExitCode> {
    let mut usage = command.clone();
    let matches = command.try_get_matches();
    let parsed =
        matches.and_then(|matches| C::from_arg_matches(&matches).map_err(|error| error.format(&mut usage)));
    parsed.map_err(|error| {
        // Whoever reads it may have had enough.
        let _ = error.print();
        if error.exit_code() == 0 {
            return ExitCode::SUCCESS;
        }
        suggest(std::env::args_os());
        ExitCode::from(INVALID_ARGUMENTS)
    })
}

/// Tells whoever started a node at a terminal, and wonders why nothing happens, what else there is.
pub fn greet() {
    if io::stdin().is_terminal() {
        let name = file_name(&called());
        info!(
            "this is a node, which waits for messages; `{name} test -w echo` tests it, `{name} --help` tells more"
        );
    }
}

/// How the process ends.
pub fn end(outcome: io::Result<ExitCode>) -> ExitCode {
    match outcome {
        Ok(code) => code,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// This program as it was called.
pub fn called() -> OsString {
    std::env::args_os().next().unwrap_or_else(|| "node".into())
}

/// The name of a program without its folder.
pub fn file_name(program: &OsStr) -> String {
    let name = Path::new(program).file_name().unwrap_or(program);
    quoted(name)
}

/// A word as a shell takes it for one, whatever bytes it has.
pub fn quoted(word: &OsStr) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    match word.to_str() {
        Some(word) if !word.is_empty() && word.chars().all(is_plain) => word.to_owned(),
        Some(word) if !word.contains(char::is_control) => format!("'{}'", word.replace('\'', r"'\''")),
        _ => format!("$'{}'", word.as_encoded_bytes().escape_ascii()),
    }
}

/// What nodes say may have anything in it, and a terminal obeys.
pub fn harmless(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}
