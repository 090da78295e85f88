//! What is around the nodes of a test cluster: the cluster that they are in, and what they say to those whom the test
//! plays.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::Value;

use crate::time::Instant;
use crate::wire::lines::NextLine;
use crate::wire::out::OutBuffer;
use crate::workbench::cluster::Cluster;
use crate::workbench::driver::hosts::Surroundings;
use crate::workbench::journal::Address;
use crate::workbench::settings::Settings;

/// Maximum messages that were said and not taken.
const SAID_MAX: usize = 100_000;

/// What a node said to somebody whom the test plays.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Said {
    /// When.
    pub at: Instant,
    /// In whose name: the node's own, if it is a right one.
    pub src: String,
    /// To whom.
    pub dest: String,
    /// What.
    pub body: Value,
    /// The line as it was written, without its newline.
    pub line: String,
}

/// What is around the nodes.
pub(super) struct Around {
    pub(super) cluster: Cluster<Delivery>,
    /// Whether a node was ever started, by its number.
    pub(super) was_started: Vec<bool>,
    pub(super) has_services: bool,
    pub(super) is_network_played: bool,
    /// What was said to those whom the test plays, and not taken.
    pub(super) untaken: VecDeque<Said>,
}

/// A line for a node, to be handed to it at a time.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) node: usize,
    pub(super) line: Vec<u8>,
}

impl Around {
    /// With nodes of these numbers.
    pub(super) fn new(numbers: &[usize]) -> Self {
        let count = numbers.iter().max().map_or(0, |last| last + 1);
        let settings = Settings { nodes: count, journal_size: usize::MAX, ..Settings::default() };
        let mut cluster = Cluster::new(&settings);
        cluster.open_every_client();
        (0..count).filter(|number| !numbers.contains(number)).for_each(|number| cluster.leave_out(number));
        Self {
            cluster,
            was_started: vec![false; count],
            has_services: false,
            is_network_played: false,
            untaken: VecDeque::new(),
        }
    }

    /// Whether the test plays the one of that name.
    fn is_played(&self, name: &str) -> bool {
        match Address::parse(name) {
            Some(Address::Node(_)) if self.is_network_played => true,
            Some(Address::Node(node)) => self.was_started.get(node) != Some(&true),
            Some(Address::Service(_)) => !self.has_services,
            _ => true,
        }
    }

    /// A node said this to somebody whom the test plays.
    fn note(&mut self, at: Instant, line: &str) {
        #[derive(Deserialize)]
        struct Message {
            src: String,
            dest: String,
            body: Value,
        }
        assert!(self.untaken.len() < SAID_MAX, "{SAID_MAX} messages were said and not taken");
        match serde_json::from_str(line) {
            Ok(Message { src, dest, body }) => {
                self.untaken.push_back(Said { at, src, dest, body, line: line.to_owned() });
            }
            Err(error) => panic!("expected a message with src, dest and body, found {line}: {error}"),
        }
    }
}

impl Surroundings for Around {
    fn inbox(&mut self, node: usize) -> &mut OutBuffer {
        self.cluster.inbox(node)
    }

    fn handle_line(&mut self, now: Instant, node: usize, line: NextLine<'_>) {
        #[derive(Deserialize)]
        struct To<'a> {
            #[serde(borrow)]
            dest: Cow<'a, str>,
        }
        let text = match line {
            NextLine::Line(line) => String::from_utf8_lossy(line.bytes()),
            NextLine::TooLong(_) => Cow::Borrowed(""),
        };
        let is_played = serde_json::from_str(&text).is_ok_and(|To { dest }| self.is_played(&dest));
        if !is_played {
            // What is no message at all it knows how to say.
            return self.cluster.handle_line(now, node, line, |_, _| Ok(()));
        }
        self.cluster.check_line(now, node, line);
        if self.cluster.failure().is_none() {
            self.note(now, &text);
        }
    }

    fn fail_assertion(&mut self, node: usize, broken: &str) {
        panic!("n{node} says that this should always hold: {broken}");
    }

    fn is_over(&self) -> bool {
        self.cluster.failure().is_some()
    }
}
