//! serde's serializer, straight into the output.

use std::any::type_name;
use std::fmt;

use serde::ser::{self, Impossible, Serialize};

use super::locate::parts;
use super::name::is_exact;
use crate::json::write::{Raw, WriteJson as _};

/// Appends a value.
///
/// # Errors
/// If it is nothing that JSON can say. What was appended then is to be taken back.
#[inline]
pub(crate) fn write_value<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), Unwritable> {
    put(value, out)
}

/// Appends the members of a whole body, its `type` among them; where that stands.
///
/// # Errors
/// If it is no object, has no `type` or what the node itself writes, or is nothing that JSON can say.
pub(crate) fn write_body<T: Serialize + ?Sized>(body: &T, out: &mut Vec<u8>) -> Result<Kind, Unwritable> {
    let mut kind = None;
    let start = out.len();
    body.serialize(BodyWriter { out: &mut *out, start, kind: Some(&mut kind) })?;
    if is_hashed::<T>() {
        kind = sort_members(start, out);
    }
    kind.ok_or_else(|| {
        Unwritable::new(
            "expected a field `type`: an enum, whose variants are the types, or a struct with \
                         `#[serde(tag = \"type\", rename = \"…\")]`",
        )
    })
}

/// Appends fields of a body, each after a comma.
///
/// # Errors
/// If it is no object, has what the node itself writes or a `type`, or is nothing that JSON can say.
pub(crate) fn write_fields<T: Serialize + ?Sized>(fields: &T, out: &mut Vec<u8>) -> Result<(), Unwritable> {
    let start = out.len();
    fields.serialize(BodyWriter { start: usize::MAX, out: &mut *out, kind: None })?;
    if is_hashed::<T>() {
        sort_members(start, out);
    }
    Ok(())
}

/// Where the type stands of a body that was written: a JSON string.
pub(crate) type Kind = std::ops::Range<usize>;

/// Why a value cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unwritable(Box<str>);

impl Unwritable {
    #[cold]
    fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unwritable {}

impl ser::Error for Unwritable {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::new(text.to_string())
    }
}

type Written = Result<(), Unwritable>;

/// Appends a value. What comes out of a hash table is put in order: that of the table may be another one in each run,
/// and the same seed has to make the same bytes.
#[inline(always)]
fn put<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Written {
    if !is_hashed::<T>() {
        return value.serialize(Writer { out });
    }
    let start = out.len();
    value.serialize(Writer { out: &mut *out })?;
    sort(start, out);
    Ok(())
}

/// Whether that is a hash table, as far as its name tells.
#[inline(always)]
fn is_hashed<T: ?Sized>() -> bool {
    let mut name = type_name::<T>();
    while let Some(referred) = name.strip_prefix('&') {
        name = referred;
    }
    name.starts_with("std::collections::hash::map::HashMap<")
        || name.starts_with("std::collections::hash::set::HashSet<")
}

/// Puts the elements or members of what was written from there in the order of their texts.
#[cold]
fn sort(start: usize, out: &mut Vec<u8>) {
    let Ok(text) = std::str::from_utf8(&out[start..]) else { return };
    let mut parts = parts(text);
    if parts.len() < 2 {
        return;
    }
    parts.sort_unstable();
    let (open, close) = (out[start], out[out.len() - 1]);
    let mut sorted = vec![open];
    sorted.extend_from_slice(parts.join(",").as_bytes());
    sorted.push(close);
    out.truncate(start);
    out.extend_from_slice(&sorted);
}

/// Puts the members of a body that were written from there in order; where its type stands then.
#[cold]
fn sort_members(start: usize, out: &mut Vec<u8>) -> Option<Kind> {
    let mut members = out.split_off(start);
    let has_comma = members.first() == Some(&b',');
    members.splice(..usize::from(has_comma), *b"{");
    members.push(b'}');
    sort(0, &mut members);
    members.pop();
    out.extend_from_slice(if has_comma { b"," } else { b"" });
    out.extend_from_slice(&members[1..]);
    let name = b"\"type\":";
    let text = std::str::from_utf8(&out[start..]).ok()?;
    // They begin with a bracket for `parts` to see them.
    let object = format!("{{{text}}}");
    let member = parts(&object).into_iter().find(|part| part.as_bytes().starts_with(name))?;
    let at = start + member.as_ptr().addr() - object.as_ptr().addr() - 1;
    Some(at + name.len()..at + member.len())
}

/// Writes one value.
pub(super) struct Writer<'o> {
    out: &'o mut Vec<u8>,
}

macro_rules! scalars {
    ($($method:ident $scalar:ty)*) => {$(
        #[inline]
        fn $method(self, value: $scalar) -> Written {
            value.write_json(self.out);
            Ok(())
        }
    )*};
}

impl<'o> ser::Serializer for Writer<'o> {
    type Ok = ();
    type Error = Unwritable;
    type SerializeSeq = Array<'o>;
    type SerializeTuple = Array<'o>;
    type SerializeTupleStruct = Array<'o>;
    type SerializeTupleVariant = Array<'o>;
    type SerializeMap = Object<'o>;
    type SerializeStruct = Object<'o>;
    type SerializeStructVariant = Object<'o>;

    scalars! {
        serialize_bool bool  serialize_i8 i8  serialize_i16 i16  serialize_i32 i32  serialize_i64 i64
        serialize_i128 i128  serialize_u8 u8  serialize_u16 u16  serialize_u32 u32  serialize_u64 u64
        serialize_u128 u128  serialize_f32 f32  serialize_f64 f64  serialize_str &str
    }

    fn serialize_char(self, value: char) -> Written {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_bytes(self, value: &[u8]) -> Written {
        value.write_json(self.out);
        Ok(())
    }

    fn serialize_none(self) -> Written {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        put(value, self.out)
    }

    fn serialize_unit(self) -> Written {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        self.serialize_str(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Written {
        if is_exact(name) { value.serialize(ExactWriter { out: self.out }) } else { put(value, self.out) }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        open_variant(variant, self.out);
        put(value, self.out)?;
        self.out.push(b'}');
        Ok(())
    }

    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<Array<'o>, Unwritable> {
        self.out.push(b'[');
        Ok(Array { out: self.out, is_first: true, end: "]" })
    }

    fn serialize_tuple(self, length: usize) -> Result<Array<'o>, Unwritable> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Array<'o>, Unwritable> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Array<'o>, Unwritable> {
        open_variant(variant, self.out);
        self.out.push(b'[');
        Ok(Array { out: self.out, is_first: true, end: "]}" })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Object<'o>, Unwritable> {
        self.out.push(b'{');
        Ok(Object { out: self.out, is_first: true, end: "}" })
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Object<'o>, Unwritable> {
        self.serialize_map(Some(length))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Object<'o>, Unwritable> {
        open_variant(variant, self.out);
        self.out.push(b'{');
        Ok(Object { out: self.out, is_first: true, end: "}}" })
    }
}

/// Writes `{"variant":`.
fn open_variant(variant: &str, out: &mut Vec<u8>) {
    out.push(b'{');
    variant.write_json(out);
    out.push(b':');
}

pub(super) struct Array<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
    end: &'static str,
}

impl Array<'_> {
    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
        put(value, self.out)
    }

    #[allow(clippy::unnecessary_wraps, reason = "it is what serde wants")]
    fn close(self) -> Written {
        self.out.extend_from_slice(self.end.as_bytes());
        Ok(())
    }
}

macro_rules! arrays {
    ($($of:ident: $method:ident)*) => {$(
        impl ser::$of for Array<'_> {
            type Ok = ();
            type Error = Unwritable;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
                self.element(value)
            }

            fn end(self) -> Written {
                self.close()
            }
        }
    )*};
}

arrays! {
    SerializeSeq: serialize_element
    SerializeTuple: serialize_element
    SerializeTupleStruct: serialize_field
    SerializeTupleVariant: serialize_field
}

pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
    end: &'static str,
}

impl Object<'_> {
    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Written {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
        key.write_json(self.out);
        self.out.push(b':');
        put(value, self.out)
    }
}

impl ser::SerializeStruct for Object<'_> {
    type Ok = ();
    type Error = Unwritable;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Written {
        self.field(key, value)
    }

    fn end(self) -> Written {
        self.out.extend_from_slice(self.end.as_bytes());
        Ok(())
    }
}

impl ser::SerializeStructVariant for Object<'_> {
    type Ok = ();
    type Error = Unwritable;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Written {
        self.field(key, value)
    }

    fn end(self) -> Written {
        self.out.extend_from_slice(self.end.as_bytes());
        Ok(())
    }
}

impl ser::SerializeMap for Object<'_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Written {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
        key.serialize(KeyWriter { out: self.out })?;
        self.out.push(b':');
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        put(value, self.out)
    }

    fn end(self) -> Written {
        self.out.extend_from_slice(self.end.as_bytes());
        Ok(())
    }
}

/// Refuses whatever is not named before.
macro_rules! refused {
    ($why:expr; $($method:ident)*) => {$(refused!(@ $method $why);)*};
    (@ bool $why:expr) => { fn serialize_bool(self, _: bool) -> Written { Err($why) } };
    (@ numbers $why:expr) => {
        fn serialize_i8(self, _: i8) -> Written { Err($why) }
        fn serialize_i16(self, _: i16) -> Written { Err($why) }
        fn serialize_i32(self, _: i32) -> Written { Err($why) }
        fn serialize_i64(self, _: i64) -> Written { Err($why) }
        fn serialize_i128(self, _: i128) -> Written { Err($why) }
        fn serialize_u8(self, _: u8) -> Written { Err($why) }
        fn serialize_u16(self, _: u16) -> Written { Err($why) }
        fn serialize_u32(self, _: u32) -> Written { Err($why) }
        fn serialize_u64(self, _: u64) -> Written { Err($why) }
        fn serialize_u128(self, _: u128) -> Written { Err($why) }
        fn serialize_f32(self, _: f32) -> Written { Err($why) }
        fn serialize_f64(self, _: f64) -> Written { Err($why) }
    };
    (@ str $why:expr) => { fn serialize_str(self, _: &str) -> Written { Err($why) } };
    (@ char $why:expr) => { fn serialize_char(self, _: char) -> Written { Err($why) } };
    (@ bytes $why:expr) => { fn serialize_bytes(self, _: &[u8]) -> Written { Err($why) } };
    (@ none $why:expr) => { fn serialize_none(self) -> Written { Err($why) } };
    (@ unit $why:expr) => { fn serialize_unit(self) -> Written { Err($why) } };
    (@ unit_struct $why:expr) => { fn serialize_unit_struct(self, _: &'static str) -> Written { Err($why) } };
    (@ unit_variant $why:expr) => {
        fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Written { Err($why) }
    };
    (@ newtype_struct $why:expr) => {
        fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Written { Err($why) }
    };
    (@ newtype_variant $why:expr) => {
        fn serialize_newtype_variant<T: Serialize + ?Sized>(
            self, _: &'static str, _: u32, _: &'static str, _: &T,
        ) -> Written { Err($why) }
    };
    (@ some $why:expr) => {
        fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Written { Err($why) }
    };
    (@ arrays $why:expr) => {
        fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Unwritable> { Err($why) }
        fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Unwritable> { Err($why) }
        fn serialize_tuple_struct(
            self, _: &'static str, _: usize,
        ) -> Result<Self::SerializeTupleStruct, Unwritable> { Err($why) }
        fn serialize_tuple_variant(
            self, _: &'static str, _: u32, _: &'static str, _: usize,
        ) -> Result<Self::SerializeTupleVariant, Unwritable> { Err($why) }
    };
    (@ objects $why:expr) => {
        fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Unwritable> { Err($why) }
        fn serialize_struct(
            self, _: &'static str, _: usize,
        ) -> Result<Self::SerializeStruct, Unwritable> { Err($why) }
        fn serialize_struct_variant(
            self, _: &'static str, _: u32, _: &'static str, _: usize,
        ) -> Result<Self::SerializeStructVariant, Unwritable> { Err($why) }
    };
}

/// Writes the key of an object: a string, or what is written as one.
pub(super) struct KeyWriter<'o> {
    out: &'o mut Vec<u8>,
}

macro_rules! quoted {
    ($($method:ident $scalar:ty)*) => {$(
        fn $method(self, value: $scalar) -> Written {
            self.out.push(b'"');
            value.write_json(self.out);
            self.out.push(b'"');
            Ok(())
        }
    )*};
}

impl ser::Serializer for KeyWriter<'_> {
    type Ok = ();
    type Error = Unwritable;
    type SerializeSeq = Impossible<(), Unwritable>;
    type SerializeTuple = Impossible<(), Unwritable>;
    type SerializeTupleStruct = Impossible<(), Unwritable>;
    type SerializeTupleVariant = Impossible<(), Unwritable>;
    type SerializeMap = Impossible<(), Unwritable>;
    type SerializeStruct = Impossible<(), Unwritable>;
    type SerializeStructVariant = Impossible<(), Unwritable>;

    quoted! {
        serialize_bool bool  serialize_i8 i8  serialize_i16 i16  serialize_i32 i32  serialize_i64 i64
        serialize_i128 i128  serialize_u8 u8  serialize_u16 u16  serialize_u32 u32  serialize_u64 u64
        serialize_u128 u128
    }

    fn serialize_f32(self, value: f32) -> Written {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Written {
        if !value.is_finite() {
            return Err(no_key());
        }
        self.out.push(b'"');
        value.write_json(self.out);
        self.out.push(b'"');
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Written {
        value.write_json(self.out);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Written {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Written {
        if !is_exact(name) {
            return value.serialize(self);
        }
        let start = self.out.len();
        value.serialize(ExactWriter { out: self.out })?;
        if self.out[start..].first() == Some(&b'"') { Ok(()) } else { Err(no_key()) }
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    refused! { no_key(); bytes none unit unit_struct newtype_variant arrays objects }
}

#[cold]
fn no_key() -> Unwritable {
    Unwritable::new("expected a key: a string, a number, true or false")
}

/// Writes text that was JSON when it came.
struct ExactWriter<'o> {
    out: &'o mut Vec<u8>,
}

impl ser::Serializer for ExactWriter<'_> {
    type Ok = ();
    type Error = Unwritable;
    type SerializeSeq = Impossible<(), Unwritable>;
    type SerializeTuple = Impossible<(), Unwritable>;
    type SerializeTupleStruct = Impossible<(), Unwritable>;
    type SerializeTupleVariant = Impossible<(), Unwritable>;
    type SerializeMap = Impossible<(), Unwritable>;
    type SerializeStruct = Impossible<(), Unwritable>;
    type SerializeStructVariant = Impossible<(), Unwritable>;

    #[inline]
    fn serialize_str(self, raw: &str) -> Written {
        Raw(raw.as_bytes()).write_json(self.out);
        Ok(())
    }

    refused! {
        Unwritable::new("expected text that came in a message");
        bool numbers char bytes none some unit unit_struct unit_variant newtype_struct newtype_variant arrays objects
    }
}

/// Writes the members of a body: of a struct, of a map, of the variant of an enum, whose name is the type.
pub(super) struct BodyWriter<'o, 'k> {
    out: &'o mut Vec<u8>,
    /// Where the members begin. The first one there has no comma before it.
    start: usize,
    /// Where to say where the type stands; `None` if it is there already.
    kind: Option<&'k mut Option<Kind>>,
}

impl<'o> BodyWriter<'o, '_> {
    /// Writes the type, which an enum's variant is.
    fn variant(self, variant: &'static str) -> Result<BodyWriter<'o, 'static>, Unwritable> {
        let Self { out, start, kind } = self;
        let Some(place @ None) = kind else { return Err(reserved()) };
        if out.len() != start {
            out.push(b',');
        }
        out.extend_from_slice(b"\"type\":");
        let from = out.len();
        variant.write_json(out);
        *place = Some(from..out.len());
        Ok(BodyWriter { out, start, kind: None })
    }

    #[inline]
    fn key(&mut self, key: &str) -> Written {
        match (key, &self.kind) {
            ("msg_id" | "in_reply_to", _) | ("type", None | Some(Some(_))) => return Err(reserved()),
            _ => {}
        }
        if self.out.len() != self.start {
            self.out.push(b',');
        }
        key.write_json(self.out);
        self.out.push(b':');
        Ok(())
    }

    #[inline]
    fn value<T: Serialize + ?Sized>(&mut self, is_kind: bool, value: &T) -> Written {
        let start = self.out.len();
        put(value, self.out)?;
        if is_kind && let Some(kind) = &mut self.kind {
            if self.out[start] != b'"' {
                return Err(Unwritable::new("expected a `type` that is a string"));
            }
            **kind = Some(start..self.out.len());
        }
        Ok(())
    }
}

#[cold]
fn reserved() -> Unwritable {
    Unwritable::new(
        "expected no field `type` but one, `msg_id` or `in_reply_to`, which are the node's to write",
    )
}

#[cold]
fn no_body() -> Unwritable {
    Unwritable::new("expected an object: a struct, a map, or an enum of structs")
}

impl<'o, 'k> ser::Serializer for BodyWriter<'o, 'k> {
    type Ok = ();
    type Error = Unwritable;
    type SerializeSeq = Impossible<(), Unwritable>;
    type SerializeTuple = Impossible<(), Unwritable>;
    type SerializeTupleStruct = Impossible<(), Unwritable>;
    type SerializeTupleVariant = Impossible<(), Unwritable>;
    type SerializeMap = BodyMap<'o, 'k>;
    type SerializeStruct = Self;
    type SerializeStructVariant = BodyWriter<'o, 'static>;

    /// Nothing to add.
    fn serialize_unit(self) -> Written {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Written {
        if is_exact(name) { Err(no_body()) } else { value.serialize(self) }
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        self.variant(variant).map(drop)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        value.serialize(self.variant(variant)?)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Unwritable> {
        self.variant(variant)
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Unwritable> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<BodyMap<'o, 'k>, Unwritable> {
        Ok(BodyMap { body: self, is_kind: false })
    }

    refused! { no_body(); bool numbers str char bytes none arrays }
}

impl ser::SerializeStruct for BodyWriter<'_, '_> {
    type Ok = ();
    type Error = Unwritable;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Written {
        self.key(key)?;
        self.value(key == "type", value)
    }

    fn end(self) -> Written {
        Ok(())
    }
}

impl ser::SerializeStructVariant for BodyWriter<'_, '_> {
    type Ok = ();
    type Error = Unwritable;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Written {
        ser::SerializeStruct::serialize_field(self, key, value)
    }

    fn end(self) -> Written {
        Ok(())
    }
}

/// Writes the members of a body whose names are not known before.
pub(super) struct BodyMap<'o, 'k> {
    body: BodyWriter<'o, 'k>,
    /// The value that comes next is the type.
    is_kind: bool,
}

impl ser::SerializeMap for BodyMap<'_, '_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Written {
        let mut text = Vec::new();
        key.serialize(KeyWriter { out: &mut text })?;
        self.is_kind = text == b"\"type\"";
        match &*text {
            b"\"type\"" => return self.body.key("type"),
            b"\"msg_id\"" | b"\"in_reply_to\"" => return Err(reserved()),
            _ => {}
        }
        if self.body.out.len() != self.body.start {
            self.body.out.push(b',');
        }
        self.body.out.extend_from_slice(&text);
        self.body.out.push(b':');
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.body.value(self.is_kind, value)
    }

    fn end(self) -> Written {
        Ok(())
    }
}
