//! What kinds of bytes a text has and where, sixteen at a time, by SIMD instructions where there are any.

use memchr::{memchr, memchr2};
use wide::{u8x16, u8x32};

/// So many bytes are looked at together.
pub(crate) const WIDTH: usize = 16;

/// One bit for each byte, the first byte's the lowest.
pub(crate) type Bits = u32;

/// Which bytes cannot stand for themselves in a string: quotes, backslashes and control characters.
#[inline(always)]
pub(crate) fn specials(bytes: [u8; WIDTH]) -> Bits {
    let bytes = u8x16::new(bytes);
    let control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    (control | bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\'))).to_bitmask()
}

/// Which of thirty-two bytes are the same in both.
#[inline(always)]
pub(crate) fn equal(some: &[u8; 2 * WIDTH], others: &[u8; 2 * WIDTH]) -> Bits {
    u8x32::new(*some).simd_eq(u8x32::new(*others)).to_bitmask()
}

/// Sixteen bytes and digits.
pub(crate) struct Digits {
    /// Which bytes are none.
    pub(crate) others: Bits,
    /// Which bytes are the digit zero.
    pub(crate) zeros: Bits,
}

/// Which bytes are digits.
#[inline(always)]
pub(crate) fn digits(bytes: &[u8; WIDTH]) -> Digits {
    let numbers = u8x16::new(*bytes) - u8x16::splat(b'0');
    let others = numbers.max(u8x16::splat(10)).simd_eq(numbers).to_bitmask();
    Digits { others, zeros: numbers.simd_eq(u8x16::splat(0)).to_bitmask() }
}

/// Where the first byte is that cannot stand for itself in a string.
#[inline(always)]
pub(crate) fn find_special(text: &[u8]) -> Option<usize> {
    match text.first_chunk() {
        None => find_special_at_end(text),
        Some(bytes) => match specials(*bytes) {
            0 => Some(WIDTH + find_special_far(&text[WIDTH..])?),
            specials => Some(specials.trailing_zeros() as usize),
        },
    }
}

#[inline(never)]
fn find_special_far(text: &[u8]) -> Option<usize> {
    /// Where calls of functions for long texts do not pay yet.
    const NEAR: usize = 12;
    const BLOCK: usize = 4096;
    let mut rest = text;
    for _ in 0..NEAR {
        let Some((bytes, after)) = rest.split_first_chunk() else { break };
        let specials = specials(*bytes);
        if specials != 0 {
            return Some(text.len() - rest.len() + specials.trailing_zeros() as usize);
        }
        rest = after;
    }
    if rest.len() < WIDTH {
        return Some(text.len() - rest.len() + find_special_at_end(rest)?);
    }
    // Not all at once: what comes after a control character is none of its business, and may be long.
    for block in rest.chunks(BLOCK) {
        let found = memchr2(b'"', b'\\', block);
        let before = &block[..found.unwrap_or(block.len())];
        let found = if lowest(before) < b' ' { before.iter().position(|byte| *byte < b' ') } else { found };
        if let Some(found) = found {
            return Some(text.len() - rest.len() + found);
        }
        rest = &rest[block.len()..];
    }
    None
}

/// The lowest byte of a text.
fn lowest(text: &[u8]) -> u8 {
    let (blocks, rest) = text.as_chunks::<{ 4 * WIDTH }>();
    let mut lowest = u8x16::splat(u8::MAX);
    for block in blocks {
        let (parts, _) = block.as_chunks();
        lowest = parts.iter().fold(lowest, |lowest, part| lowest.min(u8x16::new(*part)));
    }
    lowest.to_array().iter().chain(rest).fold(u8::MAX, |lowest, byte| lowest.min(*byte))
}

/// Less than sixteen bytes are left.
#[inline(always)]
fn find_special_at_end(text: &[u8]) -> Option<usize> {
    text.iter().position(|&byte| IS_SPECIAL[usize::from(byte)])
}

static IS_SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table
};

/// How long the first line is, and whether there is a backslash in it; `None` if it has no newline.
#[inline(always)]
pub(crate) fn find_line(text: &[u8]) -> Option<(usize, bool)> {
    /// Most lines end within so many steps.
    const NEAR: usize = 10;
    let (mut rest, mut backslashes) = (text, 0);
    for _ in 0..NEAR {
        let Some((bytes, after)) = rest.split_first_chunk::<WIDTH>() else { break };
        let bytes = u8x16::new(*bytes);
        let newlines = bytes.simd_eq(u8x16::splat(b'\n')).to_bitmask();
        let here = bytes.simd_eq(u8x16::splat(b'\\')).to_bitmask();
        if newlines != 0 {
            // Those before the first newline.
            let within = here & (newlines - 1) & !newlines;
            return Some((
                text.len() - rest.len() + newlines.trailing_zeros() as usize,
                backslashes | within != 0,
            ));
        }
        backslashes |= here;
        rest = after;
    }
    let length = memchr(b'\n', rest)?;
    let has_backslash = backslashes != 0 || memchr(b'\\', &rest[..length]).is_some();
    Some((text.len() - rest.len() + length, has_backslash))
}
