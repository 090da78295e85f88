//! Names and types of messages, which are short and come again and again.

use std::borrow::Cow;

/// A name that is kept where it is, if it is short. Short ones are copied and compared by two halves that overlap, which
/// takes less than a call.
#[derive(Debug, Default)]
pub(crate) struct Label {
    /// Of all of the name.
    length: usize,
    /// A name that fits is here,
    short: [u8; Self::SHORT],
    /// any other here.
    long: Vec<u8>,
}

impl Label {
    const SHORT: usize = 16;

    /// Of a longer name the beginning is kept.
    pub(crate) const MAX: usize = 1024;

    pub(crate) fn new(name: &str) -> Self {
        let mut label = Self::default();
        label.set(name);
        label
    }

    /// Becomes this name.
    #[inline(always)]
    pub(crate) fn set(&mut self, name: &str) {
        let Self { length, short, long } = self;
        *length = name.len();
        match name.as_bytes() {
            [] => {}
            [first] => short[0] = *first,
            name @ ([_, _] | [_, _, _]) => copy_halves::<2>(short, name),
            name if name.len() < 8 => copy_halves::<4>(short, name),
            name if name.len() <= Self::SHORT => copy_halves::<8>(short, name),
            name => {
                long.clear();
                long.extend_from_slice(&name[..name.len().min(Self::MAX)]);
            }
        }
    }

    /// Whether it is this name. One that was cut is none.
    #[inline(always)]
    pub(crate) fn is(&self, name: &str) -> bool {
        let Self { length, short, long } = self;
        *length == name.len()
            && match name.as_bytes() {
                [] => true,
                [first] => short[0] == *first,
                name @ ([_, _] | [_, _, _]) => same_halves::<2>(short, name),
                name if name.len() < 8 => same_halves::<4>(short, name),
                name if name.len() <= Self::SHORT => same_halves::<8>(short, name),
                name => *long == name,
            }
    }

    /// The name, or what is kept of it.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.bytes())
    }

    /// What is kept of the name. If it was cut, it may end within a character.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.short.get(..self.length).unwrap_or(&self.long)
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length && self.bytes() == other.bytes()
    }
}

impl Eq for Label {}

impl Clone for Label {
    fn clone(&self) -> Self {
        let Self { length, short, long } = self;
        Self { length: *length, short: *short, long: long.clone() }
    }

    #[inline(always)]
    fn clone_from(&mut self, from: &Self) {
        self.length = from.length;
        self.short = from.short;
        if from.length > Self::SHORT {
            self.long.clone_from(&from.long);
        }
    }
}

/// Copies the first and the last `N` bytes of a name that has no more and no less than those.
#[inline(always)]
fn copy_halves<const N: usize>(short: &mut [u8; Label::SHORT], name: &[u8]) {
    if let (Some(first), Some(last)) = (name.first_chunk::<N>(), name.last_chunk::<N>()) {
        let second = name.len() - N;
        short[..N].copy_from_slice(first);
        short[second..second + N].copy_from_slice(last);
    }
}

/// Whether the first and the last `N` bytes of a name are those, which has no more and no less.
#[inline(always)]
fn same_halves<const N: usize>(short: &[u8; Label::SHORT], name: &[u8]) -> bool {
    let second = name.len() - N;
    let halves = (name.first_chunk::<N>(), name.last_chunk::<N>());
    let kept = (short.first_chunk(), short.get(second..).and_then(<[u8]>::first_chunk));
    halves.0 == kept.0 && halves.1 == kept.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_its_name_and_no_other() {
        let mut label = Label::default();
        let name = |length: usize, last: char| "n".repeat(length) + &String::from(last);
        for length in (0..40).chain([1022, 1023, 3, 0]) {
            label.set(&name(length, 'a'));
            assert_eq!(label.bytes(), name(length, 'a').as_bytes());
            let mut copy = Label::new("another that is longer than it is short");
            copy.clone_from(&label);
            for label in [&label, &copy, &label.clone()] {
                assert!(label.is(&name(length, 'a')), "{length}");
                let others = [name(length, 'b'), name(length + 1, 'a'), name(length, 'a') + "n", "x".into()];
                assert!(!others.iter().any(|other| label.is(other)), "{length}");
                assert!(!label.is(""));
            }
        }
        label.set(&"é".repeat(1000));
        assert_eq!((label.bytes().len(), label.is(&"é".repeat(1000))), (1024, false));
        assert!(!label.is(&"é".repeat(512)), "the beginning of a name is another name");
        label.set("");
        assert!(label.is("") && label.bytes().is_empty());
    }
}
