//! From records to facts: what the headers and the value of an output say.

use serde_json::Value;
use uuid::Uuid;

use super::calls::{Answered, Call, CallWhat};
use super::fact::{Answer, Charge, Letter, Published, Spot, Status};
use crate::event::identity::Origin;
use crate::event::ids::{Digest, EventId, ResultId};
use crate::event::money::Money;
use crate::flow::dead_letter::OMITTED;
use crate::journal::{self, Entry, Outcome, What};
use crate::stream::{Headers, Record, header};

/// Whose outputs are read.
#[derive(Clone, Copy, Debug)]
pub struct Whose<'a> {
    /// The pipeline.
    pub pipeline: &'a str,
    /// Its group.
    pub group: &'a str,
}

/// What a record of an output topic is.
#[derive(Debug)]
pub enum Made<T> {
    /// Another pipeline's, or another program's.
    Other,
    /// Ours, and it can't be understood: one sentence.
    Wrong(String),
    /// Ours.
    Ours(T),
}

/// The headers that every output bears.
struct Stamped {
    id: Uuid,
    event: EventId,
    origin: Origin,
}

fn text<'r>(headers: &'r Headers, name: &str) -> Option<&'r str> {
    header(headers, name).and_then(|value| std::str::from_utf8(value).ok())
}

fn parsed<T: std::str::FromStr>(headers: &Headers, name: &str) -> Result<T, String> {
    let value = text(headers, name).ok_or_else(|| format!("it has no header `{name}`"))?;
    value.parse().map_err(|_| format!("its header `{name}` can't be read"))
}

/// The stamp of an output of that kind, if the pipeline made it.
fn stamped(record: &Record, whose: Whose<'_>, kind: &str) -> Made<Stamped> {
    let headers = &record.headers;
    let source = text(headers, "ce_source").and_then(|source| source.strip_prefix("vivremotion/"));
    if source != Some(whose.pipeline) || text(headers, "ce_type") != Some(kind) {
        return Made::Other;
    }
    let read = || {
        Ok(Stamped {
            id: parsed(headers, "ce_id")?,
            event: parsed(headers, "vivremotion.event_id")?,
            origin: parsed(headers, "vivremotion.origin")?,
        })
    };
    match read() {
        Ok(stamped) => Made::Ours(stamped),
        Err(wrong) => Made::Wrong(wrong),
    }
}

/// Whether the pipeline made it, by its source: nothing else is looked at.
pub fn is_of(record: &Record, whose: Whose<'_>) -> bool {
    let source = text(&record.headers, "ce_source");
    source.and_then(|source| source.strip_prefix("vivremotion/")) == Some(whose.pipeline)
}

/// Digest of some bytes: enough to see that they are others.
pub fn digest(parts: &[&[u8]]) -> u64 {
    Digest::of(parts).0.as_u64_pair().1
}

/// Digest of a record's key and value.
pub fn bytes_of(record: &Record) -> u64 {
    let part = |bytes: &Option<bytes::Bytes>| match bytes {
        Some(bytes) => bytes.clone(),
        None => bytes::Bytes::from_static(b"\0none"),
    };
    digest(&[&part(&record.key), &part(&record.value)])
}

fn key_of(record: &Record) -> Option<u64> {
    record.key.as_ref().map(|key| digest(&[key]))
}

/// A record of the sink, or of the topic of failed results. `value` is none where values are the user's own.
pub fn answer(record: &Record, value: Option<&Value>, whose: Whose<'_>) -> Made<Answer> {
    let stamped = match stamped(record, whose, "vivremotion.result") {
        Made::Ours(stamped) => stamped,
        Made::Other => return Made::Other,
        Made::Wrong(wrong) => return Made::Wrong(wrong),
    };
    let Stamped { id, event, origin } = stamped;
    let due = ResultId::new(event, whose.group, whose.pipeline, "result", 0).0;
    let (spot, key) = (Spot::of(record), key_of(record));
    let Some(value) = value else {
        // The user's value says nothing of the group: its id does.
        if id != due {
            return Made::Other;
        }
        let content = record.value.as_ref().map_or(0, |value| digest(&[value]));
        let replay = text(&record.headers, "vivremotion.replay_of").is_some();
        let status = Status::Completed;
        let (total, wrong) = (None, None);
        let answer = Answer { spot, event, origin, replay, status, key, total, content, wrong };
        return Made::Ours(answer);
    };
    let field = |name: &str| value.get(name).and_then(Value::as_str);
    if field("group").is_some_and(|group| group != whose.group) {
        return Made::Other;
    }
    let wrong = match () {
        () if id != due => Some("its id is not that of its event, group and pipeline"),
        () if field("id") != Some(&id.to_string()) => {
            Some("its id differs from that in its header")
        }
        () if field("event_id") != Some(&event.to_string()) => {
            Some("its event id differs from that in its header")
        }
        () if !says(value, &origin) => Some("its origin differs from that in its header"),
        () => None,
    };
    let status = match field("status") {
        Some("completed") => Status::Completed,
        Some("failed") => Status::Failed,
        _ => return Made::Wrong("its status is neither `completed` nor `failed`".to_owned()),
    };
    let amount = match field("amount").map(str::parse::<Money>) {
        None => Money::ZERO,
        Some(Ok(amount)) => amount,
        Some(Err(error)) => return Made::Wrong(format!("its amount: {error}")),
    };
    let unpriced = value.get("unpriced_calls").and_then(Value::as_i64).unwrap_or(0);
    let outputs = value.get("outputs").map(Value::to_string).unwrap_or_default();
    Made::Ours(Answer {
        spot,
        event,
        origin,
        replay: field("replay_of").is_some(),
        status,
        key,
        total: Some((amount, unpriced)),
        content: digest(&[outputs.as_bytes()]),
        wrong: wrong.map(str::to_owned),
    })
}

fn says(value: &Value, origin: &Origin) -> bool {
    let of = |name: &str| value.get("origin").and_then(|origin| origin.get(name));
    of("topic").and_then(Value::as_str) == Some(&origin.topic)
        && of("partition").and_then(Value::as_i64) == Some(i64::from(origin.partition))
        && of("offset").and_then(Value::as_i64) == Some(origin.offset)
}

/// A record of the dead letter topic.
pub fn letter(record: &Record, whose: Whose<'_>) -> Made<Letter> {
    let headers = &record.headers;
    if text(headers, "vivremotion.pipeline") != Some(whose.pipeline)
        || text(headers, "vivremotion.group") != Some(whose.group)
    {
        return Made::Other;
    }
    let read = || {
        Ok(Letter {
            spot: Spot::of(record),
            event: parsed(headers, "vivremotion.event_id")?,
            origin: parsed(headers, "vivremotion.origin")?,
            input: (
                parsed(headers, "__connect.errors.partition")?,
                parsed(headers, "__connect.errors.offset")?,
            ),
            key: key_of(record),
            bytes: text(headers, OMITTED).is_none().then(|| bytes_of(record)),
        })
    };
    read().map_or_else(Made::Wrong, Made::Ours)
}

/// A record of the cost topic.
pub fn charge(record: &Record, value: &Value, whose: Whose<'_>) -> Made<Charge> {
    let Stamped { id, event, origin } = match stamped(record, whose, "vivremotion.cost") {
        Made::Ours(stamped) => stamped,
        Made::Other => return Made::Other,
        Made::Wrong(wrong) => return Made::Wrong(wrong),
    };
    let field = |name: &str| value.get(name).and_then(Value::as_str);
    if field("event_id") != Some(&event.to_string()) || field("id") != Some(&id.to_string()) {
        return Made::Wrong("its ids differ from those in its headers".to_owned());
    }
    let amount = match field("amount").map(str::parse::<Money>).transpose() {
        Ok(amount) => amount,
        Err(error) => return Made::Wrong(format!("its amount: {error}")),
    };
    let adjusts = match field("adjusts").map(str::parse::<Uuid>).transpose() {
        Ok(adjusts) => adjusts,
        Err(_) => return Made::Wrong("`adjusts` is no id of an attempt".to_owned()),
    };
    let number = |name: &str| value.get(name).and_then(Value::as_i64);
    let item = number("item").map(|item| format!("/{item}")).unwrap_or_default();
    let stage = field("stage").unwrap_or("-");
    Made::Ours(Charge {
        spot: Spot::of(record),
        event,
        origin,
        attempt: id,
        adjusts,
        amount,
        unsettled: field("price_status") == Some("unsettled"),
        call: format!("{event}/{stage}{item}"),
        tokens: tokens(value),
    })
}

/// Tokens asked and answered by the lines of a cost event.
fn tokens(value: &Value) -> Option<(u64, u64)> {
    let lines = value.get("lines")?.as_array()?;
    let (mut asked, mut answered) = (0, 0);
    for line in lines {
        let quantity = line.get("quantity").and_then(Value::as_u64).unwrap_or(0);
        match line.get("unit").and_then(Value::as_str) {
            Some("input_tokens" | "cache_read_tokens" | "cache_write_tokens") => asked += quantity,
            Some("output_tokens" | "reasoning_tokens") => answered += quantity,
            _ => {}
        }
    }
    Some((asked, answered))
}

/// An entry of the journal.
pub enum Told {
    /// That partition was given to that run.
    Opened(i32, u64),
    /// Something of a call.
    Call(Call),
}

/// What a record of the journal tells of that topic.
pub fn told(record: &Record, source: &str) -> Result<Vec<Told>, String> {
    // Several pipelines of a group share a journal, each with a topic of its own.
    let ours = |entry: &Entry| *entry.place.topic == *source;
    let told = |entry: Entry| match entry.what {
        What::Opened => Some(Told::Opened(entry.place.partition, entry.run)),
        _ => call(record, entry).map(Told::Call),
    };
    let entries = journal::record::read(record)?;
    Ok(entries.into_iter().filter(ours).filter_map(told).collect())
}

fn call(record: &Record, entry: Entry) -> Option<Call> {
    let Entry { place, event, run, what } = entry;
    let (event, input) = (event?, (place.partition, place.offset?));
    let what = match what {
        What::Intent(intent) => {
            CallWhat::Intent { attempt: intent.attempt.0, started_at: intent.started_at }
        }
        What::Withdrawn { attempt } => CallWhat::Withdrawn { attempt: attempt.0 },
        What::Outcome(Outcome { attempt, answer }) => CallWhat::Outcome {
            attempt: attempt.as_ref().map(|attempt| attempt.id.0),
            amount: attempt.as_ref().and_then(|attempt| attempt.amount),
            started_at: attempt.as_ref().map_or(0, |attempt| attempt.started_at),
            answer: answer.map(|answer| Answered {
                place: digest(&[
                    answer.stage.as_bytes(),
                    &answer.item.unwrap_or(u32::MAX).to_le_bytes(),
                    answer.operation.as_bytes(),
                    &answer.ordinal.to_le_bytes(),
                ]),
                digest: digest(&[answer.digest.0.as_bytes()]),
            }),
        },
        What::Part(_) | What::Start { .. } | What::Ended => CallWhat::Other,
        What::Opened | What::Closed => CallWhat::Other,
    };
    Some(Call { spot: Spot::of(record), event, input, run, what })
}

/// A record of a topic that stages publish to.
pub fn published(record: &Record, whose: Whose<'_>) -> Made<Published> {
    match stamped(record, whose, "vivremotion.published") {
        Made::Ours(Stamped { id, event, origin }) => {
            Made::Ours(Published { spot: Spot::of(record), event, origin, id })
        }
        Made::Other => Made::Other,
        Made::Wrong(wrong) => Made::Wrong(wrong),
    }
}
