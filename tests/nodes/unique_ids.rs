//! A node for Maelstrom's `unique-ids` workload: `generate` is answered with an id that no other node
//! ever gives.

use messenger::{Context, Handler, Request, RpcError};

#[derive(Default)]
struct UniqueIds {
    generated: u64,
}

impl Handler for UniqueIds {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "generate" => {
                let id = format!("{}-{}", cx.id(), self.generated);
                self.generated += 1;
                cx.reply(request, "generate_ok").field("id", id).send()
            }
            kind => Err(RpcError::not_supported(kind)),
        }
    }
}

fn main() -> std::process::ExitCode {
    messenger::main(UniqueIds::default)
}
