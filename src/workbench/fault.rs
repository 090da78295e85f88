//! All faults that there are, in words and as data: what each does, to whom, from when and for how long.
//!
//! A new kind begins here: in [`Fault`] and [`Action`], and in how both are written and read. The
//! [`nemesis`](super::nemesis) says whom chance strikes with it, and what is done to nodes as it begins and ends, which the
//! drivers do; the [`network`](super::network) does it to links.
//!
//! `partition n0|n1,n2 at 3s for 5s`, `kill n1 at 2s for 1s`, `loss 0.3 n0->n1 at 0s for 10s`: a fault is written as it
//! is read, in a plan as on the command line. `messenger test --help` has all of it.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::time::Duration;

/// A kind of fault, as [`Settings::faults`](super::settings::Settings::faults) has it: chance says whom it hits and when, by
/// [`fault_interval`](super::settings::Settings::fault_interval). A [`PlannedFault`] says both itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Some nodes do not hear some others.
    Partition,
    /// Some nodes are killed, and started again with nothing but their disks.
    Kill,
    /// Some nodes stop for a while, and go on.
    Pause,
    /// Some messages between nodes are lost.
    Loss,
    /// Some messages between nodes come twice.
    Duplicate,
    /// Messages between nodes take longer.
    Slow,
    /// Messages between nodes overtake each other.
    Reorder,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Partition, Self::Kill, Self::Pause, Self::Loss, Self::Duplicate, Self::Slow, Self::Reorder];

    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Partition => "partition",
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Loss => "loss",
            Self::Duplicate => "duplicate",
            Self::Slow => "slow",
            Self::Reorder => "reorder",
        }
    }
}

/// What a fault does, and to whom.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// These links carry nothing.
    Partition(Links),
    /// These nodes are killed, and started again.
    Kill(Vec<usize>),
    /// These nodes are stopped, and go on.
    Pause(Vec<usize>),
    /// So many of the messages on these links are lost, from 0 to 1.
    Loss(f64, Links),
    /// So many of the messages on these links come twice, from 0 to 1.
    Duplicate(f64, Links),
    /// The messages on these links take so much longer.
    Slow(Duration, Links),
    /// The messages on these links take up to so much longer, evenly spread.
    Reorder(Duration, Links),
}

impl Action {
    /// Its kind.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Partition(_) => Fault::Partition,
            Self::Kill(_) => Fault::Kill,
            Self::Pause(_) => Fault::Pause,
            Self::Loss(..) => Fault::Loss,
            Self::Duplicate(..) => Fault::Duplicate,
            Self::Slow(..) => Fault::Slow,
            Self::Reorder(..) => Fault::Reorder,
        }
    }

    /// The nodes that it kills or stops.
    pub fn nodes(&self) -> &[usize] {
        match self {
            Self::Kill(nodes) | Self::Pause(nodes) => nodes,
            Self::Partition(_)
            | Self::Loss(..)
            | Self::Duplicate(..)
            | Self::Slow(..)
            | Self::Reorder(..) => &[],
        }
    }

    /// The links between nodes that it acts on.
    pub const fn links(&self) -> Option<&Links> {
        match self {
            Self::Kill(_) | Self::Pause(_) => None,
            Self::Partition(links)
            | Self::Loss(_, links)
            | Self::Duplicate(_, links)
            | Self::Slow(_, links)
            | Self::Reorder(_, links) => Some(links),
        }
    }
}

/// Some of the links between nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Links {
    /// All of them.
    #[default]
    All,
    /// Those that any of these has.
    Some(Vec<Cut>),
}

impl Links {
    /// Whether what `sender` sends to `receiver` goes over one of them. Nobody has a link to itself.
    pub fn contain(&self, sender: usize, receiver: usize) -> bool {
        sender != receiver
            && match self {
                Self::All => true,
                Self::Some(cuts) => cuts.iter().any(|cut| cut.crosses(sender, receiver)),
            }
    }

    /// Calls `each` with the sender and the receiver of each of these links among so many nodes; more than once where
    /// several cuts have it.
    pub fn for_each(&self, nodes: usize, mut each: impl FnMut(usize, usize)) {
        let everybody = || Cut::Between((0..nodes).map(|node| vec![node]).collect());
        match self {
            Self::All => everybody().for_each(nodes, &mut each),
            Self::Some(cuts) => cuts.iter().for_each(|cut| cut.for_each(nodes, &mut each)),
        }
    }

    fn nodes(&self) -> impl Iterator<Item = usize> {
        let cuts = match self {
            Self::All => &[][..],
            Self::Some(cuts) => cuts,
        };
        cuts.iter().flat_map(Cut::nodes)
    }
}

/// A line drawn between nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cut {
    /// Between each two of these groups, both ways. A node that is in none of them has links to all.
    Between(Vec<Vec<usize>>),
    /// From the first ones to the second ones.
    OneWay(Vec<usize>, Vec<usize>),
}

impl Cut {
    fn crosses(&self, sender: usize, receiver: usize) -> bool {
        match self {
            Self::Between(groups) => {
                let group = |node| groups.iter().position(|group| group.contains(&node));
                matches!((group(sender), group(receiver)), (Some(one), Some(other)) if one != other)
            }
            Self::OneWay(senders, receivers) => senders.contains(&sender) && receivers.contains(&receiver),
        }
    }

    fn for_each(&self, nodes: usize, each: &mut impl FnMut(usize, usize)) {
        match self {
            Self::Between(groups) => {
                let mut group_of = vec![None; nodes];
                for (number, group) in groups.iter().enumerate() {
                    for &node in group {
                        group_of[node] = Some(number);
                    }
                }
                let members = || (0..nodes).filter_map(|node| Some((node, group_of[node]?)));
                for (sender, senders) in members() {
                    members()
                        .filter(|(_, receivers)| *receivers != senders)
                        .for_each(|(receiver, _)| each(sender, receiver));
                }
            }
            Self::OneWay(senders, receivers) => {
                for &sender in senders {
                    for &receiver in receivers {
                        each(sender, receiver);
                    }
                }
            }
        }
    }

    fn nodes(&self) -> impl Iterator<Item = usize> {
        let (groups, pair) = match self {
            Self::Between(groups) => (&groups[..], [&[][..], &[]]),
            Self::OneWay(senders, receivers) => (&[][..], [&senders[..], receivers]),
        };
        groups.iter().map(Vec::as_slice).chain(pair).flatten().copied()
    }
}

/// A fault with its times, which count from the start of the operations. It is read from text.
///
/// ```
/// use messenger::workbench::fault::PlannedFault;
///
/// let fault: PlannedFault = "partition n0|n1,n2 at 3s for 5s".parse()?;
/// assert_eq!(fault.to_string(), "partition n0|n1,n2 at 3s for 5s");
/// # Ok::<(), messenger::workbench::fault::FaultError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PlannedFault {
    /// What it does.
    pub action: Action,
    /// When it begins.
    pub at: Duration,
    /// How long it lasts; until the time limit if `None`.
    pub lasts: Option<Duration>,
}

impl PlannedFault {
    /// A node that it names and that is not among so many, if there is one.
    pub fn unknown_node(&self, nodes: usize) -> Option<usize> {
        let linked = self.action.links().into_iter().flat_map(Links::nodes);
        self.action.nodes().iter().copied().chain(linked).find(|node| *node >= nodes)
    }
}

/// Why a text is no fault: what was expected, and what was found.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct FaultError(String);

/// As the [module](self) has it.
impl FromStr for PlannedFault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let mut words = Words { text, list: text.split_whitespace().collect(), place: 0 };
        let action = words.action()?;
        words.keyword("at")?;
        let at = words.time()?;
        let lasts = if words.peek().is_some() {
            words.keyword("for")?;
            Some(words.time()?)
        } else {
            None
        };
        match words.peek() {
            None => Ok(Self { action, at, lasts }),
            Some(_) => Err(words.expected("nothing more")),
        }
    }
}

/// The words of a fault, and how far they are read.
struct Words<'a> {
    text: &'a str,
    list: Vec<&'a str>,
    place: usize,
}

impl<'a> Words<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.list.get(self.place).copied()
    }

    fn expected(&self, what: &str) -> FaultError {
        let found = self.peek().map_or("the end".to_owned(), |word| format!("{word:?}"));
        FaultError(format!("{:?}: expected {what}, found {found}", self.text))
    }

    fn take<T>(&mut self, what: &str, read: impl FnOnce(&'a str) -> Option<T>) -> Result<T, FaultError> {
        let value = self.peek().and_then(read).ok_or_else(|| self.expected(what))?;
        self.place += 1;
        Ok(value)
    }

    fn keyword(&mut self, word: &str) -> Result<(), FaultError> {
        self.take(&format!("{word:?} and a time such as 3s"), |found| (found == word).then_some(()))
    }

    fn time(&mut self) -> Result<Duration, FaultError> {
        self.take("a time such as 3s, 0.5s or 200ms", parse_time)
    }

    fn rate(&mut self) -> Result<f64, FaultError> {
        let rate = |word: &str| word.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
        self.take("a rate from 0 to 1", rate)
    }

    fn nodes(&mut self) -> Result<Vec<usize>, FaultError> {
        self.take("nodes such as n0 or n0,n1", parse_nodes)
    }

    /// None at all means all.
    fn links(&mut self) -> Result<Links, FaultError> {
        let mut cuts = Vec::new();
        while self.peek().is_some_and(|word| word.contains(['|', '>'])) {
            cuts.push(self.take("links such as n0|n1,n2 or n0->n1, no node on both sides", parse_cut)?);
        }
        Ok(if cuts.is_empty() { Links::All } else { Links::Some(cuts) })
    }

    fn action(&mut self) -> Result<Action, FaultError> {
        let kind = self
            .take("a fault: partition, kill, pause, loss, duplicate, slow or reorder", |word| {
                Fault::ALL.into_iter().find(|fault| fault.name() == word)
            })?;
        Ok(match kind {
            Fault::Partition => match self.links()? {
                Links::All => return Err(self.expected("links such as n0|n1,n2 or n0->n1")),
                links @ Links::Some(_) => Action::Partition(links),
            },
            Fault::Kill => Action::Kill(self.nodes()?),
            Fault::Pause => Action::Pause(self.nodes()?),
            Fault::Loss => Action::Loss(self.rate()?, self.links()?),
            Fault::Duplicate => Action::Duplicate(self.rate()?, self.links()?),
            Fault::Slow => {
                let links = self.links()?;
                Action::Slow(self.time()?, links)
            }
            Fault::Reorder => {
                let links = self.links()?;
                Action::Reorder(self.time()?, links)
            }
        })
    }
}

fn parse_cut(word: &str) -> Option<Cut> {
    let is_disjoint = |groups: &[&[usize]]| {
        let mut nodes: Vec<usize> = groups.concat();
        nodes.sort_unstable();
        nodes.windows(2).all(|pair| pair[0] != pair[1])
    };
    if let Some((senders, receivers)) = word.split_once("->") {
        let (senders, receivers) = (parse_nodes(senders)?, parse_nodes(receivers)?);
        return is_disjoint(&[&senders, &receivers]).then_some(Cut::OneWay(senders, receivers));
    }
    let groups = word.split('|').map(parse_nodes).collect::<Option<Vec<_>>>()?;
    let slices: Vec<&[usize]> = groups.iter().map(Vec::as_slice).collect();
    (groups.len() > 1 && is_disjoint(&slices)).then_some(Cut::Between(groups))
}

fn parse_nodes(text: &str) -> Option<Vec<usize>> {
    let node = |name: &str| {
        let digits = name.strip_prefix('n')?;
        let is_plain = digits == "0" || !digits.starts_with(['0', '+']);
        digits.parse().ok().filter(|_| is_plain)
    };
    let nodes = text.split(',').map(node).collect::<Option<Vec<usize>>>()?;
    nodes.iter().enumerate().all(|(place, node)| !nodes[..place].contains(node)).then_some(nodes)
}

/// `3s`, `0.5s`, `200ms`, `7us`, exact to the microsecond; a day at most.
pub(super) fn parse_time(text: &str) -> Option<Duration> {
    const DAY: u64 = 86_400_000_000;
    let (number, digits) = [("us", 0), ("ms", 3), ("s", 6)]
        .into_iter()
        .find_map(|(unit, digits)| Some((text.strip_suffix(unit)?, digits)))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty()
        || number.ends_with('.')
        || fraction.len() > digits
        || ![whole, fraction].into_iter().all(are_digits)
    {
        return None;
    }
    let micros = format!("{whole}{fraction:0<digits$}").parse().ok().filter(|micros| *micros <= DAY)?;
    Some(Duration::from_micros(micros))
}

impl fmt::Display for PlannedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.action, Time(self.at))?;
        self.lasts.map_or(Ok(()), |lasts| write!(f, " for {}", Time(lasts)))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.fault().name())?;
        match self {
            Self::Partition(links) => write!(f, "{links}"),
            Self::Kill(nodes) | Self::Pause(nodes) => write!(f, " {}", Names(nodes)),
            Self::Loss(rate, links) | Self::Duplicate(rate, links) => write!(f, " {rate}{links}"),
            Self::Slow(by, links) | Self::Reorder(by, links) => write!(f, "{links} {}", Time(*by)),
        }
    }
}

/// Each with a space in front.
impl fmt::Display for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => Ok(()),
            Self::Some(cuts) => cuts.iter().try_for_each(|cut| write!(f, " {cut}")),
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Between(groups) => {
                let groups: Vec<String> = groups.iter().map(|group| Names(group).to_string()).collect();
                f.write_str(&groups.join("|"))
            }
            Self::OneWay(senders, receivers) => write!(f, "{}->{}", Names(senders), Names(receivers)),
        }
    }
}

/// `n0,n1`
struct Names<'a>(&'a [usize]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, node) in self.0.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            write!(f, "{comma}n{node}")?;
        }
        Ok(())
    }
}

/// `3s`, `3.000001s`, `200ms`: exact, and as [`parse_time`] reads it.
pub(super) struct Time(pub(super) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        if micros > 0 && micros < 1_000_000 && micros.is_multiple_of(1_000) {
            return write!(f, "{}ms", micros / 1_000);
        }
        let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
        if rest == 0 {
            return write!(f, "{seconds}s");
        }
        let fraction = format!("{rest:06}");
        write!(f, "{seconds}.{}s", fraction.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PlannedFault, FaultError> {
        text.parse()
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in [
            "partition n0|n1,n2 at 3s for 5s",
            "partition n0|n1|n2 at 0s",
            "partition n0->n1,n2 n2->n0 at 1.5s for 250ms",
            "partition n0,n1|n3,n4 n2->n0 at 0s for 0.000001s",
            "kill n1 at 2s for 1s",
            "pause n1,n10 at 2.000003s for 999ms",
            "loss 0.3 n0->n1 at 0s for 10s",
            "loss 0.3 at 0s for 10s",
            "duplicate 1 n0|n1 at 0s for 10s",
            "slow n0->n1 200ms at 1s for 5s",
            "reorder 3s at 1s",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            parse("  kill   n1 at 2000ms for 7us ").unwrap().to_string(),
            "kill n1 at 2s for 0.000007s"
        );
    }

    #[test]
    fn what_is_no_fault_is_refused_with_what_was_expected() {
        for (text, expected) in [
            ("", "expected a fault: partition, kill, pause, loss, duplicate, slow or reorder, found the end"),
            ("explode n1 at 3s", "expected a fault: partition, kill"),
            ("kill at 3s", "expected nodes such as n0 or n0,n1, found \"at\""),
            ("kill n1,n1 at 3s", "expected nodes such as n0 or n0,n1, found \"n1,n1\""),
            ("kill n01 at 3s", "expected nodes"),
            ("kill n1", "expected \"at\" and a time such as 3s, found the end"),
            ("kill n1 at 3", "expected a time such as 3s, 0.5s or 200ms, found \"3\""),
            ("kill n1 at -3s", "expected a time"),
            ("kill n1 at 3.s", "expected a time"),
            ("kill n1 at .5s", "expected a time"),
            ("kill n1 at 1e3s", "expected a time"),
            ("kill n1 at 86401s", "expected a time"),
            ("kill n1 at 0.0000001s", "expected a time"),
            ("kill n1 at 3s during 5s", "expected \"for\" and a time such as 3s, found \"during\""),
            ("kill n1 at 3s for 5s please", "expected nothing more, found \"please\""),
            ("partition at 3s", "expected links such as n0|n1,n2 or n0->n1, found \"at\""),
            ("partition n0|n0 at 3s", "no node on both sides, found \"n0|n0\""),
            ("partition n0->n0 at 3s", "no node on both sides"),
            ("partition n0| at 3s", "expected links"),
            ("loss n0->n1 at 3s", "expected a rate from 0 to 1, found \"n0->n1\""),
            ("loss 1.1 at 3s", "expected a rate from 0 to 1"),
            ("loss NaN at 3s", "expected a rate from 0 to 1"),
            ("slow n0->n1 at 3s", "expected a time such as 3s, 0.5s or 200ms, found \"at\""),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(expected) && error.starts_with(&format!("{text:?}")), "{text}: {error}");
        }
    }

    #[test]
    fn a_node_that_does_not_exist_is_found_wherever_it_is_named() {
        let unknown = |text: &str| parse(text).unwrap().unknown_node(3);
        for text in ["kill n0,n2 at 1s", "pause n1 at 1s", "loss 0.1 at 1s", "partition n0|n1,n2 at 1s"] {
            assert_eq!(unknown(text), None);
        }
        for text in [
            "kill n2,n3 at 1s",
            "pause n3 at 1s",
            "partition n0|n1|n3 at 1s",
            "slow n3->n1 1s at 1s",
            "loss 1 n1->n3 at 1s",
        ] {
            assert_eq!(unknown(text), Some(3));
        }
    }

    /// Which pairs of three nodes a fault's links have, sender first.
    fn pairs(text: &str) -> Vec<(usize, usize)> {
        let fault = parse(text).unwrap();
        let links = fault.action.links().unwrap();
        let all = (0..3).flat_map(|sender| (0..3).map(move |receiver| (sender, receiver)));
        all.filter(|&(sender, receiver)| links.contain(sender, receiver)).collect()
    }

    #[test]
    fn every_link_is_visited() {
        for text in [
            "partition n0|n1,n2 at 0s",
            "partition n0|n2 at 0s",
            "partition n0->n1 n1->n2 at 0s",
            "partition n0->n1,n2 at 0s",
            "loss 1 at 0s",
        ] {
            let (fault, mut visited) = (parse(text).unwrap(), Vec::new());
            fault.action.links().unwrap().for_each(3, |sender, receiver| visited.push((sender, receiver)));
            assert_eq!(visited, pairs(text));
        }
    }

    #[test]
    fn links_are_those_that_were_meant() {
        assert_eq!(pairs("partition n0|n1,n2 at 0s"), [(0, 1), (0, 2), (1, 0), (2, 0)]);
        assert_eq!(pairs("partition n0|n2 at 0s"), [(0, 2), (2, 0)], "n1 is a bridge");
        assert_eq!(pairs("partition n0->n1 n1->n2 at 0s"), [(0, 1), (1, 2)]);
        assert_eq!(pairs("loss 1 at 0s"), [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]);
        assert_eq!(pairs("partition n0|n1|n2 at 0s").len(), 6);
    }
}
