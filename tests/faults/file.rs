//! The local log's file as SQLite's own tools see it: read and written with SQL, nothing of the engine's is used. A
//! stranger may do both while an engine runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};

use crate::time;

/// Longest wait for whoever writes.
const BUSY: Duration = Duration::from_secs(30);

/// A record.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its offset.
    pub offset: i64,
    /// Its own time, in milliseconds since the epoch.
    pub timestamp: i64,
    /// Key.
    pub key: String,
    /// Value.
    pub value: Vec<u8>,
    /// Headers, as they lie there.
    pub headers: Vec<u8>,
}

/// The file.
pub struct File {
    path: PathBuf,
    connection: Connection,
}

impl File {
    /// Opens one that is there.
    pub fn open(path: &Path) -> File {
        let connection =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        connection.busy_timeout(BUSY).unwrap();
        File { path: path.to_owned(), connection }
    }

    /// Records of a topic from an offset on; none when there is no such topic.
    pub fn read(&self, topic: &str, from: i64) -> Vec<Row> {
        let Some(id) = self.topic(topic) else { return Vec::new() };
        let select = format!(
            "SELECT offset, key, value, headers, timestamp FROM log_records_{id} WHERE offset >= ?1 ORDER BY offset"
        );
        let mut statement = self.connection.prepare(&select).unwrap();
        let rows = statement.query_map([from], |row| {
            let bytes = |at| row.get::<_, Option<Vec<u8>>>(at).map(Option::unwrap_or_default);
            let key = String::from_utf8_lossy(&bytes(1)?).into_owned();
            let (offset, timestamp) = (row.get(0)?, row.get(4)?);
            Ok(Row { offset, timestamp, key, value: bytes(2)?, headers: bytes(3)? })
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// What a group committed of a topic: base, and bytes of its progress.
    pub fn committed(&self, group: &str, topic: &str) -> Option<(i64, usize)> {
        let id = self.topic(topic)?;
        let select = "SELECT base, length(progress) FROM log_offset WHERE grp = ?1 AND topic = ?2";
        let found = self.connection.query_row(select, params![group, id], |row| {
            Ok((row.get(0)?, usize::try_from(row.get::<_, i64>(1)?).unwrap_or(0)))
        });
        found.optional().unwrap()
    }

    /// Appends records; each gets the next offset. The file may be full: then it is tried again until there is room.
    pub fn append(&mut self, topic: &str, records: &[(String, Vec<u8>)]) -> Vec<i64> {
        loop {
            match self.try_append(topic, records) {
                Ok(offsets) => return offsets,
                Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) => {
                    time::pause(Duration::from_millis(100));
                }
                Err(error) => panic!("{}: {error}", self.path.display()),
            }
        }
    }

    fn try_append(
        &mut self,
        topic: &str,
        records: &[(String, Vec<u8>)],
    ) -> rusqlite::Result<Vec<i64>> {
        let id = self.topic(topic).unwrap();
        let begun = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let next = format!(
            "SELECT max((SELECT ifnull(max(offset) + 1, 0) FROM log_records_{id}), floor) FROM log_topic WHERE id = {id}"
        );
        let first: i64 = begun.query_row(&next, [], |row| row.get(0))?;
        let insert = format!(
            "INSERT INTO log_records_{id} (offset, timestamp, key, headers, value) VALUES (?1, ?2, ?3, NULL, ?4)"
        );
        let mut offsets = Vec::new();
        for ((key, value), offset) in records.iter().zip(first..) {
            begun.execute(&insert, params![offset, time::now(), key.as_bytes(), value])?;
            offsets.push(offset);
        }
        begun.commit()?;
        Ok(offsets)
    }

    /// Whether somebody writes now.
    pub fn is_locked(&self) -> bool {
        self.connection.busy_timeout(Duration::ZERO).unwrap();
        let begun = self.connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK");
        self.connection.busy_timeout(BUSY).unwrap();
        begun.is_err()
    }

    /// What SQLite finds wrong with the file.
    pub fn integrity(&self) -> String {
        self.connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
    }

    fn topic(&self, name: &str) -> Option<i64> {
        let select = "SELECT id FROM log_topic WHERE name = ?1";
        self.connection.query_row(select, [name], |row| row.get(0)).optional().unwrap()
    }
}

/// Copies a file and its write-ahead log, as whoever copies a folder would. The index of the log (`-shm`) is made anew.
pub fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
    let wal = |path: &Path| PathBuf::from(format!("{}-wal", path.display()));
    if wal(from).exists() {
        std::fs::copy(wal(from), wal(to)).unwrap();
    }
}
