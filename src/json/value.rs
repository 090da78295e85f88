//! Values, borrowed from the line that they came in.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr;

use super::scan::find_special;
use super::text::{Span, Text};
use super::unescape::unescape;

/// A JSON value as it stands in its line: checked, unchanged, not yet looked into.
///
/// It is a span of the text. Nothing of it is decoded before somebody asks, and writing it into a reply copies it
/// byte for byte.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    raw: &'a str,
    /// Whether there may be a backslash in it.
    escapes: bool,
    /// Whether it is known to be a string without escapes or an integer without a sign.
    is_plain: bool,
}

/// The kinds of JSON values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number that is written without fraction and exponent.
    Integer,
    /// A number with fraction or exponent.
    Float,
    /// A string
    String,
    /// An array
    Array,
    /// An object
    Object,
}

impl<'a> Value<'a> {
    #[inline(always)]
    pub(crate) const fn new(raw: &'a str, escapes: bool, is_plain: bool) -> Self {
        Self { raw, escapes, is_plain }
    }

    /// The value that is all of a text which was checked.
    pub(crate) const fn of_checked(raw: &'a str) -> Self {
        Self::new(raw, true, false)
    }

    #[cfg(feature = "serde")]
    pub(super) const fn of_integer(integer: Integer<'a>) -> Self {
        Self::new(integer.0, false, false)
    }

    /// The value in a span of a text.
    #[inline]
    pub(crate) fn at(text: Text<'a>, span: Span) -> Self {
        Self::new(&text.line[span.range()], text.escapes, span.is_plain())
    }

    /// The value's text, byte for byte as it came.
    pub const fn raw(self) -> &'a str {
        self.raw
    }

    /// A copy that outlives the line.
    ///
    /// ```
    /// # use messenger::{OwnedValue, handler_fn};
    /// let mut last: Option<OwnedValue> = None;
    /// let node = handler_fn(move |request, cx| {
    ///     last = Some(request.required("value")?.detach());
    ///     cx.reply(request, "write_ok").send()
    /// });
    /// ```
    pub fn detach(self) -> OwnedValue {
        OwnedValue(self.raw.into())
    }

    /// What kind of value it is.
    pub fn kind(self) -> Kind {
        match self.raw.as_bytes() {
            [b'n', ..] => Kind::Null,
            [b't' | b'f', ..] => Kind::Boolean,
            [b'"', ..] => Kind::String,
            [b'[', ..] => Kind::Array,
            [b'{', ..] => Kind::Object,
            number if number.iter().any(|x| matches!(x, b'.' | b'e' | b'E')) => Kind::Float,
            _ => Kind::Integer,
        }
    }

    /// The text of a string, its escapes decoded; borrowed where there are none. `None` for other
    /// kinds, and for a string with half of a surrogate pair, which is no text.
    #[inline]
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        let inner = self.raw.strip_prefix('"')?.strip_suffix('"')?;
        if self.is_plain || !self.escapes || memchr(b'\\', inner.as_bytes()).is_none() {
            return Some(Cow::Borrowed(inner));
        }
        unescape(self.raw).map(Cow::Owned)
    }

    /// An integer that fits; `None` for other kinds.
    pub fn as_i64(self) -> Option<i64> {
        self.raw.parse().ok()
    }

    /// An integer of any length; `None` for other kinds.
    #[inline]
    pub fn as_integer(self) -> Option<Integer<'a>> {
        // Nothing else is written with these alone.
        let is_integer = match self.raw.as_bytes() {
            [b'"', ..] => false,
            _ if self.is_plain => true,
            bytes => bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'-')),
        };
        is_integer.then_some(Integer(self.raw))
    }

    /// The nearest double of any number; `None` for other kinds, and beyond a double's range.
    pub fn as_f64(self) -> Option<f64> {
        match self.kind() {
            Kind::Integer | Kind::Float => self.raw.parse().ok().filter(|number: &f64| number.is_finite()),
            _ => None,
        }
    }

    /// A boolean; `None` for other kinds.
    pub fn as_bool(self) -> Option<bool> {
        match self.raw {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// The elements of an array; `None` for other kinds.
    pub fn as_array(self) -> Option<impl Iterator<Item = Value<'a>>> {
        let mut elements = self.elements(Kind::Array)?;
        Some(std::iter::from_fn(move || elements.next()))
    }

    /// The members of an object in their order, duplicates included; `None` for other kinds. A key is a
    /// string.
    pub fn as_object(self) -> Option<impl Iterator<Item = (Value<'a>, Value<'a>)>> {
        let mut elements = self.elements(Kind::Object)?;
        Some(std::iter::from_fn(move || Some((elements.next()?, elements.next()?))))
    }

    /// An object's member of that name; of several the last one, as Maelstrom's own reader has it.
    pub fn member(self, name: &str) -> Option<Value<'a>> {
        self.as_object()?
            .filter(|(key, _)| key.as_str().is_some_and(|key| key == name))
            .last()
            .map(|(_, value)| value)
    }

    /// What this object says as the body of a message: its `type`, and whether it has a `msg_id` or an `in_reply_to`.
    /// `None` for other kinds.
    pub(crate) fn as_body(self) -> Option<(Option<Value<'a>>, bool)> {
        let mut elements = self.elements(Kind::Object)?;
        let (mut kind, mut is_numbered) = (None, false);
        while let (Some(key), Some(value)) = (elements.next(), elements.next()) {
            match key.as_str().as_deref() {
                Some("type") => kind = Some(value),
                Some("msg_id" | "in_reply_to") => is_numbered = true,
                _ => {}
            }
        }
        Some((kind, is_numbered))
    }

    fn elements(self, kind: Kind) -> Option<Elements<'a>> {
        if self.kind() != kind {
            return None;
        }
        Some(Elements { text: self.raw, at: 1, escapes: self.escapes })
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.raw)
    }
}

/// Two values are equal if their texts are: `1.0` is not `1`, and the order of keys counts.
impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

/// A value that outlives its line: what was read, to be kept and handed on unchanged. Two are equal if their texts
/// are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnedValue(Box<str>);

impl OwnedValue {
    /// The value, to be looked into.
    pub fn value(&self) -> Value<'_> {
        Value::new(&self.0, true, false)
    }

    /// The value's text, byte for byte as it came.
    pub const fn raw(&self) -> &str {
        &self.0
    }
}

/// What is left of the values inside brackets. The text was checked: nothing here knows the grammar, only where a value
/// begins and ends.
struct Elements<'a> {
    text: &'a str,
    at: usize,
    escapes: bool,
}

impl<'a> Elements<'a> {
    #[inline]
    fn next(&mut self) -> Option<Value<'a>> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at)?, b',' | b':' | b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
        let (start, rest) = (self.at, &bytes[self.at..]);
        let length = match rest[0] {
            // The bracket around them.
            b']' | b'}' => return None,
            b'"' => string_len(rest),
            b'[' | b'{' => nested_len(rest),
            _ => rest.iter().position(|&byte| ends_scalar(byte)).unwrap_or(rest.len()),
        };
        self.at += length;
        Some(Value::new(self.text.get(start..self.at)?, self.escapes, false))
    }
}

/// Whether a number, `true`, `false` or `null` ends before this byte.
pub(crate) const fn ends_scalar(byte: u8) -> bool {
    matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n')
}

/// The length of the string that comes first.
#[inline]
fn string_len(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(special) = text.get(at..).and_then(find_special) {
        at += special;
        match text[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// The length of the array or object that comes first.
fn nested_len(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at += string_len(&text[at..]);
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at
}

/// A JSON integer of any length, as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integer<'a>(&'a str);

impl<'a> Integer<'a> {
    /// That of these digits.
    #[inline(always)]
    pub(crate) const fn new(digits: &'a str) -> Self {
        Self(digits)
    }

    /// The digits, with the sign that was written.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Its value, if that fits.
    pub fn as_i64(self) -> Option<i64> {
        self.0.parse().ok()
    }

    /// Its value, if that is not negative and fits.
    pub fn as_u64(self) -> Option<u64> {
        self.0.parse().ok()
    }
}

impl fmt::Display for Integer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parser::Parser;

    fn with_value<T>(text: &str, look: impl FnOnce(Value<'_>) -> T) -> T {
        let (mut parser, line) = (Parser::new(), format!("[ {text} ]"));
        let array = parser.value(line.as_bytes()).unwrap();
        look(array.as_array().unwrap().next().unwrap())
    }

    #[test]
    fn looks_inside() {
        with_value(r#"{"a" : [ 1, "x" ,[2] ], "b":null, "a" : 7, "c\u0064": true }"#, |value| {
            let keys: Vec<_> =
                value.as_object().unwrap().map(|(key, _)| key.as_str().unwrap().into_owned()).collect();
            assert_eq!(keys, ["a", "b", "a", "cd"]);
            assert_eq!(value.member("a").unwrap().as_i64(), Some(7), "the last of several");
            assert_eq!(value.member("cd").unwrap().as_bool(), Some(true));
            assert_eq!(value.member("d"), None);
            let (_, array) = value.as_object().unwrap().next().unwrap();
            let elements: Vec<_> = array.as_array().unwrap().map(Value::raw).collect();
            assert_eq!(elements, ["1", "\"x\"", "[2]"]);
            let inner = array.as_array().unwrap().nth(2).unwrap();
            assert_eq!(inner.as_array().unwrap().next().unwrap().as_i64(), Some(2));
            assert!(value.as_array().is_none(), "an object is no array");
        });
    }

    #[test]
    fn scalars_are_read_by_kind() {
        let read = |text: &str| {
            with_value(text, |value| {
                (value.kind(), value.as_i64(), value.as_f64(), value.as_str().map(Cow::into_owned))
            })
        };
        assert_eq!(read("12"), (Kind::Integer, Some(12), Some(12.0), None));
        assert_eq!(read("1.0"), (Kind::Float, None, Some(1.0), None));
        assert_eq!(read("1e400"), (Kind::Float, None, None, None));
        assert_eq!(read("9223372036854775808").1, None);
        assert_eq!(read(r#""a\n\u00e9""#).3.as_deref(), Some("a\n\u{e9}"));
        assert_eq!(read(r#""\ud83d\ude00""#).3.as_deref(), Some("\u{1f600}"));
        assert_eq!(read(r#""\ud83d""#), (Kind::String, None, None, None), "half of a pair is no text");
    }
}
