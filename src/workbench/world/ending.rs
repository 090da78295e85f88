//! The end of a test: what was open ends, nodes recover, workers take their last steps, and who fell silent is asked again.

use super::super::workload::{FinalStep, GeneratorContext};
use super::{Event, PROBES, Phase, TICK, Worker, World};
use crate::time::Duration;

impl World {
    /// Goes on if no operation is open any more.
    pub(super) fn end_if_quiet(&mut self) {
        if self.workers.iter().any(|worker| worker.waits.is_some()) {
            return;
        }
        match self.phase {
            Phase::Ending if self.workload.final_phase().is_some() => {
                self.phase = Phase::Recovering;
                self.events.insert(self.now + self.settings.recovery, Event::Recovered);
            }
            Phase::Ending => {
                // After faults nodes need some time to find each other again.
                let rest =
                    if self.nemesis.windows.is_empty() { TICK } else { self.settings.recovery.max(TICK) };
                self.start_probing(rest);
            }
            Phase::Final if self.workers.iter().all(|worker| worker.is_done) => self.start_probing(TICK),
            _ => {}
        }
    }

    /// Asks each node again that left its last request without an answer. Nothing is wrong any more: a node that still
    /// answers nothing has fallen silent.
    pub(super) fn start_probing(&mut self, rest: Duration) {
        self.phase = Phase::Probing;
        let asker = |node: usize| self.workers.iter().position(|worker| worker.node == node);
        let is_silent = |node: &usize| self.nodes[*node].is_silent;
        self.probes =
            (0..self.nodes.len()).filter(is_silent).filter_map(asker).map(|place| (place, PROBES)).collect();
        for &(place, _) in &self.probes {
            self.events.insert(self.now + rest, Event::Probe(place));
        }
        self.end_if_probed();
    }

    pub(super) fn probe(&mut self, place: usize) {
        let Some(at) = self.probes.iter().position(|&(asker, _)| asker == place) else { return };
        let Worker { node, process, .. } = self.workers[place];
        let (_, left) = &mut self.probes[at];
        if self.nodes[node].is_silent && *left > 0 {
            *left -= 1;
            let mut cx = GeneratorContext { rng: &mut self.rng, now: self.now, process };
            let operation = self.generator.probe(place, &mut cx);
            return self.invoke(place, operation);
        }
        if self.nodes[node].is_silent {
            self.silent_nodes.push(node);
        }
        self.probes.swap_remove(at);
        self.end_if_probed();
    }

    pub(super) fn end_if_probed(&mut self) {
        if self.probes.is_empty() {
            self.silent_nodes.sort_unstable();
            self.phase = Phase::Done;
        }
    }

    pub(super) fn start_final(&mut self) {
        self.phase = Phase::Final;
        let longest = self.workload.final_phase().unwrap_or_default();
        self.events.insert(self.now + longest, Event::FinalEnd);
        (0..self.workers.len()).for_each(|worker| self.go_on_finally(worker));
    }

    /// A worker takes its next step in the final phase.
    pub(super) fn go_on_finally(&mut self, place: usize) {
        let worker = &self.workers[place];
        if self.phase != Phase::Final || worker.waits.is_some() || worker.is_done {
            return;
        }
        let mut cx = GeneratorContext { rng: &mut self.rng, now: self.now, process: worker.process };
        match self.generator.final_step(place, &mut cx) {
            FinalStep::Do(operation) => self.invoke(place, operation),
            FinalStep::Wait(span) => {
                self.events.insert(self.now + span.max(TICK), Event::FinalStep(place));
            }
            FinalStep::Done => {
                self.workers[place].is_done = true;
                self.end_if_quiet();
            }
        }
    }
}
