//! The shapes of lines: the quick way to read a message that differs from an earlier one in its values alone, as nearly
//! all messages to a node do.
//!
//! A shape is a line without its values, but for `dest` and `type`, which hardly ever change. What is left is pieces of
//! text with slots for values between them. Shapes are learned from messages that the grammar and the schema have
//! accepted. They make a tree, in which those that begin alike share their beginning. A line that has the pieces of one
//! from first to last, and in each slot a value of the kind that was there, is a message, and everything in it is where
//! it was, but for the lengths of the values. Any other line is left to the grammar.

use std::borrow::Cow;
use std::mem;
use std::num::NonZeroU8;
use std::ops::Range;

use memchr::memchr;
use smallvec::SmallVec;

use super::grammar::{Member, Name, Walk as _};
use super::json::{Line, Span, Text, has_spans};
use super::lane::Lane;
use super::line::Lines;
use super::message::{Body, Envelope};
use super::scan::{self, Digits, WIDTH, find_special};
use super::value::Integer;

/// A piece has so many bytes at most; longer text makes several.
pub const PIECE_MAX: usize = 2 * WIDTH;

/// So many pieces are known at most. If there are more, all are forgotten.
const PIECES_MAX: usize = 256;

/// So many shapes are known at most. If there are more, all are forgotten.
const SHAPES_MAX: usize = 64;

/// A message with more values, or more members in its body, has no shape.
const SLOTS_MAX: usize = 15;

/// A slot begins and ends; the line begins, and one is to spare.
const EDGES: usize = 2 * SLOTS_MAX + 2;

/// A shape costs as much to learn as it saves in so many lines.
const COST: u32 = 8;

/// Credit for as many shapes as may be learned in a row.
const CREDIT_MAX: u32 = 128 * COST;

/// The shapes that are known.
#[derive(Debug)]
pub struct Shapes {
    /// The tree. The first of them is no piece, but the place before all first ones; and, since it is like anything, the
    /// one where every search ends that finds no other.
    pieces: Box<[Piece; PIECES_MAX]>,
    pieces_known: usize,
    known: Vec<Shape>,
    /// Grows with every line of a known shape and pays for those that are learned: where no line is like another, little
    /// is lost.
    credit: u32,
    /// Of the line that was read last.
    edges: Edges,
}

/// A piece of text, and what comes after it.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Piece {
    text: [u8; PIECE_MAX],
    /// Which bytes of that are meant.
    mask: u32,
    length: u8,
    then: Then,
    /// What may follow; 0 if nothing is known.
    next: u8,
    /// What may stand in its place; 0 if nothing else is known.
    or: u8,
}

/// What comes after a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Another piece.
    More,
    /// The inside of a string, up to its closing quote.
    String,
    /// An integer of a few digits, without a sign.
    Digits,
    /// Any other value, at this depth of nesting.
    Other(u8),
    /// Nothing: the line is a message of this shape.
    End(u8),
    /// Nothing that is known: no piece was like the line.
    Stop,
}

/// Where the parts of a message are.
#[derive(Debug)]
pub(super) struct Shape {
    /// The slots of these, by their first edges.
    src: u8,
    msg_id: Option<NonZeroU8>,
    in_reply_to: Option<NonZeroU8>,
    dest: Fixed,
    kind: Fixed,
    body: Stretch,
    members: SmallVec<[Field; SLOTS_MAX]>,
}

/// A text without escapes that is part of the shape.
#[derive(Clone, Copy, Debug)]
struct Fixed {
    start: Place,
    length: u8,
}

/// A member of the body.
#[derive(Clone, Copy, Debug)]
struct Field {
    /// Without its quotes.
    key: Fixed,
    value: Stretch,
}

/// Where a value is in a line.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    start: Place,
    end: Place,
    /// If the line has no escapes, this is a string or an integer without a sign.
    is_plain: bool,
}

/// A place in a line: so many bytes after an edge.
#[derive(Clone, Copy, Debug)]
struct Place {
    edge: u8,
    offset: u8,
}

/// The edges of a line's slots, after its beginning.
type Edges = [u32; EDGES];

impl Then {
    /// In which order to try what comes after the same text: whoever fits one kind of value alone, then whoever fits any,
    /// then more text, from which there is no way back.
    const fn rank(self) -> u8 {
        match self {
            Self::String | Self::Digits | Self::End(_) | Self::Stop => 0,
            Self::Other(_) => 1,
            Self::More => 2,
        }
    }

    /// Whether it is the same, whatever the shape that ends here.
    fn is_like(self, other: Self) -> bool {
        self == other || matches!((self, other), (Self::End(_), Self::End(_)))
    }
}

impl Piece {
    /// Like anything, with nothing after it.
    const NONE: Self = Self { text: [0; PIECE_MAX], mask: 0, length: 0, then: Then::Stop, next: 0, or: 0 };

    fn text(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }
}

impl Place {
    #[inline(always)]
    fn find(self, edges: &Edges) -> usize {
        edges[usize::from(self.edge) % EDGES] as usize + usize::from(self.offset)
    }
}

impl Fixed {
    #[inline(always)]
    fn range(self, edges: &Edges) -> Range<usize> {
        let start = self.start.find(edges);
        start..start + usize::from(self.length)
    }
}

impl Stretch {
    #[inline(always)]
    fn span(self, edges: &Edges, escapes: bool) -> Span {
        let (start, end) = (self.start.find(edges), self.end.find(edges));
        if self.is_plain && !escapes { Span::plain(start, end) } else { Span::new(start, end) }
    }
}

/// The parts of the body of a line, found where they are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shaped<'a> {
    shape: &'a Shape,
    edges: &'a Edges,
}

impl<'a> Shaped<'a> {
    /// The body.
    pub(super) fn body(self, text: Text<'_>) -> Span {
        self.shape.body.span(self.edges, text.escapes)
    }

    /// The value of the last member of that name.
    #[inline(always)]
    pub(super) fn find(self, text: Text<'_>, name: &str) -> Option<Span> {
        for member in self.shape.members.iter().rev() {
            if usize::from(member.key.length) == name.len() {
                let start = member.key.start.find(self.edges);
                if text.line.as_bytes().get(start..start + name.len()) == Some(name.as_bytes()) {
                    return Some(member.value.span(self.edges, text.escapes));
                }
            }
        }
        None
    }

    /// Keys, with their quotes, and values.
    pub(super) fn members(self, text: Text<'a>) -> impl Iterator<Item = (Span, Span)> + 'a {
        self.shape.members.iter().map(move |member| {
            let key = member.key.range(self.edges);
            (Span::new(key.start - 1, key.end + 1), member.value.span(self.edges, text.escapes))
        })
    }
}

impl Shapes {
    /// No shape is known.
    pub fn new() -> Self {
        Self {
            pieces: Box::new([Piece::NONE; PIECES_MAX]),
            pieces_known: 1,
            known: Vec::with_capacity(SHAPES_MAX),
            credit: CREDIT_MAX,
            edges: [0; EDGES],
        }
    }

    /// Reads a line that is a message of a known shape, if there are [`PIECE_MAX`] bytes or more behind it. `None` says
    /// nothing about the line.
    #[inline(always)]
    pub fn read<'a>(&'a mut self, line: Line<'a>) -> Option<Envelope<'a>> {
        let (bytes, text) = (line.bytes_and_more(), line.text()?);
        if bytes.len() - text.len() < PIECE_MAX {
            return None;
        }
        self.envelope(bytes, text, Some(text.len()))
    }

    /// Takes the next line, if it is a message of a known shape. Where it ends, its shape tells.
    #[inline(always)]
    pub fn read_next<'a, 'l: 'a>(&'a mut self, lines: &mut Lines<'l>) -> Option<Envelope<'a>> {
        let (bytes, text) = lines.ahead()?;
        let envelope = self.envelope(bytes, text, None)?;
        lines.take(envelope.line().len()).then_some(envelope)
    }

    /// The message that is the beginning of `text`, up to `length` or a newline. More may be looked at, in `bytes`, which
    /// begin with the text.
    #[inline(always)]
    fn envelope<'a>(
        &'a mut self,
        bytes: &'a [u8],
        text: &'a str,
        length: Option<usize>,
    ) -> Option<Envelope<'a>> {
        let Self { pieces, known, credit, edges, .. } = self;
        let (mut edge, mut at, mut escapes) = (1, 0, false);
        let mut piece = &pieces[usize::from(pieces[0].next)];
        let shape = loop {
            let ahead = bytes.get(at..)?.first_chunk()?;
            if scan::equal(ahead, &piece.text) & piece.mask == piece.mask {
                let start = at + usize::from(piece.length);
                let end = match piece.then {
                    Then::String => string(bytes, text, start, length, &mut escapes),
                    Then::Digits => digits(bytes, start),
                    Then::Other(depth) => other(text, start, length, depth, &mut escapes),
                    Then::More => {
                        at = start;
                        piece = &pieces[usize::from(piece.next)];
                        continue;
                    }
                    Then::End(shape) => {
                        let is_end = match length {
                            Some(length) => start == length,
                            None => bytes.get(start) == Some(&b'\n'),
                        };
                        if is_end {
                            at = start;
                            break known.get(usize::from(shape))?;
                        }
                        None
                    }
                    Then::Stop => return None,
                };
                if let Some(end) = end {
                    at = end;
                    #[allow(clippy::cast_possible_truncation, reason = "checked when all are known")]
                    if let [first, last, ..] = &mut edges[edge % EDGES..] {
                        (*first, *last) = (start as u32, end as u32);
                    }
                    edge += 2;
                    piece = &pieces[usize::from(piece.next)];
                    continue;
                }
            }
            piece = &pieces[usize::from(piece.or)];
        };
        let text = Text { line: text.get(..at)?, escapes };
        if !has_spans(text.line.as_bytes()) {
            return None;
        }
        let edges = &*edges;
        let slot = |first: u8| {
            let first = usize::from(first);
            edges[first % EDGES] as usize..edges[(first + 1) % EDGES] as usize
        };
        let integer = |id: NonZeroU8| text.line.get(slot(id.get())).map(Integer::new);
        let msg_id = match shape.msg_id {
            Some(id) => Some(integer(id)?),
            None => None,
        };
        let in_reply_to = match shape.in_reply_to {
            Some(id) => Some(integer(id)?),
            None => None,
        };
        let src = slot(shape.src);
        let src = if escapes {
            text.value(Span::new(src.start - 1, src.end + 1)).as_str()?
        } else {
            Cow::Borrowed(text.line.get(src)?)
        };
        let dest = Cow::Borrowed(text.line.get(shape.dest.range(edges))?);
        let kind = Cow::Borrowed(text.line.get(shape.kind.range(edges))?);
        *credit = CREDIT_MAX.min(*credit + 1);
        Some(Envelope {
            src,
            dest,
            body: Body::shaped(kind, msg_id, in_reply_to, text, Shaped { shape, edges }),
        })
    }

    /// Learns the shape of a line that is a message.
    #[inline(never)]
    pub fn learn(&mut self, line: Line<'_>) {
        let bytes = line.bytes_and_more();
        if let (Some(credit), Some(text)) = (self.credit.checked_sub(COST), line.text())
            && bytes.len() - text.len() >= PIECE_MAX
        {
            self.credit = credit;
            self.learn_text(bytes, text);
        }
    }

    /// `None` if it is too unusual: what it comes to, the grammar alone knows.
    fn learn_text(&mut self, bytes: &[u8], text: &str) -> Option<()> {
        let mut draft = ShapeDraft {
            shapes: self,
            bytes,
            length: text.len(),
            edges: SmallVec::from_slice(&[0]),
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
        let mut lane = Lane::of_line(text)?;
        lane.open_object().ok()?;
        let mut is_first = true;
        while let Member::Value(_, name) = lane.member(is_first).ok()? {
            is_first = false;
            lane.peek();
            let (name, start) = (name.of_envelope(), lane.at());
            if name == Name::Other || !is_first_of(name) {
                return None;
            }
            if name == Name::Body {
                lane.open_object().ok()?;
                while let Member::Value(key, name) = lane.member(members.is_empty()).ok()? {
                    if members.len() == SLOTS_MAX {
                        return None;
                    }
                    let name = name.of_body();
                    if name != Name::Other && !is_first_of(name) {
                        return None;
                    }
                    let value = draft.value(&mut lane, name, 2)?;
                    let key = draft.fixed(key.start() + 1..key.end() - 1)?;
                    members.push(Field { key, value });
                }
                body = Some(draft.stretch(start..lane.at(), false)?);
            } else {
                draft.value(&mut lane, name, 1)?;
            }
        }
        lane.end().ok()?;
        let body = body?;
        let ShapeDraft { src, dest, kind, msg_id, in_reply_to, .. } = draft;
        let shape = Shape { src: src?.get(), dest: dest?, kind: kind?, msg_id, in_reply_to, body, members };
        draft.end(shape)
    }

    /// Makes a piece known that follows another; its place.
    fn add(&mut self, before: u8, text: &[u8], then: Then) -> Option<u8> {
        let pieces = &mut self.pieces;
        let mut place = pieces[usize::from(before)].next;
        // The one after which it comes, among those that may stand in its place.
        let mut earlier = 0;
        while place != 0 {
            let piece = &pieces[usize::from(place)];
            if piece.text() == text && piece.then.is_like(then) {
                return Some(place);
            }
            if piece.then.rank() < then.rank() {
                earlier = place;
            }
            place = piece.or;
        }
        let Ok(place) = u8::try_from(self.pieces_known) else {
            self.forget();
            return None;
        };
        self.pieces_known += 1;
        let link = match earlier {
            0 => &mut pieces[usize::from(before)].next,
            earlier => &mut pieces[usize::from(earlier)].or,
        };
        let or = mem::replace(link, place);
        let (mask, length) = (u32::MAX >> (PIECE_MAX - text.len()), u8::try_from(text.len()).ok()?);
        let piece = &mut pieces[usize::from(place)];
        *piece = Piece { mask, length, then, or, ..Piece::NONE };
        piece.text[..text.len()].copy_from_slice(text);
        Some(place)
    }

    fn forget(&mut self) {
        self.pieces[0] = Piece::NONE;
        self.pieces_known = 1;
        self.known.clear();
    }
}

impl Default for Shapes {
    fn default() -> Self {
        Self::new()
    }
}

/// A shape that is being learned.
struct ShapeDraft<'a> {
    shapes: &'a mut Shapes,
    /// The line that it is learned from, and what comes after it.
    bytes: &'a [u8],
    length: usize,
    /// The beginning of the line, and the edges of its slots so far.
    edges: SmallVec<[usize; EDGES]>,
    slots: SmallVec<[Then; SLOTS_MAX]>,
    src: Option<NonZeroU8>,
    msg_id: Option<NonZeroU8>,
    in_reply_to: Option<NonZeroU8>,
    dest: Option<Fixed>,
    kind: Option<Fixed>,
}

impl ShapeDraft<'_> {
    /// Takes the value that comes next, under this name of the schema.
    fn value(&mut self, lane: &mut Lane<'_>, name: Name, depth: u8) -> Option<Stretch> {
        let byte = lane.peek();
        let start = lane.at();
        let end = lane.value(usize::from(depth)).ok()?.end();
        let edge = u8::try_from(self.edges.len()).ok().and_then(NonZeroU8::new);
        let then = match byte {
            b'"' => Then::String,
            b'0'..=b'9' if digits(self.bytes, start) == Some(end) => Then::Digits,
            _ => Then::Other(depth),
        };
        match (name, then) {
            (Name::Src, Then::String) => self.src = edge,
            (Name::MsgId, Then::Digits) => self.msg_id = edge,
            (Name::InReplyTo, Then::Digits) => self.in_reply_to = edge,
            (Name::Dest, Then::String) => self.dest = Some(self.fixed(start + 1..end - 1)?),
            (Name::Type, Then::String) => self.kind = Some(self.fixed(start + 1..end - 1)?),
            (Name::Body | Name::Id | Name::Other, _) => {}
            _ => return None,
        }
        if !matches!(name, Name::Dest | Name::Type) {
            if self.slots.len() == SLOTS_MAX {
                return None;
            }
            let slot = if then == Then::String { start + 1..end - 1 } else { start..end };
            self.edges.extend([slot.start, slot.end]);
            self.slots.push(then);
        }
        self.stretch(start..end, !matches!(then, Then::Other(_)))
    }

    /// All of the line was taken: makes it known.
    fn end(mut self, shape: Shape) -> Option<()> {
        self.edges.push(self.length);
        let texts = self.edges.chunks(2).map(|text| &self.bytes[text[0]..text[1]]);
        // An escaped name is not what it spells, and a newline would end the line.
        if texts.clone().flatten().any(|byte| matches!(byte, b'\\' | b'\n')) {
            return None;
        }
        let Shapes { known, pieces_known, .. } = self.shapes;
        let (place, before) = (known.len(), *pieces_known);
        let end = Then::End(u8::try_from(place).ok()?);
        let mut last = 0;
        for (text, then) in texts.zip(self.slots.into_iter().chain([end])) {
            let mut pieces = text.chunks(PIECE_MAX).peekable();
            while let Some(text) = pieces.next() {
                let then = if pieces.peek().is_some() { Then::More } else { then };
                last = self.shapes.add(last, text, then)?;
            }
        }
        if self.shapes.pieces_known > before {
            if place == SHAPES_MAX {
                self.shapes.forget();
                return None;
            }
            self.shapes.known.push(shape);
        }
        Some(())
    }

    fn fixed(&self, range: Range<usize>) -> Option<Fixed> {
        Some(Fixed { start: self.place(range.start)?, length: u8::try_from(range.len()).ok()? })
    }

    /// Where these bytes are in lines of the shape.
    fn stretch(&self, range: Range<usize>, is_plain: bool) -> Option<Stretch> {
        Some(Stretch { start: self.place(range.start)?, end: self.place(range.end)?, is_plain })
    }

    fn place(&self, at: usize) -> Option<Place> {
        let edge = self.edges.iter().rposition(|&edge| edge <= at)?;
        let offset = u8::try_from(at - self.edges[edge]).ok()?;
        Some(Place { edge: u8::try_from(edge).ok()?, offset })
    }
}

/// The end of the inside of a string.
#[inline(always)]
fn string(
    bytes: &[u8],
    text: &str,
    start: usize,
    length: Option<usize>,
    escapes: &mut bool,
) -> Option<usize> {
    let end = start + find_special(bytes.get(start..)?)?;
    match bytes[end] {
        b'"' => Some(end),
        _ => string_with_escapes(text, start, length, escapes),
    }
}

#[cold]
fn string_with_escapes(text: &str, start: usize, length: Option<usize>, escapes: &mut bool) -> Option<usize> {
    value(text, start - 1, length, 0, escapes).map(|end| end - 1)
}

/// The end of an integer that is written with digits alone, few of them, before a comma or a bracket.
#[inline(always)]
fn digits(bytes: &[u8], start: usize) -> Option<usize> {
    let Digits { others, zeros } = scan::digits(bytes.get(start..)?.first_chunk()?);
    // Sixteen at most.
    let length = (others | 1 << WIDTH).trailing_zeros();
    let is_integer = length == 1 || (length > 1 && zeros & 1 == 0);
    let end = start + length as usize;
    (is_integer && matches!(bytes.get(end), Some(b',' | b'}'))).then_some(end)
}

/// The end of a value that is no string: those have slots of their own. White space before it would be of the shape.
#[inline(never)]
fn other(text: &str, start: usize, length: Option<usize>, depth: u8, escapes: &mut bool) -> Option<usize> {
    if matches!(text.as_bytes().get(start)?, b'"' | ..=b' ') {
        return None;
    }
    value(text, start, length, depth, escapes)
}

fn value(text: &str, start: usize, length: Option<usize>, depth: u8, escapes: &mut bool) -> Option<usize> {
    let end = match length {
        Some(length) => length,
        None => start + memchr(b'\n', text.as_bytes().get(start..)?)?,
    };
    let text = text.get(..end).filter(|text| has_spans(text.as_bytes()))?;
    let mut lane = Lane::within(text, start)?;
    let value = lane.value(usize::from(depth)).ok()?;
    *escapes |= lane.text().escapes;
    Some(value.end())
}

#[cfg(test)]
mod tests {
    use super::super::line::LineBuffer;
    use super::*;

    fn echo(id: &str, echo: &str) -> String {
        format!(
            r#"{{"id":{id},"src":"c1","dest":"n1","body":{{"echo":{echo},"type":"echo","msg_id":{id}}}}}"#
        )
    }

    /// A line among others.
    struct Among(String, usize);

    impl Among {
        fn new(line: &str) -> Self {
            Self(format!("{line}\n{}", "-".repeat(PIECE_MAX)), line.len())
        }

        fn line(&self) -> Line<'_> {
            Line::first_of(self.0.as_bytes(), self.1)
        }
    }

    /// Whether the line is read by the shapes, and the echo in it.
    fn read(shapes: &mut Shapes, line: &str) -> Option<String> {
        let line = Among::new(line);
        let envelope = shapes.read(line.line())?;
        assert_eq!((&*envelope.src, &*envelope.dest, &*envelope.body.kind), ("c1", "n1", "echo"));
        let id = envelope.body.get("msg_id").unwrap();
        assert_eq!(envelope.body.msg_id.unwrap().as_str(), id.raw());
        Some(envelope.body.get("echo").unwrap().raw().to_owned())
    }

    #[test]
    fn values_of_the_kind_that_was_there_are_read() {
        let mut shapes = Shapes::new();
        for (learned, others, not) in [
            (
                r#""a""#,
                vec![r#""""#, r#""0123456789abcdefg""#, r#""\u00e9""#, "\"\u{e9}\""],
                vec!["1", "[]", "-1", "\"", "\"\\x\""],
            ),
            (
                "7",
                vec!["0", "10", "123456789012345", "1234567890123456"],
                vec!["01", "-1", "1.5", "1e2", "", "null", "12345678901234567"],
            ),
            (
                "-1",
                vec!["[]", "[1,{}]", "null", "{\"a\":\"\\n\"}", "1.5", "1234567890123456"],
                vec!["[", " 1", "nul"],
            ),
        ] {
            for value in others.iter().chain(&not) {
                assert_eq!(
                    read(&mut shapes, &echo("1", value)),
                    None,
                    "{value} before {learned} was learned"
                );
            }
            shapes.learn(Among::new(&echo("12", learned)).line());
            for value in others {
                assert_eq!(read(&mut shapes, &echo("1", value)).as_deref(), Some(value));
                assert_eq!(read(&mut shapes, &(echo("1", value) + " ")), None);
                assert_eq!(read(&mut shapes, &echo("1.0", value)), None);
            }
            for value in not {
                assert_eq!(read(&mut shapes, &echo("1", value)), None, "{value} as {learned}");
            }
            shapes = Shapes::new();
        }
    }

    #[test]
    fn whatever_the_order_of_learning_each_kind_is_read() {
        let values = ["1", "\"x\"", "[]"];
        // With some of these keys a piece ends where the value begins.
        for key in (1..40).map(|length| "k".repeat(length)) {
            let line = |value: &str| echo("1", &format!("2,\"{key}\":{value}"));
            for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
                let mut shapes = Shapes::new();
                for value in order {
                    shapes.learn(Among::new(&line(values[value])).line());
                }
                for value in values {
                    assert!(read(&mut shapes, &line(value)).is_some(), "{} in {order:?}", line(value));
                }
                let known = (shapes.known.len(), shapes.pieces_known);
                shapes.learn(Among::new(&line("2")).line());
                assert_eq!((shapes.known.len(), shapes.pieces_known), known, "nothing was new");
            }
        }
    }

    #[test]
    fn what_is_no_message_leaves_nothing() {
        let mut shapes = Shapes::new();
        let good = echo("1", "2");
        for line in [
            good.clone() + "x",
            good.replace("src", "sender"),
            good.replace("\"id\":1", "\"id\":1,\"id\":1"),
            good.replace("\"msg_id\":1", "\"msg_id\":-1"),
            good.replace("echo\":", "ech\\u006f\":"),
            good.replace('2', &format!("2{}", ",\"k\":3".repeat(SLOTS_MAX))),
            good.replace(':', " :\n"),
        ] {
            shapes.learn(Among::new(&line).line());
            assert_eq!((shapes.known.len(), shapes.pieces_known), (0, 1), "{line}");
        }
        shapes.learn(Line::new(good.as_bytes()));
        assert_eq!(shapes.pieces_known, 1, "there is nothing behind the line to look at");
    }

    #[test]
    fn lines_are_taken_one_by_one() {
        let mut shapes = Shapes::new();
        shapes.learn(Among::new(&echo("1", "2")).line());
        shapes.learn(Among::new(&echo("1", "[]")).line());
        // A newline within an array would be white space, if it did not end the line.
        let lines =
            [echo("1", "[2]"), echo("3", "[4,\n5]"), echo("5", "6") + "x", echo("7", "8"), echo("9", "0")];
        let text = lines.join("\n");
        let mut buffer = LineBuffer::new(1000);
        buffer.space()[..text.len()].copy_from_slice(text.as_bytes());
        buffer.filled(text.len());
        let mut lines = buffer.lines();
        for by_shape in [true, false, false, false, true] {
            let envelope = shapes.read_next(&mut lines).map(|envelope| envelope.line().to_owned());
            assert_eq!(envelope.is_some(), by_shape, "{envelope:?}");
            if !by_shape {
                lines.next().unwrap();
            }
        }
        // The newline of the last one has not come.
        assert!(shapes.read_next(&mut lines).is_none() && lines.next().is_none());
        let mut short = LineBuffer::new(10);
        short.space()[..text.len()].copy_from_slice(text.as_bytes());
        short.filled(text.len());
        assert!(shapes.read_next(&mut short.lines()).is_none(), "it is too long");
    }

    #[test]
    fn shapes_without_end_are_forgotten_and_learned_again() {
        let mut shapes = Shapes::new();
        shapes.learn(Among::new(&echo("1", "2")).line());
        for n in 0..100_000 {
            let line = echo("1", &format!("2,\"key {n}\":3"));
            shapes.learn(Among::new(&line).line());
            if n < 2 * SHAPES_MAX - 2 {
                // One of them finds no room, and makes it.
                assert_eq!(read(&mut shapes, &line).is_some(), n + 1 != SHAPES_MAX, "{n}");
            }
        }
        assert!(shapes.known.len() <= SHAPES_MAX && shapes.pieces_known <= PIECES_MAX);
        assert!(shapes.credit < COST, "nothing paid for so many");
    }
}
