//! `messenger check`: judges a history that somebody else made.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::workbench::checker::Verdict;
use crate::workbench::history_file::{self, Limits};
use crate::workbench::settings::{Settings, TxnOptions};
use crate::workbench::verdict::Judgement;
use crate::workbench::workload::{self, Workload};
use clap::Args;

use super::args::{NOT_ENDED, coloured, complain, show, status};
use super::options::{Models, models, workload_parser};

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// What the history is a test of
    #[arg(short, long, value_parser = workload_parser(&workload::ALL))]
    workload: &'static dyn Workload,
    /// Jepsen's history.edn, elle-cli's JSON, or a history.jsonl of messenger test; - for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What transactions have to keep: consistency models, with commas between them
    #[arg(long, value_name = "MODELS", default_value = "strict-serializable", value_parser = models)]
    consistency_models: Models,
    /// Write the history to stdout as Jepsen has it, and judge nothing
    #[arg(long, conflicts_with = "json")]
    edn: bool,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  What Maelstrom's newest test says of a node:
    messenger check -w kafka store/latest/history.edn
  A history of this workbench, for others to read:
    messenger check -w broadcast store/latest/history.jsonl --edn > history.edn

Of a history at most 4 GiB are kept in memory, some four million transactions; a longer one is refused.

Exit status: 0 valid, 1 invalid, 2 unknown, 254 wrong arguments, 255 anything that kept it from being judged.";

/// Reads and judges the file.
pub fn run(args: &CheckArgs) -> ExitCode {
    match check(args) {
        Ok(verdict) => ExitCode::from(status(verdict)),
        // Whoever read the output has enough of it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format_args!("{}: {error}", args.file.display()));
            ExitCode::from(NOT_ENDED)
        }
    }
}

fn check(args: &CheckArgs) -> io::Result<Verdict> {
    let workload = args.workload;
    let limits = Limits::default();
    let history = if args.file == Path::new("-") {
        history_file::read(io::stdin().lock(), workload, limits)
    } else {
        history_file::read(BufReader::with_capacity(1 << 16, File::open(&args.file)?), workload, limits)
    };
    let history = history.map_err(io::Error::other)?;
    let mut stdout = BufWriter::new(io::stdout().lock());
    if args.edn {
        history_file::write_edn(&history, workload, &mut stdout)?;
        stdout.flush()?;
        return Ok(Verdict::Valid);
    }
    let transactions = TxnOptions { models: args.consistency_models.0.clone(), ..TxnOptions::default() };
    let settings = Settings { transactions, ..Settings::default() };
    let judgement = Judgement::of(&history, workload, &settings, None);
    if args.json {
        writeln!(stdout, "{:#}", judgement.json())?;
    } else {
        drop(stdout);
        show(&summary(&judgement, history.len()));
        return Ok(judgement.verdict);
    }
    stdout.flush()?;
    Ok(judgement.verdict)
}

/// The verdict, what was found, and why.
fn summary(judgement: &Judgement, operations: usize) -> String {
    let verdict = match judgement.verdict {
        Verdict::Valid => "valid",
        Verdict::Invalid => "INVALID",
        Verdict::Unknown => "unknown",
    };
    let verdict = coloured(judgement.verdict, verdict);
    let mut text = format!("{verdict}: {operations} operations\n");
    for (name, found) in [("anomalies", judgement.finding.anomalies()), ("not", judgement.finding.refuted())]
    {
        if !found.is_empty() {
            text += &["  ", name, ": ", &found.join(", "), "\n"].concat();
        }
    }
    for sentence in judgement.explain() {
        text += &["  ", &sentence, "\n"].concat();
    }
    text
}
