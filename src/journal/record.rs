//! How entries stand in the journal's records: JSON, so that an operator can read them; a version in each, so that a
//! later engine reads what an earlier one wrote.
//!
//! Entries of one input partition that are written together share a record: it costs as much as many bytes. Its key is `<topic>/<partition>` of the input. [`Batch`](super::batch::Batch) makes them.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::entry::{Entry, Place, What};
use crate::event::ids::EventId;
use crate::stream::{Output, Record, TopicPartition};

/// The version that is written.
const VERSION: u8 = 1;
/// How a record ends.
pub(super) const TAIL: &str = "]}";

#[derive(Deserialize)]
struct Version {
    v: u8,
}

#[derive(Deserialize)]
struct Read {
    run: String,
    entries: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    #[serde(default)]
    at: Option<i64>,
    #[serde(default)]
    event: Option<EventId>,
    what: What,
}

#[derive(Deserialize)]
struct Texts {
    run: String,
    entries: Vec<Box<RawValue>>,
}

/// How a record of that run begins; its entries follow, and [`TAIL`].
pub(super) fn head(run: u64) -> String {
    format!(r#"{{"v":{VERSION},"run":"{run:016x}","entries":["#)
}

/// A record's entries, each in a record of its own; none when it has but one.
pub fn apart(output: &Output) -> Option<Vec<Output>> {
    let Texts { run, entries } = serde_json::from_slice(output.value.as_ref()?).ok()?;
    let head = head(u64::from_str_radix(&run, 16).ok()?);
    let one = |text: Box<RawValue>| {
        let value = format!("{head}{}{TAIL}", text.get());
        Output { value: Some(Bytes::from(value)), ..output.clone() }
    };
    (entries.len() > 1).then(|| entries.into_iter().map(one).collect())
}

/// Whether that run wrote a record, told by its first bytes: most of what a process reads again is its own.
pub fn is_of(record: &Record, run: u64) -> bool {
    record.value.as_ref().is_some_and(|value| value.starts_with(head(run).as_bytes()))
}

/// Reads a record; the reason when it is not one of ours, or one of a later version.
pub fn read(record: &Record) -> Result<Vec<Entry>, String> {
    let Some(value) = &record.value else { return Err("it has no value".to_owned()) };
    let TopicPartition { topic, partition } =
        input_of(record).ok_or("its key is not `<topic>/<partition>`")?;
    let Version { v } = serde_json::from_slice(value).map_err(|_| "it is not JSON of ours")?;
    if v != VERSION {
        return Err(format!("it has version {v}, this engine reads {VERSION}"));
    }
    let Read { run, entries } =
        serde_json::from_slice(value).map_err(|error| format!("a field is wrong: {error}"))?;
    let run = u64::from_str_radix(&run, 16).map_err(|_| "`run` is not a number")?;
    let entry = |One { at: offset, event, what }| {
        let place = Place { topic: Arc::clone(&topic), partition, offset };
        Entry { place, event, run, what }
    };
    Ok(entries.into_iter().map(entry).collect())
}

/// The input that a record is about; none when it is not one of ours.
pub fn input_of(record: &Record) -> Option<TopicPartition> {
    // A topic's name has no slash.
    let (topic, partition) = std::str::from_utf8(record.key.as_ref()?).ok()?.split_once('/')?;
    let partition = partition.parse().ok().filter(|partition| *partition >= 0)?;
    (!topic.is_empty()).then(|| TopicPartition { topic: topic.into(), partition })
}
