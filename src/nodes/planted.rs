//! Nodes with a bug that was put there on purpose, for `messenger explore --planted`: what the workbench makes of a bug is
//! best seen where one is known.

use crate::json::value::{OwnedValue, Value};
use crate::kv::{Cas, Kv, Seq};
use crate::node::{Answer, Context, Handler, Request};
use crate::wire::error::{ErrorCode, RpcError};

/// For `broadcast`: tells the others of each message once. What is lost on the way is never told again.
#[derive(Debug, Default)]
pub struct TellsOnce {
    messages: Vec<i64>,
}

impl Handler for TellsOnce {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "broadcast" => {
                let message = request.integer("message")?;
                self.messages.push(message);
                let peers: Vec<String> = cx.cluster().peers().map(str::to_owned).collect();
                for peer in peers {
                    cx.message(&peer, "tell").field("message", message).send()?;
                }
                cx.reply(request, "broadcast_ok").send()
            }
            "tell" => {
                let message = request.integer("message")?;
                if !self.messages.contains(&message) {
                    self.messages.push(message);
                }
                Ok(())
            }
            "read" => cx.reply(request, "read_ok").field("messages", &self.messages).send(),
            "topology" => cx.reply(request, "topology_ok").send(),
            kind => Err(RpcError::not_supported(kind)),
        }
    }
}

/// For `lin-kv`: keeps the registers in Maelstrom's `seq-kv`, which may answer with what was there before.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadsThePast;

impl Handler for ReadsThePast {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let field = |name| request.required(name).map(Value::detach);
        match request.kind() {
            "read" => {
                let key = field("key")?;
                cx.wait(request, async move |node| {
                    let value: OwnedValue = Kv::<Seq, _>::new(&node).read(key).await?;
                    Ok(Answer::new("read_ok").field("value", value))
                })
            }
            "write" => {
                let (key, value) = (field("key")?, field("value")?);
                cx.wait(request, async move |node| {
                    Kv::<Seq, _>::new(&node).write(key, value).await?;
                    Ok(Answer::new("write_ok"))
                })
            }
            "cas" => {
                let (key, from, to) = (field("key")?, field("from")?, field("to")?);
                cx.wait(request, async move |node| {
                    match Kv::<Seq, _>::new(&node).cas(key, &from, to).await? {
                        Cas::Swapped => Ok(Answer::new("cas_ok")),
                        Cas::Differs => Err(RpcError::precondition_failed("the value is another one")),
                        Cas::Missing => {
                            Err(RpcError::new(ErrorCode::KEY_DOES_NOT_EXIST, "there is no such key"))
                        }
                    }
                })
            }
            kind => Err(RpcError::not_supported(kind)),
        }
    }
}
