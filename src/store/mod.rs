//! The durable log below the core: what a handler persisted, kept for its next start.
//!
//! A handler appends records with [`Context::persist`](crate::Context::persist). What they say is its own affair; here
//! they are bytes. The core gathers those of a turn, a shell makes them durable with one
//! [`commit`](Store::commit), and only then does anything leave that was said in that turn or after it.

mod backend;
mod folder;
mod memory;
mod record;

pub use self::backend::{Store, StoreError, TakeRecord};
pub use self::folder::Folder;
pub use self::memory::Memory;
pub use self::record::{BadRecord, Records};

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn read(store: &mut impl Store) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut records = Vec::new();
        store.recover(&mut |record| {
            records.push(record.to_vec());
            Ok(())
        })?;
        Ok(records)
    }

    pub(super) fn records(texts: &[&str]) -> Records {
        let mut records = Records::default();
        for text in texts {
            records.push(text.as_bytes());
        }
        records
    }

    #[test]
    fn records_keep_their_order_and_a_snapshot_replaces_those_before_it() {
        let mut batch = records(&["a", "", "bc"]);
        assert_eq!(batch.iter().collect::<Vec<_>>(), [&b"a"[..], b"", b"bc"]);
        batch.replace(b"all");
        batch.push(b"d");
        assert_eq!((batch.iter().collect::<Vec<_>>(), batch.replaces()), (vec![&b"all"[..], b"d"], true));
        let mut store = Memory::default();
        store.commit(&records(&["x", "y"])).unwrap();
        store.commit(&records(&["z"])).unwrap();
        assert_eq!(read(&mut store).unwrap(), [b"x", b"y", b"z"]);
        store.commit(&batch).unwrap();
        assert_eq!(read(&mut store).unwrap(), [&b"all"[..], b"d"]);
    }
}
