//! What a waiting handler answers.

use std::ops::Range;

use super::fields::write_members;
use crate::json::write::WriteJson as _;
use crate::wire::envelope::Body;

/// What a waiting handler answers its request with.
#[derive(Clone, Debug)]
#[must_use = "an answer is what a waiting handler returns"]
pub struct Answer {
    /// Where its type is among the members.
    pub(super) kind: Range<usize>,
    /// All members of its body, its type among them.
    pub(super) members: Vec<u8>,
    /// Why it cannot be sent.
    pub(super) fault: Option<&'static str>,
}

impl Answer {
    /// An answer of that type without fields.
    ///
    /// ```
    /// # use messenger::Answer;
    /// let answer = Answer::new("read_ok").field("value", 7);
    /// ```
    pub fn new(kind: &str) -> Self {
        let mut members = b"\"type\":".to_vec();
        kind.write_json(&mut members);
        Self::of_members(b"\"type\":".len()..members.len(), members)
    }

    /// An answer that passes on what another node answered, byte for byte.
    ///
    /// ```
    /// # let _ = messenger::handler_fn(|request, cx| {
    /// cx.wait(request, |node| {
    ///     let call = node.call("n0", request.kind()).fields_of(request);
    ///     async move { Ok(messenger::Answer::forward(&call.await?.body())) }
    /// })
    /// # });
    /// ```
    pub fn forward(body: &Body<'_>) -> Self {
        let mut answer = Self::new(&body.kind);
        write_members(body, &mut answer.members);
        answer
    }

    /// An answer of all these members, its type among them.
    pub(super) const fn of_members(kind: Range<usize>, members: Vec<u8>) -> Self {
        Self { kind, members, fault: None }
    }

    /// An answer that cannot be sent.
    #[cfg(feature = "serde")]
    pub(super) const fn faulty(why: &'static str) -> Self {
        Self { kind: 0..0, members: Vec::new(), fault: Some(why) }
    }

    /// Where its fields are written.
    pub(super) const fn body_mut(&mut self) -> &mut Vec<u8> {
        &mut self.members
    }

    /// Notes that a field cannot be sent.
    pub(super) fn refuse_field(&mut self, why: &'static str) {
        self.fault.get_or_insert(why);
    }
}
