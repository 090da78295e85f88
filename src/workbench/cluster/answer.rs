//! What of a node's lines is for clients.

use crate::wire::envelope::{Body, SchemaError};

/// What there is for the clients in a line of a node.
#[derive(Debug)]
pub enum ToClient<'a> {
    /// The node has answered its `init`.
    Ready(usize),
    /// It has answered a client, or whoever had that name once.
    Answer(Answer<'a>),
}

/// An answer to a client.
#[derive(Debug)]
pub struct Answer<'a> {
    /// Who answered.
    pub node: usize,
    /// Whom.
    pub client: usize,
    /// Which request; `None` if it is no number that a request could have.
    pub in_reply_to: Option<u64>,
    /// Whether it has a type, and no `msg_id` or one that is an integer.
    pub is_typed: Result<(), SchemaError>,
    /// Its body.
    pub body: &'a Body<'a>,
    /// The line in which it stood.
    pub line: &'a [u8],
}
