//! The disk of a simulated node, which outlives the node and loses what was not synced.
//!
//! It is one file of records, each with its length and its checksum. To write takes a moment, and only then is it
//! durable. A crash before that leaves any part of what was being written, cut at any byte, or nothing of it; whoever
//! reads the file again stops at the first record that is not whole.

use std::ops::RangeInclusive;

use fastrand::Rng;

use crate::store::Records;
use crate::time::{Duration, Instant};

/// The shortest and the longest time of a write with its sync, in microseconds: from a good disk to a busy one.
const WRITE_US: RangeInclusive<u64> = 200..=10_000;

/// A node's disk.
#[derive(Debug)]
pub(super) struct Disk {
    bytes: Vec<u8>,
    /// So many of them are durable.
    synced: usize,
    /// What takes the file's place with the next sync, for records that replace those before them.
    replacement: Option<Vec<u8>>,
    /// When what is being written is durable.
    due: Option<Instant>,
    write_us: RangeInclusive<u64>,
    rng: Rng,
}

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
        let rng = Rng::with_seed(seed);
        Self { bytes: Vec::new(), synced: 0, replacement: None, due: None, write_us: WRITE_US, rng }
    }

    /// From now on a write with its sync takes so long.
    pub(super) const fn set_write_time(&mut self, time: Duration) {
        self.write_us = time.as_micros()..=time.as_micros();
    }

    /// Begins to write. Nothing else is being written.
    pub(super) fn write(&mut self, now: Instant, records: &Records) {
        debug_assert!(self.due.is_none(), "one write at a time");
        let file = if records.replaces() { self.replacement.insert(Vec::new()) } else { &mut self.bytes };
        records.iter().for_each(|record| write_record(record, file));
        self.due = Some(now + Duration::from_micros(self.rng.u64(self.write_us.clone())));
    }

    /// When what is being written is durable.
    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Ends the write that is durable by now. Whether there was one.
    pub(super) fn end_write(&mut self, now: Instant) -> bool {
        let is_done = self.is_done(now);
        if is_done {
            self.due = None;
            if let Some(file) = self.replacement.take() {
                self.bytes = file;
            }
            self.synced = self.bytes.len();
        }
        is_done
    }

    /// Whether what is being written is durable by now.
    fn is_done(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// The machine crashes.
    pub(super) fn crash(&mut self) {
        self.due = None;
        match self.replacement.take() {
            // One file takes another's place at once: before the crash or not.
            Some(file) if self.rng.bool() => self.bytes = file,
            Some(_) => {}
            None => self.bytes.truncate(self.rng.usize(self.synced..=self.bytes.len())),
        }
        let whole = records(&self.bytes).map(|record| FRAME + record.len()).sum();
        self.bytes.truncate(whole);
        self.synced = whole;
    }

    /// Nothing is on it any more.
    pub(super) fn wipe(&mut self) {
        (self.synced, self.replacement, self.due) = (0, None, None);
        self.bytes.clear();
    }

    /// The records that a crash at that time leaves for certain, the oldest first.
    pub(super) fn durable(&self, now: Instant) -> impl Iterator<Item = &[u8]> {
        let is_done = self.is_done(now);
        records(match &self.replacement {
            Some(file) if is_done => file,
            None if is_done => &self.bytes,
            _ => &self.bytes[..self.synced],
        })
    }

    /// Every record, the oldest first.
    pub(super) fn records(&self) -> impl Iterator<Item = &[u8]> {
        records(&self.bytes)
    }
}

/// What stands before a record: its length and its checksum.
const FRAME: usize = 8;

fn write_record(record: &[u8], file: &mut Vec<u8>) {
    let length = u32::try_from(record.len()).expect("a record is shorter than 4 GiB");
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
    file.extend_from_slice(record);
}

/// The records up to the first that is not whole.
fn records(mut file: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = file.split_first_chunk::<4>()?;
        let (checksum, rest) = rest.split_first_chunk::<4>()?;
        let (record, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        (crc32fast::hash(record).to_le_bytes() == *checksum).then(|| {
            file = rest;
            record
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(texts: &[&str]) -> Records {
        let mut records = Records::default();
        for text in texts {
            records.push(text.as_bytes());
        }
        records
    }

    fn texts(disk: &Disk) -> Vec<String> {
        disk.records().map(|record| String::from_utf8(record.to_vec()).unwrap()).collect()
    }

    fn synced(disk: &mut Disk, records: &Records) {
        disk.write(Instant::START, records);
        assert!(!disk.end_write(Instant::START));
        assert!(disk.end_write(disk.poll_timeout().unwrap()));
    }

    /// Whatever was synced is there; of what was not, any number of records is, the oldest first.
    #[test]
    fn a_crash_loses_what_was_not_synced_and_nothing_else() {
        let mut left = [0; 4];
        for seed in 0..400 {
            let mut disk = Disk::new(seed);
            synced(&mut disk, &batch(&["a", "b"]));
            disk.write(Instant::START, &batch(&["c", "d", "e"]));
            disk.crash();
            let found = texts(&disk);
            assert!(
                found.len() >= 2
                    && ["a", "b", "c", "d", "e"].starts_with(&found.iter().map(|x| &**x).collect::<Vec<_>>())
            );
            left[found.len() - 2] += 1;
            // It goes on from there.
            synced(&mut disk, &batch(&["f"]));
            disk.crash();
            assert_eq!(texts(&disk), [&found[..], &["f".to_owned()]].concat());
        }
        assert!(left.iter().all(|&count| count > 0), "{left:?}");
    }

    #[test]
    fn a_snapshot_takes_the_place_of_all_or_of_nothing() {
        let (mut old, mut new) = (0, 0);
        for seed in 0..100 {
            let mut disk = Disk::new(seed);
            synced(&mut disk, &batch(&["a", "b"]));
            let mut snapshot = Records::default();
            snapshot.replace(b"ab");
            snapshot.push(b"c");
            disk.write(Instant::START, &snapshot);
            disk.crash();
            match &texts(&disk)[..] {
                [a, b] if a == "a" && b == "b" => old += 1,
                [ab, c] if ab == "ab" && c == "c" => new += 1,
                found => panic!("{found:?}"),
            }
        }
        assert!(old > 0 && new > 0);
    }
}
