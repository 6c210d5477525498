//! Identity: which event, which result, which attempt. Ids are pure functions of where a thing comes from, so that a
//! second run of the same record is recognised as the same event and never counted twice.

use std::fmt;

use twox_hash::XxHash3_128;
use uuid::Uuid;

/// Hashes length-prefixed parts under a domain word into 16 bytes (BLAKE3, truncated to 128 bits).
fn hash128(domain: &str, parts: &[&[u8]]) -> Uuid {
    let mut hasher = blake3::Hasher::new();
    for part in std::iter::once(&domain.as_bytes()).chain(parts) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// One decoded record of one topic, for ever: a hash of cluster, topic, partition, offset and record timestamp. The
/// timestamp tells a topic that was deleted and made again from the old one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub Uuid);

impl EventId {
    /// The id of the record at this place; `timestamp` in milliseconds since the epoch.
    pub fn new(cluster: &str, topic: &str, partition: i32, offset: i64, timestamp: i64) -> Self {
        EventId(hash128(
            "event",
            &[
                cluster.as_bytes(),
                topic.as_bytes(),
                &partition.to_le_bytes(),
                &offset.to_le_bytes(),
                &timestamp.to_le_bytes(),
            ],
        ))
    }
}

/// One output of one event in one group. The pipeline's version is not part of it: a second success is recognisable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResultId(pub Uuid);

impl ResultId {
    /// `output` is `result` or the name of a `publish` stage; `index` the item of an `each`, else 0.
    pub fn new(event: EventId, group: &str, pipeline: &str, output: &str, index: u32) -> Self {
        ResultId(hash128(
            "result",
            &[
                event.0.as_bytes(),
                group.as_bytes(),
                pipeline.as_bytes(),
                output.as_bytes(),
                &index.to_le_bytes(),
            ],
        ))
    }
}

/// The place of a call inside an event: stage, item of an `each`, ordinal of the call inside the stage. What a call
/// journal is keyed by.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct StageKey {
    /// The event.
    pub event: EventId,
    /// The stage's name.
    pub stage: std::sync::Arc<str>,
    /// The item of an `each`, if any.
    pub item: Option<u32>,
}

impl fmt::Display for StageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.event, self.stage)?;
        match self.item {
            Some(item) => write!(f, "/{item}"),
            None => Ok(()),
        }
    }
}

/// One try of one call, unique for ever: a process that dies and runs the event again makes new ones, since money may
/// have been spent twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId(pub Uuid);

impl AttemptId {
    /// From a random draw of 128 bits.
    pub fn from_draw(draw: u128) -> Self {
        AttemptId(uuid::Builder::from_random_bytes(draw.to_le_bytes()).into_uuid())
    }

    /// Of the cost event that corrects what an attempt was charged: one that is told twice is recognised.
    pub fn adjusting(attempt: AttemptId) -> Self {
        AttemptId(hash128("adjustment", &[attempt.0.as_bytes()]))
    }
}

/// What a request asks, in 128 bits: guards a journaled answer against a question that has changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub Uuid);

impl Digest {
    /// Of these parts, in their order, each with its length before it. XXH3, since questions are long and every call asks
    /// one: it tells texts apart that were not made to be mistaken for each other, and nobody gains by making two, as the
    /// answer to a question is looked for among those of the same event and place only.
    pub fn of(parts: &[&[u8]]) -> Self {
        let room = parts.iter().map(|part| part.len() + 8).sum();
        let mut text = Vec::with_capacity(room);
        for part in parts {
            text.extend_from_slice(&(part.len() as u64).to_le_bytes());
            text.extend_from_slice(part);
        }
        let hash = XxHash3_128::oneshot(&text);
        Digest(uuid::Builder::from_custom_bytes(hash.to_be_bytes()).into_uuid())
    }

    /// Of a long answer, by BLAKE3: it is looked for among all of its input.
    pub fn of_answer(text: &str) -> Self {
        Digest(hash128("answer", &[text.as_bytes()]))
    }
}

macro_rules! shown_as_uuid {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> { text.parse().map($name) }
        }
    )*};
}
shown_as_uuid!(EventId, ResultId, AttemptId, Digest);
