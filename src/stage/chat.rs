//! What the kinds that ask a chat model share: which model, which prompt, how long an answer, and asking once.

use std::sync::Arc;

use crate::base::yaml::Spanned;
use crate::model::{AnswerSchema, Call, ChatReply, ChatRequest, Model, tokens};

use super::desk::{self, Desk};
use super::prompt::{Prompt, Turns};
use super::{BuildError, Facts, StageError, Wiring};

/// Ceiling of an answer when none is written.
pub const DEFAULT_MAX_TOKENS: u32 = 1024;

/// What is asked, checked.
#[derive(Clone, Debug)]
pub struct Question {
    /// A model or route of the settings.
    pub model: Arc<str>,
    /// Roles and their texts.
    pub prompt: Turns,
    /// Ceiling of the answer in tokens.
    pub max_tokens: u32,
}

impl Question {
    /// Checks all of it; none when something was wrong.
    pub fn check(
        desk: &mut dyn Desk,
        model: &Spanned<String>,
        prompt: &Prompt,
        max_tokens: Option<&Spanned<u32>>,
    ) -> Option<Self> {
        let model = desk.model(model);
        let prompt = prompt.check(desk);
        let max_tokens = desk::positive(desk, "max_tokens", max_tokens, DEFAULT_MAX_TOKENS);
        Some(Question { model: model?, prompt: prompt?, max_tokens: max_tokens? })
    }

    /// The same question to another model.
    pub fn to(&self, model: Arc<str>) -> Self {
        Question { model, ..self.clone() }
    }

    /// What is known of it before it is asked.
    pub fn facts(&self) -> Facts {
        Facts {
            models: vec![self.model.clone()],
            max_tokens: Some(self.max_tokens),
            written_tokens: self.prompt.texts().map(tokens::of_text).sum(),
            service: true,
            settings: vec![
                ("model", self.model.to_string()),
                ("max_tokens", self.max_tokens.to_string()),
            ],
            ..Facts::default()
        }
    }

    /// With the model behind its name.
    pub fn build(&self, wiring: &Wiring) -> Result<Chat, BuildError> {
        Ok(Chat { model: wiring.model(&self.model)?, question: self.clone() })
    }
}

/// A question and who answers it.
pub struct Chat {
    /// What is asked.
    pub question: Question,
    model: Arc<dyn Model>,
}

impl Chat {
    /// The request for one event.
    pub fn request(
        &self,
        scope: &minijinja::Value,
        schema: Option<Arc<AnswerSchema>>,
    ) -> Result<ChatRequest, StageError> {
        Ok(ChatRequest {
            model: self.question.model.clone(),
            messages: self.question.prompt.render(scope)?,
            max_tokens: self.question.max_tokens,
            schema,
        })
    }

    /// One attempt. An answer that the provider withholds is a permanent failure.
    pub async fn ask(&self, request: &ChatRequest, call: &Call) -> Result<ChatReply, StageError> {
        let asked = self.model.chat(request, call).await;
        let answer = asked.map_err(|error| StageError::of_model(&self.question.model, error))?;
        match answer.finish_reason.as_str() {
            "content_filter" => Err(StageError::permanent(
                "content-filtered",
                "the provider withheld the answer because of its content",
            )),
            _ => Ok(answer),
        }
    }
}
