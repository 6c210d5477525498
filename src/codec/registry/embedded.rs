//! The embedded registry: subjects and schemas in a SQLite file, for everyone who runs no registry. Compatibility is
//! BACKWARD, as a registry's default is: readers of the new schema can read what was written with the newest before.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use apache_avro::Schema as Avro;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{CodecError, Registry, Schema, Verdict, Version, Which};
use crate::base::sqlite::{self, SqliteErrorKind};
use crate::codec::avro::Layout;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS registry_schemas (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS registry_subjects (
    subject TEXT NOT NULL,
    version INTEGER NOT NULL,
    schema INTEGER NOT NULL REFERENCES registry_schemas (id),
    PRIMARY KEY (subject, version),
    UNIQUE (subject, schema)
) WITHOUT ROWID;
";

/// A registry in a file.
#[derive(Clone)]
pub struct Embedded {
    connection: Arc<Mutex<Connection>>,
}

impl Embedded {
    /// Opens the file, and makes it when it is not there.
    pub fn open(path: &Path) -> Result<Self, CodecError> {
        let connection = sqlite::connect(path, &sqlite::Options::default()).map_err(|error| {
            match error.kind {
                SqliteErrorKind::Busy | SqliteErrorKind::Full => {
                    CodecError::unavailable(error.message)
                }
                _ => CodecError::permanent("registry-setting", error.message),
            }
        })?;
        Self::over(connection)
    }

    /// A registry that ends with the process.
    pub fn in_memory() -> Result<Self, CodecError> {
        Self::over(Connection::open_in_memory().map_err(broken)?)
    }

    fn over(connection: Connection) -> Result<Self, CodecError> {
        connection.execute_batch(TABLES).map_err(broken)?;
        Ok(Embedded { connection: Arc::new(Mutex::new(connection)) })
    }

    /// Runs a piece of SQL where it may wait.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, CodecError> + Send + 'static,
    ) -> Result<T, CodecError> {
        let connection = self.connection.clone();
        let done = tokio::task::spawn_blocking(move || {
            work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
        });
        done.await.map_err(|_| CodecError::unavailable("the embedded registry stopped"))?
    }
}

#[async_trait]
impl Registry for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    async fn schema(&self, id: u32) -> Result<Option<Schema>, CodecError> {
        self.run(move |connection| {
            connection
                .query_row("SELECT text FROM registry_schemas WHERE id = ?1", [id], |row| {
                    row.get(0)
                })
                .optional()
                .map(|text| text.map(plain))
                .map_err(broken)
        })
        .await
    }

    async fn find(&self, subject: &str, which: Which<'_>) -> Result<Option<Version>, CodecError> {
        let (number, text) = match which {
            Which::Latest => (None, None),
            Which::Number(number) => (Some(number), None),
            Which::Text(text) => (None, Some(normal(text)?)),
        };
        let subject = subject.to_owned();
        self.run(move |connection| {
            find(connection, &subject, number, text.as_deref()).map_err(broken)
        })
        .await
    }

    async fn versions(&self, subject: &str) -> Result<Vec<u32>, CodecError> {
        let subject = subject.to_owned();
        self.run(move |connection| {
            let sql = "SELECT version FROM registry_subjects WHERE subject = ?1 ORDER BY version";
            let mut statement = connection.prepare(sql).map_err(broken)?;
            let rows = statement.query_map([subject], |row| row.get(0)).map_err(broken)?;
            rows.collect::<rusqlite::Result<_>>().map_err(broken)
        })
        .await
    }

    async fn subjects(&self) -> Result<Vec<String>, CodecError> {
        self.run(|connection| {
            let sql = "SELECT DISTINCT subject FROM registry_subjects ORDER BY subject";
            let mut statement = connection.prepare(sql).map_err(broken)?;
            let rows = statement.query_map([], |row| row.get(0)).map_err(broken)?;
            rows.collect::<rusqlite::Result<_>>().map_err(broken)
        })
        .await
    }

    async fn register(&self, subject: &str, schema: &str) -> Result<u32, CodecError> {
        let (subject, schema) = (subject.to_owned(), schema.to_owned());
        self.run(move |connection| register(connection, &subject, &schema)).await
    }

    async fn check(&self, subject: &str, schema: &str) -> Result<Verdict, CodecError> {
        let (subject, schema) = (subject.to_owned(), schema.to_owned());
        self.run(move |connection| {
            Layout::parse(&schema, &[])?;
            match find(connection, &subject, None, None).map_err(broken)? {
                Some(newest) => compatible(&newest.schema.text, &schema),
                None => Ok(Verdict::Compatible),
            }
        })
        .await
    }
}

fn register(connection: &mut Connection, subject: &str, schema: &str) -> Result<u32, CodecError> {
    Layout::parse(schema, &[])?;
    let text = normal(schema)?;
    // Two processes that register at once must not both take the next version.
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(broken)?;
    if let Some(there) = find(&transaction, subject, None, Some(&text)).map_err(broken)? {
        return Ok(there.id);
    }
    let newest = find(&transaction, subject, None, None).map_err(broken)?;
    if let Some(newest) = &newest
        && let Verdict::Incompatible(why) = compatible(&newest.schema.text, &text)?
    {
        return Err(incompatible(subject, &why));
    }
    let number = newest.map_or(0, |newest| newest.number) + 1;
    let id = (|| {
        transaction
            .execute("INSERT OR IGNORE INTO registry_schemas (text) VALUES (?1)", [&text])?;
        let id: u32 = transaction.query_row(
            "SELECT id FROM registry_schemas WHERE text = ?1",
            [&text],
            |row| row.get(0),
        )?;
        transaction.execute(
            "INSERT INTO registry_subjects (subject, version, schema) VALUES (?1, ?2, ?3)",
            params![subject, number, id],
        )?;
        Ok(id)
    })()
    .map_err(broken)?;
    transaction.commit().map_err(broken)?;
    Ok(id)
}

fn find(
    connection: &Connection,
    subject: &str,
    number: Option<u32>,
    text: Option<&str>,
) -> rusqlite::Result<Option<Version>> {
    connection
        .query_row(
            "SELECT version, id, text FROM registry_subjects JOIN registry_schemas ON schema = id
             WHERE subject = ?1 AND version = coalesce(?2, version) AND text = coalesce(?3, text)
             ORDER BY version DESC LIMIT 1",
            params![subject, number, text],
            |row| Ok(Version { number: row.get(0)?, id: row.get(1)?, schema: plain(row.get(2)?) }),
        )
        .optional()
}

/// Whether readers of `new` can read whatever was written with `old`.
fn compatible(old: &str, new: &str) -> Result<Verdict, CodecError> {
    let parse = |text| {
        Avro::parse_str(text)
            .map_err(|error| CodecError::permanent("unusable-schema", error.to_string()))
    };
    Ok(match SchemaCompatibility::can_read(&parse(old)?, &parse(new)?) {
        Ok(Compatibility::Full) => Verdict::Compatible,
        Ok(Compatibility::Partial) => Verdict::Incompatible(
            "some of what was written with the version before could not be read".to_owned(),
        ),
        Err(error) => {
            let text = error.to_string();
            Verdict::Incompatible(text.lines().next().unwrap_or_default().to_owned())
        }
    })
}

/// A schema that a subject does not take.
pub(super) fn incompatible(subject: &str, why: &str) -> CodecError {
    CodecError::permanent(
        "incompatible-schema",
        format!("subject `{subject}` does not take the schema: {why}"),
    )
}

/// One text for schemas that differ in blanks only.
fn normal(text: &str) -> Result<String, CodecError> {
    serde_json::from_str::<serde_json::Value>(text).map(|value| value.to_string()).map_err(
        |error| CodecError::permanent("unusable-schema", format!("it is no JSON: {error}")),
    )
}

fn plain(text: String) -> Schema {
    Schema { text, references: Vec::new() }
}

fn broken(error: rusqlite::Error) -> CodecError {
    CodecError::unavailable(format!("the embedded registry can't be used: {error}"))
}
