//! What reads the local store. A batch of questions is answered in one read transaction, with one pass over the vectors.

use rusqlite::{Connection, params};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::best::Ranked;
use super::held::Cache;
use super::{dense, failed, row, sparse};
use crate::context::memory::fusion::{self, SPARE};
use crate::context::memory::words::Words;
use crate::context::memory::{Collection, MemoryError, Passage, Query};

/// The reading side: a connection and what it holds in memory.
pub(super) struct Reader {
    pub connection: Connection,
    pub cache: Cache,
}

/// The rankings of one question: passage numbers, best first.
#[derive(Default)]
struct Sides {
    dense: Option<Ranked>,
    sparse: Option<Ranked>,
}

impl Reader {
    pub(super) fn query(
        &mut self,
        collection: &Collection,
        queries: &[Query],
    ) -> Result<Vec<Vec<Passage>>, MemoryError> {
        let Reader { connection, cache } = self;
        // A deferred transaction: every statement below sees the same state of the file.
        let transaction = connection.transaction().map_err(failed)?;
        let there = row(&transaction, collection)?;
        let sides = rank(&transaction, cache, there.number, collection, queries).map_err(failed)?;
        let mut answers = Vec::with_capacity(queries.len());
        for (query, sides) in queries.iter().zip(sides) {
            let ranked = sides.fused(query.limit + SPARE);
            let found: rusqlite::Result<Vec<_>> = ranked
                .into_iter()
                .map(|(number, score)| passage(&transaction, number, score))
                .collect();
            answers.push(fusion::first(query.limit, found.map_err(failed)?));
        }
        Ok(answers)
    }

    pub(super) fn count(&mut self, collection: &Collection) -> Result<u64, MemoryError> {
        row(&self.connection, collection).map(|there| there.passages)
    }
}

fn rank(
    connection: &Connection,
    cache: &mut Cache,
    number: i64,
    collection: &Collection,
    queries: &[Query],
) -> rusqlite::Result<Vec<Sides>> {
    let words = Words::new(collection.language);
    let dimensions = collection.dimensions.unwrap_or(0);
    let look = cache.look(connection, number, dimensions)?;
    let mut all = Vec::with_capacity(queries.len());
    let mut aims = Vec::new();
    for query in queries {
        let mut sides = Sides::default();
        let terms = words.question(&query.text);
        let vector = query.vector.as_deref().filter(|_| dimensions > 0);
        let limit = match (vector, terms.is_empty()) {
            (Some(_), false) => fusion::depth(query.limit),
            _ => query.limit + SPARE,
        };
        let tenant = collection.tenants.then_some(&*query.tenant);
        if query.limit > 0 && !terms.is_empty() {
            sides.sparse = Some(look.with_words(&sparse::Aim { terms, tenant, limit })?);
        }
        if let Some(vector) = vector.filter(|_| query.limit > 0) {
            let floor = query.min_score.map_or(f32::NEG_INFINITY, |floor| floor as f32);
            aims.push(dense::Aim { vector: dense::unit(vector), tenant, floor, limit });
            sides.dense = Some(Vec::new());
        }
        all.push(sides);
    }
    if !aims.is_empty() {
        let mut nearest = look.nearest(&aims)?.into_iter();
        for dense in all.iter_mut().filter_map(|sides| sides.dense.as_mut()) {
            *dense = nearest.next().unwrap_or_default();
        }
    }
    Ok(all)
}

impl Sides {
    fn fused(self, limit: usize) -> Ranked {
        let numbers = |side: Ranked| side.into_iter().map(|(number, _)| number).collect();
        let mut ranked = match (self.dense, self.sparse) {
            (Some(dense), Some(sparse)) => fusion::fuse(&[numbers(dense), numbers(sparse)]),
            (Some(side), None) | (None, Some(side)) => side,
            (None, None) => Vec::new(),
        };
        ranked.truncate(limit);
        ranked
    }
}

/// A passage with its key.
fn passage(connection: &Connection, number: i64, score: f32) -> rusqlite::Result<(Uuid, Passage)> {
    let mut both = connection.prepare_cached(
        "SELECT p.key, t.id, t.text, t.payload FROM memory_passages p JOIN memory_texts t USING (number)
         WHERE p.number = ?1",
    )?;
    both.query_row(params![number], |row| {
        let key = Uuid::from_slice(row.get_ref(0)?.as_blob()?).unwrap_or_default();
        let (id, text) = (row.get(1)?, row.get(2)?);
        let payload: Map<String, Value> =
            serde_json::from_str(row.get_ref(3)?.as_str()?).unwrap_or_default();
        Ok((key, Passage { id, score: f64::from(score), text, payload }))
    })
}
