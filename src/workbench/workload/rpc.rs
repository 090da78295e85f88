//! The messages of a workload: a table that clients check replies by, and that people read.

use std::fmt;

use super::super::data::Data;
use crate::json::text::excerpt;
use crate::json::to_json::ToJson;
use crate::json::value::{Kind, Value};
use crate::json::write::WriteJson as _;
use crate::wire::envelope::{Body, SchemaError};
use crate::wire::error::ErrorCode;

/// A request of clients, and its reply.
#[derive(Debug)]
pub struct Rpc {
    /// `type` of the request.
    pub request: &'static str,
    /// What it asks for, in a sentence without its end.
    pub about: &'static str,
    /// What stands in its body besides `type` and `msg_id`.
    pub fields: &'static [Field],
    /// `type` of the reply.
    pub reply: &'static str,
    /// What stands in the reply's body besides `type`, `in_reply_to` and `msg_id`: all of these and nothing else.
    pub reply_fields: &'static [Field],
    /// Errors that mean something of their own here, and what. Any other may be answered, too.
    pub errors: &'static [(ErrorCode, &'static str)],
}

/// A member of a body.
#[derive(Debug)]
pub struct Field {
    /// Its key.
    pub name: &'static str,
    /// What its value has to be.
    pub shape: Shape,
    /// What it means, in a few words.
    pub about: &'static str,
    /// A value that it may have, as JSON.
    pub example: &'static str,
}

/// What a value has to be.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Shape {
    /// Any JSON.
    Any,
    /// An integer of 64 bits.
    Integer,
    /// An integer of 64 bits that is not negative.
    Natural,
    /// A string.
    Text,
    /// `null`, or this.
    Nullable(&'static Shape),
    /// An array of these.
    List(&'static Shape),
    /// An array of just these.
    Tuple(&'static [Shape]),
    /// An object with values like this.
    Map(&'static Shape),
    /// One of these strings.
    Word(&'static [&'static str]),
    /// One of these.
    OneOf(&'static [Shape]),
}

impl Shape {
    /// Whether the value is like that.
    pub fn matches(&self, value: Value<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Integer => value.as_i64().is_some(),
            Self::Natural => value.as_i64().is_some_and(|integer| integer >= 0),
            Self::Text => value.kind() == Kind::String && value.as_str().is_some(),
            Self::Nullable(shape) => value.kind() == Kind::Null || shape.matches(value),
            Self::List(shape) => {
                value.as_array().is_some_and(|mut items| items.all(|item| shape.matches(item)))
            }
            Self::Tuple(shapes) => {
                let count = value.as_array().map(Iterator::count);
                let mut items = value.as_array().into_iter().flatten().zip(*shapes);
                count == Some(shapes.len()) && items.all(|(item, shape)| shape.matches(item))
            }
            Self::Map(shape) => {
                value.as_object().is_some_and(|mut members| members.all(|(_, value)| shape.matches(value)))
            }
            Self::Word(words) => {
                value.kind() == Kind::String && value.as_str().is_some_and(|text| words.contains(&&*text))
            }
            Self::OneOf(shapes) => shapes.iter().any(|shape| shape.matches(value)),
        }
    }

    /// Several of them, in words.
    fn plural(&self) -> String {
        match self {
            Self::Any => "any values".to_owned(),
            Self::Integer => "integers".to_owned(),
            Self::Natural => "integers from 0 up".to_owned(),
            Self::Text => "strings".to_owned(),
            Self::List(shape) => format!("arrays of {}", shape.plural()),
            Self::Map(shape) => format!("objects of {}", shape.plural()),
            other => format!("values, each {other}"),
        }
    }
}

/// What it has to be, in words: `an array of integers`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("a value"),
            Self::Integer => f.write_str("an integer of 64 bits"),
            Self::Natural => f.write_str("an integer of 64 bits that is not negative"),
            Self::Text => f.write_str("a string"),
            Self::Nullable(shape) => write!(f, "{shape} or null"),
            Self::List(shape) => write!(f, "an array of {}", shape.plural()),
            Self::Tuple(shapes) => {
                let items: Vec<_> = shapes.iter().map(ToString::to_string).collect();
                write!(f, "an array [{}]", items.join(", "))
            }
            Self::Map(shape) => write!(f, "an object of {}", shape.plural()),
            Self::Word(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
                f.write_str(&words.join(" or "))
            }
            Self::OneOf(shapes) => {
                let shapes: Vec<_> = shapes.iter().map(ToString::to_string).collect();
                f.write_str(&shapes.join(" or "))
            }
        }
    }
}

/// An answer that is not what its request may be answered with, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedReply(pub String);

impl From<SchemaError> for MalformedReply {
    fn from(error: SchemaError) -> Self {
        Self(error.to_string())
    }
}

/// An answer to a request that is not its reply.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorReply {
    /// Which error.
    pub code: ErrorCode,
    /// For people.
    pub text: String,
}

impl Rpc {
    /// Reads an answer: the reply with the fields that it may have, or an error, which may have more than a code and a
    /// text.
    pub(in crate::workbench) fn read<'a>(
        &self,
        body: &'a Body<'a>,
    ) -> Result<Result<Reply<'a>, ErrorReply>, MalformedReply> {
        if body.kind == "error" {
            let code = ErrorCode(body.integer("code")?);
            let text = body.string("text")?.into_owned();
            return Ok(Err(ErrorReply { code, text }));
        }
        self.check_fields(body)?;
        for Field { name, shape, .. } in self.reply_fields {
            let found = body.get(name);
            if !found.is_some_and(|value| shape.matches(value)) {
                let found = found.map_or("nothing".into(), |value| excerpt(value.raw()));
                return Err(MalformedReply(format!("{name}: expected {shape}, found {found}")));
            }
        }
        Ok(Ok(Reply { body }))
    }

    /// Checks that a body has the reply's type and no fields but its own.
    fn check_fields(&self, body: &Body<'_>) -> Result<(), MalformedReply> {
        if body.kind != self.reply {
            let found = excerpt(&body.kind);
            return Err(MalformedReply(format!("type: expected {:?}, found {found:?}", self.reply)));
        }
        let fields = self.reply_fields.iter().map(|field| field.name);
        for name in body.names() {
            let is_known = matches!(&*name, "type" | "in_reply_to" | "msg_id");
            if !is_known && !fields.clone().any(|known| known == name) {
                let known: Vec<_> = ["type", "in_reply_to", "msg_id"].into_iter().chain(fields).collect();
                let (known, name) = (known.join(", "), excerpt(&name));
                return Err(MalformedReply(format!("expected no fields but {known}, found {name:?}")));
            }
        }
        Ok(())
    }
}

/// A reply with all fields of its [`Rpc`], each of its shape, and no others.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    body: &'a Body<'a>,
}

impl<'a> Reply<'a> {
    /// The field of that name; `null` if the reply has none.
    pub fn data(&self, name: &str) -> Data {
        self.get(name).map_or(Data::Null, Data::from)
    }

    /// The field of that name as it stands in the line.
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.body.get(name)
    }
}

/// Where a client writes the body of its next request.
#[derive(Debug, Default)]
pub struct RequestBody {
    rpc: Option<&'static Rpc>,
    /// The members after `type`, each with its comma.
    members: Vec<u8>,
}

impl RequestBody {
    /// Begins a request. What was written before is forgotten.
    pub fn call(&mut self, rpc: &'static Rpc) -> &mut Self {
        self.rpc = Some(rpc);
        self.members.clear();
        self
    }

    /// Adds a field.
    pub fn field(&mut self, name: &str, value: impl ToJson) -> &mut Self {
        self.members.push(b',');
        name.write_json(&mut self.members);
        self.members.push(b':');
        write_or_null(&value, &mut self.members);
        self
    }

    /// Adds a field that is an object with these members.
    pub fn object<V: ToJson>(
        &mut self,
        name: &str,
        members: impl IntoIterator<Item = (impl AsRef<str>, V)>,
    ) -> &mut Self {
        self.members.push(b',');
        name.write_json(&mut self.members);
        self.members.extend_from_slice(b":{");
        for (place, (key, value)) in members.into_iter().enumerate() {
            if place > 0 {
                self.members.push(b',');
            }
            key.as_ref().write_json(&mut self.members);
            self.members.push(b':');
            write_or_null(&value, &mut self.members);
        }
        self.members.push(b'}');
        self
    }

    /// The request, if one was begun, and the members of its body after the type.
    pub(in crate::workbench) fn take(&mut self) -> Option<(&'static Rpc, &[u8])> {
        let rpc = self.rpc.take()?;
        Some((rpc, &self.members))
    }
}

/// Appends a value. What JSON cannot say becomes null.
fn write_or_null(value: &impl ToJson, out: &mut Vec<u8>) {
    let start = out.len();
    if !value.write_field(out) {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parser::Parser;

    #[track_caller]
    fn assert_matches(shape: Shape, matching: &[&str], others: &[&str]) {
        let (mut parser, line) = (Parser::new(), format!("[{}]", [matching, others].concat().join(",")));
        let values: Vec<_> = parser.value(line.as_bytes()).unwrap().as_array().unwrap().collect();
        for (place, value) in values.into_iter().enumerate() {
            assert_eq!(shape.matches(value), place < matching.len(), "{value:?} as {shape}");
        }
    }

    #[test]
    fn a_shape_says_what_a_value_has_to_be() {
        assert_matches(Shape::Integer, &["1", "-1"], &["1.0", "\"1\"", "null", "9223372036854775808"]);
        assert_matches(Shape::Natural, &["0"], &["-1", "0.0"]);
        assert_matches(Shape::Nullable(&Shape::Text), &["null", "\"\""], &["1"]);
        assert_matches(Shape::List(&Shape::Integer), &["[]", "[1,2]"], &["[1,null]", "{}"]);
        assert_matches(
            Shape::Tuple(&[Shape::Integer, Shape::Any]),
            &["[1,{}]"],
            &["[1]", "[1,2,3]", "[{},1]"],
        );
        assert_matches(Shape::Map(&Shape::Natural), &["{}", "{\"a\":1}"], &["{\"a\":-1}", "[]"]);
        assert_matches(Shape::Word(&["r", "w"]), &["\"r\"", "\"\\u0077\""], &["\"x\"", "1"]);
        assert_matches(Shape::OneOf(&[Shape::Integer, Shape::Text]), &["1", "\"\""], &["null"]);
    }

    #[test]
    fn a_shape_is_said_in_words() {
        for (shape, words) in [
            (Shape::List(&Shape::Integer), "an array of integers"),
            (Shape::Map(&Shape::List(&Shape::Text)), "an object of arrays of strings"),
            (Shape::Nullable(&Shape::Integer), "an integer of 64 bits or null"),
            (
                Shape::List(&Shape::Tuple(&[Shape::Text, Shape::Any])),
                "an array of values, each an array [a string, a value]",
            ),
            (Shape::Word(&["r", "w"]), "\"r\" or \"w\""),
        ] {
            assert_eq!(shape.to_string(), words);
        }
    }
}
