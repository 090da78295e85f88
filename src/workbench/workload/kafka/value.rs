//! The values of its operations, made and read: the [module](super) has a table of them.

use std::borrow::Cow;

use crate::workbench::checker::kafka::Start;
use crate::workbench::data::Data;
use crate::workbench::history::Operation;

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
    // Jepsen leaves the offset out where it does not know it.
    match (is_acknowledged, &*what) {
        (true, Data::List(_) | Data::Ints(_)) => {
            Some((key, what.item(0)?.as_int(), what.item(1)?.into_owned()))
        }
        _ => Some((key, None, what.into_owned())),
    }
}

/// What should be there instead of a value that its operation does not have.
pub(super) fn misfit(operation: &Operation, answer: Option<&Data>) -> Option<&'static str> {
    let value = answer.unwrap_or(&operation.value);
    let is_offset = |offset: &Data| matches!(offset, Data::Null | Data::Int(_));
    match operation.f {
        "send" => {
            let what = value.item(0).and_then(|send| Some(send.item(2)?.into_owned()));
            let fits = match &what {
                None => false,
                Some(pair @ (Data::List(_) | Data::Ints(_))) if answer.is_some() => {
                    pair.item_count() == Some(2) && pair.item(0).is_some_and(|offset| is_offset(&offset))
                }
                Some(_) => true,
            };
            (!fits).then_some("the value of a send to be [[\"send\", key, message]], and [offset, message] once it succeeded")
        }
        "poll" if answer.is_some() => {
            let is_pair = |pair: Cow<'_, Data>| {
                pair.item_count() == Some(2) && pair.item(0).is_some_and(|offset| offset.as_int().is_some())
            };
            let is_list = |list: &Data| list.item_count().is_some() && list.items().all(is_pair);
            let poll = value.item(0).and_then(|poll| Some(poll.item(1)?.into_owned()));
            let fits = matches!(&poll, Some(Data::Map(lists)) if lists.iter().all(|(_, list)| is_list(list)));
            (!fits).then_some(
                "the value of a poll that succeeded to be [[\"poll\", {key: [[offset, message], …]}]]",
            )
        }
        "assign" => {
            keys_of(value).item_count().is_none().then_some("the value of an assign to be a list of keys")
        }
        _ => None,
    }
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
