//! `retrieve`: passages from memory.
//!
//! ```yaml
//! kb:
//!   retrieve: { collection: support-kb, query: "{{ event.input.text }}", limit: 5, min_score: 0.3, max_tokens: 1500 }
//! ```
//! The output is a list of `{ id, score, text, payload }`, best first. Passages belong to the event's tenant or to
//! everybody. A query without any word brings an empty list and asks nobody. `max_tokens` keeps the best passages that
//! fit, whole ones only, by an estimate of their tokens.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::base::template::Template;
use crate::base::yaml::{Spanned, Text, place};
use crate::context::memory::Passage;
use crate::context::memory::shelf::{Ask, Collections};
use crate::event::ids::Digest;
use crate::event::result::PassageScore;
use crate::model::Call;

use super::desk::{self, Desk};
use super::{BuildError, Facts, Kind, Reply, Seat, Stage, StageError, StageKind, Wiring};

/// Passages when no `limit` is written.
pub const DEFAULT_LIMIT: u32 = 5;
/// The highest `limit`.
pub const MAX_LIMIT: u32 = 1000;

/// Parameters.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A collection, literal.
    pub collection: Spanned<String>,
    /// What is looked for.
    pub query: Text,
    /// Passages wanted; 5 when not written.
    pub limit: Option<Spanned<u32>>,
    /// Floor of the dense similarity, from -1 to 1; none when not written.
    pub min_score: Option<Spanned<f64>>,
    /// Tokens that all passages together may have, estimated; no ceiling when not written.
    pub max_tokens: Option<Spanned<u32>>,
}

impl super::Params for Params {
    fn verb(&self) -> &'static str {
        "retrieve"
    }

    fn check(&self, desk: &mut dyn Desk) -> Option<StageKind> {
        let collection = desk.collection(&self.collection);
        let query = desk.template(&self.query);
        let limit = desk::positive(desk, "limit", self.limit.as_ref(), DEFAULT_LIMIT);
        let limit = limit.filter(|&limit| {
            limit <= MAX_LIMIT || {
                let at = self.limit.as_ref().map(place).unwrap_or_default();
                let message = format!("`limit` is {limit}, expected at most {MAX_LIMIT}");
                desk.error(at, "out-of-range", message, None);
                false
            }
        });
        let min_score = check_score(self.min_score.as_ref(), desk);
        let max_tokens = desk::positive(desk, "max_tokens", self.max_tokens.as_ref(), u32::MAX);
        Some(Arc::new(Retrieve {
            collection: collection?,
            query: query?,
            limit: limit?,
            min_score: min_score?,
            max_tokens: Some(max_tokens?).filter(|_| self.max_tokens.is_some()),
        }))
    }
}

fn check_score(written: Option<&Spanned<f64>>, desk: &mut dyn Desk) -> Option<Option<f64>> {
    let Some(score) = written else { return Some(None) };
    if (-1.0..=1.0).contains(&score.value) {
        return Some(Some(score.value));
    }
    let message = format!("`min_score` is {}, expected a number from -1 to 1", score.value);
    desk.error(place(score), "out-of-range", message, None);
    None
}

#[derive(Clone, Debug)]
struct Retrieve {
    collection: Arc<str>,
    query: Template,
    limit: u32,
    min_score: Option<f64>,
    max_tokens: Option<u32>,
}

impl Kind for Retrieve {
    fn facts(&self) -> Facts {
        let mut settings =
            vec![("collection", self.collection.to_string()), ("limit", self.limit.to_string())];
        settings.extend(self.min_score.map(|score| ("min_score", score.to_string())));
        settings.extend(self.max_tokens.map(|tokens| ("max_tokens", tokens.to_string())));
        Facts {
            collection: Some(self.collection.clone()),
            service: true,
            settings,
            ..Facts::default()
        }
    }

    fn with_model(&self, _model: Arc<str>) -> Option<StageKind> {
        None
    }

    fn build(&self, _seat: &Seat, wiring: &Wiring) -> Result<Box<dyn Stage>, BuildError> {
        let collections = wiring.collection(&self.collection)?;
        Ok(Box::new(Built { kind: self.clone(), collections }))
    }
}

struct Built {
    kind: Retrieve,
    collections: Arc<Collections>,
}

#[async_trait]
impl Stage for Built {
    async fn run(&self, scope: &minijinja::Value, call: &Call) -> Result<Reply, StageError> {
        let text = self.kind.query.render(scope)?;
        if text.trim().is_empty() {
            return Ok(Reply { value: Value::Array(Vec::new()), ..Reply::default() });
        }
        let ask = Ask {
            text,
            tenant: call.tenant.clone(),
            limit: self.kind.limit as usize,
            min_score: self.kind.min_score,
            max_tokens: self.kind.max_tokens.map(|tokens| tokens as usize),
        };
        let digest = digest(&self.kind, &ask);
        let found = Box::pin(self.collections.retrieve(&self.kind.collection, ask, call));
        let passages: Vec<Passage> =
            call.journal.once(&call.key, "retrieval", digest, found).await?;
        let score = |p: &Passage| PassageScore { id: p.id.clone(), score: p.score };
        Ok(Reply {
            passages: passages.iter().map(score).collect(),
            value: passages.into_iter().map(to_json).collect(),
            ..Reply::default()
        })
    }
}

/// Of everything that the passages depend on but the store itself.
fn digest(kind: &Retrieve, ask: &Ask) -> Digest {
    let Ask { text, tenant, limit, min_score, max_tokens } = ask;
    let bounds = format!("{limit} {min_score:?} {max_tokens:?}");
    let parts = [kind.collection.as_bytes(), tenant.as_bytes(), text.as_bytes(), bounds.as_bytes()];
    Digest::of(&parts)
}

fn to_json(passage: Passage) -> Value {
    let Passage { id, score, text, payload } = passage;
    json!({ "id": id, "score": score, "text": text, "payload": payload })
}
