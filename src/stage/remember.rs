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

use serde::Deserialize;

use crate::base::template::{Shape, Template};
use crate::base::yaml::{Spanned, Text, Tree};

use super::desk::{Desk, optional};
use super::{BuildError, Facts, Kind, Seat, Stage, StageKind, Wiring};

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

    fn build(&self, _seat: &Seat, _wiring: &Wiring) -> Result<Box<dyn Stage>, BuildError> {
        Err(BuildError(format!("collection `{}` is not connected", self.collection)))
    }
}

/// An id that names nothing would stand for every passage that forgot its id.
pub(super) fn non_empty(id: String) -> Result<String, super::StageError> {
    match id.is_empty() {
        false => Ok(id),
        true => Err(super::StageError::permanent("empty-id", "`id` gives an empty text")),
    }
}
