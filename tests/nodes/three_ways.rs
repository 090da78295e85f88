//! The three ways to call another node.

use messenger::{Answer, Context, Duration, Handler, Policy, Request, RpcError};

#[derive(Default)]
struct ThreeWays {
    answered: u64,
}

impl Handler for ThreeWays {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            // Straight code that waits. The node goes on meanwhile; what the code comes to is the answer.
            "ask" => cx.wait(request, async |node| {
                let policy = Policy::repeat(3, Duration::from_millis(500));
                let reply = node.call("n2", "read").field("key", "x").policy(policy).await?;
                node.with(|this: &mut Self, _| this.answered += 1).await;
                Ok(Answer::new("ask_ok").field("value", reply.body().required("value")?))
            }),
            // A callback, with the workload's state and the node at hand.
            "ask_back" => {
                let later = cx.defer(request);
                cx.call("n2", "read").field("key", "x").then(move |this, outcome, cx| match outcome {
                    Ok(reply) => {
                        this.answered += 1;
                        let value = reply.body.get("value");
                        cx.answer(later, "ask_back_ok").field("value", value).send().expect("is well formed");
                    }
                    Err(error) => cx.answer_error(later, &error.into()),
                })?;
                Ok(())
            }
            // Fire and forget.
            "tell" => {
                cx.call("n2", "write")
                    .field("key", "x")
                    .field("value", request.required("value")?)
                    .forget()?;
                cx.reply(request, "tell_ok").send()
            }
            kind => Err(RpcError::not_supported(kind)),
        }
    }
}

fn main() -> std::io::Result<()> {
    messenger::run(ThreeWays::default())
}
