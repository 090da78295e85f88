//! Task 1-3-1 (3-1): whether a message keeps to the schema.

use crate::json::parser::Parser;
use crate::node::{Context, Request};
use crate::wire::envelope::UncheckedEnvelope;
use crate::wire::error::RpcError;
use crate::wire::lines::Line;

/// Reads what it is asked about.
#[derive(Debug, Default)]
pub(super) struct Validator(Parser);

impl Validator {
    /// `validate`: the schema's verdict on an envelope that comes as text.
    pub(super) fn handle<H>(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_, H>,
    ) -> Result<(), RpcError> {
        let payload = request.string("payload")?;
        let line = Line::new(payload.as_bytes());
        let unchecked = UncheckedEnvelope::parse(&mut self.0, line).unwrap_or_default();
        let fields = [
            ("src", unchecked.src().is_ok()),
            ("dest", unchecked.dest().is_ok()),
            ("body.type", unchecked.kind().is_ok()),
            ("body.msg_id", unchecked.msg_id().is_ok_and(|id| id.is_some())),
            ("body.in_reply_to", unchecked.in_reply_to().is_ok_and(|id| id.is_some())),
        ];
        let present: Vec<&str> = fields.iter().filter(|(_, ok)| *ok).map(|(name, _)| *name).collect();
        cx.reply(request, "validate_ok")
            .field("valid", unchecked.check().is_ok())
            .field("fields", present)
            .send()
    }
}
