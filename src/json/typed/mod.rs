//! Values as serde's data model, read from where they lie and written straight into the output.
//!
//! A message is checked before a handler gets it, so what is read here needs no second look at its grammar: the
//! [`Deserializer`](read) walks the text with a cursor, borrows from it, and keeps nothing. What it reads is what the
//! untyped readers read: of a key that comes twice the last one counts, an integer that does not fit is an error, and
//! so is a string with half of a surrogate pair.
//!
//! [`Value`] and [`OwnedValue`] read and write themselves byte for byte. They can only do so with this module's
//! serializer and deserializer, which they know by their types' names.

mod body_reader;
mod body_writer;
mod cursor;
mod error;
mod exact;
mod key_writer;
mod locate;
mod name;
mod number;
mod read;
mod unwritable;
mod write;

use serde::de::Deserialize;

pub(crate) use self::body_reader::from_value;
pub(crate) use self::body_writer::{write_body, write_fields};
pub(crate) use self::error::Root;
pub(crate) use self::unwritable::Unwritable;
pub(crate) use self::write::write_value;
use super::error::SchemaError;
use super::value::Value;

impl<'a> Value<'a> {
    /// The value as a type of its own, which may borrow from the line.
    ///
    /// # Errors
    /// The first thing in it that is not what the type wants, with its path from `name`.
    pub fn parse<T: Deserialize<'a>>(self, name: &str) -> Result<T, SchemaError> {
        from_value(self, Root::Value(name))
    }
}
