//! Writes whole bodies of messages, and their fields.

use serde::ser::{self, Impossible, Serialize};

use super::key_writer::{KeyWriter, refused};
use super::locate::parts;
use super::name::is_exact;
use super::unwritable::{Unwritable, Written};
use super::write::{is_hashed, put, sort, structs};
use crate::json::write::WriteJson as _;

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
        separate(start, out);
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
        separate(self.start, self.out);
        key.write_json(self.out);
        self.out.push(b':');
        Ok(())
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Written {
        self.key(key)?;
        self.value(key == "type", value)
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

/// Writes the comma before a member, unless it is the first.
#[inline]
fn separate(start: usize, out: &mut Vec<u8>) {
    if out.len() != start {
        out.push(b',');
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

structs! { BodyWriter<'_, '_>, drop }

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
        separate(self.body.start, self.body.out);
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
