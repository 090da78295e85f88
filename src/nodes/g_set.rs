//! `g-set`: a set that only grows.

use super::gossip::{Gossip, Spreads};
use crate::node::{Context, Handler, Request};
use crate::store::BadRecord;
use crate::wire::error::RpcError;

/// A node with a copy of the set: it takes elements at once, and the others get them soon.
///
/// A set that only grows is a broadcast that asks for elements instead of messages, so this is
/// [`Broadcast`](super::broadcast::Broadcast) under another name, with all that is said there.
#[derive(Debug, Default)]
pub struct GSet {
    spread: Gossip,
}

impl Handler for GSet {
    fn on_init(&mut self, cx: &mut Context<'_, Self>) {
        self.spread.start(cx);
    }

    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "add" => {
                self.spread.add(request.required("element")?, cx);
                cx.reply(request, "add_ok").send()
            }
            "read" => cx.reply(request, "read_ok").exact_field("value", &self.spread.values()).send(),
            _ => self.spread.handle(request, cx),
        }
    }

    fn recover(&mut self, record: &[u8]) -> Result<(), BadRecord> {
        self.spread.recover(record)
    }
}

impl Spreads for GSet {
    fn spread(&mut self) -> &mut Gossip {
        &mut self.spread
    }
}
