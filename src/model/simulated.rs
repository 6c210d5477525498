//! `simulated`: a provider without a network. Its answer is a function of the messages, the schema and the ceiling alone,
//! so an embedded run and one against the mock server agree; its latency and its failures are drawn under a seed from
//! what is asked, for which event, by which attempt, so a second run of the same records draws the same.
//!
//! How a model behaves is a [`Behaviour`], of the provider or by words in the model's name: `slow-500ms`,
//! `status-503+rate-0.1`.

use std::sync::Arc;

use async_trait::async_trait;

use super::target::{Answer, Bill, Target};
use super::{Call, ChatReply, ChatRequest, EmbedRequest, ModelError, ModelErrorKind, tokens};
use crate::event::usage::Usage;

pub mod answer;
pub mod behaviour;
pub mod embedding;
pub mod instance;
pub mod spread;

use behaviour::{Behaviour, Fault};

/// One simulated model.
#[derive(Debug)]
pub struct Simulated {
    provider: Arc<str>,
    model: Arc<str>,
    behaviour: Behaviour,
    dimensions: u32,
    seed: u64,
}

impl Simulated {
    /// A model of that name; words in it change the provider's behaviour.
    pub fn new(
        provider: Arc<str>,
        model: Arc<str>,
        usual: &Behaviour,
        dimensions: Option<u32>,
        seed: u64,
    ) -> Self {
        let behaviour = usual.by_name(&model);
        let dimensions = dimensions.unwrap_or(embedding::DIMENSIONS);
        Simulated { provider, model, behaviour, dimensions, seed }
    }

    /// Waits as long as drawn, and fails if that was drawn.
    async fn happen(&self, asked: u64, call: &Call) -> Result<(), (ModelError, Bill)> {
        let drawn = self.behaviour.draw(mix(self.draw(call) ^ asked));
        if !drawn.latency.is_zero() {
            tokio::time::sleep(drawn.latency).await;
        }
        let Some(fault) = drawn.fault else { return Ok(()) };
        let failed = |kind, what: &str, bill| {
            let message = format!("provider `{}` {what}", self.provider);
            (ModelError { kind, message, retry_after: None }, bill)
        };
        Err(match fault {
            Fault::Status { code, retry_after } => {
                let (mut error, bill) =
                    failed(by_status(code), &format!("answered {code} (simulated)"), Bill::Nothing);
                error.retry_after = retry_after;
                (error, bill)
            }
            Fault::Hang => std::future::pending().await,
            Fault::ErrorBody => failed(
                ModelErrorKind::Overloaded,
                "answered 200 with an error in it (simulated)",
                Bill::Nothing,
            ),
            Fault::Cut | Fault::Garbage | Fault::Huge => {
                failed(ModelErrorKind::Malformed, "sent a broken reply (simulated)", Bill::Unknown)
            }
        })
    }

    fn draw(&self, call: &Call) -> u64 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed.to_le_bytes());
        hasher.update(self.model.as_bytes());
        hasher.update(call.key.event.0.as_bytes());
        hasher.update(call.key.stage.as_bytes());
        hasher.update(&call.key.item.unwrap_or(u32::MAX).to_le_bytes());
        hasher.update(&call.attempt.to_le_bytes());
        first_word(&hasher)
    }
}

/// The first eight bytes of a digest.
fn first_word(hasher: &blake3::Hasher) -> u64 {
    let mut word = [0; 8];
    hasher.finalize_xof().fill(&mut word);
    u64::from_le_bytes(word)
}

/// Spreads a number over all bits (SplitMix64).
pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn by_status(code: u16) -> ModelErrorKind {
    match code {
        401..=403 => ModelErrorKind::Unauthorised,
        429 => ModelErrorKind::RateLimited,
        400..=499 => ModelErrorKind::InvalidRequest,
        _ => ModelErrorKind::Overloaded,
    }
}

#[async_trait]
impl Target for Simulated {
    async fn chat(&self, request: &ChatRequest, call: &Call) -> Answer<ChatReply> {
        let digest = answer::digest(&request.messages);
        if let Err((error, bill)) = self.happen(digest, call).await {
            return Answer::failed(error, bill);
        }
        let schema = request.schema.as_ref().map(|schema| &schema.schema);
        let said = answer::say(&request.messages, schema, request.max_tokens, &self.behaviour);
        let counted = tokens::of_chat(request).input_likely;
        let usage = self.behaviour.usage(counted, &said, request.max_tokens, mix(digest));
        let reply = ChatReply {
            text: said.text,
            finish_reason: said.finish_reason.to_owned(),
            simulated: true,
        };
        Answer {
            finish_reason: Some(said.finish_reason.to_owned()),
            result: Ok(reply),
            bill: Bill::Used(usage),
            response_model: Some(self.model.as_ref().to_owned()),
            request_id: None,
        }
    }

    async fn embed(&self, request: &EmbedRequest, call: &Call) -> Answer<Vec<Vec<f32>>> {
        let mut hasher = blake3::Hasher::new();
        for text in &request.texts {
            hasher.update(text.as_bytes());
        }
        if let Err((error, bill)) = self.happen(first_word(&hasher), call).await {
            return Answer::failed(error, bill);
        }
        let vectors =
            request.texts.iter().map(|text| embedding::vector(text, self.dimensions)).collect();
        let input = tokens::of_embed(request).input_likely;
        Answer {
            result: Ok(vectors),
            bill: Bill::Used(Usage { input, ..Usage::default() }),
            response_model: Some(self.model.as_ref().to_owned()),
            request_id: None,
            finish_reason: None,
        }
    }
}

#[cfg(test)]
mod tests;
