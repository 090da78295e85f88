//! A node with a workload of its own, and a bug: each node gives out a lock by itself. The program tests itself:
//! `lock explore -w lock`.

mod workload;

use std::process::ExitCode;

use messenger::cli::NodeProgram;
use messenger::{Context, ErrorCode, Handler, Request, RpcError};

#[derive(Default)]
struct EachItsOwn {
    is_held: bool,
}

impl Handler for EachItsOwn {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "acquire" if self.is_held => {
                Err(RpcError::new(ErrorCode::TEMPORARILY_UNAVAILABLE, "somebody has it"))
            }
            "acquire" => {
                self.is_held = true;
                cx.reply(request, "acquire_ok").send()
            }
            "release" => {
                self.is_held = false;
                cx.reply(request, "release_ok").send()
            }
            kind => Err(RpcError::not_supported(kind)),
        }
    }
}

fn main() -> ExitCode {
    NodeProgram::new(EachItsOwn::default).workload(&workload::Lock).run()
}
