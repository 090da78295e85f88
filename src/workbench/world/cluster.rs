//! Nodes and what goes between them: their lines, messages under way, services, and what a fault does to a process.

use std::collections::BTreeMap;

use super::super::checker::Verdict;
use super::super::journal::{Address, Dropped};
use super::super::nemesis::{ProcessCommand, Window};
use super::super::network::Delivery;
use super::failure::Breach;
use super::frame::frame;
use super::{Event, INIT_WITHIN, Packet, Role, World};
use crate::json::parser::Parser;
use crate::json::text::excerpt;
use crate::json::write::WriteJson as _;
use crate::time::Instant;
use crate::wire::envelope::{SchemaError, UncheckedEnvelope};
use crate::wire::lines::Line;

impl World {
    /// A node said this line.
    pub fn handle_line(&mut self, now: Instant, node: usize, line: Line<'_>) {
        self.now = now;
        let mut parser = self.parser.take().unwrap_or_default();
        if let Err(Breach { reason, unnoticed }) = self.read_line(node, line, &mut parser) {
            self.fail(node, reason, Some(line.bytes()));
            if let Some(failure) = &mut self.failure {
                failure.unnoticed = unnoticed;
            }
        }
        self.parser = Some(parser);
    }

    /// Takes a message of a node, or says what is wrong with it.
    ///
    /// What stands in a line is held to what Maelstrom wants of it: whose `src` it is, and what a body between nodes or
    /// to a service has in it, is the nodes' own affair.
    pub(super) fn read_line(
        &mut self,
        node: usize,
        line: Line<'_>,
        parser: &mut Parser,
    ) -> Result<(), Breach> {
        const EXPECTED: &str = "expected a message on its stdout: a JSON object with src, dest and body";
        if line.bytes().trim_ascii().is_empty() {
            return Err(Breach::of_line(format!("{EXPECTED}; found a blank line")));
        }
        let bytes = line.bytes();
        let message = UncheckedEnvelope::parse(parser, line)
            .map_err(|error| Breach::of_line(format!("{EXPECTED}; not JSON: {error}")))?;
        let parts: Result<_, SchemaError> =
            (|| Ok((message.src()?, message.dest()?, message.loose_body()?, message.id()?)))();
        let (src, dest, body, _) = parts.map_err(|error| Breach::of_line(format!("{EXPECTED}; {error}")))?;
        if let Some(key) = message.unknown_key() {
            return Err(Breach::of_line(format!(
                "expected no keys but src, dest, body and id in a message; found {:?}",
                excerpt(&key)
            )));
        }
        let Some(src) = self.existing(&src) else {
            let src = excerpt(&src);
            return Err(Breach::of_line(format!("it wrote in the name of {src:?}, which does not exist")));
        };
        if src != Address::Node(node) {
            self.borrowed_names.note(bytes);
        }
        let Some(dest) = self.existing(&dest) else {
            let dest = excerpt(&dest);
            return Err(Breach::of_line(format!("it wrote to {dest:?}, which does not exist")));
        };
        let text = body.value().raw();
        let id = self.journal.sent(self.now, src, dest, text);
        match dest {
            Address::Client(client) => {
                self.journal.received(self.now, src, dest, id);
                self.handle_answer(node, client, &message, &body, bytes)?;
            }
            // Whosever name it is in, it goes the way of the node that wrote it.
            Address::Node(receiver) => {
                if receiver == node && src.is_client() {
                    self.swapped.get_or_insert((node, src));
                }
                self.send_packet(id, Address::Node(node), src, dest, &frame(id, src, dest, text));
            }
            Address::Service(_) => self.send_packet(id, Address::Node(node), src, dest, bytes),
        }
        Ok(())
    }

    /// Whoever has that name, if there is or was somebody.
    pub(super) fn existing(&self, name: &str) -> Option<Address> {
        Address::parse(name).filter(|address| match *address {
            Address::Node(node) => node < self.nodes.len(),
            Address::Client(client) => client < self.clients.len(),
            Address::Service(_) => true,
        })
    }

    /// Puts a message on its way.
    pub(super) fn send_packet(&mut self, id: u64, sender: Address, src: Address, dest: Address, text: &[u8]) {
        let Delivery { copies, fate } = self.network.send(sender, dest);
        if copies.is_empty() {
            self.journal.dropped(id, Dropped::Loss);
        }
        for delay in copies {
            let packet = Packet { id, sender, src, dest, text: text.into(), fate };
            self.under_way += packet.size();
            let place = self.packets.insert(packet);
            self.events.insert(self.now + delay, Event::Arrival(place));
        }
        if self.under_way > self.settings.limits.under_way_bytes {
            self.fail_for_flood();
        }
    }

    /// Too much is under way: ends the test, and names the link that has most of it.
    pub(super) fn fail_for_flood(&mut self) {
        let mut links: BTreeMap<(Address, Address), (usize, usize)> = BTreeMap::new();
        for (_, packet) in &self.packets {
            let (count, bytes) = links.entry((packet.sender, packet.dest)).or_default();
            *count += 1;
            *bytes += packet.size();
        }
        let Some(((src, dest), (count, bytes))) = links.into_iter().max_by_key(|(_, (_, bytes))| *bytes)
        else {
            return;
        };
        let messages = if count == 1 { "a message".to_owned() } else { format!("{count} messages") };
        let limit = self.settings.limits.under_way_bytes;
        let reason = format!(
            "{src} sent {dest} {messages} that are still under way and take {bytes} bytes; the network holds {limit} \
             bytes in all"
        );
        // What a service sends it was asked for.
        if let Some(node) = [src, dest].into_iter().find_map(Address::node) {
            self.end_with(Verdict::Unknown, node, reason, None);
        }
    }

    /// A message is there.
    pub(super) fn arrive(&mut self, packet: usize) {
        let packet = self.packets.remove(packet);
        self.under_way -= packet.size();
        let Packet { id, sender, src, dest, text, fate } = packet;
        if let Address::Node(receiver) = dest {
            let is_blocked =
                matches!(sender, Address::Node(sender) if self.network.is_blocked(sender, receiver));
            if is_blocked {
                return self.journal.dropped(id, Dropped::Partition);
            }
            if self.nodes[receiver].is_dead {
                return self.journal.dropped(id, Dropped::DeadReceiver);
            }
        }
        self.journal.received(self.now, src, dest, id);
        match dest {
            Address::Node(node) => self.deliver(node, &text),
            Address::Service(service) => {
                let parser = self.parser.get_or_insert_default();
                let Ok(unchecked) = UncheckedEnvelope::parse(parser, Line::new(&text)) else { return };
                // A request without a type, or with one that is no string, gets no answer.
                let (Ok(client), Ok(request)) = (unchecked.src(), unchecked.loose_body()) else { return };
                let mut members = Vec::new();
                let mut rng = fate.service_rng();
                if !self.services.answer(service, &client, &request, &mut rng, &mut members) {
                    return;
                }
                // Whatever it is: who asks with `null` is answered with `null`.
                if let Some(msg_id) = request.get("msg_id") {
                    members.extend_from_slice(b",\"in_reply_to\":");
                    msg_id.write_json(&mut members);
                }
                let body = format!("{{{}}}", String::from_utf8_lossy(&members));
                let reply = self.journal.sent(self.now, dest, src, &body);
                // A client in whose name a node asked waits for nothing.
                if !src.is_client() {
                    self.send_packet(reply, dest, dest, src, &frame(reply, dest, src, &body));
                }
            }
            Address::Client(_) => {}
        }
    }

    /// Hands a line to a node.
    pub(super) fn deliver(&mut self, node: usize, line: &[u8]) {
        let inbox = &mut self.nodes[node].inbox;
        inbox.start_line().extend_from_slice(line);
        inbox.end_line();
        self.check_inbox(node);
    }

    /// Ends the test if a node lets too much wait.
    pub(super) fn check_inbox(&mut self, node: usize) {
        let limit = self.settings.limits.inbox_bytes;
        if self.nodes[node].inbox.len() > limit {
            let is_paused = |window: &Window| window.to.is_none() && window.nodes.contains(&node);
            let (verdict, reason) = if self.nemesis.windows.iter().any(is_paused) {
                (Verdict::Unknown, format!("more than {limit} bytes wait for it while it is paused"))
            } else {
                (Verdict::Invalid, format!("it does not read its stdin: more than {limit} bytes wait there"))
            };
            self.end_with(verdict, node, reason, None);
        }
    }

    /// Tells a node who it is.
    pub(super) fn init(&mut self, node: usize) {
        let client = self.open_client(Role::Init(node));
        let names: Vec<String> = (0..self.nodes.len()).map(|node| Address::Node(node).to_string()).collect();
        let mut members = b",\"node_id\":".to_vec();
        names[node].write_json(&mut members);
        members.extend_from_slice(b",\"node_ids\":");
        names.write_json(&mut members);
        let timeout = self.events.insert(self.now + INIT_WITHIN, Event::InitTimeout(node));
        self.nodes[node].init = Some((client, timeout));
        self.request(client, node, 1, "init", &members);
    }

    /// Notes what is done to nodes, and lets the driver do it.
    pub(super) fn apply(&mut self, commands: Vec<ProcessCommand>) {
        self.commands.extend(&commands);
        for command in commands {
            match command {
                ProcessCommand::Kill(node) => {
                    let inbox = &mut self.nodes[node].inbox;
                    inbox.consume(inbox.len());
                    self.nodes[node].is_dead = true;
                    if let Some((_, timeout)) = self.nodes[node].init.take() {
                        self.events.cancel(timeout);
                    }
                }
                ProcessCommand::Start(node) => {
                    self.nodes[node].is_dead = false;
                    self.init(node);
                }
                ProcessCommand::Pause(_) | ProcessCommand::Resume(_) => {}
            }
        }
    }
}
