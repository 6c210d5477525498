//! What the journal tells.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::event::cost::{Attempt, Word, operation};
use crate::event::ids::{AttemptId, Digest, EventId};
use crate::event::money::Money;

/// The input record that an entry is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition of the topic.
    pub partition: i32,
    /// Offset; none where the whole partition is meant.
    pub offset: Option<i64>,
}

/// What an entry tells of: an input record and the event that it is, or, with neither, the whole partition.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Offset of the record.
    pub offset: Option<i64>,
    /// The event.
    pub event: Option<EventId>,
}

impl About {
    /// The whole partition.
    pub const PARTITION: Self = About { offset: None, event: None };

    /// That event, of the record at that offset.
    pub fn event(offset: i64, event: EventId) -> Self {
        About { offset: Some(offset), event: Some(event) }
    }
}

/// One thing that happened, and of what.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is about.
    pub place: Place,
    /// The event that the input record is; none where the whole partition is meant.
    pub event: Option<EventId>,
    /// Drawn by each process at its start.
    pub run: u64,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// A request is about to leave.
    Intent(Intent),
    /// An attempt ended, or something was answered.
    Outcome(Outcome),
    /// The request did not leave after all.
    Withdrawn {
        /// The attempt of the intent.
        attempt: AttemptId,
    },
    /// A part of an answer that is too long for one record.
    Part(Part),
    /// The event is about to run, after a death of the process.
    Start {
        /// Suspects that run beside it, itself included; 0 when it is none.
        cohort: u32,
    },
    /// The event has run to its end: it did not kill the process.
    Ended,
    /// A process was given the partition, and nothing of it runs yet.
    Opened,
    /// The partition was given up in order: what this process had begun there did not kill it.
    Closed,
}

/// A request is about to leave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// The attempt.
    pub attempt: AttemptId,
    /// The stage.
    pub stage: Arc<str>,
    /// Item of an `each`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u32>,
    /// GenAI operation.
    #[serde(deserialize_with = "operation")]
    pub operation: Word,
    /// Provider.
    pub provider: Arc<str>,
    /// Alias of the billed key.
    pub account: Arc<str>,
    /// Model asked.
    pub model: Arc<str>,
    /// What it may cost; none when the price is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<Money>,
    /// Price catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<Arc<str>>,
    /// Start, milliseconds since the epoch.
    pub started_at: i64,
}

#[cfg(test)]
impl What {
    /// An intent of the stage `answer`, with that ceiling in nano-units.
    pub fn intent(attempt: u128, ceiling: i128) -> What {
        What::Intent(Intent {
            attempt: AttemptId::from_draw(attempt),
            stage: "answer".into(),
            item: None,
            operation: "chat",
            provider: "p".into(),
            account: "p".into(),
            model: "m".into(),
            ceiling: Some(Money(ceiling)),
            catalogue: None,
            started_at: 5,
        })
    }
}

/// An attempt ended, or something was answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The attempt; none for what costs nothing, such as a retrieval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Box<Attempt>>,
    /// The answer; none when the attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
}

/// An answer and the question it is to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The stage.
    pub stage: Arc<str>,
    /// Item of an `each`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u32>,
    /// GenAI operation.
    #[serde(deserialize_with = "operation")]
    pub operation: Word,
    /// Ordinal of the success among those of the same stage, item and operation, from 0.
    pub ordinal: u32,
    /// Digest of the request as asked.
    pub digest: Digest,
    /// The value; none when it stands in parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Arc<RawValue>>,
    /// Digest of the value's text, when it stands in parts before this record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Digest>,
}

/// A part of a long text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    /// Digest of the whole text.
    pub of: Digest,
    /// Ordinal, from 0: a record that was sent twice is told apart.
    pub index: u32,
    /// The text, in order.
    pub text: String,
}
