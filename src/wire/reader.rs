//! Lines to messages.
//!
//! Nearly all lines of a node differ from an earlier one in their values alone: those are read by
//! [templates](super::template), without which nothing would behave differently. For any other, simd-json's first stage
//! finds the tokens, and a cursor over them is the only grammar.
//!
//! Where most lines are of templates, another one is indexed alone, in a copy. Where most are not, the first one makes all
//! that is left of the read be indexed at once, where it lies, which takes fewer instructions for each. If the index
//! of a read is refused, its lines are indexed one by one, which finds the culprit. Values are always borrowed from where
//! the read put them.

use super::envelope::{Envelope, SchemaError, UncheckedEnvelope};
use super::lines::{Line, LineBuffer, Lines, NextLine};
use super::template::Templates;
use crate::json::cursor::Cursor;
use crate::json::error::SyntaxError;
use crate::json::parser::{Parser, cursor_of};
use crate::json::text::Span;

/// Reads lines and reuses its memory.
#[derive(Debug)]
pub struct Reader {
    templates: Templates,
    parser: Parser,
    /// Template hits for each miss: a moving average, in units of 1 / [`ONE`].
    hits_per_miss: u32,
}

/// One line, for averages.
const ONE: u32 = 256;

/// So many are expected where nothing is known yet, and no more are counted.
const HITS_MAX: u32 = 4;

/// What a line is.
#[derive(Debug)]
pub enum Read<'r> {
    /// A message.
    Message(&'r Envelope<'r>),
    /// JSON, but no message: what it has, and the first thing that is wrong.
    NotMessage(&'r UncheckedEnvelope<'r>, SchemaError),
    /// Something else than a JSON object.
    NotJson(SyntaxError),
    /// Too long; its length in bytes.
    TooLong(u64),
}

impl Reader {
    /// A reader that has seen nothing yet.
    pub fn new() -> Self {
        Self { templates: Templates::new(), parser: Parser::new(), hits_per_miss: HITS_MAX * ONE }
    }

    /// Hands on what the whole lines are, one after the other, until `take` says that it wants no more for now; whether
    /// those were all.
    #[inline(always)]
    pub fn read(&mut self, lines: &mut LineBuffer, mut take: impl FnMut(Read<'_>) -> bool) -> bool {
        let mut whole = lines.lines();
        loop {
            while let Some(envelope) = self.templates.read_next(&mut whole) {
                if !take(Read::Message(&envelope)) {
                    return false;
                }
            }
            if whole.is_empty() {
                self.parser.give_back();
                return true;
            }
            self.note_other();
            if self.are_most_others() {
                return self.read_others(lines, &mut take);
            }
            if !self.read_other(&mut whole, None, &mut take) {
                return false;
            }
        }
    }

    /// Takes note of a line that is of no template.
    fn note_other(&mut self) {
        let hits = self.templates.note_miss().min(HITS_MAX);
        self.hits_per_miss += hits * ONE / 8;
        self.hits_per_miss -= self.hits_per_miss / 8;
    }

    /// Whether most lines were of no template lately.
    const fn are_most_others(&self) -> bool {
        self.hits_per_miss < ONE / 2
    }

    /// Hands on the whole lines, from one on that is of no template: all of them are indexed, where they lie.
    #[inline(never)]
    fn read_others(&mut self, lines: &mut LineBuffer, take: &mut impl FnMut(Read<'_>) -> bool) -> bool {
        let is_indexed = lines.index(&mut self.parser.index);
        let mut whole = lines.lines();
        let mut token = 0;
        while !whole.is_empty() {
            if !self.read_other(&mut whole, is_indexed.then_some(&mut token), take) {
                return false;
            }
            while let Some(envelope) = self.templates.read_next(&mut whole) {
                if !take(Read::Message(&envelope)) {
                    return false;
                }
            }
            self.note_other();
        }
        self.parser.give_back();
        true
    }

    /// Hands on the next line, which is of no template. If the lines are indexed, `token` is one before its own.
    #[inline(never)]
    fn read_other(
        &mut self,
        lines: &mut Lines<'_>,
        token: Option<&mut usize>,
        take: &mut impl FnMut(Read<'_>) -> bool,
    ) -> bool {
        let start = lines.offset();
        let line = match lines.next() {
            None => return true,
            Some(NextLine::TooLong(length)) => return take(Read::TooLong(length)),
            Some(NextLine::Line(line)) => line,
        };
        let (Some(token), Some(text)) = (token, line.text()) else { return self.read_alone(line, take) };
        let tokens = self.parser.index.tokens();
        // Those of lines that were read by their templates, or refused.
        *token = skip_to(tokens, *token, start);
        let cursor = Cursor::new(text, &tokens[*token..], start);
        let (walked, end) = read_indexed(&mut self.templates, &mut self.parser.members, line, cursor, take);
        *token += walked;
        end
    }

    /// Hands on what a line is that is not in a buffer.
    pub fn read_line<T>(&mut self, line: Line<'_>, take: impl FnOnce(Read<'_>) -> T) -> T {
        if let Some(envelope) = self.templates.read(line) {
            return take(Read::Message(&envelope));
        }
        self.note_other();
        let end = self.read_alone(line, take);
        self.parser.give_back();
        end
    }

    /// Hands on a line that is of no template and has no index yet.
    fn read_alone<T>(&mut self, line: Line<'_>, take: impl FnOnce(Read<'_>) -> T) -> T {
        let Self { templates, parser: Parser { index, copy, members }, .. } = self;
        match cursor_of(index, copy, line.bytes(), line.text()) {
            Ok(cursor) => read_indexed(templates, members, line, cursor, take).1,
            Err(error) => take(Read::NotJson(*error)),
        }
    }
}

/// Hands on what a line is by its tokens; how many of them were walked, and what comes of it.
#[inline(always)]
fn read_indexed<T>(
    templates: &mut Templates,
    members: &mut Vec<(Span, Span)>,
    line: Line<'_>,
    cursor: Cursor<'_, '_>,
    take: impl FnOnce(Read<'_>) -> T,
) -> (usize, T) {
    let mut unchecked = UncheckedEnvelope::default();
    let walked = match unchecked.read(cursor, members) {
        Ok(walked) => walked,
        Err(error) => return (0, take(Read::NotJson(*error))),
    };
    // By reference: an envelope that was just written is not moved.
    let end = match &unchecked.check() {
        Ok(envelope) => {
            templates.learn_walked(line, cursor);
            take(Read::Message(envelope))
        }
        Err(error) => take(Read::NotMessage(&unchecked, error.clone())),
    };
    (walked, end)
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

/// The first token at or after an offset, at or after another token.
#[inline(always)]
fn skip_to(tokens: &[u32], mut token: usize, offset: usize) -> usize {
    while tokens.get(token).is_some_and(|&at| (at as usize) < offset) {
        token += 1;
    }
    token
}
