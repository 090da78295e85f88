//! JSON values to Rust ones.

use super::value::{Kind, OwnedValue, Value};

/// What a JSON value can be read as.
pub trait FromJson: Sized {
    /// What kind of value that takes, for an error message.
    const EXPECTED: &'static str;

    /// Reads the value; `None` if it is of another kind, or does not fit.
    fn from_json(value: Value<'_>) -> Option<Self>;
}

impl FromJson for i64 {
    const EXPECTED: &'static str = "an integer of 64 bits";

    fn from_json(value: Value<'_>) -> Option<Self> {
        value.as_i64()
    }
}

impl FromJson for u64 {
    const EXPECTED: &'static str = "an integer of 64 bits, not negative";

    fn from_json(value: Value<'_>) -> Option<Self> {
        value.as_integer()?.as_u64()
    }
}

impl FromJson for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_json(value: Value<'_>) -> Option<Self> {
        value.as_f64()
    }
}

impl FromJson for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_json(value: Value<'_>) -> Option<Self> {
        value.as_bool()
    }
}

impl FromJson for String {
    const EXPECTED: &'static str = "a string";

    fn from_json(value: Value<'_>) -> Option<Self> {
        Some(value.as_str()?.into_owned())
    }
}

/// Whatever it is.
impl FromJson for OwnedValue {
    const EXPECTED: &'static str = "a value";

    fn from_json(value: Value<'_>) -> Option<Self> {
        Some(value.detach())
    }
}

/// `null` is none.
impl<T: FromJson> FromJson for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn from_json(value: Value<'_>) -> Option<Self> {
        if value.kind() == Kind::Null { Some(None) } else { T::from_json(value).map(Some) }
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    const EXPECTED: &'static str = "an array of values of one type";

    fn from_json(value: Value<'_>) -> Option<Self> {
        value.as_array()?.map(T::from_json).collect()
    }
}
