//! JSON read where it lies.
//!
//! A node hands values on exactly as they came, whatever their escapes or digits. So nothing is decoded: a walk checks
//! the grammar and cuts a text into [`Value`]s, borrowed and unchanged, looked into only when somebody asks.
//!
//! There is one grammar and two ways to find its tokens. The fast lane goes along the bytes, which takes the least
//! for the lines that nodes get. What it refuses is read again by an index of simd-json's, which has the last word
//! and says what is wrong. A message that differs from an earlier one in its values alone needs neither: see
//! [`shape`](super::shape).
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
use std::num::NonZeroU32;
use std::ops::Range;

use memchr::memchr;
use simd_json::{Buffers, ErrorType, INPUT_PADDING, Node, Tape};
use thiserror::Error;

use super::grammar::{Walk, escape_len, is_number};
use super::lane::Lane;
use super::value::{Value, excerpt};

/// How deep arrays and objects may be nested, the envelope and its body included. Maelstrom itself
/// stops at 1,000 levels.
pub const MAX_DEPTH: usize = 1024;

/// Index memory for texts beyond this many bytes is not kept.
const TEXT_KEPT: usize = 1024 * 1024;

/// A line of input, without its newline.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The line, and whatever comes after it.
    bytes: &'a [u8],
    length: usize,
    /// The line, if it is known to be UTF-8.
    text: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// The line of these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, length: bytes.len(), text: None }
    }

    /// The line of the first `length` bytes. Those after it, such as other lines, let it be read faster.
    ///
    /// # Panics
    /// If there are fewer bytes.
    pub fn first_of(bytes: &'a [u8], length: usize) -> Self {
        assert!(length <= bytes.len(), "{length} bytes of {}", bytes.len());
        Self { bytes, length, text: None }
    }

    /// The same line, which is this text.
    #[inline]
    pub(super) const fn known(self, text: Option<&'a str>) -> Self {
        Self { text, ..self }
    }

    /// The line's bytes.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        &self.bytes[..self.length]
    }

    /// The line and what comes after it, which may be looked at but is none of its business.
    #[inline]
    pub(super) const fn bytes_and_more(self) -> &'a [u8] {
        self.bytes
    }

    /// The line, if it is UTF-8.
    #[inline]
    pub(super) fn text(self) -> Option<&'a str> {
        self.text.or_else(|| simdutf8::basic::from_utf8(self.bytes()).ok())
    }
}

/// Why a text is not the JSON that was expected. Bytes count from 1.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SyntaxError {
    /// Nothing but white space.
    #[error("expected an object, found nothing")]
    Empty,
    /// Invalid UTF-8.
    #[error("expected UTF-8, found an invalid sequence at byte {at}")]
    NotUtf8 {
        /// Where it begins.
        at: usize,
    },
    /// A string runs to the end of the text, or has a control character that is not escaped.
    #[error("expected a string's closing quote, found a control character or the end of the line")]
    BrokenString,
    /// Something else than the grammar asks for.
    #[error("expected {expected} at byte {at}, found {found}")]
    Unexpected {
        /// What the grammar asks for.
        expected: &'static str,
        /// Where.
        at: usize,
        /// What stands there.
        found: String,
    },
    /// Offsets within it would not fit.
    #[error("expected less than 2 GiB, found {length} bytes")]
    TooLong {
        /// How many bytes it has.
        length: usize,
    },
    /// Nested beyond [`MAX_DEPTH`].
    #[error("expected at most {MAX_DEPTH} levels of nesting, found one more at byte {at}")]
    TooDeep {
        /// Where the level too many begins.
        at: usize,
    },
}

/// Reads one text at a time and reuses its memory.
pub struct Parser {
    pub(super) index: Index,
    /// Room for what a walk wants to remember.
    pub(super) members: Members,
}

/// Keys and values of an object.
pub(super) type Members = Vec<(Span, Span)>;

impl Parser {
    /// A parser that has read nothing yet.
    pub fn new() -> Self {
        Self { index: Index::new(), members: Vec::new() }
    }

    /// Reads a text that is one value.
    pub(crate) fn value<'a>(&mut self, line: &'a [u8]) -> Walked<Value<'a>> {
        if let Some(mut lane) = Line::new(line).text().and_then(Lane::of_line)
            && let Ok(span) = lane.whole()
        {
            return Ok(lane.text().value(span));
        }
        let value = self.index.walk(line).and_then(|mut walk| {
            let span = walk.whole()?;
            Ok(walk.text().value(span))
        });
        self.index.give_back();
        value
    }
}

/// simd-json's index of the structural characters of a text, and the memory that it takes.
pub(super) struct Index {
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
    pub(super) fn give_back(&mut self) {
        if self.copy.len() > TEXT_KEPT {
            *self = Self::new();
        }
    }

    /// Indexes the line and starts a walk. After it, [`give_back`](Self::give_back).
    pub(super) fn walk<'a>(&mut self, line: &'a [u8]) -> Walked<Indexed<'a, '_>> {
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

/// A text whose values were found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Text<'a> {
    pub(super) line: &'a str,
    /// Whether there may be a backslash in the text.
    pub(super) escapes: bool,
}

/// Where a value lies in its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: u32,
    /// The end, and in the highest bit whether the value is [plain](Self::plain).
    end: NonZeroU32,
}

/// Texts are shorter than this, so offsets leave a bit.
const PLAIN: u32 = 1 << 31;

impl Span {
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "offsets fit")]
    pub(super) fn new(start: usize, end: usize) -> Self {
        let end = NonZeroU32::new(end as u32).expect("a value has at least one byte");
        Self { start: start as u32, end }
    }

    /// That of a string without escapes, or of an integer without a sign.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "offsets fit")]
    pub(super) fn plain(start: usize, end: usize) -> Self {
        const NONE: NonZeroU32 = NonZeroU32::new(PLAIN).unwrap();
        Self { start: start as u32, end: NONE | end as u32 }
    }

    #[inline(always)]
    const fn is_plain(self) -> bool {
        self.end.get() & PLAIN != 0
    }

    #[inline(always)]
    pub(super) const fn start(self) -> usize {
        self.start as usize
    }

    /// Where it ends.
    #[inline(always)]
    pub(super) const fn end(self) -> usize {
        (self.end.get() & !PLAIN) as usize
    }

    #[inline(always)]
    pub(super) const fn range(self) -> Range<usize> {
        self.start()..self.end()
    }
}

/// Whether a text is short enough for spans.
pub(super) const fn has_spans(text: &[u8]) -> bool {
    text.len() < PLAIN as usize
}

impl<'a> Text<'a> {
    pub(crate) const fn as_str(self) -> &'a str {
        self.line
    }

    /// The value in a span of this text.
    #[inline]
    pub(crate) fn value(self, span: Span) -> Value<'a> {
        Value::new(&self.line[span.range()], self.escapes, span.is_plain())
    }

    pub(crate) fn detach(self) -> OwnedText {
        OwnedText { line: self.line.into(), escapes: self.escapes }
    }

    /// The first byte of a value.
    #[inline]
    pub(crate) fn first(self, span: Span) -> u8 {
        self.line.as_bytes()[span.start()]
    }

    /// The text of a string; `None` for what is none: see [`Value::as_str`].
    #[inline(always)]
    pub(crate) fn string(self, span: Span) -> Option<Cow<'a, str>> {
        if (span.is_plain() || !self.escapes) && self.first(span) == b'"' {
            return self.line.get(span.start() + 1..span.end() - 1).map(Cow::Borrowed);
        }
        self.value(span).as_str()
    }

    /// What stands between the quotes of a key.
    #[inline(always)]
    pub(super) fn inner(self, key: Span) -> &'a [u8] {
        &self.line.as_bytes()[key.start() + 1..key.end() - 1]
    }

    /// Whether a key spells this name.
    #[inline(always)]
    pub(crate) fn is_named(self, key: Span, name: &str) -> bool {
        if self.escapes {
            return self.name(key) == name;
        }
        key.range().len() == name.len() + 2 && self.inner(key) == name.as_bytes()
    }

    /// The name that a key spells. One with half of a surrogate pair keeps its escapes: it is no text, and
    /// no name that anybody asks for.
    pub(crate) fn name(self, key: Span) -> Cow<'a, str> {
        self.string(key).unwrap_or(Cow::Borrowed(self.value(key).raw()))
    }
}

/// A copy of a text.
#[derive(Clone, Debug)]
pub(crate) struct OwnedText {
    line: Box<str>,
    escapes: bool,
}

impl OwnedText {
    pub(crate) fn text(&self) -> Text<'_> {
        Text { line: &self.line, escapes: self.escapes }
    }
}

/// A walk over the index of one text.
///
/// A token is the byte offset of a bracket, colon, comma, opening quote, or the first byte of
/// anything else that is not white space. So the bytes between a string or a number and the next
/// token are white space, or the token is not what it seemed and is refused.
#[derive(Debug)]
pub(super) struct Indexed<'a, 'i> {
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

/// The text of a string with escapes; `raw` has its quotes. `None` for half of a surrogate pair, which is
/// no text.
pub(super) fn decode_string(raw: &str) -> Option<String> {
    let mut copy = raw.as_bytes().to_vec();
    match simd_json::to_tape(&mut copy).ok()?.0.first() {
        Some(Node::String(text)) => Some((*text).to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::grammar::Member;
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
            Ok(walk.text().value(raw.unwrap()).raw().to_owned())
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
