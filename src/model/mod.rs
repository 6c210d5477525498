//! Models: what a stage asks and what comes back. The contract is [`Model`]; behind it stand a provider over HTTP (a
//! [`dialect`] is the pure translation), the simulated one, and a route over several.
//!
//! **What a member promises.** One call of `chat` or `embed` is one attempt: it ends before `call.deadline`, writes
//! exactly one [`Attempt`](crate::event::cost::Attempt) per request that left the process to `call.meter`, whatever
//! comes of it, and holds `call.purse` for its ceiling while it runs.
//!
//! **What it must not do.** Retry, log prompts or answers, read settings or the environment.
//!
//! Conformance: `tests/it/conformance/dialect.rs`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use crate::base::halt::Halt;
use crate::event::cost::Attempt;
use crate::event::ids::StageKey;
use crate::event::money::Money;
use crate::journal::Pages;

mod answer;
pub mod config;
pub mod connections;
pub mod dialect;
pub mod http;
pub mod journaled;
pub mod member;
pub mod mock;
pub mod price;
pub mod simulated;
pub mod target;
pub mod tokens;
pub mod transport;
mod wire;

/// Who speaks a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions.
    System,
    /// The asker.
    User,
    /// The model.
    Assistant,
}

/// One turn of a chat.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// Text.
    pub text: String,
}

/// What a stage asks of a model, independent of any dialect.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    /// The model's or route's name in the settings, as asked.
    pub model: Arc<str>,
    /// Turns.
    pub messages: Vec<Message>,
    /// Ceiling of the answer.
    pub max_tokens: u32,
    /// JSON schema that the answer must fit, with a name for it.
    pub schema: Option<Arc<AnswerSchema>>,
}

/// A JSON schema for answers.
#[derive(Debug, PartialEq)]
pub struct AnswerSchema {
    /// Name told to the provider.
    pub name: String,
    /// The schema.
    pub schema: Value,
}

/// A model's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatReply {
    /// The text.
    pub text: String,
    /// `stop`, `length`, `content_filter`, `tool_calls`, or the provider's word.
    pub finish_reason: String,
    /// True when a simulated model made it.
    pub simulated: bool,
}

/// Texts to embed.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbedRequest {
    /// The model's name in the settings.
    pub model: Arc<str>,
    /// Texts.
    pub texts: Vec<String>,
}

/// What is known of the place a call is made from, and what it must report to.
#[derive(Clone)]
pub struct Call {
    /// Event, stage, item.
    pub key: StageKey,
    /// Ordinal of the attempt in its stage, from 1.
    pub attempt: u32,
    /// The attempt ends by then.
    pub deadline: Instant,
    /// Whose money.
    pub tenant: Arc<str>,
    /// W3C `traceparent` to send along.
    pub traceparent: Option<Arc<str>>,
    /// Where attempts are written.
    pub meter: Arc<dyn Meter>,
    /// Where money is reserved.
    pub purse: Arc<dyn Purse>,
    /// Where calls and answers are written down, and answers of earlier runs are found.
    pub journal: Arc<Pages>,
    /// Set when the answer is not wanted any more: no request is to leave then.
    pub halt: Arc<Halt>,
}

/// Takes down every attempt of an event.
pub trait Meter: Send + Sync {
    /// One attempt ended.
    fn record(&self, attempt: Attempt);
}

/// Holds money for a call before it is made; settles the truth after.
pub trait Purse: Send + Sync {
    /// Sets the ceiling aside, or says which limit it would pass.
    fn reserve(&self, ceiling: Money) -> Result<Hold, OverBudget>;
    /// Gives back what was not spent. Call it exactly once for each hold.
    fn settle(&self, hold: Hold, spent: Money);
    /// Takes down what an earlier run of the event spent, allowed or not.
    fn charge(&self, spent: Money) {
        self.settle(Hold(Money::ZERO), spent);
    }
    /// Whether any limit is set: a price must then be known.
    fn limited(&self) -> bool;
}

/// Money set aside.
#[derive(Debug)]
#[must_use = "a hold that is not settled locks its money"]
pub struct Hold(pub Money);

/// A limit that a call would pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverBudget {
    /// `per_event`, `per_day`, `total` or `engine.per_day`; `unpriced` when a limit is set and the call has no price.
    pub limit: &'static str,
    /// One sentence with the figures.
    pub message: String,
    /// When waiting may help: the start of the next UTC day, milliseconds since the epoch.
    pub until: Option<i64>,
    /// Waiting never helps: the limit is that of one event, the call alone is more than it, or it has no price.
    pub for_good: bool,
}

/// Something that answers.
#[async_trait]
pub trait Model: Send + Sync {
    /// One attempt of a chat.
    async fn chat(&self, request: &ChatRequest, call: &Call) -> Result<ChatReply, ModelError>;
    /// One attempt of an embedding: one vector per text, in order.
    async fn embed(&self, request: &EmbedRequest, call: &Call)
    -> Result<Vec<Vec<f32>>, ModelError>;
}

/// Why an attempt failed.
#[derive(Debug, Clone)]
pub struct ModelError {
    /// Class.
    pub kind: ModelErrorKind,
    /// One sentence without prompt, answer, key or host.
    pub message: String,
    /// What the provider asked us to wait.
    pub retry_after: Option<Duration>,
}

/// The classes of failed attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelErrorKind {
    /// 429.
    RateLimited,
    /// 5xx, 529.
    Overloaded,
    /// The attempt's time ran out.
    Timeout,
    /// 401, 403: down until somebody mends the key.
    Unauthorised,
    /// 400, 404, 413, 422: asking again brings the same.
    InvalidRequest,
    /// The provider refused the content.
    ContentFiltered,
    /// The reply can't be understood, is cut, or too large.
    Malformed,
    /// The connection broke.
    Transport,
    /// Nobody listens: connection refused, name not found.
    Unreachable,
    /// Every member of the route is unhealthy.
    NoRoute,
    /// A budget would be passed.
    Budget(OverBudget),
    /// The answer is not wanted any more; nothing was asked.
    Halted,
}

impl ModelErrorKind {
    /// Whether another attempt may succeed.
    pub fn is_retriable(&self) -> bool {
        use ModelErrorKind::{Malformed, Overloaded, RateLimited, Timeout, Transport};
        matches!(self, RateLimited | Overloaded | Timeout | Malformed | Transport)
    }

    /// Whether the service is down: uses no attempt, pauses intake.
    pub fn is_down(&self) -> bool {
        use ModelErrorKind::{NoRoute, Unauthorised, Unreachable};
        matches!(self, Unauthorised | Unreachable | NoRoute)
    }

    /// One word with dashes, for results, cost events and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            ModelErrorKind::RateLimited => "rate-limited",
            ModelErrorKind::Overloaded => "overloaded",
            ModelErrorKind::Timeout => "timeout",
            ModelErrorKind::Unauthorised => "unauthorised",
            ModelErrorKind::InvalidRequest => "invalid-request",
            ModelErrorKind::ContentFiltered => "content-filtered",
            ModelErrorKind::Malformed => "malformed-reply",
            ModelErrorKind::Transport => "transport",
            ModelErrorKind::Unreachable => "unreachable",
            ModelErrorKind::NoRoute => "no-route",
            ModelErrorKind::Budget(_) => "over-budget",
            ModelErrorKind::Halted => "cancelled",
        }
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ModelError {}
