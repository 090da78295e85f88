//! Anomalies in words.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use super::super::{Completion, Findings, Place};
use super::found::{Case, Found};
use super::history::{Action, Key, LogOperation, Message};
use super::kind::Kind;
use super::{Anomaly, Cause};
use crate::workbench::format::Seconds;

/// Of so many anomalies of a kind the causes are looked for.
const CAUSES: usize = 3;

impl Found<'_> {
    /// The cases in words, the worst of each kind first.
    pub(super) fn told(&mut self) -> BTreeMap<Kind, Findings<Anomaly>> {
        let mut told = BTreeMap::new();
        let mut cases = std::mem::take(&mut self.cases);
        for (&kind, cases) in &mut cases {
            cases.sort_by_key(|case| {
                let operation = self.operation(case.operation);
                (std::cmp::Reverse(case.weight), operation.interval.completed, case.key, case.offset)
            });
            let anomaly = |(place, case): (usize, &Case)| Anomaly {
                key: self.history.keys[case.key as usize].clone(),
                offset: case.offset,
                operation: case.operation as usize,
                sentence: self.sentence(kind, case),
                cause: if place < CAUSES { self.cause(kind, case) } else { None },
            };
            let listed = cases.iter().enumerate().take(Findings::LISTED).map(anomaly).collect();
            told.insert(kind, Findings { total: cases.len(), listed });
        }
        self.cases = cases;
        told
    }

    fn sentence(&self, kind: Kind, case: &Case) -> String {
        let history = self.history;
        let who = |place: u32| Who(self.operation(place));
        let value =
            |message: Option<Message>| message.map_or(Cow::Borrowed("?"), |message| history.value(message));
        let at = |offset: Option<i64>| {
            offset.map_or_else(|| "an unknown offset".into(), |offset| format!("offset {offset}"))
        };
        let key = history.keys[case.key as usize].as_ref();
        let (operation, other) = (who(case.operation), case.other.map(who));
        let other = other.as_ref().map_or("?".to_owned(), ToString::to_string);
        let (message, before) = (value(case.message), value(case.other_message));
        let (offset, other_offset) = (at(case.offset), at(case.other_offset));
        match kind {
            Kind::InconsistentOffsets => format!(
                "key {key}: two messages are at {offset}: {before} ({other}) and {message} ({operation})"
            ),
            Kind::Duplicate => format!(
                "key {key}: message {message} is in the log twice, at {other_offset} ({other}) and at {offset} \
                 ({operation}), but it was sent once"
            ),
            Kind::LostWrite => format!(
                "key {key}: message {message} at {offset} was acknowledged ({operation}), and no poll ever returned \
                 it, though {before} at {other_offset}, which comes after it, was polled ({other}): it is lost"
            ),
            Kind::Unseen => format!(
                "key {key}: message {message} at {offset} was acknowledged ({operation}), and no poll had returned it \
                 by the end of the test"
            ),
            Kind::AbortedRead => format!(
                "key {key}: message {message} was polled at {offset} ({operation}), but its send had failed ({other}), \
                 which says that it is not in the log"
            ),
            Kind::Phantom => format!(
                "key {key}: message {message} was polled at {offset} ({operation}), but nobody ever sent it"
            ),
            Kind::ReadBeforeSend => format!(
                "key {key}: message {message} was polled at {offset} ({operation}) before it was sent ({other})"
            ),
            Kind::SkipInPoll => format!(
                "key {key}: one poll ({operation}) returned {before} at {other_offset} and next {message} at {offset}, \
                 without {}",
                self.left_out(case)
            ),
            Kind::NonmonotonicInPoll => format!(
                "key {key}: one poll ({operation}) returned {before} at {other_offset} and after it {message} at \
                 {offset}, which does not come after it"
            ),
            Kind::Skip => format!(
                "key {key}: a client's poll ended with {before} at {other_offset} ({other}), and its next one began \
                 with {message} at {offset} ({operation}): it was never given {}",
                self.left_out(case)
            ),
            Kind::Nonmonotonic => format!(
                "key {key}: a client's poll ended with {before} at {other_offset} ({other}), and its next one began \
                 with {message} at {offset} ({operation}), which it had passed already"
            ),
            Kind::NonmonotonicSend => format!(
                "key {key}: a client's message {message} went to {offset} ({operation}), which is not above \
                 {other_offset}, where its earlier message {before} is ({other})"
            ),
            Kind::UnaskedKey => format!(
                "key {key}: a poll ({operation}) returned {message} at {offset}, but the client had not asked for \
                 this key"
            ),
            Kind::BelowRequested => format!(
                "key {key}: a poll ({operation}) asked for {other_offset} and what follows, and was given {message} \
                 at {offset}, too"
            ),
            Kind::CommitFromNowhere => {
                let most = match case.other_offset {
                    Some(_) => format!("nobody had committed more than {other_offset} by then"),
                    None => "nobody had committed anything there by then".to_owned(),
                };
                format!("key {key}: {offset} was said to be committed ({operation}), but {most}")
            }
        }
    }

    /// `3 at offset 7`, or `3 at offset 7 and 2 more`: what is between the two messages of a case.
    fn left_out(&self, case: &Case) -> String {
        let Some(between) = self.between(case) else { return "?".to_owned() };
        let first = between.start as usize;
        let (value, (_, offset)) =
            (self.history.value(Message(self.logs.picked[first])), self.logs.offsets[first]);
        let more = match between.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        // Of what is there twice the last place counts, and the first may be the one that was polled.
        let is_twice =
            |message: &Message| self.logs.first[message.0 as usize] != self.logs.last[message.0 as usize];
        match [case.other_message, case.message].into_iter().flatten().find(is_twice) {
            Some(twice) => {
                let (twice, last) =
                    (self.history.value(twice), self.logs.offset_of(twice).unwrap_or_default());
                format!("what comes before {twice} at offset {last}, where it is in the log a second time")
            }
            None => format!("{value} at offset {offset}{more}"),
        }
    }

    /// What an anomaly comes from, if that is one message.
    fn cause(&self, kind: Kind, case: &Case) -> Option<Cause> {
        let send = |message: Message| Some(self.facts.messages[message.0 as usize].sent? as usize);
        let text = |message| self.history.value(message).into_owned();
        let message = case.message?;
        match kind {
            Kind::LostWrite | Kind::Unseen => {
                let send = send(message)?;
                Some(Cause::Missed {
                    send,
                    message: text(message),
                    polls: self.last_polls(Key(case.key), send),
                })
            }
            Kind::Skip | Kind::SkipInPoll => {
                let missed = Message(self.logs.picked[self.between(case)?.start as usize]);
                let is_another = Some(missed) != case.message && Some(missed) != case.other_message;
                let polls = vec![case.operation as usize];
                let missed = is_another.then_some(missed)?;
                Some(Cause::Missed { send: send(missed)?, message: text(missed), polls })
            }
            Kind::Duplicate => {
                // Two nodes may each have it once, and not agree where.
                let node = |place: u32| self.operation(place).node;
                let is_one_node = node(case.operation).is_some() && node(case.operation) == node(case.other?);
                let seen = case.operation as usize;
                is_one_node.then_some(Cause::Twice { send: send(message)?, message: text(message), seen })
            }
            Kind::InconsistentOffsets => {
                let (one, two) = (send(case.other_message?)?, send(message)?);
                let completed = |place: usize| self.history.operations[place].interval.completed;
                let (first, again) = if completed(one) <= completed(two) { (one, two) } else { (two, one) };
                Some(Cause::SameOffset { first, again })
            }
            _ => None,
        }
    }

    /// The last poll of a key after a send, by the node that was sent the message, and by another.
    fn last_polls(&self, key: Key, of: usize) -> Vec<usize> {
        let operations = &self.history.operations;
        let send = &operations[of];
        let mut has_key: BTreeMap<u64, bool> = BTreeMap::new();
        let (mut same, mut other) = (None, None);
        for (place, operation) in operations.iter().enumerate() {
            let is_asked = *has_key.get(&operation.process).unwrap_or(&!self.has_assigns);
            match &operation.action {
                Action::Assign { keys, .. } if operation.completion == Completion::Ok => {
                    has_key.insert(operation.process, keys.contains(&key));
                }
                Action::Poll { .. }
                    if is_asked
                        && operation.completion == Completion::Ok
                        && operation.interval.invoked > send.interval.completed =>
                {
                    *(if operation.node == send.node { &mut same } else { &mut other }) = Some(place);
                }
                _ => {}
            }
        }
        same.into_iter().chain(other).collect()
    }

    /// The places in the log between the two messages of a case.
    fn between(&self, case: &Case) -> Option<Range<u32>> {
        let index = |message: Option<Message>| self.logs.index[message?.0 as usize];
        let between = index(case.other_message)? + 1..index(case.message)?;
        (!between.is_empty()).then_some(between)
    }
}

/// `process 3 at n1, 1.203 s`
struct Who<'a>(&'a LogOperation);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LogOperation { process, node, interval, .. } = self.0;
        match *node {
            Some(node) => write!(f, "process {process}, {}", Place { node, at: interval.completed }),
            None => write!(f, "process {process}, {}", Seconds(interval.completed)),
        }
    }
}
