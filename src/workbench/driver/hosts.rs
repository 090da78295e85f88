//! Nodes in virtual time, each with its stdin, its stdout and its disk: what one of them does at one instant.

use std::any::Any;
use std::collections::BTreeMap;

use super::LINE_MAX;
use crate::assertions::Watch;
use crate::node::{Handler, Node};
use crate::store::{BadRecord, Records};
use crate::time::{Duration, Instant};
use crate::wire::lines::{LineBuffer, NextLine};
use crate::wire::out::OutBuffer;
use crate::workbench::disk::Disk;

/// A node of any workload.
pub trait SimulatedNode: Any {
    /// See [`Node::handle_lines`].
    fn handle_lines(&mut self, now: Instant, lines: &mut LineBuffer, out: &mut OutBuffer) -> bool;
    /// See [`Node::handle_timeout`].
    fn handle_timeout(&mut self, now: Instant, out: &mut OutBuffer);
    /// See [`Node::poll_timeout`].
    fn poll_timeout(&mut self) -> Option<Instant>;
    /// See [`Node::recover`].
    ///
    /// # Errors
    /// If the handler cannot make the record out.
    fn recover(&mut self, record: &[u8]) -> Result<(), BadRecord>;
    /// See [`Node::poll_persist`].
    fn poll_persist(&mut self) -> Option<&Records>;
    /// See [`Node::handle_durable`].
    fn handle_durable(&mut self, out: &mut OutBuffer);
}

impl<W: Handler> SimulatedNode for Node<W> {
    fn handle_lines(&mut self, now: Instant, lines: &mut LineBuffer, out: &mut OutBuffer) -> bool {
        Self::handle_lines(self, now, lines, out)
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut OutBuffer) {
        Self::handle_timeout(self, now, out);
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        Self::poll_timeout(self)
    }

    fn recover(&mut self, record: &[u8]) -> Result<(), BadRecord> {
        Self::recover(self, record)
    }

    fn poll_persist(&mut self) -> Option<&Records> {
        Self::poll_persist(self)
    }

    fn handle_durable(&mut self, out: &mut OutBuffer) {
        Self::handle_durable(self, out);
    }
}

/// Nodes in virtual time, by their places.
pub(in crate::workbench) struct Hosts {
    all: Vec<Host>,
    /// The stdout of a node, as it is read.
    stdout: LineBuffer,
    /// Maximum turns of a node at one instant.
    turns_max: usize,
}

/// What is around nodes in virtual time.
pub(in crate::workbench) trait Surroundings {
    /// What is there for a node to read.
    fn inbox(&mut self, node: usize) -> &mut OutBuffer;
    /// A node said this line.
    fn handle_line(&mut self, now: Instant, node: usize, line: NextLine<'_>);
    /// What a node says must always hold does not: the text, and after a semicolon the state.
    fn fail_assertion(&mut self, node: usize, broken: &str);
    /// Whether nothing more needs to happen.
    fn is_over(&self) -> bool;
}

/// A place for a node.
struct Host {
    /// None while it is killed.
    node: Option<Box<dyn SimulatedNode>>,
    is_paused: bool,
    /// Its stdin, as far as it was read.
    lines: LineBuffer,
    /// Some of them are not handled yet.
    has_lines: bool,
    out: OutBuffer,
    /// It outlives the node.
    disk: Disk,
}

impl Hosts {
    /// So many places, each with its disk, and no node in any of them.
    pub(in crate::workbench) fn new(count: usize, turns_max: usize, disk: impl Fn(usize) -> Disk) -> Self {
        let host = |place| Host {
            node: None,
            is_paused: false,
            lines: LineBuffer::new(LINE_MAX),
            has_lines: false,
            out: OutBuffer::new(),
            disk: disk(place),
        };
        Self { all: (0..count).map(host).collect(), stdout: LineBuffer::new(LINE_MAX), turns_max }
    }

    /// The node in that place, unless none was started or it was killed.
    pub(in crate::workbench) fn node(&self, place: usize) -> Option<&dyn SimulatedNode> {
        self.all[place].node.as_deref()
    }

    /// As [`node`](Self::node).
    pub(in crate::workbench) fn node_mut(&mut self, place: usize) -> Option<&mut Box<dyn SimulatedNode>> {
        self.all[place].node.as_mut()
    }

    /// The disk in that place.
    pub(in crate::workbench) fn disk(&self, place: usize) -> &Disk {
        &self.all[place].disk
    }

    /// As [`disk`](Self::disk).
    pub(in crate::workbench) fn disk_mut(&mut self, place: usize) -> &mut Disk {
        &mut self.all[place].disk
    }

    /// A node begins, with what is on the disk of its place. What one that was killed had not read or written is gone.
    ///
    /// # Errors
    /// If the handler cannot make a record out. The node runs all the same.
    pub(in crate::workbench) fn start(
        &mut self,
        place: usize,
        mut node: Box<dyn SimulatedNode>,
    ) -> Result<(), BadRecord> {
        let host = &mut self.all[place];
        let recovered = host.disk.records().try_for_each(|record| node.recover(record));
        (host.node, host.is_paused, host.has_lines) = (Some(node), false, false);
        (host.lines, host.out) = (LineBuffer::new(LINE_MAX), OutBuffer::new());
        recovered
    }

    /// Ends a node, and crashes its disk, which has gone on while the node was paused.
    pub(in crate::workbench) fn kill(&mut self, place: usize, now: Instant) {
        let Host { node, disk, .. } = &mut self.all[place];
        *node = None;
        disk.end_write(now);
        disk.crash();
    }

    /// A node stops, and its clock goes on.
    pub(in crate::workbench) fn pause(&mut self, place: usize) {
        self.all[place].is_paused = true;
    }

    /// A node goes on.
    pub(in crate::workbench) fn resume(&mut self, place: usize) {
        self.all[place].is_paused = false;
    }

    /// When a node or a disk has something to do next. While a node polls, only what is due after this instant counts:
    /// the rest would go on for ever.
    pub(in crate::workbench) fn next_due(&mut self, polls_at: Option<Instant>) -> Option<Instant> {
        let counts = |due: &Instant| polls_at.is_none_or(|now| *due > now);
        self.all.iter_mut().flat_map(Host::deadlines).filter(counts).min()
    }

    /// Lets everything happen that happens at this moment. A node that has something to do again and again, such as a
    /// handler that looks in a loop whether something has changed, is left alone at a bound; which it is.
    pub(in crate::workbench) fn settle(
        &mut self,
        around: &mut impl Surroundings,
        now: Instant,
        watch: &Watch,
    ) -> Option<usize> {
        let mut busy = None;
        for _ in 0..self.turns_max {
            busy = None;
            for (place, host) in self.all.iter_mut().enumerate() {
                if host.take_turn(around.inbox(place), now) {
                    busy = Some(place);
                }
                if let Some(broken) = watch.take_broken() {
                    around.fail_assertion(place, &broken);
                }
                while !host.out.is_empty() {
                    read(&mut host.out, &mut self.stdout);
                    for line in self.stdout.lines() {
                        around.handle_line(now, place, line);
                    }
                }
            }
            if busy.is_none() || around.is_over() {
                return None;
            }
        }
        busy
    }
}

impl Host {
    /// When the node and its disk have something to do.
    fn deadlines(&mut self) -> impl Iterator<Item = Instant> {
        let node = self.node.as_mut().filter(|_| !self.is_paused);
        let disk = self.disk.poll_timeout().filter(|_| node.is_some());
        let node = node.and_then(|node| node.poll_timeout());
        disk.into_iter().chain(node)
    }

    /// Lets the node do what it has to do now: read, what was due, and what its disk allows. Whether there was anything.
    fn take_turn(&mut self, inbox: &mut OutBuffer, now: Instant) -> bool {
        let Some(node) = self.node.as_mut().filter(|_| !self.is_paused) else { return false };
        let mut is_busy = false;
        if !self.has_lines && !inbox.is_empty() {
            read(inbox, &mut self.lines);
            self.has_lines = true;
        }
        if self.has_lines {
            self.has_lines = !node.handle_lines(now, &mut self.lines, &mut self.out);
            // One that waits for its disk says nothing, and leaves them.
            is_busy = !self.has_lines || !self.out.is_empty();
        }
        if node.poll_timeout().is_some_and(|due| due <= now) {
            is_busy = true;
            node.handle_timeout(now, &mut self.out);
        }
        if self.disk.end_write(now) {
            is_busy = true;
            node.handle_durable(&mut self.out);
        }
        if let Some(records) = node.poll_persist() {
            self.disk.write(now, records);
            // Some disks take no time.
            is_busy |= self.disk.poll_timeout().is_some_and(|due| due <= now);
        }
        is_busy
    }
}

/// A node that is a function: from the time and a line that came, to lines and how long until each of them is said.
///
/// For nodes that do what none of this crate does, in tests of testers. What it says is not checked, and may be anything
/// but a newline.
pub struct ScriptedNode<F> {
    script: F,
    /// What is yet to be said, in the order of time.
    waiting: BTreeMap<(Instant, u64), String>,
    said: u64,
}

impl<F: FnMut(Instant, &str) -> Vec<(Duration, String)>> ScriptedNode<F> {
    /// A node that does what the function says.
    pub const fn new(script: F) -> Self {
        Self { script, waiting: BTreeMap::new(), said: 0 }
    }
}

impl<F: FnMut(Instant, &str) -> Vec<(Duration, String)> + 'static> SimulatedNode for ScriptedNode<F> {
    fn handle_lines(&mut self, now: Instant, lines: &mut LineBuffer, out: &mut OutBuffer) -> bool {
        for line in lines.lines() {
            let NextLine::Line(line) = line else { continue };
            for (delay, line) in (self.script)(now, &String::from_utf8_lossy(line.bytes())) {
                self.waiting.insert((now + delay, self.said), line);
                self.said += 1;
            }
        }
        self.handle_timeout(now, out);
        true
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut OutBuffer) {
        while let Some(next) = self.waiting.first_entry().filter(|next| next.key().0 <= now) {
            out.start_line().extend_from_slice(next.remove().as_bytes());
            out.end_line();
        }
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.waiting.keys().next().map(|&(due, _)| due)
    }

    /// It keeps nothing.
    fn recover(&mut self, _: &[u8]) -> Result<(), BadRecord> {
        Ok(())
    }

    fn poll_persist(&mut self) -> Option<&Records> {
        None
    }

    fn handle_durable(&mut self, _: &mut OutBuffer) {}
}

/// Reads as much as a read takes.
fn read(from: &mut OutBuffer, lines: &mut LineBuffer) {
    let space = lines.space();
    let count = space.len().min(from.len());
    space[..count].copy_from_slice(&from.waiting()[..count]);
    from.consume(count);
    lines.filled(count);
}
