//! The shapes of lines: the quick way to read a line that differs from an earlier one in its values alone, as nearly
//! all lines of a node do.
//!
//! A shape is a line without its values. It is a row of pieces of text, each up to where a value begins, or the body
//! begins or ends, or the line ends. Shapes are learned from lines that the grammar has accepted. They make a tree, in
//! which those that begin alike share their beginning. A line that has the pieces of one from first to last, and
//! values between them, is a line that the grammar accepts, with the same keys in the same places. Any other is left to
//! the grammar.

use std::mem;
use std::ops::Range;

use super::grammar::{Member, Name, Walk as _};
use super::json::{Line, Members, Span, has_spans};
use super::lane::Lane;
use super::message::Parts;
use super::scan::{self, Bits, WIDTH, find_special};

/// So many pieces are known at most. If there are more, all are forgotten.
const PIECES_MAX: usize = 128;

/// A shape costs as much to learn as it saves in so many lines.
const COST: u32 = 8;

/// Credit for as many shapes as may be learned in a row.
const CREDIT_MAX: u32 = 128 * COST;

/// The shapes that are known.
#[derive(Debug)]
pub(super) struct Shapes {
    /// The tree. The first of them is none, but what all begin with.
    pieces: [Piece; PIECES_MAX],
    count: u8,
    /// Grows with every line of a known shape and pays for those that are learned: where no line is like another, little
    /// is lost.
    credit: u32,
}

/// A piece of a line.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct Piece {
    text: [u8; WIDTH],
    /// Which bytes of that are meant.
    mask: Bits,
    length: u8,
    /// Where its key begins and ends, with the quotes.
    key: (u8, u8),
    /// How much of it belongs to the body.
    body: u8,
    then: Then,
    /// What may follow; 0 if nothing is known.
    next: u8,
    /// What may come in its stead; 0 if nothing else is known.
    or: u8,
}

/// What comes after a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// A value, under this name of the schema.
    Value { name: Name, in_body: bool },
    /// The body, an object.
    Body,
    /// Nothing: the line is all there.
    End,
    /// Nobody knows.
    Unknown,
}

impl Piece {
    /// Is like anything.
    const NONE: Self = Self {
        text: [0; WIDTH],
        mask: 0,
        length: 0,
        key: (0, 0),
        body: 0,
        then: Then::Unknown,
        next: 0,
        or: 0,
    };

    fn text(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }
}

impl Shapes {
    pub(super) const fn new() -> Self {
        Self { pieces: [Piece::NONE; PIECES_MAX], count: 1, credit: CREDIT_MAX }
    }

    /// Reads a line of a known shape, that is this text; says whether there are escapes in it. If the shape is not known
    /// or a value is none, some of `parts` may be filled.
    #[inline(always)]
    pub(super) fn read(
        &mut self,
        line: Line<'_>,
        text: &str,
        parts: &mut Parts,
        members: &mut Members,
    ) -> Option<bool> {
        if !has_spans(text.as_bytes()) {
            return None;
        }
        let bytes = line.bytes_and_more();
        let (mut at, mut body, mut escapes) = (0, 0, false);
        let mut piece = &self.pieces[0];
        loop {
            let ahead = bytes.get(at..)?.first_chunk()?;
            piece = self.piece(piece.next);
            // At last it is the first of them, which is like anything.
            while scan::equal(*ahead, piece.text) & piece.mask != piece.mask {
                piece = self.piece(piece.or);
            }
            let start = at;
            at += usize::from(piece.length);
            match piece.then {
                Then::Value { name, in_body } => {
                    let value = match scalar(bytes.get(at..)?) {
                        Some(length) => Span::plain(at, at + length),
                        None => other_value(text, at, 1 + usize::from(in_body), &mut escapes)?,
                    };
                    parts[name as usize] = Some(value);
                    if in_body {
                        let (key, key_end) = piece.key;
                        members.push((
                            Span::plain(start + usize::from(key), start + usize::from(key_end)),
                            value,
                        ));
                    } else if piece.body != 0 {
                        parts[Name::Body as usize] = Some(Span::new(body, start + usize::from(piece.body)));
                    }
                    at = value.end();
                }
                Then::Body => {
                    body = at;
                    members.clear();
                }
                Then::End if at == text.len() => {
                    if piece.body != 0 {
                        parts[Name::Body as usize] = Some(Span::new(body, start + usize::from(piece.body)));
                    }
                    self.credit = CREDIT_MAX.min(self.credit + 1);
                    return Some(escapes);
                }
                Then::End | Then::Unknown => return None,
            }
        }
    }

    #[inline(always)]
    fn piece(&self, place: u8) -> &Piece {
        &self.pieces[usize::from(place) % PIECES_MAX]
    }

    /// Learns the shape of a line that the grammar accepts.
    #[inline(never)]
    pub(super) fn learn(&mut self, line: Line<'_>, text: &str) {
        // Others are not read by shapes.
        let has_more = line.bytes_and_more().len() - text.len() >= WIDTH;
        if has_more && let Some(credit) = self.credit.checked_sub(COST) {
            self.credit = credit;
            self.learn_line(text);
        }
    }

    /// `None` if it is too unusual: what it comes to, the grammar alone knows.
    fn learn_line(&mut self, text: &str) -> Option<()> {
        let mut lane = Lane::of_line(text)?;
        let (mut last, mut from, mut has_body) = (0, 0, false);
        // Where the body ends that was walked last, to be passed by the next piece.
        let mut body_end = 0;
        lane.open_object().ok()?;
        while let Member::Value(key, name) = lane.member(from == 0).ok()? {
            let starts_object = lane.peek() == b'{';
            let then = match name.of_envelope() {
                Name::Body if starts_object && !has_body => Then::Body,
                Name::Body | Name::Other => return None,
                name => Then::Value { name, in_body: false },
            };
            let range = from..lane.at();
            last = self.add(last, text, range, Some(key), body_end, then)?;
            (from, body_end) = (lane.at(), 0);
            if then == Then::Body {
                has_body = true;
                lane.open_object().ok()?;
                let mut is_first = true;
                while let Member::Value(key, name) = lane.member(is_first).ok()? {
                    is_first = false;
                    lane.peek();
                    let then = Then::Value { name: name.of_body(), in_body: true };
                    last = self.add(last, text, from..lane.at(), Some(key), 0, then)?;
                    lane.value(2).ok()?;
                    from = lane.at();
                }
                body_end = lane.at();
            } else {
                lane.value(1).ok()?;
                from = lane.at();
            }
        }
        self.add(last, text, from..text.len(), None, body_end, Then::End)?;
        Some(())
    }

    /// Makes a piece known that follows the one at `last`; its place.
    fn add(
        &mut self,
        last: u8,
        line: &str,
        range: Range<usize>,
        key: Option<Span>,
        body_end: usize,
        then: Then,
    ) -> Option<u8> {
        let text = &line.as_bytes()[range.clone()];
        // An escaped key is not its own name, and a newline would end the line.
        if text.len() > WIDTH || text.iter().any(|byte| matches!(byte, b'\\' | b'\n')) {
            return None;
        }
        #[allow(clippy::cast_possible_truncation, reason = "a piece is short")]
        let within = |at: usize| at.saturating_sub(range.start) as u8;
        let body = within(body_end);
        let mut place = self.pieces[usize::from(last)].next;
        while place != 0 {
            let piece = self.piece(place);
            if piece.text() == text && piece.then == then && piece.body == body {
                return Some(place);
            }
            place = piece.or;
        }
        if usize::from(self.count) == PIECES_MAX {
            *self = Self { credit: self.credit, ..Self::new() };
            return None;
        }
        let key = key.map_or(0..0, Span::range);
        let key = (within(key.start), within(key.end));
        let place = self.count;
        self.count += 1;
        let or = mem::replace(&mut self.pieces[usize::from(last)].next, place);
        let length = within(range.end);
        let piece = &mut self.pieces[usize::from(place)];
        *piece = Piece { mask: (1 << length) - 1, length, key, body, then, or, ..Piece::NONE };
        piece.text[..text.len()].copy_from_slice(text);
        Some(place)
    }
}

/// The length of a string without escapes or an integer that is not negative.
#[inline(always)]
fn scalar(text: &[u8]) -> Option<usize> {
    let ahead: &[u8; WIDTH] = text.first_chunk()?;
    match text[0] {
        b'"' => {
            let specials = scan::specials(*ahead) & !1;
            if specials == 0 {
                let end = WIDTH + find_special(&text[WIDTH..])?;
                return (text[end] == b'"').then_some(end + 1);
            }
            let end = specials.trailing_zeros() as usize;
            (text.get(end) == Some(&b'"')).then_some(end + 1)
        }
        b'0'..=b'9' => {
            let length = scan::digits(*ahead).trailing_ones() as usize;
            let is_whole = length < WIDTH && matches!(text.get(length), Some(b',' | b'}'));
            (is_whole && (text[0] != b'0' || length == 1)).then_some(length)
        }
        _ => None,
    }
}

#[inline(never)]
fn other_value(text: &str, at: usize, depth: usize, escapes: &mut bool) -> Option<Span> {
    let mut lane = Lane::within(text, at)?;
    let value = lane.value(depth).ok()?;
    *escapes |= lane.text().escapes;
    Some(value)
}
