//! Clients: what they send, what they wait for, and what nodes answer.

use std::collections::BTreeMap;
use std::mem;

use super::super::journal::{Address, Dropped};
use super::super::workload::{CallFailure, MalformedReply, Rpc};
use super::failure::Breach;
use super::frame::write_frame;
use super::{Event, Phase, Request, Role, TICK, Waits, Worker, World};
use crate::json::text::excerpt;
use crate::json::write::WriteJson as _;
use crate::wire::envelope::{Body, UncheckedEnvelope};

impl World {
    /// A client sends a request: its type, and the members of its body after that.
    pub(super) fn request(&mut self, client: usize, node: usize, msg_id: u64, kind: &str, members: &[u8]) {
        let mut body = mem::take(&mut self.body);
        body.clear();
        body.extend_from_slice(b"{\"type\":");
        kind.write_json(&mut body);
        body.extend_from_slice(members);
        body.extend_from_slice(b",\"msg_id\":");
        msg_id.write_json(&mut body);
        body.push(b'}');
        let text = str::from_utf8(&body).expect("it was written from strings");
        let (src, dest) = (Address::Client(client), Address::Node(node));
        let id = self.journal.sent(self.now, src, dest, text);
        if self.nodes[node].is_dead {
            self.journal.dropped(id, Dropped::DeadReceiver);
        } else {
            self.journal.received(self.now, src, dest, id);
            let inbox = &mut self.nodes[node].inbox;
            write_frame(id, src, dest, text, inbox.start_line());
            inbox.end_line();
            self.check_inbox(node);
        }
        self.body = body;
    }

    /// The number of each process's client.
    pub const fn clients(&self) -> &BTreeMap<usize, usize> {
        &self.client_of
    }

    pub(super) fn open_client(&mut self, role: Role) -> usize {
        self.clients.push(role);
        self.clients.len() - 1
    }

    /// A message of a node for a client.
    pub(super) fn handle_answer(
        &mut self,
        node: usize,
        client: usize,
        message: &UncheckedEnvelope<'_>,
        body: &Body<'_>,
        line: &[u8],
    ) -> Result<(), Breach> {
        const UNASKED: &str = "it throws such a message away, and goes on";
        let in_reply_to = match message.in_reply_to() {
            Ok(Some(in_reply_to)) => in_reply_to.as_u64(),
            Ok(None) => {
                let reason = "expected in_reply_to, the msg_id of the request that it answers; found nothing";
                return Err(Breach { reason: reason.to_owned(), unnoticed: Some(UNASKED) });
            }
            Err(error) => return Err(Breach::of_answer(error.to_string())),
        };
        match self.clients[client] {
            Role::Told => {}
            Role::Init(expected) => {
                if expected != node || in_reply_to != Some(1) {
                    let reason = "expected in_reply_to 1 in the answer to `init`".to_owned();
                    return Err(Breach { reason, unnoticed: None });
                }
                if body.kind != "init_ok" {
                    let reason = format!(
                        "its answer to `init`: type: expected \"init_ok\", found {:?}",
                        excerpt(&body.kind)
                    );
                    return Err(Breach { reason, unnoticed: None });
                }
                self.clients[client] = Role::Closed { asked: 1 };
                if let Some((_, timeout)) = self.nodes[node].init.take() {
                    self.events.cancel(timeout);
                }
                if self.phase != Phase::Starting {
                    self.set_up_again(node);
                } else if self.nodes.iter().all(|node| node.init.is_none()) {
                    self.open_workers();
                }
            }
            Role::Worker(worker) => {
                let expected = self.workers[worker].waits.as_ref().map(|waits| waits.msg_id);
                // Whoever answers, the node that was asked has seen to it.
                let asked_node = self.workers[worker].node;
                if in_reply_to.is_some() && in_reply_to == expected {
                    self.nodes[asked_node].is_silent = false;
                    message
                        .kind()
                        .and(message.msg_id())
                        .map_err(|error| Breach::of_answer(error.to_string()))?;
                    return self.take_answer(worker, body).map_err(Breach::of_answer);
                }
                let asked = self.workers[worker].next_msg_id - 1;
                self.note_unexpected(asked_node, client, asked, in_reply_to, line);
            }
            Role::Closed { asked } => self.note_unexpected(node, client, asked, in_reply_to, line),
        }
        Ok(())
    }

    /// An answer that nobody waits for came to a client that has asked so many times.
    pub(super) fn note_unexpected(
        &mut self,
        node: usize,
        client: usize,
        asked: u64,
        in_reply_to: Option<u64>,
        line: &[u8],
    ) {
        let number = in_reply_to.filter(|number| (1..=asked).contains(number));
        self.nodes[node].is_silent &= number.is_none();
        let replies = match number {
            Some(number) if self.given_up.remove(&(client, number)) => &mut self.late_answers,
            Some(_) => &mut self.repeated_answers,
            None => &mut self.stray_answers,
        };
        replies.note(line);
    }

    /// Every node has answered its `init`: clients come, and prepare for their work.
    pub(super) fn open_workers(&mut self) {
        for place in 0..self.workers.len() {
            self.workers[place].number = self.open_client(Role::Worker(place));
            self.client_of.insert(self.workers[place].process, self.workers[place].number);
            if let Some(Request { rpc, members }) = self.setup.take() {
                self.ask(place, None, rpc, &members);
                self.setup = Some(Request { rpc, members });
            }
        }
        self.start_if_prepared();
    }

    /// A node that was started again has to be told again what clients tell a node first.
    pub(super) fn set_up_again(&mut self, node: usize) {
        if let Some(Request { rpc, members }) = self.setup.take() {
            let client = self.open_client(Role::Told);
            self.request(client, node, 1, rpc.request, &members);
            self.setup = Some(Request { rpc, members });
        }
    }

    pub(super) fn start_if_prepared(&mut self) {
        if self.phase != Phase::Starting || !self.workers.iter().all(|worker| worker.is_prepared) {
            return;
        }
        self.phase = Phase::Running;
        self.started = self.now;
        self.events.insert(self.now + self.settings.time_limit, Event::End);
        for place in self.nemesis.sources() {
            if let Some(delay) = self.nemesis.next_delay(place) {
                self.events.insert(self.now + delay, Event::Fault(place));
            }
        }
        if self.script.is_some() {
            self.expect_planned();
        } else if self.settings.rate.is_some() {
            self.free = (0..self.workers.len()).map(|worker| (worker, self.now)).collect();
            self.next_at = self.now;
            self.next_soon();
        } else {
            for worker in 0..self.workers.len() {
                self.events.insert(self.now + TICK, Event::Go(worker));
            }
        }
    }

    /// A worker sends a request, and waits for the answer.
    pub(super) fn ask(&mut self, place: usize, invocation: Option<usize>, rpc: &'static Rpc, members: &[u8]) {
        let timeout = self.events.insert(self.now + self.patience, Event::Timeout(place));
        let worker = &mut self.workers[place];
        let msg_id = worker.next_msg_id;
        worker.next_msg_id += 1;
        worker.waits = Some(Waits { msg_id, rpc, timeout, invocation });
        let (number, node) = (worker.number, worker.node);
        self.request(number, node, msg_id, rpc.request, members);
    }

    /// The answer that a worker waits for.
    pub(super) fn take_answer(&mut self, place: usize, body: &Body<'_>) -> Result<(), String> {
        let Some(Waits { timeout, rpc, invocation, .. }) = self.workers[place].waits.take() else {
            return Ok(());
        };
        self.events.cancel(timeout);
        let malformed = |MalformedReply(text)| format!("its answer to `{}`: {text}", rpc.request);
        let answer = rpc.read(body).map_err(malformed)?;
        let Some(invocation) = invocation else {
            if let Err(error) = answer {
                return Err(format!(
                    "expected {:?}; it refused `{}`: {}",
                    rpc.reply, rpc.request, error.text
                ));
            }
            self.workers[place].is_prepared = true;
            self.start_if_prepared();
            return Ok(());
        };
        let (client, operation) = (&mut self.workers[place].client, &self.history[invocation].operation);
        let step = match answer {
            Ok(reply) => client.reply(operation, reply, &mut self.request).map_err(malformed)?,
            Err(error) => client.failed(operation, &CallFailure::Error(error), &mut self.request),
        };
        self.take_step(place, invocation, step);
        Ok(())
    }

    /// A worker has waited long enough.
    pub(super) fn time_out(&mut self, place: usize) {
        let Worker { node, number, ref mut waits, .. } = self.workers[place];
        let Some(Waits { rpc, invocation, msg_id, .. }) = waits.take() else { return };
        self.nodes[node].is_silent = true;
        self.given_up.insert((number, msg_id));
        let Some(invocation) = invocation else {
            let seconds = self.patience.as_micros() / 1_000_000;
            let reason = format!("it did not answer `{}` within {seconds} seconds", rpc.request);
            return self.fail(node, reason, None);
        };
        let (client, operation) = (&mut self.workers[place].client, &self.history[invocation].operation);
        let step = client.failed(operation, &CallFailure::Timeout, &mut self.request);
        self.take_step(place, invocation, step);
    }
}
