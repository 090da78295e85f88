//! What is told to one node is known to all, in batches that are acknowledged: `-w broadcast`.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use messenger::messages::broadcast::{Reply, Request as Ask};
use messenger::{Context, Duration, Handler, Request, RpcError};

/// What is known, and which nodes have acknowledged it.
#[derive(Default)]
struct Broadcast(BTreeMap<i64, BTreeSet<Rc<str>>>);

impl Handler for Broadcast {
    fn on_init(&mut self, cx: &mut Context<'_, Self>) {
        cx.every(Duration::from_millis(100), |this, cx| {
            for peer in cx.peers() {
                let lacks = this.0.iter().filter(|(_, nodes)| !nodes.contains(&peer));
                let messages: Vec<i64> = lacks.map(|(message, _)| *message).collect();
                if messages.is_empty() {
                    continue;
                }
                let call = cx.call_with(&peer, &Ask::Gossip { messages: messages.clone() });
                let sent = call.then(move |this, outcome, _| {
                    for message in messages.iter().filter(|_| outcome.is_ok()) {
                        this.0.entry(*message).or_default().insert(peer.clone());
                    }
                });
                sent.expect("a peer can be called");
            }
        });
    }

    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let (mut messages, reply) = match request.parse()? {
            Ask::Broadcast { message } => (vec![message], Reply::BroadcastOk),
            Ask::Gossip { messages } => (messages, Reply::GossipOk),
            Ask::Read => (vec![], Reply::ReadOk { messages: self.0.keys().copied().collect() }),
            Ask::Topology { .. } => (vec![], Reply::TopologyOk),
        };
        messages.retain(|message| !self.0.contains_key(message));
        self.0.extend(messages.into_iter().map(|message| (message, BTreeSet::new())));
        cx.reply_with(request, &reply)
    }
}

fn main() -> std::io::Result<()> {
    messenger::run(Broadcast::default())
}
