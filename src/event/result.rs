//! The result event: what was decided, by which stages and models, from which passages, at what cost and latency.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::identity::{Identity, Origin};
use super::money::Money;

/// One per event. Field names and meanings are those of `schemas/result.avsc`.
#[derive(Clone, Debug, Serialize)]
pub struct ResultEvent {
    /// Common head; `id` is the result id.
    #[serde(flatten)]
    pub identity: Identity,
    /// The event it answers.
    pub event_id: String,
    /// The producer's own id, for correlation only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Where the record stood.
    pub origin: Origin,
    /// Result id of the first run, on a replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<String>,
    /// The pipeline.
    pub pipeline: String,
    /// Its label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Digest of the pipeline file and what it includes.
    pub digest: String,
    /// Consumer group.
    pub group: String,
    /// `completed` or `failed`.
    pub status: &'static str,
    /// True when a value stood in for a stage that failed.
    pub degraded: bool,
    /// 0: room for interim results.
    pub index: i32,
    /// True: room for interim results.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// The stages named in `sink.outputs` that are done.
    pub outputs: BTreeMap<String, OutputValue>,
    /// Every stage run, in plan order.
    pub stages: Vec<StageRun>,
    /// Sum of the cost events at commit; none when no call was priced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Currency of every amount.
    pub currency: String,
    /// Calls whose price is not known.
    pub unpriced_calls: i32,
    /// Price catalogue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<String>,
    /// When it was admitted, milliseconds since the epoch.
    #[serde(serialize_with = "super::time::rfc3339")]
    pub received_at: i64,
    /// From admission to the end of the last stage, microseconds.
    pub duration_us: i64,
    /// From the record's timestamp to admission, microseconds.
    pub queue_us: i64,
    /// `duration_us` minus the time in which a call was open, microseconds.
    pub overhead_us: i64,
    /// W3C trace id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// Why an event failed, in words that may leave the house: no prompt text, no host names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Class: `decode`, `permanent`, `transient`, `budget`, `panic`, `deadline`.
    pub class: String,
    /// Code, one word with dashes.
    pub code: String,
    /// The stage that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// One sentence.
    pub message: String,
    /// Whether a replay may succeed without any change.
    pub retryable: bool,
}

/// One value of `outputs`: text verbatim, JSON as JSON text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutputValue {
    /// `text/plain` or `application/json`.
    pub content_type: String,
    /// The value.
    pub value: String,
}

/// What one stage did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StageRun {
    /// Name in the pipeline.
    pub name: String,
    /// Kind, a verb.
    pub kind: String,
    /// `done`, `skipped`, `failed`, `recovered` (a value stood in) or `cancelled`.
    pub status: &'static str,
    /// Why it was skipped or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Item of an `each`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<i32>,
    /// Start, milliseconds since the epoch.
    #[serde(serialize_with = "super::time::rfc3339")]
    pub started_at: i64,
    /// Duration, microseconds.
    pub duration_us: i64,
    /// Provider of the last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Model asked of the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_model: Option<String>,
    /// Model that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_model: Option<String>,
    /// Prompt version: digest of the prompt's templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_digest: Option<String>,
    /// Why the model stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// Tries made.
    pub attempts: i32,
    /// Whether the value came from a cache.
    pub cached: bool,
    /// The route's decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// What retrieval brought.
    pub passages: Vec<PassageScore>,
    /// Tokens by part, over all attempts.
    pub usage: BTreeMap<String, i64>,
    /// Money over all attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
}

/// Which member of a route was taken, and from which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The policy's name.
    pub policy: String,
    /// `provider/model`.
    pub chosen: String,
    /// Probability of the choice, for policies that draw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// All members, in order.
    pub candidates: Vec<String>,
}

/// Id and score of a passage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PassageScore {
    /// The author's id.
    pub id: String,
    /// Fused score, or the only score there is.
    pub score: f64,
}
