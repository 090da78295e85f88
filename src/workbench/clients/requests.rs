//! What a worker asks, how long it waits, and what its node answers.

use super::{Clients, Cluster, Reminder, Role, Waits, Worker};
use crate::workbench::cluster::{Answer, Breach};
use crate::workbench::workload::{CallFailure, MalformedReply, Rpc};

impl Clients {
    /// A worker sends a request, and waits for the answer.
    pub(super) fn ask(
        &mut self,
        cluster: &mut Cluster,
        place: usize,
        invocation: Option<usize>,
        rpc: &'static Rpc,
        members: &[u8],
    ) {
        let timeout = cluster.remind(cluster.now() + self.patience, Reminder::Timeout(place));
        let worker = &mut self.workers[place];
        let msg_id = worker.next_msg_id;
        worker.next_msg_id += 1;
        worker.waits = Some(Waits { msg_id, rpc, timeout, invocation });
        cluster.request(worker.number, worker.node, msg_id, rpc.request, members);
    }

    /// A message of a node for a client.
    pub(super) fn take_answer(&mut self, cluster: &mut Cluster, answer: &Answer<'_>) -> Result<(), Breach> {
        let &Answer { node, client, in_reply_to, ref is_typed, line, .. } = answer;
        match self.roles.get(client).copied().unwrap_or(Role::INIT) {
            Role::Told => {}
            Role::Worker(place) => {
                let worker = &self.workers[place];
                let expected = worker.waits.as_ref().map(|waits| waits.msg_id);
                // Whoever answers, the node that was asked has seen to it.
                let (asked_node, asked) = (worker.node, worker.next_msg_id - 1);
                if in_reply_to.is_some() && in_reply_to == expected {
                    self.silence.note_heard(asked_node);
                    is_typed.as_ref().map_err(|error| Breach::of_answer(error.to_string()))?;
                    return self.take_expected(cluster, place, answer).map_err(Breach::of_answer);
                }
                if self.unexpected.note(client, asked, in_reply_to, line) {
                    self.silence.note_heard(asked_node);
                }
            }
            Role::Closed { asked } => {
                if self.unexpected.note(client, asked, in_reply_to, line) {
                    self.silence.note_heard(node);
                }
            }
        }
        Ok(())
    }

    /// The answer that a worker waits for.
    fn take_expected(
        &mut self,
        cluster: &mut Cluster,
        place: usize,
        answer: &Answer<'_>,
    ) -> Result<(), String> {
        let Some(Waits { timeout, rpc, invocation, .. }) = self.workers[place].waits.take() else {
            return Ok(());
        };
        cluster.forget(timeout);
        let malformed = |MalformedReply(text)| format!("its answer to `{}`: {text}", rpc.request);
        let reply = rpc.read(answer.body).map_err(malformed)?;
        let Some(invocation) = invocation else {
            if let Err(error) = reply {
                return Err(format!(
                    "expected {:?}; it refused `{}`: {}",
                    rpc.reply, rpc.request, error.text
                ));
            }
            self.workers[place].is_prepared = true;
            self.start_if_prepared(cluster);
            return Ok(());
        };
        let (client, operation) = (&mut self.workers[place].client, self.operations.operation(invocation));
        let step = match reply {
            Ok(reply) => client.reply(operation, reply, &mut self.request).map_err(malformed)?,
            Err(error) => client.failed(operation, &CallFailure::Error(error), &mut self.request),
        };
        self.take_step(cluster, place, invocation, step);
        Ok(())
    }

    /// A worker has waited long enough.
    pub(super) fn time_out(&mut self, cluster: &mut Cluster, place: usize) {
        let Worker { node, number, ref mut waits, .. } = self.workers[place];
        let Some(Waits { rpc, invocation, msg_id, .. }) = waits.take() else { return };
        self.silence.note_unanswered(node);
        self.unexpected.give_up(number, msg_id);
        let Some(invocation) = invocation else {
            let seconds = self.patience.as_micros() / 1_000_000;
            let reason = format!("it did not answer `{}` within {seconds} seconds", rpc.request);
            return cluster.fail(node, reason, None);
        };
        let (client, operation) = (&mut self.workers[place].client, self.operations.operation(invocation));
        let step = client.failed(operation, &CallFailure::Timeout, &mut self.request);
        self.take_step(cluster, place, invocation, step);
    }
}
