//! What goes wrong during a test, and when.
//!
//! A kind of fault begins and ends in turn, at times and in shapes by chance; a planned one at its times. Each has its
//! own random numbers, so that none changes the others.

use fastrand::Rng;

pub use super::fault::Fault;
use super::fault::{Action, Cut, Links, PlannedFault};
use super::network::{Network, mix};
use crate::time::{Duration, Instant};

/// The rate of [`Fault::Loss`] and of [`Fault::Duplicate`] where chance has the choice.
const RATE: f64 = 0.2;

/// A time during which something was wrong.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Window {
    /// What kind of fault it was.
    pub fault: Fault,
    /// What it did: which links it cut, which nodes it killed.
    pub action: Action,
    /// Whom it struck, for people.
    pub target: String,
    /// The nodes that it stopped or killed.
    pub nodes: Vec<usize>,
    /// From when.
    pub from: Instant,
    /// Until when; `None` while it lasts.
    pub to: Option<Instant>,
}

/// What is to be done to a node's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

/// Begins and ends faults.
#[derive(Debug)]
pub struct Nemesis {
    nodes: usize,
    interval: Duration,
    /// No fault that chance has the choice of begins for the first time, or lasts for the first time, longer than this.
    first_max: Duration,
    sources: Vec<Source>,
    /// Every window so far.
    pub windows: Vec<Window>,
}

/// Where faults come from, one after the other.
#[derive(Debug)]
struct Source {
    origin: Origin,
    /// Its window, if one is open.
    open: Option<usize>,
    /// How often it was asked for its next time.
    turns: u32,
    rng: Rng,
}

#[derive(Debug)]
enum Origin {
    /// Faults of this kind, drawn by chance, over and over.
    Drawn(Fault),
    /// This one fault.
    Planned(PlannedFault),
}

impl Nemesis {
    /// Nothing is wrong yet. About every `interval` each of the kinds of `faults` begins or ends; with a `time_limit`
    /// of at least a moment each of them begins and ends once before two thirds of it have passed.
    pub fn new(
        seed: u64,
        faults: &[Fault],
        interval: Duration,
        planned: &[PlannedFault],
        time_limit: Duration,
        nodes: usize,
    ) -> Self {
        let mut drawn = faults.to_vec();
        drawn.sort_unstable();
        drawn.dedup();
        let source = |origin, number| Source {
            origin,
            open: None,
            turns: 0,
            rng: Rng::with_seed(mix(seed ^ mix(number))),
        };
        let drawn = drawn.into_iter().map(|fault| source(Origin::Drawn(fault), fault as u64));
        let planned = planned.iter().map(|fault| source(Origin::Planned(fault.clone()), u64::MAX));
        Self {
            nodes,
            interval,
            first_max: doubled(interval).min(Duration::from_micros(time_limit.as_micros() / 3)),
            sources: drawn.chain(planned).collect(),
            windows: Vec::new(),
        }
    }

    /// The sources of faults, by their places.
    pub fn sources(&self) -> std::ops::Range<usize> {
        0..self.sources.len()
    }

    /// How long until the source in that place wants its next [`toggle`](Self::toggle), if it does. Between two of them
    /// is any time up to twice the interval, as in Maelstrom.
    pub fn next_delay(&mut self, place: usize) -> Option<Duration> {
        let (first_max, max) = (self.first_max.as_micros(), doubled(self.interval).as_micros());
        let Source { origin, turns, rng, .. } = &mut self.sources[place];
        *turns += 1;
        match (origin, *turns) {
            (Origin::Planned(fault), 1) => Some(fault.at),
            (Origin::Planned(fault), 2) => fault.lasts,
            (Origin::Planned(_), _) => None,
            (Origin::Drawn(_), 1) => Some(Duration::from_micros(rng.u64(0..=first_max))),
            // One that lasts a moment shows nothing.
            (Origin::Drawn(_), 2) => Some(Duration::from_micros(rng.u64(first_max / 4..=first_max).max(1))),
            (Origin::Drawn(_), _) => Some(Duration::from_micros(rng.u64(1..=max.max(1)))),
        }
    }

    /// Begins the fault in that place, or ends it. Nodes that are not `free` are neither killed nor stopped: they are
    /// dead or stopped already, or do not know yet who they are.
    pub fn toggle(
        &mut self,
        place: usize,
        now: Instant,
        network: &mut Network,
        free: impl Fn(usize) -> bool,
    ) -> Vec<ProcessCommand> {
        if self.sources[place].open.is_some() {
            return self.end(place, now, network);
        }
        let is_struck = |node: usize| {
            self.windows.iter().any(|window| window.to.is_none() && window.nodes.contains(&node))
        };
        let free: Vec<usize> = (0..self.nodes).filter(|&node| free(node) && !is_struck(node)).collect();
        let Source { origin, rng, .. } = &mut self.sources[place];
        let begun = match origin {
            Origin::Drawn(fault) => draw(*fault, self.nodes, free, rng),
            Origin::Planned(fault) => planned(&fault.action, &free),
        };
        let Some((action, target)) = begun else { return Vec::new() };
        network.begin(&action);
        let nodes = action.nodes().to_vec();
        let commands = commands(action.fault(), &nodes, |[begin, _]| begin);
        self.sources[place].open = Some(self.windows.len());
        self.windows.push(Window { fault: action.fault(), action, target, nodes, from: now, to: None });
        commands
    }

    /// Ends every fault, in the order in which they began.
    pub fn heal(&mut self, now: Instant, network: &mut Network) -> Vec<ProcessCommand> {
        let mut open: Vec<_> = self.sources().filter(|&place| self.sources[place].open.is_some()).collect();
        open.sort_unstable_by_key(|&place| self.sources[place].open);
        open.into_iter().flat_map(|place| self.end(place, now, network)).collect()
    }

    fn end(&mut self, place: usize, now: Instant, network: &mut Network) -> Vec<ProcessCommand> {
        let Some(window) = self.sources[place].open.take() else { return Vec::new() };
        let window = &mut self.windows[window];
        window.to = Some(now);
        network.end(&window.action);
        commands(window.fault, &window.nodes, |[_, end]| end)
    }
}

/// What is done to one node.
type Command = fn(usize) -> ProcessCommand;

/// What is done to the nodes that a fault of this kind strikes: one of what begins it and what ends it.
fn commands(fault: Fault, nodes: &[usize], which: fn([Command; 2]) -> Command) -> Vec<ProcessCommand> {
    let both: [Command; 2] = match fault {
        Fault::Kill => [ProcessCommand::Kill, ProcessCommand::Start],
        Fault::Pause => [ProcessCommand::Pause, ProcessCommand::Resume],
        // The network does them.
        Fault::Partition | Fault::Loss | Fault::Duplicate | Fault::Slow | Fault::Reorder => {
            return Vec::new();
        }
    };
    nodes.iter().copied().map(which(both)).collect()
}

fn doubled(span: Duration) -> Duration {
    span + span
}

/// A fault by chance, and whom it strikes, for people; `None` if there is nobody to strike.
fn draw(fault: Fault, nodes: usize, mut free: Vec<usize>, rng: &mut Rng) -> Option<(Action, String)> {
    let some_messages = || format!("{} % of messages", RATE * 100.0);
    match fault {
        Fault::Partition => {
            let mut order: Vec<usize> = (0..nodes).collect();
            rng.shuffle(&mut order);
            let shapes: Vec<Shape> =
                Shape::ALL.into_iter().filter(|shape| nodes >= shape.nodes_min()).collect();
            let shape = rng.choice(shapes)?;
            let (cuts, target) = shape.cut(&order);
            Some((Action::Partition(Links::Some(cuts)), target))
        }
        Fault::Loss => Some((Action::Loss(RATE, Links::All), some_messages())),
        Fault::Duplicate => Some((Action::Duplicate(RATE, Links::All), some_messages())),
        // With a tenth of a second most messages that are sent together overtake each other.
        Fault::Slow => {
            Some((Action::Slow(Duration::from_millis(100), Links::All), "all messages".to_owned()))
        }
        Fault::Reorder => {
            Some((Action::Reorder(Duration::from_millis(100), Links::All), "all messages".to_owned()))
        }
        Fault::Kill | Fault::Pause => {
            rng.shuffle(&mut free);
            free.truncate(draw_count(nodes, rng));
            free.sort_unstable();
            let target = names(&free);
            let action = if fault == Fault::Kill { Action::Kill(free) } else { Action::Pause(free) };
            (!action.nodes().is_empty()).then_some((action, target))
        }
    }
}

/// How many of so many nodes to kill or stop, as Jepsen draws it: any number, one, less than a third, a minority, a
/// majority or all.
fn draw_count(nodes: usize, rng: &mut Rng) -> usize {
    let any = rng.usize(1..=nodes);
    let counts = [any, 1, (nodes - 1) / 3, (nodes - 1) / 2, nodes / 2 + 1, nodes];
    let counts: Vec<usize> = counts.into_iter().filter(|count| *count > 0).collect();
    rng.choice(counts).unwrap_or(1).min(nodes)
}

/// A planned fault, as far as it can strike whom it should.
fn planned(action: &Action, free: &[usize]) -> Option<(Action, String)> {
    let struck =
        |nodes: &[usize]| nodes.iter().copied().filter(|node| free.contains(node)).collect::<Vec<_>>();
    let action = match action {
        Action::Kill(nodes) => Action::Kill(struck(nodes)),
        Action::Pause(nodes) => Action::Pause(struck(nodes)),
        action => action.clone(),
    };
    let strikes_nobody = action.links().is_none() && action.nodes().is_empty();
    let text = action.to_string();
    let target = text.split_once(' ').map_or("all messages", |(_, target)| target).to_owned();
    (!strikes_nobody).then_some((action, target))
}

/// The ways to cut a cluster that are known to hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// One node, and the rest.
    Single,
    /// Less than a third, and the rest.
    MinorityThird,
    /// A minority and a majority.
    Halves,
    /// Each hears a majority, and no two the same one.
    MajoritiesRing,
    /// The majority does not hear the minority, which hears everybody.
    OneWay,
    /// Two halves, and one node that has links to both.
    Bridge,
}

impl Shape {
    /// Maelstrom's four, and two more.
    const ALL: [Self; 6] =
        [Self::Single, Self::MinorityThird, Self::Halves, Self::MajoritiesRing, Self::OneWay, Self::Bridge];

    /// With fewer nodes it would cut nothing.
    const fn nodes_min(self) -> usize {
        match self {
            Self::Single | Self::Halves | Self::OneWay => 2,
            Self::MajoritiesRing | Self::Bridge => 3,
            Self::MinorityThird => 4,
        }
    }

    /// Where it cuts, and whom, for people. `order` is every node, by chance.
    fn cut(self, order: &[usize]) -> (Vec<Cut>, String) {
        let nodes = order.len();
        let between = |groups: [&[usize]; 2]| Cut::Between(groups.map(sorted).to_vec());
        let (minority, majority) = order.split_at(nodes / 2);
        match self {
            Self::Single => {
                let (single, others) = order.split_at(1);
                (vec![between([single, others])], format!("{} | the rest", names(single)))
            }
            Self::MinorityThird => {
                let (third, others) = order.split_at((nodes - 1) / 3);
                (vec![between([third, others])], format!("{} | {}", names(third), names(others)))
            }
            Self::Halves => {
                (vec![between([minority, majority])], format!("{} | {}", names(minority), names(majority)))
            }
            Self::OneWay => {
                let cut = Cut::OneWay(sorted(minority), sorted(majority));
                (vec![cut], format!("{} do not hear {}", names(majority), names(minority)))
            }
            Self::Bridge => {
                let (bridge, majority) = majority.split_at(1);
                let target =
                    format!("{} | {} with the bridge {}", names(minority), names(majority), names(bridge));
                (vec![between([minority, majority])], target)
            }
            Self::MajoritiesRing => {
                // Each hears itself and half of the others, those that are nearest on the ring.
                let (before, after) = (nodes / 2 / 2, nodes / 2 - nodes / 2 / 2);
                let unheard = |place: usize| {
                    let ahead = after + 1..nodes - before;
                    sorted(&ahead.map(|ahead| order[(place + ahead) % nodes]).collect::<Vec<_>>())
                };
                let cuts = (0..nodes).map(|place| Cut::OneWay(unheard(place), vec![order[place]])).collect();
                (cuts, format!("a ring of {}", names(order)))
            }
        }
    }
}

fn sorted(nodes: &[usize]) -> Vec<usize> {
    let mut nodes = nodes.to_vec();
    nodes.sort_unstable();
    nodes
}

fn names(nodes: &[usize]) -> String {
    nodes.iter().map(|node| format!("n{node}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::journal::Address;
    use super::super::network::{Distribution, Latency};
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn network(nodes: usize) -> Network {
        Network::new(0, Latency { mean: Duration::ZERO, spread: Distribution::Constant }, nodes)
    }

    fn nemesis(seed: u64, fault: Fault, nodes: usize) -> Nemesis {
        let (interval, limit) = (Duration::from_secs(10), Duration::from_secs(10));
        Nemesis::new(seed, &[fault], interval, &[], limit, nodes)
    }

    /// The windows of a test of so many seconds, ended by the time limit or not.
    fn windows(mut nemesis: Nemesis, nodes: usize, seconds: u64) -> Vec<Window> {
        let mut network = network(nodes);
        for place in nemesis.sources() {
            let mut now = Instant::START;
            while let Some(delay) = nemesis.next_delay(place)
                && (now + delay).as_micros() < seconds * SECOND
            {
                now += delay;
                nemesis.toggle(place, now, &mut network, |_| true);
            }
        }
        nemesis.windows
    }

    #[test]
    fn a_run_of_the_default_length_has_a_fault_that_begins_and_ends_under_load() {
        for fault in Fault::ALL {
            for seed in 0..200 {
                let windows = windows(nemesis(seed, fault, 5), 5, 10);
                let first = windows.first().unwrap_or_else(|| panic!("no {fault:?} with seed {seed}"));
                let (from, to) = (first.from.as_micros(), first.to.unwrap().as_micros());
                assert!(to - from > SECOND / 2 && to <= 7 * SECOND, "{first:?}");
            }
        }
    }

    #[test]
    #[allow(clippy::cast_precision_loss, reason = "they are small")]
    fn later_changes_come_at_any_time_up_to_twice_the_interval() {
        let mut nemesis = nemesis(1, Fault::Loss, 5);
        let mut delays: Vec<u64> = (0..10_002).map(|_| nemesis.next_delay(0).unwrap().as_micros()).collect();
        delays.drain(..2);
        delays.sort_unstable();
        for (tenth, delay) in delays.chunks(1_000).map(|chunk| chunk[0]).enumerate() {
            assert!(delay.abs_diff(tenth as u64 * 2 * SECOND) < SECOND / 2, "{tenth} {delay}");
        }
        assert!(delays[9_999] <= 20 * SECOND);
    }

    #[test]
    fn one_kind_of_fault_does_not_change_when_another_comes() {
        let times = |faults: &[Fault], place| {
            let (interval, limit) = (Duration::from_secs(1), Duration::from_secs(10));
            let mut nemesis = Nemesis::new(7, faults, interval, &[], limit, 5);
            (0..10).map(|_| nemesis.next_delay(place).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(times(&[Fault::Pause], 0), times(&[Fault::Pause, Fault::Partition, Fault::Pause], 1));
        assert_ne!(times(&[Fault::Pause], 0), times(&[Fault::Partition], 0));
    }

    /// Whom each node hears, itself included.
    fn heard(shape: Shape, order: &[usize]) -> Vec<Vec<usize>> {
        let mut network = network(order.len());
        network.begin(&Action::Partition(Links::Some(shape.cut(order).0)));
        let heard = |receiver| {
            (0..order.len()).filter(|&sender| !network.is_blocked(sender, receiver)).collect::<Vec<_>>()
        };
        (0..order.len()).map(heard).collect()
    }

    #[test]
    fn each_shape_cuts_where_it_says() {
        let order = [3, 0, 4, 1, 2];
        let rest = vec![0, 1, 2, 4];
        assert_eq!(heard(Shape::Single, &order), [&rest[..], &rest, &rest, &[3], &rest]);
        assert_eq!(heard(Shape::MinorityThird, &order), [&rest[..], &rest, &rest, &[3], &rest]);
        let (minority, majority) = (vec![0, 3], vec![1, 2, 4]);
        assert_eq!(heard(Shape::Halves, &order), [&minority[..], &majority, &majority, &minority, &majority]);
        let all = vec![0, 1, 2, 3, 4];
        assert_eq!(heard(Shape::OneWay, &order), [&all[..], &majority, &majority, &all, &majority]);
        let (left, right) = (vec![0, 3, 4], vec![1, 2, 4]);
        assert_eq!(heard(Shape::Bridge, &order), [&left[..], &right, &right, &left, &all]);
        assert_eq!(
            heard(Shape::MajoritiesRing, &order),
            [[0, 3, 4], [1, 2, 4], [1, 2, 3], [0, 2, 3], [0, 1, 4]],
            "each hears its two neighbours on the ring"
        );
    }

    #[test]
    fn a_ring_leaves_each_a_majority_of_its_own() {
        for nodes in 3..12 {
            let order: Vec<usize> = (0..nodes).collect();
            let heard = heard(Shape::MajoritiesRing, &order);
            assert!(heard.iter().all(|heard| heard.len() == nodes / 2 + 1), "{heard:?}");
            assert!((0..nodes).all(|node| heard[node].contains(&node)));
            for (place, one) in heard.iter().enumerate() {
                assert!(!heard[..place].contains(one), "{heard:?}");
            }
        }
    }

    /// What a kind of fault did in many tests, without repetitions.
    fn drawn<T: Ord>(
        fault: Fault,
        nodes: usize,
        what: impl Fn(&Window) -> T,
    ) -> std::collections::BTreeSet<T> {
        (0..500)
            .flat_map(|seed| windows(nemesis(seed, fault, nodes), nodes, 10))
            .map(|window| what(&window))
            .collect()
    }

    #[test]
    fn every_shape_of_partition_is_drawn_and_cuts_somebody_off() {
        let links = |window: &Window| {
            let mut count = 0;
            window.action.links().unwrap().for_each(7, |_, _| count += 1);
            count
        };
        // One way 3·4, a bridge and its halves 2·3·3, a single 2·6, a third 2·2·5, halves 2·3·4, a ring 7·3.
        assert_eq!(drawn(Fault::Partition, 7, links).into_iter().collect::<Vec<_>>(), [12, 18, 20, 21, 24]);
        for nodes in 2..7 {
            let mut struck = drawn(Fault::Partition, nodes, |window| {
                let mut count = 0;
                window.action.links().unwrap().for_each(nodes, |_, _| count += 1);
                count
            });
            assert!(struck.pop_first() > Some(0));
        }
        assert!(windows(nemesis(1, Fault::Partition, 1), 1, 10).is_empty(), "there is nothing to cut");
    }

    #[test]
    fn kills_and_pauses_strike_from_one_to_all_and_each_node() {
        for fault in [Fault::Kill, Fault::Pause] {
            for nodes in 1..8 {
                let counts = drawn(fault, nodes, |window| window.nodes.len());
                assert_eq!(counts, (1..=nodes).collect());
                let first = drawn(fault, nodes, |window| window.nodes[0]);
                assert_eq!(first, (0..nodes).collect());
            }
        }
    }

    #[test]
    fn nobody_is_struck_twice_at_once_or_while_it_is_not_free() {
        let (interval, limit) = (Duration::from_secs(1), Duration::from_secs(10));
        for seed in 0..200 {
            let mut nemesis = Nemesis::new(seed, &[Fault::Kill, Fault::Pause], interval, &[], limit, 5);
            let mut network = network(5);
            let killed = nemesis.toggle(0, Instant::START, &mut network, |_| true);
            let paused = nemesis.toggle(1, Instant::START, &mut network, |node| node != 3);
            for command in &paused {
                let &ProcessCommand::Pause(node) = command else { panic!("{command:?}") };
                assert!(node != 3 && !killed.contains(&ProcessCommand::Kill(node)));
            }
            assert_eq!(nemesis.windows.len(), 1 + usize::from(!paused.is_empty()), "none of nobody");
        }
    }

    #[test]
    fn what_was_killed_is_started_and_what_was_stopped_goes_on() {
        use ProcessCommand::{Kill, Pause, Resume, Start};
        let (mut network, mut healed) = (network(3), network(3));
        let planned = ["kill n0,n2 at 1s for 2s", "pause n2,n1 at 1s"].map(|text| text.parse().unwrap());
        let limit = Duration::from_secs(10);
        let mut nemesis = Nemesis::new(0, &[], limit, &planned, limit, 3);
        let at = Instant::from_micros;
        let mut toggle =
            |nemesis: &mut Nemesis, place, now| nemesis.toggle(place, at(now), &mut network, |_| true);
        assert_eq!(toggle(&mut nemesis, 0, 5), [Kill(0), Kill(2)]);
        assert_eq!(toggle(&mut nemesis, 1, 6), [Pause(1)], "n2 is dead");
        assert_eq!(toggle(&mut nemesis, 0, 7), [Start(0), Start(2)]);
        assert_eq!(nemesis.heal(at(8), &mut healed), [Resume(1)]);
        let windows: Vec<_> = nemesis
            .windows
            .iter()
            .map(|window| {
                (window.action.to_string(), window.from.as_micros(), window.to.unwrap().as_micros())
            })
            .collect();
        assert_eq!(windows, [("kill n0,n2".to_owned(), 5, 7), ("pause n1".to_owned(), 6, 8)]);
    }

    #[test]
    fn a_planned_fault_has_its_times_once() {
        let delays = |text: &str| {
            let limit = Duration::from_secs(10);
            let mut nemesis = Nemesis::new(0, &[], limit, &[text.parse().unwrap()], limit, 3);
            [(); 4].map(|()| nemesis.next_delay(0).map(Duration::as_micros))
        };
        assert_eq!(delays("loss 0.1 at 3s for 5s"), [Some(3 * SECOND), Some(5 * SECOND), None, None]);
        assert_eq!(delays("loss 0.1 at 0s"), [Some(0), None, None, None]);
    }

    #[test]
    fn what_a_fault_does_to_links_ends_with_it() {
        let planned = ["partition n0|n1 at 0s", "loss 1 n0->n2 at 0s"].map(|text| text.parse().unwrap());
        let (limit, mut network) = (Duration::from_secs(10), network(3));
        let mut nemesis = Nemesis::new(0, &[], limit, &planned, limit, 3);
        let lost = |network: &mut Network| network.send(Address::Node(0), Address::Node(2)).copies.is_empty();
        nemesis.toggle(0, Instant::START, &mut network, |_| true);
        nemesis.toggle(1, Instant::START, &mut network, |_| true);
        assert!(network.is_blocked(0, 1) && !network.is_blocked(0, 2) && lost(&mut network));
        nemesis.heal(Instant::START, &mut network);
        assert!(!network.is_blocked(0, 1) && !lost(&mut network));
        let targets: Vec<_> = nemesis.windows.iter().map(|window| &*window.target).collect();
        assert_eq!(targets, ["n0|n1", "1 n0->n2"]);
    }
}
