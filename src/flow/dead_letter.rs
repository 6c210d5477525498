//! Dead letters: key, value and headers of the record as they came, and why it is here, in headers of ours and under
//! the names that Kafka Connect uses. No prompt, no answer, no stack trace. What the topic does not take is left out.

use std::sync::Arc;

use bytes::Bytes;

use super::emit::{Emitter, Known};
use super::headers::JOURNAL;
use super::identity::rfc3339;
use super::refusal::Refusal;
use crate::event::cost::Attempt;
use crate::event::money::Money;
use crate::stream::{Headers, Output, header};

/// Longest message in a header.
const MAX_MESSAGE: usize = 1024;
/// On a dead letter that has not all of its record: `value`, or `value, headers, key`. They stand where its origin says.
pub const OMITTED: &str = "vivremotion.error.omitted";

/// Headers of ours that are no reasons; an event is brought back by them.
const OURS: [&str; 6] = [
    "vivremotion.event_id",
    "vivremotion.origin",
    "vivremotion.pipeline",
    "vivremotion.group",
    "vivremotion.digest",
    JOURNAL,
];

/// What a dead letter has of its record, beside the reason: its topic may take less than the one the record came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letter {
    /// All of it.
    Whole,
    /// Key and headers.
    NoValue,
    /// Nothing.
    Reason,
}

impl Letter {
    /// The next smaller one.
    pub fn less(self) -> Option<Letter> {
        match self {
            Letter::Whole => Some(Letter::NoValue),
            Letter::NoValue => Some(Letter::Reason),
            Letter::Reason => None,
        }
    }
}

/// A dead letter with no more of its record than `letter` says.
pub fn with_less(whole: Output, letter: Letter) -> Output {
    let mut less = Output { value: None, ..whole };
    less.headers.retain(|(name, _)| name != OMITTED);
    let omitted = match letter {
        Letter::Whole | Letter::NoValue => "value",
        Letter::Reason => {
            less.key = None;
            less.headers.retain(|(name, value)| {
                let short = value.as_ref().is_none_or(|value| value.len() <= MAX_MESSAGE);
                short && (is_reason(name) || OURS.contains(&&**name))
            });
            "value, headers, key"
        }
    };
    less.headers.push((OMITTED.into(), Some(Bytes::from_static(omitted.as_bytes()))));
    less
}

/// The dead letter of an event, with the attempts that were made for it.
pub async fn record(
    emitter: &Emitter,
    known: &Known<'_>,
    refusal: &Refusal,
    attempts: &[Attempt],
) -> Output {
    let cost: Money = attempts.iter().filter_map(|attempt| attempt.amount).sum();
    let record = &known.consumed.record;
    let plan = &emitter.plan;
    let failure = refusal.failure();
    // A replay brings the reasons of its last time along: only the newest are of use.
    let mut headers: Headers =
        record.headers.iter().filter(|(name, _)| !is_reason(name)).cloned().collect();
    let mut put = |name: &'static str, value: String| {
        // A replay has some of them already: they are not to grow with each failure.
        if header(&headers, name).is_none_or(|held| **held != *value.as_bytes()) {
            headers.push((name.into(), Some(Bytes::from(value))));
        }
    };
    let message = cut(&failure.message, MAX_MESSAGE);
    let stage = failure.stage.clone().unwrap_or_else(|| "-".to_owned());
    put("vivremotion.event_id", known.id.to_string());
    put("vivremotion.origin", known.origin.to_string());
    put("vivremotion.pipeline", plan.name.to_string());
    put("vivremotion.group", plan.group.to_string());
    put("vivremotion.digest", plan.digest.to_string());
    if let Some(journal) = &known.consumed.journal {
        put(JOURNAL, journal.range().await.to_string());
    }
    if let Some(request_id) = &known.who.request_id {
        put("vivremotion.request_id", request_id.to_string());
    }
    put("vivremotion.error.class", failure.class.clone());
    put("vivremotion.error.code", failure.code.clone());
    put("vivremotion.error.stage", stage.clone());
    put("vivremotion.error.message", message.clone());
    put("vivremotion.error.attempts", attempts.len().to_string());
    put("vivremotion.error.time", rfc3339(emitter.clock.now()));
    put("vivremotion.error.engine", env!("CARGO_PKG_VERSION").to_owned());
    if !attempts.is_empty() {
        put("vivremotion.error.cost", format!("{cost} {}", emitter.currency));
    }
    put("__connect.errors.topic", record.at.topic.to_string());
    put("__connect.errors.partition", record.at.partition.to_string());
    put("__connect.errors.offset", record.offset.to_string());
    put("__connect.errors.connector.name", plan.name.to_string());
    put("__connect.errors.task.id", "0".to_owned());
    put("__connect.errors.stage", stage);
    put("__connect.errors.class.name", "vivremotion".to_owned());
    put("__connect.errors.exception.class.name", failure.code);
    put("__connect.errors.exception.message", message);
    let at = &record.at;
    Output {
        topic: Arc::clone(&plan.dead_letters),
        // Beside its fellows of the same partition, so that a replay can keep their order.
        partition: (at.partition < emitter.letter_partitions).then_some(at.partition),
        key: record.key.clone(),
        value: record.value.clone(),
        headers,
        timestamp: None,
    }
}

fn is_reason(header: &str) -> bool {
    header.starts_with("vivremotion.error.") || header.starts_with("__connect.errors.")
}

fn cut(text: &str, bytes: usize) -> String {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
