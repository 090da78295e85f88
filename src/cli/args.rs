//! What several subcommands share: arguments, and how they end.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};

use clap::Args;
use log::LevelFilter;
use messenger::time::Duration;
use messenger::workbench::checker::Verdict;
use messenger::workbench::workload;

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

/// Says on stderr what is wrong. Whoever reads it may have had enough.
pub fn complain(text: &dyn Display) {
    let _ = writeln!(io::stderr(), "messenger: {text}");
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

/// Seconds, with a fraction if need be, up to a day.
pub fn seconds(text: &str) -> Result<Duration, String> {
    span(text, 1.0, 86_400.0, "a number of seconds from 0 to 86400, such as 0.5")
}

/// Milliseconds, with a fraction if need be, up to a day.
pub fn millis(text: &str) -> Result<Duration, String> {
    span(text, 1e-3, 86_400_000.0, "a number of milliseconds from 0 to 86400000, such as 100")
}

fn span(text: &str, unit: f64, max: f64, expected: &str) -> Result<Duration, String> {
    let number: Option<f64> = text.parse().ok().filter(|number| (0.0..=max).contains(number));
    let number = number.ok_or_else(|| format!("expected {expected}"))?;
    Ok(std::time::Duration::from_secs_f64(number * unit).into())
}

/// A number of bytes, up to 1 GiB: `1000`, `64KiB`, `64MiB`.
pub fn size(text: &str) -> Result<usize, String> {
    const MAX: usize = 1 << 30;
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "" | "B" => 0,
        "KiB" | "K" => 10,
        "MiB" | "M" => 20,
        "GiB" | "G" => 30,
        unit => return Err(format!("expected a unit of KiB, MiB or GiB, found {unit}")),
    };
    let number: usize = digits.parse().map_err(|_| "expected a number of bytes, such as 64MiB".to_owned())?;
    number
        .checked_mul(1 << shift)
        .filter(|&size| (1..=MAX).contains(&size))
        .ok_or_else(|| "expected 1 byte to 1 GiB".to_owned())
}
