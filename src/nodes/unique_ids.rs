//! `unique-ids`: ids that no node ever gives twice.

use std::fmt::Write as _;

use super::incarnation;
use crate::node::{Context, Handler, Request};
use crate::wire::error::RpcError;

/// Gives ids without asking anybody, so it can during any partition.
///
/// An id is the node's name, a number that is another one after each start, and a count: `n1-6a4f3b…-42`. A node that
/// was killed counts from 0 again, which is why the count alone would not do.
#[derive(Debug, Default)]
pub struct UniqueIds {
    /// The newest id. The part before the count stays.
    id: String,
    prefix: usize,
    generated: u64,
}

impl Handler for UniqueIds {
    fn on_init(&mut self, cx: &mut Context<'_, Self>) {
        self.id = incarnation(cx) + "-";
        self.prefix = self.id.len();
    }

    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "generate" => {
                self.id.truncate(self.prefix);
                write!(self.id, "{}", self.generated).expect("a string takes everything");
                self.generated += 1;
                cx.reply(request, "generate_ok").field("id", &self.id).send()
            }
            kind => Err(RpcError::not_supported(kind)),
        }
    }
}
