//! Mistakes that people make in Raft, for tests to find: each is made to a right [`Server`] from outside.

use std::mem;

use super::log::Entry;
use super::messages::{Message, Output, Record};
use super::registers::{Answer, Command};
use super::server::{Role, Server};
use crate::wire::error::RpcError;

/// A mistake. One more, to answer before persisting, is [`loses_acknowledged_writes`](crate::Config).
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// It votes for whoever asks, as often as asked.
    VotesTwice,
    /// After a restart it does not know whom it voted for.
    ForgetsItsVote,
    /// It commits entries of earlier terms by counting, and begins a term without one of its own (§5.4.2, figure 8).
    CommitsOldTerms,
    /// It votes for a log that is shorter than its own.
    LetsShorterLogsWin,
    /// It answers reads without asking whether it still leads.
    ReadsWhenDeposed,
    /// It cuts its log at whatever comes, so that a delayed message undoes what a later one appended.
    TruncatesWhatAgrees,
    /// It counts results, not followers.
    CountsAFollowerTwice,
}

impl Bug {
    /// After a record was taken back.
    pub(super) fn after_recovery(self, server: &mut Server) {
        if self == Self::ForgetsItsVote {
            server.voted_for = None;
        }
    }

    /// Before a message is handled.
    pub(super) fn before(self, server: &mut Server, message: &mut Message) {
        match (self, message) {
            (Self::VotesTwice, Message::RequestVote { is_pre: false, .. }) => server.voted_for = None,
            (Self::LetsShorterLogsWin, Message::RequestVote { last_log_term, last_log_index, .. })
                if *last_log_term >= server.log.last_term() =>
            {
                *last_log_index = u64::MAX;
            }
            (
                Self::TruncatesWhatAgrees,
                Message::AppendEntries { term, prev_log_index: prev, prev_log_term, .. },
            ) => {
                let agrees = server.log.term(*prev) == Some(*prev_log_term);
                if agrees && *term >= server.current_term && *prev < server.log.last_index() {
                    server.append_after(*prev, Vec::new());
                }
            }
            _ => {}
        }
    }

    /// After something was handled, of which this is to be done.
    pub(super) fn after(self, server: &mut Server, output: &mut Vec<Output>) {
        let (majority, last_index) = (server.majority(), server.log.last_index());
        let Role::Leader(leader) = &mut server.role else { return };
        let mut matches = leader.match_indexes(last_index);
        match self {
            Self::CommitsOldTerms => {
                let is_new = output.iter().any(is_no_op);
                if is_new {
                    output.iter_mut().for_each(leave_no_op_out);
                    output.retain(|output| !is_no_op(output));
                    leader.followers.values_mut().for_each(|follower| follower.next_index -= 1);
                    leader.first = 0;
                    server.log.replace_after(last_index - 1, Vec::new());
                } else {
                    server.commit(matches[majority - 1]);
                    output.extend(server.take_output());
                }
            }
            Self::CountsAFollowerTwice => {
                let furthest = leader.followers.values().map(|follower| follower.match_index).max();
                matches.extend(furthest);
                matches.sort_unstable_by(|a, b| b.cmp(a));
                if server.log.term(matches[majority - 1]) == Some(server.current_term) {
                    server.commit(matches[majority - 1]);
                    output.extend(server.take_output());
                }
            }
            _ => {}
        }
    }

    /// What a request comes to before it is handled.
    pub(super) fn answer(self, server: &Server, command: &Command) -> Option<Result<Answer, RpcError>> {
        match (self, &server.role, command) {
            (Self::ReadsWhenDeposed, Role::Leader(_), Command::Read { key }) => {
                Some(server.registers.read(key))
            }
            _ => None,
        }
    }
}

/// Whether this writes down the entry with which a leader begins.
fn is_no_op(output: &Output) -> bool {
    let Output::Persist(Record::Entries { entries, .. }) = output else { return false };
    entries.iter().all(|entry| entry.command.is_none())
}

fn leave_no_op_out(output: &mut Output) {
    if let Output::Send { message: Message::AppendEntries { entries, .. }, .. } = output {
        let is_left = |entry: &Entry| entry.command.is_some();
        *entries = mem::take(entries).into_iter().filter(is_left).collect();
    }
}
