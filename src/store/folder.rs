//! A log in a folder, kept by an embedded database.
//!
//! redb, because it is one file and one crate, its transactions are durable when they return and all or nothing, it
//! locks its file, and it is used by one thread as readily as by many. A log needs little of it: one table, from a
//! number to a record with its checksum. The numbers have no gap, so that a record that is gone is missed.

use std::fs::{self, File, TryLockError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError};

use super::backend::{Store, StoreError, TakeRecord};
use super::record::Records;

/// The log's file in the folder.
const FILE: &str = "log.redb";

/// The log until the database is made. A node that is killed meanwhile leaves it: it said nothing yet that it may not forget.
const BEGUN: &str = "log.redb.begun";

/// A record by its number; before it stand the four bytes of its checksum.
const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");

const CHECKSUM_LEN: usize = 4;

/// Records in a folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Opened when there is something to read or to write.
    database: Option<Database>,
    /// The number of the next record.
    next: u64,
}

impl Folder {
    /// The log in that folder, which is made if need be.
    ///
    /// # Errors
    /// If there is no such folder and it cannot be made, if the log is in use by another process, or if it is damaged.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut folder = Self { path: path.to_owned(), database: None, next: 0 };
        std::fs::create_dir_all(path).map_err(|error| folder.io(error))?;
        // `exists` says no where it cannot look.
        if path.join(FILE).try_exists().map_err(|error| folder.io(error))? {
            let file = path.join(FILE);
            folder.database = folder.reading(|| {
                let mut database = Database::open(file).map_err(|error| folder.refusal(error))?;
                match database.check_integrity() {
                    Ok(true) => Ok(Some(database)),
                    Ok(false) => Err(folder.damaged("its checksums do not hold".to_owned())),
                    Err(error) => Err(folder.refusal(error)),
                }
            })?;
        }
        Ok(folder)
    }

    /// Reads what is there. The database panics where it finds what it would never have written.
    fn reading<T>(&self, read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        catch_unwind(AssertUnwindSafe(read))
            .unwrap_or_else(|_| Err(self.damaged("its log is none that was written here".to_owned())))
    }

    fn io(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
        StoreError::Io { folder: self.path.clone(), error: error.into() }
    }

    fn damaged(&self, what: String) -> StoreError {
        StoreError::Damaged { folder: self.path.clone(), what }
    }

    /// Why the database was not opened.
    fn refusal(&self, error: DatabaseError) -> StoreError {
        match error {
            DatabaseError::DatabaseAlreadyOpen => self.io("another process has its log open"),
            DatabaseError::Storage(redb::StorageError::Corrupted(what)) => self.damaged(what),
            // What a file says whose beginning is none of the database's.
            DatabaseError::Storage(redb::StorageError::Io(error))
                if error.kind() == std::io::ErrorKind::InvalidData =>
            {
                self.damaged(error.to_string())
            }
            error => self.io(error),
        }
    }

    /// Hands over every record; how many there are.
    fn read(&self, take: TakeRecord<'_>) -> Result<u64, StoreError> {
        let Some(database) = &self.database else { return Ok(0) };
        let transaction = database.begin_read().map_err(|error| self.io(error))?;
        let table = match transaction.open_table(RECORDS) {
            Ok(table) => table,
            // It ended before its first record was there.
            Err(TableError::TableDoesNotExist(_)) => return Ok(0),
            Err(error) => return Err(self.io(error)),
        };
        let mut next = 0;
        for entry in table.iter().map_err(|error| self.io(error))? {
            let (number, sealed) = entry.map_err(|error| self.io(error))?;
            if number.value() != next {
                return Err(self.damaged(format!("record {} is missing", next + 1)));
            }
            next += 1;
            let record = sealed.value().split_first_chunk::<CHECKSUM_LEN>();
            let record = record.filter(|(sum, record)| crc32fast::hash(record).to_le_bytes() == **sum);
            let Some((_, record)) = record else {
                return Err(self.damaged(format!("the checksum of record {next} does not hold")));
            };
            take(record).map_err(|error| StoreError::Record {
                folder: self.path.clone(),
                number: next,
                error,
            })?;
        }
        Ok(next)
    }

    /// Makes the database. It gets its name when it is whole: one without its beginning is damaged.
    fn create(&self) -> Result<Database, redb::Error> {
        let (begun, log) = (self.path.join(BEGUN), self.path.join(FILE));
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&begun)?;
        // Who makes it has the lock, and still has it after the name was given.
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) || log.try_exists()? {
            return Err(redb::Error::DatabaseAlreadyOpen);
        }
        file.set_len(0)?;
        let database = Database::builder().create_file(file)?;
        fs::rename(begun, log)?;
        File::open(&self.path)?.sync_all()?;
        Ok(database)
    }

    fn append(&mut self, records: &Records) -> Result<(), redb::Error> {
        if self.database.is_none() {
            self.database = Some(self.create()?);
        }
        let Some(database) = &self.database else { return Ok(()) };
        let transaction = database.begin_write()?;
        let mut next = self.next;
        {
            let mut table = transaction.open_table(RECORDS)?;
            if records.replaces() {
                table.retain(|_, _| false)?;
                next = 0;
            }
            let mut sealed = Vec::new();
            for record in records.iter() {
                sealed.clear();
                sealed.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
                sealed.extend_from_slice(record);
                table.insert(next, &*sealed)?;
                next += 1;
            }
        }
        transaction.commit()?;
        self.next = next;
        Ok(())
    }
}

impl Store for Folder {
    fn recover(&mut self, take: TakeRecord<'_>) -> Result<(), StoreError> {
        self.next = self.reading(|| self.read(take))?;
        Ok(())
    }

    fn commit(&mut self, records: &Records) -> Result<(), StoreError> {
        self.append(records).map_err(|error| match error {
            // The bare error of the system: that the disk is full, for instance.
            redb::Error::Io(error) => self.io(error),
            error => self.io(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{read, records};
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("messenger-store-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn what_was_committed_is_there_at_the_next_start() {
        let path = folder("kept");
        for (committed, found) in [(&["a", "b"][..], &[][..]), (&["c"], &["a", "b"]), (&[], &["a", "b", "c"])]
        {
            let mut store = Folder::open(&path).unwrap();
            let found: Vec<_> = found.iter().map(|text| text.as_bytes().to_vec()).collect();
            assert_eq!(read(&mut store).unwrap(), found);
            if !committed.is_empty() {
                store.commit(&records(committed)).unwrap();
            }
        }
        let mut store = Folder::open(&path).unwrap();
        read(&mut store).unwrap();
        let mut batch = Records::default();
        batch.replace(b"all");
        store.commit(&batch).unwrap();
        store.commit(&records(&["d"])).unwrap();
        assert_eq!(read(&mut store).unwrap(), [&b"all"[..], b"d"]);
        std::fs::remove_dir_all(&path).unwrap();
    }

    /// Whenever a node is killed, it starts again.
    #[test]
    fn a_log_has_its_name_when_it_is_whole() {
        let path = folder("begun");
        for _ in 0..20 {
            let mut store = Folder::open(&path).unwrap();
            let log = path.join(FILE);
            let seen = std::thread::spawn(move || {
                loop {
                    match fs::read(&log) {
                        Ok(bytes) => return bytes,
                        Err(_) => std::thread::yield_now(),
                    }
                }
            });
            store.commit(&records(&["a"])).unwrap();
            let seen = seen.join().unwrap();
            assert!(seen.starts_with(b"redb"), "{} bytes of it were there, without a beginning", seen.len());
            drop(store);
            fs::remove_dir_all(&path).unwrap();
        }
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join(BEGUN), [0; 10_000]).unwrap();
        let mut store = Folder::open(&path).unwrap();
        assert_eq!(read(&mut store).unwrap(), [b""; 0]);
        store.commit(&records(&["a"])).unwrap();
        drop(store);
        assert_eq!(read(&mut Folder::open(&path).unwrap()).unwrap(), [b"a"]);
        fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn a_folder_has_one_node_at_a_time() {
        let path = folder("shared");
        let mut first = Folder::open(&path).unwrap();
        first.commit(&records(&["a"])).unwrap();
        let error = Folder::open(&path).unwrap_err().to_string();
        assert!(error.ends_with("another process has its log open"), "{error}");
        std::fs::remove_dir_all(&path).unwrap();
    }

    /// Whatever byte is damaged, nothing else is handed over than what was written, and nothing is left out silently.
    #[test]
    fn damage_is_an_error_and_never_a_start_from_nothing() {
        let path = folder("damaged");
        let written: Vec<Vec<u8>> = (0..40_u8).map(|n| vec![n; 100]).collect();
        let mut store = Folder::open(&path).unwrap();
        for record in &written {
            let mut batch = Records::default();
            batch.push(record);
            store.commit(&batch).unwrap();
        }
        drop(store);
        let file = path.join(FILE);
        let whole = std::fs::read(&file).unwrap();
        let mut rng = fastrand::Rng::with_seed(1);
        let mut refused = 0;
        for _ in 0..60 {
            let mut bytes = whole.clone();
            let at = rng.usize(..bytes.len());
            let end = (at + 512).min(bytes.len());
            rng.fill(&mut bytes[at..end]);
            std::fs::write(&file, &bytes).unwrap();
            match Folder::open(&path).and_then(|mut store| read(&mut store)) {
                Ok(records) => assert_eq!(records, written, "bytes {at} to {end}"),
                Err(error) => {
                    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
                    refused += 1;
                }
            }
        }
        assert!(refused > 0);
        // Cut short, and none of a database at all.
        for bytes in [&whole[..whole.len() / 2], b"", b"not a database"] {
            std::fs::write(&file, bytes).unwrap();
            let error = Folder::open(&path).and_then(|mut store| read(&mut store)).unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        }
        std::fs::remove_dir_all(&path).unwrap();
    }
}
