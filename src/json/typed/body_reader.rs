//! Reads values and whole bodies as types, and says what is wrong with them.

use serde::de::value::StrDeserializer;
use serde::de::{self, Deserialize, DeserializeSeed, EnumAccess, VariantAccess, Visitor};

use super::cursor::Cursor;
use super::error::{Error, KIND, Probe, Root, What};
use super::locate::{self, superseded};
use super::name::is_exact;
use super::read::{Reader, Run, Shown};
use crate::json::error::SchemaError;
use crate::json::value::Value;

/// Reads a value of a message.
///
/// # Errors
/// The first thing in it that `T` cannot be read from.
pub(crate) fn from_value<'de, T: Deserialize<'de>>(
    value: Value<'de>,
    root: Root<'_>,
) -> Result<T, SchemaError> {
    let text = value.raw();
    let first = match read(text, root, &Run::default()) {
        Ok(read) => return Ok(read),
        Err(error) => error,
    };
    read_again(text, root, first)
}

/// Reads it once more if a key comes twice, which the derived code refuses: with the last of them alone.
#[cold]
fn read_again<'de, T: Deserialize<'de>>(
    text: &'de str,
    root: Root<'_>,
    mut error: Error,
) -> Result<T, SchemaError> {
    let run = Run { superseded: superseded(text), probe: None };
    if !run.superseded.is_empty() {
        match read(text, root, &run) {
            Ok(read) => return Ok(read),
            Err(another) => error = another,
        }
    }
    let probe = |probe: Probe| {
        let run = Run { superseded: run.superseded.clone(), probe: Some(probe) };
        read::<T>(text, root, &run).err()
    };
    Err(locate::explain(text, root, *error.0, probe))
}

fn read<'de, T: Deserialize<'de>>(text: &'de str, root: Root<'_>, run: &Run) -> Result<T, Error> {
    let mut cursor = Cursor::new(text);
    match root {
        Root::Body(kind) => T::deserialize(BodyReader { cursor: &mut cursor, run, kind }),
        Root::Value(_) => T::deserialize(Reader { cursor: &mut cursor, run }),
    }
    .map_err(|error| error.at(0, false))
}

/// Reads the body of a message.
pub(super) struct BodyReader<'c, 'de, 'k> {
    cursor: &'c mut Cursor<'de>,
    run: &'c Run,
    kind: &'k str,
}

impl<'de> BodyReader<'_, 'de, '_> {
    #[inline]
    fn visit<V: Visitor<'de>>(self, visitor: V, shown: Shown) -> Result<V::Value, Error> {
        let Self { cursor, run, .. } = self;
        cursor.peek();
        let at = cursor.at();
        Reader { cursor, run }.visit_object(visitor, shown).map_err(|error| error.at(at, true))
    }
}

impl<'de> de::Deserializer<'de> for BodyReader<'_, 'de, '_> {
    type Error = Error;

    /// What a `tag` or `flatten` asks for: it wants to see the type.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit(visitor, Shown::KIND)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.visit(visitor, Shown::to_struct(fields))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if is_exact(name) {
            return visitor.visit_borrowed_str(self.cursor.value());
        }
        visitor.visit_newtype_struct(self)
    }

    /// A body that says no more than its type.
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.cursor.value();
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf seq tuple tuple_struct map
        identifier
    }
}

impl<'de> EnumAccess<'de> for BodyReader<'_, 'de, '_> {
    type Error = Error;
    type Variant = Self;

    #[inline]
    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let variant = seed.deserialize(StrDeserializer::new(self.kind));
        Ok((variant.map_err(|error: Error| error.at(KIND, true))?, self))
    }
}

impl<'de> VariantAccess<'de> for BodyReader<'_, 'de, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    #[inline]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(Error::new(What::Custom("a body has names for its fields, which a tuple has not".into())))
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.visit(visitor, Shown::to_struct(fields))
    }
}
