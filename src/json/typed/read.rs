//! serde's deserializer over a checked text. It stands above 600 lines, for its parts read each other: a value its elements and
//! members, and each of those a value.

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::cursor::Cursor;
use super::error::{Error, Probe, UNREADABLE, What};
use super::name::is_exact;
use super::number::Number;
use crate::json::value::Value;

/// What is different from a plain reading. Nothing is, unless that failed.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// Where the members begin that a later one of the same name replaces, in their order.
    pub(super) superseded: Vec<usize>,
    pub(super) probe: Option<Probe>,
}

impl Run {
    #[inline(always)]
    fn is_superseded(&self, at: usize) -> bool {
        !self.superseded.is_empty() && self.superseded.binary_search(&at).is_ok()
    }
}

/// Reads the next value.
pub(super) struct Reader<'c, 'de> {
    pub(super) cursor: &'c mut Cursor<'de>,
    pub(super) run: &'c Run,
}

impl<'de> Reader<'_, 'de> {
    /// Where the next value begins; whether it is the one that a probe replaces.
    #[inline(always)]
    fn start(&mut self) -> (u8, usize) {
        let first = self.cursor.peek();
        (first, self.cursor.at())
    }

    #[inline(always)]
    fn is_replaced(&self, at: usize) -> bool {
        match self.run.probe {
            None => false,
            Some(probe) => matches!(probe, Probe::Replaced(there) if there == at),
        }
    }

    #[cold]
    fn visit_unreadable<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.cursor.value();
        visitor.visit_borrowed_bytes(UNREADABLE)
    }

    #[inline]
    fn visit_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (raw, has_escapes) = self.cursor.string();
        if !has_escapes {
            return visitor.visit_borrowed_str(&raw[1..raw.len() - 1]);
        }
        match Value::of_checked(raw).as_str() {
            Some(text) => visitor.visit_string(text.into_owned()),
            None => Err(Error::new(What::Expected("a string".into()))),
        }
    }

    #[inline]
    fn visit_number<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match Number::of(self.cursor.word()) {
            Some(Number::Unsigned(number)) => visitor.visit_u64(number),
            Some(Number::Signed(number)) => visitor.visit_i64(number),
            Some(Number::Float(number)) => visitor.visit_f64(number),
            None => Err(Error::new(What::Expected("a number".into()))),
        }
    }

    #[inline]
    fn visit_array<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Self { cursor, run } = self;
        cursor.step();
        let mut elements = Elements { cursor, run, count: 0 };
        let value = visitor.visit_seq(&mut elements)?;
        let Elements { cursor, count, .. } = elements;
        if cursor.take(b']') {
            return Ok(value);
        }
        Err(Error::new(What::Length(count + 1, format!("an array of {count} elements"))))
    }

    #[inline]
    pub(super) fn visit_object<V: Visitor<'de>>(self, visitor: V, shown: Shown) -> Result<V::Value, Error> {
        let Self { cursor, run } = self;
        let added = match run.probe {
            Some(Probe::Added(at, name)) if at == cursor.at() => Some(name),
            _ => None,
        };
        cursor.step();
        let mut members = Members { cursor, run, shown, is_first: true, added, is_added: false };
        let value = visitor.visit_map(&mut members)?;
        if members.step_to_value()?.is_none() {
            members.cursor.step();
            return Ok(value);
        }
        Err(Error::new(What::Expected("an object with fewer members".into())))
    }

    #[inline(always)]
    fn visit_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let (first, at) = self.start();
        if self.is_replaced(at) {
            return self.visit_unreadable(visitor).map_err(|error| error.at(at, true));
        }
        match first {
            b'"' => self.visit_string(visitor),
            b'{' => self.visit_object(visitor, Shown::ALL),
            b'[' => self.visit_array(visitor),
            b't' | b'f' => visitor.visit_bool(self.cursor.word() == "true"),
            b'n' => {
                self.cursor.word();
                visitor.visit_unit()
            }
            _ => self.visit_number(visitor),
        }
        .map_err(|error| error.at(at, true))
    }

    /// The nearest double, of integers too: `-0` has its sign.
    fn visit_float<V: Visitor<'de>>(
        mut self,
        visitor: V,
        visit: impl FnOnce(V, &str) -> Option<Result<V::Value, Error>>,
    ) -> Result<V::Value, Error> {
        let (first, at) = self.start();
        let text = match first {
            b'-' | b'0'..=b'9' if !self.is_replaced(at) => self.cursor.word(),
            _ => return self.visit_any(visitor),
        };
        visit(visitor, text)
            .unwrap_or_else(|| Err(Error::new(What::Expected("a number".into()))))
            .map_err(|error| error.at(at, true))
    }

    /// An integer of up to 128 bits.
    fn visit_wide<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let (first, at) = self.start();
        let text = match first {
            b'-' | b'0'..=b'9' if !self.is_replaced(at) => self.cursor.word(),
            _ => return self.visit_any(visitor),
        };
        match (text.parse(), text.parse()) {
            (Ok(number), _) => visitor.visit_u128(number),
            (_, Ok(number)) => visitor.visit_i128(number),
            _ => Err(Error::new(What::Expected("an integer of 128 bits".into()))),
        }
        .map_err(|error| error.at(at, true))
    }
}

macro_rules! any {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.visit_any(visitor)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Reader<'_, 'de> {
    type Error = Error;

    any! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_char deserialize_str deserialize_string
        deserialize_seq deserialize_map deserialize_unit
    }

    /// A name. The derived code would take numbers for it.
    fn deserialize_identifier<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        match self.start() {
            (b'"', _) => self.visit_any(visitor),
            (_, at) => Err(Error::new(What::Expected("a string".into())).at(at, true)),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit_float(visitor, |visitor, text| {
            let number = text.parse().ok().filter(|number: &f32| number.is_finite())?;
            Some(visitor.visit_f32(number))
        })
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit_float(visitor, |visitor, text| {
            let number = text.parse().ok().filter(|number: &f64| number.is_finite())?;
            Some(visitor.visit_f64(number))
        })
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit_wide(visitor)
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit_wide(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let (first, at) = self.start();
        if first != b'"' || self.is_replaced(at) {
            return self.visit_any(visitor);
        }
        let (raw, has_escapes) = self.cursor.string();
        if !has_escapes {
            return visitor
                .visit_borrowed_bytes(&raw.as_bytes()[1..raw.len() - 1])
                .map_err(|error: Error| error.at(at, true));
        }
        match Value::of_checked(raw).as_str() {
            Some(text) => visitor.visit_byte_buf(text.into_owned().into_bytes()),
            None => Err(Error::new(What::Expected("a string".into()))),
        }
        .map_err(|error| error.at(at, true))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let (first, at) = self.start();
        if first == b'n' && !self.is_replaced(at) {
            self.cursor.word();
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.visit_any(visitor)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if !is_exact(name) {
            return visitor.visit_newtype_struct(self);
        }
        self.start();
        visitor.visit_borrowed_str(self.cursor.value())
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        self.visit_any(visitor).map_err(|mut error| {
            if let What::Length(_, expected) = &mut error.0.what
                && expected.starts_with("an array of ")
            {
                *expected = format!("an array of {length} elements");
            }
            error
        })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(length, visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.visit_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (first, at) = self.start();
        if self.is_replaced(at) {
            return self.visit_unreadable(visitor).map_err(|error| error.at(at, true));
        }
        let expected = || Error::new(What::Expected("a name, or an object of one name and its value".into()));
        let Self { cursor, run } = self;
        match first {
            b'"' => visitor.visit_enum(UnitVariant(Reader { cursor, run })),
            b'{' => {
                cursor.step();
                while cursor.peek() == b'"' && run.is_superseded(cursor.at()) {
                    cursor.string();
                    cursor.take(b':');
                    cursor.value();
                    cursor.take(b',');
                }
                if cursor.peek() == b'}' {
                    return Err(expected().at(at, true));
                }
                let value = visitor.visit_enum(Variant(Reader { cursor, run }))?;
                if cursor.take(b'}') { Ok(value) } else { Err(expected()) }
            }
            _ => Err(expected()),
        }
        .map_err(|error| error.at(at, true))
    }

    #[inline]
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.cursor.value();
        visitor.visit_unit()
    }
}

struct Elements<'c, 'de> {
    cursor: &'c mut Cursor<'de>,
    run: &'c Run,
    count: usize,
}

impl<'de> SeqAccess<'de> for &mut Elements<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        match self.cursor.peek() {
            b']' => return Ok(None),
            b',' => self.cursor.step(),
            _ => {}
        }
        self.count += 1;
        self.cursor.peek();
        let at = self.cursor.at();
        let element = seed.deserialize(Reader { cursor: self.cursor, run: self.run });
        element.map(Some).map_err(|error| error.at(at, false))
    }
}

/// Which of the members that the node writes are shown.
#[derive(Clone, Copy)]
pub(super) struct Shown {
    kind: bool,
    msg_id: bool,
    in_reply_to: bool,
}

impl Shown {
    const ALL: Self = Self { kind: true, msg_id: true, in_reply_to: true };
    pub(super) const KIND: Self = Self { kind: true, msg_id: false, in_reply_to: false };

    pub(super) fn to_struct(fields: &[&str]) -> Self {
        Self {
            kind: fields.contains(&"type"),
            msg_id: fields.contains(&"msg_id"),
            in_reply_to: fields.contains(&"in_reply_to"),
        }
    }

    #[inline(always)]
    fn shows(self, key: &str) -> bool {
        match key {
            "type" => self.kind,
            "msg_id" => self.msg_id,
            "in_reply_to" => self.in_reply_to,
            _ => true,
        }
    }
}

struct Members<'c, 'de> {
    cursor: &'c mut Cursor<'de>,
    run: &'c Run,
    shown: Shown,
    is_first: bool,
    /// The member that a probe adds at the end, and whether its turn has come.
    added: Option<&'static str>,
    is_added: bool,
}

/// A key, and whether there are escapes in it.
type Key<'de> = (&'de str, bool);

impl<'de> Members<'_, 'de> {
    /// The next key that is shown, with its quotes; the cursor is at its value. `None` at the end.
    #[inline(always)]
    fn step_to_value(&mut self) -> Result<Option<Key<'de>>, Error> {
        loop {
            match self.cursor.peek() {
                b'}' => return Ok(None),
                b',' if !self.is_first => {
                    self.cursor.step();
                    self.cursor.peek();
                }
                _ => {}
            }
            self.is_first = false;
            let at = self.cursor.at();
            let (raw, has_escapes) = self.cursor.string();
            self.cursor.take(b':');
            if self.run.is_superseded(at) || !self.is_shown(raw, has_escapes) {
                self.cursor.value();
                continue;
            }
            return Ok(Some((raw, has_escapes)));
        }
    }

    #[inline(always)]
    fn is_shown(&self, raw: &str, has_escapes: bool) -> bool {
        if has_escapes {
            return Value::of_checked(raw).as_str().is_none_or(|key| self.shown.shows(&key));
        }
        self.shown.shows(&raw[1..raw.len() - 1])
    }
}

impl<'de> MapAccess<'de> for &mut Members<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((raw, has_escapes)) = self.step_to_value()? else {
            return match self.added.take() {
                None => Ok(None),
                Some(name) => {
                    self.is_added = true;
                    seed.deserialize(StrDeserializer::new(name)).map(Some)
                }
            };
        };
        let key = seed.deserialize(KeyReader { raw, has_escapes });
        key.map(Some).map_err(|error| {
            // By the value, which has the key in its path.
            self.cursor.peek();
            error.at(self.cursor.at(), true)
        })
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        if self.is_added {
            self.is_added = false;
            return seed.deserialize(Unreadable);
        }
        self.cursor.peek();
        let at = self.cursor.at();
        seed.deserialize(Reader { cursor: self.cursor, run: self.run }).map_err(|error| error.at(at, false))
    }
}

/// The value of a member that a probe adds.
struct Unreadable;

impl<'de> de::Deserializer<'de> for Unreadable {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_bytes(UNREADABLE)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Reads a key: a string, or what is written in it.
pub(super) struct KeyReader<'de> {
    raw: &'de str,
    has_escapes: bool,
}

impl<'de> KeyReader<'de> {
    /// The number or word that the key spells.
    fn spelled<V: Visitor<'de>>(self, visitor: V, is_wide: bool) -> Result<V::Value, Error> {
        let inner = &self.raw[1..self.raw.len() - 1];
        if self.has_escapes || !crate::json::cursor::is_number(inner.as_bytes()) {
            return self.visit(visitor);
        }
        let (mut cursor, run) = (Cursor::new(inner), Run::default());
        let reader = Reader { cursor: &mut cursor, run: &run };
        if is_wide { reader.visit_wide(visitor) } else { reader.visit_number(visitor) }
    }

    #[inline]
    fn visit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if !self.has_escapes {
            return visitor.visit_borrowed_str(&self.raw[1..self.raw.len() - 1]);
        }
        match Value::of_checked(self.raw).as_str() {
            Some(text) => visitor.visit_string(text.into_owned()),
            None => Err(Error::new(What::Expected("a string".into()))),
        }
    }
}

macro_rules! spelled {
    ($($method:ident: $is_wide:literal)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.spelled(visitor, $is_wide)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for KeyReader<'de> {
    type Error = Error;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit(visitor)
    }

    spelled! {
        deserialize_i8: false deserialize_i16: false deserialize_i32: false deserialize_i64: false
        deserialize_u8: false deserialize_u16: false deserialize_u32: false deserialize_u64: false
        deserialize_f32: false deserialize_f64: false deserialize_i128: true deserialize_u128: true
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.raw {
            "\"true\"" => visitor.visit_bool(true),
            "\"false\"" => visitor.visit_bool(false),
            _ => self.visit(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if is_exact(name) { visitor.visit_borrowed_str(self.raw) } else { visitor.visit_newtype_struct(self) }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match Value::of_checked(self.raw).as_str() {
            Some(text) => visitor.visit_enum(text.into_deserializer()),
            None => Err(Error::new(What::Expected("a string".into()))),
        }
    }

    serde::forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A variant that is a name alone.
struct UnitVariant<'c, 'de>(Reader<'c, 'de>);

impl<'de> EnumAccess<'de> for UnitVariant<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let Reader { cursor, run } = self.0;
        let variant = seed.deserialize(Reader { cursor: &mut *cursor, run })?;
        Ok((variant, Self(Reader { cursor, run })))
    }
}

impl<'de> VariantAccess<'de> for UnitVariant<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Error> {
        Err(Error::new(What::Expected("an object of one name and its value".into())))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(Error::new(What::Expected("an object of one name and its array".into())))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Error> {
        Err(Error::new(What::Expected("an object of one name and its object".into())))
    }
}

/// A variant with its value: the only member of an object.
struct Variant<'c, 'de>(Reader<'c, 'de>);

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let (raw, has_escapes) = self.0.cursor.string();
        self.0.cursor.take(b':');
        self.0.cursor.peek();
        let variant = seed.deserialize(KeyReader { raw, has_escapes });
        Ok((variant.map_err(|error| error.at(self.0.cursor.at(), true))?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        de::Deserialize::deserialize(self.0)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        let at = self.0.cursor.at();
        seed.deserialize(self.0).map_err(|error| error.at(at, false))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_tuple(self.0, length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.visit_any(visitor)
    }
}
