//! Stages: what a pipeline can do with an event. One file is one kind, whole: parameters, what it mentions, build, run.
//!
//! **What a kind promises.** `run` is one attempt: it ends before `call.deadline`. Its value is a pure function of the
//! scope and of what the called services answered. Effects are returned, not done.
//!
//! **What it must not do.** Retry, sleep, read a clock or the environment, log, write to a topic or a store.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::context::memory::shelf::{Collections, ShelfError};
use crate::context::memory::{Forget, MemoryErrorKind, Point};
use crate::event::result::PassageScore;
use crate::model::{Call, Model, ModelError, ModelErrorKind, OverBudget};

use desk::Desk;

pub mod chat;
pub mod desk;
pub mod fields;
pub mod http;
pub mod prompt;
mod read;

pub mod call;
pub mod embed;
pub mod extract;
pub mod forget;
pub mod generate;
pub mod map;
pub mod publish;
pub mod remember;
pub mod retrieve;

/// What an author wrote under a stage's kind key; the key is the variant's name.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StageSpec {
    /// Text from a model.
    Generate(generate::Params),
    /// JSON from a model, checked against a schema.
    Extract(extract::Params),
    /// A vector from a model.
    Embed(embed::Params),
    /// Passages from memory.
    Retrieve(retrieve::Params),
    /// A passage into memory.
    Remember(remember::Params),
    /// Passages out of memory.
    Forget(forget::Params),
    /// An HTTP service.
    Call(call::Params),
    /// A value made of other values.
    Map(map::Params),
    /// One more output record.
    Publish(publish::Params),
}

impl StageSpec {
    /// The kind keys, in the order of the variants.
    pub const KINDS: [&str; 9] = [
        "generate", "extract", "embed", "retrieve", "remember", "forget", "call", "map", "publish",
    ];

    /// The one place where kinds are told apart; after it only trait objects travel.
    fn params(&self) -> &dyn Params {
        match self {
            StageSpec::Generate(params) => params,
            StageSpec::Extract(params) => params,
            StageSpec::Embed(params) => params,
            StageSpec::Retrieve(params) => params,
            StageSpec::Remember(params) => params,
            StageSpec::Forget(params) => params,
            StageSpec::Call(params) => params,
            StageSpec::Map(params) => params,
            StageSpec::Publish(params) => params,
        }
    }

    /// The kind key.
    pub fn verb(&self) -> &'static str {
        self.params().verb()
    }

    /// Checks the parameters; none when something was wrong, which the desk has taken down.
    pub fn check(&self, desk: &mut dyn Desk) -> Option<StageKind> {
        self.params().check(desk)
    }
}

/// Parameters of a kind as written.
pub trait Params {
    /// The kind key.
    fn verb(&self) -> &'static str;
    /// Checks everything and takes down every problem, not only the first.
    fn check(&self, desk: &mut dyn Desk) -> Option<StageKind>;
}

/// A kind whose parameters passed their checks. Cheap to clone.
pub type StageKind = Arc<dyn Kind>;

/// See [`StageKind`].
pub trait Kind: Send + Sync + fmt::Debug {
    /// What the rules of `check` and the text of `describe` need to know.
    fn facts(&self) -> Facts;
    /// The same with another model, for `on_error: { model: … }`; none for kinds that ask no model.
    fn with_model(&self, model: Arc<str>) -> Option<StageKind>;
    /// Makes the stage that runs. `seat` says which stage of which pipeline it is.
    fn build(&self, seat: &Seat, wiring: &Wiring) -> Result<Box<dyn Stage>, BuildError>;
}

/// What is known of a kind before it is built.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Models and routes it asks: their prices matter. A collection's embedder is not among them.
    pub models: Vec<Arc<str>>,
    /// Ceiling of an answer in tokens, for kinds that have one.
    pub max_tokens: Option<u32>,
    /// About how many tokens the author's own texts are in each question, without what is rendered into them.
    pub written_tokens: u64,
    /// The collection it reads or writes; its embedder may be asked too.
    pub collection: Option<Arc<str>>,
    /// Topics it writes.
    pub topics: Vec<Arc<str>>,
    /// Whether it does something even if nobody uses its value.
    pub effect: bool,
    /// Whether it calls a service where it stands: `on_down` applies.
    pub service: bool,
    /// Parameters with their defaults, as `describe` prints them.
    pub settings: Vec<(&'static str, String)>,
}

/// Which stage of which pipeline a kind is built for.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Pipeline.
    pub pipeline: Arc<str>,
    /// Stage.
    pub stage: Arc<str>,
}

/// The services that stages call, by name.
#[derive(Clone)]
pub struct Wiring {
    /// Models and routes, embedders among them.
    pub models: HashMap<Arc<str>, Arc<dyn Model>>,
    /// Collections.
    pub collections: Arc<Collections>,
    /// Where `call` goes out.
    pub http: http::Http,
}

impl Wiring {
    /// A model that `check` has seen in the settings.
    pub fn model(&self, name: &str) -> Result<Arc<dyn Model>, BuildError> {
        let model = self.models.get(name).cloned();
        model.ok_or_else(|| BuildError(format!("model `{name}` is not connected")))
    }

    /// The handle on memory, once it is known to hold a collection of that name.
    pub fn collection(&self, name: &str) -> Result<Arc<Collections>, BuildError> {
        match self.collections.get(name) {
            Ok(_) => Ok(self.collections.clone()),
            Err(error) => Err(BuildError(error.to_string())),
        }
    }
}

/// Why a checked kind can't be built: a service it names is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError(pub String);

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BuildError {}

/// A built stage.
#[async_trait]
pub trait Stage: Send + Sync {
    /// One attempt. `scope` holds the names of the pipeline file: `event`, `record`, `stages`, `item`, and upstream
    /// stages by name.
    async fn run(&self, scope: &minijinja::Value, call: &Call) -> Result<Reply, StageError>;
    /// Digest of the prompt's templates, for stages that have a prompt.
    fn prompt_digest(&self) -> Option<&Arc<str>> {
        None
    }
}

/// What an attempt brought.
#[derive(Debug, Default)]
pub struct Reply {
    /// The output: what the stage's name means downstream.
    pub value: Value,
    /// Ids and scores of what retrieval brought.
    pub passages: Vec<PassageScore>,
    /// What to do once the event has succeeded.
    pub effects: Vec<Effect>,
}

/// Something done with the event's success, dropped with its failure.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// One more record, in the event's transaction.
    Publish(Publish),
    /// A passage to write, before the lane is released.
    Remember {
        /// Collection.
        collection: Arc<str>,
        /// The passage.
        point: Point,
    },
    /// Passages to delete, before the lane is released.
    Forget {
        /// Collection.
        collection: Arc<str>,
        /// Whose.
        tenant: Arc<str>,
        /// Which.
        what: Forget,
    },
}

/// One more output record.
#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    /// Stage name: with the item it makes the record's id.
    pub stage: Arc<str>,
    /// Item of an `each`.
    pub item: Option<u32>,
    /// Topic.
    pub topic: Arc<str>,
    /// Key.
    pub key: Option<String>,
    /// Value; null writes a tombstone.
    pub value: Value,
    /// Headers.
    pub headers: Map<String, Value>,
}

/// Why an attempt failed.
#[derive(Debug, Clone)]
pub struct StageError {
    /// Class.
    pub kind: StageErrorKind,
    /// Word with dashes, such as `rate-limited` or `schema-mismatch`.
    pub code: &'static str,
    /// One sentence without prompt, answer, key or host.
    pub message: String,
    /// What the service asked us to wait.
    pub retry_after: Option<Duration>,
}

impl StageError {
    /// Another attempt brings the same.
    pub fn permanent(code: &'static str, message: impl Into<String>) -> Self {
        let (kind, message) = (StageErrorKind::Permanent, message.into());
        StageError { kind, code, message, retry_after: None }
    }

    /// Another attempt may succeed.
    pub fn transient(code: &'static str, message: impl Into<String>) -> Self {
        let (kind, message) = (StageErrorKind::Transient, message.into());
        StageError { kind, code, message, retry_after: None }
    }

    /// What a model or route of the settings said. One that is down is known by its name there: whoever asks for the same
    /// name waits for the same thing, whichever member of a route refused.
    pub fn of_model(name: &str, error: ModelError) -> Self {
        let code = error.kind.code();
        let kind = match error.kind {
            ModelErrorKind::Budget(over) => StageErrorKind::Budget(over),
            ModelErrorKind::Halted => StageErrorKind::Halted,
            ref kind if kind.is_down() => StageErrorKind::Down(format!("model `{name}`").into()),
            ref kind if kind.is_retriable() => StageErrorKind::Transient,
            _ => StageErrorKind::Permanent,
        };
        StageError { kind, code, message: error.message, retry_after: error.retry_after }
    }
}

/// The classes of failed attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageErrorKind {
    /// Another attempt may succeed.
    Transient,
    /// Another attempt brings the same.
    Permanent,
    /// The service is down: see `on_down`. Names the service, for `/ready`.
    Down(Arc<str>),
    /// A budget would be passed: see `on_breach`; `on_error` never catches it.
    Budget(OverBudget),
    /// Its answer was not wanted any more when its turn came; nothing was asked.
    Halted,
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StageError {}

impl From<crate::base::template::TemplateError> for StageError {
    fn from(error: crate::base::template::TemplateError) -> Self {
        StageError {
            kind: StageErrorKind::Permanent,
            code: "template",
            message: error.message,
            retry_after: None,
        }
    }
}

impl From<ShelfError> for StageError {
    fn from(error: ShelfError) -> Self {
        let (code, message) = (error.code(), error.to_string());
        let kind = match error {
            ShelfError::Embedder { model, error } => return StageError::of_model(&model, error),
            ShelfError::Memory { store, error } => match error.kind {
                MemoryErrorKind::Unavailable => StageErrorKind::Down(store.into()),
                MemoryErrorKind::Transient => StageErrorKind::Transient,
                MemoryErrorKind::Invalid => StageErrorKind::Permanent,
            },
            ShelfError::UnknownCollection(_) | ShelfError::Vector(_) => StageErrorKind::Permanent,
        };
        StageError { kind, code, message, retry_after: None }
    }
}

#[cfg(test)]
mod tests;
