//! Tasks 1-2-1 (2-1) and 1-2-4 (2-4): a call of another node whose answer is waited for, and one whose answer is not.

use crate::node::{CallError, Context, Request};
use crate::rpc::retry::Policy;
use crate::time::Duration;
use crate::wire::error::{ErrorCode, RpcError};

/// How long `proxy` waits for its answer.
const PROXY_WAIT: Duration = Duration::from_secs(1);

/// `proxy`: sends `inner` to `target`, and hands back the answer.
pub(super) fn proxy<H>(request: &Request<'_>, cx: &mut Context<'_, H>) -> Result<(), RpcError> {
    let (target, inner) = (request.string("target")?, request.object("inner")?);
    let answer = cx.defer(request);
    let call = cx.forward(&target, inner)?.policy(Policy::once(PROXY_WAIT));
    call.then(move |_, outcome, cx| match outcome {
        Ok(reply) => {
            let message = cx.answer(answer, "proxy_ok").field("result", reply.body.value());
            message.send().expect("its fields are its own");
        }
        Err(CallError::Timeout { .. }) => {
            cx.answer_error(answer, &RpcError::new(ErrorCode::TIMEOUT, "RPC timeout"));
        }
        Err(error) => cx.answer_error(answer, &error.into()),
    })?;
    Ok(())
}

/// `send_fire_forget`: sends `payload` to `target`, and says how many calls wait now, this one included.
pub(super) fn send_fire_forget<H>(request: &Request<'_>, cx: &mut Context<'_, H>) -> Result<(), RpcError> {
    cx.forward(&request.string("target")?, request.object("payload")?)?.forget()?;
    let pending = cx.pending_calls();
    cx.reply(request, "send_fire_forget_ok").field("pending", pending).send()
}

/// `pending_count`: how many calls wait for an answer.
pub(super) fn pending_count<H>(request: &Request<'_>, cx: &mut Context<'_, H>) -> Result<(), RpcError> {
    let count = cx.pending_calls();
    cx.reply(request, "pending_count_ok").field("count", count).send()
}
