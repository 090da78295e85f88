//! serde's serializer, straight into the output.

use std::any::type_name;

use serde::ser::{self, Serialize};

use super::key_writer::{ExactWriter, KeyWriter};
use super::locate::parts;
use super::name::is_exact;
use super::unwritable::{Unwritable, Written};
use crate::json::write::WriteJson as _;

/// Appends a value.
///
/// # Errors
/// If it is nothing that JSON can say. What was appended then is to be taken back.
#[inline]
pub(crate) fn write_value<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), Unwritable> {
    put(value, out)
}

/// Appends a value. What comes out of a hash table is put in order: that of the table may be another one in each run,
/// and the same seed has to make the same bytes.
#[inline(always)]
pub(super) fn put<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Written {
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
pub(super) fn is_hashed<T: ?Sized>() -> bool {
    let mut name = type_name::<T>();
    while let Some(referred) = name.strip_prefix('&') {
        name = referred;
    }
    name.starts_with("std::collections::hash::map::HashMap<")
        || name.starts_with("std::collections::hash::set::HashSet<")
}

/// Puts the elements or members of what was written from there in the order of their texts.
#[cold]
pub(super) fn sort(start: usize, out: &mut Vec<u8>) {
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

    fn close(self) {
        self.out.extend_from_slice(self.end.as_bytes());
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
                self.close();
                Ok(())
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

    fn close(self) {
        self.out.extend_from_slice(self.end.as_bytes());
    }
}

/// Writes structs, and the variants of enums that are ones, field by field, and closes them.
macro_rules! structs {
    ($writer:ty, $close:expr) => {
        structs!($writer, $close, SerializeStruct);
        structs!($writer, $close, SerializeStructVariant);
    };
    ($writer:ty, $close:expr, $kind:ident) => {
        impl ser::$kind for $writer {
            type Ok = ();
            type Error = Unwritable;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Written {
                self.field(key, value)
            }

            fn end(self) -> Written {
                let close: fn(Self) = $close;
                close(self);
                Ok(())
            }
        }
    };
}
pub(super) use structs;

structs! { Object<'_>, Object::close }

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
        self.close();
        Ok(())
    }
}
