//! A program that is a node, and its own workbench.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use super::args::{called, end, file_name, greet, parsed, quoted};
use super::help;
use super::options::{node_parser, with_workloads};
use super::own_node::OwnNode;
use super::workbench::WorkbenchCommand;
use crate::args::NodeArgs;
use crate::node::{Config, Handler, Node};
use crate::reactor;
use crate::workbench::simulation;
use crate::workbench::workload::{self, Workload};
use crate::workbench::world::World;

/// A program that is a node on stdin and stdout, and with a subcommand tests itself: what [`main`](crate::main) makes
/// of a handler.
///
/// ```no_run
/// use std::process::ExitCode;
///
/// # use messenger::{Context, Handler, Request, RpcError};
/// #[derive(Default)]
/// struct MyNode;
///
/// impl Handler for MyNode {
///     // …
/// #    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
/// #        cx.reply(request, "echo_ok").send()
/// #    }
/// }
///
/// fn main() -> ExitCode {
///     // Another workload than Maelstrom's: `my-node test -w my-workload`.
/// #   let my_workload = &messenger::workbench::workload::echo::Echo;
///     messenger::cli::NodeProgram::new(MyNode::default).workload(my_workload).run()
/// }
/// ```
pub struct NodeProgram<F> {
    new: F,
    workloads: Vec<&'static dyn Workload>,
}

impl<H: Handler, F: Fn() -> H + Sync> NodeProgram<F> {
    /// A program whose nodes are what the function makes; in a test each start of a node makes one.
    pub fn new(new: F) -> Self {
        Self { new, workloads: workload::ALL.to_vec() }
    }

    /// Takes this workload under its name, too; in place of another one of that name.
    #[must_use]
    pub fn workload(mut self, workload: &'static dyn Workload) -> Self {
        self.workloads.retain(|other| other.name() != workload.name());
        self.workloads.push(workload);
        self
    }

    /// Does what the arguments of this process ask for.
    pub fn run(self) -> ExitCode {
        let command = with_own_words(with_workloads(Cli::command(), &self.workloads));
        let cli: Cli = match parsed(command.clone()) {
            Ok(cli) => cli,
            Err(code) => return code,
        };
        end(match cli.command {
            None => self.serve(&cli.node),
            Some(Command::Workbench(command)) => command.run(&self),
            Some(Command::Help(args)) => Ok(help::run(&args, command, &self.workloads)),
        })
    }

    fn serve(&self, args: &NodeArgs) -> std::io::Result<ExitCode> {
        reactor::log_to_stderr(args.log_level);
        greet();
        let mut node = Node::new((self.new)(), args.config());
        reactor::run(&mut node, &args.options()).map(|()| ExitCode::SUCCESS)
    }
}

/// The command line as that of a program of this name.
fn with_own_words(mut command: clap::Command) -> clap::Command {
    let name = file_name(&called());
    for subcommand in ["test", "explore"] {
        command = command.mut_subcommand(subcommand, |command| {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            command
                .after_help(text.replace("messenger ", &format!("{name} ")))
                .mut_arg("planted", |arg| arg.hide(true))
                // It has no other node than itself.
                .mut_arg("node", |arg| arg.hide(true).value_parser(node_parser(&[])))
        });
    }
    for (subcommand, about) in ABOUT_OWN {
        command = command.mut_subcommand(subcommand, |command| command.about(about));
    }
    command.bin_name(name)
}

/// What subcommands are about where it is one node that they are for.
const ABOUT_OWN: [(&str, &str); 3] = [
    (
        "test",
        "Test this node: start some, ask them as clients do, make things go wrong, and tell whether the answers are right",
    ),
    ("explore", "Try many seeds in virtual time; cut the first failure down, and show why"),
    ("grade", "Grade this node by a suite of tests and conversations"),
];

impl<H: Handler, F: Fn() -> H + Sync> OwnNode for NodeProgram<F> {
    fn command(&self) -> String {
        quoted(&called())
    }

    fn workloads(&self) -> &[&'static dyn Workload] {
        &self.workloads
    }

    fn name(&self, _: &str) -> String {
        file_name(&called())
    }

    fn is_example(&self) -> bool {
        false
    }

    fn has_node(&self, _: &str, is_planted: bool) -> bool {
        !is_planted
    }

    fn simulate(&self, world: &mut World, _: bool) {
        let answer_within = world.answer_within();
        simulation::run(world, |_, seed| {
            Box::new(Node::new((self.new)(), Config { seed, answer_within, ..Config::default() }))
        });
    }

    fn arguments(&self, _: &str) -> Vec<OsString> {
        Vec::new()
    }
}

/// A node for Maelstrom, with a workbench for it.
///
/// Without a subcommand it is the node: it reads messages from stdin, one JSON object a line, and writes its own to
/// stdout. That is how Maelstrom starts it. It reports to stderr.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Subcommand)]
#[allow(clippy::large_enum_variant, reason = "a process has one")]
enum Command {
    #[command(flatten)]
    Workbench(WorkbenchCommand),
    /// Print the help of a subcommand, or the messages of a workload
    Help(help::HelpArgs),
}
