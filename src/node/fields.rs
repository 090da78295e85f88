//! The fields of a message that is being put together, whatever kind of message it is.

use super::call::Call;
use super::context::Message;
use super::peers::Broadcast;
use super::sequential::{Answer, WaitingCall};
use crate::json::scan::find_special;
use crate::json::value::Value;
use crate::json::write::{ToJson, WriteJson};
use crate::wire::envelope::Body;

/// Why a field was refused.
pub(super) const RESERVED: &str = "the fields `type`, `msg_id` and `in_reply_to` are the node's to write";

/// Why a field was refused.
pub(super) const NOT_JSON: &str = "a field is nothing that JSON can say: the node's log has more";

/// Gives builders of messages the methods that add fields. Each has a method `fields`, which lets its argument append
/// to the body, and remembers why it could not.
macro_rules! builders {
    ($([$($generics:tt)*] $builder:ty)*) => {$(
        impl<$($generics)*> $builder {
            /// Adds a field to the body. Fields keep the order in which they are added.
            ///
            /// `type`, `msg_id` and `in_reply_to` are the node's to write. To use them, or a value that JSON cannot
            /// say, is an error of code 13 when the message is sent.
            #[inline(always)]
            pub fn field(self, name: &str, value: impl ToJson) -> Self {
                self.fields(|body| write_field(body, name, value))
            }

            /// Adds a field whose value is written as only this crate can.
            #[allow(dead_code, reason = "not every kind of message needs it")]
            pub(crate) fn exact_field(self, name: &str, value: &impl WriteJson) -> Self {
                self.fields(|line| {
                    write_name(line, name);
                    value.write_json(line);
                    Ok(())
                })
            }

            /// Adds the fields of a body that came, byte for byte, but for `type`, `msg_id` and `in_reply_to`: of an answer
            /// that is passed on, for example.
            pub fn fields_of(self, body: &Body<'_>) -> Self {
                self.fields(|line| {
                    write_members(body, line);
                    Ok(())
                })
            }

            /// Adds the fields of a struct or of a map to the body. They are like those of [`field`](Self::field).
            #[cfg(feature = "serde")]
            pub fn body(self, fields: &(impl serde::Serialize + ?Sized)) -> Self {
                self.fields(|body| {
                    crate::json::typed::write_fields(fields, body).map_err(|error| super::typed::logged(&error))
                })
            }
        }
    )*};
}

builders! { ['m] Message<'m>  ['m, H] Call<'m, H>  ['m, H] Broadcast<'m, H>  [H: 'static] WaitingCall<H>  [] Answer }

/// Appends `,"name":value`.
///
/// # Errors
/// For a name that handlers may not use, and a value that cannot be written.
#[inline(always)]
fn write_field(body: &mut Vec<u8>, name: &str, value: impl ToJson) -> Result<(), &'static str> {
    write_name(body, name);
    if !value.write_field(body) {
        return Err(NOT_JSON);
    }
    if matches!(name, "type" | "msg_id" | "in_reply_to") { Err(RESERVED) } else { Ok(()) }
}

/// Appends the members of a body that came, but for those that the node writes.
fn write_members(body: &Body<'_>, line: &mut Vec<u8>) {
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
fn write_name(body: &mut Vec<u8>, name: &str) {
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
