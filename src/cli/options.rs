//! Options that `test`, `explore` and `check` share.

use std::io::{self, ErrorKind};

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::nodes::own::OtherNode;
use crate::workbench::checker::models::{Model, ModelError};
use crate::workbench::fault::Fault;
use crate::workbench::network::Distribution;
use crate::workbench::settings::Settings;
use crate::workbench::workload::Workload;

/// A list would be taken for several values by the parser of the command line.
#[derive(Clone)]
pub struct Models(pub Vec<Model>);

pub fn models(text: &str) -> Result<Models, ModelError> {
    Model::parse_list(text).map(Models)
}

#[derive(Clone, Copy)]
pub enum Concurrency {
    Clients(usize),
    PerNode(usize),
}

#[derive(Clone, Copy)]
pub enum Rate {
    PerSecond(f64),
    Max,
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub enum LatencyDist {
    #[default]
    Constant,
    Uniform,
    Exponential,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Nemesis {
    /// Some nodes do not hear some others; everybody hears the services
    Partition,
    /// Nodes are killed, and started again with nothing but their disks
    Kill,
    /// Nodes stop, and go on
    Pause,
    /// Messages between nodes get lost
    Loss,
    /// Messages between nodes come twice
    Duplicate,
}

impl From<LatencyDist> for Distribution {
    fn from(spread: LatencyDist) -> Self {
        match spread {
            LatencyDist::Constant => Self::Constant,
            LatencyDist::Uniform => Self::Uniform,
            LatencyDist::Exponential => Self::Exponential,
        }
    }
}

impl From<Nemesis> for Fault {
    fn from(nemesis: Nemesis) -> Self {
        match nemesis {
            Nemesis::Partition => Self::Partition,
            Nemesis::Kill => Self::Kill,
            Nemesis::Pause => Self::Pause,
            Nemesis::Loss => Self::Loss,
            Nemesis::Duplicate => Self::Duplicate,
        }
    }
}

/// Lets `-w` name these workloads in each subcommand that has it.
pub fn with_workloads(mut command: clap::Command, workloads: &[&'static dyn Workload]) -> clap::Command {
    for subcommand in ["test", "explore", "check"] {
        command = command.mut_subcommand(subcommand, |command| {
            command.mut_arg("workload", |arg| arg.value_parser(workload_parser(workloads)))
        });
    }
    command
}

/// The workload of a name that is one of the list.
pub fn workload_parser(
    all: &[&'static dyn Workload],
) -> impl TypedValueParser<Value = &'static dyn Workload> + use<> {
    let all = all.to_vec();
    let names: Vec<_> = all.iter().map(|workload| workload.name()).collect();
    let by_name = move |name: &str| all.iter().copied().find(|workload| workload.name() == name);
    PossibleValuesParser::new(names).map(move |name| by_name(&name).expect("it is one of the list"))
}

/// One of these nodes, by its name.
pub fn node_parser(nodes: &'static [OtherNode]) -> impl TypedValueParser<Value = OtherNode> {
    let by_name = |name: String| nodes.iter().find(|node| node.name == name).copied();
    PossibleValuesParser::new(nodes.iter().map(|node| node.name))
        .map(move |name| by_name(name).expect("it is one of the list"))
}

pub fn no_own_node(is_planted: bool, node: Option<OtherNode>, workload: &dyn Workload) -> io::Error {
    let kind = if is_planted { "node with a planted bug" } else { "node of its own" };
    let text = match node {
        Some(OtherNode { name, workload: of, .. }) => {
            format!("--node {name} is a node for {of}, not for {}", workload.name())
        }
        None => format!("this program has no {kind} for {}: name yours with --bin", workload.name()),
    };
    io::Error::new(ErrorKind::InvalidInput, text)
}

pub fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| (1..=1000).contains(count)).ok_or("expected 1 to 1000".to_owned())
}

pub fn concurrency(text: &str) -> Result<Concurrency, String> {
    let (number, per_node) = text.strip_suffix('n').map_or((text, false), |number| (number, true));
    let number = number.parse().ok().filter(|number| (1..=10_000).contains(number));
    let number = number.ok_or("expected a number of clients such as 10, or 4n for four at each node")?;
    Ok(if per_node { Concurrency::PerNode(number) } else { Concurrency::Clients(number) })
}

pub fn rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    let rate: Option<f64> = text.parse().ok().filter(|rate| (0.0..=Settings::RATE_MAX).contains(rate));
    rate.map(Rate::PerSecond)
        .ok_or_else(|| "expected a number of operations a second from 0 to 1000000, or max".to_owned())
}
