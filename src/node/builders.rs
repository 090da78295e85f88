//! The fields of a message that is being put together, whatever kind of message it is.

use super::answer::Answer;
use super::call::Call;
#[cfg(feature = "serde")]
use super::fields::logged;
use super::fields::{write_field, write_members, write_name};
use super::message::Message;
use super::peers::Broadcast;
use super::sequential::WaitingCall;
use crate::json::to_json::ToJson;
#[cfg(feature = "serde")]
use crate::json::typed::write_fields;
use crate::json::write::WriteJson;
use crate::wire::envelope::Body;

/// Gives builders of messages the methods that add fields. Each has a method `body_mut`, where they are written, and
/// one that remembers why one could not be, `refuse_field`.
macro_rules! builders {
    ($([$($generics:tt)*] $builder:ty)*) => {$(
        impl<$($generics)*> $builder {
            /// Adds a field to the body. Fields keep the order in which they are added.
            ///
            /// `type`, `msg_id` and `in_reply_to` are the node's to write. To use them, or a value that JSON cannot
            /// say, is an error of code 13 when the message is sent.
            #[inline(always)]
            pub fn field(mut self, name: &str, value: impl ToJson) -> Self {
                if let Err(why) = write_field(self.body_mut(), name, value) {
                    self.refuse_field(why);
                }
                self
            }

            /// Adds a field whose value is written as only this crate can.
            #[allow(dead_code, reason = "not every kind of message needs it")]
            pub(crate) fn exact_field(mut self, name: &str, value: &impl WriteJson) -> Self {
                write_name(self.body_mut(), name);
                value.write_json(self.body_mut());
                self
            }

            /// Adds the fields of a body that came, byte for byte, but for `type`, `msg_id` and `in_reply_to`: of an answer
            /// that is passed on, for example.
            pub fn fields_of(mut self, body: &Body<'_>) -> Self {
                write_members(body, self.body_mut());
                self
            }

            /// Adds the fields of a struct or of a map to the body. They are like those of [`field`](Self::field).
            #[cfg(feature = "serde")]
            pub fn body(mut self, fields: &(impl serde::Serialize + ?Sized)) -> Self {
                if let Err(error) = write_fields(fields, self.body_mut()) {
                    self.refuse_field(logged(&error));
                }
                self
            }
        }
    )*};
}

builders! { ['m] Message<'m>  ['m, H] Call<'m, H>  ['m] Broadcast<'m>  [H: 'static] WaitingCall<H>  [] Answer }
