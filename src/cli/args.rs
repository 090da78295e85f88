//! What several subcommands share: arguments, and how they end.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use crate::args::{millis, seconds, size};
use crate::workbench::checker::Verdict;
use crate::workbench::workload;
use anstyle::AnsiColor;
use clap::Args;
use log::LevelFilter;

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
    let called = std::env::args_os().next().map(PathBuf::from);
    let name = called.as_deref().and_then(Path::file_name).unwrap_or("messenger".as_ref()).display();
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
