//! What workers do: who does the operation that is due, how it begins and how it ends.

use std::mem;

use super::operations::Operations;
use super::schedule::{Free, TICK};
use super::{Clients, Cluster, Phase, Reminder, Role, Worker, go_soon, next_soon};
use crate::time::Instant;
use crate::workbench::checker::{Completion, Interval};
use crate::workbench::data::Data;
use crate::workbench::history::{Invocation, Operation, Outcome};
use crate::workbench::plan::Script;
use crate::workbench::workload::{GeneratorContext, Step};

impl Clients {
    /// It is time for another operation.
    pub(super) fn next(&mut self, cluster: &mut Cluster) {
        if self.schedule.script.is_some() {
            return self.next_planned(cluster);
        }
        let is_due = |rate: &f64| *rate > 0.0 && self.phase == Phase::Running;
        let Some(rate) = self.settings.rate.filter(is_due) else { return };
        match self.schedule.take_free(cluster.now()) {
            Free::Nobody => {}
            Free::InAMoment => next_soon(cluster),
            Free::Worker(worker) => {
                self.go(cluster, worker);
                let next_at = self.schedule.draw_next(rate, cluster.now());
                cluster.remind_last(next_at, Reminder::Next);
            }
        }
    }

    /// The next planned operation will be due.
    pub(super) fn expect_planned(&mut self, cluster: &mut Cluster) {
        if let Some(at) = self.schedule.script.as_ref().and_then(Script::next_at) {
            cluster.remind_last(self.started + at, Reminder::Next);
        }
    }

    /// The next planned operation is due.
    fn next_planned(&mut self, cluster: &mut Cluster) {
        let is_running = self.phase == Phase::Running;
        let Some(script) = self.schedule.script.as_mut().filter(|_| is_running) else { return };
        let Some(worker) = script.take_due() else { return };
        self.expect_planned(cluster);
        self.go(cluster, worker);
    }

    /// A worker does its next operation.
    pub(super) fn go(&mut self, cluster: &mut Cluster, worker: usize) {
        if self.phase != Phase::Running {
            return;
        }
        let now = cluster.now();
        let mut planned = None;
        if let Some(script) = &mut self.schedule.script {
            if self.workers[worker].waits.is_some() {
                return;
            }
            planned = script.start(worker, now);
            if planned.is_none() {
                if script.is_due(worker) {
                    go_soon(cluster, worker);
                }
                return;
            }
        }
        if self.operations.are_full(&self.settings.limits, now) {
            cluster.remind(now, Reminder::End);
            return;
        }
        let Operations { generator, rng, .. } = &mut self.operations;
        let mut cx = GeneratorContext { rng, now, process: self.workers[worker].process };
        // What is made up is of no use where there is a plan; but the generator, which has to know how to go on in the
        // end, comes to the same state as in the test that the plan is from.
        let made_up = generator.next(worker, &mut cx);
        self.invoke(cluster, worker, planned.unwrap_or(made_up));
    }

    /// A worker begins an operation.
    pub(super) fn invoke(&mut self, cluster: &mut Cluster, place: usize, operation: Operation) {
        let Worker { process, node, ref mut client, .. } = self.workers[place];
        let step = client.begin(&operation, &mut self.request);
        let history = &mut self.operations.history;
        let invocation = history.len();
        history.push(Invocation {
            process,
            node,
            operation,
            interval: Interval { invoked: cluster.now(), completed: Instant::END },
            outcome: Outcome::Info("the test ended".into()),
            is_final: matches!(self.phase, Phase::Final | Phase::Probing),
            is_probe: self.phase == Phase::Probing,
        });
        self.take_step(cluster, place, invocation, step);
    }

    /// Does what a client wants done next.
    pub(super) fn take_step(&mut self, cluster: &mut Cluster, place: usize, invocation: usize, step: Step) {
        match step {
            Step::Done(outcome) => self.complete(cluster, place, invocation, outcome),
            Step::Call => {
                let mut request = mem::take(&mut self.request);
                let (rpc, members) = request.take().expect("a client that calls has written a request");
                self.ask(cluster, place, Some(invocation), rpc, members);
                self.request = request;
            }
        }
    }

    /// An operation has ended.
    fn complete(&mut self, cluster: &mut Cluster, place: usize, invocation: usize, outcome: Outcome) {
        let now = cluster.now();
        let Operations { generator, history, values, .. } = &mut self.operations;
        let entry = &mut history[invocation];
        let is_idempotent = self.workload.is_idempotent(entry.operation.f);
        entry.outcome = if is_idempotent { outcome.definite() } else { outcome };
        entry.interval.completed = now;
        *values += entry.answer().map_or(0, Data::weight);
        generator.completed(place, entry);
        if entry.outcome.completion() == Completion::Info {
            self.go_on_as_another(cluster, place);
        }
        match self.phase {
            Phase::Running => {
                if let Some(script) = &mut self.schedule.script {
                    if script.end(place, now) {
                        go_soon(cluster, place);
                    }
                } else if self.settings.rate.is_none() {
                    go_soon(cluster, place);
                } else if self.schedule.give_back(place, now) {
                    next_soon(cluster);
                }
            }
            // The final phase was over while it waited.
            Phase::Final if self.workers[place].is_done => self.end_if_quiet(cluster),
            Phase::Final => {
                cluster.remind(now + TICK, Reminder::FinalStep(place));
            }
            Phase::Probing => {
                cluster.remind(now + TICK, Reminder::Probe(place));
            }
            Phase::Ending => self.end_if_quiet(cluster),
            Phase::Starting | Phase::Recovering | Phase::Done => {}
        }
    }

    /// Nobody knows what a worker's process has done: another one goes on, with a client that knows nothing.
    fn go_on_as_another(&mut self, cluster: &mut Cluster, place: usize) {
        let number = self.open(cluster, Role::Worker(place));
        let (workers, worker) = (self.workers.len(), &mut self.workers[place]);
        worker.process += workers;
        self.client_of.insert(worker.process, number);
        worker.client = self.workload.client(&self.settings);
        let asked = mem::replace(&mut worker.next_msg_id, 1) - 1;
        self.roles[mem::replace(&mut worker.number, number)] = Role::Closed { asked };
    }
}
