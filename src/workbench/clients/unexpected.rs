//! Answers that nobody waits for: late ones, repeated ones, and those to what was never asked.

use std::collections::BTreeSet;

use crate::workbench::cluster::UnexpectedReplies;

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Unexpected {
    /// Answers for clients that had given up.
    pub late: UnexpectedReplies,
    /// Answers to requests that had their answer.
    pub repeated: UnexpectedReplies,
    /// Answers to what a client had not asked.
    pub stray: UnexpectedReplies,
    /// Requests that clients gave up, by client and `msg_id`, and that are not answered yet.
    given_up: BTreeSet<(usize, u64)>,
}

impl Unexpected {
    /// A client waits no longer for the answer to this request.
    pub(super) fn give_up(&mut self, client: usize, msg_id: u64) {
        self.given_up.insert((client, msg_id));
    }

    /// An answer that nobody waits for came to a client that has asked so many times. Whether it answers one of these.
    pub(super) fn note(&mut self, client: usize, asked: u64, in_reply_to: Option<u64>, line: &[u8]) -> bool {
        let number = in_reply_to.filter(|number| (1..=asked).contains(number));
        let replies = match number {
            Some(number) if self.given_up.remove(&(client, number)) => &mut self.late,
            Some(_) => &mut self.repeated,
            None => &mut self.stray,
        };
        replies.note(line);
        number.is_some()
    }
}
