//! The tables of the local store. They stand in the log's file, under names that begin with `memory_`.

use rusqlite::Connection;

/// `revision` counts the changes of a collection; each passage carries that of its last one, so that a reader takes over
/// what is new and nothing else. `entries` is the sum of the different words of all passages.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS memory_collections (
    number     INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    dimensions INTEGER,
    language   TEXT    NOT NULL,
    passages   INTEGER NOT NULL DEFAULT 0,
    entries    INTEGER NOT NULL DEFAULT 0,
    revision   INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS memory_passages (
    number     INTEGER PRIMARY KEY,
    key        BLOB    NOT NULL UNIQUE,
    collection INTEGER NOT NULL,
    tenant     TEXT    NOT NULL,
    revision   INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS memory_changes ON memory_passages (collection, revision);
CREATE TABLE IF NOT EXISTS memory_texts (
    number  INTEGER PRIMARY KEY,
    id      TEXT NOT NULL,
    text    TEXT NOT NULL,
    payload TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS memory_words (
    number INTEGER PRIMARY KEY,
    length INTEGER NOT NULL,
    words  BLOB NOT NULL
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
