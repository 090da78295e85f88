//! JSON texts that mean the same, made the same.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::json::parser::Parser;
use crate::json::value::{Kind, Value};
use crate::json::write::WriteJson as _;

/// The text that stands for all that mean the same as this one, whatever their white space, escapes, order
/// of keys, and ways to write a float. As in Maelstrom, `1` is not `1.0`, and the last of equal keys counts.
/// What is no JSON stands for itself.
pub(in crate::workbench) fn canonical(text: &str) -> Cow<'_, str> {
    let text = text.trim_ascii();
    let is_plain = match text.as_bytes() {
        [b'"', inner @ ..] => !inner.contains(&b'\\'),
        bytes => bytes.iter().all(u8::is_ascii_digit),
    };
    if is_plain {
        return Cow::Borrowed(text);
    }
    // The parser takes nothing but objects and arrays.
    let line = format!("[{text}]");
    match Parser::new().value(line.as_bytes()) {
        Ok(array) => {
            let mut canonical = String::with_capacity(line.len());
            write(array, &mut canonical);
            Cow::Owned(canonical[1..canonical.len() - 1].to_owned())
        }
        Err(_) => Cow::Borrowed(text),
    }
}

/// Recursion is no deeper than the parser lets values be nested.
fn write(value: Value<'_>, out: &mut String) {
    if let Some(elements) = value.as_array() {
        write_row(out, ['[', ']'], elements, write);
    } else if let Some(members) = value.as_object() {
        let members: BTreeMap<_, _> = members.map(|(key, value)| (text(key), value)).collect();
        write_row(out, ['{', '}'], members, |(key, value), out| {
            out.push_str(&key);
            out.push(':');
            write(value, out);
        });
    } else {
        out.push_str(&text(value));
    }
}

/// The text of a scalar.
fn text(scalar: Value<'_>) -> Cow<'_, str> {
    let float = || scalar.as_f64().filter(|_| scalar.kind() == Kind::Float);
    if let Some(string) = scalar.as_str() {
        let mut json = Vec::with_capacity(string.len() + 2);
        string.write_json(&mut json);
        Cow::Owned(String::from_utf8_lossy(&json).into_owned())
    } else if scalar.raw() == "-0" {
        Cow::Borrowed("0")
    } else if let Some(float) = float() {
        Cow::Owned(format!("{float:?}"))
    } else {
        Cow::Borrowed(scalar.raw())
    }
}

fn write_row<T>(
    out: &mut String,
    [open, close]: [char; 2],
    items: impl IntoIterator<Item = T>,
    write_item: impl Fn(T, &mut String),
) {
    out.push(open);
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        write_item(item, out);
    }
    out.push(close);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_the_same_is_the_same() {
        for (one, other) in [
            ("17", " 17 "),
            ("1.0", "10e-1"),
            ("-0", "0"),
            ("\"a\u{2028}\u{300}\u{7f}\"", r#""a\u2028\u0300\u007f""#),
            ("-1.50", "-1.5"),
            (r#""a\u00e9\/""#, "\"aé/\""),
            ("[1, [ ]]", "[1,[]]"),
            (r#"{"node": "n1", "count": 1e0}"#, r#"{"count":1.0,"n\u006fde":"n1"}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
        ] {
            assert_eq!(canonical(one), canonical(other));
        }
    }

    #[test]
    fn what_differs_stays_different() {
        let texts = [
            "1",
            "1.0",
            "\"1\"",
            "[1]",
            "[\"1\"]",
            "[\"1,2\"]",
            "[1,2]",
            "[12]",
            "{}",
            "[]",
            "null",
            "\"null\"",
            "\"\\\"\"",
            "\"\\\\\"",
            r#"{"a":1}"#,
            r#"{"a":"1"}"#,
            r#""{\"a\":1}""#,
            "18446744073709551616",
            "18446744073709551617",
            "1e400",
            "1e401",
            r#""\ud83d""#,
            r#""\ud83e""#,
        ];
        for (place, one) in texts.iter().enumerate() {
            for other in &texts[..place] {
                assert_ne!(canonical(one), canonical(other));
            }
        }
    }

    #[test]
    fn what_is_no_json_stands_for_itself() {
        for text in ["", "]", "{\"a\"", "1]", "[", "\"\\", "\u{7f}"] {
            assert_eq!(canonical(text), text);
        }
        let deep = "[".repeat(5_000) + &"]".repeat(5_000);
        assert_eq!(canonical(&deep), deep);
        let nearly = "[".repeat(1_000) + " " + &"]".repeat(1_000);
        assert_eq!(canonical(&nearly).len(), 2_000);
    }
}
