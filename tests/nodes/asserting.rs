//! An echo that says what it takes for granted, and is wrong: it tests itself, and tells.

use std::process::ExitCode;

use messenger::{Context, Handler, Request, RpcError, always, sometimes};

#[derive(Default)]
struct Asserting {
    echoed: u64,
}

impl Handler for Asserting {
    fn on_init(&mut self, _: &mut Context<'_, Self>) {
        sometimes!(false, "there is an echo of an echo");
    }

    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        self.echoed += 1;
        sometimes!(self.echoed == 2, "there are two echoes");
        always!(self.echoed < 5, "there are fewer than five echoes", self.echoed, cx.id());
        cx.reply(request, "echo_ok").field("echo", request.required("echo")?).send()
    }
}

fn main() -> ExitCode {
    messenger::main(Asserting::default)
}
