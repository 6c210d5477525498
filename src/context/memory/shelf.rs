//! Shelves: what stages and verbs hold of memory. A [`Collections`] finds the store of a collection by its name, embeds
//! texts where the collection has an embedder, and cuts what was found to the tokens asked for.
//!
//! It makes one attempt and no more; whoever asked retries. An embedding is metered through the call it is given.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::time::timeout_at;

use super::{Collection, Forget, Memory, MemoryError, MemoryErrorKind, Passage, Point, Query};
use crate::model::{Call, EmbedRequest, Model, ModelError};

/// What makes vectors of texts for a collection.
#[derive(Clone)]
pub struct Embedder {
    /// Who answers.
    pub model: Arc<dyn Model>,
    /// The model's name in the settings.
    pub name: Arc<str>,
}

/// One collection with its store.
#[derive(Clone)]
pub struct Shelf {
    /// The declaration.
    pub collection: Arc<Collection>,
    /// The store.
    pub memory: Arc<dyn Memory>,
    /// None: words alone, unless the author brings vectors.
    pub embedder: Option<Embedder>,
}

/// Every collection that the settings or the pipelines name.
#[derive(Clone, Default)]
pub struct Collections {
    shelves: BTreeMap<Arc<str>, Shelf>,
}

/// What a stage wants to find.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Text.
    pub text: String,
    /// The asker's tenant.
    pub tenant: Arc<str>,
    /// Passages wanted.
    pub limit: usize,
    /// Floor of the dense similarity; says nothing where no vectors are compared.
    pub min_score: Option<f64>,
    /// The list ends before the passage that would pass this estimate (see [`estimate_tokens`]).
    pub max_tokens: Option<usize>,
}

/// What a stage wants to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The author's id, or the derived one.
    pub id: String,
    /// Its tenant; `*` for everybody.
    pub tenant: Arc<str>,
    /// Text.
    pub text: String,
    /// The author's own vector; else the text is embedded where the collection has an embedder.
    pub vector: Option<Vec<f32>>,
    /// More fields.
    pub payload: Map<String, Value>,
}

/// Why memory did not answer.
#[derive(Debug, Clone)]
pub enum ShelfError {
    /// Nobody declared the collection of this name.
    UnknownCollection(String),
    /// The store failed.
    Memory {
        /// `qdrant` or `local`, for `/ready`.
        store: &'static str,
        /// How.
        error: MemoryError,
    },
    /// The embedder failed.
    Embedder {
        /// Its name in the settings.
        model: Arc<str>,
        /// How.
        error: ModelError,
    },
    /// The embedder's or the author's vectors do not fit the collection.
    Vector(String),
}

/// Tokens that a text is worth, at four bytes a token: near enough for a ceiling in European languages, some 25 %
/// too few for CJK. Counting exactly costs a hundred times more and depends on the model that reads it.
pub fn estimate_tokens(text: &str) -> usize {
    text.len().div_ceil(4)
}

impl Collections {
    /// From shelves; a later one replaces an earlier one of the same name.
    pub fn new(shelves: impl IntoIterator<Item = Shelf>) -> Self {
        let named = shelves.into_iter().map(|shelf| (Arc::clone(&shelf.collection.name), shelf));
        Collections { shelves: named.collect() }
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Shelf> {
        self.shelves.values()
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Result<&Shelf, ShelfError> {
        self.shelves.get(name).ok_or_else(|| ShelfError::UnknownCollection(name.into()))
    }

    /// Makes or checks every collection, in the order of their names; ends at the first that fails.
    pub async fn ensure(&self) -> Result<(), ShelfError> {
        for shelf in self.iter() {
            shelf.ensure().await?;
        }
        Ok(())
    }

    /// The passages nearest to a question, best first.
    pub async fn retrieve(
        &self,
        collection: &str,
        ask: Ask,
        call: &Call,
    ) -> Result<Vec<Passage>, ShelfError> {
        self.get(collection)?.retrieve(ask, call).await
    }

    /// Makes the point of a draft: embeds its text unless it brings a vector. Writes nothing: see [`Self::remember`].
    pub async fn point(
        &self,
        collection: &str,
        draft: Draft,
        call: &Call,
    ) -> Result<Point, ShelfError> {
        let mut points = self.get(collection)?.points(vec![draft], call).await?;
        points.pop().ok_or_else(|| ShelfError::Vector("the embedder gave no vector".into()))
    }

    /// Writes points, idempotently.
    pub async fn remember(&self, collection: &str, points: Vec<Point>) -> Result<(), ShelfError> {
        self.get(collection)?.remember(points).await
    }

    /// Deletes points of one tenant.
    pub async fn forget(
        &self,
        collection: &str,
        tenant: &str,
        what: Forget,
    ) -> Result<(), ShelfError> {
        self.get(collection)?.forget(tenant, what).await
    }
}

impl Embedder {
    async fn embed(&self, texts: Vec<String>, call: &Call) -> Result<Vec<Vec<f32>>, ShelfError> {
        let request = EmbedRequest { model: Arc::clone(&self.name), texts };
        let failed = |error| ShelfError::Embedder { model: Arc::clone(&self.name), error };
        self.model.embed(&request, call).await.map_err(failed)
    }
}

impl Shelf {
    /// The same shelf with the dimensions that its embedder makes, learned by one embedding of one word: for a model
    /// whose settings do not say them.
    pub async fn measured(mut self, call: &Call) -> Result<Shelf, ShelfError> {
        let Some(embedder) =
            self.embedder.as_ref().filter(|_| self.collection.dimensions.is_none())
        else {
            return Ok(self);
        };
        let vectors = embedder.embed(vec!["measure".into()], call).await?;
        let dimensions = vectors.first().map(Vec::len);
        self.collection =
            Arc::new(Collection { dimensions, ..Collection::clone(&self.collection) });
        Ok(self)
    }

    /// Makes or checks the collection.
    pub async fn ensure(&self) -> Result<(), ShelfError> {
        self.memory.ensure(&self.collection).await.map_err(|e| self.failed(e))
    }

    /// Makes points of drafts, with one embedding call for all that bring no vector.
    pub async fn points(&self, drafts: Vec<Draft>, call: &Call) -> Result<Vec<Point>, ShelfError> {
        let bare = |draft: &&Draft| draft.vector.is_none();
        let texts: Vec<String> = drafts.iter().filter(bare).map(|d| d.text.clone()).collect();
        let mut vectors = self.embed(texts, call).await?.into_iter();
        let mut points = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let Draft { id, tenant, text, vector, payload } = draft;
            let vector = match vector {
                Some(own) => Some(self.fitting(own)?),
                None => vectors.next(),
            };
            points.push(Point { id, tenant, text, vector, payload });
        }
        Ok(points)
    }

    /// Writes points, idempotently.
    pub async fn remember(&self, points: Vec<Point>) -> Result<(), ShelfError> {
        self.memory.remember(&self.collection, points).await.map_err(|e| self.failed(e))
    }

    /// Deletes points of one tenant.
    pub async fn forget(&self, tenant: &str, what: Forget) -> Result<(), ShelfError> {
        self.memory.forget(&self.collection, tenant, what).await.map_err(|e| self.failed(e))
    }

    /// Number of passages.
    pub async fn count(&self) -> Result<u64, ShelfError> {
        self.memory.count(&self.collection).await.map_err(|e| self.failed(e))
    }

    /// The passages nearest to a question, best first.
    pub async fn retrieve(&self, ask: Ask, call: &Call) -> Result<Vec<Passage>, ShelfError> {
        let Ask { text, tenant, limit, min_score, max_tokens } = ask;
        let vector = self.embed(vec![text.clone()], call).await?.pop();
        let query = Query { tenant, text, vector, limit, min_score };
        let asked = self.memory.query(&self.collection, vec![query]);
        let answers = timeout_at(call.deadline, asked).await.map_err(|_| {
            self.failed(MemoryError {
                kind: MemoryErrorKind::Transient,
                message: format!("no answer from collection `{}` in time", self.collection.name),
            })
        })?;
        let mut answers = answers.map_err(|e| self.failed(e))?;
        let mut passages = answers.pop().unwrap_or_default();
        if let Some(ceiling) = max_tokens {
            cut(&mut passages, ceiling);
        }
        Ok(passages)
    }

    /// One vector per text, or none at all where the collection has no embedder.
    async fn embed(&self, texts: Vec<String>, call: &Call) -> Result<Vec<Vec<f32>>, ShelfError> {
        let Some(embedder) = &self.embedder else { return Ok(Vec::new()) };
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = texts.len();
        let vectors = embedder.embed(texts, call).await?;
        if vectors.len() != wanted {
            return Err(ShelfError::Vector(format!(
                "model `{}` gave {} vectors for {wanted} texts",
                embedder.name,
                vectors.len()
            )));
        }
        vectors.into_iter().map(|vector| self.fitting(vector)).collect()
    }

    fn fitting(&self, vector: Vec<f32>) -> Result<Vec<f32>, ShelfError> {
        let name = &self.collection.name;
        match self.collection.dimensions {
            Some(wanted) if wanted == vector.len() => Ok(vector),
            Some(wanted) => Err(ShelfError::Vector(format!(
                "collection `{name}` takes vectors of {wanted} dimensions, not {}",
                vector.len()
            ))),
            None => Err(ShelfError::Vector(format!(
                "collection `{name}` has no dense side: give it an `embedder` in the settings"
            ))),
        }
    }

    fn failed(&self, error: MemoryError) -> ShelfError {
        ShelfError::Memory { store: self.memory.name(), error }
    }
}

/// Ends the list before the first passage that would pass the ceiling: what stays is always the best, unbroken.
fn cut(passages: &mut Vec<Passage>, ceiling: usize) {
    let mut sum = 0;
    let kept = passages
        .iter()
        .take_while(|passage| {
            sum += estimate_tokens(&passage.text);
            sum <= ceiling
        })
        .count();
    passages.truncate(kept);
}

impl ShelfError {
    /// Whether another attempt may succeed, as far as it is known.
    pub fn is_passing(&self) -> bool {
        match self {
            ShelfError::UnknownCollection(_) | ShelfError::Vector(_) => false,
            ShelfError::Embedder { error, .. } => error.kind.is_retriable(),
            ShelfError::Memory { error, .. } => error.kind == MemoryErrorKind::Transient,
        }
    }

    /// One word with dashes, for results and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            ShelfError::UnknownCollection(_) => "unknown-collection",
            ShelfError::Embedder { error, .. } => error.kind.code(),
            ShelfError::Vector(_) => "vector-mismatch",
            ShelfError::Memory { error, .. } => match error.kind {
                MemoryErrorKind::Unavailable => "memory-down",
                MemoryErrorKind::Transient => "memory-failed",
                MemoryErrorKind::Invalid => "memory-refused",
            },
        }
    }
}

impl fmt::Display for ShelfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShelfError::UnknownCollection(name) => {
                write!(f, "no collection `{name}` is declared under `memory.collections`")
            }
            ShelfError::Memory { error, .. } => error.fmt(f),
            ShelfError::Embedder { error, .. } => error.fmt(f),
            ShelfError::Vector(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for ShelfError {}
