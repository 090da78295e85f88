//! JSON values to Rust ones.

use std::str::FromStr;

use super::error::{SchemaError, SyntaxError};
use super::parser::Parser;
use super::text::excerpt;
use super::value::{OwnedValue, Value};

/// What a JSON value can be read as; with the feature `serde`, whatever implements `serde::Deserialize` and borrows
/// nothing.
pub trait FromJson: Sized {
    /// What kind of value that takes, for an error message.
    const EXPECTED: &'static str;

    /// Reads the value; `None` if it is of another kind, or does not fit.
    fn from_json(value: Value<'_>) -> Option<Self>;

    /// Reads the value that has this name in a message.
    ///
    /// # Errors
    /// Where it is not what this type takes, and what is there.
    fn read(value: Value<'_>, name: &str) -> Result<Self, SchemaError> {
        Self::from_json(value)
            .ok_or_else(|| SchemaError::new(name.to_owned(), Self::EXPECTED, Some(value.raw())))
    }
}

impl OwnedValue {
    /// The value that a JSON text says: for what cannot be put together from Rust's own values, such as
    /// `["r",1,null]`. It is kept as it is written.
    ///
    /// # Errors
    /// Where it is no JSON value, or one that is nested beyond [`MAX_DEPTH`](super::text::MAX_DEPTH).
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut parser = Parser::new();
        if let Some(b'{' | b'[') = text.trim_ascii_start().bytes().next() {
            return parser.value(text.as_bytes()).map(Value::detach).map_err(|error| *error);
        }
        // The parser reads what has brackets.
        let array = format!("[{text}]");
        let only = parser.value(array.as_bytes()).ok().and_then(|array| {
            let mut elements = array.as_array()?;
            elements.next().filter(|_| elements.next().is_none()).map(Value::detach)
        });
        only.ok_or_else(|| SyntaxError::Unexpected {
            expected: "one JSON value",
            at: 1,
            found: format!("`{}`", excerpt(text)),
        })
    }
}

impl FromStr for OwnedValue {
    type Err = SyntaxError;

    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        Self::parse(text)
    }
}

#[cfg(feature = "serde")]
impl<T: serde::de::DeserializeOwned> FromJson for T {
    const EXPECTED: &'static str = "a value";

    fn from_json(value: Value<'_>) -> Option<Self> {
        value.parse("").ok()
    }

    fn read(value: Value<'_>, name: &str) -> Result<Self, SchemaError> {
        value.parse(name)
    }
}

/// What this crate reads by itself.
#[cfg(not(feature = "serde"))]
mod plain {
    use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
    use std::hash::{BuildHasher, Hash};
    use std::str::FromStr;

    use super::FromJson;
    use crate::json::error::SchemaError;
    use crate::json::value::{Integer, Kind, OwnedValue, Value};

    macro_rules! integers {
        ($($integer:ty: $expected:literal;)*) => {$(
            impl FromJson for $integer {
                const EXPECTED: &'static str = $expected;

                fn from_json(value: Value<'_>) -> Option<Self> {
                    value.as_integer().and_then(from_integer)
                }
            }

            impl Key for $integer {
                fn from_key(key: &str) -> Option<Self> {
                    key.parse().ok()
                }
            }
        )*};
    }

    integers! {
        i8: "an integer of 8 bits";
        i16: "an integer of 16 bits";
        i32: "an integer of 32 bits";
        i64: "an integer of 64 bits";
        i128: "an integer of 128 bits";
        isize: "an integer of 64 bits";
        u8: "an integer of 8 bits, not negative";
        u16: "an integer of 16 bits, not negative";
        u32: "an integer of 32 bits, not negative";
        u64: "an integer of 64 bits, not negative";
        u128: "an integer of 128 bits, not negative";
        usize: "an integer of 64 bits, not negative";
    }

    /// An integer that fits. `-0` is zero, without a sign too.
    fn from_integer<T: FromStr>(integer: Integer<'_>) -> Option<T> {
        let digits = integer.as_str();
        digits.parse().ok().or_else(|| if digits == "-0" { "0".parse().ok() } else { None })
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

    impl FromJson for Box<str> {
        const EXPECTED: &'static str = "a string";

        fn from_json(value: Value<'_>) -> Option<Self> {
            Some(value.as_str()?.into())
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

        fn read(value: Value<'_>, name: &str) -> Result<Self, SchemaError> {
            if value.kind() == Kind::Null { Ok(None) } else { T::read(value, name).map(Some) }
        }
    }

    macro_rules! arrays {
        ($($array:ty, [$($bounds:tt)*];)*) => {$(
            impl<T: FromJson $($bounds)*> FromJson for $array {
                const EXPECTED: &'static str = "an array";

                fn from_json(value: Value<'_>) -> Option<Self> {
                    value.as_array()?.map(T::from_json).collect()
                }

                fn read(value: Value<'_>, name: &str) -> Result<Self, SchemaError> {
                    let elements = value.as_array().ok_or_else(|| not(Self::EXPECTED, value, name))?;
                    elements.enumerate().map(|(n, value)| element(value, name, n)).collect()
                }
            }
        )*};
    }

    arrays! {
        Vec<T>, [];
        BTreeSet<T>, [+ Ord];
        HashSet<T, S>, [+ Eq + Hash, S: BuildHasher + Default];
    }

    impl<T: FromJson, const N: usize> FromJson for [T; N] {
        const EXPECTED: &'static str = "an array of so many elements";

        fn from_json(value: Value<'_>) -> Option<Self> {
            Vec::from_json(value)?.try_into().ok()
        }

        fn read(value: Value<'_>, name: &str) -> Result<Self, SchemaError> {
            Vec::read(value, name)?.try_into().map_err(|_| not(Self::EXPECTED, value, name))
        }
    }

    macro_rules! tuples {
        ($($expected:literal: $($member:ident)*;)*) => {$(
            impl<$($member: FromJson),*> FromJson for ($($member,)*) {
                const EXPECTED: &'static str = $expected;

                fn from_json(value: Value<'_>) -> Option<Self> {
                    let mut elements = value.as_array()?;
                    let tuple = ($($member::from_json(elements.next()?)?,)*);
                    elements.next().is_none().then_some(tuple)
                }

                fn read(value: Value<'_>, name: &str) -> Result<Self, SchemaError> {
                    let mut elements = value.as_array().into_iter().flatten().enumerate();
                    let missing = || not(Self::EXPECTED, value, name);
                    let tuple = ($({
                        let (n, value) = elements.next().ok_or_else(missing)?;
                        element::<$member>(value, name, n)?
                    },)*);
                    if elements.next().is_none() { Ok(tuple) } else { Err(missing()) }
                }
            }
        )*};
    }

    tuples! {
        "an array of 1 element": A;
        "an array of 2 elements": A B;
        "an array of 3 elements": A B C;
        "an array of 4 elements": A B C D;
        "an array of 5 elements": A B C D E;
        "an array of 6 elements": A B C D E F;
    }

    /// What the key of an object can be read as.
    pub trait Key: Sized {
        /// Reads what is written in the key.
        fn from_key(key: &str) -> Option<Self>;
    }

    impl Key for String {
        fn from_key(key: &str) -> Option<Self> {
            Some(key.to_owned())
        }
    }

    macro_rules! objects {
        ($($object:ty, [$($bounds:tt)*];)*) => {$(
            impl<K: Key $($bounds)*> FromJson for $object {
                const EXPECTED: &'static str = "an object";

                fn from_json(value: Value<'_>) -> Option<Self> {
                    let members = value.as_object()?;
                    members.map(|(key, value)| Some((K::from_key(&key.as_str()?)?, V::from_json(value)?))).collect()
                }

                fn read(value: Value<'_>, name: &str) -> Result<Self, SchemaError> {
                    let members = value.as_object().ok_or_else(|| not(Self::EXPECTED, value, name))?;
                    members.map(|(key, value)| member(key, value, name)).collect()
                }
            }
        )*};
    }

    objects! {
        BTreeMap<K, V>, [+ Ord, V: FromJson];
        HashMap<K, V, S>, [+ Eq + Hash, V: FromJson, S: BuildHasher + Default];
    }

    fn element<T: FromJson>(value: Value<'_>, name: &str, index: usize) -> Result<T, SchemaError> {
        T::from_json(value).map_or_else(|| T::read(value, &format!("{name}[{index}]")), Ok)
    }

    fn member<K: Key, V: FromJson>(
        key: Value<'_>,
        value: Value<'_>,
        name: &str,
    ) -> Result<(K, V), SchemaError> {
        let text = key.as_str().unwrap_or(key.raw().into());
        let path = || format!("{name}.{text}");
        let key = K::from_key(&text).ok_or_else(|| not("a key of another type", key, &path()))?;
        Ok((key, V::from_json(value).map_or_else(|| V::read(value, &path()), Ok)?))
    }

    fn not(expected: &'static str, found: Value<'_>, name: &str) -> SchemaError {
        SchemaError::new(name.to_owned(), expected, Some(found.raw()))
    }
}
