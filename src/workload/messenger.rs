//! The default workload: the messages of the course.

use crate::node::{Context, Request, Workload};
use crate::wire::error::RpcError;
use crate::wire::json::{Line, Parser};
use crate::wire::message::Outline;

/// Answers `echo` and `validate`.
#[derive(Debug, Default)]
pub struct Messenger {
    /// Reads what `validate` is asked about.
    parser: Parser,
}

impl Workload for Messenger {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "echo" => cx.reply(request, "echo_ok").field("echo", request.required("echo")?).send(),
            "validate" => self.validate(request, cx),
            kind => Err(RpcError::not_supported(kind)),
        }
    }
}

impl Messenger {
    /// The schema's verdict on an envelope that comes as text.
    fn validate(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        let mut text = request.string("payload")?.into_owned().into_bytes();
        let outline = Outline::parse(&mut self.parser, Line::padded(&mut text)).unwrap_or_default();
        let fields = [
            ("src", outline.src().is_ok()),
            ("dest", outline.dest().is_ok()),
            ("body.type", outline.kind().is_ok()),
            ("body.msg_id", outline.msg_id().is_ok_and(|id| id.is_some())),
            ("body.in_reply_to", outline.in_reply_to().is_ok_and(|id| id.is_some())),
        ];
        let present: Vec<&str> = fields.iter().filter(|(_, ok)| *ok).map(|(name, _)| *name).collect();
        cx.reply(request, "validate_ok")
            .field("valid", outline.check().is_ok())
            .field("fields", present)
            .send()
    }
}
