//! A node for Maelstrom. It answers echo, and tells the other nodes what it is told (broadcast).

use std::collections::BTreeSet;
use std::process::ExitCode;

use messenger::{Context, Handler, OwnedValue, Request, RpcError};
use serde::{Deserialize, Serialize};

/// What may come. A variant is a message's type (`Echo` is `"echo"`), and its fields are the message's fields.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ask {
    Echo { echo: OwnedValue },
    Topology {},
    Broadcast { message: i64 },
    Gossip { message: i64 },
    Read,
}

/// What this node says.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Tell<'a> {
    EchoOk { echo: OwnedValue },
    TopologyOk,
    BroadcastOk,
    Gossip { message: i64 },
    ReadOk { messages: &'a BTreeSet<i64> },
}

/// The state of this node. It has it to itself: handlers run one at a time.
#[derive(Default)]
struct Node {
    messages: BTreeSet<i64>,
}

impl Handler for Node {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        // An error is answered as an error message, and so is a message that `Ask` has no variant for.
        match request.parse()? {
            Ask::Echo { echo } => cx.reply_with(request, &Tell::EchoOk { echo }),
            // It suggests neighbours. This node talks to everybody, and needs none.
            Ask::Topology {} => cx.reply_with(request, &Tell::TopologyOk),
            // A client tells something: remember it, and tell the others.
            Ask::Broadcast { message } => {
                self.messages.insert(message);
                // This is lost when the network is broken. What would you have to know, to say it again?
                cx.broadcast_with(&Tell::Gossip { message })?;
                cx.reply_with(request, &Tell::BroadcastOk)
            }
            // Another node tells something. This message is ours: change it as you like.
            Ask::Gossip { message } => {
                self.messages.insert(message);
                Ok(())
            }
            Ask::Read => cx.reply_with(request, &Tell::ReadOk { messages: &self.messages }),
        }
    }
}

/// Alone it is a node on stdin and stdout. `my-node test` and `my-node explore` test it.
fn main() -> ExitCode {
    messenger::main(Node::default)
}
