//! The end of a test: what was open ends, nodes recover, workers take their last steps, and who fell silent is asked again.

use super::schedule::TICK;
use super::silence::Ask;
use super::{Clients, Cluster, Phase, Reminder, Worker};
use crate::time::Duration;
use crate::workbench::workload::{FinalStep, GeneratorContext};

impl Clients {
    /// No more operations start, and nothing goes wrong any more.
    pub(super) fn end(&mut self, cluster: &mut Cluster) {
        self.phase = Phase::Ending;
        self.ended = cluster.now();
        cluster.heal();
        self.end_if_quiet(cluster);
    }

    /// Goes on if no operation is open any more.
    pub(super) fn end_if_quiet(&mut self, cluster: &mut Cluster) {
        if self.workers.iter().any(|worker| worker.waits.is_some()) {
            return;
        }
        match self.phase {
            Phase::Ending if self.workload.final_phase().is_some() => {
                self.phase = Phase::Recovering;
                cluster.remind(cluster.now() + self.rest(), Reminder::Recovered);
            }
            Phase::Ending => {
                // After faults nodes need some time to find each other again.
                let rest = if cluster.faults().is_empty() { TICK } else { self.rest().max(TICK) };
                self.start_probing(cluster, rest);
            }
            Phase::Final if self.workers.iter().all(|worker| worker.is_done) => {
                self.start_probing(cluster, TICK);
            }
            _ => {}
        }
    }

    /// How long nodes have to find each other again, and to tell each other what each knows.
    fn rest(&self) -> Duration {
        self.settings.stretched(self.settings.recovery)
    }

    pub(super) fn start_final(&mut self, cluster: &mut Cluster) {
        self.phase = Phase::Final;
        self.operations.start_final();
        let longest = self.settings.stretched(self.workload.final_phase().unwrap_or_default());
        cluster.remind(cluster.now() + longest, Reminder::FinalEnd);
        (0..self.workers.len()).for_each(|worker| self.go_on_finally(cluster, worker));
    }

    /// A worker takes its next step in the final phase.
    pub(super) fn go_on_finally(&mut self, cluster: &mut Cluster, place: usize) {
        let worker = &self.workers[place];
        if self.phase != Phase::Final || worker.waits.is_some() || worker.is_done {
            return;
        }
        let now = cluster.now();
        if self.operations.are_full(&self.settings.limits, now) {
            return self.end_final(cluster);
        }
        let mut cx = GeneratorContext { rng: &mut self.operations.rng, now, process: worker.process };
        match self.operations.generator.final_step(place, &mut cx) {
            FinalStep::Do(operation) => self.invoke(cluster, place, operation),
            FinalStep::Wait(span) => {
                cluster.remind(now + span.max(TICK), Reminder::FinalStep(place));
            }
            FinalStep::Done => {
                self.workers[place].is_done = true;
                self.end_if_quiet(cluster);
            }
        }
    }

    /// No worker takes a step of the final phase any more.
    pub(super) fn end_final(&mut self, cluster: &mut Cluster) {
        self.workers.iter_mut().for_each(|worker| worker.is_done = true);
        self.end_if_quiet(cluster);
    }

    /// Asks each node again that left its last request without an answer. Nothing is wrong any more: a node that still
    /// answers nothing has fallen silent.
    fn start_probing(&mut self, cluster: &mut Cluster, rest: Duration) {
        self.phase = Phase::Probing;
        let asker = |node: usize| self.workers.iter().position(|worker| worker.node == node);
        self.silence.start_probing(asker);
        for place in self.silence.askers() {
            cluster.remind(cluster.now() + rest, Reminder::Probe(place));
        }
        self.end_if_probed();
    }

    /// A worker asks its node once more, unless it has answered, or was asked often enough.
    pub(super) fn probe(&mut self, cluster: &mut Cluster, place: usize) {
        let Worker { node, process, .. } = self.workers[place];
        match self.silence.probe(place, node) {
            Ask::Again => {
                let mut cx = GeneratorContext { rng: &mut self.operations.rng, now: cluster.now(), process };
                let operation = self.operations.generator.probe(place, &mut cx);
                self.invoke(cluster, place, operation);
            }
            Ask::NoMore => self.end_if_probed(),
        }
    }

    fn end_if_probed(&mut self) {
        if self.silence.is_decided() {
            self.phase = Phase::Done;
        }
    }
}
