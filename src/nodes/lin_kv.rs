//! `lin-kv`: registers that behave as if there were one copy of them.

use crate::json::text::excerpt;
use crate::json::value::{OwnedValue, Value};
use crate::kv::{Cas, Kv, Lin};
use crate::node::{Answer, Context, Handle, Handler, Request};
use crate::time::Duration;
use crate::wire::error::{ErrorCode, RpcError};

/// A client of this workload gives up after a second, or after ten times the mean latency if that is longer. Maelstrom
/// goes deaf to a node that answers it later than that.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(950);

/// By how much the service has to be faster than the answer: a timer of the real world fires a little late.
const MARGIN: Duration = Duration::from_millis(50);

/// Hands every request on to Maelstrom's service of the same name, and the answer back.
///
/// Any node does that for any key, and keeps nothing: what is linearizable there is linearizable here. A `write` or
/// `cas` is sent once, since it must not happen twice. If nothing comes back in time, the client gets error 0, which
/// leaves open whether it happened; codes 20 and 22 are the service's own word that it did not.
#[derive(Debug)]
pub struct LinKv {
    /// How long the service may take.
    wait: Duration,
}

impl LinKv {
    /// A node that answers within this time. Give it as the node's
    /// [`answer_within`](crate::Config::answer_within) as well, or a node that was held up answers too late.
    pub const fn new(answer_within: Duration) -> Self {
        let wait = answer_within.as_micros().saturating_sub(MARGIN.as_micros());
        Self { wait: Duration::from_micros(wait) }
    }
}

impl Default for LinKv {
    /// Answers within [`ANSWER_WITHIN`].
    fn default() -> Self {
        Self::new(ANSWER_WITHIN)
    }
}

impl Handler for LinKv {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let wait = self.wait;
        let service = move |node: Handle<Self>| Kv::<Lin, _>::new(&node).within(wait);
        let field = |name| request.required(name).map(Value::detach);
        match request.kind() {
            "read" => {
                let key = field("key")?;
                cx.wait(request, async move |node| {
                    let value: OwnedValue = service(node).read(key).await?;
                    Ok(Answer::new("read_ok").field("value", value))
                })
            }
            "write" => {
                let (key, value) = (field("key")?, field("value")?);
                cx.wait(request, async move |node| {
                    service(node).write(key, value).await?;
                    Ok(Answer::new("write_ok"))
                })
            }
            "cas" => {
                let (key, from, to) = (field("key")?, field("from")?, field("to")?);
                cx.wait(request, async move |node| match service(node).cas(key, &from, to).await? {
                    Cas::Swapped => Ok(Answer::new("cas_ok")),
                    Cas::Differs => {
                        let text = format!("the value is not {}", excerpt(from.raw()));
                        Err(RpcError::precondition_failed(text))
                    }
                    Cas::Missing => Err(RpcError::new(ErrorCode::KEY_DOES_NOT_EXIST, "there is no such key")),
                })
            }
            kind => Err(RpcError::not_supported(kind)),
        }
    }
}
