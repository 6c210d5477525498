//! How this program opens a SQLite file, so that all rooms (and several processes) that share one agree: write-ahead
//! log, 16 KiB pages, a busy timeout instead of an error, network file systems refused. It knows no table.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

mod mounts;

#[cfg(test)]
mod tests;

/// Marks a file as ours in its header: a file of another program is refused instead of getting our tables.
const APPLICATION: i32 = i32::from_be_bytes(*b"vmot");
/// 1 KB records cost 3–7 µs with this and several times as much with the default of 4 KiB.
const PAGE: i32 = 16 * 1024;
/// Connections that write to many tables keep their statements.
const STATEMENTS: usize = 256;

/// When a commit counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// The disk has it: survives a power cut.
    #[default]
    Full,
    /// The operating system has it: survives a crash of the process; a power cut may take the last commits, whole ones.
    Normal,
}

/// Who moves the write-ahead log into the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Checkpoint {
    /// Now and then a commit does, and takes some ten milliseconds longer.
    #[default]
    OnCommit,
    /// Another connection does.
    Elsewhere,
}

/// How to open a file.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// When a commit counts as done.
    pub synchronous: Synchronous,
    /// Who moves the write-ahead log into the file.
    pub checkpoint: Checkpoint,
    /// How long to wait for another writer.
    pub busy: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            synchronous: Synchronous::default(),
            checkpoint: Checkpoint::default(),
            busy: Duration::from_secs(5),
        }
    }
}

/// Opens a file for reading and writing; it and its folder are made when they are not there. Transactions that write
/// begin with `BEGIN IMMEDIATE` ([`rusqlite::TransactionBehavior::Immediate`]), or the busy timeout can't help them.
pub fn connect(path: &Path, options: &Options) -> Result<Connection, SqliteError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder).map_err(|error| SqliteError {
            kind: match error.kind() {
                std::io::ErrorKind::StorageFull => SqliteErrorKind::Full,
                _ => SqliteErrorKind::Denied,
            },
            message: format!("can't make the folder `{}`: {error}", folder.display()),
        })?;
    }
    refuse_network(path, folder.unwrap_or(Path::new(".")))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let explain = |error| SqliteError::new(path, &error);
    let connection = Connection::open_with_flags(path, flags).map_err(explain)?;
    prepare(&connection, path, options)?;
    Ok(connection)
}

fn prepare(connection: &Connection, path: &Path, options: &Options) -> Result<(), SqliteError> {
    let explain = |error| SqliteError::new(path, &error);
    connection.busy_timeout(options.busy).map_err(explain)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let marked: i32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(explain)?;
    if marked != APPLICATION {
        mark(connection, path, options.busy)?;
    }
    let synchronous = match options.synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
    };
    let checkpoint = match options.checkpoint {
        Checkpoint::OnCommit => 1_000,
        Checkpoint::Elsewhere => 0,
    };
    let set = |name: &str, value: &dyn rusqlite::ToSql| {
        connection.pragma_update(None, name, value).map_err(explain)
    };
    set("synchronous", &synchronous)?;
    set("journal_size_limit", &(64 << 20))?;
    set("foreign_keys", &"ON")?;
    // This one answers with a row.
    connection
        .pragma_update_and_check(None, "wal_autocheckpoint", checkpoint, |_| Ok(()))
        .map_err(explain)
}

/// A new file: page size, write-ahead log, mark. Several processes may meet here; switching to the write-ahead log needs
/// the file alone and does not honour the busy timeout, hence the loop.
#[expect(
    clippy::disallowed_methods,
    reason = "the thread is SQLite's own; there is nothing to wait on"
)]
fn mark(connection: &Connection, path: &Path, busy: Duration) -> Result<(), SqliteError> {
    const PAUSE: Duration = Duration::from_millis(5);
    let tries = (busy.as_millis() / PAUSE.as_millis()).max(1);
    let mut outcome = Ok(());
    for _ in 0..tries {
        outcome = try_mark(connection);
        match &outcome {
            Err(error) if is_busy(error) => std::thread::sleep(PAUSE),
            _ => break,
        }
    }
    outcome.map_err(|error| SqliteError::new(path, &error))?;
    let marked: i32 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(|error| SqliteError::new(path, &error))?;
    match marked {
        APPLICATION => Ok(()),
        _ => Err(SqliteError {
            kind: SqliteErrorKind::Foreign,
            message: format!(
                "`{}` is a database of another program: name another file",
                path.display()
            ),
        }),
    }
}

fn try_mark(connection: &Connection) -> rusqlite::Result<()> {
    let marked: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if marked == APPLICATION || marked != 0 || tables > 0 {
        return Ok(());
    }
    connection.pragma_update(None, "page_size", PAGE)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "application_id", APPLICATION)
}

fn refuse_network(path: &Path, folder: &Path) -> Result<(), SqliteError> {
    // Best effort: where there is no such list (not Linux) or it can't be read, the user knows best.
    let Ok(mounts) = std::fs::read_to_string("/proc/mounts") else { return Ok(()) };
    let Ok(folder) = folder.canonicalize() else { return Ok(()) };
    match mounts::network(&mounts, &folder) {
        Some(kind) => Err(SqliteError {
            kind: SqliteErrorKind::Network,
            message: format!(
                "`{}` lies on a network file system (`{kind}`), whose locks can't be relied on: choose a local disk",
                path.display()
            ),
        }),
        None => Ok(()),
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Why a file did not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteError {
    /// Class.
    pub kind: SqliteErrorKind,
    /// One sentence that names the file.
    pub message: String,
}

/// The classes of a file's failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqliteErrorKind {
    /// Another process writes for longer than the busy timeout: try again.
    Busy,
    /// No room on the disk, or the disk fails: try again when it is mended.
    Full,
    /// Not ours to read or write.
    Denied,
    /// On a network file system.
    Network,
    /// A database of another program, or no database.
    Foreign,
    /// Damaged.
    Damaged,
    /// Anything else: a defect.
    Other,
}

impl SqliteError {
    /// Puts an error of the library into a class and names the file.
    pub fn new(path: &Path, error: &rusqlite::Error) -> SqliteError {
        let file: PathBuf = path.to_owned();
        let (kind, why) = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                (SqliteErrorKind::Busy, "is being written by another process")
            }
            Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => {
                (SqliteErrorKind::Full, "can't be written to its disk")
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                (SqliteErrorKind::Denied, "can't be opened for writing")
            }
            Some(ErrorCode::NotADatabase) => (SqliteErrorKind::Foreign, "is no database"),
            Some(ErrorCode::DatabaseCorrupt) => (SqliteErrorKind::Damaged, "is damaged"),
            _ => (SqliteErrorKind::Other, "can't do it"),
        };
        SqliteError { kind, message: format!("`{}` {why}: {error}", file.display()) }
    }
}

impl fmt::Display for SqliteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SqliteError {}
