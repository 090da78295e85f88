//! Values to JSON text, written straight into the output.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::Write as _;
use std::rc::Rc;
use std::sync::Arc;

use memchr::memchr;

use super::scan::find_special;
use super::value::{Integer, OwnedValue, Value};

/// Appends exactly one JSON value to `out`.
pub trait WriteJson {
    /// Appends the value.
    fn write_json(&self, out: &mut Vec<u8>);
}

/// Byte for byte as it came.
impl WriteJson for Value<'_> {
    #[inline(always)]
    fn write_json(&self, out: &mut Vec<u8>) {
        Raw(self.raw().as_bytes()).write_json(out);
    }
}

/// Byte for byte as it came.
impl WriteJson for OwnedValue {
    fn write_json(&self, out: &mut Vec<u8>) {
        Raw(self.raw().as_bytes()).write_json(out);
    }
}

/// Text that was a JSON value when it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'a>(pub(crate) &'a [u8]);

impl WriteJson for Raw<'_> {
    #[inline(always)]
    fn write_json(&self, out: &mut Vec<u8>) {
        match self.0 {
            [b'[' | b'{', ..] => write_in_one_line(self.0, out),
            scalar => out.extend_from_slice(scalar),
        }
    }
}

/// Appends text that was JSON when it came. A newline in it can only be white space, and becomes a space: a value that
/// came in a text of several lines is still the same value.
pub(crate) fn write_in_one_line(text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(text);
    if memchr(b'\n', text).is_some() {
        out[start..].iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
    }
}

impl WriteJson for Integer<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_str().as_bytes());
    }
}

impl WriteJson for str {
    #[inline]
    fn write_json(&self, out: &mut Vec<u8>) {
        out.reserve(self.len() + 2);
        out.push(b'"');
        if find_special(self.as_bytes()).is_none() {
            out.extend_from_slice(self.as_bytes());
        } else {
            write_escaped(self.as_bytes(), out);
        }
        out.push(b'"');
    }
}

#[cold]
fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut rest = text;
    while let Some(at) = find_special(rest) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(control >> 4)]);
                out.push(HEX[usize::from(control & 15)]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

impl WriteJson for String {
    fn write_json(&self, out: &mut Vec<u8>) {
        self.as_str().write_json(out);
    }
}

impl WriteJson for Cow<'_, str> {
    fn write_json(&self, out: &mut Vec<u8>) {
        self.as_ref().write_json(out);
    }
}

impl WriteJson for bool {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl WriteJson for $integer {
            fn write_json(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
            }
        }
    )*};
}

integers! { i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize }

/// The shortest digits that read back as the same double; `null` for infinities and NaN, which JSON
/// cannot say.
impl WriteJson for f64 {
    fn write_json(&self, out: &mut Vec<u8>) {
        if self.is_finite() {
            write!(out, "{self:?}").expect("memory takes it");
        } else {
            out.extend_from_slice(b"null");
        }
    }
}

/// As of an `f64`.
impl WriteJson for f32 {
    fn write_json(&self, out: &mut Vec<u8>) {
        if self.is_finite() {
            write!(out, "{self:?}").expect("memory takes it");
        } else {
            out.extend_from_slice(b"null");
        }
    }
}

/// `null` where there is none.
impl<T: WriteJson> WriteJson for Option<T> {
    fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write_json(out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

impl<T: WriteJson + ?Sized> WriteJson for &T {
    fn write_json(&self, out: &mut Vec<u8>) {
        (**self).write_json(out);
    }
}

macro_rules! tuples {
    ($($first:ident $(, $member:ident $place:tt)*;)*) => {$(
        impl<$first: WriteJson, $($member: WriteJson),*> WriteJson for ($first, $($member,)*) {
            fn write_json(&self, out: &mut Vec<u8>) {
                out.push(b'[');
                self.0.write_json(out);
                $(
                    out.push(b',');
                    self.$place.write_json(out);
                )*
                out.push(b']');
            }
        }
    )*};
}

tuples! {
    A;
    A, B 1;
    A, B 1, C 2;
    A, B 1, C 2, D 3;
    A, B 1, C 2, D 3, E 4;
    A, B 1, C 2, D 3, E 4, F 5;
}

macro_rules! arrays {
    ($([$($bounds:tt)*] $array:ty)*) => {$(
        impl<T: WriteJson, $($bounds)*> WriteJson for $array {
            fn write_json(&self, out: &mut Vec<u8>) {
                write_array(self.iter(), out);
            }
        }
    )*};
}

arrays! { [] [T]  [] Vec<T>  [] BTreeSet<T>  [const N: usize] [T; N] }

/// In the order of their texts: that of a table may be another one in each run, and the same seed has to make the same
/// bytes.
impl<T: WriteJson, S> WriteJson for HashSet<T, S> {
    fn write_json(&self, out: &mut Vec<u8>) {
        let text = |element: &T| {
            let mut text = Vec::new();
            element.write_json(&mut text);
            text
        };
        let mut texts: Vec<_> = self.iter().map(text).collect();
        texts.sort_unstable();
        write_array(texts.iter().map(|text| Raw(text)), out);
    }
}

/// What can be the key of an object: text, or an integer, which stands between quotes then.
pub trait WriteKey {
    /// Appends the key with its quotes.
    fn write_key(&self, out: &mut Vec<u8>);
}

macro_rules! keys {
    ($($text:ty)*; $($integer:ty)*) => {
        $(
            impl WriteKey for $text {
                fn write_key(&self, out: &mut Vec<u8>) {
                    let text: &str = self;
                    text.write_json(out);
                }
            }
        )*
        $(
            impl WriteKey for $integer {
                fn write_key(&self, out: &mut Vec<u8>) {
                    out.push(b'"');
                    self.write_json(out);
                    out.push(b'"');
                }
            }
        )*
    };
}

keys! {
    str String Box<str> Rc<str> Arc<str> Cow<'_, str>;
    i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize
}

impl<K: WriteKey + ?Sized> WriteKey for &K {
    fn write_key(&self, out: &mut Vec<u8>) {
        (**self).write_key(out);
    }
}

macro_rules! objects {
    ($([$($bounds:tt)*] $object:ty)*) => {$(
        impl<K: WriteKey, V: WriteJson, $($bounds)*> WriteJson for $object {
            fn write_json(&self, out: &mut Vec<u8>) {
                write_object(self.iter(), out);
            }
        }
    )*};
}

objects! { [] BTreeMap<K, V> }

/// In the order of their keys, like those of a [`BTreeMap`].
impl<K: WriteKey + Ord, V: WriteJson, S> WriteJson for HashMap<K, V, S> {
    fn write_json(&self, out: &mut Vec<u8>) {
        let mut members: Vec<_> = self.iter().collect();
        members.sort_unstable_by_key(|&(key, _)| key);
        write_object(members.into_iter(), out);
    }
}

fn write_array(elements: impl Iterator<Item = impl WriteJson>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (n, element) in elements.enumerate() {
        if n > 0 {
            out.push(b',');
        }
        element.write_json(out);
    }
    out.push(b']');
}

fn write_object(members: impl Iterator<Item = (impl WriteKey, impl WriteJson)>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (n, (key, value)) in members.enumerate() {
        if n > 0 {
            out.push(b',');
        }
        key.write_key(out);
        out.push(b':');
        value.write_json(out);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: impl WriteJson) -> String {
        let mut out = Vec::new();
        value.write_json(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_written_compactly() {
        assert_eq!(text(["a", "b"]), r#"["a","b"]"#);
        assert_eq!(text(vec![Some(1), None]), "[1,null]");
        assert_eq!(
            text(BTreeMap::from([("k\"", vec![i64::MIN]), ("l", vec![])])),
            r#"{"k\"":[-9223372036854775808],"l":[]}"#
        );
        assert_eq!(text(HashSet::from([true])), "[true]");
        // Two tables with random states: in a hundred elements they do not agree by chance.
        let numbers: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let (set, map) = (
            || numbers.iter().collect::<HashSet<_>>(),
            || numbers.iter().zip(0..).collect::<HashMap<_, _>>(),
        );
        assert_eq!(text(set()), text(set()));
        assert_eq!(text(map()), text(map()));
        assert_eq!(text(map()), text(map().into_iter().collect::<BTreeMap<_, _>>()));
        assert_eq!(text(0.5), "0.5");
        assert_eq!(text(1.0), "1.0");
        assert_eq!(text(f64::NAN), "null");
    }

    #[test]
    fn every_character_of_a_string_reads_back() {
        let all: String = ('\0'..='\u{2ff}').chain("\u{2028}\u{d7ff}\u{1f600}".chars()).collect();
        let written = text(all.as_str());
        assert!(!written.contains('\n'));
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), all);
    }
}
