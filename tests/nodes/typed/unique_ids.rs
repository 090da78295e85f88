//! Ids that no node gives twice: `-w unique-ids`.

use messenger::handler_fn;
use messenger::messages::unique_ids::{Reply, Request};

fn main() -> std::io::Result<()> {
    let mut generated = 0;
    messenger::run(handler_fn(move |request, cx| {
        let Request::Generate = request.parse()?;
        generated += 1;
        let id = format!("{}-{generated}", cx.id());
        cx.reply_with(request, &Reply::GenerateOk { id })
    }))
}
