//! What changes the local store. Each function is one transaction: whole or not at all.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde_json::{Map, Value};

use super::schema::REMEMBERED_REVISIONS;
use super::{Row, dense, failed, row, sparse};
use crate::context::memory::payload::{fields_equal, sorted};
use crate::context::memory::words::{Counted, Words};
use crate::context::memory::{Collection, Forget, MemoryError, Point};

/// Makes the collection, or checks that the one there fits.
pub(super) fn ensure(
    connection: &mut Connection,
    collection: &Collection,
) -> Result<(), MemoryError> {
    let transaction = begin(connection)?;
    let language = collection.language.name();
    transaction
        .execute(
            "INSERT INTO memory_collections (name, dimensions, language) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![&*collection.name, collection.dimensions.map(|d| d as i64), language],
        )
        .map_err(failed)?;
    row(&transaction, collection)?;
    transaction.commit().map_err(failed)
}

/// Writes points; one that is there is replaced.
pub(super) fn remember(
    connection: &mut Connection,
    collection: &Collection,
    points: Vec<Point>,
) -> Result<(), MemoryError> {
    let transaction = begin(connection)?;
    let mut change = Change::begin(&transaction, collection)?;
    let words = Words::new(collection.language);
    for point in points {
        change.write(collection, &words, point).map_err(failed)?;
    }
    change.end().map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// Deletes points of one tenant.
pub(super) fn forget(
    connection: &mut Connection,
    collection: &Collection,
    tenant: &str,
    what: &Forget,
) -> Result<(), MemoryError> {
    let transaction = begin(connection)?;
    let mut change = Change::begin(&transaction, collection)?;
    let tenant = collection.tenant(tenant);
    let numbers = match what {
        Forget::Id(id) => {
            let key = collection.key(tenant, id);
            change.number(key.as_bytes()).map(|found| found.into_iter().collect())
        }
        Forget::Where(fields) => {
            change.matching(collection, tenant, |has| fields_equal(fields, has))
        }
        Forget::Outdated { of, current } => change.matching(collection, tenant, |has| {
            fields_equal(of, has) && !fields_equal(current, has)
        }),
    };
    let numbers: Vec<i64> = numbers.map_err(failed)?;
    for number in &numbers {
        change.delete(*number).map_err(failed)?;
    }
    if !numbers.is_empty() {
        change.end().map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

fn begin(connection: &mut Connection) -> Result<Transaction<'_>, MemoryError> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)
}

/// A change of one collection.
struct Change<'t> {
    transaction: &'t Transaction<'t>,
    collection: i64,
    revision: i64,
    /// Passages more than before.
    passages: i64,
    /// Words more than before.
    entries: i64,
}

impl<'t> Change<'t> {
    fn begin(
        transaction: &'t Transaction<'t>,
        collection: &Collection,
    ) -> Result<Self, MemoryError> {
        let Row { number, revision, .. } = row(transaction, collection)?;
        let revision = revision + 1;
        Ok(Change { transaction, collection: number, revision, passages: 0, entries: 0 })
    }

    /// Ends it: readers see by the revision that there was one.
    fn end(self) -> rusqlite::Result<()> {
        self.run(
            "UPDATE memory_collections SET revision = ?2, passages = passages + ?3, entries = entries + ?4
             WHERE number = ?1",
            params![self.collection, self.revision, self.passages, self.entries],
        )?;
        self.run(
            "DELETE FROM memory_forgotten WHERE collection = ?1 AND revision <= ?2",
            params![self.collection, self.revision - REMEMBERED_REVISIONS],
        )
    }

    fn number(&self, key: &[u8]) -> rusqlite::Result<Option<i64>> {
        self.transaction
            .prepare_cached("SELECT number FROM memory_passages WHERE key = ?1")?
            .query_row([key], |row| row.get(0))
            .optional()
    }

    fn entries_of(&self, number: i64) -> rusqlite::Result<i64> {
        self.transaction
            .prepare_cached("SELECT length(words) / 5 FROM memory_words WHERE number = ?1")?
            .query_row([number], |row| row.get(0))
    }

    fn write(
        &mut self,
        collection: &Collection,
        words: &Words,
        point: Point,
    ) -> rusqlite::Result<()> {
        let Point { id, tenant, text, vector, payload } = point;
        let tenant = collection.tenant(&tenant);
        let key = collection.key(tenant, &id);
        let number = match self.number(key.as_bytes())? {
            Some(number) => {
                self.entries -= self.entries_of(number)?;
                self.run(
                    "UPDATE memory_passages SET revision = ?2 WHERE number = ?1",
                    params![number, self.revision],
                )?;
                number
            }
            None => {
                self.passages += 1;
                self.run(
                    "INSERT INTO memory_passages (key, collection, tenant, revision) VALUES (?1, ?2, ?3, ?4)",
                    params![key.as_bytes(), self.collection, tenant, self.revision],
                )?;
                self.transaction.last_insert_rowid()
            }
        };
        let Counted { times, length } = words.count(&text);
        self.entries += times.len() as i64;
        self.run(
            "INSERT OR REPLACE INTO memory_words (number, length, words) VALUES (?1, ?2, ?3)",
            params![number, length, sparse::to_bytes(times)],
        )?;
        let payload = Value::Object(sorted(collection, payload)).to_string();
        self.run(
            "INSERT OR REPLACE INTO memory_texts (number, id, text, payload) VALUES (?1, ?2, ?3, ?4)",
            params![number, id, text, payload],
        )?;
        match vector {
            Some(vector) => self.run(
                "INSERT OR REPLACE INTO memory_vectors (number, vector) VALUES (?1, ?2)",
                params![number, dense::to_bytes(&dense::unit(&vector))],
            ),
            None => self.run("DELETE FROM memory_vectors WHERE number = ?1", [number]),
        }
    }

    fn delete(&mut self, number: i64) -> rusqlite::Result<()> {
        self.passages -= 1;
        self.entries -= self.entries_of(number)?;
        for table in ["memory_passages", "memory_texts", "memory_words", "memory_vectors"] {
            self.run(&format!("DELETE FROM {table} WHERE number = ?1"), [number])?;
        }
        self.run(
            "INSERT INTO memory_forgotten (collection, revision, number) VALUES (?1, ?2, ?3)",
            params![self.collection, self.revision, number],
        )
    }

    /// The passages of a tenant whose fields pass.
    fn matching(
        &self,
        collection: &Collection,
        tenant: &str,
        pass: impl Fn(&dyn Fn(&str) -> Option<Value>) -> bool,
    ) -> rusqlite::Result<Vec<i64>> {
        let mut all = self.transaction.prepare_cached(
            "SELECT p.number, t.id, t.text, t.payload FROM memory_passages p CROSS JOIN memory_texts t USING (number)
             WHERE p.collection = ?1 AND p.tenant = ?2",
        )?;
        let mut rows = all.query(params![self.collection, tenant])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let number: i64 = row.get(0)?;
            let (id, text): (String, String) = (row.get(1)?, row.get(2)?);
            let payload: Map<String, Value> =
                serde_json::from_str(row.get_ref(3)?.as_str()?).unwrap_or_default();
            let field = |name: &str| match name {
                "id" => Some(Value::from(id.as_str())),
                "tenant" => Some(Value::from(tenant)),
                name if name == collection.text => Some(Value::from(text.as_str())),
                name => payload.get(name).cloned(),
            };
            if pass(&field) {
                found.push(number);
            }
        }
        Ok(found)
    }

    fn run(&self, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<()> {
        self.transaction.prepare_cached(sql)?.execute(params).map(|_| ())
    }
}
