//! The command line of `messenger`, a file a subcommand (feature `cli`): what its arguments ask for.

mod args;
mod check;
mod explore;
mod grade;
mod help;
mod interrupt;
mod new;
mod node;
mod node_program;
mod options;
mod outcome;
mod own_node;
mod parse;
mod test;
mod trace;
mod workbench;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use self::args::{end, parsed};
pub use self::node_program::NodeProgram;
use self::options::with_workloads;
use self::own_node::{Messenger, OwnNode};
use self::workbench::WorkbenchCommand;
use crate::args::NodeArgs;

/// A node for Maelstrom, the workbench for learning distributed systems by writing your own.
///
/// Without a subcommand it is a node: it reads messages from stdin, one JSON object a line, and writes
/// its own to stdout. That is how Maelstrom starts it. It reports to stderr.
#[derive(Parser)]
#[command(name = "messenger", version, args_conflicts_with_subcommands = true, disable_help_subcommand = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    node: NodeArgs,
}

const EXAMPLES: &str = r#"Examples:
  Talk to it:
    echo '{"src":"c1","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1"]}}' | messenger
  Under Maelstrom:
    maelstrom test -w echo --bin "$(which messenger)" --node-count 1 --time-limit 10
    maelstrom test -w broadcast --bin "$(which messenger)" --node-count 25 --time-limit 20 --rate 100 --latency 100 -- node broadcast
  What is in a recording:
    messenger parse < messages.jsonl
  What happened between nodes that wrote trace files:
    messenger trace n1.jsonl n2.jsonl --svg messages.svg"#;

#[derive(Subcommand)]
#[allow(clippy::large_enum_variant, reason = "a process has one")]
enum Command {
    /// Run a node (the same as no subcommand, with a choice of workload)
    Node {
        /// What the node does
        #[arg(value_enum, default_value_t)]
        workload: node::Workload,
        /// The service of Maelstrom's that g-counter keeps everything in [default: none; its nodes tell each other]
        #[arg(long, value_enum, value_name = "SERVICE")]
        over: Option<node::Over>,
        #[command(flatten)]
        args: NodeArgs,
    },
    /// Print `PARSED: <src>|<dest>|<type>` for each message on stdin
    Parse(parse::ParseArgs),
    #[command(flatten)]
    Workbench(WorkbenchCommand),
    /// Make a folder with a small node to begin with, in Rust, Python, Go or JavaScript
    New(new::NewArgs),
    /// Print what makes a shell complete this command's arguments
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Print this command's manual, for `man -l -`
    Man,
    /// Print the help of a subcommand, or the messages of a workload
    Help(help::HelpArgs),
}

/// Does what the arguments of this process ask for: all that the binary `messenger` is.
pub fn main() -> ExitCode {
    let own = Messenger::default();
    let command = with_workloads(Cli::command(), own.workloads());
    let cli: Cli = match parsed(command.clone()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let done = |()| ExitCode::SUCCESS;
    end(match cli.command {
        None => node::run(node::Workload::default(), None, &cli.node).map(done),
        Some(Command::Node { workload, over, args }) => node::run(workload, over, &args).map(done),
        Some(Command::Parse(args)) => parse::run(&args).map(done),
        Some(Command::Workbench(command)) => {
            let own = Messenger { other: command.node() };
            command.run(&own)
        }
        Some(Command::New(args)) => Ok(new::run(&args)),
        Some(Command::Completions { shell }) => completions(shell, command).map(done),
        Some(Command::Man) => clap_mangen::Man::new(command).render(&mut io::stdout()).map(done),
        Some(Command::Help(args)) => Ok(help::run(&args, command, own.workloads())),
    })
}

fn completions(shell: clap_complete::Shell, mut command: clap::Command) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "messenger", &mut script);
    io::stdout().write_all(&script)
}
