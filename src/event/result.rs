//! The result event: what was decided, by which stages and models, from which passages, at what cost and latency.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::identity::{Identity, Origin};
use super::ids::EventId;
use super::money::Money;

/// One per event. Field names and meanings are those of `schemas/result.avsc`.
#[derive(Clone, Debug, Serialize)]
pub struct ResultEvent<'a> {
    /// Common head; `id` is the result id.
    #[serde(flatten)]
    pub identity: Identity<'a>,
    /// The event it answers.
    pub event_id: EventId,
    /// The producer's own id, for correlation only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'a str>,
    /// Where the record stood.
    pub origin: Cow<'a, Origin>,
    /// Result id of the first run, on a replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<&'a str>,
    /// The pipeline.
    pub pipeline: &'a str,
    /// Its label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'a str>,
    /// Digest of the pipeline file and what it includes.
    pub digest: &'a str,
    /// Consumer group.
    pub group: &'a str,
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
    pub outputs: BTreeMap<&'a str, OutputValue<'a>>,
    /// Every stage run, in plan order.
    pub stages: Cow<'a, [StageRun]>,
    /// Sum of the cost events at commit; none when no call was priced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Currency of every amount.
    pub currency: &'a str,
    /// Calls whose price is not known.
    pub unpriced_calls: i32,
    /// Price catalogue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<&'a str>,
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
    pub trace_id: Option<&'a str>,
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
pub struct OutputValue<'a> {
    /// `text/plain` or `application/json`.
    pub content_type: &'static str,
    /// The value.
    pub value: Cow<'a, str>,
}

/// What one stage did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StageRun {
    /// Name in the pipeline.
    pub name: Arc<str>,
    /// Kind, a verb.
    pub kind: &'static str,
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
    pub provider: Option<Arc<str>>,
    /// Model asked of the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_model: Option<Arc<str>>,
    /// Model that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_model: Option<Arc<str>>,
    /// Prompt version: digest of the prompt's templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_digest: Option<Arc<str>>,
    /// Why the model stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<Arc<str>>,
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
    pub usage: BTreeMap<&'static str, i64>,
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
