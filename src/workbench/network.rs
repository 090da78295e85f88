//! The network between nodes: how long a message takes, and whether it arrives.
//!
//! What chance does to a message depends on the test's seed, on the message's link and on its number on that link, and
//! on nothing else ([`Fate`]). So a test from which one step is left out keeps all the latencies and losses that the
//! step has nothing to do with.

use fastrand::Rng;
use smallvec::{SmallVec, smallvec};

use super::fault::{Action, Links};
use super::journal::Address;
use super::services::Service;
use crate::time::Duration;

/// How long messages between nodes, and between nodes and services, take one way: a microsecond at least. Those from and to
/// clients take no time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// The mean.
    pub mean: Duration,
    /// How it is spread.
    pub spread: Distribution,
}

impl Latency {
    /// The same for every message.
    pub const fn constant(mean: Duration) -> Self {
        Self { mean, spread: Distribution::Constant }
    }
}

/// How latencies are spread around their mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Distribution {
    /// All the same.
    #[default]
    Constant,
    /// Evenly from nothing to twice the mean.
    Uniform,
    /// Most are short, and some are very long.
    Exponential,
}

impl Distribution {
    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Uniform => "uniform",
            Self::Exponential => "exponential",
        }
    }
}

impl Latency {
    /// So many times the mean.
    pub(super) const fn times(&self, count: u64) -> Duration {
        Duration::from_micros(self.mean.as_micros().saturating_mul(count))
    }

    /// The latency at this quantile, which is at least 0 and below 1. It is at least a microsecond, or virtual time
    /// might stand still.
    fn quantile(&self, quantile: f64) -> Duration {
        let factor = match self.spread {
            Distribution::Constant => return self.mean.max(Duration::from_micros(1)),
            Distribution::Uniform => 2.0 * quantile,
            // The quantile is below 1, so the logarithm is of more than 0.
            Distribution::Exponential => -(1.0 - quantile).ln(),
        };
        scale(self.mean, factor).max(Duration::from_micros(1))
    }
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "latencies are hours at most, and positive"
)]
fn scale(span: Duration, factor: f64) -> Duration {
    Duration::from_micros((span.as_micros() as f64 * factor) as u64)
}

/// What chance has in store for one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate(u64);

/// What is decided by chance. Each has a die of its own, so that no decision shifts another.
#[derive(Clone, Copy)]
enum Die {
    Latency = 1,
    SecondLatency,
    Loss,
    Duplicate,
    Delay,
    SecondDelay,
    Service,
}

impl Fate {
    /// That of the message with this number on the link from `src` to `dest`.
    fn of(seed: u64, src: Address, dest: Address, number: u64) -> Self {
        let end = |address| match address {
            Address::Node(node) => node as u64,
            Address::Client(client) => 1 << 32 | client as u64,
            Address::Service(service) => 1 << 33 | service as u64,
        };
        Self([end(src), end(dest), number].into_iter().fold(mix(seed), |state, word| mix(state ^ word)))
    }

    /// At least 0, and below 1.
    #[allow(clippy::cast_precision_loss, reason = "53 bits are what a float has")]
    fn roll(self, die: Die) -> f64 {
        (self.hash(die) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn hash(self, die: Die) -> u64 {
        mix(self.0.wrapping_add(die as u64))
    }

    /// Chance for the service that reads the message.
    pub fn service_rng(self) -> Rng {
        Rng::with_seed(self.hash(Die::Service))
    }
}

/// The finalizer of `SplitMix64` (Steele, Lea and Flood, 2014): neighbouring numbers come out unlike each other.
pub(super) const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// What happens to a message that is sent.
#[derive(Debug)]
pub struct Delivery {
    /// How long each copy of it takes; no copy if it is lost.
    pub copies: SmallVec<[Duration; 2]>,
    /// Its fate, for whom it is sent to.
    pub fate: Fate,
}

/// The network between the nodes of a cluster.
#[derive(Debug)]
pub struct Network {
    seed: u64,
    latency: Latency,
    nodes: usize,
    /// How many messages each link has carried, the lost ones included.
    carried: Vec<u64>,
    /// How many partitions keep what a node sends from another, at `receiver * nodes + sender`.
    cuts: Vec<u32>,
    /// Whatever else is wrong with links.
    disturbances: Vec<Action>,
}

impl Network {
    /// A network without faults.
    pub fn new(seed: u64, latency: Latency, nodes: usize) -> Self {
        let ends = nodes + Service::ALL.len() + 1;
        Self {
            seed,
            latency,
            nodes,
            carried: vec![0; ends * ends],
            cuts: vec![0; nodes * nodes],
            disturbances: Vec::new(),
        }
    }

    /// Sends a message between two nodes, or between a node and a service, whom no fault of the network concerns. A node
    /// may pass a client's message on in the client's name, which none concerns either.
    pub fn send(&mut self, src: Address, dest: Address) -> Delivery {
        let ends = self.nodes + Service::ALL.len() + 1;
        let end = |address| match address {
            Address::Node(node) => node,
            Address::Service(service) => self.nodes + service as usize,
            Address::Client(_) => ends - 1,
        };
        let carried = &mut self.carried[end(src) * ends + end(dest)];
        let fate = Fate::of(self.seed, src, dest, *carried);
        *carried += 1;
        let mut copies = smallvec![self.latency.quantile(fate.roll(Die::Latency))];
        if let (Address::Node(sender), Address::Node(receiver)) = (src, dest) {
            self.disturb(sender, receiver, fate, &mut copies);
        }
        Delivery { copies, fate }
    }

    /// Does to a message what is wrong with its link.
    fn disturb(&self, sender: usize, receiver: usize, fate: Fate, copies: &mut SmallVec<[Duration; 2]>) {
        if self.disturbances.is_empty() {
            return;
        }
        let is_on_link =
            |action: &&Action| action.links().is_some_and(|links| links.contain(sender, receiver));
        let active = || self.disturbances.iter().filter(is_on_link);
        // Of several rates each has its chance.
        let (mut arrives, mut comes_once) = (1.0, 1.0);
        for action in active() {
            match action {
                Action::Loss(rate, _) => arrives *= 1.0 - rate,
                Action::Duplicate(rate, _) => comes_once *= 1.0 - rate,
                _ => {}
            }
        }
        if fate.roll(Die::Loss) >= arrives {
            return copies.clear();
        }
        if fate.roll(Die::Duplicate) >= comes_once {
            copies.push(self.latency.quantile(fate.roll(Die::SecondLatency)));
        }
        for action in active() {
            for (copy, die) in copies.iter_mut().zip([Die::Delay, Die::SecondDelay]) {
                match action {
                    Action::Slow(by, _) => *copy = *copy + *by,
                    Action::Reorder(by, _) => *copy = *copy + scale(*by, fate.roll(die)),
                    _ => {}
                }
            }
        }
    }

    /// Whether a message that arrives now is dropped.
    pub fn is_blocked(&self, sender: usize, receiver: usize) -> bool {
        self.cuts[receiver * self.nodes + sender] > 0
    }

    /// From now on the network does this, until [`end`](Self::end) takes it back. What nodes do is not its business.
    pub fn begin(&mut self, action: &Action) {
        match action {
            Action::Partition(links) => self.cut(links, |cuts| *cuts += 1),
            Action::Kill(_) | Action::Pause(_) => {}
            disturbance => self.disturbances.push(disturbance.clone()),
        }
    }

    /// Ends what was begun.
    pub fn end(&mut self, action: &Action) {
        match action {
            Action::Partition(links) => self.cut(links, |cuts| *cuts -= 1),
            _ => {
                if let Some(place) = self.disturbances.iter().position(|disturbance| disturbance == action) {
                    self.disturbances.remove(place);
                }
            }
        }
    }

    fn cut(&mut self, links: &Links, change: impl Fn(&mut u32)) {
        links.for_each(self.nodes, |sender, receiver| change(&mut self.cuts[receiver * self.nodes + sender]));
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::PlannedFault;
    use super::*;

    const N0: Address = Address::Node(0);
    const N1: Address = Address::Node(1);
    const N2: Address = Address::Node(2);

    fn latency(spread: Distribution) -> Latency {
        Latency { mean: Duration::from_millis(10), spread }
    }

    fn network(distribution: Distribution) -> Network {
        Network::new(7, latency(distribution), 3)
    }

    fn action(text: &str) -> Action {
        format!("{text} at 0s").parse::<PlannedFault>().unwrap().action
    }

    /// The latencies of the copies of so many messages, in microseconds.
    fn send(network: &mut Network, src: Address, dest: Address, count: usize) -> Vec<Vec<u64>> {
        let copies = |_| network.send(src, dest).copies.iter().map(|copy| copy.as_micros()).collect();
        (0..count).map(copies).collect()
    }

    /// The mean, and the quantiles 0, 0.5, 0.9, 0.99 and 1, in microseconds.
    #[allow(clippy::cast_precision_loss, reason = "they are small")]
    fn spread(distribution: Distribution) -> (f64, [u64; 5]) {
        let mut latencies = send(&mut network(distribution), N0, N1, 100_000).concat();
        latencies.sort_unstable();
        let mean = latencies.iter().sum::<u64>() as f64 / latencies.len() as f64;
        (mean, [0, 50_000, 90_000, 99_000, 99_999].map(|place| latencies[place]))
    }

    #[test]
    fn latencies_have_the_mean_and_the_tail_of_their_distribution() {
        assert_eq!(spread(Distribution::Constant), (10_000.0, [10_000; 5]));
        let (mean, [min, median, p90, p99, max]) = spread(Distribution::Uniform);
        assert!((9_900.0..10_100.0).contains(&mean), "{mean}");
        assert!(min < 10 && (19_990..20_000).contains(&max), "{min} {max}");
        for (quantile, at) in [(median, 10_000_u64), (p90, 18_000), (p99, 19_800)] {
            assert!(quantile.abs_diff(at) < 100, "{quantile} where {at} is due");
        }
        let (mean, [min, median, p90, p99, max]) = spread(Distribution::Exponential);
        assert!((9_900.0..10_100.0).contains(&mean), "{mean}");
        // -ln(1 - q) of the mean.
        for (quantile, at) in [(median, 6_931_u64), (p90, 23_026), (p99, 46_052)] {
            assert!(quantile.abs_diff(at) < at / 30, "{quantile} where {at} is due");
        }
        assert!(min < 10 && (80_000..200_000).contains(&max), "{min} {max}");
    }

    #[test]
    fn no_message_arrives_when_it_is_sent() {
        for spread in [Distribution::Constant, Distribution::Uniform, Distribution::Exponential] {
            let mut network = Network::new(7, Latency { mean: Duration::ZERO, spread }, 3);
            assert_eq!(send(&mut network, N0, N1, 2), [[1], [1]]);
        }
    }

    #[test]
    fn fates_are_spread_by_a_known_function_and_are_the_same_every_time() {
        // The first numbers of the generator with the seeds 0 and 1234567.
        assert_eq!([mix(0), mix(1_234_567)], [0xe220_a839_7b1d_cdaf, 6_457_827_717_110_365_317]);
        let fate = || network(Distribution::Constant).send(N0, N1).fate;
        let drawn = |fate: Fate| fate.service_rng().u64(..);
        assert_eq!(drawn(fate()), drawn(fate()));
        assert_ne!(drawn(fate()), drawn(network(Distribution::Constant).send(N0, N2).fate));
    }

    #[test]
    fn distributions_are_called_as_on_the_command_line() {
        let names = [Distribution::Constant, Distribution::Uniform, Distribution::Exponential]
            .map(Distribution::name);
        assert_eq!(names, ["constant", "uniform", "exponential"]);
    }

    #[test]
    fn links_directions_messages_and_seeds_have_fates_of_their_own() {
        let mut fates = std::collections::HashSet::new();
        let service = Address::Service(Service::LinKv);
        for seed in 0..10 {
            let mut network = Network::new(seed, latency(Distribution::Constant), 3);
            let clients = [Address::Client(0), Address::Client(1)];
            for (src, dest) in [
                (N0, N1),
                (N1, N0),
                (N0, N2),
                (N0, service),
                (service, N0),
                (N0, N0),
                (clients[0], N0),
                (clients[1], N0),
            ] {
                for _ in 0..10 {
                    fates.insert(network.send(src, dest).fate.0);
                }
            }
        }
        assert_eq!(fates.len(), 800);
    }

    /// What a link carries does not hang on what others carry, nor on faults that do not concern it.
    #[test]
    fn the_fate_of_a_message_hangs_on_its_link_and_number_alone() {
        let mut alone = network(Distribution::Exponential);
        let expected = send(&mut alone, N0, N1, 100);
        let mut busy = network(Distribution::Exponential);
        busy.begin(&action("loss 0.5 n1->n0"));
        let mut got = Vec::new();
        for _ in 0..100 {
            got.extend(send(&mut busy, N0, N1, 1));
            let nodes = [N0, N1, N2, Address::Client(1)];
            let everybody = nodes.into_iter().chain(Service::ALL.map(Address::Service));
            for src in everybody.clone() {
                for dest in everybody.clone().filter(|&dest| (src, dest) != (N0, N1)) {
                    send(&mut busy, src, dest, 1);
                }
            }
        }
        assert_eq!(got, expected);
        // A fault of this very link takes some away and leaves the rest as they were.
        let mut lossy = network(Distribution::Exponential);
        lossy.begin(&action("loss 0.5 n0->n1"));
        for (got, expected) in send(&mut lossy, N0, N1, 100).iter().zip(&expected) {
            assert!(got.is_empty() || got == expected);
        }
    }

    #[test]
    fn a_loss_loses_its_share_on_its_links_until_it_ends() {
        let mut network = network(Distribution::Constant);
        let fifth = action("loss 0.2 n0->n1");
        network.begin(&fifth);
        let mut lost = |src, dest| {
            send(&mut network, src, dest, 10_000).iter().filter(|copies| copies.is_empty()).count()
        };
        let share = lost(N0, N1);
        assert!((1_850..2_150).contains(&share), "{share}");
        assert_eq!(
            [lost(N1, N0), lost(N0, N2), lost(N0, N0), lost(N0, Address::Service(Service::SeqKv))],
            [0; 4]
        );
        network.end(&fifth);
        assert!(send(&mut network, N0, N1, 1_000).iter().all(|copies| copies.len() == 1));
    }

    #[test]
    fn losses_add_up_and_end_one_by_one() {
        let mut network = network(Distribution::Constant);
        let losses = ["loss 0.5", "loss 0.5 n0->n1", "loss 0"].map(action);
        for loss in &losses {
            network.begin(loss);
        }
        let lost = |network: &mut Network| {
            send(network, N0, N1, 10_000).iter().filter(|copies| copies.is_empty()).count()
        };
        assert!((7_300..7_700).contains(&lost(&mut network)));
        network.end(&losses[0]);
        assert!((4_800..5_200).contains(&lost(&mut network)));
        network.end(&losses[1]);
        assert_eq!(lost(&mut network), 0);
        network.begin(&action("loss 1"));
        assert_eq!(lost(&mut network), 10_000);
    }

    #[test]
    fn a_duplicate_comes_at_a_time_of_its_own() {
        let mut network = network(Distribution::Uniform);
        network.begin(&action("duplicate 0.2 n0->n1"));
        let copies = send(&mut network, N0, N1, 10_000);
        let doubled: Vec<_> = copies.iter().filter(|copies| copies.len() == 2).collect();
        assert!((1_850..2_150).contains(&doubled.len()), "{}", doubled.len());
        assert_eq!(copies.iter().filter(|copies| copies.len() == 1).count(), 10_000 - doubled.len());
        let together = doubled.iter().filter(|copies| copies[0].abs_diff(copies[1]) < 10).count();
        assert!(together < 20, "{together}");
        assert!(send(&mut network, N1, N0, 1_000).iter().all(|copies| copies.len() == 1));
    }

    #[test]
    fn slow_links_take_longer_by_a_fixed_time_and_reordered_ones_by_any_up_to_it() {
        let mut network = network(Distribution::Constant);
        network.begin(&action("slow n0->n1 200ms"));
        assert_eq!(send(&mut network, N0, N1, 2), [[210_000], [210_000]]);
        assert_eq!(send(&mut network, N1, N0, 1), [[10_000]]);
        network.begin(&action("reorder n1->n0 100ms"));
        network.begin(&action("duplicate 1 n1->n0"));
        let mut delays = send(&mut network, N1, N0, 5_000).concat();
        let overtakes = delays.windows(2).filter(|pair| pair[1] < pair[0]).count();
        assert!((4_800..5_200).contains(&overtakes), "{overtakes}");
        delays.sort_unstable();
        assert!((10_000..10_100).contains(&delays[0]) && (109_900..110_000).contains(&delays[9_999]));
        assert!(delays[5_000].abs_diff(60_000) < 1_500, "{}", delays[5_000]);
    }

    #[test]
    fn a_cut_blocks_its_links_until_the_last_partition_over_them_ends() {
        let mut network = network(Distribution::Constant);
        let blocked = |network: &Network| {
            let all = (0..3).flat_map(|sender| (0..3).map(move |receiver| (sender, receiver)));
            all.filter(|&(sender, receiver)| network.is_blocked(sender, receiver)).collect::<Vec<_>>()
        };
        let (one_way, halves) = (action("partition n0->n1"), action("partition n0|n1,n2"));
        network.begin(&one_way);
        assert_eq!(blocked(&network), [(0, 1)]);
        network.begin(&halves);
        assert_eq!(blocked(&network), [(0, 1), (0, 2), (1, 0), (2, 0)]);
        network.end(&halves);
        assert_eq!(blocked(&network), [(0, 1)]);
        network.end(&one_way);
        assert_eq!(blocked(&network), []);
    }
}
