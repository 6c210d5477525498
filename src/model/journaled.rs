//! A model whose answers are kept in the journal: what an earlier run of the event was answered is not asked again.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Call, ChatReply, ChatRequest, EmbedRequest, Model, ModelError, Role};
use crate::event::ids::Digest;

/// Wraps what answers for a name: the digest is of the request as asked, so a failover asks nobody again either.
pub struct Journaled(pub Arc<dyn Model>);

#[async_trait]
impl Model for Journaled {
    async fn chat(&self, request: &ChatRequest, call: &Call) -> Result<ChatReply, ModelError> {
        let ask = self.0.chat(request, call);
        call.journal.once(&call.key, "chat", of_chat(request), ask).await
    }

    async fn embed(
        &self,
        request: &EmbedRequest,
        call: &Call,
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        let ask = async { self.0.embed(request, call).await.map(Packed) };
        let packed = call.journal.once(&call.key, "embeddings", of_embed(request), ask).await;
        packed.map(|Packed(vectors)| vectors)
    }
}

/// Vectors as base64 of their little-endian numbers: a third of what JSON numbers take.
struct Packed(Vec<Vec<f32>>);

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|vector| pack(vector)))
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let vectors = texts.iter().map(|text| unpack(text)).collect::<Option<_>>();
        vectors.map(Packed).ok_or_else(|| D::Error::custom("it is no list of vectors"))
    }
}

fn pack(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    STANDARD_NO_PAD.encode(bytes)
}

fn unpack(text: &str) -> Option<Vec<f32>> {
    let bytes = STANDARD_NO_PAD.decode(text).ok()?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
}

fn of_chat(request: &ChatRequest) -> Digest {
    let ChatRequest { model, messages, max_tokens, schema } = request;
    let max_tokens = max_tokens.to_le_bytes();
    let schema = schema.as_ref().map(|schema| (schema.name.as_str(), schema.schema.to_string()));
    let (name, schema) = schema.as_ref().map_or(("", ""), |(name, text)| (name, text));
    let mut parts: Vec<&[u8]> =
        vec![b"chat", model.as_bytes(), &max_tokens, name.as_bytes(), schema.as_bytes()];
    for message in messages {
        let role: &[u8] = match message.role {
            Role::System => b"system",
            Role::User => b"user",
            Role::Assistant => b"assistant",
        };
        parts.extend([role, message.text.as_bytes()]);
    }
    Digest::of(&parts)
}

fn of_embed(request: &EmbedRequest) -> Digest {
    let EmbedRequest { model, texts } = request;
    let head: [&[u8]; 2] = [b"embeddings", model.as_bytes()];
    let parts: Vec<&[u8]> = head.into_iter().chain(texts.iter().map(String::as_bytes)).collect();
    Digest::of(&parts)
}
