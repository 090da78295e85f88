//! An echo node with the crate maelbreaker.

use maelbreaker::network::Network;
use maelbreaker::node::Node;
use maelbreaker::payload;
use maelbreaker::runtime::Runtime;
use maelbreaker::types::{Message, Try};

payload!(
    enum Payload {
        Echo { echo: String },
        EchoOk { echo: String },
    }
);

struct Echo(Network<Payload>);

impl Node<Payload> for Echo {
    fn from_init(network: Network<Payload>, _: String, _: Vec<String>) -> Self {
        Self(network)
    }

    fn handle_message(&mut self, message: Message<Payload>) -> Try {
        let Payload::Echo { echo } = &message.body.payload else { anyhow::bail!("expected echo") };
        let echo = echo.clone();
        self.0.send(message.into_reply(Payload::EchoOk { echo }))
    }
}

fn main() -> Try {
    Runtime::<Payload, Echo>::run()
}
