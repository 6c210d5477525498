//! What changes the local store. Each function is one transaction: whole or not at all.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde_json::{Map, Value};

use super::schema::{self, REMEMBERED_REVISIONS};
use super::{Row, failed, row, vectors};
use crate::context::memory::payload::{fields_equal, sorted};
use crate::context::memory::words::Words;
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
    let there = row(&transaction, collection)?;
    let revision = there.revision + 1;
    let words = Words::new(collection.language);
    let mut added = 0;
    for point in points {
        let new = write(&transaction, collection, &there, revision, &words, point);
        added += i64::from(new.map_err(failed)?);
    }
    settle(&transaction, &there, revision, added).map_err(failed)?;
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
    let there = row(&transaction, collection)?;
    let revision = there.revision + 1;
    let tenant = collection.tenant(tenant);
    let numbers = match what {
        Forget::Id(id) => {
            let key = collection.key(tenant, id);
            number(&transaction, key.as_bytes()).map(|found| found.into_iter().collect())
        }
        Forget::Where(fields) => {
            matching(&transaction, &there, collection, tenant, |has| fields_equal(fields, has))
        }
        Forget::Outdated { of, current } => {
            matching(&transaction, &there, collection, tenant, |has| {
                fields_equal(of, has) && !fields_equal(current, has)
            })
        }
    };
    let numbers = numbers.map_err(failed)?;
    for number in &numbers {
        delete(&transaction, &there, revision, *number).map_err(failed)?;
    }
    if !numbers.is_empty() {
        settle(&transaction, &there, revision, -(numbers.len() as i64)).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

fn begin(connection: &mut Connection) -> Result<Transaction<'_>, MemoryError> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)
}

fn number(transaction: &Transaction<'_>, key: &[u8]) -> rusqlite::Result<Option<i64>> {
    transaction
        .prepare_cached("SELECT number FROM memory_passages WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
}

/// Writes one point; true when it was not there.
fn write(
    transaction: &Transaction<'_>,
    collection: &Collection,
    there: &Row,
    revision: i64,
    words: &Words,
    point: Point,
) -> rusqlite::Result<bool> {
    let Point { id, tenant, text, vector, payload } = point;
    let tenant = collection.tenant(&tenant);
    let key = collection.key(tenant, &id);
    let counted = words.count(&text);
    let length: u32 = counted.values().sum();
    let known = number(transaction, key.as_bytes())?;
    let number = match known {
        Some(number) => {
            run(transaction, "DELETE FROM memory_words WHERE rowid = ?1", params![number])?;
            run(
                transaction,
                "UPDATE memory_passages SET length = ?2, revision = ?3 WHERE number = ?1",
                params![number, length, revision],
            )?;
            number
        }
        None => {
            run(
                transaction,
                "INSERT INTO memory_passages (key, collection, tenant, length, revision) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![key.as_bytes(), there.number, tenant, length, revision],
            )?;
            transaction.last_insert_rowid()
        }
    };
    let payload = sorted(collection, payload);
    run(
        transaction,
        "INSERT OR REPLACE INTO memory_texts (number, id, text, payload) VALUES (?1, ?2, ?3, ?4)",
        params![number, id, text, Value::Object(payload).to_string()],
    )?;
    let entries: Vec<String> =
        counted.iter().map(|(term, times)| schema::entry(there.number, *term, *times)).collect();
    run(
        transaction,
        "INSERT INTO memory_words (rowid, words) VALUES (?1, ?2)",
        params![number, entries.join(" ")],
    )?;
    match vector {
        Some(vector) => run(
            transaction,
            "INSERT OR REPLACE INTO memory_vectors (number, vector) VALUES (?1, ?2)",
            params![number, vectors::bytes(&vectors::unit(&vector))],
        )?,
        None => run(transaction, "DELETE FROM memory_vectors WHERE number = ?1", params![number])?,
    }
    Ok(known.is_none())
}

fn delete(
    transaction: &Transaction<'_>,
    there: &Row,
    revision: i64,
    number: i64,
) -> rusqlite::Result<()> {
    run(transaction, "DELETE FROM memory_words WHERE rowid = ?1", [number])?;
    for table in ["memory_passages", "memory_texts", "memory_vectors"] {
        run(transaction, &format!("DELETE FROM {table} WHERE number = ?1"), [number])?;
    }
    run(
        transaction,
        "INSERT INTO memory_forgotten (collection, revision, number) VALUES (?1, ?2, ?3)",
        params![there.number, revision, number],
    )
}

/// Ends a change: readers see by the revision that there was one.
fn settle(
    transaction: &Transaction<'_>,
    there: &Row,
    revision: i64,
    added: i64,
) -> rusqlite::Result<()> {
    run(
        transaction,
        "UPDATE memory_collections SET revision = ?2, passages = passages + ?3 WHERE number = ?1",
        params![there.number, revision, added],
    )?;
    run(
        transaction,
        "DELETE FROM memory_forgotten WHERE collection = ?1 AND revision <= ?2",
        params![there.number, revision - REMEMBERED_REVISIONS],
    )
}

/// The passages of a tenant whose fields pass.
fn matching(
    transaction: &Transaction<'_>,
    there: &Row,
    collection: &Collection,
    tenant: &str,
    pass: impl Fn(&dyn Fn(&str) -> Option<Value>) -> bool,
) -> rusqlite::Result<Vec<i64>> {
    let mut all = transaction.prepare_cached(
        "SELECT p.number, t.id, t.text, t.payload FROM memory_passages p CROSS JOIN memory_texts t USING (number)
         WHERE p.collection = ?1 AND p.tenant = ?2",
    )?;
    let mut rows = all.query(params![there.number, tenant])?;
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

fn run(
    transaction: &Transaction<'_>,
    sql: &str,
    params: impl rusqlite::Params,
) -> rusqlite::Result<()> {
    transaction.prepare_cached(sql)?.execute(params).map(|_| ())
}
