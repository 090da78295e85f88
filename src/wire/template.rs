//! The templates of lines: the quick way to read a message that differs from an earlier one in its values alone, as nearly
//! all messages to a node do.
//!
//! A template is a line without its values, but for `dest` and `type`, which hardly ever change. What is left is segments of
//! text with slots for values between them. Templates are learned from messages that the grammar and the schema have
//! accepted. They make a tree, in which those that begin alike share their beginning. A line that has the segments of one
//! from first to last, and in each slot a value of the kind that was there, is a message, and everything in it is where
//! it was, but for the lengths of the values. Any other line is left to the grammar.

use std::borrow::Cow;
use std::num::NonZeroU8;
use std::ops::Range;

use simdutf8::basic::from_utf8;

use super::envelope::{Body, Envelope};
use super::lines::{Line, Lines, MARGIN};
use super::members::{BOUNDARIES, Boundaries, Layout, Literal, Members};
use crate::json::cursor::{escape_len, is_scalar};
use crate::json::scan::{self, Digits, WIDTH, find_special};
use crate::json::text::{Span, Text, has_spans};
use crate::json::unescape::string_at;
use crate::json::value::{Integer, ends_scalar};

/// A segment has so many bytes at most; longer text makes several.
pub const SEGMENT_MAX: usize = 2 * WIDTH;

const _: () = assert!(SEGMENT_MAX <= MARGIN, "a line buffer lets a template look so far ahead");

/// So many segments are known at most. If there are more, all are forgotten, once there is credit for it.
pub(super) const SEGMENTS_MAX: usize = 1024;

/// The same of templates. An echo's members alone can come in 144 orders.
pub(super) const TEMPLATES_MAX: usize = 256;

/// The same of segments at one place, which are tried one after the other.
pub(super) const ALTERNATIVES_MAX: usize = 32;

/// One template is learned in so many lines, on average.
pub(super) const COST: u32 = 32;

/// Credit for as many templates as may be learned in a row.
pub(super) const CREDIT_MAX: u32 = 128 * COST;

/// The templates that are known.
#[derive(Debug)]
pub struct Templates {
    /// The tree. The first is a sentinel: its `next` is the root, and a search that finds no segment ends at it, because it
    /// is like any text.
    pub(super) segments: Box<[Segment; SEGMENTS_MAX]>,
    pub(super) segments_known: usize,
    pub(super) known: Vec<Template>,
    /// There was no room for one.
    pub(super) is_full: bool,
    /// Lines that were of a known template, since somebody asked.
    hits: u32,
    /// Grows with every line and pays for the templates that are learned: where no line is like another, little is lost.
    pub(super) credit: u32,
    /// Of the line that was read last.
    boundaries: Boundaries,
}

/// A segment of text, and what comes after it.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Segment {
    pub(super) text: [u8; SEGMENT_MAX],
    /// Which bytes of that are meant.
    pub(super) mask: u32,
    pub(super) length: u8,
    pub(super) expect: Expect,
    /// What may follow; 0 if nothing is known.
    pub(super) next: u16,
    /// What may stand in its place; 0 if nothing else is known.
    pub(super) alternative: u16,
}

/// What comes after a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// Another segment.
    More,
    /// The inside of a string, up to its closing quote.
    String,
    /// An integer of a few digits, without a sign.
    Digits,
    /// Any number, `true`, `false` or `null`.
    Scalar,
    /// Nothing: the line is a message of this template.
    End(u8),
    /// Nothing that is known: no segment was like the line.
    Stop,
}

/// Where the parts of a message are.
#[derive(Debug)]
pub(super) struct Template {
    /// The slots of these, by their first boundaries.
    pub(super) src: u8,
    pub(super) msg_id: Option<NonZeroU8>,
    pub(super) in_reply_to: Option<NonZeroU8>,
    pub(super) dest: Literal,
    pub(super) kind: Literal,
    pub(super) layout: Layout,
    pub(super) is_bare: bool,
}

impl Expect {
    /// In which order to try what comes after the same text: whoever fits one kind of value alone, then whoever fits any,
    /// then more text, from which there is no way back.
    pub(super) const fn rank(self) -> u8 {
        match self {
            Self::String | Self::Digits | Self::End(_) | Self::Stop => 0,
            Self::Scalar => 1,
            Self::More => 2,
        }
    }

    /// Whether it is the same, whatever the template that ends here.
    pub(super) fn is_like(self, other: Self) -> bool {
        self == other || matches!((self, other), (Self::End(_), Self::End(_)))
    }
}

impl Segment {
    /// Like anything, with nothing after it.
    pub(super) const NONE: Self =
        Self { text: [0; SEGMENT_MAX], mask: 0, length: 0, expect: Expect::Stop, next: 0, alternative: 0 };

    pub(super) fn text(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }
}

impl Templates {
    /// No template is known.
    pub fn new() -> Self {
        // On the heap from the start: as an array it would be built on the stack.
        let segments = vec![Segment::NONE; SEGMENTS_MAX].into_boxed_slice();
        Self {
            segments: segments.try_into().unwrap_or_else(|_| unreachable!("there are as many")),
            segments_known: 1,
            known: Vec::with_capacity(TEMPLATES_MAX),
            is_full: false,
            hits: 0,
            credit: CREDIT_MAX,
            boundaries: [0; BOUNDARIES],
        }
    }

    /// Reads a line that is a message of a known template, if there are [`SEGMENT_MAX`] bytes or more behind it. `None` says
    /// nothing about the line.
    #[inline(always)]
    pub fn read<'a>(&'a mut self, line: Line<'a>) -> Option<Envelope<'a>> {
        let bytes = line.bytes_and_more();
        if bytes.len() - line.bytes().len() < SEGMENT_MAX {
            return None;
        }
        let text = from_utf8(line.bytes()).ok()?;
        self.envelope(bytes, text, Some(text.len()))
    }

    /// Takes the next line, if it is a message of a known template. Where it ends, its template tells.
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
        let Self { segments, known, hits, boundaries, .. } = self;
        let (mut boundary, mut at, mut escapes) = (1, 0, false);
        let mut segment = &segments[usize::from(segments[0].next) % SEGMENTS_MAX];
        let template = loop {
            let ahead = bytes.get(at..)?.first_chunk()?;
            if scan::equal(ahead, &segment.text) & segment.mask == segment.mask {
                let start = at + usize::from(segment.length);
                let end = match segment.expect {
                    Expect::String => string(bytes, start, &mut escapes),
                    Expect::Digits => digits(bytes, start),
                    Expect::Scalar => scalar(text.as_bytes(), start),
                    Expect::More => {
                        at = start;
                        segment = &segments[usize::from(segment.next) % SEGMENTS_MAX];
                        continue;
                    }
                    Expect::End(template) => {
                        let is_end = match length {
                            Some(length) => start == length,
                            None => bytes.get(start) == Some(&b'\n'),
                        };
                        if is_end {
                            at = start;
                            break known.get(usize::from(template))?;
                        }
                        None
                    }
                    Expect::Stop => return None,
                };
                if let Some(end) = end {
                    at = end;
                    #[allow(clippy::cast_possible_truncation, reason = "checked when all are known")]
                    if let [first, last, ..] = &mut boundaries[boundary % BOUNDARIES..] {
                        (*first, *last) = (start as u32, end as u32);
                    }
                    boundary += 2;
                    segment = &segments[usize::from(segment.next) % SEGMENTS_MAX];
                    continue;
                }
            }
            segment = &segments[usize::from(segment.alternative) % SEGMENTS_MAX];
        };
        let text = Text { line: text.get(..at)?, escapes };
        if !has_spans(text.line.as_bytes()) {
            return None;
        }
        let boundaries = &*boundaries;
        let slot = |first: u8| {
            let first = usize::from(first);
            boundaries[first % BOUNDARIES] as usize..boundaries[(first + 1) % BOUNDARIES] as usize
        };
        let msg_id = match template.msg_id {
            Some(id) => Some(Integer::new(part(text.line, slot(id.get()))?)),
            None => None,
        };
        let in_reply_to = match template.in_reply_to {
            Some(id) => Some(Integer::new(part(text.line, slot(id.get()))?)),
            None => None,
        };
        let src = slot(template.src);
        let src = if escapes {
            string_at(text, Span::new(src.start - 1, src.end + 1))?
        } else {
            Cow::Borrowed(part(text.line, src)?)
        };
        let dest = Cow::Borrowed(part(text.line, template.dest.range(boundaries))?);
        let kind = Cow::Borrowed(part(text.line, template.kind.range(boundaries))?);
        *hits = hits.wrapping_add(1);
        Some(Envelope {
            src,
            dest,
            body: Body::new(
                kind,
                msg_id,
                in_reply_to,
                text,
                Members::Templated(&template.layout, boundaries),
            ),
            is_bare: template.is_bare,
        })
    }

    /// Takes note of a line that is of no template; how many before it were.
    pub(super) fn note_miss(&mut self) -> u32 {
        let hits = std::mem::take(&mut self.hits);
        self.credit = CREDIT_MAX.min(self.credit.saturating_add(hits).saturating_add(1));
        hits
    }
}

impl Default for Templates {
    fn default() -> Self {
        Self::new()
    }
}

/// A part of a text, as [`str::get`] has it, which is a call.
#[inline(always)]
fn part(text: &str, range: Range<usize>) -> Option<&str> {
    text.split_at_checked(range.end)?.0.split_at_checked(range.start).map(|(_, part)| part)
}

/// The end of the inside of a string.
#[inline(always)]
fn string(bytes: &[u8], start: usize, escapes: &mut bool) -> Option<usize> {
    let end = start + find_special(bytes.get(start..)?)?;
    match bytes[end] {
        b'"' => Some(end),
        _ => string_with_escapes(bytes, end, escapes),
    }
}

#[inline(never)]
fn string_with_escapes(bytes: &[u8], mut end: usize, escapes: &mut bool) -> Option<usize> {
    *escapes = true;
    loop {
        match bytes.get(end)? {
            b'"' => return Some(end),
            b'\\' => end += escape_len(&bytes[end..])?,
            // A control character, such as the end of the line.
            _ => return None,
        }
        end += find_special(bytes.get(end..)?)?;
    }
}

/// The end of an integer that is written with digits alone, few of them, before a comma or a bracket.
#[inline(always)]
pub(super) fn digits(bytes: &[u8], start: usize) -> Option<usize> {
    let Digits { others, zeros } = scan::digits(bytes.get(start..)?.first_chunk()?);
    // Sixteen at most.
    let length = (others | 1 << WIDTH).trailing_zeros();
    let is_integer = length == 1 || (length > 1 && zeros & 1 == 0);
    let end = start + length as usize;
    (is_integer && matches!(bytes.get(end), Some(b',' | b'}'))).then_some(end)
}

/// The end of a number, `true`, `false` or `null`.
#[inline(never)]
fn scalar(text: &[u8], start: usize) -> Option<usize> {
    let rest = text.get(start..)?;
    let length = rest.iter().position(|&byte| ends_scalar(byte))?;
    let is_scalar = !rest.starts_with(b"\"") && is_scalar(&rest[..length], false);
    is_scalar.then_some(start + length)
}

#[cfg(test)]
mod tests {
    use super::super::lines::LineBuffer;
    use super::super::members::SLOTS_MAX;
    use super::*;
    use crate::json::parser::Parser;

    fn echo(id: &str, echo: &str) -> String {
        format!(
            r#"{{"id":{id},"src":"c1","dest":"n1","body":{{"echo":{echo},"type":"echo","msg_id":{id}}}}}"#
        )
    }

    /// A line among others.
    struct Among(String, usize);

    impl Among {
        fn new(line: &str) -> Self {
            Self(format!("{line}\n{}", "-".repeat(SEGMENT_MAX)), line.len())
        }

        fn line(&self) -> Line<'_> {
            Line::first_of(self.0.as_bytes(), self.1)
        }
    }

    fn learn(templates: &mut Templates, line: Line<'_>) {
        templates.learn(&mut Parser::new(), line);
    }

    /// Whether the line is read by the templates, and the echo in it.
    fn read(templates: &mut Templates, line: &str) -> Option<String> {
        let line = Among::new(line);
        let envelope = templates.read(line.line())?;
        assert_eq!((&*envelope.src, &*envelope.dest, &*envelope.body.kind), ("c1", "n1", "echo"));
        let id = envelope.body.get("msg_id").unwrap();
        assert_eq!(envelope.body.msg_id.unwrap().as_str(), id.raw());
        Some(envelope.body.get("echo").unwrap().raw().to_owned())
    }

    #[test]
    fn values_of_the_kind_that_was_there_are_read() {
        let mut templates = Templates::new();
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
                vec!["null", "true", "-0", "1.5", "2e-7", "1234567890123456"],
                vec!["[", "[]", "[1,{}]", "{}", "\"\"", " 1", "nul", "1.", "01"],
            ),
        ] {
            for value in others.iter().chain(&not) {
                assert_eq!(
                    read(&mut templates, &echo("1", value)),
                    None,
                    "{value} before {learned} was learned"
                );
            }
            learn(&mut templates, Among::new(&echo("12", learned)).line());
            for value in others {
                assert_eq!(read(&mut templates, &echo("1", value)).as_deref(), Some(value));
                assert_eq!(read(&mut templates, &(echo("1", value) + " ")), None);
                assert_eq!(read(&mut templates, &echo("1.0", value)), None);
            }
            for value in not {
                assert_eq!(read(&mut templates, &echo("1", value)), None, "{value} as {learned}");
            }
            templates = Templates::new();
        }
    }

    #[test]
    fn whatever_the_order_of_learning_each_kind_is_read() {
        let values = ["1", "\"x\"", "null"];
        // With some of these keys a segment ends where the value begins.
        for key in (1..40).map(|length| "k".repeat(length)) {
            let line = |value: &str| echo("1", &format!("2,\"{key}\":{value}"));
            for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
                let mut templates = Templates::new();
                for value in order {
                    learn(&mut templates, Among::new(&line(values[value])).line());
                }
                for value in values {
                    assert!(read(&mut templates, &line(value)).is_some(), "{} in {order:?}", line(value));
                }
                let known = (templates.known.len(), templates.segments_known);
                learn(&mut templates, Among::new(&line("2")).line());
                assert_eq!((templates.known.len(), templates.segments_known), known, "nothing was new");
            }
        }
    }

    #[test]
    fn what_is_no_message_leaves_nothing() {
        let mut templates = Templates::new();
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
            learn(&mut templates, Among::new(&line).line());
            assert_eq!((templates.known.len(), templates.segments_known), (0, 1), "{line}");
        }
        learn(&mut templates, Line::new(good.as_bytes()));
        assert_eq!(templates.segments_known, 1, "there is nothing behind the line to look at");
    }

    #[test]
    fn lines_are_taken_one_by_one() {
        let mut templates = Templates::new();
        learn(&mut templates, Among::new(&echo("1", "2")).line());
        learn(&mut templates, Among::new(&echo("1", "null")).line());
        let lines =
            [echo("1", "-2"), echo("3", "-4\n"), echo("5", "6") + "x", echo("7", "8"), echo("9", "0")];
        let text = lines.join("\n");
        let mut buffer = LineBuffer::new(1000);
        buffer.space()[..text.len()].copy_from_slice(text.as_bytes());
        buffer.filled(text.len());
        let mut lines = buffer.lines();
        for by_template in [true, false, false, false, true] {
            let envelope = templates.read_next(&mut lines).map(|envelope| envelope.line().to_owned());
            assert_eq!(envelope.is_some(), by_template, "{envelope:?}");
            if !by_template {
                lines.next().unwrap();
            }
        }
        // The newline of the last one has not come.
        assert!(templates.read_next(&mut lines).is_none() && lines.next().is_none());
        let mut short = LineBuffer::new(10);
        short.space()[..text.len()].copy_from_slice(text.as_bytes());
        short.filled(text.len());
        assert!(templates.read_next(&mut short.lines()).is_none(), "it is too long");
    }

    #[test]
    fn templates_without_end_are_forgotten_and_learned_again() {
        // One place has all its alternatives at once, or many have a few, before the templates are too many.
        let many = |n: usize| format!("2,\"key {n}\":3");
        let few = |n: usize| format!("2,\"key {}\":3,\"other {}\":4", n / 16, n % 16);
        for (room, member) in [(ALTERNATIVES_MAX, &many as &dyn Fn(usize) -> String), (TEMPLATES_MAX, &few)] {
            let mut templates = Templates::new();
            learn(&mut templates, Among::new(&echo("1", "2")).line());
            let mut known = 1;
            for n in 0..100_000 {
                let line = echo("1", &member(n));
                let is_paid = n < 3 * TEMPLATES_MAX;
                if is_paid {
                    templates.credit = CREDIT_MAX;
                }
                let was_full = templates.is_full;
                learn(&mut templates, Among::new(&line).line());
                if is_paid {
                    known = if was_full { 1 } else { known + 1 };
                    // One finds no room. The next makes it, and is the first of the new ones.
                    assert_eq!(templates.is_full, known > room, "{n}");
                    assert_eq!(read(&mut templates, &line).is_some(), !templates.is_full, "{n}");
                }
            }
            assert!(templates.known.len() <= TEMPLATES_MAX && templates.segments_known <= SEGMENTS_MAX);
            let cost = if templates.is_full { CREDIT_MAX } else { COST };
            assert!(templates.credit < cost, "nothing paid for so many");
        }
    }
}
