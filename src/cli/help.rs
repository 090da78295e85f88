//! `messenger help`: of the program, of a subcommand, or of a workload.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::workbench::workload::Workload;
use crate::workbench::workload::manual::manual;
use clap::{Args, Command};

use super::args::{INVALID_ARGUMENTS, complain};

#[derive(Args)]
pub struct HelpArgs {
    /// A subcommand, or a workload of `messenger test`: its requests, replies and errors
    #[arg(value_name = "SUBCOMMAND|WORKLOAD")]
    topic: Option<String>,
}

/// Prints the help of a topic; without one that of the whole program.
pub fn run(args: &HelpArgs, mut program: Command, all: &[&'static dyn Workload]) -> ExitCode {
    program.build();
    let Some(text) = help(args.topic.as_deref(), &mut program, all) else {
        let topic = args.topic.as_deref().unwrap_or_default();
        let expected = "expected a subcommand or a workload";
        complain(&format_args!("there is no help on {topic:?}: {expected}\n\n{}", workloads(all)));
        return ExitCode::from(INVALID_ARGUMENTS);
    };
    // Whoever reads it may have had enough.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// The text of a topic, if there is such a topic.
fn help(topic: Option<&str>, program: &mut Command, all: &[&'static dyn Workload]) -> Option<String> {
    let Some(topic) = topic else {
        return Some(format!("{}\n{}", program.render_long_help(), workloads(all)));
    };
    if let Some(subcommand) = program.find_subcommand_mut(topic) {
        return Some(subcommand.render_long_help().to_string());
    }
    all.iter().find(|workload| workload.name() == topic).map(|workload| manual(*workload))
}

fn workloads(all: &[&'static dyn Workload]) -> String {
    let mut text = "Workloads (help WORKLOAD has the messages of one):\n".to_owned();
    for workload in all {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:<15} {}", workload.name(), workload.about());
    }
    text
}
