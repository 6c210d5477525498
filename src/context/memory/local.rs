//! Memory in the file of the local log. Words and vectors are looked through one by one, exactly: right for one machine
//! and up to some 100,000 passages.
//!
//! Two threads stand behind it, one that reads and one that writes, each with its own connection: a read never waits
//! for a write, and no runtime thread waits for a disk. Several processes may share the
//! file; each sees what the others wrote with its next question.

use std::path::Path;

use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::{
    Collection, Forget, Memory, MemoryError, MemoryErrorKind, Passage, Point, Query, payload,
};
use crate::base::sqlite::{self, SqliteErrorKind};

mod best;
mod dense;
mod hand;
mod held;
mod schema;
mod search;
mod sparse;
mod write;

use hand::Hand;
use search::Reader;

/// The local store.
pub struct Local {
    reader: Hand<Reader>,
    writer: Hand<Connection>,
}

impl Local {
    /// Opens the file, which is made when it is not there.
    pub async fn open(path: &Path) -> Result<Self, MemoryError> {
        Self::with_cache(path, held::BYTES).await
    }

    /// Like [`Local::open`], with a bound of its own for what is held in memory, in bytes.
    pub async fn with_cache(path: &Path, bound: usize) -> Result<Self, MemoryError> {
        let at = path.to_owned();
        let writer = Hand::start("memory-writer", move || {
            let mut connection = open(&at)?;
            schema::make(&mut connection).map_err(failed)?;
            Ok(connection)
        });
        let writer = writer.await?;
        let at = path.to_owned();
        let reader = Hand::start("memory-reader", move || {
            Ok(Reader { connection: open(&at)?, cache: held::Cache::new(bound) })
        });
        Ok(Local { reader: reader.await?, writer })
    }
}

#[async_trait]
impl Memory for Local {
    fn name(&self) -> &'static str {
        "local"
    }

    async fn ensure(&self, collection: &Collection) -> Result<(), MemoryError> {
        if !collection.ours {
            return Err(invalid(format!(
                "collection `{}` is declared as another tool's, and the local store has only its own: set \
                 `memory.qdrant`, or remove `tenant: none`",
                collection.name
            )));
        }
        let collection = collection.clone();
        self.writer.ask(move |connection| write::ensure(connection, &collection)).await
    }

    async fn query(
        &self,
        collection: &Collection,
        queries: Vec<Query>,
    ) -> Result<Vec<Vec<Passage>>, MemoryError> {
        for query in &queries {
            collection.fits(query.vector.as_deref().filter(|_| collection.dimensions.is_some()))?;
        }
        let collection = collection.clone();
        self.reader.ask(move |reader| reader.query(&collection, &queries)).await
    }

    async fn remember(
        &self,
        collection: &Collection,
        points: Vec<Point>,
    ) -> Result<(), MemoryError> {
        for point in &points {
            collection.fits(point.vector.as_deref())?;
        }
        let collection = collection.clone();
        self.writer.ask(move |connection| write::remember(connection, &collection, points)).await
    }

    async fn forget(
        &self,
        collection: &Collection,
        tenant: &str,
        what: Forget,
    ) -> Result<(), MemoryError> {
        payload::check(collection, &what)?;
        let (collection, tenant) = (collection.clone(), tenant.to_owned());
        self.writer
            .ask(move |connection| write::forget(connection, &collection, &tenant, &what))
            .await
    }

    async fn count(&self, collection: &Collection) -> Result<u64, MemoryError> {
        let collection = collection.clone();
        self.reader.ask(move |reader| reader.count(&collection)).await
    }
}

// ---- a collection in the file ----

/// What the file says of a collection.
struct Row {
    number: i64,
    passages: u64,
    revision: i64,
}

/// Finds a collection, and checks that it fits its declaration.
fn row(connection: &Connection, collection: &Collection) -> Result<Row, MemoryError> {
    let name = &collection.name;
    let found = connection
        .prepare_cached(
            "SELECT number, passages, revision, dimensions, language FROM memory_collections WHERE name = ?1",
        )
        .and_then(|mut statement| {
            statement
                .query_row([&**name], |row| {
                    let there = Row {
                        number: row.get(0)?,
                        passages: row.get::<_, i64>(1)?.try_into().unwrap_or(0),
                        revision: row.get(2)?,
                    };
                    Ok((there, row.get::<_, Option<i64>>(3)?, row.get::<_, String>(4)?))
                })
                .optional()
        })
        .map_err(failed)?;
    let Some((there, dimensions, language)) = found else {
        return Err(invalid(format!("there is no collection `{name}` in the local store")));
    };
    collection.made_with(dimensions.and_then(|dimensions| dimensions.try_into().ok()))?;
    if language != collection.language.name() {
        return Err(invalid(format!(
            "collection `{name}` was made with words in `{language}`, the settings now say `{}`: go back, or import \
             into a collection of another name",
            collection.language.name()
        )));
    }
    Ok(there)
}

fn invalid(message: String) -> MemoryError {
    MemoryError { kind: MemoryErrorKind::Invalid, message }
}

fn open(path: &Path) -> Result<Connection, MemoryError> {
    sqlite::connect(path, &sqlite::Options::default()).map_err(|error| MemoryError {
        kind: match error.kind {
            SqliteErrorKind::Busy => MemoryErrorKind::Transient,
            _ => MemoryErrorKind::Unavailable,
        },
        message: error.message,
    })
}

/// Classes a failure of SQLite.
fn failed(error: rusqlite::Error) -> MemoryError {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => MemoryErrorKind::Transient,
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::OutOfMemory,
        ) => MemoryErrorKind::Unavailable,
        _ => MemoryErrorKind::Invalid,
    };
    MemoryError { kind, message: format!("the local memory failed: {error}") }
}
