//! JSON read where it lies.
//!
//! simd-json works in two stages. The first finds every structural character of a text with SIMD
//! instructions and checks its UTF-8; the second builds a tape, and on the way unescapes strings in
//! place and turns numbers into machine numbers. A node has to hand values on exactly as they came,
//! whatever their escapes or digits, so [`Parser`] takes the first stage only: it asks for a nesting
//! depth of zero, which stops the second one at the opening bracket, before it has changed anything,
//! and leaves the index of structural characters ([`Buffers::structural_indexes`]). A cursor walks
//! that index once. It checks everything that the second stage would have checked and cuts the text
//! into [`Value`]s: borrowed, unchanged, looked into only when somebody asks.
//!
//! This module alone names `simd_json`.
#![allow(
    clippy::inline_always,
    clippy::unnecessary_box_returns,
    reason = "what the walk returns for each token has to stay in registers: a third of the time of a short line"
)]

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;

use memchr::memchr;
use simd_json::{Buffers, ErrorType, INPUT_PADDING, Node, Tape};
use thiserror::Error;

use super::value::{Value, excerpt};

/// Bytes after a text that the parser may read; it leaves them as they are.
pub const PADDING: usize = INPUT_PADDING;

/// How deep arrays and objects may be nested, the envelope and its body included. Maelstrom itself
/// stops at 1,000 levels.
pub const MAX_DEPTH: usize = 1024;

/// Index memory for texts beyond this many bytes is not kept.
const TEXT_KEPT: usize = 1024 * 1024;

/// A line of input with the [`PADDING`] after it that the parser needs.
#[derive(Debug)]
pub struct Line<'a> {
    padded: &'a mut [u8],
    len: usize,
}

impl<'a> Line<'a> {
    /// The line in the first `len` bytes of `padded`; at least [`PADDING`] bytes of anything follow it.
    ///
    /// # Panics
    /// Where there is less padding than that.
    pub fn new(padded: &'a mut [u8], len: usize) -> Self {
        assert!(padded.len() >= len + PADDING, "a line needs {PADDING} bytes after it");
        Self { padded, len }
    }

    /// A copy of `text` in `memory`, which loses what it had.
    pub fn copied(text: &[u8], memory: &'a mut Vec<u8>) -> Self {
        memory.clear();
        memory.extend_from_slice(text);
        memory.resize(text.len() + PADDING, 0);
        Self { padded: memory, len: text.len() }
    }

    /// The line's bytes, without the padding.
    pub fn bytes(&self) -> &[u8] {
        &self.padded[..self.len]
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
    /// Nested beyond [`MAX_DEPTH`].
    #[error("expected at most {MAX_DEPTH} levels of nesting, found one more at byte {at}")]
    TooDeep {
        /// Where the level too many begins.
        at: usize,
    },
}

/// Reads one text at a time and reuses its memory.
pub struct Parser {
    buffers: Buffers,
    /// Storage that simd-json wants for its second stage; `None` only while it has it.
    tape: Option<Tape<'static>>,
    /// Room for what a walk wants to remember.
    members: Vec<(Span, Span)>,
    largest: usize,
}

impl Parser {
    /// A parser that has read nothing yet.
    pub fn new() -> Self {
        Self { buffers: Buffers::with_max_depth(0, 0), tape: None, members: Vec::new(), largest: 0 }
    }

    /// Indexes the line, for a cursor that walks it.
    #[inline]
    pub(crate) fn index<'a>(&'a mut self, line: Line<'a>) -> Walked<Cursor<'a>> {
        if self.largest > TEXT_KEPT {
            *self = Self::new();
        }
        let Line { padded, len } = line;
        self.largest = self.largest.max(len);

        // The second stage stops at a bracket, but would go on to decode anything else.
        if !matches!(padded[..len].trim_ascii_start().first(), Some(b'{' | b'[')) {
            return Err(Box::new(not_indexed(&padded[..len])));
        }
        let mut tape = self.tape.take().unwrap_or_else(Tape::null).reset();
        let stopped = simd_json::fill_tape_padded(padded, len, &mut self.buffers, &mut tape);
        self.tape = Some(tape.reset());
        let is_indexed = stopped.is_err_and(|error| matches!(error.error(), ErrorType::DepthLimitExceeded));

        let bytes = &padded[..len];
        match std::str::from_utf8(bytes) {
            Ok(line) if is_indexed => {
                let tokens = self.buffers.structural_indexes();
                let text = Text { line, tokens, escapes: memchr(b'\\', bytes).is_some() };
                Ok(Cursor { text, next: 0, members: &mut self.members })
            }
            _ => Err(Box::new(not_indexed(bytes))),
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

/// A text and its index.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Text<'a> {
    line: &'a str,
    tokens: &'a [u32],
    /// Whether there is a backslash anywhere in the text.
    escapes: bool,
}

/// Where a value lies in its text, and where its tokens lie in the index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: u32,
    end: NonZeroU32,
    first: u32,
    next: u32,
}

impl<'a> Text<'a> {
    pub(crate) const fn as_str(self) -> &'a str {
        self.line
    }

    /// The value in a span of this text.
    #[inline]
    pub(crate) fn value(self, span: Span) -> Value<'a> {
        let raw = &self.line[span.start as usize..span.end.get() as usize];
        Value::new(raw, &self.tokens[span.first as usize..span.next as usize], self.escapes)
    }

    pub(crate) fn detach(self) -> OwnedText {
        OwnedText { line: self.line.into(), tokens: self.tokens.into(), escapes: self.escapes }
    }

    /// The name that a key spells. One with half of a surrogate pair keeps its escapes: it is no text, and
    /// no name that anybody asks for.
    #[inline(always)]
    pub(crate) fn name(self, key: Span) -> Cow<'a, str> {
        let name = &self.line[key.start as usize + 1..key.end.get() as usize - 1];
        if self.escapes {
            return self.value(key).as_str().unwrap_or(Cow::Borrowed(name));
        }
        Cow::Borrowed(name)
    }
}

/// A copy of a text with its index.
#[derive(Clone, Debug)]
pub(crate) struct OwnedText {
    line: Box<str>,
    tokens: Box<[u32]>,
    escapes: bool,
}

impl OwnedText {
    pub(crate) fn text(&self) -> Text<'_> {
        Text { line: &self.line, tokens: &self.tokens, escapes: self.escapes }
    }
}

/// A walk over the index of one text, which checks the grammar as it goes.
///
/// A token is the byte offset of a bracket, colon, comma, opening quote, or the first byte of
/// anything else that is not white space. So the bytes between a string or a number and the next
/// token are white space, or the token is not what it seemed and is refused.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    text: Text<'a>,
    next: usize,
    /// For the walker's use: keys and values of an object.
    pub(crate) members: &'a mut Vec<(Span, Span)>,
}

/// Boxed, to keep what is returned for each token small.
type Walked<T> = Result<T, Box<SyntaxError>>;

impl<'a> Cursor<'a> {
    /// What is walked.
    pub(crate) const fn text(&self) -> Text<'a> {
        self.text
    }

    /// Walks the object that comes next. `member` is called after each key and its colon, and walks
    /// the value.
    #[inline]
    pub(crate) fn object(&mut self, mut member: impl FnMut(Span, &mut Self) -> Walked<()>) -> Walked<Span> {
        let first = self.next;
        self.expect(b'{', "an object")?;
        if self.peek() != b'}' {
            loop {
                let key = self.key()?;
                member(key, self)?;
                match self.peek() {
                    b',' => self.next += 1,
                    b'}' => break,
                    _ => return Err(self.unexpected("`,` or `}`")),
                }
            }
        }
        let end = self.at() + 1;
        self.next += 1;
        Ok(self.span(first, end))
    }

    /// Walks the value that comes next, whatever it is, at the given depth of nesting.
    #[inline(always)]
    pub(crate) fn value(&mut self, depth: usize) -> Walked<Span> {
        let first = self.next;
        let end = match self.peek() {
            b'{' | b'[' => self.nested(depth)?,
            _ => self.scalar()?,
        };
        Ok(self.span(first, end))
    }

    /// Whether an object comes next.
    pub(crate) fn at_object(&self) -> bool {
        self.peek() == b'{'
    }

    /// Makes sure that nothing follows.
    pub(crate) fn end(&self) -> Walked<()> {
        if self.next == self.text.tokens.len() { Ok(()) } else { Err(self.unexpected("the end of the line")) }
    }

    /// Walks an array or object with everything in it, without recursion; the offset of its end.
    fn nested(&mut self, depth: usize) -> Walked<usize> {
        let mut open = Nesting::new(depth);
        loop {
            let object = match self.peek() {
                b'{' => true,
                b'[' => false,
                _ => {
                    self.scalar()?;
                    if let Some(end) = self.close_and_separate(&mut open)? {
                        return Ok(end);
                    }
                    continue;
                }
            };
            if !open.push(object) {
                return Err(Box::new(SyntaxError::TooDeep { at: self.at() + 1 }));
            }
            self.next += 1;
            let empty = self.peek() == if object { b'}' } else { b']' };
            if empty {
                if let Some(end) = self.close_and_separate(&mut open)? {
                    return Ok(end);
                }
            } else if object {
                self.key()?;
            }
        }
    }

    /// After a value: closes what ends here, then steps over the comma (and, in an object, the key)
    /// to the next value. If that closed everything, the offset of the end.
    fn close_and_separate(&mut self, open: &mut Nesting) -> Walked<Option<usize>> {
        loop {
            let object = open.in_object();
            match (self.peek(), object) {
                (b'}', true) | (b']', false) => {
                    let end = self.at() + 1;
                    self.next += 1;
                    if open.pop() {
                        return Ok(Some(end));
                    }
                }
                (b',', _) => {
                    self.next += 1;
                    if object {
                        self.key()?;
                    }
                    return Ok(None);
                }
                (_, true) => return Err(self.unexpected("`,` or `}`")),
                (_, false) => return Err(self.unexpected("`,` or `]`")),
            }
        }
    }

    /// A key and its colon.
    #[inline(always)]
    fn key(&mut self) -> Walked<Span> {
        if self.peek() != b'"' {
            return Err(self.unexpected("a key in quotes"));
        }
        let first = self.next;
        let end = self.scalar()?;
        let key = self.span(first, end);
        self.expect(b':', "`:`")?;
        Ok(key)
    }

    /// A string, number, `true`, `false` or `null`; the offset of its end.
    #[inline(always)]
    fn scalar(&mut self) -> Walked<usize> {
        let Text { line, tokens, escapes } = self.text;
        let start = self.at();
        let following = tokens.get(self.next + 1).map_or(line.len(), |&token| token as usize);
        let Some(slot) = line.as_bytes().get(start..following) else {
            return Err(self.unexpected("a value"));
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

    #[cold]
    fn bad_scalar(&self, scalar: &[u8]) -> Box<SyntaxError> {
        let expected = match scalar.first() {
            Some(b'"') => "a string with valid escapes",
            Some(b'-' | b'0'..=b'9') => "a number",
            _ => return self.unexpected("a value"),
        };
        let found = format!("`{}`", excerpt(&String::from_utf8_lossy(scalar)));
        Box::new(SyntaxError::Unexpected { expected, at: self.at() + 1, found })
    }

    #[inline]
    fn expect(&mut self, byte: u8, name: &'static str) -> Walked<()> {
        if self.peek() != byte {
            return Err(self.unexpected(name));
        }
        self.next += 1;
        Ok(())
    }

    /// The first byte of the next token; 0 at the end, which no grammar asks for.
    #[inline]
    fn peek(&self) -> u8 {
        self.text.line.as_bytes().get(self.at()).copied().unwrap_or(0)
    }

    /// Where the next token begins.
    #[inline]
    fn at(&self) -> usize {
        self.text.tokens.get(self.next).map_or(self.text.line.len(), |&token| token as usize)
    }

    #[cold]
    fn unexpected(&self, expected: &'static str) -> Box<SyntaxError> {
        Box::new(unexpected(self.text.line, self.at(), expected))
    }

    /// What was walked since token `first`. Offsets fit: simd-json refuses texts of 4 GiB.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "the index itself has offsets of 32 bits")]
    fn span(&self, first: usize, end: usize) -> Span {
        let end = NonZeroU32::new(end as u32).expect("a value has at least one byte");
        Span { start: self.text.tokens[first], end, first: first as u32, next: self.next as u32 }
    }
}

/// Which of the open brackets are objects: one bit a level.
struct Nesting {
    objects: [u64; MAX_DEPTH / 64],
    outside: usize,
    depth: usize,
}

impl Nesting {
    fn new(outside: usize) -> Self {
        Self { objects: [0; MAX_DEPTH / 64], outside, depth: outside }
    }

    /// Opens a level; `false` if that is one too many.
    fn push(&mut self, object: bool) -> bool {
        if self.depth == MAX_DEPTH {
            return false;
        }
        let (word, bit) = (self.depth / 64, self.depth % 64);
        self.objects[word] = self.objects[word] & !(1 << bit) | u64::from(object) << bit;
        self.depth += 1;
        true
    }

    /// Closes a level; whether it was the outermost.
    fn pop(&mut self) -> bool {
        self.depth -= 1;
        self.depth == self.outside
    }

    fn in_object(&self) -> bool {
        let innermost = self.depth - 1;
        self.objects[innermost / 64] >> (innermost % 64) & 1 == 1
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

/// Whether the text between two quotes has only escapes that RFC 8259 knows. A `\u` that names half
/// of a surrogate pair is one of them: it is handed on as it is, and refused where it is decoded.
fn are_escapes_valid(mut inner: &[u8]) -> bool {
    while let Some(backslash) = memchr(b'\\', inner) {
        inner = match &inner[backslash + 1..] {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', rest @ ..] => rest,
            [b'u', a, b, c, d, rest @ ..] if [a, b, c, d].iter().all(|x| x.is_ascii_hexdigit()) => rest,
            _ => return false,
        };
    }
    true
}

fn is_number(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let (whole, rest) = split_digits(text);
    if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
        return false;
    }
    let rest = match rest {
        [b'.', fraction @ ..] => match split_digits(fraction) {
            ([], _) => return false,
            (_, rest) => rest,
        },
        rest => rest,
    };
    match rest {
        [] => true,
        [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] => {
            !exponent.is_empty() && exponent.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    }
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|x| !x.is_ascii_digit()).unwrap_or(text.len()))
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
    use super::*;

    fn raw(text: &str) -> Result<String, SyntaxError> {
        let mut parser = Parser::new();
        let (bytes, mut memory) = (format!("{{ \"v\" : {text} }}").into_bytes(), Vec::new());
        let mut cursor = parser.index(Line::copied(&bytes, &mut memory)).map_err(|error| *error)?;
        let (text, mut raw) = (cursor.text(), String::new());
        let walked = cursor.object(|_, cursor| {
            text.value(cursor.value(1)?).raw().clone_into(&mut raw);
            Ok(())
        });
        walked.and_then(|_| cursor.end()).map(|()| raw).map_err(|error| *error)
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
