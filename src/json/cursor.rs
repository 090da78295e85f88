//! JSON's grammar, walked token by token, however the tokens are found.

use super::index::name_at;
use super::text::{MAX_DEPTH, Span, Text};

/// A walk over the tokens of one text, which checks the grammar as it goes.
pub(crate) trait Walk<'a>: Sized {
    /// Why a text is not what was expected.
    type Error;

    /// What is walked.
    fn text(&self) -> Text<'a>;

    /// The first byte of the token that comes next; 0 at the end, which no grammar asks for.
    fn peek(&mut self) -> u8;

    /// Where the token begins that was peeked at.
    fn at(&self) -> usize;

    /// Steps over the bracket, comma or colon that was peeked at.
    fn step(&mut self);

    /// The end of the bracket that was stepped over last.
    fn stepped(&self) -> usize;

    /// Checks the string, number, `true`, `false` or `null` that was peeked at and steps over it; the offset of
    /// its end.
    fn scalar(&mut self) -> Result<usize, Self::Error>;

    /// Whether nothing follows.
    fn is_at_end(&mut self) -> bool;

    /// Something else was expected than what was peeked at.
    fn refuse(&self, expected: &'static str) -> Self::Error;

    /// What was peeked at is a level of nesting too many.
    fn too_deep(&self) -> Self::Error;

    /// Steps into the object that comes next; where it begins.
    #[inline(always)]
    fn open_object(&mut self) -> Result<usize, Self::Error> {
        if self.peek() != b'{' {
            return Err(self.refuse("an object"));
        }
        let start = self.at();
        self.step();
        Ok(start)
    }

    /// Steps to the next value of an object, over its key, or out of the object.
    #[inline(always)]
    fn member(&mut self, is_first: bool) -> Result<Member, Self::Error> {
        match self.peek() {
            b'}' => {
                self.step();
                return Ok(Member::End);
            }
            b',' if !is_first => self.step(),
            _ if is_first => {}
            _ => return Err(self.refuse("`,` or `}`")),
        }
        let (key, name) = self.named_key()?;
        Ok(Member::Value(key, name))
    }

    /// A key and its colon, and what the schema calls it.
    #[inline(always)]
    fn named_key(&mut self) -> Result<(Span, Name), Self::Error> {
        let key = self.key()?;
        Ok((key, Name::of(name_at(self.text(), key).as_bytes())))
    }

    /// Walks the value that comes next, whatever it is, at the given depth of nesting.
    #[inline(always)]
    fn value(&mut self, depth: usize) -> Result<Span, Self::Error> {
        let byte = self.peek();
        let start = self.at();
        let end = match byte {
            b'{' | b'[' => self.nested_in_place(depth)?,
            _ => self.scalar()?,
        };
        Ok(Span::new(start, end))
    }

    /// Walks the value that is all of the text.
    fn whole(&mut self) -> Result<Span, Self::Error> {
        let value = self.value(0)?;
        self.end()?;
        Ok(value)
    }

    /// Makes sure that nothing follows.
    fn end(&mut self) -> Result<(), Self::Error> {
        if self.is_at_end() { Ok(()) } else { Err(self.refuse("the end of the line")) }
    }

    /// What [`nested`](Self::nested) does, called from where a walk may be inlined.
    #[inline]
    fn nested_in_place(&mut self, depth: usize) -> Result<usize, Self::Error> {
        self.nested(depth)
    }

    /// Walks an array or object with everything in it, without recursion; the offset of its end.
    #[inline(never)]
    fn nested(&mut self, depth: usize) -> Result<usize, Self::Error> {
        let mut open = Nesting::new(depth);
        loop {
            let object = match self.peek() {
                b'{' => true,
                b'[' => false,
                _ => {
                    self.scalar()?;
                    if let Some(end) = self.close_and_separate(&mut open)? {
                        return Ok(end);
                    }
                    continue;
                }
            };
            if !open.push(object) {
                return Err(self.too_deep());
            }
            self.step();
            let empty = self.peek() == if object { b'}' } else { b']' };
            if empty {
                if let Some(end) = self.close_and_separate(&mut open)? {
                    return Ok(end);
                }
            } else if object {
                self.key()?;
            }
        }
    }

    /// After a value: closes what ends here, then steps over the comma (and, in an object, the key)
    /// to the next value. If that closed everything, the offset of the end.
    #[inline(always)]
    fn close_and_separate(&mut self, open: &mut Nesting) -> Result<Option<usize>, Self::Error> {
        loop {
            let object = open.in_object();
            match (self.peek(), object) {
                (b'}', true) | (b']', false) => {
                    self.step();
                    if open.pop() {
                        return Ok(Some(self.stepped()));
                    }
                }
                (b',', _) => {
                    self.step();
                    if object {
                        self.key()?;
                    }
                    return Ok(None);
                }
                (_, true) => return Err(self.refuse("`,` or `}`")),
                (_, false) => return Err(self.refuse("`,` or `]`")),
            }
        }
    }

    /// A key and its colon.
    #[inline(always)]
    fn key(&mut self) -> Result<Span, Self::Error> {
        if self.peek() != b'"' {
            return Err(self.refuse("a key in quotes"));
        }
        let start = self.at();
        let end = self.scalar()?;
        self.expect(b':', "`:`")?;
        Ok(Span::new(start, end))
    }

    #[inline(always)]
    fn expect(&mut self, byte: u8, name: &'static str) -> Result<(), Self::Error> {
        if self.peek() != byte {
            return Err(self.refuse(name));
        }
        self.step();
        Ok(())
    }
}

/// What comes next in an object.
pub(crate) enum Member {
    /// A value, after its key.
    Value(Span, Name),
    /// Nothing.
    End,
}

/// The names that the schema knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
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
    pub(crate) const COUNT: usize = Self::Other as usize + 1;

    /// This name, if it means something next to `body`.
    #[inline(always)]
    pub(crate) const fn of_envelope(self) -> Self {
        match self {
            Self::Src | Self::Dest | Self::Body | Self::Id => self,
            _ => Self::Other,
        }
    }

    /// This name, if it means something in a body.
    #[inline(always)]
    pub(crate) const fn of_body(self) -> Self {
        match self {
            Self::Type | Self::MsgId | Self::InReplyTo => self,
            _ => Self::Other,
        }
    }

    pub(crate) fn of(name: &[u8]) -> Self {
        match name {
            b"src" => Self::Src,
            b"dest" => Self::Dest,
            b"body" => Self::Body,
            b"id" => Self::Id,
            b"type" => Self::Type,
            b"msg_id" => Self::MsgId,
            b"in_reply_to" => Self::InReplyTo,
            _ => Self::Other,
        }
    }
}

/// Which of the open brackets are objects: one bit a level.
pub(crate) struct Nesting {
    objects: [u64; MAX_DEPTH / 64],
    outside: usize,
    depth: usize,
}

impl Nesting {
    fn new(outside: usize) -> Self {
        Self { objects: [0; MAX_DEPTH / 64], outside, depth: outside }
    }

    /// Opens a level; `false` if that is one too many.
    fn push(&mut self, object: bool) -> bool {
        if self.depth == MAX_DEPTH {
            return false;
        }
        let (word, bit) = (self.depth / 64, self.depth % 64);
        self.objects[word] = self.objects[word] & !(1 << bit) | u64::from(object) << bit;
        self.depth += 1;
        true
    }

    /// Closes a level; whether it was the outermost.
    fn pop(&mut self) -> bool {
        self.depth -= 1;
        self.depth == self.outside
    }

    fn in_object(&self) -> bool {
        let innermost = self.depth - 1;
        self.objects[innermost / 64] >> (innermost % 64) & 1 == 1
    }
}

/// How long the escape is that `text` begins with, if RFC 8259 knows it. A `\u` that names half of a surrogate
/// pair is one: it is handed on as it is, and refused where it is decoded.
#[inline]
pub(crate) fn escape_len(text: &[u8]) -> Option<usize> {
    match text {
        [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Some(2),
        [b'\\', b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|x| x.is_ascii_hexdigit()) => Some(6),
        _ => None,
    }
}

pub(crate) fn is_number(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let (whole, rest) = split_digits(text);
    if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
        return false;
    }
    let rest = match rest {
        [b'.', fraction @ ..] => match split_digits(fraction) {
            ([], _) => return false,
            (_, rest) => rest,
        },
        rest => rest,
    };
    match rest {
        [] => true,
        [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] => {
            !exponent.is_empty() && exponent.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    }
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|x| !x.is_ascii_digit()).unwrap_or(text.len()))
}
