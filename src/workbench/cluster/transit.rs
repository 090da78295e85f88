//! Messages between nodes and services on their way: how long each takes, whether it arrives, and how many there may be.

use super::Cluster;
use super::agenda::Due;
use super::frame::frame;
use super::packets::Packet;
use crate::json::write::WriteJson as _;
use crate::wire::envelope::UncheckedEnvelope;
use crate::wire::lines::Line;
use crate::workbench::checker::Verdict;
use crate::workbench::journal::{Address, Dropped};
use crate::workbench::network::{Delivery, Fate};
use crate::workbench::services::Service;

impl<R> Cluster<R> {
    /// Puts a message on its way. Whoever it is for, or is answered by a service, has to live until it is there.
    pub(super) fn send(&mut self, id: u64, sender: Address, src: Address, dest: Address, text: &[u8]) {
        let life = self.life(if matches!(dest, Address::Service(_)) { src } else { dest });
        self.send_in(life, id, sender, src, dest, text);
    }

    /// How often a node was killed.
    fn life(&self, of: Address) -> u32 {
        of.node().map_or(0, |node| self.nodes[node].life)
    }

    fn send_in(&mut self, life: u32, id: u64, sender: Address, src: Address, dest: Address, text: &[u8]) {
        let Delivery { copies, fate } = self.network.send(sender, dest);
        if copies.is_empty() {
            self.journal.dropped(id, Dropped::Loss);
        }
        for delay in copies {
            let place = self.packets.insert(Packet { id, sender, src, dest, text: text.into(), life, fate });
            self.agenda.insert(self.now + delay, Due::Arrival(place));
        }
        if self.packets.are_too_many() {
            self.fail_for_flood();
        }
    }

    /// A message is there.
    pub(super) fn arrive(&mut self, packet: usize) {
        let Packet { id, sender, src, dest, text, life, fate } = self.packets.remove(packet);
        if let Address::Node(receiver) = dest {
            let is_blocked =
                matches!(sender, Address::Node(sender) if self.network.is_blocked(sender, receiver));
            if is_blocked {
                return self.journal.dropped(id, Dropped::Partition);
            }
            if self.nodes[receiver].is_dead || self.nodes[receiver].life != life {
                return self.journal.dropped(id, Dropped::DeadReceiver);
            }
        }
        self.journal.received(self.now, src, dest, id);
        match dest {
            Address::Node(node) => self.deliver(node, &text),
            Address::Service(service) => self.serve(service, src, &text, life, fate),
            Address::Client(_) => unreachable!("what is for a client takes no time"),
        }
    }

    /// A service answers a request.
    fn serve(&mut self, service: Service, src: Address, text: &[u8], life: u32, fate: Fate) {
        let Ok(unchecked) = UncheckedEnvelope::parse(&mut self.parser, Line::new(text)) else { return };
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
        let itself = Address::Service(service);
        let reply = self.journal.sent(self.now, itself, src, &body);
        // A client in whose name a node asked waits for nothing.
        if !src.is_client() {
            self.send_in(life, reply, itself, itself, src, &frame(reply, itself, src, &body));
        }
    }

    /// Too much is under way: ends the test, and names the link that has most of it.
    fn fail_for_flood(&mut self) {
        let Some(([src, dest], count, bytes)) = self.packets.fullest_link() else { return };
        let messages = if count == 1 { "a message".to_owned() } else { format!("{count} messages") };
        let limit = self.packets.bytes_max();
        let reason = format!(
            "{src} sent {dest} {messages} that are still under way and take {bytes} bytes; the network holds {limit} \
             bytes in all"
        );
        // What a service sends it was asked for.
        if let Some(node) = [src, dest].into_iter().find_map(Address::node) {
            self.end_with(Verdict::Unknown, node, reason);
        }
    }
}
