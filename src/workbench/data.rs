//! Values as a history records them.

use std::borrow::Cow;
use std::fmt;

use super::checker::canonical::canonical;
use crate::json::value::{Kind, Value};
use crate::json::write::WriteJson;

/// A value of an operation: what was asked for, or what came back. Jepsen calls it `:value`.
///
/// It is JSON with its integers and strings decoded. A list of integers is always [`Ints`](Self::Ints), the empty list
/// too, so that a read of a hundred thousand elements takes eight bytes for each.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Data {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer of 64 bits.
    Int(i64),
    /// A string.
    Text(Box<str>),
    /// A list of integers.
    Ints(Vec<i64>),
    /// Any other list. Build it with [`Data::list`].
    List(Vec<Data>),
    /// Keys and their values, in their order.
    Map(Vec<(Data, Data)>),
    /// The exact JSON text of anything else: a fraction, an integer of more than 64 bits, a string with half of a
    /// surrogate pair.
    Raw(Box<str>),
}

impl Data {
    /// A list of these.
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        let items: Vec<Self> = items.into_iter().collect();
        match items.iter().map(Self::as_int).collect() {
            Some(integers) => Self::Ints(integers),
            None => Self::List(items),
        }
    }

    /// The integer, if it is one.
    pub const fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(integer) => Some(*integer),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub const fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integers of a list that has nothing else.
    pub fn as_ints(&self) -> Option<&[i64]> {
        match self {
            Self::Ints(integers) => Some(integers),
            _ => None,
        }
    }

    /// How many items the list has; `None` if it is none.
    pub const fn item_count(&self) -> Option<usize> {
        match self {
            Self::Ints(integers) => Some(integers.len()),
            Self::List(items) => Some(items.len()),
            _ => None,
        }
    }

    /// The item of a list in that place.
    pub fn item(&self, place: usize) -> Option<Cow<'_, Self>> {
        match self {
            Self::Ints(integers) => integers.get(place).map(|&integer| Cow::Owned(Self::Int(integer))),
            Self::List(items) => items.get(place).map(Cow::Borrowed),
            _ => None,
        }
    }

    /// The items of a list; none if it is no list.
    pub fn items(&self) -> impl Iterator<Item = Cow<'_, Self>> {
        (0..self.item_count().unwrap_or_default()).filter_map(|place| self.item(place))
    }

    /// The value of a map's key that is this string.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(members) => {
                members.iter().find(|(of, _)| of.as_text() == Some(key)).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// How many values it is made of: about what it takes to keep it.
    pub fn weight(&self) -> usize {
        match self {
            Self::Ints(integers) => 1 + integers.len(),
            Self::List(items) => 1 + items.iter().map(Self::weight).sum::<usize>(),
            Self::Map(members) => {
                1 + members.iter().map(|(key, value)| key.weight() + value.weight()).sum::<usize>()
            }
            Self::Text(text) | Self::Raw(text) => 1 + text.len() / 8,
            Self::Null | Self::Bool(_) | Self::Int(_) => 1,
        }
    }

    /// Whether it means the same: white space, escapes, the order of keys, and the ways to write a float do not count,
    /// but `1`, `1.0` and `"1"` are three values, as in Maelstrom.
    pub fn is_same(&self, other: &Self) -> bool {
        self == other || canonical(&self.to_string()) == canonical(&other.to_string())
    }
}

impl From<Value<'_>> for Data {
    fn from(value: Value<'_>) -> Self {
        let raw = || Self::Raw(value.raw().into());
        match value.kind() {
            Kind::Null => Self::Null,
            Kind::Boolean => Self::Bool(value.as_bool().unwrap_or_default()),
            Kind::Integer => value.as_i64().map_or_else(raw, Self::Int),
            Kind::Float => raw(),
            Kind::String => value.as_str().map_or_else(raw, |text| Self::Text(text.into())),
            Kind::Array => {
                let items = || value.as_array().into_iter().flatten();
                match items().map(Value::as_i64).collect() {
                    Some(integers) => Self::Ints(integers),
                    None => Self::List(items().map(Self::from).collect()),
                }
            }
            Kind::Object => {
                let members = value.as_object().into_iter().flatten();
                Self::Map(members.map(|(key, value)| (Self::from(key), Self::from(value))).collect())
            }
        }
    }
}

impl From<bool> for Data {
    fn from(boolean: bool) -> Self {
        Self::Bool(boolean)
    }
}

impl From<i64> for Data {
    fn from(integer: i64) -> Self {
        Self::Int(integer)
    }
}

impl From<&str> for Data {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// As it is written in a message.
#[cfg(feature = "serde")]
impl serde::Serialize for Data {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = Vec::new();
        self.write_json(&mut text);
        let text = String::from_utf8(text).map_err(serde::ser::Error::custom)?;
        Value::of_checked(&text).serialize(serializer)
    }
}

/// As JSON. The keys of a map are strings there, whatever they are.
impl WriteJson for Data {
    fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(boolean) => boolean.write_json(out),
            Self::Int(integer) => integer.write_json(out),
            Self::Text(text) => (**text).write_json(out),
            Self::Raw(json) => out.extend_from_slice(json.as_bytes()),
            Self::Ints(integers) => integers.write_json(out),
            Self::List(items) => items.write_json(out),
            Self::Map(members) => {
                out.push(b'{');
                for (place, (key, value)) in members.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    match key {
                        Self::Text(text) => (**text).write_json(out),
                        // A string that could not be decoded.
                        Self::Raw(json) if json.starts_with('"') => out.extend_from_slice(json.as_bytes()),
                        other => other.to_string().write_json(out),
                    }
                    out.push(b':');
                    value.write_json(out);
                }
                out.push(b'}');
            }
        }
    }
}

/// As JSON.
impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut json = Vec::new();
        self.write_json(&mut json);
        f.write_str(&String::from_utf8_lossy(&json))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parser::Parser;

    fn read(text: &str) -> Data {
        let line = format!("[{text}]");
        let mut parser = Parser::new();
        let array = parser.value(line.as_bytes()).unwrap();
        Data::from(array.as_array().unwrap().next().unwrap())
    }

    #[test]
    fn json_comes_back_as_it_was() {
        for text in [
            "null",
            "true",
            "-7",
            "\"a\\\"b\"",
            "[]",
            "[1,2,3]",
            "[1,null,\"x\",[2]]",
            "{\"a\":1,\"b\":[{}]}",
            "1.50",
            "18446744073709551616",
            "\"\\ud800\"",
            "{\"\\ud800\":1}",
        ] {
            assert_eq!(read(text).to_string(), text);
        }
    }

    #[test]
    fn a_list_of_integers_is_one_however_it_was_made() {
        assert_eq!(Data::list([1.into(), 2.into()]), read("[1, 2]"));
        assert_eq!(Data::list([]), read("[ ]"));
        assert_eq!(read("[1,\"a\"]").item(1).as_deref(), Some(&"a".into()));
        assert_eq!(read("[1,2]").item(1).as_deref(), Some(&2.into()));
        assert_eq!(read("[1,2]").items().count(), 2);
        assert_eq!(read("7").items().count(), 0);
    }

    #[test]
    fn values_are_the_same_by_what_they_mean() {
        assert!(read("1.0").is_same(&read("10e-1")));
        assert!(read("{\"a\":1,\"b\":2}").is_same(&read("{\"b\":2,\"a\":1}")));
        assert!(!read("1").is_same(&read("1.0")) && !read("1").is_same(&read("\"1\"")));
    }
}
