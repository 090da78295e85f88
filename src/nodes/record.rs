//! What nodes persist: each record a JSON value.

use crate::json::text::excerpt;
use crate::json::value::{OwnedValue, Value};
use crate::json::write::WriteJson;
use crate::store::BadRecord;

/// The record that says this.
pub(super) fn to_record(value: &(impl WriteJson + ?Sized)) -> Vec<u8> {
    let mut record = Vec::new();
    value.write_json(&mut record);
    record
}

/// How long a log is, to tell when it should become a snapshot.
#[derive(Debug, Default)]
pub(super) struct LogLength {
    snapshot: usize,
    since: usize,
}

/// A log is never made shorter before it has so many bytes beyond its last snapshot.
const LENGTH_MIN: usize = 32 << 10;

impl LogLength {
    /// Counts a record.
    pub(super) const fn add(&mut self, record: &[u8]) {
        self.since += record.len();
    }

    /// Whether more came since the last snapshot than that one takes. So whatever the state, all its snapshots
    /// together take no more than twice what else is written.
    pub(super) fn is_due(&self) -> bool {
        self.since > self.snapshot.max(LENGTH_MIN)
    }

    /// Begins anew, with a snapshot of so many bytes.
    pub(super) const fn restart(&mut self, snapshot: usize) {
        *self = Self { snapshot, since: 0 };
    }
}

/// What a record says.
///
/// # Errors
/// If it is not what is expected of this node's records.
pub(super) fn read_record<T>(
    record: &[u8],
    expected: &str,
    read: impl FnOnce(Value<'_>) -> Option<T>,
) -> Result<T, BadRecord> {
    let text = std::str::from_utf8(record).ok();
    let value = text.and_then(|text| OwnedValue::parse(text).ok());
    value.as_ref().and_then(|value| read(value.value())).ok_or_else(|| {
        let found = String::from_utf8_lossy(record);
        BadRecord(format!("expected {expected}, found `{}`", excerpt(&found)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However much the state grows, and whether it does at all.
    #[test]
    fn snapshots_take_no_more_than_twice_what_else_is_written() {
        for growth in [0, 50, 100] {
            let (mut length, mut state, mut snapshots, mut written) = (LogLength::default(), 0, 0, 0);
            for _ in 0..100_000 {
                length.add(&[0; 100]);
                written += 100;
                state += growth;
                assert!(length.since <= length.snapshot.max(LENGTH_MIN) + 100);
                if length.is_due() {
                    snapshots += state;
                    length.restart(state);
                }
            }
            assert!(snapshots <= 2 * written && (snapshots > 0 || growth == 0), "{snapshots} for {written}");
        }
    }
}
