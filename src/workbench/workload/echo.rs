//! `echo`: nodes answer with what they were sent.

use serde_json::json;

use super::super::checker::{Verdict, echo};
use super::super::data::Data;
use super::super::history::{Invocation, Operation, Outcome, answered_at};
use super::contract::{Client, Fact, Finding, Generator, GeneratorContext, Step, Workload};
use super::rpc::{Field, MalformedReply, Reply, RequestBody, Rpc, Shape};
use crate::workbench::format::thousands;
use crate::workbench::settings::Settings;

static ECHO: Rpc = Rpc {
    request: "echo",
    about: "Asks for the same value back; a definite error is no answer",
    fields: &[Field { name: "echo", shape: Shape::Any, about: "any value", example: "\"Please echo 35\"" }],
    reply: "echo_ok",
    reply_fields: &[Field {
        name: "echo",
        shape: Shape::Any,
        about: "the value of the request",
        example: "\"Please echo 35\"",
    }],
    errors: &[],
};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Workload for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn about(&self) -> &'static str {
        "Nodes answer with what they were sent"
    }

    fn rpcs(&self) -> Vec<&'static Rpc> {
        vec![&ECHO]
    }

    fn generator(&self, _: &Settings) -> Box<dyn Generator> {
        Box::new(Sayings)
    }

    fn client(&self, _: &Settings) -> Box<dyn Client> {
        Box::new(EchoClient)
    }

    fn is_idempotent(&self, _: &str) -> bool {
        false
    }

    /// Maelstrom keeps the whole body of the reply.
    fn import(&self, _: &str, value: Data, _: &[(Box<str>, Data)]) -> Data {
        match value.get("echo") {
            Some(echo) if value.get("type").and_then(Data::as_text) == Some("echo_ok") => echo.clone(),
            _ => value,
        }
    }

    fn check(&self, history: &[Invocation], _: &Settings) -> Box<dyn Finding> {
        let exchanges = history.iter().filter_map(|invocation| {
            let received = match &invocation.outcome {
                Outcome::Ok(value) => Ok(value),
                Outcome::Fail(reason) => Err(&**reason),
                Outcome::Info(_) | Outcome::Silence { .. } => return None,
            };
            let (answered, sent) = (invocation.answered(), &invocation.operation.value);
            Some(echo::Exchange { answered, sent, received })
        });
        Box::new(echo::check(exchanges))
    }
}

/// `Please echo 0` to `Please echo 127`.
#[derive(Debug)]
struct Sayings;

impl Generator for Sayings {
    fn next(&mut self, _: usize, cx: &mut GeneratorContext<'_>) -> Operation {
        let number = cx.rng.u8(0..128);
        Operation::new("echo", &*format!("Please echo {number}"))
    }
}

#[derive(Debug)]
struct EchoClient;

impl Client for EchoClient {
    fn begin(&mut self, operation: &Operation, request: &mut RequestBody) -> Step {
        request.call(&ECHO).field("echo", &operation.value);
        Step::Call
    }

    fn reply(
        &mut self,
        _: &Operation,
        reply: Reply<'_>,
        _: &mut RequestBody,
    ) -> Result<Step, MalformedReply> {
        Ok(Step::ok(reply.data("echo")))
    }
}

impl Finding for echo::EchoResults {
    fn verdict(&self) -> Verdict {
        self.verdict
    }

    fn explain(&self) -> Vec<String> {
        self.explain()
    }

    fn offending(&self, history: &[Invocation]) -> Vec<usize> {
        answered_at(history, self.mismatches.listed.iter().map(|mismatch| mismatch.answered))
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "answered": self.answered,
            "mismatches": self.mismatches.total,
            "refused": self.refused.total,
        })
    }

    fn facts(&self) -> Vec<Fact> {
        vec![
            ("answered", thousands(self.answered)),
            ("with something else", thousands(self.mismatches.total)),
            ("with a definite error", thousands(self.refused.total)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_a_json_string() {
        let mut cx = GeneratorContext {
            rng: &mut fastrand::Rng::with_seed(1),
            now: crate::time::Instant::START,
            process: 0,
        };
        let operation = Sayings.next(0, &mut cx);
        assert!(matches!(&operation.value, Data::Text(text) if text.starts_with("Please echo ")));
    }
}
