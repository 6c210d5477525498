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
use crate::model::Call;

use super::chat::{Chat, Question};
use super::desk::Desk;
use super::prompt::Prompt;
use super::{BuildError, Facts, Kind, Reply, Seat, Stage, StageError, StageKind, Wiring};

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
        let question = Question::check(desk, &self.model, &self.prompt, self.max_tokens.as_ref());
        Some(Arc::new(Generate(question?)))
    }
}

#[derive(Clone, Debug)]
struct Generate(Question);

impl Kind for Generate {
    fn facts(&self) -> Facts {
        self.0.facts()
    }

    fn with_model(&self, model: Arc<str>) -> Option<StageKind> {
        Some(Arc::new(Generate(self.0.to(model))))
    }

    fn build(&self, _seat: &Seat, wiring: &Wiring) -> Result<Box<dyn Stage>, BuildError> {
        Ok(Box::new(Built(self.0.build(wiring)?)))
    }
}

struct Built(Chat);

#[async_trait]
impl Stage for Built {
    async fn run(&self, scope: &minijinja::Value, call: &Call) -> Result<Reply, StageError> {
        let request = self.0.request(scope, None)?;
        let answer = self.0.ask(&request, call).await?;
        Ok(Reply { value: Value::String(answer.text), ..Reply::default() })
    }

    fn prompt_digest(&self) -> Option<&Arc<str>> {
        Some(self.0.question.prompt.digest())
    }
}
