//! Nodes of this crate in one process and in virtual time: the same seed makes the same test, to the byte.

use super::hosts::{Hosts, Surroundings};
pub use super::hosts::{ScriptedNode, SimulatedNode};
use crate::assertions::Watch;
use crate::node::{Config, Handler, Node};
use crate::time::Instant;
use crate::wire::lines::NextLine;
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

/// Runs a test to its end. `start` makes a node from its place and a seed, which is another one for each
/// node and each time.
pub fn run(world: &mut World, mut start: impl FnMut(usize, u64) -> Box<dyn SimulatedNode>) {
    let (nodes, first_seed) = (world.settings().nodes, world.settings().seed);
    // By its time, so that a start that is left out of a plan does not change the later ones.
    let mut start =
        |node: usize, now: Instant| start(node, mix(first_seed ^ mix(node as u64 ^ mix(now.as_micros()))));
    let turns_max = world.settings().limits.turns_per_instant;
    let mut hosts = Hosts::new(nodes, turns_max, |node| Disk::new(first_seed ^ (node as u64) << 32));
    let mut now = Instant::START;
    let mut start = |world: &mut World, hosts: &mut Hosts, node: usize, now: Instant| {
        if let Err(error) = hosts.start(node, start(node, now)) {
            world.fail(node, format!("it could not start again from its log: {error}"), None);
        }
    };
    (0..nodes).for_each(|node| start(world, &mut hosts, node, now));
    let watch = Watch::start();
    while !world.is_over() {
        // First, so that a node which is started or goes on reads at this instant what waits for it.
        for command in world.take_commands() {
            match command {
                ProcessCommand::Kill(node) => hosts.kill(node, now),
                ProcessCommand::Start(node) => start(world, &mut hosts, node, now),
                ProcessCommand::Pause(node) => hosts.pause(node),
                ProcessCommand::Resume(node) => hosts.resume(node),
            }
        }
        let polling = hosts.settle(world, now, &watch);
        if let Some(node) = polling {
            world.note_polling(node, now);
        }
        // Whoever would go on for ever goes on when something else happens.
        let due = hosts.next_due(polling.map(|_| now)).into_iter().chain(world.poll_timeout()).min();
        let Some(due) = due else {
            debug_assert!(world.is_over(), "a test that goes on is waiting for something");
            break;
        };
        now = now.max(due);
        world.handle_timeout(now);
    }
    for (text, occurred) in watch.sometimes() {
        world.note_sometimes(text, occurred);
    }
}

impl Surroundings for World {
    fn inbox(&mut self, node: usize) -> &mut OutBuffer {
        self.inbox(node)
    }

    fn handle_line(&mut self, now: Instant, node: usize, line: NextLine<'_>) {
        self.handle_line(now, node, line);
    }

    fn fail_assertion(&mut self, node: usize, broken: &str) {
        self.fail_assertion(node, broken);
    }

    fn is_over(&self) -> bool {
        self.is_over()
    }
}
