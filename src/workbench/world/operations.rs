//! Operations: when the next is due, whose it is, and how it ends.

use std::mem;

use super::super::checker::{Completion, Interval};
use super::super::data::Data;
use super::super::history::{Invocation, Operation, Outcome};
use super::super::limits::Limits;
use super::super::plan::Script;
use super::super::workload::{GeneratorContext, Step};
use super::{BEHIND_MAX, Event, Phase, Role, TICK, Worker, World};
use crate::time::{Duration, Instant};
use crate::workbench::format::thousands;

impl World {
    /// It is time for another operation.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "intervals are positive and not long"
    )]
    pub(super) fn next(&mut self) {
        if self.script.is_some() {
            return self.next_planned();
        }
        let is_due = |rate: &f64| *rate > 0.0 && self.phase == Phase::Running;
        let Some(rate) = self.settings.rate.filter(is_due) else { return };
        match self.free.front() {
            None => self.is_owed = true,
            // It was just in use.
            Some((_, since)) if *since >= self.now => self.next_soon(),
            Some(_) => {
                let Some((worker, _)) = self.free.pop_front() else { return };
                self.go(worker);
                let pause = Duration::from_micros((self.times_rng.f64() * 2e6 / rate) as u64).max(TICK);
                // What was due while everybody was busy, or nobody looked, is made up for, but not for ever.
                let behind = self.now - self.next_at > BEHIND_MAX;
                self.next_at = if behind { self.now } else { self.next_at } + pause;
                self.events.insert(self.next_at, Event::Next);
            }
        }
    }

    /// The next planned operation will be due.
    pub(super) fn expect_planned(&mut self) {
        if let Some(at) = self.script.as_ref().and_then(Script::next_at) {
            self.events.insert(self.started + at, Event::Next);
        }
    }

    /// The next planned operation is due.
    pub(super) fn next_planned(&mut self) {
        let Some(script) = self.script.as_mut().filter(|_| self.phase == Phase::Running) else { return };
        let Some(worker) = script.take_due() else { return };
        self.expect_planned();
        self.go(worker);
    }

    pub(super) fn next_soon(&mut self) {
        self.events.insert(self.now + TICK, Event::Next);
    }

    /// A worker does its next operation.
    pub(super) fn go(&mut self, worker: usize) {
        if self.phase != Phase::Running {
            return;
        }
        let mut planned = None;
        if let Some(script) = &mut self.script {
            if self.workers[worker].waits.is_some() {
                return;
            }
            planned = script.start(worker, self.now);
            if planned.is_none() {
                if script.is_due(worker) {
                    self.events.insert(self.now + TICK, Event::Go(worker));
                }
                return;
            }
        }
        let Limits { operations, values, .. } = self.settings.limits;
        if self.history.len() >= operations {
            self.cut_short = Some(format!("{} operations", thousands(operations)));
        } else if self.values >= values {
            self.cut_short = Some(format!("{} values in answers", thousands(values)));
        }
        if self.cut_short.is_some() {
            self.events.insert(self.now, Event::End);
            return;
        }
        let mut cx =
            GeneratorContext { rng: &mut self.rng, now: self.now, process: self.workers[worker].process };
        // What is made up is of no use where there is a plan; but the generator, which has to know how to go on in the
        // end, comes to the same state as in the test that the plan is from.
        let made_up = self.generator.next(worker, &mut cx);
        self.invoke(worker, planned.unwrap_or(made_up));
    }

    /// A worker begins an operation.
    pub(super) fn invoke(&mut self, place: usize, operation: Operation) {
        let Worker { process, node, ref mut client, .. } = self.workers[place];
        let step = client.begin(&operation, &mut self.request);
        let invocation = self.history.len();
        self.history.push(Invocation {
            process,
            node,
            operation,
            interval: Interval { invoked: self.now, completed: Instant::END },
            outcome: Outcome::Info("the test ended".into()),
            is_final: matches!(self.phase, Phase::Final | Phase::Probing),
            is_probe: self.phase == Phase::Probing,
        });
        self.take_step(place, invocation, step);
    }

    /// Does what a client wants done next.
    pub(super) fn take_step(&mut self, place: usize, invocation: usize, step: Step) {
        match step {
            Step::Done(outcome) => self.complete(place, invocation, outcome),
            Step::Call => {
                let mut request = mem::take(&mut self.request);
                let (rpc, members) = request.take().expect("a client that calls has written a request");
                self.ask(place, Some(invocation), rpc, members);
                self.request = request;
            }
        }
    }

    /// An operation has ended.
    pub(super) fn complete(&mut self, place: usize, invocation: usize, outcome: Outcome) {
        let entry = &mut self.history[invocation];
        let is_idempotent = self.workload.is_idempotent(entry.operation.f);
        entry.outcome = if is_idempotent { outcome.definite() } else { outcome };
        entry.interval.completed = self.now;
        self.values += entry.answer().map_or(0, Data::weight);
        self.generator.completed(place, entry);
        if entry.outcome.completion() == Completion::Info {
            self.go_on_as_another(place);
        }
        match self.phase {
            Phase::Running if self.script.is_some() => {
                let now = self.now;
                if self.script.as_mut().is_some_and(|script| script.end(place, now)) {
                    self.events.insert(now + TICK, Event::Go(place));
                }
            }
            Phase::Running if self.settings.rate.is_some() => {
                self.free.push_back((place, self.now));
                if mem::take(&mut self.is_owed) {
                    self.next_soon();
                }
            }
            Phase::Running => {
                self.events.insert(self.now + TICK, Event::Go(place));
            }
            Phase::Final => {
                self.events.insert(self.now + TICK, Event::FinalStep(place));
            }
            Phase::Probing => {
                self.events.insert(self.now + TICK, Event::Probe(place));
            }
            Phase::Ending => self.end_if_quiet(),
            Phase::Starting | Phase::Recovering | Phase::Done => {}
        }
    }

    /// Nobody knows what a worker's process has done: another one goes on, with a client that knows nothing.
    pub(super) fn go_on_as_another(&mut self, place: usize) {
        let number = self.open_client(Role::Worker(place));
        let (workers, worker) = (self.workers.len(), &mut self.workers[place]);
        worker.process += workers;
        self.client_of.insert(worker.process, number);
        worker.client = self.workload.client(&self.settings);
        let asked = mem::replace(&mut worker.next_msg_id, 1) - 1;
        self.clients[mem::replace(&mut worker.number, number)] = Role::Closed { asked };
    }
}
