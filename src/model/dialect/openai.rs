//! `openai`: chat completions and embeddings, as OpenAI and the many servers that copy it (vLLM, Ollama, LiteLLM …)
//! speak them. Answers by a JSON schema go through `response_format`.
//!
//! The ceiling of an answer is `max_completion_tokens` at OpenAI and Azure, whose newer models refuse the old word, and
//! `max_tokens` everywhere else, since not every copy knows the new one.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::{Dialect, Endpoint, Operation, Raw, Wanted};
use crate::base::secret::Secret;
use crate::model::target::Answer;
use crate::model::{AnswerSchema, ChatReply, ChatRequest, EmbedRequest, Message, Role};

mod refusal;
mod reply;
mod strict;

/// Parameters that settings may not send along: they would change what is paid, or what comes back.
pub const RESERVED: &[&str] = &[
    "model",
    "messages",
    "input",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "stream",
    "stream_options",
    "response_format",
    "dimensions",
    "encoding_format",
    "tools",
    "functions",
];

/// The address of OpenAI itself.
pub const BASE_URL: &str = "https://api.openai.com/v1";

/// The dialect.
#[derive(Debug)]
pub struct OpenAi {
    ceiling: &'static str,
}

impl OpenAi {
    /// For the service at this address.
    pub fn new(base_url: &str) -> Self {
        let own =
            ["://api.openai.com", ".openai.azure.com"].iter().any(|own| base_url.contains(own));
        OpenAi { ceiling: if own { "max_completion_tokens" } else { "max_tokens" } }
    }
}

impl Dialect for OpenAi {
    fn endpoint(&self, _model: &Wanted, operation: Operation, key: Option<&Secret>) -> Endpoint {
        let path = match operation {
            Operation::Chat => "/chat/completions",
            Operation::Embed => "/embeddings",
        };
        let bearer =
            |key: &Secret| ("authorization", Secret::new(format!("Bearer {}", key.expose())));
        Endpoint { path: path.to_owned(), headers: key.map(bearer).into_iter().collect() }
    }

    fn chat(&self, model: &Wanted, request: &ChatRequest) -> Vec<u8> {
        let text: usize = request.messages.iter().map(|message| message.text.len() + 40).sum();
        written(&Chat { model, request, ceiling: self.ceiling }, 256 + text + text / 16)
    }

    fn embed(&self, model: &Wanted, request: &EmbedRequest) -> Vec<u8> {
        let text: usize = request.texts.iter().map(|text| text.len() + 4).sum();
        written(&Embed { model, request }, 128 + text + text / 16)
    }

    fn chat_reply(&self, raw: &Raw<'_>) -> Answer<ChatReply> {
        reply::chat(raw)
    }

    fn embed_reply(&self, raw: &Raw<'_>, texts: usize) -> Answer<Vec<Vec<f32>>> {
        reply::embed(raw, texts)
    }
}

/// JSON of a body. Its parts are texts, numbers and values that were JSON before, which can't fail.
fn written(body: &impl Serialize, size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size);
    match serde_json::to_writer(&mut bytes, body) {
        Ok(()) => bytes,
        Err(_) => Vec::new(),
    }
}

struct Chat<'a> {
    model: &'a Wanted,
    request: &'a ChatRequest,
    ceiling: &'static str,
}

impl Serialize for Chat<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_map(None)?;
        body.serialize_entry("model", &self.model.model)?;
        body.serialize_entry("messages", &Turns(&self.request.messages))?;
        body.serialize_entry(self.ceiling, &self.request.max_tokens)?;
        if let Some(schema) = &self.request.schema {
            body.serialize_entry("response_format", &Format(schema))?;
        }
        for (name, value) in &self.model.params {
            body.serialize_entry(name, value)?;
        }
        body.end()
    }
}

struct Turns<'a>(&'a [Message]);

impl Serialize for Turns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut turns = serializer.serialize_seq(Some(self.0.len()))?;
        for message in self.0 {
            turns.serialize_element(&Turn(message))?;
        }
        turns.end()
    }
}

struct Turn<'a>(&'a Message);

impl Serialize for Turn<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut turn = serializer.serialize_map(Some(2))?;
        let role = match self.0.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        turn.serialize_entry("role", role)?;
        turn.serialize_entry("content", &self.0.text)?;
        turn.end()
    }
}

struct Format<'a>(&'a AnswerSchema);

impl Serialize for Format<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut format = serializer.serialize_map(Some(2))?;
        format.serialize_entry("type", "json_schema")?;
        format.serialize_entry("json_schema", &Named(self.0))?;
        format.end()
    }
}

struct Named<'a>(&'a AnswerSchema);

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut named = serializer.serialize_map(Some(3))?;
        named.serialize_entry("name", &self.0.name)?;
        named.serialize_entry("schema", &self.0.schema)?;
        named.serialize_entry("strict", &strict::fits(&self.0.schema))?;
        named.end()
    }
}

struct Embed<'a> {
    model: &'a Wanted,
    request: &'a EmbedRequest,
}

impl Serialize for Embed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_map(None)?;
        body.serialize_entry("model", &self.model.model)?;
        body.serialize_entry("input", &self.request.texts)?;
        if let Some(dimensions) = self.model.dimensions {
            body.serialize_entry("dimensions", &dimensions)?;
        }
        for (name, value) in &self.model.params {
            body.serialize_entry(name, value)?;
        }
        body.end()
    }
}

#[cfg(test)]
mod tests;
