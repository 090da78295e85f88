//! Tokens found by simd-json, and strings unescaped by it.
//!
//! simd-json works in two stages. The first finds every structural character of a text with SIMD
//! instructions and checks its UTF-8; the second builds a tape, and on the way unescapes strings in
//! place and turns numbers into machine numbers. Only the first is wanted: asked for a nesting
//! depth of zero, the second stops at the opening bracket, before it has changed anything,
//! and leaves the index of structural characters ([`Buffers::structural_indexes`]).
//!
//! This module alone names `simd_json`.
#![allow(
    clippy::unnecessary_box_returns,
    reason = "what the walk returns for each token has to stay in registers: a third of the time of a short line"
)]

use std::borrow::Cow;
use std::fmt;

use memchr::memchr;
use simd_json::{Buffers, ErrorType, INPUT_PADDING, Node, Tape};

use super::cursor::{Walk, escape_len, is_number};
use super::error::SyntaxError;
use super::lane::Lane;
use super::text::{Span, Text, excerpt, has_spans};
use super::value::Value;

/// Index memory for texts beyond this many bytes is not kept.
const TEXT_KEPT: usize = 1024 * 1024;

/// Reads one text at a time and reuses its memory.
pub struct Parser {
    pub(crate) index: Index,
    /// Room for what a walk wants to remember.
    pub(crate) members: Members,
}

/// Keys and values of an object.
pub(crate) type Members = Vec<(Span, Span)>;

impl Parser {
    /// A parser that has read nothing yet.
    pub fn new() -> Self {
        Self { index: Index::new(), members: Vec::new() }
    }

    /// Reads a text that is one value.
    pub(crate) fn value<'a>(&mut self, line: &'a [u8]) -> Walked<Value<'a>> {
        if let Some(mut lane) = simdutf8::basic::from_utf8(line).ok().and_then(Lane::of_line)
            && let Ok(span) = lane.whole()
        {
            return Ok(Value::at(lane.text(), span));
        }
        let value = self.index.walk(line).and_then(|mut walk| {
            let span = walk.whole()?;
            Ok(Value::at(walk.text(), span))
        });
        self.index.give_back();
        value
    }
}

/// simd-json's index of the structural characters of a text, and the memory that it takes.
pub(crate) struct Index {
    buffers: Buffers,
    /// Storage that simd-json wants for its second stage; `None` only while it has it.
    tape: Option<Tape<'static>>,
    /// simd-json wants a text that it could change.
    copy: Vec<u8>,
}

impl Index {
    fn new() -> Self {
        Self { buffers: Buffers::with_max_depth(0, 0), tape: None, copy: Vec::new() }
    }

    /// Gives the memory back that a long text took.
    pub(crate) fn give_back(&mut self) {
        if self.copy.len() > TEXT_KEPT {
            *self = Self::new();
        }
    }

    /// Indexes the line and starts a walk. After it, [`give_back`](Self::give_back).
    pub(crate) fn walk<'a>(&mut self, line: &'a [u8]) -> Walked<Indexed<'a, '_>> {
        if !has_spans(line) {
            return Err(Box::new(SyntaxError::TooLong { length: line.len() }));
        }
        // The second stage stops at a bracket, but would go on to decode anything else.
        if !matches!(line.trim_ascii_start().first(), Some(b'{' | b'[')) {
            return Err(Box::new(not_indexed(line)));
        }
        self.copy.clear();
        self.copy.extend_from_slice(line);
        self.copy.resize(line.len() + INPUT_PADDING, 0);
        let mut tape = self.tape.take().unwrap_or_else(Tape::null).reset();
        let stopped = simd_json::fill_tape_padded(&mut self.copy, line.len(), &mut self.buffers, &mut tape);
        self.tape = Some(tape.reset());
        let is_indexed = stopped.is_err_and(|error| matches!(error.error(), ErrorType::DepthLimitExceeded));
        match std::str::from_utf8(line) {
            Ok(text) if is_indexed => {
                let text = Text { line: text, escapes: memchr(b'\\', line).is_some() };
                Ok(Indexed { text, tokens: self.buffers.structural_indexes(), next: 0 })
            }
            _ => Err(Box::new(not_indexed(line))),
        }
    }
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Parser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parser").finish_non_exhaustive()
    }
}

/// Why there is no index of a text.
#[cold]
fn not_indexed(bytes: &[u8]) -> SyntaxError {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return SyntaxError::NotUtf8 { at: error.valid_up_to() + 1 },
    };
    match text.find(|c: char| !c.is_ascii_whitespace()) {
        None => SyntaxError::Empty,
        Some(start) if text[start..].starts_with('{') => SyntaxError::BrokenString,
        Some(start) => unexpected(text, start, "an object"),
    }
}

#[cold]
fn unexpected(text: &str, at: usize, expected: &'static str) -> SyntaxError {
    let found = match text.get(at..).and_then(|rest| rest.chars().next()) {
        Some(c) if c.is_control() => format!("`{}`", c.escape_unicode()),
        Some(c) => format!("`{c}`"),
        None => "the end of the line".to_owned(),
    };
    SyntaxError::Unexpected { expected, at: at + 1, found }
}

/// A walk over the index of one text.
///
/// A token is the byte offset of a bracket, colon, comma, opening quote, or the first byte of
/// anything else that is not white space. So the bytes between a string or a number and the next
/// token are white space, or the token is not what it seemed and is refused.
#[derive(Debug)]
pub(crate) struct Indexed<'a, 'i> {
    text: Text<'a>,
    tokens: &'i [u32],
    next: usize,
}

/// Boxed, to keep what is returned for each token small.
type Walked<T> = Result<T, Box<SyntaxError>>;

impl<'a> Walk<'a> for Indexed<'a, '_> {
    type Error = Box<SyntaxError>;

    fn text(&self) -> Text<'a> {
        self.text
    }

    #[inline]
    fn peek(&mut self) -> u8 {
        self.text.line.as_bytes().get(self.at()).copied().unwrap_or(0)
    }

    #[inline]
    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.line.len(), |&token| token as usize)
    }

    #[inline]
    fn step(&mut self) {
        self.next += 1;
    }

    fn stepped(&self) -> usize {
        self.tokens[self.next - 1] as usize + 1
    }

    #[inline(always)]
    fn scalar(&mut self) -> Walked<usize> {
        let Text { line, escapes } = self.text;
        let start = self.at();
        let following = self.tokens.get(self.next + 1).map_or(line.len(), |&token| token as usize);
        let Some(slot) = line.as_bytes().get(start..following) else {
            return Err(self.refuse("a value"));
        };
        let scalar = trim_end(slot);
        let valid = match scalar {
            [b'"', inner @ .., b'"'] => !escapes || are_escapes_valid(inner),
            [b'-' | b'0'..=b'9', ..] => is_number(scalar),
            b"true" | b"false" | b"null" => true,
            _ => false,
        };
        if !valid {
            return Err(self.bad_scalar(scalar));
        }
        self.next += 1;
        Ok(start + scalar.len())
    }

    fn is_at_end(&mut self) -> bool {
        self.next == self.tokens.len()
    }

    #[cold]
    fn refuse(&self, expected: &'static str) -> Box<SyntaxError> {
        Box::new(unexpected(self.text.line, self.at(), expected))
    }

    #[cold]
    fn too_deep(&self) -> Box<SyntaxError> {
        Box::new(SyntaxError::TooDeep { at: self.at() + 1 })
    }
}

impl Indexed<'_, '_> {
    #[cold]
    fn bad_scalar(&self, scalar: &[u8]) -> Box<SyntaxError> {
        let expected = match scalar.first() {
            Some(b'"') => "a string with valid escapes",
            Some(b'-' | b'0'..=b'9') => "a number",
            _ => return self.refuse("a value"),
        };
        let found = format!("`{}`", excerpt(&String::from_utf8_lossy(scalar)));
        Box::new(SyntaxError::Unexpected { expected, at: self.at() + 1, found })
    }
}

/// Without the white space at its end. JSON's is less than ASCII's: it has no form feed.
#[inline]
fn trim_end(mut slot: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t' | b'\r' | b'\n'] = slot {
        slot = rest;
    }
    slot
}

/// Whether the text between two quotes has only escapes that RFC 8259 knows.
fn are_escapes_valid(mut inner: &[u8]) -> bool {
    while let Some(backslash) = memchr(b'\\', inner) {
        let Some(length) = escape_len(&inner[backslash..]) else { return false };
        inner = &inner[backslash + length..];
    }
    true
}

/// The text of the string in a span; `None` for what is none: see [`Value::as_str`](super::value::Value::as_str).
#[inline(always)]
pub(crate) fn string_at(text: Text<'_>, span: Span) -> Option<Cow<'_, str>> {
    if text.first(span) != b'"' {
        return None;
    }
    if !span.is_plain() && text.escapes && memchr(b'\\', text.inner(span)).is_some() {
        return unescape(&text.line[span.range()]).map(Cow::Owned);
    }
    text.line.get(span.start() + 1..span.end() - 1).map(Cow::Borrowed)
}

/// Whether a key spells this name.
#[inline(always)]
pub(crate) fn is_named(text: Text<'_>, key: Span, name: &str) -> bool {
    if text.escapes {
        return name_at(text, key) == name;
    }
    key.range().len() == name.len() + 2 && text.inner(key) == name.as_bytes()
}

/// The name that a key spells. One with half of a surrogate pair keeps its escapes: it is no text, and
/// no name that anybody asks for.
pub(crate) fn name_at(text: Text<'_>, key: Span) -> Cow<'_, str> {
    string_at(text, key).unwrap_or(Cow::Borrowed(&text.line[key.range()]))
}

/// The text of a string with escapes; `raw` has its quotes. `None` for half of a surrogate pair, which is
/// no text.
pub(crate) fn unescape(raw: &str) -> Option<String> {
    let mut copy = raw.as_bytes().to_vec();
    match simd_json::to_tape(&mut copy).ok()?.0.first() {
        Some(Node::String(text)) => Some((*text).to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::cursor::Member;
    use super::super::text::MAX_DEPTH;
    use super::*;

    /// The value as both walks cut it.
    fn raw(text: &str) -> Result<String, SyntaxError> {
        fn walk<'a, W: Walk<'a>>(walk: &mut W) -> Result<String, W::Error> {
            walk.open_object()?;
            let mut raw = None;
            while let Member::Value(..) = walk.member(raw.is_none())? {
                raw = Some(walk.value(1)?);
            }
            walk.end()?;
            Ok(Value::at(walk.text(), raw.unwrap()).raw().to_owned())
        }
        let line = format!("{{ \"v\" : {text} }}");
        let in_lane = walk(&mut Lane::of_value(&line)).ok();
        let indexed = Index::new().walk(line.as_bytes()).and_then(|mut indexed| walk(&mut indexed));
        assert_eq!(in_lane.as_ref(), indexed.as_ref().ok());
        indexed.map_err(|error| *error)
    }

    #[test]
    fn values_are_cut_exactly() {
        for text in [
            "0",
            "-0",
            "1.0",
            "1e2",
            "1E+400",
            "123456789012345678901234567890",
            "true",
            "false",
            "null",
            r#""""#,
            r#""a b ""#,
            r#""\ud800""#,
            r#""\"\\\/\u00e9""#,
            "[]",
            "{}",
            "[ ]",
            "[1 , [ ] ]",
            r#"{"b":1,"a":{"b":[{}]},"b":2}"#,
            "\"h\u{e9}\u{1f600}\"",
        ] {
            assert_eq!(raw(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "1e+",
            "+1",
            "0x1",
            "tru",
            "truer",
            "nul",
            "'a'",
            r#""\x""#,
            r#""\u12g4""#,
            r#""a"#,
            "[1,]",
            "[,1]",
            "[1 2]",
            "{,}",
            "{1:2}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            "[}",
            "{]",
            "]",
            "}",
            ":",
            "1,",
            "[1",
            r#"{"a":1"#,
            "\\",
            "1\\",
            "\"\t\"",
            "NaN",
        ] {
            assert!(raw(text).is_err(), "accepted {text}");
        }
    }

    #[test]
    fn errors_say_where_and_what() {
        assert_eq!(raw("[1,]").unwrap_err().to_string(), "expected a value at byte 12, found `]`");
        assert_eq!(raw("01").unwrap_err().to_string(), "expected a number at byte 9, found `01`");
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(raw(&nested(MAX_DEPTH - 1)).is_ok());
        assert_eq!(raw(&nested(MAX_DEPTH)), Err(SyntaxError::TooDeep { at: 8 + MAX_DEPTH }));
    }
}
