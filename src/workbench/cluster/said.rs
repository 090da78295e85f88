//! What nodes write: a line is held to what Maelstrom wants of it, and goes on to a node, to a service, or to the clients.

use std::mem;

use super::answer::{Answer, ToClient};
use super::failure::Breach;
use super::frame::frame;
use super::{Cluster, Node};
use crate::json::error::SyntaxError;
use crate::json::text::excerpt;
use crate::json::value::Integer;
use crate::time::Instant;
use crate::wire::envelope::{Body, SchemaError, UncheckedEnvelope};
use crate::wire::lines::{Line, NextLine};
use crate::wire::reader::Read;
use crate::workbench::journal::Address;

/// What a line has to be.
const EXPECTED: &str = "expected a message on its stdout: a JSON object with src, dest and body";

/// A message of a node that is one as far as Maelstrom looks.
struct Message<'a> {
    line: &'a [u8],
    src: &'a str,
    dest: &'a str,
    body: &'a Body<'a>,
    /// The request that it answers, if that is no error.
    in_reply_to: Result<Option<Integer<'a>>, SchemaError>,
    /// Whether it has a type, and no `msg_id` or one that is an integer, which an answer has to.
    is_typed: Result<(), SchemaError>,
}

impl<R> Cluster<R> {
    /// A node said this line. What is in it for clients `take` takes, or says what is wrong with it.
    pub fn handle_line(
        &mut self,
        now: Instant,
        node: usize,
        line: NextLine<'_>,
        take: impl FnOnce(&mut Self, ToClient<'_>) -> Result<(), Breach>,
    ) {
        self.read_line(now, node, line, |cluster, message| cluster.take_message(node, message, take));
    }

    /// A node said this line to somebody whom the owner plays: it goes nowhere, and ends the test if no node may say it.
    pub fn check_line(&mut self, now: Instant, node: usize, line: NextLine<'_>) {
        self.read_line(now, node, line, |cluster, message| {
            if let (_, Address::Client(_)) = cluster.check_names(node, &message)? {
                check_in_reply_to(message.in_reply_to)?;
                message.is_typed.map_err(|error| Breach::of_answer(error.to_string()))?;
            }
            Ok(())
        });
    }

    /// Reads a line of a node. `take` takes the message, or says what is wrong with it.
    fn read_line(
        &mut self,
        now: Instant,
        node: usize,
        line: NextLine<'_>,
        take: impl FnOnce(&mut Self, Message<'_>) -> Result<(), Breach>,
    ) {
        self.now = now;
        let line = match line {
            NextLine::Line(line) => line,
            NextLine::TooLong(length) => {
                return self.fail(node, format!("it wrote a line of {length} bytes"), None);
            }
        };
        let mut reader = self.reader.take().unwrap_or_default();
        let bytes = line.bytes();
        let end = reader.read_line(line, |read| match read {
            // Nearly all are like this.
            Read::Message(message) if message.is_bare => {
                let body = &message.body;
                let (in_reply_to, is_typed) = (Ok(body.in_reply_to), Ok(()));
                let (src, dest) = (&message.src, &message.dest);
                take(self, Message { line: bytes, src, dest, body, in_reply_to, is_typed })
            }
            Read::NotMessage(message, _) => self.take_unchecked(bytes, message, take),
            Read::Message(_) => {
                let mut parser = mem::take(&mut self.parser);
                let end = match UncheckedEnvelope::parse(&mut parser, Line::new(bytes)) {
                    Ok(message) => self.take_unchecked(bytes, &message, take),
                    Err(error) => Err(not_json(&error)),
                };
                self.parser = parser;
                end
            }
            Read::NotJson(_) if bytes.trim_ascii().is_empty() => {
                Err(Breach::of_line(format!("{EXPECTED}; found a blank line")))
            }
            Read::NotJson(error) => Err(not_json(&error)),
            Read::TooLong(_) => unreachable!("it is a whole line"),
        });
        if let Err(breach) = end {
            self.fail_for(node, breach, bytes);
        }
        self.reader = Some(reader);
    }

    /// Takes a line that may be a message: a body need have no type, but what else Maelstrom looks at has to be right.
    fn take_unchecked(
        &mut self,
        line: &[u8],
        message: &UncheckedEnvelope<'_>,
        take: impl FnOnce(&mut Self, Message<'_>) -> Result<(), Breach>,
    ) -> Result<(), Breach> {
        let parts: Result<_, SchemaError> =
            (|| Ok((message.src()?, message.dest()?, message.loose_body()?, message.id()?)))();
        let (src, dest, body, _) = parts.map_err(|error| Breach::of_line(format!("{EXPECTED}; {error}")))?;
        if let Some(key) = message.unknown_key() {
            return Err(Breach::of_line(format!(
                "expected no keys but src, dest, body and id in a message; found {:?}",
                excerpt(&key)
            )));
        }
        let is_typed = message.kind().and(message.msg_id()).map(drop);
        let in_reply_to = message.in_reply_to();
        take(self, Message { line, src: &src, dest: &dest, body: &body, in_reply_to, is_typed })
    }

    /// Takes a message of a node, or says what is wrong with it.
    ///
    /// Whose `src` it is, and what a body between nodes or to a service has in it, is the nodes' own affair.
    fn take_message(
        &mut self,
        node: usize,
        message: Message<'_>,
        take: impl FnOnce(&mut Self, ToClient<'_>) -> Result<(), Breach>,
    ) -> Result<(), Breach> {
        let (src, dest) = self.check_names(node, &message)?;
        let Message { line, body, in_reply_to, is_typed, .. } = message;
        let text = body.value().raw();
        let id = self.journal.sent(self.now, src, dest, text);
        match dest {
            Address::Client(client) => {
                self.journal.received(self.now, src, dest, id);
                let in_reply_to = check_in_reply_to(in_reply_to)?;
                let answer = Answer { node, client, in_reply_to, is_typed, body, line };
                if self.take_init_ok(&answer)? {
                    return take(self, ToClient::Ready(node));
                }
                return take(self, ToClient::Answer(answer));
            }
            // Whosever name it is in, it goes the way of the node that wrote it.
            Address::Node(receiver) => {
                if receiver == node && src.is_client() {
                    self.swapped.get_or_insert((node, src));
                }
                self.send(id, Address::Node(node), src, dest, &frame(id, src, dest, text));
            }
            Address::Service(_) => self.send(id, Address::Node(node), src, dest, line),
        }
        Ok(())
    }

    /// In whose name a node wrote a message, and to whom.
    fn check_names(&mut self, node: usize, message: &Message<'_>) -> Result<(Address, Address), Breach> {
        let Some(src) = self.existing(message.src) else {
            let src = excerpt(message.src);
            return Err(Breach::of_line(format!("it wrote in the name of {src:?}, which does not exist")));
        };
        if src != Address::Node(node) {
            self.borrowed_names.note(message.line);
        }
        let Some(dest) = self.existing(message.dest) else {
            let dest = excerpt(message.dest);
            return Err(Breach::of_line(format!("it wrote to {dest:?}, which does not exist")));
        };
        Ok((src, dest))
    }

    /// Whoever has that name, if there is or was somebody.
    fn existing(&self, name: &str) -> Option<Address> {
        Address::parse(name).filter(|address| match *address {
            Address::Node(node) => self.nodes.get(node).is_some_and(|node| !node.is_left_out),
            Address::Client(client) => self.has_every_client || client < self.clients,
            Address::Service(_) => true,
        })
    }

    /// Whether this is the answer to an `init` that waits for one.
    fn take_init_ok(&mut self, answer: &Answer<'_>) -> Result<bool, Breach> {
        if !self.awaits_any_init() {
            return Ok(false);
        }
        let waits = |node: &Node| node.init.is_some_and(|(client, _)| client == answer.client);
        let Some(asked) = self.nodes.iter().position(waits) else { return Ok(false) };
        let breach = |reason: String| Err(Breach { reason, unnoticed: None });
        if asked != answer.node || answer.in_reply_to != Some(1) {
            return breach("expected in_reply_to 1 in the answer to `init`".to_owned());
        }
        let kind = &answer.body.kind;
        if kind != "init_ok" {
            return breach(format!(
                "its answer to `init`: type: expected \"init_ok\", found {:?}",
                excerpt(kind)
            ));
        }
        self.end_init(asked);
        Ok(true)
    }
}

/// Which request a message to a client answers.
fn check_in_reply_to(found: Result<Option<Integer<'_>>, SchemaError>) -> Result<Option<u64>, Breach> {
    const UNASKED: &str = "it throws such a message away, and goes on";
    match found {
        Ok(Some(in_reply_to)) => Ok(in_reply_to.as_u64()),
        Ok(None) => {
            let reason = "expected in_reply_to, the msg_id of the request that it answers; found nothing";
            Err(Breach { reason: reason.to_owned(), unnoticed: Some(UNASKED) })
        }
        Err(error) => Err(Breach::of_answer(error.to_string())),
    }
}

fn not_json(error: &SyntaxError) -> Breach {
    Breach::of_line(format!("{EXPECTED}; not JSON: {error}"))
}
