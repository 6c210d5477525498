//! `extract`: JSON from a model, checked against a schema.
//!
//! ```yaml
//! classify:
//!   extract:
//!     model: small
//!     prompt: { file: prompts/classify.md }
//!     schema: { file: schemas/intent.json }
//!     max_tokens: 200
//! ```
//! The output is the answer's JSON. An answer that is not JSON or does not fit the schema is shown to the model once,
//! with what is wrong; that repair is a call of its own, with its own attempt and cost. A second misfit is a permanent
//! failure, and so is an answer cut at `max_tokens`.

use std::sync::Arc;

use async_trait::async_trait;
use jsonschema::{ValidationError, Validator};
use serde::Deserialize;
use serde_json::Value;

use crate::base::yaml::{Spanned, Tree};
use crate::model::{AnswerSchema, Call, ChatReply, ChatRequest, Message, Role};

use super::chat::{Chat, Question};
use super::desk::Desk;
use super::prompt::Prompt;
use super::{BuildError, Facts, Kind, Reply, Seat, Stage, StageError, StageKind, Wiring};

/// Problems shown to the model in a repair, and characters of each.
const MAX_PROBLEMS: usize = 8;
const MAX_PROBLEM: usize = 300;

/// Parameters.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A model or route of the settings.
    pub model: Spanned<String>,
    /// What it is asked: one text, or a list of roles.
    pub prompt: Prompt,
    /// JSON schema of the answer: inline, or `{ file: path }`.
    pub schema: Tree,
    /// Ceiling of the answer in tokens; 1024 when not written.
    pub max_tokens: Option<Spanned<u32>>,
}

impl super::Params for Params {
    fn verb(&self) -> &'static str {
        "extract"
    }

    fn check(&self, desk: &mut dyn Desk) -> Option<StageKind> {
        let question = Question::check(desk, &self.model, &self.prompt, self.max_tokens.as_ref());
        let schema = desk.json_schema(&self.schema);
        let fit = schema.as_deref().and_then(|schema| compile(schema, &self.schema, desk));
        Some(Arc::new(Extract {
            question: question?,
            fit: fit?,
            answer: Arc::new(AnswerSchema {
                name: desk.stage().to_string(),
                schema: Value::clone(&*schema?),
            }),
        }))
    }
}

/// References to other documents are not followed: a check makes no connection.
fn compile(schema: &Value, written: &Tree, desk: &mut dyn Desk) -> Option<Arc<Validator>> {
    match jsonschema::options().offline().build(schema) {
        Ok(validator) => Some(Arc::new(validator)),
        Err(error) => {
            let message = format!("the schema can't be used: {error}");
            desk.error(written.place(), "invalid-schema", message, None);
            None
        }
    }
}

#[derive(Clone, Debug)]
struct Extract {
    question: Question,
    fit: Arc<Validator>,
    answer: Arc<AnswerSchema>,
}

impl Kind for Extract {
    fn facts(&self) -> Facts {
        self.question.facts()
    }

    fn with_model(&self, model: Arc<str>) -> Option<StageKind> {
        Some(Arc::new(Extract { question: self.question.to(model), ..self.clone() }))
    }

    fn build(&self, _seat: &Seat, wiring: &Wiring) -> Result<Box<dyn Stage>, BuildError> {
        Ok(Box::new(Built { kind: self.clone(), chat: self.question.build(wiring)? }))
    }
}

struct Built {
    kind: Extract,
    chat: Chat,
}

#[async_trait]
impl Stage for Built {
    async fn run(&self, scope: &minijinja::Value, call: &Call) -> Result<Reply, StageError> {
        let mut request = self.chat.request(scope, Some(self.kind.answer.clone()))?;
        let first = self.ask(&request, call).await?;
        let misfit = match self.fit(&first) {
            Ok(value) => return Ok(Reply { value, ..Reply::default() }),
            Err(misfit) => misfit,
        };
        request.messages.push(Message { role: Role::Assistant, text: first.text });
        request.messages.push(Message { role: Role::User, text: misfit.shown });
        let repair = Call { attempt: call.attempt + 1, ..call.clone() };
        let second = self.ask(&request, &repair).await?;
        match self.fit(&second) {
            Ok(value) => Ok(Reply { value, ..Reply::default() }),
            Err(misfit) => Err(StageError::permanent(
                "schema-mismatch",
                format!("{}, also after a repair", misfit.told),
            )),
        }
    }

    fn prompt_digest(&self) -> Option<&Arc<str>> {
        Some(self.chat.question.prompt.digest())
    }
}

/// What is wrong with an answer, twice: for the model that gave it, and for people who may not see it.
struct Misfit {
    shown: String,
    told: String,
}

impl Built {
    async fn ask(&self, request: &ChatRequest, call: &Call) -> Result<ChatReply, StageError> {
        let answer = self.chat.ask(request, call).await?;
        if answer.finish_reason != "length" {
            return Ok(answer);
        }
        let ceiling = self.chat.question.max_tokens;
        Err(StageError::permanent(
            "answer-cut",
            format!("the answer was cut at `max_tokens: {ceiling}`, so its JSON is not whole"),
        ))
    }

    fn fit(&self, answer: &ChatReply) -> Result<Value, Misfit> {
        let value: Value = serde_json::from_str(unfenced(&answer.text)).map_err(|error| Misfit {
            shown: format!(
                "That is not JSON: {error}. Answer again, with the JSON alone: no other words, no code fence."
            ),
            told: "the answer is not JSON".to_owned(),
        })?;
        let problems: Vec<_> = self.kind.fit.iter_errors(&value).take(MAX_PROBLEMS).collect();
        let Some(first) = problems.first() else { return Ok(value) };
        let line = |p: &ValidationError<'_>| {
            let line = format!("- at `{}`: {p}", p.instance_path());
            line.chars().take(MAX_PROBLEM).collect::<String>()
        };
        let list: Vec<String> = problems.iter().map(line).collect();
        // The place in the schema is the author's word; the place in the answer may be the model's.
        let told = format!("the answer does not fit the schema at `{}`", first.schema_path());
        let shown = format!(
            "That JSON does not fit the schema:\n{}\nAnswer again, with the whole corrected JSON alone.",
            list.join("\n")
        );
        Err(Misfit { shown, told })
    }
}

/// The text inside a code fence that encloses all of it: many models add one whatever they are told.
fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let Some(inside) = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```")) else {
        return text;
    };
    inside.strip_prefix("json").unwrap_or(inside).trim()
}
