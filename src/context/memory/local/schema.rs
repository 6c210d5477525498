//! The tables of the local store. They stand in the log's file, under names that begin with `memory_`.
//!
//! `memory_words` is the full-text index. Its words are ours, written as `x<collection>t<term>n<times>` in hexadecimal:
//! the collection keeps the words of one collection from counting in another, and the times make one entry of each
//! word and passage, so that the index needs no positions and tells how often the word stands there.

use rusqlite::Connection;

use crate::context::memory::words::Term;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS memory_collections (
    number     INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    dimensions INTEGER,
    language   TEXT    NOT NULL,
    passages   INTEGER NOT NULL DEFAULT 0,
    revision   INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS memory_passages (
    number     INTEGER PRIMARY KEY,
    key        BLOB    NOT NULL UNIQUE,
    collection INTEGER NOT NULL,
    tenant     TEXT    NOT NULL,
    length     INTEGER NOT NULL,
    revision   INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS memory_changes ON memory_passages (collection, revision);
CREATE TABLE IF NOT EXISTS memory_texts (
    number  INTEGER PRIMARY KEY,
    id      TEXT NOT NULL,
    text    TEXT NOT NULL,
    payload TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS memory_vectors (
    number INTEGER PRIMARY KEY,
    vector BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS memory_forgotten (
    collection INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    PRIMARY KEY (collection, revision, number)
) WITHOUT ROWID;
CREATE VIRTUAL TABLE IF NOT EXISTS memory_words
    USING fts5 (words, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii');
CREATE VIRTUAL TABLE IF NOT EXISTS memory_counts USING fts5vocab (memory_words, row);
CREATE VIRTUAL TABLE IF NOT EXISTS memory_places USING fts5vocab (memory_words, instance);
";

/// How many revisions a reader may be behind and still learn what was forgotten since.
pub(super) const REMEMBERED_REVISIONS: i64 = 1_000;

/// Makes the tables that are not there.
pub(super) fn make(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(TABLES)?;
    transaction.commit()
}

/// One entry of the full-text index.
pub(super) fn entry(collection: i64, term: Term, times: u32) -> String {
    format!("x{collection:x}t{term:08x}n{times:x}")
}

/// The entries of one word, whatever its times: from, to (exclusive).
pub(super) fn entries(collection: i64, term: Term) -> (String, String) {
    (format!("x{collection:x}t{term:08x}n"), format!("x{collection:x}t{term:08x}o"))
}

/// The times of an entry.
pub(super) fn times(entry: &str) -> u32 {
    entry.rsplit_once('n').and_then(|(_, times)| u32::from_str_radix(times, 16).ok()).unwrap_or(1)
}
