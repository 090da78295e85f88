//! An echo node with the crate async-maelstrom, on tokio and async-std.

use std::sync::Arc;

use async_maelstrom::msg::{Body, Echo, Msg, MsgId};
use async_maelstrom::process::{ProcNet, Process};
use async_maelstrom::runtime::Runtime;
use async_maelstrom::{Id, Status};

#[derive(Default)]
struct Node {
    net: ProcNet<Echo, ()>,
    id: Id,
}

#[async_trait::async_trait]
impl Process<Echo, ()> for Node {
    fn init(&mut self, _: Vec<String>, net: ProcNet<Echo, ()>, id: Id, _: Vec<Id>, _: MsgId) {
        (self.net, self.id) = (net, id);
    }

    async fn run(&self) -> Status {
        while let Ok(Msg { src: dest, body, .. }) = self.net.rxq.recv().await {
            let Body::Workload(Echo::Echo { msg_id: in_reply_to, echo }) = body else { continue };
            let body = Body::Workload(Echo::EchoOk { in_reply_to, msg_id: None, echo });
            self.net.txq.send(Msg { src: self.id.clone(), dest, body }).await?;
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Status {
    let runtime = Arc::new(Runtime::new(Vec::new(), Node::default()).await?);
    let (reader, writer) = (runtime.clone(), runtime.clone());
    tokio::spawn(async move { reader.run_io_ingress().await });
    tokio::spawn(async move { writer.run_io_egress().await });
    runtime.run_process().await
}
