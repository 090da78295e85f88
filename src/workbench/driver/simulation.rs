//! Nodes of this crate in one process and in virtual time: the same seed makes the same test, to the byte.

use std::collections::BTreeMap;

use crate::assertions::Watch;
use crate::node::{Config, Handler, Node};
use crate::store::{BadRecord, Records};
use crate::time::{Duration, Instant};
use crate::wire::lines::{Line, LineBuffer, NextLine};
use crate::wire::out::OutBuffer;
use crate::workbench::disk::Disk;
use crate::workbench::nemesis::ProcessCommand;
use crate::workbench::network::mix;
use crate::workbench::settings::{InvalidSetting, Settings};
use crate::workbench::verdict::Results;
use crate::workbench::workload::Workload;
use crate::workbench::world::World;

/// Tests nodes in virtual time, and judges what the clients saw. `node` makes one for each start: of each of the
/// [nodes](Settings::nodes) at the beginning, and of each that was killed. A minute takes a moment.
///
/// The same settings, with the same seed, make the same test, if the nodes draw by [`Context::rng`](crate::Context::rng)
/// alone and read the time by [`Context::now`](crate::Context::now).
///
/// ```
/// use messenger::handler_fn;
/// use messenger::messages::echo::{Reply, Request};
/// use messenger::workbench::workload::echo::Echo;
/// use messenger::workbench::{Settings, Verdict, simulate};
///
/// let echo = || {
///     handler_fn(|request, cx| {
///         let Request::Echo { echo } = request.parse()?;
///         cx.reply_with(request, &Reply::EchoOk { echo })
///     })
/// };
/// let results = simulate(&Echo, Settings { nodes: 3, seed: 7, ..Settings::default() }, echo)?;
/// assert_eq!(results.verdict, Verdict::Valid, "{:?}", results.explain());
/// # Ok::<(), messenger::workbench::settings::InvalidSetting>(())
/// ```
///
/// # Errors
/// Settings with which there is no test.
pub fn simulate<H: Handler>(
    workload: &'static dyn Workload,
    settings: Settings,
    mut node: impl FnMut() -> H,
) -> Result<Results, InvalidSetting> {
    let mut world = World::new(workload, settings)?;
    let answer_within = world.answer_within();
    run(&mut world, |_, seed| {
        Box::new(Node::new(node(), Config { seed, answer_within, ..Config::default() }))
    });
    Ok(Results::of(&world))
}

/// A node of any workload.
pub trait SimulatedNode {
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

impl<F: FnMut(Instant, &str) -> Vec<(Duration, String)>> SimulatedNode for ScriptedNode<F> {
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

/// Maximum bytes of a line that a node reads, as in a process.
const LINE_MAX: usize = 64 * 1024 * 1024;

impl Host {
    fn new(node: Box<dyn SimulatedNode>, disk: Disk) -> Self {
        let (lines, out) = (LineBuffer::new(LINE_MAX), OutBuffer::new());
        Self { node: Some(node), is_paused: false, lines, has_lines: false, out, disk }
    }

    /// A node begins in the place of one that was killed; what that one had not read or written is gone.
    fn start(&mut self, node: Box<dyn SimulatedNode>) {
        (self.node, self.is_paused, self.has_lines) = (Some(node), false, false);
        (self.lines, self.out) = (LineBuffer::new(LINE_MAX), OutBuffer::new());
    }

    /// The node, if it can do anything.
    fn running(&mut self) -> Option<&mut Box<dyn SimulatedNode>> {
        self.node.as_mut().filter(|_| !self.is_paused)
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        let disk = self.disk.poll_timeout();
        let node = self.running()?.poll_timeout();
        disk.into_iter().chain(node).min()
    }
}

/// Runs a test to its end. `start` makes a node from its place and a seed, which is another one for each
/// node and each time.
pub fn run(world: &mut World, mut start: impl FnMut(usize, u64) -> Box<dyn SimulatedNode>) {
    let (nodes, first_seed) = (world.settings().nodes, world.settings().seed);
    // By its time, so that a start that is left out of a plan does not change the later ones.
    let mut start =
        |node: usize, now: Instant| start(node, mix(first_seed ^ mix(node as u64 ^ mix(now.as_micros()))));
    let mut hosts: Vec<Host> = (0..nodes)
        .map(|node| Host::new(start(node, Instant::START), Disk::new(first_seed ^ (node as u64) << 32)))
        .collect();
    let mut now = Instant::START;
    let watch = Watch::start();
    while !world.is_over() {
        // First, so that a node which is started or goes on reads at this instant what waits for it.
        for command in world.take_commands() {
            match command {
                ProcessCommand::Kill(node) => {
                    hosts[node].node = None;
                    hosts[node].disk.crash();
                }
                ProcessCommand::Start(place) => {
                    let (mut node, host) = (start(place, now), &mut hosts[place]);
                    for record in host.disk.records() {
                        if let Err(error) = node.recover(record) {
                            world.fail(
                                place,
                                format!("it could not start again from its log: {error}"),
                                None,
                            );
                        }
                    }
                    host.start(node);
                }
                ProcessCommand::Pause(node) => hosts[node].is_paused = true,
                ProcessCommand::Resume(node) => hosts[node].is_paused = false,
            }
        }
        let is_settled = settle(world, &mut hosts, now, &watch);
        // Whoever would go on for ever goes on when something else happens.
        let is_due = |due: &Instant| is_settled || *due > now;
        let of_hosts = hosts.iter_mut().filter_map(Host::poll_timeout).filter(is_due);
        let due = of_hosts.chain(world.poll_timeout()).min();
        let Some(due) = due else { break };
        now = now.max(due);
        world.handle_timeout(now);
    }
    for (text, occurred) in watch.sometimes() {
        world.note_sometimes(text, occurred);
    }
}

/// Lets everything happen that happens at this moment. Whether it did: a node that has something to do again and again,
/// such as a handler that looks in a loop whether something has changed, is left alone at a bound.
fn settle(world: &mut World, hosts: &mut [Host], now: Instant, watch: &Watch) -> bool {
    let mut busy = None;
    for _ in 0..world.settings().limits.turns_per_instant {
        busy = None;
        for (place, host) in hosts.iter_mut().enumerate() {
            let Some(node) = host.node.as_mut().filter(|_| !host.is_paused) else { continue };
            let inbox = world.inbox(place);
            if !host.has_lines && !inbox.is_empty() {
                read(inbox, &mut host.lines);
                host.has_lines = true;
            }
            if host.has_lines {
                host.has_lines = !node.handle_lines(now, &mut host.lines, &mut host.out);
                // One that waits for its disk says nothing, and leaves them.
                if !host.has_lines || !host.out.is_empty() {
                    busy = Some(place);
                }
            }
            if node.poll_timeout().is_some_and(|due| due <= now) {
                busy = Some(place);
                node.handle_timeout(now, &mut host.out);
            }
            if host.disk.is_done(now) {
                busy = Some(place);
                node.handle_durable(&mut host.out);
            }
            if let Some(records) = node.poll_persist() {
                host.disk.write(now, records);
            }
            if let Some(broken) = watch.take_broken() {
                world.fail_assertion(place, &broken);
            }
            if !host.out.is_empty() {
                each_line(host.out.waiting(), |line| world.handle_line(now, place, line));
                host.out.consume(host.out.len());
            }
        }
        if busy.is_none() || world.is_over() {
            return true;
        }
    }
    if let Some(node) = busy {
        world.note_polling(node, now);
    }
    false
}

/// Reads as much as a read takes.
fn read(inbox: &mut OutBuffer, lines: &mut LineBuffer) {
    let space = lines.space();
    let count = space.len().min(inbox.len());
    space[..count].copy_from_slice(&inbox.waiting()[..count]);
    inbox.consume(count);
    lines.filled(count);
}

/// Cuts a text into its lines.
fn each_line(mut text: &[u8], mut take: impl FnMut(Line<'_>)) {
    while let Some(length) = memchr::memchr(b'\n', text) {
        take(Line::first_of(text, length));
        text = &text[length + 1..];
    }
}
