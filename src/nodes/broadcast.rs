//! `broadcast`: what is told to one node is known to all.

use super::gossip::{Gossip, Spreads};
use crate::node::{Context, Handler, Request};
use crate::store::BadRecord;
use crate::wire::error::RpcError;

/// A node that is told values and tells the others.
///
/// With 25 nodes, 100 ms between them and 100 operations a second of which half are reads, this takes 1.9 messages
/// between nodes for an operation, and a value is everywhere after 0.3 s in the median and 0.4 s at most. Run
/// `cargo test --test library workloads -- --nocapture` to see it. There is one hub, which sends what is new to all others in
/// batches; Maelstrom's topology is accepted, and not used. Without the hub, by partition or otherwise, nodes
/// exchange what they lack every second or so.
///
/// A value may be any JSON value, and is another one if its text is. One that is told twice is read once.
#[derive(Debug, Default)]
pub struct Broadcast {
    spread: Gossip,
}

impl Broadcast {
    /// What was told so far: JSON values with commas in between, in the order in which they came to this node.
    pub fn values(&self) -> &str {
        self.spread.text()
    }
}

impl Handler for Broadcast {
    fn on_init(&mut self, cx: &mut Context<'_, Self>) {
        self.spread.start(cx);
    }

    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "broadcast" => {
                self.spread.add(request.required("message")?, cx);
                cx.reply(request, "broadcast_ok").send()
            }
            "read" => cx.reply(request, "read_ok").exact_field("messages", &self.spread.values()).send(),
            "topology" => cx.reply(request, "topology_ok").send(),
            _ => self.spread.handle(request, cx),
        }
    }

    fn recover(&mut self, record: &[u8]) -> Result<(), BadRecord> {
        self.spread.recover(record)
    }
}

impl Spreads for Broadcast {
    fn spread(&mut self) -> &mut Gossip {
        &mut self.spread
    }
}
