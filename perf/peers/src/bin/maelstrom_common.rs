//! An echo node with the crate maelstrom-common.

use std::sync::mpsc::{SendError, Sender};

use maelstrom_common::{Envelope, HandleMessage};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Body {
    Init { msg_id: u64 },
    InitOk { in_reply_to: u64 },
    Echo { msg_id: u64, echo: String },
    EchoOk { in_reply_to: u64, echo: String },
}

struct Echo;

impl HandleMessage for Echo {
    type Message = Body;
    type Error = SendError<Envelope<Body>>;

    fn handle_message(&mut self, message: Envelope<Body>, out: Sender<Envelope<Body>>) -> Result<(), Self::Error> {
        let body = match &message.body {
            Body::Init { msg_id } => Body::InitOk { in_reply_to: *msg_id },
            Body::Echo { msg_id, echo } => Body::EchoOk { in_reply_to: *msg_id, echo: echo.clone() },
            Body::InitOk { .. } | Body::EchoOk { .. } => return Ok(()),
        };
        out.send(message.reply(body))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    maelstrom_common::run(Echo)
}
