//! The tables of the file, and what they say about topics.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::stream::Topic;
use crate::stream::topic::TopicRules;

/// Version of these tables.
const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS log_meta (
    name TEXT PRIMARY KEY,
    value NOT NULL
) WITHOUT ROWID;
-- `floor` is one past the highest offset that retention dropped: offsets are never given twice.
CREATE TABLE IF NOT EXISTS log_topic (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    config TEXT NOT NULL,
    floor INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS log_offset (
    grp TEXT NOT NULL,
    topic INTEGER NOT NULL,
    base INTEGER NOT NULL,
    progress TEXT NOT NULL,
    PRIMARY KEY (grp, topic)
) WITHOUT ROWID;
-- The engine that reads for a group, and how many did before.
CREATE TABLE IF NOT EXISTS log_member (
    grp TEXT PRIMARY KEY,
    member BLOB NOT NULL,
    epoch INTEGER NOT NULL
) WITHOUT ROWID;
";

/// Makes the tables where they are not there, and returns the identity of the file: `draw` for a new one. The error is
/// the sentence for the user.
pub(super) fn make(
    connection: &Connection,
    draw: u128,
) -> rusqlite::Result<Result<Arc<str>, String>> {
    connection.execute_batch(TABLES)?;
    let insert = "INSERT OR IGNORE INTO log_meta (name, value) VALUES (?1, ?2)";
    connection.execute(insert, params!["version", VERSION])?;
    connection.execute(insert, params!["cluster", format!("local-{draw:032x}")])?;
    let select = "SELECT value FROM log_meta WHERE name = ?1";
    let version: i64 = connection.query_row(select, ["version"], |row| row.get(0))?;
    if version > VERSION {
        return Ok(Err(format!(
            "the log has version {version}, this engine reads up to {VERSION}: start a newer engine"
        )));
    }
    let cluster: String = connection.query_row(select, ["cluster"], |row| row.get(0))?;
    Ok(Ok(cluster.into()))
}

/// A topic of the file.
#[derive(Clone, Debug)]
pub(super) struct TopicRow {
    pub id: i64,
    pub topic: Topic,
    pub rules: TopicRules,
}

fn topic_row(row: &Row<'_>) -> rusqlite::Result<TopicRow> {
    let name: String = row.get(1)?;
    let config: String = row.get(2)?;
    // Both were checked when the topic was made.
    let config = serde_json::from_str(&config).unwrap_or_default();
    let topic = Topic { name: name.into(), partitions: 1, config };
    let rules = TopicRules::read(&topic).unwrap_or_default();
    Ok(TopicRow { id: row.get(0)?, topic, rules })
}

/// The topic of that name.
pub(super) fn find(connection: &Connection, name: &str) -> rusqlite::Result<Option<TopicRow>> {
    let mut statement =
        connection.prepare_cached("SELECT id, name, config FROM log_topic WHERE name = ?1")?;
    statement.query_row([name], topic_row).optional()
}

/// All topics, by name.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<TopicRow>> {
    let mut statement =
        connection.prepare_cached("SELECT id, name, config FROM log_topic ORDER BY name")?;
    statement.query_map([], topic_row)?.collect()
}

/// Makes a topic, if there is none of its name.
pub(super) fn create(connection: &Connection, topic: &Topic) -> rusqlite::Result<()> {
    let config = serde_json::to_string(&topic.config).unwrap_or_default();
    let insert = "INSERT OR IGNORE INTO log_topic (name, config) VALUES (?1, ?2)";
    if connection.execute(insert, params![&*topic.name, config])? == 0 {
        return Ok(());
    }
    let table = table(connection.last_insert_rowid());
    // The large column stands last, so that a scan by time need not follow it to its overflow pages.
    connection.execute_batch(&format!(
        "CREATE TABLE {table} (
            offset INTEGER PRIMARY KEY,
            timestamp INTEGER NOT NULL,
            key BLOB,
            headers BLOB,
            value BLOB
        )"
    ))
}

/// The table with the records of a topic.
pub(super) fn table(topic: i64) -> String {
    format!("log_records_{topic}")
}

/// Topics that were found before: they are never deleted or changed, so what was found stays true.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<Arc<str>, Arc<TopicRow>>);

impl Known {
    /// The topic of that name.
    pub fn find(
        &mut self,
        connection: &Connection,
        name: &Arc<str>,
    ) -> rusqlite::Result<Option<Arc<TopicRow>>> {
        if let Some(row) = self.0.get(name) {
            return Ok(Some(row.clone()));
        }
        let found = find(connection, name)?.map(Arc::new);
        if let Some(row) = &found {
            self.0.insert(name.clone(), row.clone());
        }
        Ok(found)
    }
}
