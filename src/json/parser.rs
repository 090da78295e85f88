//! Memory for the index of one text at a time, used again for the next; the grammar is in `cursor.rs`.

use std::fmt;

use memchr::memchr;
use simdutf8::basic::from_utf8;

use super::cursor::{Cursor, Walked, not_indexed};
use super::error::SyntaxError;
use super::index::{Index, PADDING};
use super::text::{Span, Text, has_spans};
use super::value::Value;

/// Reads one text at a time and reuses its memory.
pub struct Parser {
    pub(crate) index: Index,
    /// simd-json wants a text that it could change, with something behind it.
    pub(crate) copy: Vec<u8>,
    /// Room for what a reader wants to remember: keys and values of an object.
    pub(crate) members: Vec<(Span, Span)>,
}

/// Room for copies beyond this is not kept.
const COPY_KEPT: usize = 1024 * 1024;

impl Parser {
    /// A parser that has read nothing yet.
    pub fn new() -> Self {
        Self { index: Index::new(), copy: Vec::new(), members: Vec::new() }
    }

    /// Gives the memory back that a long line took.
    pub(crate) fn give_back(&mut self) {
        self.index.give_back();
        if self.copy.capacity() > COPY_KEPT {
            self.copy = Vec::new();
        }
    }

    /// Reads a line that is an object or array.
    pub(crate) fn value<'a>(&mut self, line: &'a [u8]) -> Walked<Value<'a>> {
        self.give_back();
        let Self { index, copy, .. } = self;
        let mut cursor = cursor_of(index, copy, line, None)?;
        let span = cursor.whole()?;
        Ok(Value::at(cursor.text(), span))
    }
}

/// Indexes a copy of a line, and starts at its first token. `text` is the line if it is known to be UTF-8.
pub(crate) fn cursor_of<'a, 'i>(
    index: &'i mut Index,
    copy: &mut Vec<u8>,
    line: &'a [u8],
    text: Option<Text<'a>>,
) -> Walked<Cursor<'a, 'i>> {
    if !has_spans(line) {
        return Err(Box::new(SyntaxError::TooLong { length: line.len() }));
    }
    copy.clear();
    copy.extend_from_slice(line);
    copy.resize(line.len() + PADDING, 0);
    let is_indexed = index.fill(copy, line.len());
    let text = text.or_else(|| {
        let line = from_utf8(line).ok()?;
        Some(Text { line, escapes: memchr(b'\\', line.as_bytes()).is_some() })
    });
    match text {
        Some(text) if is_indexed => Ok(Cursor::new(text, index.tokens(), 0)),
        _ => Err(Box::new(not_indexed(line))),
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
