//! A node whose handler panics at every request.

use messenger::{Context, Handler, Request, RpcError};

struct Panicking;

impl Handler for Panicking {
    fn on_request(&mut self, request: &Request<'_>, _: &mut Context<'_, Self>) -> Result<(), RpcError> {
        panic!("no {:?} today", request.kind());
    }
}

fn main() -> std::io::Result<()> {
    messenger::run(Panicking)
}
