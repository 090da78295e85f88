//! The typed schema: what a line must be to count as a message.

use std::borrow::Cow;

use super::lines::Line;
use super::members::Members;
use crate::json::cursor::{Cursor, Walked};
pub use crate::json::error::SchemaError;
use crate::json::error::SyntaxError;
use crate::json::parser::{Parser, cursor_of};
use crate::json::read::FromJson;
use crate::json::text::{OwnedText, Span, Text};
use crate::json::unescape::{name_at, string_at};
use crate::json::value::{Integer, Kind, Value};

/// Memory for more members than this is not kept.
const MEMBERS_KEPT: usize = 64 * 1024;

/// A message that follows the schema, borrowed from the line that it came in.
///
/// Keys that the schema does not know are passed over; of a key that comes twice the last one counts.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// Who sent it.
    pub src: Cow<'a, str>,
    /// Whom it is for.
    pub dest: Cow<'a, str>,
    /// What it says.
    pub body: Body<'a>,
    /// Whether it has no key but these, not even an `id`.
    #[cfg_attr(not(feature = "workbench"), expect(dead_code, reason = "the workbench alone asks"))]
    pub(crate) is_bare: bool,
}

/// The body of a message.
#[derive(Debug)]
pub struct Body<'a> {
    /// `type`: what kind of message it is.
    pub kind: Cow<'a, str>,
    /// `msg_id`: present where the sender may be answered.
    pub msg_id: Option<Integer<'a>>,
    /// `in_reply_to`: the `msg_id` of the request that this answers.
    pub in_reply_to: Option<Integer<'a>>,
    text: Text<'a>,
    members: Members<'a>,
}

impl<'a> Envelope<'a> {
    /// The line that it came in.
    #[inline(always)]
    pub(crate) const fn line(&self) -> &'a str {
        self.body.text.as_str()
    }
}

impl<'a> Body<'a> {
    #[inline(always)]
    pub(super) const fn new(
        kind: Cow<'a, str>,
        msg_id: Option<Integer<'a>>,
        in_reply_to: Option<Integer<'a>>,
        text: Text<'a>,
        members: Members<'a>,
    ) -> Self {
        Self { kind, msg_id, in_reply_to, text, members }
    }

    /// The whole body, an object.
    pub fn value(&self) -> Value<'a> {
        Value::at(self.text, self.members.body(self.text))
    }

    /// The names of its fields, in their order.
    pub fn names(&self) -> impl Iterator<Item = Cow<'a, str>> {
        let text = self.text;
        self.members.keys().map(move |key| name_at(text, key))
    }

    /// A copy that outlives the line.
    pub fn detach(&self) -> OwnedBody {
        let Self { text, members, .. } = self;
        OwnedBody { text: text.detach(), value: members.body(*text), members: members.collect(*text) }
    }

    /// The field of that name, if there is one.
    #[inline(always)]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        Some(Value::at(self.text, self.members.find(self.text, name)?))
    }

    /// The field of that name, whatever its type.
    ///
    /// ```
    /// # let _ = messenger::handler_fn(|request, cx| {
    /// cx.reply(request, "echo_ok").field("echo", request.required("echo")?).send()
    /// # });
    /// ```
    ///
    /// # Errors
    /// Where there is none: `key: expected a value, found nothing`.
    #[inline(always)]
    pub fn required(&self, name: &str) -> Result<Value<'a>, SchemaError> {
        self.typed(name, "a value", Some)
    }

    /// The field of that name, which is a string.
    ///
    /// # Errors
    /// Where it is missing or no string, or has half of a surrogate pair.
    pub fn string(&self, name: &str) -> Result<Cow<'a, str>, SchemaError> {
        self.typed(name, "a string", Value::as_str)
    }

    /// The field of that name, which is an integer of 64 bits.
    ///
    /// ```
    /// # let _ = messenger::handler_fn(|request, cx| {
    /// let delta = request.integer("delta")?;
    /// cx.reply(request, "add_ok").field("twice", 2 * delta).send()
    /// # });
    /// ```
    ///
    /// # Errors
    /// Where it is missing, no integer, or one beyond 64 bits.
    pub fn integer(&self, name: &str) -> Result<i64, SchemaError> {
        self.typed(name, "an integer of 64 bits", Value::as_i64)
    }

    /// The field of that name, which is a number that a double can hold.
    ///
    /// # Errors
    /// Where it is missing, no number, or one beyond a double's range.
    pub fn number(&self, name: &str) -> Result<f64, SchemaError> {
        self.typed(name, "a number", Value::as_f64)
    }

    /// The field of that name, which is an array.
    ///
    /// # Errors
    /// Where it is missing or no array.
    pub fn array(&self, name: &str) -> Result<Value<'a>, SchemaError> {
        self.typed(name, "an array", |value| (value.kind() == Kind::Array).then_some(value))
    }

    /// The field of that name, which is an object.
    ///
    /// # Errors
    /// Where it is missing or no object.
    pub fn object(&self, name: &str) -> Result<Value<'a>, SchemaError> {
        self.typed(name, "an object", |value| (value.kind() == Kind::Object).then_some(value))
    }

    /// The field of that name, as whatever type is wanted: `let key: u64 = request.field("key")?`.
    ///
    /// ```
    /// # let _ = messenger::handler_fn(|request, cx| {
    /// let values: Vec<i64> = request.field("values")?;
    /// cx.reply(request, "sum_ok").field("sum", values.iter().sum::<i64>()).send()
    /// # });
    /// ```
    ///
    /// # Errors
    /// Where it is missing, or not what the type takes: `value[2]: expected an integer of 64 bits, found "x"`.
    pub fn field<T: FromJson>(&self, name: &str) -> Result<T, SchemaError> {
        match self.get(name) {
            Some(value) => T::read(value, name),
            None => Err(SchemaError::new(name.to_owned(), T::EXPECTED, None)),
        }
    }

    /// The body as a type of its own, which may borrow from the line.
    ///
    /// - A struct has the fields that it wants; others are passed over, unless it has `#[serde(deny_unknown_fields)]`.
    ///   `type`, `msg_id` and `in_reply_to` are shown to a struct that names them.
    /// - An enum is a whole protocol: its variant is the one that the body's `type` names. `#[serde(tag = "type")]` is
    ///   understood, and not needed; without it nothing is buffered, so nothing is allocated, and a [`Value`]
    ///   inside (with `#[serde(borrow)]`) stays as it came to the byte.
    /// - A `&str` cannot have escapes; a `Cow<'_, str>` with `#[serde(borrow)]` and a `String` can.
    ///
    /// # Errors
    /// The first field that is not what the type wants: `body.txn[2][0]: expected a string, found 7`.
    #[cfg(feature = "serde")]
    pub fn parse<'de, T: serde::Deserialize<'de>>(&'de self) -> Result<T, SchemaError> {
        crate::json::typed::from_value(self.value(), crate::json::typed::Root::Body(&self.kind))
    }

    /// The field of that name, read by `read`, which says `None` where it is not `expected`.
    ///
    /// # Errors
    /// Where it is missing, or `read` says `None`: that `expected` was, and what came.
    #[inline(always)]
    pub fn typed<T>(
        &self,
        name: &str,
        expected: &'static str,
        read: impl FnOnce(Value<'a>) -> Option<T>,
    ) -> Result<T, SchemaError> {
        let found = self.get(name);
        found.and_then(read).ok_or_else(|| SchemaError::new(name.to_owned(), expected, found.map(Value::raw)))
    }
}

/// A body that outlives its line.
#[derive(Clone, Debug)]
pub struct OwnedBody {
    text: OwnedText,
    value: Span,
    members: Box<[(Span, Span)]>,
}

impl OwnedBody {
    /// The body.
    pub fn body(&self) -> Body<'_> {
        let (text, members) = (self.text.text(), Members::Found(self.value, &self.members));
        let mut body = Body { kind: Cow::Borrowed(""), msg_id: None, in_reply_to: None, text, members };
        body.kind = body.get("type").and_then(Value::as_str).unwrap_or_default();
        body.msg_id = body.get("msg_id").and_then(Value::as_integer);
        body.in_reply_to = body.get("in_reply_to").and_then(Value::as_integer);
        body
    }
}

/// A line cut into the parts of an envelope, none of them checked yet.
///
/// It is what is left to work with where a line is JSON but no message: an error reply needs `src` and
/// `msg_id`, `validate` tells of each field, and `messenger parse` does without a type.
#[derive(Debug, Default)]
pub struct UncheckedEnvelope<'a> {
    text: Text<'a>,
    /// What stands under the names that the schema knows.
    parts: Parts,
    /// The last key at the top level that the schema does not know.
    unknown: Option<Span>,
    /// Keys and values of the body, in their order.
    members: &'a [(Span, Span)],
}

/// Values, each in the place of its [`Name`].
type Parts = [Option<Span>; Name::COUNT];

#[cfg_attr(
    not(feature = "cli"),
    allow(dead_code, reason = "a node checks messages; others only look into them")
)]
impl<'a> UncheckedEnvelope<'a> {
    /// Reads one line, which has to be an object.
    ///
    /// # Errors
    /// What is not as JSON has it, and where.
    pub fn parse(parser: &'a mut Parser, line: Line<'a>) -> Result<Self, SyntaxError> {
        let mut unchecked = Self::default();
        match unchecked.read_alone(parser, line) {
            Ok(()) => Ok(unchecked),
            Err(error) => Err(*error),
        }
    }

    /// Reads a line that has no index yet, like [`read`](Self::read).
    pub(super) fn read_alone(&mut self, parser: &'a mut Parser, line: Line<'a>) -> Walked<()> {
        parser.give_back();
        let Parser { index, copy, members } = parser;
        self.read(cursor_of(index, copy, line.bytes(), None)?, members)?;
        Ok(())
    }

    /// Reads a line by its tokens into an empty envelope, where it stays: to move what was just written takes longer than
    /// to write it. How many tokens it has.
    #[inline(always)]
    pub(super) fn read(
        &mut self,
        mut cursor: Cursor<'a, '_>,
        members: &'a mut Vec<(Span, Span)>,
    ) -> Walked<usize> {
        let text = cursor.text();
        cursor.open_object()?;
        let mut is_first = true;
        while let Some(key) = cursor.member(is_first)? {
            is_first = false;
            let name = Name::at(text, key).of_envelope();
            if name == Name::Body {
                self.read_body(&mut cursor, members)?;
                continue;
            }
            self.parts[name as usize] = Some(cursor.value(1)?);
            if name == Name::Other {
                self.unknown = Some(key);
            }
        }
        self.text = text;
        self.members = members;
        cursor.end()
    }

    #[inline(always)]
    fn read_body(&mut self, cursor: &mut Cursor<'a, '_>, members: &mut Vec<(Span, Span)>) -> Walked<()> {
        for name in [Name::Type, Name::MsgId, Name::InReplyTo] {
            self.parts[name as usize] = None;
        }
        members.clear();
        members.shrink_to(MEMBERS_KEPT);
        if cursor.peek() != b'{' {
            self.parts[Name::Body as usize] = Some(cursor.value(1)?);
            return Ok(());
        }
        let start = cursor.open_object()?;
        while let Some(key) = cursor.member(members.is_empty())? {
            let name = Name::at(cursor.text(), key).of_body();
            let value = cursor.value(2)?;
            self.parts[name as usize] = Some(value);
            members.push((key, value));
        }
        self.parts[Name::Body as usize] = Some(Span::new(start, cursor.stepped()));
        Ok(())
    }

    /// What stands under a name that the schema knows.
    #[inline(always)]
    const fn part(&self, name: Name) -> Option<Span> {
        self.parts[name as usize]
    }

    /// `src`, a string.
    ///
    /// # Errors
    /// Where it is missing or no string.
    pub fn src(&self) -> Result<Cow<'a, str>, SchemaError> {
        self.string("src", self.part(Name::Src))
    }

    /// `dest`, a string.
    ///
    /// # Errors
    /// Where it is missing or no string.
    pub fn dest(&self) -> Result<Cow<'a, str>, SchemaError> {
        self.string("dest", self.part(Name::Dest))
    }

    /// `body`, an object.
    ///
    /// # Errors
    /// Where it is missing or no object.
    pub fn body(&self) -> Result<Value<'a>, SchemaError> {
        let body = self.part(Name::Body).map(|body| Value::at(self.text, body));
        let object = body.filter(|body| body.kind() == Kind::Object);
        object.ok_or_else(|| self.error("body", "an object", self.part(Name::Body)))
    }

    /// `id`, an integer that may be missing.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn id(&self) -> Result<Option<Integer<'a>>, SchemaError> {
        self.optional_integer("id", self.part(Name::Id))
    }

    /// The body of a message whose body is an object and need be no more: without a `type`, or with one that is no
    /// string, its kind is empty, and a `msg_id` or `in_reply_to` that is no integer counts as missing.
    ///
    /// # Errors
    /// Where it is missing or no object.
    pub fn loose_body(&self) -> Result<Body<'a>, SchemaError> {
        let body = self.part(Name::Body).filter(|&body| self.text.first(body) == b'{');
        let Some(body) = body else { return Err(self.error("body", "an object", self.part(Name::Body))) };
        let (text, integer) = (self.text, |id| Value::at(self.text, id).as_integer());
        let members = Members::Found(body, self.members);
        Ok(Body {
            kind: self.kind().unwrap_or_default(),
            msg_id: self.part(Name::MsgId).and_then(integer),
            in_reply_to: self.part(Name::InReplyTo).and_then(integer),
            text,
            members,
        })
    }

    /// `body.type`, a string.
    ///
    /// # Errors
    /// Where it is missing or no string.
    pub fn kind(&self) -> Result<Cow<'a, str>, SchemaError> {
        self.string("body.type", self.part(Name::Type))
    }

    /// `body.msg_id`, an integer that may be missing.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn msg_id(&self) -> Result<Option<Integer<'a>>, SchemaError> {
        self.optional_integer("body.msg_id", self.part(Name::MsgId))
    }

    /// `body.in_reply_to`, an integer that may be missing.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn in_reply_to(&self) -> Result<Option<Integer<'a>>, SchemaError> {
        self.optional_integer("body.in_reply_to", self.part(Name::InReplyTo))
    }

    /// Whether the line says that it answers something, rightly typed or not. Such a line is never
    /// answered itself.
    pub fn claims_to_be_a_reply(&self) -> bool {
        self.part(Name::InReplyTo).is_some_and(|id| Value::at(self.text, id).kind() != Kind::Null)
    }

    /// A key at the top level that no message has: something else than `src`, `dest`, `body` and `id`.
    pub fn unknown_key(&self) -> Option<Cow<'a, str>> {
        self.unknown.map(|key| name_at(self.text, key))
    }

    /// Whether the body has a `type`, rightly typed or not.
    pub const fn has_kind(&self) -> bool {
        self.part(Name::Type).is_some()
    }

    /// The message, if every part is as the schema wants it; else the first that is not.
    ///
    /// # Errors
    /// The first part that is not, what was expected there, and what came.
    #[inline(always)]
    pub fn check(&self) -> Result<Envelope<'_>, SchemaError> {
        self.envelope().ok_or_else(|| self.fault())
    }

    /// An option is much smaller than a result with an error, and moved for each part.
    #[inline(always)]
    fn envelope(&self) -> Option<Envelope<'a>> {
        let Self { text, members, .. } = *self;
        let src = string_at(text, self.part(Name::Src)?)?;
        let dest = string_at(text, self.part(Name::Dest)?)?;
        let value = self.part(Name::Body).filter(|&body| text.first(body) == b'{')?;
        let kind = string_at(text, self.part(Name::Type)?)?;
        let integer = |id| Value::at(text, id).as_integer();
        let msg_id = match self.part(Name::MsgId) {
            Some(id) => Some(integer(id)?),
            None => None,
        };
        let in_reply_to = match self.part(Name::InReplyTo) {
            Some(id) => Some(integer(id)?),
            None => None,
        };
        let members = Members::Found(value, members);
        let is_bare = self.part(Name::Id).is_none() && self.unknown.is_none();
        Some(Envelope { src, dest, body: Body { kind, msg_id, in_reply_to, text, members }, is_bare })
    }

    /// The first part that is not as the schema wants it.
    #[cold]
    fn fault(&self) -> SchemaError {
        let faults = [
            self.src().err(),
            self.dest().err(),
            self.body().err(),
            self.kind().err(),
            self.msg_id().err(),
            self.in_reply_to().err(),
        ];
        faults.into_iter().flatten().next().expect("it is no envelope")
    }

    fn string(&self, field: &'static str, span: Option<Span>) -> Result<Cow<'a, str>, SchemaError> {
        let text = span.and_then(|span| string_at(self.text, span));
        text.ok_or_else(|| self.error(field, "a string", span))
    }

    fn optional_integer(
        &self,
        field: &'static str,
        span: Option<Span>,
    ) -> Result<Option<Integer<'a>>, SchemaError> {
        let Some(found) = span else { return Ok(None) };
        match Value::at(self.text, found).as_integer() {
            None => Err(self.error(field, "an integer", span)),
            integer => Ok(integer),
        }
    }

    #[cold]
    fn error(&self, field: &'static str, expected: &'static str, found: Option<Span>) -> SchemaError {
        SchemaError::new(field, expected, found.map(|span| Value::at(self.text, span).raw()))
    }
}

/// The names that the schema knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Src,
    Dest,
    Body,
    Id,
    Type,
    MsgId,
    InReplyTo,
    Other,
}

impl Name {
    pub(super) const COUNT: usize = Self::Other as usize + 1;

    /// This name, if it means something next to `body`.
    #[inline(always)]
    pub(super) const fn of_envelope(self) -> Self {
        match self {
            Self::Src | Self::Dest | Self::Body | Self::Id => self,
            _ => Self::Other,
        }
    }

    /// This name, if it means something in a body.
    #[inline(always)]
    pub(super) const fn of_body(self) -> Self {
        match self {
            Self::Type | Self::MsgId | Self::InReplyTo => self,
            _ => Self::Other,
        }
    }

    /// What the schema calls this key.
    #[inline(always)]
    pub(super) fn at(text: Text<'_>, key: Span) -> Self {
        if text.escapes { Self::of(name_at(text, key).as_bytes()) } else { Self::of(text.inner(key)) }
    }

    #[inline(always)]
    fn of(name: &[u8]) -> Self {
        match name.len() {
            2 if name == b"id" => Self::Id,
            3 if name == b"src" => Self::Src,
            4 if name == b"dest" => Self::Dest,
            4 if name == b"body" => Self::Body,
            4 if name == b"type" => Self::Type,
            6 if name == b"msg_id" => Self::MsgId,
            11 if name == b"in_reply_to" => Self::InReplyTo,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str) -> Result<(String, Option<String>, Option<String>), String> {
        let mut parser = Parser::new();
        let unchecked = UncheckedEnvelope::parse(&mut parser, Line::new(line.as_bytes()))
            .map_err(|error| error.to_string())?;
        let Envelope { src, dest, body, .. } = unchecked.check().map_err(|error| error.to_string())?;
        let integer = |value: Option<Integer<'_>>| value.map(|x| x.to_string());
        Ok((format!("{src}|{dest}|{}", body.kind), integer(body.msg_id), integer(body.in_reply_to)))
    }

    #[test]
    fn keys_may_come_in_any_order_and_with_company() {
        let id = "123456789012345678901234567890";
        let line = format!(
            r#" {{ "x":[{{}}], "body" : {{"in_reply_to":-1,"y":null,"msg_id":{id},"type":"t"}}, "dest":"b","id":7,"src":"a" }} "#
        );
        assert_eq!(check(&line), Ok(("a|b|t".into(), Some(id.into()), Some("-1".into()))));
    }

    #[test]
    fn escaped_keys_and_names_are_the_same_names() {
        let line = r#"{"s\u0072c":"c\u0031","dest":"n\u00e9","bod\u0079":{"t\u0079pe":"ech\u006f"}}"#;
        assert_eq!(check(line), Ok(("c1|n\u{e9}|echo".into(), None, None)));
    }

    #[test]
    fn of_a_key_that_comes_twice_the_last_one_counts() {
        let line = r#"{"src":1,"src":"a","dest":"b","body":{"type":"x","msg_id":1},"body":{"type":"y"}}"#;
        assert_eq!(check(line), Ok(("a|b|y".into(), None, None)));
        let line = r#"{"src":"a","dest":"b","body":{"type":"x"},"body":[]}"#;
        assert_eq!(check(line), Err("body: expected an object, found []".into()));
    }

    #[test]
    fn errors_name_the_field_and_what_came() {
        for (line, error) in [
            ("{}", "src: expected a string, found nothing"),
            (r#"{"src":5}"#, "src: expected a string, found 5"),
            (r#"{"src":"\ud800"}"#, r#"src: expected a string, found "\ud800""#),
            (r#"{"src":"a","dest":null}"#, "dest: expected a string, found null"),
            (r#"{"src":"a","dest":"b","body":"c"}"#, r#"body: expected an object, found "c""#),
            (r#"{"src":"a","dest":"b","body":{}}"#, "body.type: expected a string, found nothing"),
            (
                r#"{"src":"a","dest":"b","body":{"type":"t","msg_id":1.0}}"#,
                "body.msg_id: expected an integer, found 1.0",
            ),
            (
                r#"{"src":"a","dest":"b","body":{"type":"t","in_reply_to":"1"}}"#,
                r#"body.in_reply_to: expected an integer, found "1""#,
            ),
            ("[]", "expected an object at byte 1, found `[`"),
            ("\"a\"", "expected an object at byte 1, found `\"`"),
            ("  ", "expected an object, found nothing"),
            ("{} {}", "expected the end of the line at byte 4, found `{`"),
        ] {
            assert_eq!(check(line), Err(error.into()), "{line}");
        }
    }
}
