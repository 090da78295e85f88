//! The fast lane: tokens found where they come, and the ends of strings sixteen bytes at a time.
//!
//! For the short lines of a node this takes a fraction of what an index takes. A text that the lane refuses
//! is left to the [index](super::index), which has the last word, and says what is wrong with it.

use super::cursor::{Name, Walk, escape_len, is_number};
use super::index::name_at;
use super::scan::find_special;
use super::text::{Span, Text, has_spans};

/// A walk along the bytes of a text. It stays in registers as long as nobody takes a reference to it, so whatever is
/// not inlined gets a copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane<'a> {
    text: Text<'a>,
    rest: &'a [u8],
}

/// The text is not for the lane.
#[derive(Debug)]
pub(crate) struct Refused;

impl<'a> Lane<'a> {
    /// The start of a line; `None` for one that is too long for spans.
    #[inline(always)]
    pub(crate) fn of_line(line: &'a str) -> Option<Self> {
        has_spans(line.as_bytes()).then(|| Self::of_value(line))
    }

    /// The start of a text that fits.
    #[inline(always)]
    pub(crate) const fn of_value(text: &'a str) -> Self {
        Self { text: Text { line: text, escapes: false }, rest: text.as_bytes() }
    }

    /// The rest of a text, from a place where a value may begin.
    pub(crate) fn within(text: &'a str, at: usize) -> Option<Self> {
        Some(Self { text: Text { line: text, escapes: false }, rest: text.as_bytes().get(at..)? })
    }

    #[inline(always)]
    fn skip(&mut self, count: usize) -> Result<(), Refused> {
        self.rest = self.rest.get(count..).ok_or(Refused)?;
        Ok(())
    }

    #[inline(always)]
    fn name(&self, key: Span) -> Name {
        if self.text.escapes {
            return Name::of(name_at(self.text, key).as_bytes());
        }
        Name::of(self.text.inner(key))
    }

    /// Steps over a string, from its opening quote.
    #[inline(always)]
    fn string(&mut self) -> Result<(), Refused> {
        self.skip(1)?;
        loop {
            self.skip(find_special(self.rest).ok_or(Refused)?)?;
            match self.rest[0] {
                b'"' => return self.skip(1),
                b'\\' => {
                    self.text.escapes = true;
                    self.skip(escape_len(self.rest).ok_or(Refused)?)?;
                }
                _ => return Err(Refused),
            }
        }
    }

    #[inline(always)]
    fn number(&mut self) -> Result<(), Refused> {
        let before = self.rest;
        if let [b'-', rest @ ..] = self.rest {
            self.rest = rest;
        }
        let starts_with_zero = self.rest.first() == Some(&b'0');
        let mut digits = 0;
        while let [b'0'..=b'9', rest @ ..] = self.rest {
            self.rest = rest;
            digits += 1;
        }
        if let [b'.' | b'e' | b'E', ..] = self.rest {
            self.rest = after_float(before).ok_or(Refused)?;
            return Ok(());
        }
        if digits == 1 || (digits > 1 && !starts_with_zero) { Ok(()) } else { Err(Refused) }
    }

    #[inline(always)]
    fn word(&mut self, word: &[u8]) -> Result<(), Refused> {
        self.rest = self.rest.strip_prefix(word).ok_or(Refused)?;
        Ok(())
    }
}

impl<'a> Walk<'a> for Lane<'a> {
    type Error = Refused;

    #[inline(always)]
    fn text(&self) -> Text<'a> {
        self.text
    }

    #[inline(always)]
    fn peek(&mut self) -> u8 {
        match self.rest {
            [byte, ..] if *byte > b' ' => *byte,
            _ => {
                self.rest = after_space(self.rest);
                self.rest.first().copied().unwrap_or(0)
            }
        }
    }

    #[inline(always)]
    fn at(&self) -> usize {
        self.text.line.len() - self.rest.len()
    }

    #[inline(always)]
    fn step(&mut self) {
        self.rest = &self.rest[1..];
    }

    #[inline(always)]
    fn stepped(&self) -> usize {
        self.at()
    }

    #[inline(always)]
    fn nested_in_place(&mut self, depth: usize) -> Result<usize, Refused> {
        let mut copy = *self;
        let end = copy.nested(depth)?;
        *self = copy;
        Ok(end)
    }

    #[inline(always)]
    fn scalar(&mut self) -> Result<usize, Refused> {
        match self.rest {
            [b'"', ..] => self.string()?,
            [b'-' | b'0'..=b'9', ..] => self.number()?,
            [b't', ..] => self.word(b"true")?,
            [b'f', ..] => self.word(b"false")?,
            [b'n', ..] => self.word(b"null")?,
            _ => return Err(Refused),
        }
        Ok(self.at())
    }

    #[inline(always)]
    fn named_key(&mut self) -> Result<(Span, Name), Refused> {
        let known = match self.rest {
            [b'"', b's', b'r', b'c', b'"', b':', rest @ ..] => Some((Name::Src, rest)),
            [b'"', b'd', b'e', b's', b't', b'"', b':', rest @ ..] => Some((Name::Dest, rest)),
            [b'"', b'b', b'o', b'd', b'y', b'"', b':', rest @ ..] => Some((Name::Body, rest)),
            [b'"', b't', b'y', b'p', b'e', b'"', b':', rest @ ..] => Some((Name::Type, rest)),
            [b'"', b'm', b's', b'g', b'_', b'i', b'd', b'"', b':', rest @ ..] => Some((Name::MsgId, rest)),
            [b'"', b'i', b'd', b'"', b':', rest @ ..] => Some((Name::Id, rest)),
            _ => None,
        };
        if let Some((name, rest)) = known {
            let start = self.at();
            self.rest = rest;
            return Ok((Span::new(start, self.at() - 1), name));
        }
        self.peek();
        let key = self.key()?;
        Ok((key, self.name(key)))
    }

    #[inline(always)]
    fn is_at_end(&mut self) -> bool {
        self.peek();
        self.rest.is_empty()
    }

    #[inline(always)]
    fn refuse(&self, _: &'static str) -> Refused {
        Refused
    }

    #[inline(always)]
    fn too_deep(&self) -> Refused {
        Refused
    }
}

#[cold]
fn after_space(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = text {
        text = rest;
    }
    text
}

/// What follows the number that comes first, if it is one.
#[cold]
fn after_float(text: &[u8]) -> Option<&[u8]> {
    let is_part = |x: &&u8| matches!(x, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    let (number, rest) = text.split_at(text.iter().take_while(is_part).count());
    is_number(number).then_some(rest)
}
