//! The inbox of a node: what it has yet to read, while it is paused as well; what it loses when it is killed; its `init`.

use super::agenda::Due;
use super::frame::write_frame;
use super::{Cluster, INIT_WITHIN, Node};
use crate::json::write::WriteJson as _;
use crate::wire::out::OutBuffer;
use crate::workbench::checker::Verdict;
use crate::workbench::journal::{Address, Dropped};

impl<R> Cluster<R> {
    /// What is there for a node to read.
    pub fn inbox(&mut self, node: usize) -> &mut OutBuffer {
        &mut self.nodes[node].inbox
    }

    /// How many bytes wait for a node to read them.
    pub fn waiting(&self, node: usize) -> usize {
        self.nodes[node].inbox.len()
    }

    /// Whether a node has yet to answer its `init`.
    pub fn awaits_init(&self, node: usize) -> bool {
        self.nodes[node].init.is_some()
    }

    /// Whether some node has yet to answer its `init`.
    pub const fn awaits_any_init(&self) -> bool {
        self.inits > 0
    }

    /// Tells a node who it is.
    pub fn init(&mut self, node: usize) {
        let client = self.open_client();
        let names: Vec<String> = (0..self.nodes.len()).map(|node| Address::Node(node).to_string()).collect();
        let mut members = b",\"node_id\":".to_vec();
        names[node].write_json(&mut members);
        members.extend_from_slice(b",\"node_ids\":");
        names.write_json(&mut members);
        let timeout = self.agenda.insert(self.now + INIT_WITHIN, Due::InitTimeout(node));
        self.nodes[node].init = Some((client, timeout));
        self.inits += 1;
        self.request(client, node, 1, "init", &members);
    }

    /// A client sends a request: its type, and the members of its body after that. Between clients and nodes nothing is
    /// lost and nothing takes time.
    pub fn request(&mut self, client: usize, node: usize, msg_id: u64, kind: &str, members: &[u8]) {
        let mut body = std::mem::take(&mut self.body);
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

    /// Hands a line to a node as it stands, unless it is dead.
    pub fn hand_in(&mut self, node: usize, line: &[u8]) {
        if !self.nodes[node].is_dead {
            self.deliver(node, line);
        }
    }

    /// Hands a line to a node.
    pub(super) fn deliver(&mut self, node: usize, line: &[u8]) {
        let inbox = &mut self.nodes[node].inbox;
        inbox.start_line().extend_from_slice(line);
        inbox.end_line();
        self.check_inbox(node);
    }

    /// A node was killed: what it had not read is gone, and so is what was under way to it, and what comes before it is
    /// started again.
    pub fn note_killed(&mut self, node: usize) {
        let Node { inbox, is_dead, is_paused, life, .. } = &mut self.nodes[node];
        inbox.consume(inbox.len());
        (*is_dead, *is_paused) = (true, false);
        *life += 1;
        self.end_init(node);
    }

    /// A node that was killed is started again.
    pub fn revive(&mut self, node: usize) {
        self.nodes[node].is_dead = false;
    }

    /// A node stops where it is, or goes on.
    pub fn note_paused(&mut self, node: usize, is_paused: bool) {
        self.nodes[node].is_paused = is_paused;
    }

    /// Nobody waits any more for a node to answer its `init`.
    pub(super) fn end_init(&mut self, node: usize) {
        if let Some((_, timeout)) = self.nodes[node].init.take() {
            self.inits -= 1;
            self.agenda.cancel(timeout);
        }
    }

    /// A node did not answer its `init` in time, unless it was killed at this very instant.
    pub(super) fn give_up_init(&mut self, node: usize) {
        if self.nodes[node].init.is_some() {
            let seconds = INIT_WITHIN.as_micros() / 1_000_000;
            self.fail(node, format!("it did not answer `init` within {seconds} seconds"), None);
        }
    }

    /// Ends the test if a node lets too much wait.
    fn check_inbox(&mut self, node: usize) {
        let limit = self.inbox_max;
        if self.nodes[node].inbox.len() > limit {
            let (verdict, reason) = if self.nodes[node].is_paused {
                (Verdict::Unknown, format!("more than {limit} bytes wait for it while it is paused"))
            } else {
                (Verdict::Invalid, format!("it does not read its stdin: more than {limit} bytes wait there"))
            };
            self.end_with(verdict, node, reason);
        }
    }
}
