//! The members of a body: where each key and value lies in its line.

use std::ops::Range;

use smallvec::SmallVec;

use crate::json::text::{Span, Text};
use crate::json::unescape::is_named;

/// A template has so many slots, and members in its body, at most.
pub(super) const SLOTS_MAX: usize = 15;

/// A slot begins and ends; the line begins, and one is to spare.
pub(super) const BOUNDARIES: usize = 2 * SLOTS_MAX + 2;

/// Where the slots of a line begin and end, after its own beginning.
pub(super) type Boundaries = [u32; BOUNDARIES];

/// Where the whole body is and each of its members, or how to find out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Members<'a> {
    /// They were found one by one.
    Found(Span, &'a [(Span, Span)]),
    /// They lie between the slots of a template.
    Templated(&'a Layout, &'a Boundaries),
}

/// How a body lies around the slots of its line.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) body: ValueSpan,
    pub(super) members: SmallVec<[Field; SLOTS_MAX]>,
}

/// A member of the body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// Without its quotes.
    pub(super) key: Literal,
    pub(super) value: ValueSpan,
}

/// A text without escapes that is part of the template.
#[derive(Clone, Copy, Debug)]
pub(super) struct Literal {
    pub(super) start: Offset,
    pub(super) length: u8,
}

/// Where a value is in a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValueSpan {
    pub(super) start: Offset,
    pub(super) end: Offset,
    /// If the line has no escapes, this is a string or an integer without a sign.
    pub(super) is_plain: bool,
}

/// A place in a line: so many bytes after a boundary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offset {
    pub(super) boundary: u8,
    pub(super) bytes: u8,
}

impl<'a> Members<'a> {
    /// The body.
    pub(super) fn body(self, text: Text<'_>) -> Span {
        match self {
            Self::Found(body, _) => body,
            Self::Templated(layout, boundaries) => layout.body.span(boundaries, text.escapes),
        }
    }

    /// The value of the last member of that name.
    #[inline(always)]
    pub(super) fn find(self, text: Text<'_>, name: &str) -> Option<Span> {
        match self {
            Self::Templated(layout, boundaries) => layout.find(boundaries, text, name),
            Self::Found(_, members) => find(text, members, name),
        }
    }

    /// Keys, with their quotes.
    pub(super) fn keys(self) -> impl Iterator<Item = Span> + 'a {
        let (found, templated) = match self {
            Self::Found(_, members) => (members, None),
            Self::Templated(layout, boundaries) => (&[][..], Some((layout, boundaries))),
        };
        let templated = templated.into_iter().flat_map(|(layout, boundaries)| {
            layout.members.iter().map(|member| {
                let key = member.key.range(boundaries);
                Span::new(key.start - 1, key.end + 1)
            })
        });
        found.iter().map(|&(key, _)| key).chain(templated)
    }

    /// Keys, with their quotes, and values.
    pub(super) fn collect(self, text: Text<'_>) -> Box<[(Span, Span)]> {
        match self {
            Self::Found(_, members) => members.into(),
            Self::Templated(layout, boundaries) => {
                let spans = layout.members.iter().map(|member| {
                    let key = member.key.range(boundaries);
                    (Span::new(key.start - 1, key.end + 1), member.value.span(boundaries, text.escapes))
                });
                spans.collect()
            }
        }
    }
}

#[inline(never)]
fn find(text: Text<'_>, members: &[(Span, Span)], name: &str) -> Option<Span> {
    members.iter().rev().find(|&&(key, _)| is_named(text, key, name)).map(|&(_, value)| value)
}

impl Layout {
    #[inline(always)]
    fn find(&self, boundaries: &Boundaries, text: Text<'_>, name: &str) -> Option<Span> {
        for member in self.members.iter().rev() {
            if usize::from(member.key.length) == name.len() {
                let start = member.key.start.resolve(boundaries);
                if text.line.as_bytes().get(start..start + name.len()) == Some(name.as_bytes()) {
                    return Some(member.value.span(boundaries, text.escapes));
                }
            }
        }
        None
    }
}

impl Offset {
    #[inline(always)]
    pub(super) fn resolve(self, boundaries: &Boundaries) -> usize {
        boundaries[usize::from(self.boundary) % BOUNDARIES] as usize + usize::from(self.bytes)
    }
}

impl Literal {
    #[inline(always)]
    pub(super) fn range(self, boundaries: &Boundaries) -> Range<usize> {
        let start = self.start.resolve(boundaries);
        start..start + usize::from(self.length)
    }
}

impl ValueSpan {
    #[inline(always)]
    fn span(self, boundaries: &Boundaries, escapes: bool) -> Span {
        let (start, end) = (self.start.resolve(boundaries), self.end.resolve(boundaries));
        if self.is_plain && !escapes { Span::plain(start, end) } else { Span::new(start, end) }
    }
}
