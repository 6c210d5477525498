//! Consumer groups in the file: what they committed, and which engine reads for them.

use rusqlite::{Connection, OptionalExtension, params};

/// What a group committed of a topic: the base and the text of its progress.
pub(super) fn committed(
    connection: &Connection,
    group: &str,
    topic: i64,
) -> rusqlite::Result<Option<(i64, String)>> {
    let mut statement = connection
        .prepare_cached("SELECT base, progress FROM log_offset WHERE grp = ?1 AND topic = ?2")?;
    statement.query_row(params![group, topic], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// Commits.
pub(super) fn commit(
    connection: &Connection,
    group: &str,
    topic: i64,
    base: i64,
    progress: &str,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO log_offset (grp, topic, base, progress) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET base = excluded.base, progress = excluded.progress",
    )?;
    statement.execute(params![group, topic, base, progress])?;
    Ok(())
}

/// A new engine reads for the group: its epoch, which grows with each.
pub(super) fn enter(connection: &Connection, group: &str, member: u128) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO log_member (grp, member, epoch) VALUES (?1, ?2, 1)
         ON CONFLICT DO UPDATE SET member = excluded.member, epoch = epoch + 1
         RETURNING epoch",
    )?;
    let epoch: i64 = statement.query_row(params![group, member.to_be_bytes()], |row| row.get(0))?;
    Ok(epoch.cast_unsigned())
}

/// Whether that engine still reads for the group. The file lock sees to it; this sees the lock's file being deleted.
pub(super) fn is_member(
    connection: &Connection,
    group: &str,
    member: u128,
) -> rusqlite::Result<bool> {
    let mut statement =
        connection.prepare_cached("SELECT 1 FROM log_member WHERE grp = ?1 AND member = ?2")?;
    statement.exists(params![group, member.to_be_bytes()])
}
