//! What goes wrong during a test, and when.

use fastrand::Rng;

use super::network::Network;
use crate::time::{Duration, Instant};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Some nodes do not hear some others.
    Partition,
    /// Some nodes are killed, and started again with their memory gone.
    Kill,
    /// Some nodes stop for a while, and go on.
    Pause,
    /// A fifth of the messages between nodes is lost.
    Loss,
    /// A fifth of the messages between nodes comes twice.
    Duplicate,
}

/// The rate of [`Fault::Loss`] and of [`Fault::Duplicate`].
const RATE: f64 = 0.2;

impl Fault {
    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Partition => "partition",
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Loss => "loss",
            Self::Duplicate => "duplicate",
        }
    }
}

/// A time during which something was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// What.
    pub fault: Fault,
    /// Whom it struck, for people.
    pub target: String,
    /// The nodes that it stopped or killed.
    pub nodes: Vec<usize>,
    /// From when.
    pub from: Instant,
    /// Until when; `None` while it lasts.
    pub to: Option<Instant>,
}

/// What a fault wants done to processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessCommand {
    /// Kill the node.
    Kill(usize),
    /// Start it again.
    Start(usize),
    /// Stop it where it is.
    Pause(usize),
    /// Let it go on.
    Resume(usize),
}

/// Starts and ends faults in turn.
#[derive(Debug)]
pub struct Nemesis {
    nodes: usize,
    interval: Duration,
    /// Each fault, and its window if one is open.
    faults: Vec<(Fault, Option<usize>)>,
    /// Every window so far.
    pub windows: Vec<Window>,
}

impl Nemesis {
    /// Nothing is wrong yet.
    pub fn new(faults: &[Fault], interval: Duration, nodes: usize) -> Self {
        let mut kinds: Vec<(Fault, Option<usize>)> = Vec::new();
        for &fault in faults {
            if !kinds.iter().any(|(known, _)| *known == fault) {
                kinds.push((fault, None));
            }
        }
        Self { nodes, interval, faults: kinds, windows: Vec::new() }
    }

    /// The kinds of faults, by their places.
    pub fn faults(&self) -> std::ops::Range<usize> {
        0..self.faults.len()
    }

    /// How long until a fault starts or ends: about an interval.
    pub fn pause(&self, rng: &mut Rng) -> Duration {
        let interval = self.interval.as_micros();
        Duration::from_micros(interval - interval / 10 + rng.u64(0..=interval / 5))
    }

    /// Starts the fault in that place, or ends it. Nodes that are not `free` are neither killed nor stopped: they are
    /// dead or stopped already, or do not know yet who they are.
    pub fn turn(
        &mut self,
        place: usize,
        now: Instant,
        network: &mut Network,
        free: impl Fn(usize) -> bool,
        rng: &mut Rng,
    ) -> Vec<ProcessCommand> {
        let (fault, open) = self.faults[place];
        if open.is_some() {
            return self.end(place, now, network);
        }
        let mut order: Vec<usize> = (0..self.nodes).collect();
        rng.shuffle(&mut order);
        let mut nodes = Vec::new();
        let target = match fault {
            Fault::Partition => partition(&order, network, rng),
            Fault::Loss => {
                network.loss = RATE;
                format!("{} % of messages", RATE * 100.0)
            }
            Fault::Duplicate => {
                network.duplicate = RATE;
                format!("{} % of messages", RATE * 100.0)
            }
            Fault::Kill | Fault::Pause => {
                let struck = rng.usize(1..=self.nodes.div_ceil(2));
                let is_struck = |node: &usize| {
                    self.windows.iter().any(|window| window.to.is_none() && window.nodes.contains(node))
                };
                nodes =
                    order.into_iter().filter(|node| free(*node) && !is_struck(node)).take(struck).collect();
                nodes.sort_unstable();
                names(&nodes)
            }
        };
        let order = if fault == Fault::Kill { ProcessCommand::Kill } else { ProcessCommand::Pause };
        let orders = nodes.iter().copied().map(order).collect();
        self.faults[place].1 = Some(self.windows.len());
        self.windows.push(Window { fault, target, nodes, from: now, to: None });
        orders
    }

    /// Ends every fault.
    pub fn heal(&mut self, now: Instant, network: &mut Network) -> Vec<ProcessCommand> {
        self.faults().flat_map(|place| self.end(place, now, network)).collect()
    }

    fn end(&mut self, place: usize, now: Instant, network: &mut Network) -> Vec<ProcessCommand> {
        let (fault, open) = &mut self.faults[place];
        let Some(window) = open.take() else { return Vec::new() };
        let window = &mut self.windows[window];
        window.to = Some(now);
        match fault {
            Fault::Partition => network.unblock(),
            Fault::Loss => network.loss = 0.0,
            Fault::Duplicate => network.duplicate = 0.0,
            Fault::Kill | Fault::Pause => {}
        }
        let order = if *fault == Fault::Kill { ProcessCommand::Start } else { ProcessCommand::Resume };
        window.nodes.iter().copied().map(order).collect()
    }
}

/// Cuts the cluster in one of the ways that are known to hurt; what it did, for people. `order` is every node, by
/// chance.
fn partition(order: &[usize], network: &mut Network, rng: &mut Rng) -> String {
    let nodes = order.len();
    let mut cut = |from: &[usize], to: &[usize]| {
        for &sender in from {
            to.iter()
                .filter(|&&receiver| receiver != sender)
                .for_each(|&receiver| network.block(sender, receiver));
        }
    };
    let (minority, majority) = order.split_at(nodes / 2);
    match rng.u8(0..if nodes < 3 { 1 } else { 5 }) {
        0 => {
            cut(minority, majority);
            cut(majority, minority);
            format!("{} | {}", names(minority), names(majority))
        }
        1 => {
            let (single, others) = order.split_at(1);
            cut(single, others);
            cut(others, single);
            format!("{} | the rest", names(single))
        }
        2 => {
            cut(minority, majority);
            format!("{} do not hear {}", names(majority), names(minority))
        }
        3 => {
            // One node hears both halves.
            let (bridge, majority) = majority.split_at(1);
            cut(minority, majority);
            cut(majority, minority);
            format!("{} | {} with the bridge {}", names(minority), names(majority), names(bridge))
        }
        _ => {
            // Each hears a majority: itself and its nearest on a ring. No two hear the same one.
            let (before, after) = (nodes / 2 / 2, nodes / 2 - nodes / 2 / 2);
            for (place, &receiver) in order.iter().enumerate() {
                for (other, &sender) in order.iter().enumerate() {
                    let ahead = (other + nodes - place) % nodes;
                    if ahead > after && nodes - ahead > before {
                        cut(&[sender], &[receiver]);
                    }
                }
            }
            format!("a ring of {}", names(order))
        }
    }
}

fn names(nodes: &[usize]) -> String {
    nodes.iter().map(|node| format!("n{node}")).collect::<Vec<_>>().join(" ")
}
