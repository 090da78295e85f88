//! What strings spell.

use std::borrow::Cow;

use memchr::memchr;
use simd_json::Node;

use super::text::{Span, Text};

/// The text of a string with escapes; `raw` has its quotes. `None` for half of a surrogate pair, which is
/// no text.
pub(crate) fn unescape(raw: &str) -> Option<String> {
    let mut copy = raw.as_bytes().to_vec();
    match simd_json::to_tape(&mut copy).ok()?.0.first() {
        Some(Node::String(text)) => Some((*text).to_owned()),
        _ => None,
    }
}

/// The text of the string in a span; `None` for what is none: see [`Value::as_str`](super::value::Value::as_str).
#[inline(always)]
pub(crate) fn string_at(text: Text<'_>, span: Span) -> Option<Cow<'_, str>> {
    if text.first(span) != b'"' {
        return None;
    }
    if !span.is_plain() && text.escapes && memchr(b'\\', text.inner(span)).is_some() {
        return unescape(&text.line[span.range()]).map(Cow::Owned);
    }
    text.line.get(span.start() + 1..span.end() - 1).map(Cow::Borrowed)
}

/// Whether a key spells this name.
#[inline(always)]
pub(crate) fn is_named(text: Text<'_>, key: Span, name: &str) -> bool {
    if text.escapes {
        return name_at(text, key) == name;
    }
    key.range().len() == name.len() + 2 && text.inner(key) == name.as_bytes()
}

/// The name that a key spells. One with half of a surrogate pair keeps its escapes: it is no text, and
/// no name that anybody asks for.
pub(crate) fn name_at(text: Text<'_>, key: Span) -> Cow<'_, str> {
    string_at(text, key).unwrap_or(Cow::Borrowed(&text.line[key.range()]))
}
