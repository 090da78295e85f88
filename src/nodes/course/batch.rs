//! Task 1-2-3 (2-3): many calls at once, whose answers come in any order.

use slab::Slab;

use crate::json::value::Value;
use crate::node::{CallOutcome, Context, Deferred, Handler, Request};
use crate::rpc::retry::Policy;
use crate::time::Duration;
use crate::wire::error::{ErrorCode, RpcError};

/// How long `batch_echo` waits for the last echo.
const WAIT: Duration = Duration::from_secs(2);

/// A handler with batches.
pub(super) trait HasBatches: Handler {
    fn batches(&mut self) -> &mut Batches;
}

/// Every `batch_echo` whose echoes are not all back.
#[derive(Debug, Default)]
pub(super) struct Batches(Slab<Batch>);

#[derive(Debug)]
struct Batch {
    /// Who waits for it; `None` after a failure.
    answer: Option<Deferred>,
    /// What came back, in the order of the request.
    results: Vec<Option<String>>,
    missing: usize,
}

impl Batches {
    /// `batch_echo`: sends each value to this node itself, and gathers what comes back.
    pub(super) fn handle<H: HasBatches>(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_, H>,
    ) -> Result<(), RpcError> {
        let is_string = |value: &Value<'_>| value.as_str().is_some();
        let values = request.typed("values", "an array of strings", |values| {
            let values: Vec<_> = values.as_array()?.collect();
            values.iter().all(is_string).then_some(values)
        })?;
        if values.is_empty() {
            return cx.reply(request, "batch_echo_ok").field("results", values).send();
        }
        if values.len() > cx.room_for_calls() {
            return Err(RpcError::temporarily_unavailable("there is no room for that many calls"));
        }
        let answer = Some(cx.defer(request));
        let batch = Batch { answer, results: vec![None; values.len()], missing: values.len() };
        let batch = self.0.insert(batch);
        let me = cx.id().to_owned();
        for (place, value) in values.iter().enumerate() {
            let call = cx.call(&me, "echo").field("echo", value).policy(Policy::once(WAIT));
            let made = call.then(move |handler, outcome, cx| {
                handler.batches().take_echo(batch, place, &outcome, cx);
            });
            if let Err(error) = made {
                // Those that were made come back to a batch without anybody to answer.
                let unmade = values.len() - place;
                self.0[batch].answer = None;
                self.0[batch].missing -= unmade;
                if place == 0 {
                    self.0.remove(batch);
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn take_echo<H>(
        &mut self,
        index: usize,
        place: usize,
        outcome: &CallOutcome<'_>,
        cx: &mut Context<'_, H>,
    ) {
        let batch = &mut self.0[index];
        batch.missing -= 1;
        batch.results[place] =
            outcome.as_ref().ok().and_then(|reply| Some(reply.body.string("echo").ok()?.into_owned()));
        if batch.results[place].is_none()
            && let Some(answer) = batch.answer.take()
        {
            cx.answer_error(answer, &RpcError::new(ErrorCode::TIMEOUT, "not every echo came back"));
        }
        if batch.missing == 0 {
            let Batch { answer, results, .. } = self.0.remove(index);
            if let Some(answer) = answer {
                let message = cx.answer(answer, "batch_echo_ok").field("results", results);
                message.send().expect("its field is its own");
            }
        }
    }
}
