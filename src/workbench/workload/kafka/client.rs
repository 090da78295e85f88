//! What a process knows, and asks its node.

use std::collections::BTreeMap;

use super::super::super::data::Data;
use super::super::super::history::{NO_ANSWER, Operation, Outcome};
use super::super::contract::{CallFailure, Client, Step};
use super::super::rpc::{MalformedReply, Reply, RequestBody};
use super::messages::{COMMIT, LIST, POLL, SEND};
use super::value::{assign, assigned, highest, key_text, keys_of, sent};
use crate::workbench::checker::kafka::Start;

/// The client of a process.
#[derive(Debug, Default)]
pub(super) struct Consumer {
    /// From which offset of each key it polls next.
    offsets: BTreeMap<Box<str>, i64>,
    /// The value of a poll, while what came is committed.
    polled: Option<Data>,
}

impl Client for Consumer {
    fn begin(&mut self, operation: &Operation, request: &mut RequestBody) -> Step {
        match operation.f {
            "send" => {
                let Some((key, _, message)) = sent(&operation.value, false) else { return no_operation() };
                request.call(&SEND).field("key", &*key).field("msg", &message);
            }
            "poll" => {
                request
                    .call(&POLL)
                    .object("offsets", self.offsets.iter().map(|(key, offset)| (key, *offset)));
            }
            "assign" => {
                let (keys, start) = assigned(&operation.value);
                if start == Start::Rewind {
                    self.offsets = keys.into_iter().map(|key| (key, 0)).collect();
                    return Step::ok(operation.value.clone());
                }
                request.call(&LIST).field("keys", keys_of(&operation.value));
            }
            "crash" => return Step::Done(Outcome::Info("the client forgot everything".into())),
            _ => return no_operation(),
        }
        Step::Call
    }

    fn reply(
        &mut self,
        operation: &Operation,
        reply: Reply<'_>,
        request: &mut RequestBody,
    ) -> Result<Step, MalformedReply> {
        Ok(match (operation.f, self.polled.take()) {
            ("send", _) => {
                let Some((key, _, message)) = sent(&operation.value, false) else {
                    return Ok(no_operation());
                };
                let place = Data::list([reply.data("offset"), message]);
                Step::ok(Data::List(vec![Data::List(vec!["send".into(), Data::Text(key), place])]))
            }
            ("assign", _) => {
                let (keys, start) = assigned(&operation.value);
                let committed = reply.data("offsets");
                self.assign(keys, start, &committed);
                let from = if start == Start::Committed { "committed" } else { "zero" };
                Step::ok(assign(keys_of(&operation.value).clone(), from, Some(committed)))
            }
            // The commit was acknowledged.
            (_, Some(polled)) => Step::ok(polled),
            (_, None) => self.took(reply.data("msgs"), request),
        })
    }

    /// What came is known, and is what the poll is about: a commit that is refused, or not answered, does not undo it.
    fn failed(&mut self, _: &Operation, failure: &CallFailure, _: &mut RequestBody) -> Step {
        match (failure.outcome(), self.polled.take()) {
            (
                outcome @ (Outcome::Fail(_) | Outcome::Info(_) | Outcome::Silence { .. }),
                Some(Data::List(mut operations)),
            ) => {
                let reason = match outcome {
                    Outcome::Fail(reason) | Outcome::Info(reason) => reason,
                    _ => NO_ANSWER.into(),
                };
                if let Some(Data::List(poll)) = operations.first_mut() {
                    poll.push(Data::Text(reason));
                }
                Step::ok(Data::List(operations))
            }
            (outcome, _) => Step::Done(outcome),
        }
    }
}

impl Consumer {
    /// A poll returned this: the next one goes on after it. If there was anything, it is committed.
    fn took(&mut self, messages: Data, request: &mut RequestBody) -> Step {
        let value = Data::List(vec![Data::List(vec!["poll".into(), messages])]);
        let highest: Vec<_> = highest(&value).collect();
        if highest.is_empty() {
            return Step::ok(value);
        }
        for (key, offset) in &highest {
            let next = self.offsets.entry(key.clone()).or_insert(0);
            *next = offset.saturating_add(1).max(*next);
        }
        request.call(&COMMIT).object("offsets", highest);
        self.polled = Some(value);
        Step::Call
    }

    /// Keys that it had go on where they were.
    fn assign(&mut self, keys: Vec<Box<str>>, start: Start, committed: &Data) {
        let committed: BTreeMap<Box<str>, i64> = match committed {
            Data::Map(members) if start == Start::Committed => {
                members.iter().filter_map(|(key, offset)| Some((key_text(key), offset.as_int()?))).collect()
            }
            _ => BTreeMap::new(),
        };
        let old = std::mem::take(&mut self.offsets);
        let first = |key: &str| {
            let after = committed.get(key).map(|offset| offset.saturating_add(1));
            old.get(key).copied().or(after).unwrap_or(0)
        };
        self.offsets = keys
            .into_iter()
            .map(|key| {
                let first = first(&key);
                (key, first)
            })
            .collect();
    }
}

fn no_operation() -> Step {
    Step::Done(Outcome::Fail("it is no operation of kafka".into()))
}
