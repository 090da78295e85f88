//! Values as serde's data model, read from where they lie and written straight into the output.
//!
//! A message is checked before a handler gets it, so what is read here needs no second look at its grammar: the
//! [`Deserializer`](read) walks the text with a cursor, borrows from it, and keeps nothing. What it reads is what the
//! untyped readers read: of a key that comes twice the last one counts, an integer that does not fit is an error, and
//! so is a string with half of a surrogate pair.
//!
//! [`Value`] and [`OwnedValue`] read and write themselves byte for byte. They can only do so with this module's
//! serializer and deserializer, which they know by their types' names.

mod cursor;
mod locate;
mod read;
mod write;

use std::any::type_name;
use std::fmt;

use serde::de::{self, Deserialize};
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _};

pub(crate) use self::read::{Root, from_value};
pub(crate) use self::write::{Unwritable, write_body, write_fields, write_value};
use super::error::SchemaError;
use super::value::{Integer, Kind, OwnedValue, Value};

impl<'a> Value<'a> {
    /// The value as a type of its own, which may borrow from the line.
    ///
    /// # Errors
    /// The first thing in it that is not what the type wants, with its path from `name`.
    pub fn parse<T: Deserialize<'a>>(self, name: &str) -> Result<T, SchemaError> {
        from_value(self, Root::Value(name))
    }
}

/// The name of the newtype struct as which an exact value passes through serde. It is known by its address, so no
/// other type can be taken for it.
static EXACT: &str = "messenger::Value";

fn is_exact(name: &'static str) -> bool {
    std::ptr::eq(name, EXACT)
}

/// Whether this is one of this module's serializers or deserializers, as far as its name tells.
fn is_ours<T>() -> bool {
    // What serde wraps around them has their names between angle brackets.
    let name = type_name::<T>();
    name.split_once('<').map_or(name, |(path, _)| path).contains(module_path!())
}

/// Byte for byte as it came, in a message of this crate; for other serializers what it stands for.
impl Serialize for Value<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if is_ours::<S>() {
            return serializer.serialize_newtype_struct(EXACT, self.raw());
        }
        match self.kind() {
            Kind::Null => serializer.serialize_unit(),
            Kind::Boolean => serializer.serialize_bool(self.raw() == "true"),
            Kind::Integer | Kind::Float => {
                let integer = self.as_integer().map(|integer| (integer.as_u64(), integer.as_i64()));
                match (integer, self.as_f64()) {
                    (Some((Some(integer), _)), _) => serializer.serialize_u64(integer),
                    (Some((_, Some(integer))), _) => serializer.serialize_i64(integer),
                    (_, Some(number)) => serializer.serialize_f64(number),
                    (_, None) => Err(serde::ser::Error::custom("a number beyond a double's range")),
                }
            }
            Kind::String => match self.as_str() {
                Some(text) => serializer.serialize_str(&text),
                None => Err(serde::ser::Error::custom("half of a surrogate pair is no text")),
            },
            Kind::Array => {
                let mut array = serializer.serialize_seq(None)?;
                for element in self.as_array().into_iter().flatten() {
                    array.serialize_element(&element)?;
                }
                array.end()
            }
            Kind::Object => {
                let mut object = serializer.serialize_map(None)?;
                for (key, value) in self.as_object().into_iter().flatten() {
                    object.serialize_entry(&key, &value)?;
                }
                object.end()
            }
        }
    }
}

impl Serialize for OwnedValue {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

impl Serialize for Integer<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Value::of_integer(*self).serialize(serializer)
    }
}

/// Whatever it is, borrowed from the line, byte for byte.
///
/// # Errors
/// With another deserializer than this crate's. That is also what `#[serde(untagged)]`, `flatten` and a `tag` make of
/// what is inside: they keep values in a buffer that forgets how they were written.
impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !is_ours::<D>() {
            return Err(de::Error::custom(BUFFERED));
        }
        deserializer.deserialize_newtype_struct(EXACT, ExactVisitor)
    }
}

impl<'de> Deserialize<'de> for OwnedValue {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Value::detach)
    }
}

const BUFFERED: &str = "a value that is kept byte for byte cannot be read from what serde buffers for `tag`, `untagged` \
                        and `flatten`; an enum that is the whole body of a message needs no `tag`";

struct ExactVisitor;

impl<'de> de::Visitor<'de> for ExactVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E: de::Error>(self, raw: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::of_checked(raw))
    }
}
