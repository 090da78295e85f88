//! Where an error is, and what it says. All of this is for texts that could not be read at the first try.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

use super::cursor::Cursor;
use super::error::{Error, Fault, KIND, Probe, Root, What};
use crate::json::error::SchemaError;
use crate::json::text::{beginning, excerpt};
use crate::json::value::Value;

/// At most so many values are probed to find one. Where there are more, the error names what is around them.
const PROBES_MAX: usize = 128;

/// The path of a field is not longer than this many characters.
const PATH_MAX: usize = 200;

/// Says what is wrong with a text, and where.
pub(super) fn explain(
    text: &str,
    root: Root<'_>,
    fault: Fault,
    probe: impl Fn(Probe) -> Option<Error>,
) -> SchemaError {
    let mut at = match fault.at {
        Some((at, true)) => at,
        Some((at, false)) => inside(text, at, &fault.what, probe),
        None => 0,
    };
    if at == KIND {
        at = member_at(text, "type").unwrap_or(0);
    }
    let (mut path, value) = path(text, root, at);
    let mut found = excerpt(value);
    let expected = match fault.what {
        What::Expected(expected) | What::Length(_, expected) => in_json(expected),
        What::Variant([]) => "no variant: its type has none".into(),
        What::Variant(names) => format!("one of {}", quoted(names)).into(),
        What::Field([]) => "no such field".into(),
        What::Field(names) => format!("no field but {}", quoted(names)).into(),
        What::Missing(name) | What::Duplicate(name) => {
            push_key(&mut path, name);
            found = "nothing".into();
            "a value".into()
        }
        What::Custom(text) => format!("what its type takes ({})", beginning(&text, 200)).into(),
    };
    SchemaError { field: beginning(&path, PATH_MAX).into_owned().into(), expected, found: found.into_owned() }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// What serde and its derived code call it, in the words of JSON.
fn in_json(expected: String) -> Cow<'static, str> {
    let starts_with = |words: &[&str]| words.iter().any(|word| expected.starts_with(word));
    if let Some(bits) = expected.strip_prefix('i').and_then(bits) {
        return format!("an integer of {bits} bits").into();
    }
    if let Some(bits) = expected.strip_prefix('u').and_then(bits) {
        return format!("an integer of {bits} bits, not negative").into();
    }
    let elements = expected.rsplit_once("of size ").map(|(_, count)| count).or_else(|| {
        let (_, count) = expected.rsplit_once(" with ")?;
        count.strip_suffix(" elements").or_else(|| count.strip_suffix(" element"))
    });
    if let Some(count) = elements.filter(|count| count.parse::<usize>().is_ok()) {
        let plural = if count == "1" { "" } else { "s" };
        return format!("an array of {count} element{plural}").into();
    }
    if let Some((count, _)) =
        expected.split_once(" elements in sequence").or(expected.split_once(" element in sequence"))
    {
        let plural = if count == "1" { "" } else { "s" };
        return format!("an array of {count} element{plural}").into();
    }
    match &*expected {
        "f32" | "f64" => "a number".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "an array".into(),
        "a borrowed string" => "a string without escapes".into(),
        "a char" | "a character" => "a string of one character".into(),
        "unit" | "null" => "null".into(),
        "variant identifier" | "field identifier" => "a string".into(),
        "string or map" => "a name, or an object of one name and its value".into(),
        _ if starts_with(&["enum "]) => "a name, or an object of one name and its value".into(),
        _ if starts_with(&["unit struct "]) => "null".into(),
        _ if starts_with(&["tuple struct ", "tuple variant "]) => "an array".into(),
        _ if starts_with(&["struct ", "a map", "internally tagged ", "adjacently tagged "]) => {
            "an object".into()
        }
        _ => expected.into(),
    }
}

/// The width of an integer type, after its first letter.
fn bits(rest: &str) -> Option<&str> {
    match rest {
        "8" | "16" | "32" | "64" | "128" => Some(rest),
        "size" => Some("64"),
        _ => None,
    }
}

/// Which value is to blame, inside one that serde has read into a buffer before it looked at it, as it does for
/// `tag`. The error does not say, so it is found out: with any value replaced that is read before the culprit, or with
/// the culprit itself, the error becomes another one.
fn inside(text: &str, at: usize, what: &What, probe: impl Fn(Probe) -> Option<Error>) -> usize {
    let tells = |change| probe(change).is_some_and(|error| error.0.is_probe);
    let values = values(text, at);
    let Some(last) = values.iter().rposition(|value| tells(Probe::Replaced(value.at))) else { return at };
    let around = std::iter::successors(Some(last), |&value| values[value].parent);
    match what {
        What::Length(length, _) => around
            .map(|value| &values[value])
            .find(|value| {
                text[value.at..].starts_with('[')
                    && elements(text, value.at).take(length + 1).count() == *length
            })
            .map_or(values[last].at, |value| value.at),
        What::Missing(name) => around
            .map(|value| values[value].at)
            .find(|&value| text[value..].starts_with('{') && tells(Probe::Added(value, name)))
            .unwrap_or(at),
        _ => values[last].at,
    }
}

struct Place {
    at: usize,
    parent: Option<usize>,
}

/// The value that begins there and the first ones inside it, each before those inside it.
fn values(text: &str, at: usize) -> Vec<Place> {
    let mut values = vec![Place { at, parent: None }];
    let mut next = 0;
    // In breadth first; put in order below.
    while next < values.len() && values.len() < PROBES_MAX {
        let room = PROBES_MAX - values.len();
        let children: Vec<_> =
            elements(text, values[next].at).take(room).map(|at| Place { at, parent: Some(next) }).collect();
        values.extend(children);
        next += 1;
    }
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|&index| values[index].at);
    let mut rank = vec![0; order.len()];
    for (position, &index) in order.iter().enumerate() {
        rank[index] = position;
    }
    order
        .iter()
        .map(|&index| Place { at: values[index].at, parent: values[index].parent.map(|parent| rank[parent]) })
        .collect()
}

/// Where the values directly inside brackets begin; nothing for a scalar.
fn elements(text: &str, at: usize) -> impl Iterator<Item = usize> {
    children(text, at).map(|(_, value)| value)
}

/// The keys, with their quotes, and where the values begin that are directly inside brackets.
fn children(text: &str, at: usize) -> impl Iterator<Item = (Option<&str>, usize)> {
    let mut cursor = Cursor::starting(text, at);
    let is_object = cursor.peek() == b'{';
    let mut is_open = cursor.take(b'{') || cursor.take(b'[');
    std::iter::from_fn(move || {
        cursor.take(b',');
        is_open = is_open && !matches!(cursor.peek(), b']' | b'}');
        if !is_open {
            return None;
        }
        let key = is_object.then(|| cursor.string().0);
        cursor.take(b':');
        cursor.peek();
        let at = cursor.at();
        cursor.value();
        Some((key, at))
    })
}

/// The elements of an array or the members of an object, which is all of the text; nothing for a scalar.
pub(super) fn parts(text: &str) -> Vec<&str> {
    let mut cursor = Cursor::new(text);
    let is_object = cursor.take(b'{');
    let mut parts = Vec::new();
    if !is_object && !cursor.take(b'[') {
        return parts;
    }
    while !matches!(cursor.peek(), b']' | b'}' | 0) {
        cursor.take(b',');
        cursor.peek();
        let start = cursor.at();
        if is_object {
            cursor.string();
            cursor.take(b':');
        }
        cursor.value();
        parts.push(&text[start..cursor.at()]);
    }
    parts
}

/// Where the last value of that name in an object begins.
fn member_at(text: &str, name: &str) -> Option<usize> {
    let is_named = |key: Option<&str>| {
        key.is_some_and(|key| Value::of_checked(key).as_str().is_some_and(|key| key == name))
    };
    children(text, 0).filter(|(key, _)| is_named(*key)).last().map(|(_, at)| at)
}

/// The path of the value that begins there, such as `body.txn[2][0]`, and its text.
fn path<'t>(text: &'t str, root: Root<'_>, at: usize) -> (String, &'t str) {
    let mut path = match root {
        Root::Body(_) => "body".to_owned(),
        Root::Value(name) => excerpt(name).into_owned(),
    };
    let mut outer = Cursor::new(text);
    outer.peek();
    let mut outer = outer.at();
    while outer < at && path.len() < 4 * PATH_MAX {
        let Some((index, (key, inner))) =
            children(text, outer).enumerate().take_while(|(_, (_, inner))| *inner <= at).last()
        else {
            break;
        };
        match key {
            Some(key) => push_key(&mut path, &Value::of_checked(key).as_str().unwrap_or(key.into())),
            None => write!(path, "[{index}]").expect("a string takes it"),
        }
        outer = inner;
    }
    (path, Cursor::starting(text, outer).value())
}

fn push_key(path: &mut String, key: &str) {
    let is_name = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    let written =
        if is_name { write!(path, ".{}", excerpt(key)) } else { write!(path, "[{:?}]", excerpt(key)) };
    written.expect("a string takes it");
}

/// Where the members begin, with their keys, that a later one of the same name replaces; in their order.
pub(super) fn superseded(text: &str) -> Vec<usize> {
    let mut superseded = Vec::new();
    let mut cursor = Cursor::new(text);
    // The keys of each object that is open; none for an array.
    let mut open: Vec<Option<HashMap<Cow<'_, str>, usize>>> = Vec::new();
    let mut expects_key = false;
    loop {
        match cursor.peek() {
            0 => break,
            b'{' | b'[' => {
                let is_object = cursor.take(b'{') || !cursor.take(b'[');
                open.push(is_object.then(HashMap::new));
                expects_key = is_object;
            }
            b'}' | b']' => {
                cursor.step();
                open.pop();
                expects_key = false;
            }
            b',' => {
                cursor.step();
                expects_key = matches!(open.last(), Some(Some(_)));
            }
            b':' => cursor.step(),
            b'"' => {
                let at = cursor.at();
                let raw = cursor.string().0;
                if let (true, Some(Some(keys))) = (expects_key, open.last_mut()) {
                    let name = Value::of_checked(raw).as_str().unwrap_or(raw.into());
                    superseded.extend(keys.insert(name, at));
                }
                expects_key = false;
            }
            _ => {
                cursor.word();
            }
        }
    }
    superseded.sort_unstable();
    superseded
}
