//! How [templates](super::template) are learned from messages that the grammar and the schema have accepted.

use std::mem;
use std::num::NonZeroU8;
use std::ops::Range;

use smallvec::SmallVec;

use super::envelope::Name;
use super::lines::Line;
use super::members::{BOUNDARIES, Field, Layout, Literal, Offset, SLOTS_MAX, ValueSpan};
use super::template::{
    ALTERNATIVES_MAX, COST, CREDIT_MAX, Expect, SEGMENT_MAX, SEGMENTS_MAX, Segment, TEMPLATES_MAX, Template,
    Templates, digits,
};
use crate::json::cursor::Cursor;
use crate::json::parser::{Parser, cursor_of};

impl Templates {
    /// Learns the template of a line, if that is a message and there are [`SEGMENT_MAX`] bytes or more behind it.
    #[cfg_attr(
        not(feature = "internals"),
        expect(dead_code, reason = "a reader learns what it walked already")
    )]
    pub fn learn(&mut self, parser: &mut Parser, line: Line<'_>) {
        let Parser { index, copy, .. } = parser;
        if let Ok(cursor) = cursor_of(index, copy, line.bytes(), None) {
            self.learn_walked(line, cursor);
        }
    }

    /// Learns the template of a line that is a message; `cursor` is at its beginning.
    #[inline(never)]
    pub(super) fn learn_walked(&mut self, line: Line<'_>, cursor: Cursor<'_, '_>) {
        let bytes = line.bytes_and_more();
        // Where there is no room, all have to be forgotten first, which pays only after many lines without.
        let cost = if self.is_full { CREDIT_MAX } else { COST };
        if let Some(credit) = self.credit.checked_sub(cost)
            && bytes.len() - cursor.text().line.len() >= SEGMENT_MAX
        {
            self.credit = credit;
            if self.is_full {
                self.forget();
            }
            self.learn_text(bytes, cursor);
        }
    }

    /// `None` if it is too unusual: what it comes to, the grammar alone knows.
    fn learn_text(&mut self, bytes: &[u8], mut cursor: Cursor<'_, '_>) -> Option<()> {
        let text = cursor.text();
        let mut draft = TemplateDraft {
            templates: self,
            bytes,
            length: text.line.len(),
            boundaries: SmallVec::from_slice(&[0]),
            slots: SmallVec::new(),
            src: None,
            msg_id: None,
            in_reply_to: None,
            dest: None,
            kind: None,
        };
        // A name of the schema that comes twice is too unusual, and so is one that it does not know.
        let mut seen = [false; Name::COUNT];
        let mut is_first_of = |name: Name| !mem::replace(&mut seen[name as usize], true);
        let (mut body, mut members) = (None, SmallVec::new());
        cursor.open_object().ok()?;
        let mut is_first = true;
        while let Some(key) = cursor.member(is_first).ok()? {
            is_first = false;
            let name = Name::at(text, key).of_envelope();
            if name == Name::Other || !is_first_of(name) {
                return None;
            }
            if name == Name::Body {
                let start = cursor.open_object().ok()?;
                while let Some(key) = cursor.member(members.is_empty()).ok()? {
                    if members.len() == SLOTS_MAX {
                        return None;
                    }
                    let name = Name::at(text, key).of_body();
                    if name != Name::Other && !is_first_of(name) {
                        return None;
                    }
                    let value = draft.value(&mut cursor, name, 2)?;
                    let key = draft.literal(key.start() + 1..key.end() - 1)?;
                    members.push(Field { key, value });
                }
                body = Some(draft.value_span(start..cursor.stepped(), false)?);
            } else {
                draft.value(&mut cursor, name, 1)?;
            }
        }
        cursor.end().ok()?;
        let body = body?;
        let TemplateDraft { src, dest, kind, msg_id, in_reply_to, .. } = draft;
        let (layout, is_bare) = (Layout { body, members }, !seen[Name::Id as usize]);
        let template =
            Template { src: src?.get(), dest: dest?, kind: kind?, msg_id, in_reply_to, layout, is_bare };
        draft.end(template)
    }

    /// Makes a segment known that follows another; its place. `None` if there is no room.
    fn add(&mut self, before: u16, text: &[u8], expect: Expect) -> Option<u16> {
        let segments = &mut self.segments;
        let mut place = segments[usize::from(before)].next;
        // The one after which it comes, among those that may stand in its place.
        let (mut earlier, mut alternatives) = (0, 0);
        while place != 0 {
            let segment = &segments[usize::from(place)];
            if segment.text() == text && segment.expect.is_like(expect) {
                return Some(place);
            }
            if segment.expect.rank() < expect.rank() {
                earlier = place;
            }
            place = segment.alternative;
            alternatives += 1;
        }
        if alternatives == ALTERNATIVES_MAX || self.segments_known == SEGMENTS_MAX {
            self.is_full = true;
            return None;
        }
        let place = u16::try_from(self.segments_known).ok()?;
        self.segments_known += 1;
        let link = match earlier {
            0 => &mut segments[usize::from(before)].next,
            earlier => &mut segments[usize::from(earlier)].alternative,
        };
        let alternative = mem::replace(link, place);
        let (mask, length) = (u32::MAX >> (SEGMENT_MAX - text.len()), u8::try_from(text.len()).ok()?);
        let segment = &mut segments[usize::from(place)];
        *segment = Segment { mask, length, expect, alternative, ..Segment::NONE };
        segment.text[..text.len()].copy_from_slice(text);
        Some(place)
    }

    fn forget(&mut self) {
        self.segments[0] = Segment::NONE;
        self.segments_known = 1;
        self.known.clear();
        self.is_full = false;
        // What comes most is learned again at once.
        self.credit = CREDIT_MAX / 4;
    }
}

/// A template that is being learned.
struct TemplateDraft<'a> {
    templates: &'a mut Templates,
    /// The line that it is learned from, and what comes after it.
    bytes: &'a [u8],
    length: usize,
    /// The beginning of the line, and the boundaries of its slots so far.
    boundaries: SmallVec<[usize; BOUNDARIES]>,
    slots: SmallVec<[Expect; SLOTS_MAX]>,
    src: Option<NonZeroU8>,
    msg_id: Option<NonZeroU8>,
    in_reply_to: Option<NonZeroU8>,
    dest: Option<Literal>,
    kind: Option<Literal>,
}

impl TemplateDraft<'_> {
    /// Takes the value that comes next, under this name of the schema.
    fn value(&mut self, cursor: &mut Cursor<'_, '_>, name: Name, depth: usize) -> Option<ValueSpan> {
        let byte = cursor.peek();
        if byte == b'{' && matches!(name, Name::Other | Name::Id) {
            return self.object(cursor, depth);
        }
        let span = cursor.value(depth).ok()?.range();
        let boundary = u8::try_from(self.boundaries.len()).ok().and_then(NonZeroU8::new);
        let expect = match byte {
            b'"' => Expect::String,
            b'0'..=b'9' if digits(self.bytes, span.start) == Some(span.end) => Expect::Digits,
            // Their values differ in number.
            b'{' | b'[' => return None,
            _ => Expect::Scalar,
        };
        let inside = span.start + 1..span.end - 1;
        match (name, expect) {
            (Name::Src, Expect::String) => self.src = boundary,
            (Name::MsgId, Expect::Digits) => self.msg_id = boundary,
            (Name::InReplyTo, Expect::Digits) => self.in_reply_to = boundary,
            (Name::Dest, Expect::String) => self.dest = Some(self.literal(inside.clone())?),
            (Name::Type, Expect::String) => self.kind = Some(self.literal(inside.clone())?),
            (Name::Body | Name::Id | Name::Other, _) => {}
            _ => return None,
        }
        if !matches!(name, Name::Dest | Name::Type) {
            if self.slots.len() == SLOTS_MAX {
                return None;
            }
            let slot = if expect == Expect::String { inside } else { span.clone() };
            self.boundaries.extend([slot.start, slot.end]);
            self.slots.push(expect);
        }
        self.value_span(span, expect != Expect::Scalar)
    }

    /// Takes the object that comes next: its keys are part of the template.
    fn object(&mut self, cursor: &mut Cursor<'_, '_>, depth: usize) -> Option<ValueSpan> {
        /// Deeper ones are unusual.
        const DEPTH_MAX: usize = 8;
        if depth == DEPTH_MAX {
            return None;
        }
        let start = cursor.open_object().ok()?;
        let mut is_first = true;
        while cursor.member(is_first).ok()?.is_some() {
            is_first = false;
            self.value(cursor, Name::Other, depth + 1)?;
        }
        self.value_span(start..cursor.stepped(), false)
    }

    /// All of the line was taken: makes it known.
    fn end(mut self, template: Template) -> Option<()> {
        self.boundaries.push(self.length);
        let texts = self.boundaries.chunks(2).map(|text| &self.bytes[text[0]..text[1]]);
        // An escaped name is not what it spells, and a newline would end the line.
        if texts.clone().flatten().any(|byte| matches!(byte, b'\\' | b'\n')) {
            return None;
        }
        let (place, before) = (self.templates.known.len(), self.templates.segments_known);
        if place == TEMPLATES_MAX {
            self.templates.is_full = true;
            return None;
        }
        let end = Expect::End(u8::try_from(place).ok()?);
        let mut last = 0;
        for (text, expect) in texts.zip(self.slots.into_iter().chain([end])) {
            let mut segments = text.chunks(SEGMENT_MAX).peekable();
            while let Some(text) = segments.next() {
                let expect = if segments.peek().is_some() { Expect::More } else { expect };
                last = self.templates.add(last, text, expect)?;
            }
        }
        if self.templates.segments_known > before {
            self.templates.known.push(template);
        }
        Some(())
    }

    fn literal(&self, range: Range<usize>) -> Option<Literal> {
        Some(Literal { start: self.place(range.start)?, length: u8::try_from(range.len()).ok()? })
    }

    /// Where these bytes are in lines of the template.
    fn value_span(&self, range: Range<usize>, is_plain: bool) -> Option<ValueSpan> {
        Some(ValueSpan { start: self.place(range.start)?, end: self.place(range.end)?, is_plain })
    }

    fn place(&self, at: usize) -> Option<Offset> {
        let boundary = self.boundaries.iter().rposition(|&boundary| boundary <= at)?;
        let bytes = u8::try_from(at - self.boundaries[boundary]).ok()?;
        Some(Offset { boundary: u8::try_from(boundary).ok()?, bytes })
    }
}
