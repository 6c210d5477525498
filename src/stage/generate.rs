//! `generate`: text from a model.
//!
//! ```yaml
//! answer:
//!   generate:
//!     model: writer
//!     prompt: [ { system: { file: prompts/answer.md } }, { user: "{{ event.input.text }}" } ]
//!     max_tokens: 600
//! ```
//! The output is the answer's text. An answer cut at `max_tokens` is kept; its attempt and its stage run say
//! `finish_reason: length`.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use crate::base::yaml::Spanned;
use crate::model::{Call, ChatRequest, Model};

use super::desk::{self, Desk};
use super::prompt::{Prompt, Turns};
use super::{BuildError, Facts, Kind, Reply, Seat, Stage, StageError, StageKind, Wiring};

/// Ceiling of an answer when none is written.
pub const DEFAULT_MAX_TOKENS: u32 = 1024;

/// Parameters.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A model or route of the settings.
    pub model: Spanned<String>,
    /// What it is asked: one text, or a list of roles.
    pub prompt: Prompt,
    /// Ceiling of the answer in tokens; 1024 when not written.
    pub max_tokens: Option<Spanned<u32>>,
}

impl super::Params for Params {
    fn verb(&self) -> &'static str {
        "generate"
    }

    fn check(&self, desk: &mut dyn Desk) -> Option<StageKind> {
        let model = desk.model(&self.model);
        let prompt = self.prompt.check(desk);
        let max_tokens =
            desk::positive(desk, "max_tokens", self.max_tokens.as_ref(), DEFAULT_MAX_TOKENS);
        Some(Arc::new(Generate { model: model?, prompt: prompt?, max_tokens: max_tokens? }))
    }
}

#[derive(Clone, Debug)]
struct Generate {
    model: Arc<str>,
    prompt: Turns,
    max_tokens: u32,
}

impl Kind for Generate {
    fn facts(&self) -> Facts {
        Facts {
            models: vec![self.model.clone()],
            max_tokens: Some(self.max_tokens),
            service: true,
            settings: vec![
                ("model", self.model.to_string()),
                ("max_tokens", self.max_tokens.to_string()),
            ],
            ..Facts::default()
        }
    }

    fn with_model(&self, model: Arc<str>) -> Option<StageKind> {
        Some(Arc::new(Generate { model, ..self.clone() }))
    }

    fn build(&self, _seat: &Seat, wiring: &Wiring) -> Result<Box<dyn Stage>, BuildError> {
        let model = wiring.model(&self.model)?;
        Ok(Box::new(Built { kind: self.clone(), model }))
    }
}

struct Built {
    kind: Generate,
    model: Arc<dyn Model>,
}

#[async_trait]
impl Stage for Built {
    async fn run(&self, scope: &minijinja::Value, call: &Call) -> Result<Reply, StageError> {
        let request = ChatRequest {
            model: self.kind.model.clone(),
            messages: self.kind.prompt.render(scope)?,
            max_tokens: self.kind.max_tokens,
            schema: None,
        };
        let answer = self.model.chat(&request, call).await?;
        if answer.finish_reason == "content_filter" {
            return Err(StageError::permanent(
                "content-filtered",
                "the provider withheld the answer because of its content",
            ));
        }
        Ok(Reply { value: Value::String(answer.text), ..Reply::default() })
    }

    fn prompt_digest(&self) -> Option<&str> {
        Some(self.kind.prompt.digest())
    }
}
