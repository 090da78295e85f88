//! An echo node with the crate maelstrom-node, on tokio.

use std::sync::Arc;

use maelstrom::protocol::Message;
use maelstrom::{Node, Result, Runtime, done};

struct Echo;

#[async_trait::async_trait]
impl Node for Echo {
    async fn process(&self, runtime: Runtime, request: Message) -> Result<()> {
        if request.get_type() == "echo" {
            let body = request.body.clone().with_type("echo_ok");
            return runtime.reply(request, body).await;
        }
        done(runtime, request)
    }
}

fn main() -> Result<()> {
    Runtime::init(Runtime::new().with_handler(Arc::new(Echo)).run())
}
