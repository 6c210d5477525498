//! `remember`: a passage into memory.
//!
//! ```yaml
//! index:
//!   needs: [attributes, vector]
//!   remember:
//!     collection: products
//!     id: "{{ record.key }}"
//!     text: "{{ event.title }}"
//!     vector: "{{ vector }}"
//!     payload: "{{ attributes }}"
//! ```
//! The output is `{ id }`. Texts are rendered, and embedded unless `vector` is given, where the stage stands; the write
//! is done once, after the event's last stage, and dropped when the event fails. The same collection, tenant and `id`
//! is the same passage, so a second run of an event changes nothing. Without `id` the passage belongs to the event, the
//! pipeline, the stage and the item.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::base::template::{Shape, Template};
use crate::base::yaml::{Spanned, Text, Tree};
use crate::context::memory::shelf::{Collections, Draft};
use crate::model::Call;

use super::desk::{Desk, optional};
use super::{BuildError, Effect, Facts, Kind, Reply, Seat, Stage, StageError, StageKind, Wiring};

/// Parameters.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A collection, literal.
    pub collection: Spanned<String>,
    /// The author's id of the passage.
    pub id: Option<Text>,
    /// What is remembered, and found by its words.
    pub text: Text,
    /// Its vector; made by the collection's embedder when not written.
    pub vector: Option<Tree>,
    /// More fields: a mapping, or one `{{ … }}` that gives one.
    pub payload: Option<Tree>,
}

impl super::Params for Params {
    fn verb(&self) -> &'static str {
        "remember"
    }

    fn check(&self, desk: &mut dyn Desk) -> Option<StageKind> {
        let collection = desk.collection(&self.collection);
        let id = optional(self.id.as_ref().map(|id| desk.template(id)));
        let text = desk.template(&self.text);
        let vector = optional(self.vector.as_ref().map(|vector| desk.shape(vector)));
        let payload = optional(self.payload.as_ref().map(|payload| desk.shape(payload)));
        Some(Arc::new(Remember {
            collection: collection?,
            id: id?,
            text: text?,
            vector: vector?,
            payload: payload?,
        }))
    }
}

#[derive(Clone, Debug)]
struct Remember {
    collection: Arc<str>,
    id: Option<Template>,
    text: Template,
    vector: Option<Shape>,
    payload: Option<Shape>,
}

impl Kind for Remember {
    fn facts(&self) -> Facts {
        Facts {
            collection: Some(self.collection.clone()),
            effect: true,
            service: true,
            settings: vec![("collection", self.collection.to_string())],
            ..Facts::default()
        }
    }

    fn with_model(&self, _model: Arc<str>) -> Option<StageKind> {
        None
    }

    fn build(&self, seat: &Seat, wiring: &Wiring) -> Result<Box<dyn Stage>, BuildError> {
        let collections = wiring.collection(&self.collection)?;
        Ok(Box::new(Built { kind: self.clone(), pipeline: seat.pipeline.clone(), collections }))
    }
}

struct Built {
    kind: Remember,
    pipeline: Arc<str>,
    collections: Arc<Collections>,
}

#[async_trait]
impl Stage for Built {
    async fn run(&self, scope: &minijinja::Value, call: &Call) -> Result<Reply, StageError> {
        let kind = &self.kind;
        let id = match &kind.id {
            Some(template) => non_empty(template.render(scope)?)?,
            None => self.own_id(call),
        };
        let draft = Draft {
            id: id.clone(),
            tenant: call.tenant.clone(),
            text: kind.text.render(scope)?,
            vector: kind.vector.as_ref().map(|shape| vector(shape, scope)).transpose()?,
            payload: match &kind.payload {
                Some(shape) => payload(shape, scope)?,
                None => Map::new(),
            },
        };
        let point = self.collections.point(&kind.collection, draft, call).await?;
        let effect = Effect::Remember { collection: kind.collection.clone(), point };
        Ok(Reply { value: json!({ "id": id }), effects: vec![effect], ..Reply::default() })
    }
}

impl Built {
    /// Event, pipeline, stage and item: two pipelines may read one topic into one collection.
    fn own_id(&self, call: &Call) -> String {
        let key = &call.key;
        let item = key.item.map(|item| format!("/{item}")).unwrap_or_default();
        format!("{}/{}/{}{item}", key.event, self.pipeline, key.stage)
    }
}

fn vector(shape: &Shape, scope: &minijinja::Value) -> Result<Vec<f32>, StageError> {
    let wrong = || StageError::permanent("not-a-vector", "`vector` gives no list of numbers");
    let Value::Array(numbers) = shape.render(scope)? else { return Err(wrong()) };
    // Numbers of a store's vectors have 32 bits.
    let number = |x: &Value| x.as_f64().map(|x| x as f32).filter(|x| x.is_finite());
    let vector: Option<Vec<f32>> = numbers.iter().map(number).collect();
    vector.filter(|vector| !vector.is_empty()).ok_or_else(wrong)
}

fn payload(shape: &Shape, scope: &minijinja::Value) -> Result<Map<String, Value>, StageError> {
    match shape.render(scope)? {
        Value::Object(payload) => Ok(payload),
        Value::Null => Ok(Map::new()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(StageError::permanent("not-a-mapping", "`payload` gives no mapping"))
        }
    }
}

/// An id that names nothing would stand for every passage that forgot its id.
pub(super) fn non_empty(id: String) -> Result<String, StageError> {
    match id.is_empty() {
        false => Ok(id),
        true => Err(StageError::permanent("empty-id", "`id` gives an empty text")),
    }
}
