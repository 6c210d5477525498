//! Dialects: pure translations between our requests and the wire of a family of providers. No network, no clock.
//!
//! **What a member promises.** Every byte that a provider can send becomes an answer or an error of the right class,
//! never a panic; usage comes out in disjoint parts; what was billed is said even for an error.
//!
//! **What it must not do.** Put prompt, answer, key or a provider's free text into an error.
//!
//! Conformance: `tests/it/conformance/dialect.rs`, with the wire fixtures of `tests/fixtures/wire/<dialect>/`.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::target::Answer;
use super::{ChatReply, ChatRequest, EmbedRequest};
use crate::base::secret::Secret;

pub mod openai;

/// A translation.
pub trait Dialect: Send + Sync {
    /// Where a call of this operation goes, below the base address, and the headers every such call carries.
    fn endpoint(&self, model: &Wanted, operation: Operation, key: Option<&Secret>) -> Endpoint;
    /// The body of a chat.
    fn chat(&self, model: &Wanted, request: &ChatRequest) -> Vec<u8>;
    /// The body of an embedding.
    fn embed(&self, model: &Wanted, request: &EmbedRequest) -> Vec<u8>;
    /// What a reply to a chat says.
    fn chat_reply(&self, raw: &Raw<'_>) -> Answer<ChatReply>;
    /// What a reply to an embedding of so many texts says.
    fn embed_reply(&self, raw: &Raw<'_>, texts: usize) -> Answer<Vec<Vec<f32>>>;
}

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A chat.
    Chat,
    /// Embeddings.
    Embed,
}

impl Operation {
    /// The GenAI word.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Chat => "chat",
            Operation::Embed => "embeddings",
        }
    }
}

/// The model to ask for, as the settings describe it.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The provider's name of it.
    pub model: String,
    /// Parameters sent along as they are.
    pub params: Map<String, Value>,
    /// Length of the vectors, for models that can choose.
    pub dimensions: Option<u32>,
}

/// Where calls of one operation go.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Path below the base address, with its slash.
    pub path: String,
    /// Headers; values are shown to nobody.
    pub headers: Vec<(&'static str, Secret)>,
}

/// Response headers, by name in lower case.
pub trait Headers {
    /// The value, when it is there once and is text.
    fn get(&self, name: &str) -> Option<&str>;
}

/// A whole reply.
pub struct Raw<'a> {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: &'a dyn Headers,
    /// Body.
    pub body: &'a [u8],
    /// When it came, milliseconds since the epoch: a `Retry-After` may be a date.
    pub now: i64,
}

/// The names of all dialects.
pub const NAMES: &[&str] = &["openai"];

/// The dialect of that name. `base_url` tells a vendor's own service from others that speak its dialect.
pub fn build(name: &str, base_url: &str) -> Option<Arc<dyn Dialect>> {
    match name {
        "openai" => Some(Arc::new(openai::OpenAi::new(base_url))),
        _ => None,
    }
}

/// The parameters of the settings that would undo what we promise; each dialect refuses its own.
pub fn reserved(name: &str) -> &'static [&'static str] {
    match name {
        "openai" => openai::RESERVED,
        _ => &[],
    }
}
