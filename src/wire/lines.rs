//! One reusable buffer that cuts a stream of bytes into lines.

use std::ops::Range;

use memchr::memrchr;
use simdutf8::basic::from_utf8;

use crate::json::index::{Index, PADDING};
use crate::json::scan::find_line;
use crate::json::text::Text;

/// Room that is offered to a single read, and the buffer's size at rest.
pub const READ_SIZE: usize = 64 * 1024;

/// Room beyond this is given back once no long line needs it.
const CAPACITY_KEPT: usize = 1024 * 1024;

/// Whoever reads a line by blocks of bytes may look so far beyond its end.
pub(super) const MARGIN: usize = PADDING;

/// Cuts a stream into lines at `\n`, in place, and reuses its memory.
///
/// The bytes of the stream lie in `bytes[start..end]`:
///
/// ```text
/// 0 <= start <= whole <= end <= bytes.len() - MARGIN
///      ^ next line       ^ next read
///               ^ the beginning of a line whose newline has not come
/// ```
///
/// A line longer than the limit, or than there is memory for, is skipped to its newline: what it holds is thrown away
/// as it comes, and only its length is counted.
#[derive(Clone, Debug)]
pub struct LineBuffer {
    bytes: Vec<u8>,
    start: usize,
    whole: usize,
    end: usize,
    limit: usize,
    /// Bytes thrown away so far of a line that is too long.
    skipped: Option<u64>,
}

/// A line of input, without its newline.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The line, and whatever comes after it.
    bytes: &'a [u8],
    length: usize,
    /// The line, if it is known to be UTF-8.
    text: Option<Text<'a>>,
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

    /// The line, if it is known to be UTF-8.
    #[inline]
    pub(super) const fn text(self) -> Option<Text<'a>> {
        self.text
    }
}

/// A line of a stream.
#[derive(Clone, Copy, Debug)]
pub enum NextLine<'a> {
    /// A line, without its newline.
    Line(Line<'a>),
    /// A line that was longer than the limit, or than there was memory for; its length in bytes, without the newline.
    TooLong(u64),
}

impl LineBuffer {
    /// A buffer for lines of at most `limit` bytes, not counting the newline.
    pub fn new(limit: usize) -> Self {
        Self { bytes: vec![0; READ_SIZE + MARGIN], start: 0, whole: 0, end: 0, limit, skipped: None }
    }

    /// Room for the next read, never empty and at most [`READ_SIZE`] bytes.
    ///
    /// Call it when [`lines`](Self::lines) has nothing more: what is left in the buffer then is the beginning of one
    /// line, and moving it to the front is cheap.
    pub fn space(&mut self) -> &mut [u8] {
        debug_assert_eq!(self.start, self.whole, "whole lines are left");
        if self.end - self.start > self.limit || self.skipped.is_some() {
            *self.skipped.get_or_insert(0) += (self.end - self.start) as u64;
            self.clear();
        } else if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            (self.start, self.whole) = (0, 0);
        }
        let room = self.bytes.len() - MARGIN;
        if self.end == room {
            // A long line: double, up to what the longest one needs with its newline.
            let grown = (room * 2).min(self.limit.saturating_add(1)).max(self.end + 1) + MARGIN;
            if may_grow(&mut self.bytes, grown) {
                self.bytes.resize(grown, 0);
            } else {
                self.skipped = Some(self.end as u64);
                self.clear();
            }
        } else if room > CAPACITY_KEPT && self.end <= READ_SIZE / 2 {
            self.bytes.truncate(READ_SIZE + MARGIN);
            self.bytes.shrink_to_fit();
        }
        let room = self.bytes.len() - MARGIN;
        &mut self.bytes[self.end..room.min(self.end + READ_SIZE)]
    }

    /// Says that a read put `count` bytes at the start of [`space`](Self::space).
    pub fn filled(&mut self, count: usize) {
        let filled = self.end..self.end + count;
        self.end = filled.end;
        if let Some(newline) = memrchr(b'\n', &self.bytes[filled.clone()]) {
            self.whole = filled.start + newline + 1;
        }
    }

    /// The lines that are whole, one after the other. Those that are not taken are kept.
    pub fn lines(&mut self) -> Lines<'_> {
        let Self { bytes, start, whole, limit, skipped, .. } = self;
        // One check of them all takes a fraction of what a check of each takes.
        let text = from_utf8(&bytes[*start..*whole]).ok();
        Lines { bytes, text, first: *start, start, whole: *whole, limit: *limit, skipped }
    }

    /// Indexes the lines that are whole, where they lie; `false` if that is refused for one of them.
    pub(super) fn index(&mut self, index: &mut Index) -> bool {
        index.fill(&mut self.bytes[self.start..], self.whole - self.start)
    }

    /// The last line of a stream that ended without a newline. Call it once, after [`lines`](Self::lines) has nothing
    /// more.
    pub fn last_line(&mut self) -> Option<NextLine<'_>> {
        let Range { start, end } = self.start..self.end;
        let length = end - start;
        let skipped = self.skipped.take();
        self.clear();
        match skipped {
            Some(skipped) => Some(NextLine::TooLong(skipped + length as u64)),
            None if length > self.limit => Some(NextLine::TooLong(length as u64)),
            None if length == 0 => None,
            None => Some(NextLine::Line(Line::new(&self.bytes[start..end]))),
        }
    }

    fn clear(&mut self) {
        (self.start, self.whole, self.end) = (0, 0, 0);
    }
}

/// Makes room for so many bytes of a line, and sees to it that what its handling takes in the worst case could be had
/// as well: its index, and a copy of it in the output. `false` if there is not so much memory; whoever asked for it
/// without asking first would be aborted.
fn may_grow(bytes: &mut Vec<u8>, size: usize) -> bool {
    /// What a line of short values takes beside itself.
    const HANDLING: usize = 30;
    bytes.try_reserve_exact(size - bytes.len()).is_ok()
        && (size <= CAPACITY_KEPT
            || Vec::<u8>::new().try_reserve_exact(size.saturating_mul(HANDLING)).is_ok())
}

/// The whole lines of a [`LineBuffer`].
#[derive(Debug)]
pub struct Lines<'a> {
    /// All of the buffer.
    bytes: &'a [u8],
    /// The lines from `first` on, if all of them are UTF-8.
    text: Option<&'a str>,
    first: usize,
    start: &'a mut usize,
    whole: usize,
    limit: usize,
    skipped: &'a mut Option<u64>,
}

impl<'a> Lines<'a> {
    /// Whether there are no more.
    pub(super) const fn is_empty(&self) -> bool {
        *self.start == self.whole
    }

    /// How many bytes of lines were taken.
    pub(super) const fn offset(&self) -> usize {
        *self.start - self.first
    }

    /// The buffer from the next line on, and the text of all whole lines in it. `None` if they are not all UTF-8, if there
    /// are none, or if the next one is the rest of a line that is too long.
    #[inline(always)]
    pub(super) fn ahead(&self) -> Option<(&'a [u8], &'a str)> {
        if self.skipped.is_some() {
            return None;
        }
        let text = self.text?.get(*self.start - self.first..).filter(|text| !text.is_empty())?;
        Some((&self.bytes[*self.start..], text))
    }

    /// Takes the first line, which has this length; not if that is too much.
    #[inline(always)]
    pub(super) const fn take(&mut self, length: usize) -> bool {
        let may_be_taken = length <= self.limit;
        if may_be_taken {
            *self.start += length + 1;
        }
        may_be_taken
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = NextLine<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<NextLine<'a>> {
        let start = *self.start;
        let (length, escapes) = find_line(&self.bytes[start..self.whole])?;
        *self.start = start + length + 1;
        if self.skipped.is_some() || length > self.limit {
            return Some(NextLine::TooLong(self.skipped.take().unwrap_or(0) + length as u64));
        }
        let text = self.text.and_then(|text| text.get(start - self.first..start - self.first + length));
        let text = text.map(|line| Text { line, escapes });
        Some(NextLine::Line(Line { bytes: &self.bytes[start..], length, text }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `input` in reads of at most `step` bytes; every line as text, or its length in brackets.
    fn cut(input: &[u8], step: usize, limit: usize) -> Vec<String> {
        let mut buffer = LineBuffer::new(limit);
        let mut rest = input;
        let mut lines = Vec::new();
        let text = |line: NextLine<'_>| match line {
            NextLine::Line(line) => String::from_utf8(line.bytes().to_vec()).unwrap(),
            NextLine::TooLong(length) => format!("[{length}]"),
        };
        while !rest.is_empty() {
            let space = buffer.space();
            let count = rest.len().min(step).min(space.len());
            space[..count].copy_from_slice(&rest[..count]);
            buffer.filled(count);
            rest = &rest[count..];
            lines.extend(buffer.lines().map(text));
        }
        lines.extend(buffer.last_line().map(text));
        assert!(buffer.last_line().is_none());
        lines
    }

    #[test]
    fn cuts_at_newlines_whatever_the_reads() {
        for step in [1, 2, 3, 5, 1000] {
            assert_eq!(cut(b"ab\n\nc\ndef", step, 10), ["ab", "", "c", "def"], "reads of {step}");
            assert_eq!(cut(b"ab\n", step, 10), ["ab"]);
            assert_eq!(cut(b"\n", step, 10), [""]);
            assert_eq!(cut(b"", step, 10), [""; 0]);
        }
    }

    #[test]
    fn skips_exactly_the_lines_beyond_the_limit() {
        for step in [1, 2, 3, 5, 1000] {
            assert_eq!(
                cut(b"abc\nabcd\nabcde\nx\n", step, 4),
                ["abc", "abcd", "[5]", "x"],
                "reads of {step}"
            );
            assert_eq!(cut(b"abcdefgh", step, 4), ["[8]"]);
            assert_eq!(cut(b"abcd", step, 4), ["abcd"]);
            assert_eq!(cut(b"\na\n", step, 0), ["", "[1]"]);
        }
    }

    #[test]
    fn grows_for_a_long_line_and_gives_the_memory_back() {
        let long = "x".repeat(3 * CAPACITY_KEPT);
        let mut buffer = LineBuffer::new(4 * CAPACITY_KEPT);
        let mut feed = |mut rest: &[u8]| {
            let mut seen = Vec::new();
            while !rest.is_empty() {
                let space = buffer.space();
                let count = rest.len().min(space.len());
                space[..count].copy_from_slice(&rest[..count]);
                buffer.filled(count);
                rest = &rest[count..];
                for line in buffer.lines() {
                    let NextLine::Line(line) = line else { panic!("{line:?}") };
                    seen.push(line.bytes().len());
                }
            }
            (seen, buffer.bytes.capacity())
        };
        let (seen, grown) = feed(format!("{long}\n").as_bytes());
        assert_eq!(seen, [long.len()]);
        assert!(grown >= long.len());
        let (_, rested) = feed(b"short\n");
        assert!(rested < CAPACITY_KEPT, "{rested} bytes kept");
    }

    #[test]
    fn a_line_without_end_takes_constant_memory() {
        let mut buffer = LineBuffer::new(1000);
        for _ in 0..10_000 {
            let count = buffer.space().len();
            buffer.filled(count);
            assert!(buffer.lines().next().is_none());
        }
        assert!(buffer.bytes.capacity() <= READ_SIZE + MARGIN);
        assert!(matches!(buffer.last_line(), Some(NextLine::TooLong(length)) if length > 600_000_000));
    }
}
