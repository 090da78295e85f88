//! JSON's grammar, walked from token to token of an index.
#![allow(
    clippy::unnecessary_box_returns,
    reason = "what the walk returns for each token has to stay in registers: a third of the time of a short line"
)]

use memchr::memchr;

use super::error::SyntaxError;
use super::scan::{self, WIDTH};
use super::text::{MAX_DEPTH, Span, Text, excerpt};

/// A walk over the tokens of one line, which checks the grammar and cuts out values, borrowed and unchanged.
///
/// Between the end of a string or a number and the next token there may be white space only; anything else is refused.
/// The walk stays in registers as long as nobody takes a reference to it, so whatever is not inlined gets a copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a, 'i> {
    text: Text<'a>,
    /// Of the line, and perhaps of lines after it.
    tokens: &'i [u32],
    next: usize,
    /// Where the line begins in the text that was indexed.
    base: usize,
}

/// Boxed, to keep what is returned for each token small.
pub(crate) type Walked<T> = Result<T, Box<SyntaxError>>;

impl<'a, 'i> Cursor<'a, 'i> {
    /// The start of a line, whose tokens come first among these.
    #[inline(always)]
    pub(crate) const fn new(text: Text<'a>, tokens: &'i [u32], base: usize) -> Self {
        Self { text, tokens, next: 0, base }
    }

    /// What is walked.
    #[inline(always)]
    pub(crate) const fn text(&self) -> Text<'a> {
        self.text
    }

    /// Where this token begins, if it is of this line; else somewhere behind it.
    #[inline(always)]
    fn offset(&self, token: usize) -> usize {
        self.tokens.get(token).map_or(self.text.line.len(), |&token| token as usize - self.base)
    }

    /// Where the token begins that comes next.
    #[inline(always)]
    pub(crate) fn at(&self) -> usize {
        self.offset(self.next)
    }

    /// The first byte of the token that comes next; 0 at the end, which no grammar asks for.
    #[inline(always)]
    pub(crate) fn peek(&self) -> u8 {
        self.text.line.as_bytes().get(self.at()).copied().unwrap_or(0)
    }

    /// The end of the bracket that was stepped over last.
    #[inline(always)]
    pub(crate) fn stepped(&self) -> usize {
        self.offset(self.next - 1) + 1
    }

    /// Steps into the object that comes next; where it begins.
    #[inline(always)]
    pub(crate) fn open_object(&mut self) -> Walked<usize> {
        if self.peek() != b'{' {
            return Err(if self.next == 0 { self.no_object() } else { self.refuse("an object") });
        }
        let start = self.at();
        self.next += 1;
        Ok(start)
    }

    /// Steps to the next value of an object, over its key, or out of the object; the key, if there was one.
    #[inline(always)]
    pub(crate) fn member(&mut self, is_first: bool) -> Walked<Option<Span>> {
        let Text { line, escapes } = self.text;
        // Nearly always there is no white space, and nothing more to check.
        if !escapes
            && !is_first
            && let Some([comma, key, colon]) =
                self.tokens.get(self.next..).and_then(|tokens| tokens.first_chunk())
        {
            let [comma, key, colon] = [comma, key, colon].map(|&token| token as usize - self.base);
            if let Some([b',', .., b':']) = line.as_bytes().get(comma..=colon)
                && let [b'"', .., b'"'] = &line.as_bytes()[key..colon]
            {
                self.next += 3;
                return Ok(Some(Span::plain(key, colon)));
            }
        }
        match self.peek() {
            b'}' => {
                self.next += 1;
                return Ok(None);
            }
            b',' if !is_first => self.next += 1,
            _ if is_first => {}
            _ => return Err(self.refuse("`,` or `}`")),
        }
        Ok(Some(self.key()?))
    }

    /// Walks the value that comes next, whatever it is, at the given depth of nesting.
    #[inline(always)]
    pub(crate) fn value(&mut self, depth: usize) -> Walked<Span> {
        match self.peek() {
            b'{' | b'[' => {
                let start = self.at();
                let mut copy = *self;
                let end = copy.nested(depth)?;
                self.next = copy.next;
                Ok(Span::new(start, end))
            }
            _ => self.scalar(),
        }
    }

    /// Walks the value that is all of the text.
    pub(crate) fn whole(&mut self) -> Walked<Span> {
        let value = self.value(0)?;
        self.end()?;
        Ok(value)
    }

    /// Makes sure that nothing follows; how many tokens the line has.
    #[inline(always)]
    pub(crate) fn end(&self) -> Walked<usize> {
        if self.at() >= self.text.line.len() {
            Ok(self.next)
        } else {
            Err(self.refuse("the end of the line"))
        }
    }

    /// Walks an array or object with everything in it, without recursion; the offset of its end.
    #[inline(never)]
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
                return Err(self.too_deep());
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
    #[inline(always)]
    fn close_and_separate(&mut self, open: &mut Nesting) -> Walked<Option<usize>> {
        loop {
            let object = open.in_object();
            match (self.peek(), object) {
                (b'}', true) | (b']', false) => {
                    self.next += 1;
                    if open.pop() {
                        return Ok(Some(self.stepped()));
                    }
                }
                (b',', _) => {
                    self.next += 1;
                    if object {
                        self.key()?;
                    }
                    return Ok(None);
                }
                (_, true) => return Err(self.refuse("`,` or `}`")),
                (_, false) => return Err(self.refuse("`,` or `]`")),
            }
        }
    }

    /// A key and its colon.
    #[inline(always)]
    fn key(&mut self) -> Walked<Span> {
        if self.peek() != b'"' {
            return Err(self.refuse("a key in quotes"));
        }
        let key = self.scalar()?;
        if self.peek() != b':' {
            return Err(self.refuse("`:`"));
        }
        self.next += 1;
        Ok(key)
    }

    /// Checks the string, number, `true`, `false` or `null` that comes next and steps over it.
    #[inline(always)]
    fn scalar(&mut self) -> Walked<Span> {
        let Text { line, escapes } = self.text;
        let (start, following) = (self.at(), self.offset(self.next + 1).min(line.len()));
        let Some(slot) = line.as_bytes().get(start..following) else {
            return Err(self.refuse("a value"));
        };
        // Nearly always there is no white space, and nothing more to check.
        match slot {
            [b'"', .., b'"'] if !escapes => {
                self.next += 1;
                return Ok(Span::plain(start, following));
            }
            [b'1'..=b'9', ..] if are_digits(&line.as_bytes()[start..], slot.len()) => {
                self.next += 1;
                return Ok(Span::plain(start, following));
            }
            _ => {}
        }
        let mut copy = *self;
        let span = copy.unusual_scalar(slot)?;
        self.next += 1;
        Ok(span)
    }

    /// A scalar with escapes, white space after it, a sign and so on.
    #[inline(never)]
    fn unusual_scalar(&mut self, slot: &[u8]) -> Walked<Span> {
        let scalar = trim_end(slot);
        if !is_scalar(scalar, self.text.escapes) {
            return Err(self.bad_scalar(scalar));
        }
        let start = self.at();
        Ok(Span::new(start, start + scalar.len()))
    }

    /// Something else was expected than what comes next.
    #[cold]
    pub(crate) fn refuse(&self, expected: &'static str) -> Box<SyntaxError> {
        Box::new(unexpected(self.text.line, self.at().min(self.text.line.len()), expected))
    }

    #[cold]
    fn no_object(&self) -> Box<SyntaxError> {
        Box::new(not_indexed(self.text.line.as_bytes()))
    }

    /// What comes next is a level of nesting too many.
    #[cold]
    fn too_deep(&self) -> Box<SyntaxError> {
        Box::new(SyntaxError::TooDeep { at: self.at() + 1 })
    }

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

/// Why there is no index of a text.
#[cold]
pub(crate) fn not_indexed(bytes: &[u8]) -> SyntaxError {
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

/// Whether a text is a string, number, `true`, `false` or `null`. Of a string it is known that its quotes are its first
/// and last byte, and that it has no control characters.
pub(crate) fn is_scalar(text: &[u8], escapes: bool) -> bool {
    match text {
        [b'"', inner @ .., b'"'] => !escapes || are_escapes_valid(inner),
        [b'-' | b'0'..=b'9', ..] => is_number(text),
        b"true" | b"false" | b"null" => true,
        _ => false,
    }
}

/// Whether the first `count` bytes are digits, as far as a quick look tells.
#[inline(always)]
fn are_digits(text: &[u8], count: usize) -> bool {
    text.first_chunk()
        .is_some_and(|bytes| scan::digits(bytes).others.trailing_zeros() as usize >= count && count <= WIDTH)
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

/// Which of the open brackets are objects: one bit a level.
pub(crate) struct Nesting {
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

/// How long the escape is that `text` begins with, if RFC 8259 knows it. A `\u` that names half of a surrogate
/// pair is one: it is handed on as it is, and refused where it is decoded.
#[inline]
pub(crate) fn escape_len(text: &[u8]) -> Option<usize> {
    match text {
        [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Some(2),
        [b'\\', b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|x| x.is_ascii_hexdigit()) => Some(6),
        _ => None,
    }
}

pub(crate) fn is_number(text: &[u8]) -> bool {
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

#[cfg(test)]
mod tests {
    use super::super::parser::Parser;
    use super::super::parser::cursor_of;
    use super::*;

    /// The value as it is cut.
    fn raw(text: &str) -> Result<String, SyntaxError> {
        let line = format!("{{ \"v\" : {text} }}");
        let Parser { mut index, mut copy, .. } = Parser::new();
        let mut walk = || {
            let mut cursor = cursor_of(&mut index, &mut copy, line.as_bytes(), None)?;
            cursor.open_object()?;
            let mut raw = None;
            while cursor.member(raw.is_none())?.is_some() {
                raw = Some(cursor.value(1)?);
            }
            cursor.end()?;
            Ok(line[raw.unwrap().range()].to_owned())
        };
        walk().map_err(|error: Box<SyntaxError>| *error)
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
