//! `messenger help`: of the program, of a subcommand, or of a workload.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Args, Command};
use messenger::workbench::workload::{self, manual};

#[derive(Args)]
pub struct HelpArgs {
    /// A subcommand, or a workload of `messenger test`: its requests, replies and errors
    #[arg(value_name = "SUBCOMMAND|WORKLOAD")]
    topic: Option<String>,
}

/// Prints the help of a topic; without one that of the whole program.
pub fn run(args: &HelpArgs, mut program: Command) -> ExitCode {
    program.build();
    let text = match &args.topic {
        None => format!("{}\n{}", program.render_long_help(), workloads()),
        Some(topic) => {
            let subcommand = program.find_subcommand_mut(topic).map(|of| of.render_long_help().to_string());
            let workload = || workload::by_name(topic).map(manual);
            match subcommand.or_else(workload) {
                Some(text) => text,
                None => {
                    eprintln!("messenger: there is no help on {topic:?}: expected a subcommand or a workload");
                    eprint!("{}", workloads());
                    return ExitCode::from(UNUSABLE);
                }
            }
        }
    };
    // Whoever reads it may have had enough.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// The status of wrong arguments, as clap has it.
const UNUSABLE: u8 = 2;

fn workloads() -> String {
    let mut text = "Workloads (messenger help WORKLOAD has the messages of one):\n".to_owned();
    for workload in workload::ALL {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:<12} {}", workload.name(), workload.about());
    }
    text
}
