//! Why a value could not be read, and where.

use std::fmt;

use serde::de::{self, Unexpected};

/// What is read, which decides about its members and its name in errors.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Root<'a> {
    /// The body of a message of this type. Its enum is the one that `type` names, and what the node itself writes into
    /// a body is shown to those structs alone that ask for it.
    Body(&'a str),
    /// A value of this name.
    Value(&'a str),
}

/// A change of the text that shows, by what becomes of the error, where that is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Probe {
    /// The value that begins there is one that nothing reads.
    Replaced(usize),
    /// The object that begins there has one more member, which nothing reads.
    Added(usize, &'static str),
}

/// No text, so nothing reads it: not even what takes bytes for text.
pub(super) const UNREADABLE: &[u8] = b"\xff messenger \xff";

/// Why a value could not be read. It is boxed: what is returned for each value stays small.
#[derive(Debug)]
pub(super) struct Error(pub(super) Box<Fault>);

#[derive(Debug)]
pub(super) struct Fault {
    pub(super) what: What,
    /// Where the value begins that is to blame, and whether it surely is that one and nothing inside it.
    pub(super) at: Option<(usize, bool)>,
    /// It was the unreadable value of a [`Probe`].
    pub(super) is_probe: bool,
}

#[derive(Debug)]
pub(super) enum What {
    /// Something else was expected.
    Expected(String),
    /// An array of another length was.
    Length(usize, String),
    /// None of the variants, which are these.
    Variant(&'static [&'static str]),
    /// No such field but these.
    Field(&'static [&'static str]),
    /// A field is missing.
    Missing(&'static str),
    /// It comes twice.
    Duplicate(&'static str),
    /// What the type itself has to say.
    Custom(String),
}

impl Error {
    #[cold]
    pub(super) fn new(what: What) -> Self {
        Self(Box::new(Fault { what, at: None, is_probe: false }))
    }

    /// Says where, unless somebody deeper inside has said so.
    #[cold]
    pub(super) fn at(mut self, at: usize, is_exact: bool) -> Self {
        self.0.at.get_or_insert((at, is_exact));
        self
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::new(What::Custom(text.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let mut error = Self::new(What::Expected(expected.to_string()));
        error.0.is_probe = matches!(found, Unexpected::Bytes(UNREADABLE));
        error
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn de::Expected) -> Self {
        Self::new(What::Length(length, expected.to_string()))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(What::Variant(expected))
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(What::Field(expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(What::Missing(field))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(What::Duplicate(field))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.what)
    }
}

impl std::error::Error for Error {}

/// In place of an offset: the type of the message, wherever it stands.
pub(super) const KIND: usize = usize::MAX;
