//! The fast lane: tokens found where they come, and the ends of strings eight bytes at a time.
//!
//! For the short lines of a node this takes a fraction of what an index takes. A text that the lane refuses
//! is left to the [index](super::json), which has the last word, and says what is wrong with it.
#![allow(clippy::inline_always, reason = "as in the grammar")]

use super::grammar::{Name, Walk, escape_len, is_number};
use super::json::{Span, Text};

/// A walk along the bytes of a text. It stays in registers as long as nobody takes a reference to it, so whatever is
/// not inlined gets a copy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane<'a> {
    text: Text<'a>,
    rest: &'a [u8],
}

/// The text is not for the lane.
#[derive(Debug)]
pub(super) struct Refused;

impl<'a> Lane<'a> {
    /// The start of a line; `None` for one that is not UTF-8, or too long for offsets of 32 bits.
    #[inline(always)]
    pub(super) fn of_line(line: &'a [u8]) -> Option<Self> {
        let line = simdutf8::basic::from_utf8(line).ok()?;
        u32::try_from(line.len()).ok()?;
        Some(Self::of_value(line))
    }

    /// The start of a text that fits.
    #[inline(always)]
    pub(super) const fn of_value(text: &'a str) -> Self {
        Self { text: Text { line: text, escapes: false }, rest: text.as_bytes() }
    }

    #[inline(always)]
    fn skip(&mut self, count: usize) -> Result<(), Refused> {
        self.rest = self.rest.get(count..).ok_or(Refused)?;
        Ok(())
    }

    #[inline(always)]
    fn name(&self, key: Span) -> Name {
        if self.text.escapes {
            return Name::of(self.text.name(key).as_bytes());
        }
        Name::of(self.text.inner(key))
    }

    /// Steps over a string, from its opening quote.
    #[inline(always)]
    fn string(&mut self) -> Result<(), Refused> {
        self.skip(1)?;
        loop {
            let (before, special) = find_special(self.rest).ok_or(Refused)?;
            match special {
                b'"' => return self.skip(before + 1),
                b'\\' => {
                    self.text.escapes = true;
                    self.skip(before)?;
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

/// The first byte that cannot stand for itself in a string, which is a quote, a backslash or a control character,
/// and how many bytes are before it.
#[inline(always)]
pub(super) fn find_special(text: &[u8]) -> Option<(usize, u8)> {
    /// Most strings end within so many words.
    const NEAR: usize = 3;
    let mut rest = text;
    for _ in 0..NEAR {
        let Some((word, after)) = rest.split_first_chunk() else {
            return find_special_at_end(text, rest);
        };
        if let Some((before, special)) = find_special_in(*word) {
            return Some((text.len() - rest.len() + before, special));
        }
        rest = after;
    }
    find_special_far(text, rest)
}

/// Blocks without a special byte are passed over by SIMD instructions: the compiler's, of the loop within.
#[inline(never)]
fn find_special_far(text: &[u8], mut rest: &[u8]) -> Option<(usize, u8)> {
    while let Some((block, after)) = rest.split_first_chunk::<64>() {
        if block.iter().fold(false, |any, &byte| any | is_special(byte)) {
            break;
        }
        rest = after;
    }
    while let Some((word, after)) = rest.split_first_chunk() {
        if let Some((before, special)) = find_special_in(*word) {
            return Some((text.len() - rest.len() + before, special));
        }
        rest = after;
    }
    find_special_at_end(text, rest)
}

/// Less than a word is left.
#[inline(always)]
fn find_special_at_end(text: &[u8], rest: &[u8]) -> Option<(usize, u8)> {
    let before = rest.iter().position(|&byte| IS_SPECIAL[usize::from(byte)])?;
    Some((text.len() - rest.len() + before, rest[before]))
}

#[allow(clippy::needless_bitwise_bool, reason = "or it is no loop for SIMD instructions")]
const fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

static IS_SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < u8::MAX {
        table[byte as usize] = is_special(byte);
        byte += 1;
    }
    table
};

#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "to a byte")]
const fn find_special_in(word: [u8; 8]) -> Option<(usize, u8)> {
    const ONES: u64 = u64::MAX / 0xff;
    let word = u64::from_le_bytes(word);
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    // The highest bit of each byte that is special. A borrow from one may make the next seem special, but the
    // lowest is right.
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = quote.wrapping_sub(ONES) & !quote;
    let backslash = backslash.wrapping_sub(ONES) & !backslash;
    let specials = (control | quote | backslash) & (ONES * 0x80);
    if specials == 0 {
        return None;
    }
    let before = specials.trailing_zeros() / 8;
    Some((before as usize, (word >> (8 * before)) as u8))
}
