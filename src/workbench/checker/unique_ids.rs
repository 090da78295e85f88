//! Unique ids: no two requests are answered with the same one.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;

use super::canonical::canonical;
use super::{Findings, Place, Verdict};

/// An id that was given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id {
    /// Who gave it, and when.
    pub answered: Place,
    /// The id, as JSON of any kind.
    pub raw: String,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UniqueIdsResults {
    /// Invalid if an id was given out twice; unknown if none was given out at all.
    pub verdict: Verdict,
    /// How many ids were asked for.
    pub attempted: usize,
    /// How many were given out.
    pub acknowledged: usize,
    /// The ids that were given out more than once, those that were given out most often first.
    pub duplicated: Findings<Duplicate>,
    /// The lowest and the highest id, as they were first given out. Integers of up to 128 bits are ordered by
    /// value, before all others, which are ordered by text.
    pub range: Option<(String, String)>,
}

/// An id that was given out more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Duplicate {
    /// The id, as JSON, as it was first given out.
    pub id: String,
    /// How often it was given out.
    pub count: usize,
    /// Who gave it first, in the order of the ids, and when.
    pub first: Place,
    /// The same for the second time.
    pub again: Place,
}

/// Checks ids in the order in which they came; `attempted` says how many were asked for.
///
/// Ids are the same if they mean the same JSON value, as far as Maelstrom can tell: white space, escapes and
/// the order of keys do not count, but `1`, `1.0` and `"1"` are three ids.
pub fn check(attempted: usize, ids: &[Id]) -> UniqueIdsResults {
    let mut given = HashMap::<Cow<'_, str>, Given<'_>>::with_capacity(ids.len());
    for id in ids {
        let given = given.entry(canonical(&id.raw)).or_insert(Given { count: 0, first: id, again: id });
        given.count += 1;
        if given.count == 2 {
            given.again = id;
        }
    }
    let as_given = |(_, given): (_, &Given<'_>)| given.first.raw.clone();
    let lowest = given.iter().min_by_key(|&(id, _)| order(id)).map(as_given);
    let range = lowest.zip(given.iter().max_by_key(|&(id, _)| order(id)).map(as_given));

    let mut duplicated: Vec<_> = given.iter().filter(|(_, given)| given.count > 1).collect();
    duplicated.sort_unstable_by_key(|&(id, given)| (Reverse(given.count), order(id)));
    let duplicated: Findings<_> = duplicated
        .into_iter()
        .map(|(_, given)| Duplicate {
            id: given.first.raw.clone(),
            count: given.count,
            first: given.first.answered,
            again: given.again.answered,
        })
        .collect();
    let verdict = match ids {
        _ if !duplicated.is_empty() => Verdict::Invalid,
        [] => Verdict::Unknown,
        _ => Verdict::Valid,
    };
    UniqueIdsResults { verdict, attempted, acknowledged: ids.len(), duplicated, range }
}

/// What is known of one id.
struct Given<'a> {
    count: usize,
    first: &'a Id,
    again: &'a Id,
}

/// What ids are ordered by.
fn order(id: &str) -> (bool, Option<i128>, &str) {
    let integer = id.parse().ok();
    (integer.is_none(), integer, id)
}

impl UniqueIdsResults {
    /// Why it is not valid.
    pub fn explain(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.verdict == Verdict::Unknown {
            sentences.push("no id was given out, so nothing can be said about them".to_owned());
        }
        self.duplicated.explain(&mut sentences, |Duplicate { id, count, first, again }| {
            format!(
                "the id {id} was given out {count} times, by {first} and again by {again}, but should be unique"
            )
        });
        sentences
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    fn given(raws: &[&str]) -> Vec<Id> {
        let place = |node| Place { node, at: Instant::from_micros(1_000_000 + 1_000 * node as u64) };
        raws.iter()
            .enumerate()
            .map(|(node, &raw)| Id { answered: place(node), raw: raw.to_owned() })
            .collect()
    }

    #[test]
    fn different_ids_are_valid_whatever_they_are() {
        let report = check(9, &given(&["1", "\"1\"", "1.0", "true", "null", "[1]", "-7", "{\"a\":1}"]));
        assert_eq!((report.verdict, report.attempted, report.acknowledged), (Verdict::Valid, 9, 8));
        assert_eq!(report.explain(), [""; 0]);
    }

    #[test]
    fn an_id_twice_is_invalid_and_said_with_who_gave_it() {
        let report = check(6, &given(&["5", "7", r#"{"a":1,"b":2}"#, "7", r#"{"b":2, "a":1}"#, "7"]));
        assert_eq!((report.verdict, report.duplicated.total), (Verdict::Invalid, 2));
        assert_eq!(
            report.explain(),
            [
                "the id 7 was given out 3 times, by n1 at 1.001 s and again by n3 at 1.003 s, but should be unique",
                "the id {\"a\":1,\"b\":2} was given out 2 times, by n2 at 1.002 s and again by n4 at 1.004 s, but \
                 should be unique",
            ]
        );
    }

    #[test]
    fn the_range_orders_integers_by_value() {
        let range = |raws: &[&str]| check(9, &given(raws)).range;
        let of = |low: &str, high: &str| Some((low.to_owned(), high.to_owned()));
        assert_eq!(range(&["10", "9", "-2", "-30", "100"]), of("-30", "100"));
        assert_eq!(range(&["\"b\"", "\"a-10\"", "\"a-9\""]), of("\"a-10\"", "\"b\""));
        assert_eq!(range(&["\"0\"", "99999999999999999999"]), of("99999999999999999999", "\"0\""));
        assert_eq!(range(&[]), None);
        assert_eq!(check(3, &[]).verdict, Verdict::Unknown);
    }
}
