//! Values that pass through serde byte for byte.

use std::any::type_name;
use std::fmt;

use serde::de::{self, Deserialize};
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _};

use super::body_reader::BodyReader;
use super::body_writer::BodyWriter;
use super::key_writer::KeyWriter;
use super::name::EXACT;
use super::read::{KeyReader, Reader};
use super::write::Writer;
use crate::json::value::{Integer, Kind, OwnedValue, Value};

/// Whether these are the same type but for lifetimes, as far as their names tell. The compiler knows the answer.
#[inline(always)]
fn is<A, B>() -> bool {
    type_name::<A>() == type_name::<B>()
}

/// Byte for byte as it came, in a message of this crate; for other serializers what it stands for.
impl Serialize for Value<'_> {
    #[inline]
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if is::<S, Writer<'_>>() || is::<S, KeyWriter<'_>>() || is::<S, BodyWriter<'_, '_>>() {
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
        if !(is::<D, Reader<'_, '_>>() || is::<D, KeyReader<'_>>() || is::<D, BodyReader<'_, '_, '_>>()) {
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
