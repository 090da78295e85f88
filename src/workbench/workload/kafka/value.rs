//! The values of its operations, made and read: the [module](super) has a table of them.

use crate::workbench::checker::kafka::Start;
use crate::workbench::data::Data;

/// An `assign`'s value.
pub(super) fn assign(keys: Data, from: &str, committed: Option<Data>) -> Data {
    let mut members = vec![("keys".into(), keys), ("from".into(), from.into())];
    members.extend(committed.map(|committed| ("committed".into(), committed)));
    Data::Map(members)
}

/// The keys of an `assign`'s value.
pub(super) fn keys_of(value: &Data) -> &Data {
    value.get("keys").unwrap_or(value)
}

/// The keys of an `assign`'s value, and where it starts.
pub(super) fn assigned(value: &Data) -> (Vec<Box<str>>, Start) {
    let start = match value.get("from").and_then(Data::as_text) {
        Some("beginning") => Start::Rewind,
        Some("committed") => Start::Committed,
        _ => Start::Zero,
    };
    (keys_of(value).items().map(|key| key_text(&key)).collect(), start)
}

/// The key, offset and message of a `send`'s value. It has an offset with its message once it is acknowledged.
pub(super) fn sent(value: &Data, is_acknowledged: bool) -> Option<(Box<str>, Option<i64>, Data)> {
    let send = value.item(0)?;
    let (key, what) = (key_text(&*send.item(1)?), send.item(2)?);
    if is_acknowledged {
        return Some((key, what.item(0)?.as_int(), what.item(1)?.into_owned()));
    }
    Some((key, None, what.into_owned()))
}

/// The keys of a `poll`'s value, each with its messages.
pub(super) fn polled(value: &Data) -> impl Iterator<Item = (&Data, &Data)> {
    let lists = match value {
        Data::List(operations) => match operations.first() {
            Some(Data::List(poll)) => match poll.get(1) {
                Some(Data::Map(lists)) => &lists[..],
                _ => &[],
            },
            _ => &[],
        },
        _ => &[],
    };
    lists.iter().map(|(key, list)| (key, list))
}

/// The highest offset of each key of a `poll`'s value.
pub(super) fn highest(value: &Data) -> impl Iterator<Item = (Box<str>, i64)> {
    polled(value).filter_map(|(key, list)| {
        let offsets = list.items().filter_map(|pair| pair.item(0)?.as_int());
        Some((key_text(key), offsets.max()?))
    })
}

/// Keys are strings; in a history that somebody wrote by hand they may be numbers.
pub(super) fn key_text(key: &Data) -> Box<str> {
    match key {
        Data::Text(text) => text.clone(),
        other => other.to_string().into(),
    }
}
