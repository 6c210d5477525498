//! `embed`: a vector from a model.
//!
//! ```yaml
//! vector:
//!   embed: { model: embedder, text: "{{ event.title }}\n{{ event.description }}" }
//! ```
//! The output is a list of numbers.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use crate::base::template::Template;
use crate::base::yaml::{Spanned, Text};
use crate::model::{Call, EmbedRequest, Model, tokens};

use super::desk::Desk;
use super::{BuildError, Facts, Kind, Reply, Seat, Stage, StageError, StageKind, Wiring};

/// Parameters.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A model of the settings that embeds.
    pub model: Spanned<String>,
    /// The text.
    pub text: Text,
}

impl super::Params for Params {
    fn verb(&self) -> &'static str {
        "embed"
    }

    fn check(&self, desk: &mut dyn Desk) -> Option<StageKind> {
        let model = desk.model(&self.model);
        let text = desk.template(&self.text);
        Some(Arc::new(Embed { model: model?, text: text? }))
    }
}

#[derive(Clone, Debug)]
struct Embed {
    model: Arc<str>,
    text: Template,
}

impl Kind for Embed {
    fn facts(&self) -> Facts {
        Facts {
            models: vec![self.model.clone()],
            written_tokens: tokens::of_text(self.text.source()),
            service: true,
            settings: vec![("model", self.model.to_string())],
            ..Facts::default()
        }
    }

    fn with_model(&self, model: Arc<str>) -> Option<StageKind> {
        Some(Arc::new(Embed { model, ..self.clone() }))
    }

    fn build(&self, _seat: &Seat, wiring: &Wiring) -> Result<Box<dyn Stage>, BuildError> {
        let model = wiring.model(&self.model)?;
        Ok(Box::new(Built { kind: self.clone(), model }))
    }
}

struct Built {
    kind: Embed,
    model: Arc<dyn Model>,
}

#[async_trait]
impl Stage for Built {
    async fn run(&self, scope: &minijinja::Value, call: &Call) -> Result<Reply, StageError> {
        let text = self.kind.text.render(scope)?;
        let vector = embed_one(&*self.model, &self.kind.model, text, call).await?;
        Ok(Reply { value: to_json(&vector)?, ..Reply::default() })
    }
}

/// Asks for the vector of one text.
pub(super) async fn embed_one(
    model: &dyn Model,
    name: &Arc<str>,
    text: String,
    call: &Call,
) -> Result<Vec<f32>, StageError> {
    let request = EmbedRequest { model: name.clone(), texts: vec![text] };
    let asked = model.embed(&request, call).await;
    let vectors = asked.map_err(|error| StageError::of_model(name, error))?;
    <[Vec<f32>; 1]>::try_from(vectors).map(|[vector]| vector).map_err(|vectors| {
        let count = vectors.len();
        StageError::transient(
            "malformed-reply",
            format!("the model gave {count} vectors for 1 text"),
        )
    })
}

fn to_json(vector: &[f32]) -> Result<Value, StageError> {
    let number = |x: &f32| serde_json::Number::from_f64(f64::from(*x)).map(Value::Number);
    vector.iter().map(number).collect::<Option<Vec<_>>>().map(Value::Array).ok_or_else(|| {
        StageError::transient(
            "malformed-reply",
            "the model gave a vector with a number that is not finite",
        )
    })
}
