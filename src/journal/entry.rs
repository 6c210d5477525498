//! The records of the journal: JSON, so that an operator can read them; a version in each, so that a later engine reads
//! what an earlier one wrote.
//!
//! The record's key is `<topic>/<partition>/<offset>` of the input record (without the offset where a whole partition is
//! meant), its partition the input's.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::event::cost::{Attempt, Word, operation};
use crate::event::ids::{AttemptId, Digest, EventId};
use crate::event::money::Money;
use crate::stream::{Output, Record};

/// The version that is written.
const VERSION: u8 = 1;
/// Longest answer that stands in its outcome, bytes of JSON text. A longer one is written in [`Part`]s before it, and the
/// outcome names it by its digest: a record must stay below the million bytes that brokers take by default, also when
/// every character of the text has to be escaped.
const INLINE: usize = 384 << 10;

/// The input record that an entry is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition, of the topic and of the journal.
    pub partition: i32,
    /// Offset; none where the whole partition is meant.
    pub offset: Option<i64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)?;
        match self.offset {
            Some(offset) => write!(f, "/{offset}"),
            None => Ok(()),
        }
    }
}

impl Place {
    fn read(key: &[u8], partition: i32) -> Option<Place> {
        let text = std::str::from_utf8(key).ok()?;
        // A topic's name has no slash.
        let mut parts = text.split('/');
        let topic = parts.next().filter(|topic| !topic.is_empty())?;
        let named: i32 = parts.next()?.parse().ok()?;
        let offset = parts.next().map(str::parse).transpose().ok()?;
        let sound = named == partition && parts.next().is_none();
        sound.then(|| Place { topic: topic.into(), partition, offset })
    }
}

/// One record.
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

#[derive(Serialize)]
struct Written<'a> {
    v: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<EventId>,
    run: String,
    what: &'a What,
}

#[derive(Deserialize)]
struct Read {
    #[serde(default)]
    event: Option<EventId>,
    run: String,
    what: What,
}

#[derive(Deserialize)]
struct Version {
    v: u8,
}

impl Entry {
    /// The records to write: one, and before it the parts of an answer that is too long for it.
    pub fn encode(self, topic: &Arc<str>) -> Vec<Output> {
        let Entry { place, event, run, mut what } = self;
        let key = Bytes::from(place.to_string());
        let output = |what: &What| {
            let written = Written { v: VERSION, event, run: format!("{run:016x}"), what };
            // A value of plain fields always has a JSON form.
            let value = serde_json::to_vec(&written).unwrap_or_default();
            Output {
                topic: Arc::clone(topic),
                partition: Some(place.partition),
                key: Some(key.clone()),
                value: Some(Bytes::from(value)),
                headers: Vec::new(),
                timestamp: None,
            }
        };
        let mut outputs: Vec<Output> = Vec::with_capacity(1);
        if let What::Outcome(Outcome { answer: Some(answer), .. }) = &mut what
            && let Some(value) = answer.value.take_if(|value| value.get().len() > INLINE)
        {
            let of = Digest::of(&[value.get().as_bytes()]);
            answer.parts = Some(of);
            let parts = pieces(value.get()).zip(0..);
            let part = |(text, index): (&str, u32)| Part { of, index, text: text.to_owned() };
            outputs.extend(parts.map(|piece| output(&What::Part(part(piece)))));
        }
        outputs.push(output(&what));
        outputs
    }

    /// Reads a record; the reason when it is not one of ours, or one of a later version.
    pub fn decode(record: &Record) -> Result<Entry, String> {
        let (Some(key), Some(value)) = (&record.key, &record.value) else {
            return Err("it has no key or no value".to_owned());
        };
        let place = Place::read(key, record.at.partition)
            .ok_or("its key is not `<topic>/<partition>/<offset>` of its partition")?;
        let Version { v } = serde_json::from_slice(value).map_err(|_| "it is not JSON of ours")?;
        if v != VERSION {
            return Err(format!("it has version {v}, this engine reads {VERSION}"));
        }
        let Read { event, run, what } =
            serde_json::from_slice(value).map_err(|error| format!("a field is wrong: {error}"))?;
        let run = u64::from_str_radix(&run, 16).map_err(|_| "`run` is not a number")?;
        Ok(Entry { place, event, run, what })
    }
}

/// A text in pieces of at most [`INLINE`] bytes.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut left = text;
    std::iter::from_fn(move || {
        let mut end = left.len().min(INLINE);
        while !left.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, rest) = left.split_at(end);
        left = rest;
        (!piece.is_empty()).then_some(piece)
    })
}
