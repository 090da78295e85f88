//! A text, and where values lie in it.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::ops::Range;

/// How deep arrays and objects may be nested, the envelope and its body included. Maelstrom itself
/// stops at 1,000 levels.
pub const MAX_DEPTH: usize = 1024;

/// A text whose values were found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Text<'a> {
    pub(crate) line: &'a str,
    /// Whether there may be a backslash in the text.
    pub(crate) escapes: bool,
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
    pub(crate) fn new(start: usize, end: usize) -> Self {
        let end = NonZeroU32::new(end as u32).expect("a value has at least one byte");
        Self { start: start as u32, end }
    }

    /// That of a string without escapes, or of an integer without a sign.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "offsets fit")]
    pub(crate) fn plain(start: usize, end: usize) -> Self {
        const NONE: NonZeroU32 = NonZeroU32::new(PLAIN).unwrap();
        Self { start: start as u32, end: NONE | end as u32 }
    }

    #[inline(always)]
    pub(crate) const fn is_plain(self) -> bool {
        self.end.get() & PLAIN != 0
    }

    #[inline(always)]
    pub(crate) const fn start(self) -> usize {
        self.start as usize
    }

    /// Where it ends.
    #[inline(always)]
    pub(crate) const fn end(self) -> usize {
        (self.end.get() & !PLAIN) as usize
    }

    #[inline(always)]
    pub(crate) const fn range(self) -> Range<usize> {
        self.start()..self.end()
    }
}

/// Whether a text is short enough for spans.
pub(crate) const fn has_spans(text: &[u8]) -> bool {
    text.len() < PLAIN as usize
}

impl<'a> Text<'a> {
    pub(crate) const fn as_str(self) -> &'a str {
        self.line
    }

    pub(crate) fn detach(self) -> OwnedText {
        OwnedText { line: self.line.into(), escapes: self.escapes }
    }

    /// The first byte of a value.
    #[inline]
    pub(crate) fn first(self, span: Span) -> u8 {
        self.line.as_bytes()[span.start()]
    }

    /// What stands between the quotes of a key.
    #[inline(always)]
    pub(crate) fn inner(self, key: Span) -> &'a [u8] {
        &self.line.as_bytes()[key.start() + 1..key.end() - 1]
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

/// The beginning of a text, for an error message.
pub(crate) fn excerpt(text: &str) -> Cow<'_, str> {
    beginning(text, 60)
}

/// The first `count` characters of a text, and an ellipsis if there are more.
pub(crate) fn beginning(text: &str, count: usize) -> Cow<'_, str> {
    match text.char_indices().nth(count) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}
