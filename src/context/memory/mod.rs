//! Vector memory: passages by meaning and by word. The contract is [`Memory`]; members are `qdrant` and `local`.
//!
//! **What a member promises.** Writes are idempotent by (collection, tenant, id). A query sees every write that ended
//! before it began. A passage is returned only to its own tenant, or to all when its tenant is `*`, or when the
//! collection is declared without tenants. The sparse side is made of our own words ([`words`](crate::context::memory::words)),
//! so that every member ranks alike.
//!
//! **What it must not do.** Retry, embed texts, cut passages.
//!
//! Conformance: `tests/it/conformance/memory.rs` (local), `tests/e2e` (Qdrant).

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub mod batch;
pub mod chunk;
pub mod fusion;
pub mod import;
pub mod local;
mod payload;
pub mod place;
pub mod qdrant;
pub mod shelf;
pub mod teller;
pub mod words;

/// A collection as the settings declare it.
#[derive(Clone, Debug, PartialEq)]
pub struct Collection {
    /// Name.
    pub name: Arc<str>,
    /// Dimensions of the dense side; none without an embedder.
    pub dimensions: Option<usize>,
    /// The payload field with the text.
    pub text: String,
    /// False when another tool writes it: no tenants, dense only.
    pub ours: bool,
    /// Whether passages belong to tenants.
    pub tenants: bool,
    /// The language of its texts: which stemmer makes the words of the sparse side.
    pub language: words::Language,
}

/// A passage to write.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The author's id, kept in the payload; the store's key is derived from collection, tenant and it.
    pub id: String,
    /// Its tenant; `*` for everybody.
    pub tenant: Arc<str>,
    /// Text.
    pub text: String,
    /// Dense vector, when the collection has that side.
    pub vector: Option<Vec<f32>>,
    /// More fields.
    pub payload: Map<String, Value>,
}

/// A question to one collection.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The asker's tenant.
    pub tenant: Arc<str>,
    /// Text, for the sparse side.
    pub text: String,
    /// Vector, for the dense side.
    pub vector: Option<Vec<f32>>,
    /// Passages wanted.
    pub limit: usize,
    /// Floor of the dense similarity, before fusion.
    pub min_score: Option<f64>,
}

/// A passage found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Passage {
    /// The author's id.
    pub id: String,
    /// Fused by reciprocal rank when both sides answered, else the side's own score.
    pub score: f64,
    /// Text.
    pub text: String,
    /// The other fields.
    pub payload: Map<String, Value>,
}

/// What to delete.
#[derive(Clone, Debug, PartialEq)]
pub enum Forget {
    /// By the author's id.
    Id(String),
    /// Every passage whose payload fields equal these.
    Where(Map<String, Value>),
    /// Every passage whose payload fields equal `of`, save those whose fields also equal `current`: what an import
    /// leaves behind of a source that shrank.
    Outdated {
        /// Which passages are meant.
        of: Map<String, Value>,
        /// Which of them stay.
        current: Map<String, Value>,
    },
}

/// One store.
#[async_trait]
pub trait Memory: Send + Sync {
    /// `qdrant` or `local`.
    fn name(&self) -> &'static str;
    /// Makes the collection, or checks that the one there fits the declaration.
    async fn ensure(&self, collection: &Collection) -> Result<(), MemoryError>;
    /// Answers each query, in order; many events share one round trip.
    async fn query(
        &self,
        collection: &Collection,
        queries: Vec<Query>,
    ) -> Result<Vec<Vec<Passage>>, MemoryError>;
    /// Writes points; returns when a query would see them.
    async fn remember(
        &self,
        collection: &Collection,
        points: Vec<Point>,
    ) -> Result<(), MemoryError>;
    /// Deletes points of one tenant.
    async fn forget(
        &self,
        collection: &Collection,
        tenant: &str,
        what: Forget,
    ) -> Result<(), MemoryError>;
    /// Number of points in a collection.
    async fn count(&self, collection: &Collection) -> Result<u64, MemoryError>;
}

/// Why a store did not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryError {
    /// Class.
    pub kind: MemoryErrorKind,
    /// One sentence.
    pub message: String,
}

/// The classes of a store's failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryErrorKind {
    /// Not reachable, or not ready: down.
    Unavailable,
    /// It took too long, or broke in between: try again.
    Transient,
    /// The request or the collection does not fit: trying again brings the same.
    Invalid,
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for MemoryError {}
