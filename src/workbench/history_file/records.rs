//! Where the operations in a file begin and end, before anybody looks into them.

use std::io::BufRead;
use std::mem;

use super::error::ReadError;
use crate::json::text::MAX_DEPTH;

/// Cuts a file into its operations: maps in braces, one after the other, or in an array around all of them. That is the
/// same in JSON and EDN, but for what EDN has besides: comments, characters such as `\{`, and tags before a map.
pub(super) struct Records<R> {
    file: R,
    bytes_max: usize,
    line: u64,
    text: Vec<u8>,
    /// The brackets around all operations that are open: how each is closed.
    open: Vec<u8>,
}

/// An operation.
pub(super) struct Record<'a> {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// It, from brace to brace.
    pub text: &'a [u8],
}

/// How many arrays may be around all operations.
const BRACKETS_MAX: usize = 8;

/// How deep a place in a map is: whoever reads it goes as deep.
#[derive(Default)]
struct Depth {
    braces: usize,
    /// Braces, brackets and parentheses.
    open: usize,
    /// Tags, one after the other, before what they are tags of.
    tags: usize,
    is_within_word: bool,
}

impl Depth {
    /// Goes on by a byte that is part of no text and no comment.
    fn add(&mut self, byte: u8) {
        let is_word = !(byte.is_ascii_whitespace() || b",;\"[](){}".contains(&byte));
        let begins = !mem::replace(&mut self.is_within_word, is_word) && is_word;
        match byte {
            b'#' if begins => self.tags += 1,
            b'{' => (self.braces, self.open, self.tags) = (self.braces + 1, self.open + 1, 0),
            b'[' | b'(' => (self.open, self.tags) = (self.open + 1, 0),
            b'}' => (self.braces, self.open) = (self.braces - 1, self.open.saturating_sub(1)),
            b']' | b')' => self.open = self.open.saturating_sub(1),
            b'"' => self.tags = 0,
            _ if begins => self.tags = 0,
            _ => {}
        }
    }
}

impl<R: BufRead> Records<R> {
    pub const fn new(file: R, bytes_max: usize) -> Self {
        Self { file, bytes_max, line: 1, text: Vec::new(), open: Vec::new() }
    }

    /// The next one.
    pub fn next(&mut self) -> Result<Option<Record<'_>>, ReadError> {
        if !self.skip_to_brace()? {
            return Ok(None);
        }
        let line = self.line;
        self.take_map()?;
        Ok(Some(Record { line, text: &self.text }))
    }

    fn byte(&mut self) -> Result<Option<u8>, ReadError> {
        Ok(self.file.fill_buf()?.first().copied())
    }

    fn skip_line(&mut self) -> Result<(), ReadError> {
        self.file.skip_until(b'\n')?;
        self.line += 1;
        Ok(())
    }

    /// Skips what is between operations; whether there is one more.
    fn skip_to_brace(&mut self) -> Result<bool, ReadError> {
        let expected = "an operation, such as {\"type\":\"invoke\", …} or {:type :invoke, …}";
        while let Some(byte) = self.byte()? {
            match byte {
                b'{' => return Ok(true),
                b';' => {
                    self.skip_line()?;
                    continue;
                }
                // A tag, such as #jepsen.history.Op.
                b'#' => {
                    self.skip_tag()?;
                    continue;
                }
                b'\n' => self.line += 1,
                b'[' | b'(' if self.open.len() < BRACKETS_MAX => {
                    self.open.push(if byte == b'[' { b']' } else { b')' });
                }
                b']' | b')' if self.open.last() == Some(&byte) => drop(self.open.pop()),
                b',' | b' ' | b'\t' | b'\r' => {}
                // A byte order mark.
                0xEF if self.line == 1 => self.file.consume(2),
                other => {
                    let found = format!("`{}`", char::from(other).escape_default());
                    return Err(ReadError::malformed(self.line, expected, found));
                }
            }
            self.file.consume(1);
        }
        match self.open.last() {
            Some(&bracket) => {
                let expected = format!("`{}` or another operation", char::from(bracket));
                Err(ReadError::malformed(self.line, expected, "the end of the file"))
            }
            None => Ok(false),
        }
    }

    fn skip_tag(&mut self) -> Result<(), ReadError> {
        self.file.consume(1);
        while let Some(byte) = self.byte()? {
            if byte == b'{' || byte.is_ascii_whitespace() {
                return Ok(());
            }
            if !(byte.is_ascii_alphanumeric() || b"./-_".contains(&byte)) {
                let found = format!("`{}`", char::from(byte).escape_default());
                return Err(ReadError::malformed(self.line, "a tag before an operation", found));
            }
            self.file.consume(1);
        }
        Ok(())
    }

    /// Takes a map from its brace to the brace that closes it.
    fn take_map(&mut self) -> Result<(), ReadError> {
        enum Within {
            Map,
            Text,
            /// After a backslash: in a text, or else a character of EDN's.
            Escape {
                is_text: bool,
            },
            Comment,
        }
        self.text.clear();
        let (began, mut depth, mut within) = (self.line, Depth::default(), Within::Map);
        loop {
            let buffer = self.file.fill_buf()?;
            if buffer.is_empty() {
                let expected = "the brace that closes this operation";
                return Err(ReadError::malformed(began, expected, "the end of the file"));
            }
            let mut end = None;
            for (place, &byte) in buffer.iter().enumerate() {
                if matches!(within, Within::Map) {
                    depth.add(byte);
                    if depth.open + depth.tags > MAX_DEPTH {
                        let expected = format!("at most {MAX_DEPTH} levels of nesting");
                        return Err(ReadError::malformed(self.line, expected, "one more"));
                    }
                }
                within = match (within, byte) {
                    (Within::Map, b'"') | (Within::Escape { is_text: true }, _) => Within::Text,
                    (Within::Text, b'"')
                    | (Within::Comment, b'\n')
                    | (Within::Escape { is_text: false }, _) => Within::Map,
                    (Within::Text, b'\\') => Within::Escape { is_text: true },
                    (Within::Map, b'\\') => Within::Escape { is_text: false },
                    (Within::Map, b';') => Within::Comment,
                    (within, _) => within,
                };
                self.line += u64::from(byte == b'\n');
                if depth.braces == 0 {
                    end = Some(place + 1);
                    break;
                }
            }
            let length = end.unwrap_or(buffer.len());
            if self.text.len() + length > self.bytes_max {
                return Err(ReadError::TooLarge { line: began, what: "an operation", limit: self.bytes_max });
            }
            self.text.extend_from_slice(&buffer[..length]);
            self.file.consume(length);
            if end.is_some() {
                return Ok(());
            }
        }
    }
}
