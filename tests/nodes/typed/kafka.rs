//! Logs on one node: `-w kafka --node-count 1`.

use std::collections::BTreeMap;

use messenger::handler_fn;
use messenger::messages::kafka::{Reply, Request};

const MESSAGES_MAX: usize = 100;

fn main() -> std::io::Result<()> {
    let mut logs: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut committed: BTreeMap<String, usize> = BTreeMap::new();
    messenger::run(handler_fn(move |request, cx| {
        let reply = match request.parse()? {
            Request::Send { key, msg } => {
                let log = logs.entry(key.into_owned()).or_default();
                log.push(msg);
                Reply::SendOk { offset: log.len() - 1 }
            }
            Request::Poll { offsets } => {
                let from = |(key, offset): (String, usize)| {
                    let messages = logs.get(&key)?.iter().copied().enumerate().skip(offset);
                    Some((key, messages.take(MESSAGES_MAX).collect::<Vec<_>>()))
                };
                let found = offsets.into_iter().filter_map(from);
                Reply::PollOk { msgs: found.filter(|(_, messages)| !messages.is_empty()).collect() }
            }
            Request::CommitOffsets { offsets } => {
                for (key, offset) in offsets {
                    let known = committed.entry(key).or_default();
                    *known = offset.max(*known);
                }
                Reply::CommitOffsetsOk
            }
            Request::ListCommittedOffsets { keys } => {
                let of = |key: String| committed.get(&key).map(|&offset| (key, offset));
                Reply::ListCommittedOffsetsOk { offsets: keys.into_iter().filter_map(of).collect() }
            }
        };
        cx.reply_with(request, &reply)
    }))
}
