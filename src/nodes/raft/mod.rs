//! `lin-kv` by Raft: registers that a majority of the nodes keeps together.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `server.rs` | the algorithm: read it beside the paper |
//! | `log.rs`, `messages.rs` | the log, and what servers say and write down |
//! | `registers.rs` | the state machine |
//! | this one | a server as a node: clients, disk and timers |
//!
//! | message | from | what for |
//! | --- | --- | --- |
//! | `request_vote`, `vote` | candidates | elections, and before them a vote that changes nothing |
//! | `append_entries`, `append_result` | the leader | its log, a heartbeat, and a proof that it still leads |
//! | `install_snapshot` | the leader | what its log does not have any more |
//! | `forward` | followers | a client's request, once. It is never repeated: nobody could say whether the first one was appended. The leader answers the client |
//!
//! A request may come twice, and more than one leader may append it: what was applied of each client is part of the
//! state, so that the second one changes nothing.

mod log;
mod messages;
mod planted;
mod registers;
mod server;

use std::collections::VecDeque;

use self::messages::{Client, Message, Output};
#[doc(hidden)]
pub use self::planted::Bug;
use self::registers::{Answer, Command};
use self::server::Server;
use super::record::LogLength;
use crate::json::value::Integer;
use crate::node::{Context, Handler, Request};
use crate::store::BadRecord;
use crate::time::Duration;
use crate::wire::error::{ErrorCode, RpcError};

/// What came within this time is replicated by one message.
const BATCH: Duration = Duration::from_millis(2);

/// What is handed on to a leader takes this part of the time for an answer to get there.
const UNDER_WAY: u64 = 10;

/// Maximum requests that wait for a leader; more are refused.
const WAITING_MAX: usize = 10_000;

/// A node of a cluster that keeps `lin-kv`'s registers.
#[derive(Debug)]
pub struct Raft {
    server: Server,
    answer_within: Duration,
    /// Requests that came while no leader was known: an election takes less time than a client waits.
    waiting: VecDeque<(Client, Command)>,
    log: LogLength,
    bug: Option<Bug>,
}

impl Raft {
    /// A node that answers within this time, or not at all: heartbeats and elections are as much faster.
    pub fn new(answer_within: Duration) -> Self {
        Self {
            server: Server::new(answer_within),
            answer_within,
            waiting: VecDeque::new(),
            log: LogLength::default(),
            bug: None,
        }
    }

    /// A node with a mistake.
    #[doc(hidden)]
    #[must_use]
    pub fn with_bug(self, bug: Bug) -> Self {
        Self { bug: Some(bug), ..self }
    }
}

impl Handler for Raft {
    fn on_init(&mut self, cx: &mut Context<'_, Self>) {
        self.server.pass(cx.now());
        let peers = cx.cluster().peers().map(str::to_owned).collect();
        let seed = cx.rng().u64(..);
        self.server.start(cx.id().to_owned(), peers, seed);
        cx.every(self.server.tick_interval(), |raft: &mut Self, cx| {
            raft.server.pass(cx.now());
            raft.server.tick();
            raft.act(cx);
        });
    }

    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        self.server.pass(cx.now());
        let handled = if cx.cluster().peers().any(|peer| peer == request.src()) {
            self.handle_message(request.src(), request.parse()?, cx)
        } else {
            let command: Command = request.parse()?;
            let msg_id = request.msg_id.and_then(Integer::as_u64);
            let msg_id =
                msg_id.ok_or_else(|| RpcError::malformed("msg_id: expected an integer of 64 bits"))?;
            let client =
                Client { id: request.src().to_owned(), msg_id, until: cx.now() + self.answer_within };
            self.handle_command(client, command, cx)
        };
        self.act(cx);
        handled
    }

    fn recover(&mut self, record: &[u8]) -> Result<(), BadRecord> {
        self.log.add(record);
        self.server.recover(record)?;
        if let Some(bug) = self.bug {
            bug.after_recovery(&mut self.server);
        }
        Ok(())
    }
}

impl Raft {
    fn handle_message(
        &mut self,
        src: &str,
        mut message: Message,
        cx: &mut Context<'_, Self>,
    ) -> Result<(), RpcError> {
        if let Message::Forward { client, client_msg_id, within_us, command } = message {
            let until = cx.now() + Duration::from_micros(within_us);
            let client = Client { id: client, msg_id: client_msg_id, until };
            let is_read = matches!(command, Command::Read { .. });
            // It is not handed on once more.
            return match self.propose(client.clone(), command, cx) {
                Ok(()) => Ok(()),
                Err(error) if is_read => refuse(&client, &error, cx),
                // It may have come twice, and have been appended the first time.
                Err(error) => refuse(&client, &RpcError::new(ErrorCode::TIMEOUT, error.text), cx),
            };
        }
        if let Some(bug) = self.bug {
            bug.before(&mut self.server, &mut message);
        }
        self.server.handle_message(src, message);
        Ok(())
    }

    /// Does what a client asks for, or hands it on to who can, once there is somebody.
    fn handle_command(
        &mut self,
        client: Client,
        command: Command,
        cx: &mut Context<'_, Self>,
    ) -> Result<(), RpcError> {
        match self.server.leader().map(str::to_owned) {
            None if self.waiting.len() < WAITING_MAX => {
                self.waiting.push_back((client, command));
                Ok(())
            }
            None => Err(RpcError::temporarily_unavailable("no leader is known")),
            Some(leader) if leader == cx.id() => self.propose(client, command, cx),
            Some(leader) => {
                let Client { id: client, msg_id: client_msg_id, until } = client;
                // It will be under way for a while, which takes no less where it waited for a leader before.
                let under_way = self.answer_within.as_micros() / UNDER_WAY;
                let within_us = until.saturating_since(cx.now()).as_micros().saturating_sub(under_way);
                if within_us == 0 {
                    return Err(RpcError::temporarily_unavailable("a leader was known too late"));
                }
                cx.message_with(&leader, &Message::Forward { client, client_msg_id, within_us, command })
            }
        }
    }

    /// Goes on with what waits for a leader. Of what waited too long it is certain that nobody appended it.
    fn handle_waiting(&mut self, cx: &mut Context<'_, Self>) {
        let has_leader = self.server.leader().is_some();
        while self.waiting.front().is_some_and(|(client, _)| has_leader || client.until <= cx.now()) {
            let (client, command) = self.waiting.pop_front().expect("it was looked at");
            let handled = if has_leader {
                self.handle_command(client.clone(), command, cx)
            } else {
                Err(RpcError::temporarily_unavailable("no leader is known"))
            };
            if let Err(error) = handled {
                refuse(&client, &error, cx).expect("an error is well formed");
            }
        }
    }

    fn propose(
        &mut self,
        client: Client,
        command: Command,
        cx: &mut Context<'_, Self>,
    ) -> Result<(), RpcError> {
        if let Some(result) = self.bug.and_then(|bug| bug.answer(&self.server, &command)) {
            answer(&client, result, cx);
            return Ok(());
        }
        self.server.propose(client, command)
    }

    /// Does what the server says.
    fn act(&mut self, cx: &mut Context<'_, Self>) {
        self.handle_waiting(cx);
        if self.log.is_due() {
            self.server.compact();
        }
        let mut output = self.server.take_output();
        if let Some(bug) = self.bug {
            bug.after(&mut self.server, &mut output);
        }
        for output in output {
            match output {
                Output::Send { to, message } => cx.message_with(&to, &message).expect("it goes to a peer"),
                Output::Persist(record) => {
                    let record = record.to_bytes();
                    self.log.add(&record);
                    cx.persist(&record);
                }
                Output::Snapshot(record) => {
                    let record = record.to_bytes();
                    self.log.restart(record.len());
                    cx.snapshot(&record);
                }
                Output::Answer(client, result) => answer(&client, result, cx),
                Output::Broadcast => drop(cx.after(BATCH, |raft: &mut Self, cx| {
                    raft.server.pass(cx.now());
                    raft.server.broadcast();
                    raft.act(cx);
                })),
            }
        }
    }
}

/// Answers a client, whichever node it asked, unless it has given up.
fn answer(client: &Client, result: Result<Answer, RpcError>, cx: &mut Context<'_, Raft>) {
    if client.until < cx.now() {
        return;
    }
    let msg_id = client.msg_id.to_string();
    let sent = match result {
        Ok(Answer::Read(value)) => cx.reply_for(&client.id, &msg_id, "read_ok").field("value", value).send(),
        Ok(Answer::Written) => cx.reply_for(&client.id, &msg_id, "write_ok").send(),
        Ok(Answer::Swapped) => cx.reply_for(&client.id, &msg_id, "cas_ok").send(),
        Err(error) => refuse(client, &error, cx),
    };
    sent.expect("an answer is well formed");
}

fn refuse(client: &Client, error: &RpcError, cx: &mut Context<'_, Raft>) -> Result<(), RpcError> {
    let msg_id = client.msg_id.to_string();
    cx.reply_for(&client.id, &msg_id, "error").field("code", error.code.0).field("text", &*error.text).send()
}
