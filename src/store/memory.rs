//! A log that lasts as long as the process: for tests, and for shells without a disk.

use super::backend::{Store, StoreError, TakeRecord};
use super::record::Records;

/// Records in memory.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    records: Vec<Box<[u8]>>,
}

impl Store for Memory {
    fn recover(&mut self, take: TakeRecord<'_>) -> Result<(), StoreError> {
        for (record, number) in self.records.iter().zip(1..) {
            take(record).map_err(|error| StoreError::Record { folder: "memory".into(), number, error })?;
        }
        Ok(())
    }

    fn commit(&mut self, records: &Records) -> Result<(), StoreError> {
        if records.replaces() {
            self.records.clear();
        }
        self.records.extend(records.iter().map(Box::from));
        Ok(())
    }
}
