//! A dead letter, or a record of an input topic, and the record that brings its event back.

use std::sync::Arc;

use bytes::Bytes;

use super::pick::Failed;
use crate::event::identity::Origin;
use crate::event::ids::{EventId, ResultId};
use crate::flow::dead_letter::OMITTED;
use crate::flow::headers::JOURNAL;
use crate::flow::identity::rfc3339;
use crate::journal::Range;
use crate::stream::{Headers, Output, Record, TopicPartition, header};

/// Headers that say why an event failed and what failed it: not the event's own.
const REASONS: [&str; 2] = ["vivremotion.error.", "__connect.errors."];
/// Headers that a replay sets anew.
const SET: [&str; 5] = [
    "vivremotion.replay_of",
    "vivremotion.replay_count",
    "vivremotion.group",
    "vivremotion.pipeline",
    "vivremotion.digest",
];

/// An event that may be brought back.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The event.
    pub event: EventId,
    /// Where its record first stood.
    pub origin: Origin,
    /// The record as it came to the pipeline, headers of ours taken off: where it stands is where it was read last.
    pub record: Record,
    /// How often it has been brought back.
    pub count: u32,
    /// Why it failed; none for a record of the input topic.
    pub failed: Option<Failed>,
}

fn text<'r>(headers: &'r Headers, name: &str) -> Option<&'r str> {
    header(headers, name).and_then(|value| std::str::from_utf8(value).ok())
}

fn count(headers: &Headers) -> u32 {
    text(headers, "vivremotion.replay_count").and_then(|count| count.parse().ok()).unwrap_or(0)
}

impl Candidate {
    /// The event of a dead letter, if it is one of that pipeline and group. The error names the header that is wrong.
    pub fn of_letter(
        letter: &Record,
        source: &Arc<str>,
        pipeline: &str,
        group: &str,
    ) -> Result<Option<Self>, String> {
        let headers = &letter.headers;
        let ours = text(headers, "vivremotion.pipeline") == Some(pipeline)
            && text(headers, "vivremotion.group") == Some(group);
        if !ours {
            return Ok(None);
        }
        let read =
            |name: &str| text(headers, name).ok_or_else(|| format!("it has no header `{name}`"));
        let wrong = |name: &str| format!("its header `{name}` can't be read");
        let number = |name: &str| read(name)?.parse::<i64>().map_err(|_| wrong(name));
        let name = "vivremotion.event_id";
        let event: EventId = read(name)?.parse().map_err(|_| wrong(name))?;
        let name = "vivremotion.origin";
        let origin: Origin = read(name)?.parse().map_err(|_| wrong(name))?;
        if hash(&origin) != event {
            return Err("its origin does not hash to its event id".to_owned());
        }
        if origin.topic != **source {
            let topic = &origin.topic;
            return Err(format!("it came from topic `{topic}`, and `{source}` is read now"));
        }
        if let Some(omitted) = text(headers, OMITTED) {
            let Origin { topic, partition, offset, timestamp, .. } = &origin;
            let (from, to) = (rfc3339(*timestamp), rfc3339(timestamp.saturating_add(1)));
            return Err(format!(
                "its topic did not take its {omitted}: to bring back {topic}/{partition}@{offset} and what else came in that \
                 millisecond, `replay --inputs --pipeline {pipeline} --from {from} --to {to}`"
            ));
        }
        let partition = number("__connect.errors.partition")?;
        let partition =
            i32::try_from(partition).map_err(|_| wrong("__connect.errors.partition"))?;
        let record = Record {
            at: TopicPartition { topic: Arc::clone(source), partition },
            offset: number("__connect.errors.offset")?,
            timestamp: origin.timestamp,
            key: letter.key.clone(),
            value: letter.value.clone(),
            headers: own(headers, event, &origin),
        };
        let failed = Some(Failed::of(headers, letter.timestamp));
        Ok(Some(Candidate { event, origin, record, count: count(headers), failed }))
    }

    /// The event of a record of the input topic, which was identified by the corridor's door.
    pub fn of_input(record: &Record, event: EventId, origin: Origin) -> Self {
        let headers = own(&record.headers, event, &origin);
        let count = count(&record.headers);
        let record = Record { headers, timestamp: origin.timestamp, ..record.clone() };
        Candidate { event, origin, record, count, failed: None }
    }
}

fn hash(origin: &Origin) -> EventId {
    let Origin { cluster, topic, partition, offset, timestamp } = origin;
    EventId::new(cluster, topic, *partition, *offset, *timestamp)
}

/// The headers that the event came with. An event of another pipeline's making has the id and origin of the one before
/// it, which stay.
fn own(headers: &Headers, event: EventId, origin: &Origin) -> Headers {
    let (event, origin) = (event.to_string(), origin.to_string());
    let ours = |name: &str, value: &Option<Bytes>| {
        let is = |text: &str| value.as_ref().is_some_and(|value| **value == *text.as_bytes());
        REASONS.iter().any(|reason| name.starts_with(reason))
            || SET.contains(&name)
            || (name == "vivremotion.event_id" && is(&event))
            || (name == "vivremotion.origin" && is(&origin))
    };
    headers.iter().filter(|(name, value)| !ours(name, value)).cloned().collect()
}

/// The record that brings an event back to a pipeline of a group. `ranges` of the journal hold its calls, beside those that
/// its record names already, as a dead letter does.
pub fn replay(candidate: &Candidate, pipeline: &str, group: &str, ranges: &[Range]) -> Output {
    let Candidate { event, origin, record, count, .. } = candidate;
    let mut headers = record.headers.clone();
    let of = ResultId::new(*event, group, pipeline, "result", 0);
    let mut put = |name: &'static str, value: String| {
        headers.push((name.into(), Some(Bytes::from(value))));
    };
    put("vivremotion.event_id", event.to_string());
    put("vivremotion.origin", origin.to_string());
    put("vivremotion.group", group.to_owned());
    put("vivremotion.replay_of", of.to_string());
    put("vivremotion.replay_count", count.saturating_add(1).to_string());
    for range in ranges {
        put(JOURNAL, range.to_string());
    }
    Output {
        topic: Arc::clone(&record.at.topic),
        // Where it was: its key's lane, and the partition of its journal.
        partition: Some(record.at.partition),
        key: record.key.clone(),
        value: record.value.clone(),
        headers,
        // The time of the log: retention must not take an old event back at once. Its own time stands in its origin.
        timestamp: None,
    }
}
