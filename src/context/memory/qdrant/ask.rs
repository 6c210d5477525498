//! One question as a request, and its reply as passages.

use ::qdrant_client::qdrant::{
    Condition, Filter, PrefetchQuery, Query as Wanted, QueryPoints, RrfBuilder, ScoredPoint,
    SparseVector, VectorInput, point_id::PointIdOptions, query, vector_input,
};
use serde_json::Value;
use uuid::Uuid;

use super::errors::invalid;
use super::{DENSE, WORDS, values};
use crate::context::memory::fusion::{self, SPARE};
use crate::context::memory::place::EVERYBODY;
use crate::context::memory::words::Words;
use crate::context::memory::{Collection, MemoryError, Passage, Query, payload};

/// One side of a question.
struct Side {
    using: Option<String>,
    nearest: Wanted,
    floor: Option<f32>,
}

/// The request; none when there is nothing to look for.
pub(super) fn request(
    collection: &Collection,
    words: &Words,
    asked: &Query,
) -> Result<Option<QueryPoints>, MemoryError> {
    if asked.limit == 0 {
        return Ok(None);
    }
    let filter = collection.tenants.then(|| {
        let tenants = vec![asked.tenant.to_string(), EVERYBODY.to_owned()];
        Filter::must([Condition::matches("tenant", tenants)])
    });
    let dense = dense(collection, asked)?;
    let sparse = if collection.ours { sparse(words, asked) } else { None };
    let request = QueryPoints {
        collection_name: collection.name.to_string(),
        limit: Some((asked.limit + SPARE) as u64),
        with_payload: Some(true.into()),
        ..QueryPoints::default()
    };
    Ok(match (dense, sparse) {
        (None, None) => None,
        (Some(side), None) | (None, Some(side)) => Some(QueryPoints {
            query: Some(side.nearest),
            using: side.using,
            score_threshold: side.floor,
            filter,
            ..request
        }),
        (Some(dense), Some(sparse)) => {
            let depth = fusion::depth(asked.limit) as u64;
            let prefetch = [dense, sparse].map(|side| PrefetchQuery {
                query: Some(side.nearest),
                using: side.using,
                score_threshold: side.floor,
                filter: filter.clone(),
                limit: Some(depth),
                ..PrefetchQuery::default()
            });
            let rrf = RrfBuilder::with_k(fusion::K).build();
            Some(QueryPoints {
                prefetch: prefetch.into(),
                query: Some(Wanted { variant: Some(query::Variant::Rrf(rrf)) }),
                ..request
            })
        }
    })
}

fn dense(collection: &Collection, asked: &Query) -> Result<Option<Side>, MemoryError> {
    let vector = asked.vector.as_ref().filter(|_| collection.dimensions.is_some());
    let Some(vector) = vector else {
        if collection.ours {
            return Ok(None);
        }
        return Err(invalid(format!(
            "collection `{}` belongs to another tool and is searched by vectors alone: give it an `embedder`",
            collection.name
        )));
    };
    collection.fits(Some(vector))?;
    Ok(Some(Side {
        using: collection.ours.then(|| DENSE.to_owned()),
        nearest: Wanted::from(vector.clone()),
        floor: asked.min_score.map(|floor| floor as f32),
    }))
}

fn sparse(words: &Words, asked: &Query) -> Option<Side> {
    let indices = words.question(&asked.text);
    if indices.is_empty() {
        return None;
    }
    let values = vec![1.0; indices.len()];
    let sparse = vector_input::Variant::Sparse(SparseVector { values, indices });
    let nearest =
        Wanted { variant: Some(query::Variant::Nearest(VectorInput { variant: Some(sparse) })) };
    Some(Side { using: Some(WORDS.to_owned()), nearest, floor: None })
}

/// The passages of a reply.
pub(super) fn answer(
    collection: &Collection,
    limit: usize,
    found: Vec<ScoredPoint>,
) -> Vec<Passage> {
    let found = found.into_iter().map(|point| passage(collection, point)).collect();
    fusion::first(limit, found)
}

fn passage(collection: &Collection, point: ScoredPoint) -> (Uuid, Passage) {
    let (key, name) = match point.id.and_then(|id| id.point_id_options) {
        Some(PointIdOptions::Uuid(id)) => (id.parse().unwrap_or_default(), id),
        Some(PointIdOptions::Num(id)) => (Uuid::from_u128(id.into()), id.to_string()),
        None => (Uuid::nil(), String::new()),
    };
    let mut fields = values::fields(point.payload);
    let text = |value: Option<Value>| match value {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let id = text(fields.get("id").filter(|_| collection.ours).cloned()).unwrap_or(name);
    let body = text(fields.remove(&collection.text)).unwrap_or_default();
    let payload = payload::sorted(collection, fields);
    (key, Passage { id, score: f64::from(point.score), text: body, payload })
}
