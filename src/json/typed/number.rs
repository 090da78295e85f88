//! Numbers, in the words of serde's model.

/// A number, as small as it can be said.
pub(super) enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl Number {
    /// `None` for one beyond a double's range.
    #[inline]
    pub(super) fn of(text: &str) -> Option<Self> {
        let (digits, is_negative) = match text.strip_prefix('-') {
            Some(digits) => (digits, true),
            None => (text, false),
        };
        // Nineteen digits are less than 2^64.
        if digits.len() > 19 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Self::of_long(text);
        }
        let number = digits.bytes().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        match (is_negative, i64::try_from(number)) {
            (false, _) => Some(Self::Unsigned(number)),
            (true, Ok(number)) => Some(Self::Signed(-number)),
            (true, Err(_)) => Self::of_long(text),
        }
    }

    #[inline(never)]
    fn of_long(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse() {
            return Some(Self::Unsigned(number));
        }
        if let Ok(number) = text.parse() {
            return Some(Self::Signed(number));
        }
        text.parse().ok().filter(|number: &f64| number.is_finite()).map(Self::Float)
    }
}
