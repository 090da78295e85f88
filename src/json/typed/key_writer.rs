//! Writes what is not any value: keys, and text that was JSON when it came.

use serde::ser::{self, Impossible, Serialize};

use super::name::is_exact;
use super::unwritable::{Unwritable, Written};
use crate::json::write::{Raw, WriteJson};

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
pub(super) use refused;

/// Writes the key of an object: a string, or what is written as one.
pub(super) struct KeyWriter<'o> {
    pub(super) out: &'o mut Vec<u8>,
}

macro_rules! quoted {
    ($($method:ident $scalar:ty)*) => {$(
        fn $method(self, value: $scalar) -> Written {
            quote(&value, self.out);
            Ok(())
        }
    )*};
}

fn quote(scalar: &impl WriteJson, out: &mut Vec<u8>) {
    out.push(b'"');
    scalar.write_json(out);
    out.push(b'"');
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
        quote(&value, self.out);
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
pub(super) struct ExactWriter<'o> {
    pub(super) out: &'o mut Vec<u8>,
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
