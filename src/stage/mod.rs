//! Stages: what a pipeline can do with an event. One file is one kind, whole: parameters, what it mentions, build, run.
//!
//! **What a kind promises.** `run` is one attempt: it ends before `call.deadline`. Its value is a pure function of the
//! scope and of what the called services answered. Effects are returned, not done.
//!
//! **What it must not do.** Retry, sleep, read a clock or the environment, log, write to a topic or a store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::context::memory::{Forget, Point};
use crate::event::result::PassageScore;
use crate::model::{Call, OverBudget};

pub mod desk;

/// A built stage.
#[async_trait]
pub trait Stage: Send + Sync {
    /// One attempt. `scope` holds the names of the pipeline file: `event`, `record`, `stages`, `item`, and upstream
    /// stages by name.
    async fn run(&self, scope: &minijinja::Value, call: &Call) -> Result<Reply, StageError>;
    /// Digest of the prompt's templates, for stages that have a prompt.
    fn prompt_digest(&self) -> Option<&str> {
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
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StageError {}

impl From<crate::model::ModelError> for StageError {
    fn from(error: crate::model::ModelError) -> Self {
        use crate::model::ModelErrorKind;
        let code = error.kind.code();
        let kind = match error.kind {
            ModelErrorKind::Budget(over) => StageErrorKind::Budget(over),
            ref kind if kind.is_down() => StageErrorKind::Down(error.message.as_str().into()),
            ref kind if kind.is_retriable() => StageErrorKind::Transient,
            _ => StageErrorKind::Permanent,
        };
        StageError { kind, code, message: error.message, retry_after: error.retry_after }
    }
}

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
