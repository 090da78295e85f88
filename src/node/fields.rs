//! How the fields of a body are written.

use crate::json::scan::find_special;
use crate::json::to_json::ToJson;
use crate::json::value::Value;
use crate::json::write::WriteJson;
use crate::wire::envelope::Body;
#[cfg(feature = "serde")]
use crate::{
    json::typed::Unwritable,
    wire::error::{ErrorCode, RpcError},
};

/// Why a field was refused.
pub(super) const RESERVED: &str = "the fields `type`, `msg_id` and `in_reply_to` are the node's to write";

/// Why a field was refused.
pub(super) const NOT_JSON: &str = "a field is nothing that JSON can say: the node's log has more";

/// Appends `,"name":value`.
///
/// # Errors
/// For a name that handlers may not use, and a value that cannot be written.
#[inline(always)]
pub(super) fn write_field(body: &mut Vec<u8>, name: &str, value: impl ToJson) -> Result<(), &'static str> {
    write_name(body, name);
    if !value.write_field(body) {
        return Err(NOT_JSON);
    }
    if matches!(name, "type" | "msg_id" | "in_reply_to") { Err(RESERVED) } else { Ok(()) }
}

/// Appends the members of a body that came, but for those that the node writes.
pub(super) fn write_members(body: &Body<'_>, line: &mut Vec<u8>) {
    for (key, value) in body.value().as_object().into_iter().flatten() {
        if !matches!(key.as_str().as_deref(), Some("type" | "msg_id" | "in_reply_to")) {
            line.push(b',');
            key.write_json(line);
            line.push(b':');
            value.write_json(line);
        }
    }
}

/// Appends `,"name":`.
#[inline(always)]
pub(super) fn write_name(body: &mut Vec<u8>, name: &str) {
    if find_special(name.as_bytes()).is_none() {
        body.extend_from_slice(b",\"");
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(b"\":");
    } else {
        body.push(b',');
        name.write_json(body);
        body.push(b':');
    }
}

/// The members of a body that was started with a type of no letters.
pub(super) const NO_TYPE: &str = "\"type\":\"\"";

/// What a type says that stands in a body as a JSON string.
pub(super) fn type_name(written: &[u8]) -> String {
    let text = std::str::from_utf8(written).unwrap_or_default();
    Value::of_checked(text).as_str().unwrap_or_default().into_owned()
}

#[cfg(feature = "serde")]
#[cold]
pub(super) fn refused(error: &Unwritable) -> RpcError {
    RpcError::new(ErrorCode::CRASH, format!("this body cannot be sent: {error}"))
}

/// Notes why fields cannot be sent; what the sender's error says.
#[cfg(feature = "serde")]
#[cold]
pub(super) fn logged(error: &Unwritable) -> &'static str {
    log::error!("a body or its fields cannot be sent: {error}");
    NOT_JSON
}
