//! Records of one topic in its table.

use bytes::Bytes;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::append;
use super::headers;
use super::tables::{TopicRow, table};
use crate::stream::{From, Record, TopicPartition};

/// One past the highest offset that was ever given.
pub(super) fn high(connection: &Connection, topic: i64) -> rusqlite::Result<i64> {
    let sql = format!(
        "SELECT max(floor, (SELECT coalesce(max(offset) + 1, 0) FROM {})) FROM log_topic WHERE id = ?1",
        table(topic)
    );
    connection.prepare_cached(&sql)?.query_row([topic], |row| row.get(0))
}

/// The first offset that is kept; the high one when none is.
pub(super) fn low(connection: &Connection, topic: i64) -> rusqlite::Result<i64> {
    let sql = format!("SELECT min(offset) FROM {}", table(topic));
    let first: Option<i64> = connection.prepare_cached(&sql)?.query_row([], |row| row.get(0))?;
    first.map_or_else(|| high(connection, topic), Ok)
}

/// Where somebody starts who begins there.
pub(super) fn resolve(connection: &Connection, topic: i64, from: From) -> rusqlite::Result<i64> {
    match from {
        From::Earliest => low(connection, topic),
        From::Latest => high(connection, topic),
        From::Time(time) => {
            let sql = format!(
                "SELECT offset FROM {} WHERE timestamp >= ?1 ORDER BY offset LIMIT 1",
                table(topic)
            );
            let found = connection.prepare_cached(&sql)?.query_row([time], |row| row.get(0));
            found.optional()?.map_or_else(|| high(connection, topic), Ok)
        }
    }
}

/// Appends to one topic inside one transaction.
pub(super) struct Appender<'c> {
    statement: CachedStatement<'c>,
    append_time: bool,
    next: i64,
}

impl<'c> Appender<'c> {
    /// At the end of that topic.
    pub fn new(connection: &'c Connection, topic: &TopicRow) -> rusqlite::Result<Appender<'c>> {
        let sql = format!(
            "INSERT INTO {} (offset, timestamp, key, headers, value) VALUES (?1, ?2, ?3, ?4, ?5)",
            table(topic.id)
        );
        let statement = connection.prepare_cached(&sql)?;
        let next = high(connection, topic.id)?;
        Ok(Appender { statement, append_time: topic.rules.append_time, next })
    }

    /// One past the last offset given.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Appends a record.
    pub fn append(&mut self, row: &append::Row, now: i64) -> rusqlite::Result<()> {
        let timestamp = row.timestamp.filter(|_| !self.append_time).unwrap_or(now);
        self.statement.execute(params![
            self.next,
            timestamp,
            row.key.as_deref(),
            row.headers.as_deref(),
            row.value.as_deref(),
        ])?;
        self.next += 1;
        Ok(())
    }
}

/// Records from that offset on, at most so many and about so many bytes; at least one, if there is one.
pub(super) fn read(
    connection: &Connection,
    topic: i64,
    at: &TopicPartition,
    from: i64,
    records: usize,
    bytes: usize,
) -> rusqlite::Result<Vec<Record>> {
    let sql = format!(
        "SELECT offset, timestamp, key, headers, value FROM {} WHERE offset >= ?1 ORDER BY offset LIMIT ?2",
        table(topic)
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![from, records as i64])?;
    let mut found = Vec::new();
    let mut size = 0;
    while size < bytes
        && let Some(row) = rows.next()?
    {
        let column = |index| row.get(index).map(|part: Option<Vec<u8>>| part.map(Bytes::from));
        let (key, packed, value) = (column(2)?, column(3)?.unwrap_or_default(), column(4)?);
        let len = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        size += 64 + len(&key) + packed.len() + len(&value);
        let headers = headers::decode(packed).ok_or_else(|| {
            let why = "headers that are not headers".into();
            rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Blob, why)
        })?;
        let (offset, timestamp) = (row.get(0)?, row.get(1)?);
        found.push(Record { at: at.clone(), offset, timestamp, key, value, headers });
    }
    Ok(found)
}

/// Whether a record stands in `[from, to)`.
pub(super) fn any(
    connection: &Connection,
    topic: i64,
    from: i64,
    to: i64,
) -> rusqlite::Result<bool> {
    let sql = format!("SELECT 1 FROM {} WHERE offset >= ?1 AND offset < ?2 LIMIT 1", table(topic));
    connection.prepare_cached(&sql)?.exists([from, to])
}

/// Where records older than that time end, if there are any: one past at most so many from the beginning.
pub(super) fn old(
    connection: &Connection,
    topic: i64,
    time: i64,
    limit: i64,
) -> rusqlite::Result<Option<i64>> {
    let first = low(connection, topic)?;
    let end = resolve(connection, topic, From::Time(time))?.min(first.saturating_add(limit));
    Ok((end > first).then_some(end))
}

/// Drops records below that offset.
pub(super) fn drop_below(connection: &Connection, topic: i64, end: i64) -> rusqlite::Result<()> {
    connection
        .execute("UPDATE log_topic SET floor = max(floor, ?2) WHERE id = ?1", [topic, end])?;
    connection.execute(&format!("DELETE FROM {} WHERE offset < ?1", table(topic)), [end])?;
    Ok(())
}
