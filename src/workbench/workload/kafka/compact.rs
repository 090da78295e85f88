//! A history as its checker takes it.

use super::value::{assigned, key_text, polled, sent};
use crate::workbench::checker::UNKNOWN_NODE;
use crate::workbench::checker::canonical::canonical;
use crate::workbench::checker::kafka::{self, Action, Commit, History, Key, Message, Payload};
use crate::workbench::data::Data;
use crate::workbench::history::Invocation;

/// The history as its checker takes it.
pub(super) fn compact(history: &[Invocation]) -> History {
    let mut compact = History::default();
    for invocation in history {
        let answer = invocation.answer();
        let value = answer.unwrap_or(&invocation.operation.value);
        let action = match invocation.operation.f {
            // What cannot be read says nothing, as a crash does.
            "send" => send_action(&mut compact, value, answer.is_some()).unwrap_or(Action::Crash),
            "poll" => poll_action(&mut compact, value),
            "assign" => assign_action(&mut compact, value),
            _ => Action::Crash,
        };
        compact.push(kafka::LogOperation {
            process: invocation.process as u64,
            node: Some(invocation.node).filter(|node| *node != UNKNOWN_NODE),
            interval: invocation.interval,
            completion: invocation.outcome.completion(),
            action,
        });
    }
    compact
}

fn message(history: &mut History, key: Key, value: &Data) -> Message {
    let payload = match value {
        Data::Int(integer) => Payload::Integer(*integer),
        other => Payload::Text(canonical(&other.to_string()).into()),
    };
    history.message(key, payload)
}

fn send_action(history: &mut History, value: &Data, is_acknowledged: bool) -> Option<Action> {
    let (key, offset, what) = sent(value, is_acknowledged)?;
    let key = history.key(&key);
    Some(Action::Send { message: message(history, key, &what), offset })
}

fn poll_action(history: &mut History, value: &Data) -> Action {
    let mut lists = Vec::new();
    for (key, list) in polled(value) {
        let key = history.key(&key_text(key));
        let mut pairs = Vec::with_capacity(list.item_count().unwrap_or_default());
        for pair in list.items() {
            if let (Some(Some(offset)), Some(sent)) = (pair.item(0).map(|of| of.as_int()), pair.item(1)) {
                pairs.push((offset, message(history, key, &sent)));
            }
        }
        lists.push((key, pairs));
    }
    let is_refused = value.item(0).is_some_and(|poll| poll.item(2).is_some());
    let commit = match lists.iter().any(|(_, list)| !list.is_empty()) {
        true if is_refused => Commit::Failed,
        true => Commit::Ok,
        false => Commit::None,
    };
    Action::Poll { lists, commit }
}

fn assign_action(history: &mut History, value: &Data) -> Action {
    let (keys, start) = assigned(value);
    let keys = keys.iter().map(|key| history.key(key)).collect();
    let mut committed = Vec::new();
    if let Some(Data::Map(offsets)) = value.get("committed") {
        for (key, offset) in offsets {
            committed.extend(offset.as_int().map(|offset| (history.key(&key_text(key)), offset)));
        }
    }
    Action::Assign { keys, start, committed }
}
