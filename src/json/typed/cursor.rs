//! A walk along a text that was checked: no grammar, only where things are.

use memchr::memchr2;

/// A place in a checked text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'de> {
    text: &'de str,
    at: usize,
}

impl<'de> Cursor<'de> {
    pub(super) const fn new(text: &'de str) -> Self {
        Self { text, at: 0 }
    }

    /// A cursor at a value that begins there.
    pub(super) const fn starting(text: &'de str, at: usize) -> Self {
        Self { text, at }
    }

    /// Where it stands.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// The first byte of the next token; 0 at the end of the text.
    #[inline(always)]
    pub(super) fn peek(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            if byte > b' ' {
                return byte;
            }
            self.at += 1;
        }
        0
    }

    /// Steps over a bracket, comma or colon.
    #[inline(always)]
    pub(super) const fn step(&mut self) {
        self.at += 1;
    }

    /// Steps over the next token if it is this one; whether it was.
    #[inline(always)]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == byte;
        if is_next {
            self.at += 1;
        }
        is_next
    }

    /// Steps over a string that begins here: its text with its quotes, and whether there are escapes in it.
    #[inline(always)]
    pub(super) fn string(&mut self) -> (&'de str, bool) {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let (mut end, mut has_escapes) = (start + 1, false);
        // Names are short: a byte at a time, then in strides.
        let short = bytes.len().min(end + 24);
        loop {
            match bytes.get(end) {
                Some(b'"') | None => break,
                Some(b'\\') => {
                    has_escapes = true;
                    end += 2;
                }
                Some(_) if end < short => end += 1,
                Some(_) => match memchr2(b'"', b'\\', &bytes[end..]) {
                    Some(offset) => end += offset,
                    None => end = bytes.len(),
                },
            }
        }
        self.at = (end + 1).min(bytes.len());
        (&self.text[start..self.at], has_escapes)
    }

    /// Steps over a number, `true`, `false` or `null` that begins here.
    #[inline(always)]
    pub(super) fn word(&mut self) -> &'de str {
        let start = self.at;
        let bytes = self.text.as_bytes();
        while let Some(b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.') = bytes.get(self.at) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    /// Steps over the next value, however deep; its text.
    #[inline]
    pub(super) fn value(&mut self) -> &'de str {
        match self.peek() {
            b'"' => self.string().0,
            b'{' | b'[' => self.nested(),
            _ => self.word(),
        }
    }

    fn nested(&mut self) -> &'de str {
        let (start, bytes, mut depth) = (self.at, self.text.as_bytes(), 0);
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                break;
            }
        }
        &self.text[start..self.at]
    }
}
