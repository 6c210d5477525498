//! The cost event: one attempt of one call. Amounts are deltas: their sum is always right.

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::identity::Identity;
use super::ids::{AttemptId, EventId};
use super::money::Money;
use super::usage::Usage;

/// One attempt, as the part that made it knows it; `flow::emit` adds the event's identity and makes a [`CostEvent`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Unique id of the attempt.
    pub id: AttemptId,
    /// The stage.
    pub stage: Arc<str>,
    /// Item of an `each`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u32>,
    /// Ordinal of the attempt in its stage (and item), from 1.
    pub number: u32,
    /// GenAI operation: `chat`, `embeddings`, `retrieval`, or `call`.
    #[serde(deserialize_with = "operation")]
    pub operation: Word,
    /// Provider.
    pub provider: Arc<str>,
    /// Alias of the billed key; the provider's name when there is one key.
    pub account: Arc<str>,
    /// Model asked.
    pub request_model: Arc<str>,
    /// Model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_model: Option<Arc<str>>,
    /// The provider's id of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_request_id: Option<String>,
    /// Shared by the attempts of one micro-batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<String>,
    /// Tokens.
    pub usage: Usage,
    /// What it cost; none when the price is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Price lines.
    pub lines: Vec<CostLine>,
    /// `priced`, `unpriced`, `estimated`, `unsettled`.
    #[serde(deserialize_with = "price_status")]
    pub price_status: Word,
    /// Price catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<Arc<str>>,
    /// `ok` or the error's code.
    pub outcome: Cow<'static, str>,
    /// Why the model stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<Arc<str>>,
    /// Start, milliseconds since the epoch.
    pub started_at: i64,
    /// Duration, microseconds.
    pub duration_us: i64,
    /// Time to first chunk, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttfc_us: Option<i64>,
    /// The route's decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<super::result::Decision>,
}

/// One of a few words. (Named, because serde takes a bare `&str` for one that is borrowed from its input.)
pub type Word = &'static str;

/// What calls do, by their GenAI names.
pub const OPERATIONS: [&str; 4] = ["chat", "embeddings", "retrieval", "call"];
/// How sure an amount is.
pub const PRICE_STATUSES: [&str; 4] = ["priced", "unpriced", "estimated", "unsettled"];

/// One of the words that there are.
fn word<'de, D: Deserializer<'de>>(
    deserializer: D,
    known: &'static [&'static str],
) -> Result<&'static str, D::Error> {
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    let found = known.iter().find(|word| **word == text);
    found.copied().ok_or_else(|| D::Error::custom(format!("`{text}` is none of {known:?}")))
}

/// A GenAI operation.
pub fn operation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
    word(deserializer, &OPERATIONS)
}

fn price_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
    word(deserializer, &PRICE_STATUSES)
}

/// One line of a price: disjoint units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostLine {
    /// Such as `input_tokens`.
    pub unit: Cow<'static, str>,
    /// How many.
    pub quantity: i64,
    /// Price of `per` of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<Money>,
    /// 1,000,000 for tokens.
    pub per: i64,
}

/// Field names and meanings are those of `schemas/cost.avsc`.
#[derive(Clone, Debug, Serialize)]
pub struct CostEvent<'a> {
    /// Common head; `id` is the attempt id.
    #[serde(flatten)]
    pub identity: Identity<'a>,
    /// End of the attempt, milliseconds since the epoch.
    #[serde(serialize_with = "super::time::rfc3339")]
    pub time: i64,
    /// `charge` or `adjustment`.
    pub kind: &'static str,
    /// The attempt an adjustment corrects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adjusts: Option<AttemptId>,
    /// Shared by the attempts of one micro-batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<&'a str>,
    /// The event.
    pub event_id: EventId,
    /// The producer's own id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'a str>,
    /// The pipeline.
    pub pipeline: &'a str,
    /// Its label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'a str>,
    /// Its digest.
    pub digest: &'a str,
    /// The stage.
    pub stage: &'a str,
    /// Item of an `each`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<i32>,
    /// Ordinal of the attempt in its stage, from 1.
    pub attempt: i32,
    /// GenAI operation.
    pub operation: &'a str,
    /// Provider.
    pub provider: &'a str,
    /// Alias of the billed key.
    pub account: &'a str,
    /// Region of the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<&'a str>,
    /// Model asked.
    pub request_model: &'a str,
    /// Model that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_model: Option<&'a str>,
    /// `default` unless a tier was asked for.
    pub service_tier: &'a str,
    /// The provider's id of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_request_id: Option<&'a str>,
    /// Price lines.
    pub lines: Cow<'a, [CostLine]>,
    /// A delta.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Currency.
    pub currency: &'a str,
    /// `priced`, `unpriced`, `estimated`, `unsettled`.
    pub price_status: &'a str,
    /// Price catalogue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<&'a str>,
    /// Whether the value came from a cache.
    pub cached: bool,
    /// What a cache saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved: Option<Money>,
    /// `ok` or the error's code.
    pub outcome: &'a str,
    /// Why the model stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<&'a str>,
    /// Duration, microseconds.
    pub duration_us: i64,
    /// Time to first chunk, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttfc_us: Option<i64>,
}
