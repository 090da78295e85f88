//! What is sent comes back: `-w echo`.

use messenger::handler_fn;
use messenger::messages::echo::{Reply, Request};

fn main() -> std::io::Result<()> {
    messenger::run(handler_fn(|request, cx| {
        let Request::Echo { echo } = request.parse()?;
        cx.reply_with(request, &Reply::EchoOk { echo })
    }))
}
