//! How entries stand in the journal's records: JSON, so that an operator can read them; a version in each, so that a
//! later engine reads what an earlier one wrote.
//!
//! Entries of one input partition that are written together share a record, in their order: a record costs as much as
//! many bytes. Its key is `<topic>/<partition>` of the input.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::entry::{Entry, Outcome, Part, Place, What};
use crate::base::json::{Put, Unwritable, object};
use crate::event::ids::{AttemptId, Digest, EventId};
use crate::stream::{Output, Record, TopicPartition};

/// The version that is written.
const VERSION: u8 = 1;
/// Longest answer that stands in its outcome, bytes of JSON text. A longer one is written in [`Part`]s before it, and the
/// outcome names it by its digest: a record must stay below the million bytes that brokers take by default, also when
/// every character of the text has to be escaped.
const INLINE: usize = 384 << 10;
/// Bytes that entries share a record up to.
const SHARED: usize = 64 << 10;
/// What an intent takes.
const INTENT: usize = 384;

/// An entry as text, or one that is likely not to be written: made into text only if it is.
pub struct Piece {
    tells: Tells,
    text: Text,
}

enum Text {
    Ready(Vec<u8>),
    Later { at: Option<i64>, event: Option<EventId>, what: Box<What> },
}

/// What of an attempt.
enum Tells {
    Begun(AttemptId),
    Ended(AttemptId),
    Other,
}

struct Written<'a> {
    at: Option<i64>,
    event: Option<EventId>,
    what: &'a What,
}

impl Put for Written<'_> {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        object!(out; "what": self.what, "at"?: self.at, "event"?: self.event)
    }
}

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

impl Piece {
    /// Bytes, or about so many.
    pub fn size(&self) -> usize {
        match &self.text {
            Text::Ready(json) => json.len(),
            Text::Later { .. } => INTENT,
        }
    }
}

/// An entry as texts: one, and before it the parts of an answer that is too long for it.
pub fn pieces(entry: Entry) -> Vec<Piece> {
    let Entry { place: Place { offset: at, .. }, event, mut what, .. } = entry;
    if let What::Intent(intent) = &what {
        let tells = Tells::Begun(intent.attempt);
        return vec![Piece { tells, text: Text::Later { at, event, what: Box::new(what) } }];
    }
    let piece = |what: &What| {
        let (tells, usual) = match what {
            What::Outcome(Outcome { attempt: Some(attempt), answer }) => {
                let value = answer.as_ref().and_then(|answer| answer.value.as_ref());
                (Tells::Ended(attempt.id), 1_280 + value.map_or(0, |value| value.get().len()))
            }
            _ => (Tells::Other, 256),
        };
        let mut json = Vec::with_capacity(usual);
        // A value of plain fields always has a JSON form.
        drop(Written { at, event, what }.put(&mut json));
        Piece { tells, text: Text::Ready(json) }
    };
    let mut all = Vec::with_capacity(1);
    if let What::Outcome(Outcome { answer: Some(answer), .. }) = &mut what
        && let Some(value) = answer.value.take_if(|value| value.get().len() > INLINE)
    {
        let of = Digest::of_answer(value.get());
        answer.parts = Some(of);
        let part = |(text, index): (&str, u32)| Part { of, index, text: text.to_owned() };
        all.extend(cut(value.get()).zip(0..).map(|cut| piece(&What::Part(part(cut)))));
    }
    all.push(piece(&what));
    all
}

/// Entries of that input, told by that run, as records of that partition of the journal. Who is told of an attempt's end
/// need not be told that it began.
pub fn records(
    home: (&Arc<str>, i32),
    input: &TopicPartition,
    run: u64,
    pieces: &[Piece],
) -> Vec<Output> {
    let ended = |piece: &Piece| match piece.tells {
        Tells::Ended(attempt) => Some(attempt),
        _ => None,
    };
    let mut ended: Vec<AttemptId> = pieces.iter().filter_map(ended).collect();
    ended.sort_unstable();
    let needed = |piece: &&Piece| match piece.tells {
        Tells::Begun(attempt) => ended.binary_search(&attempt).is_err(),
        _ => true,
    };
    let mut outputs = Vec::new();
    let mut value = Vec::new();
    let mut late = Vec::new();
    let mut left: usize = pieces.iter().filter(needed).map(|piece| piece.size() + 1).sum();
    for piece in pieces.iter().filter(needed) {
        let text = match &piece.text {
            Text::Ready(json) => json,
            Text::Later { at, event, what } => {
                late.clear();
                drop(Written { at: *at, event: *event, what }.put(&mut late));
                &late
            }
        };
        if !value.is_empty() && value.len() + text.len() > SHARED {
            outputs.push(std::mem::take(&mut value));
        }
        match value.is_empty() {
            true => {
                // What comes around the entries is less than one of them.
                value.reserve(left.min(SHARED) + INTENT);
                value.extend_from_slice(head(run).as_bytes());
            }
            false => value.push(b','),
        }
        value.extend_from_slice(text);
        left = left.saturating_sub(piece.size() + 1);
    }
    outputs.push(value);
    let (journal, partition) = home;
    let key = Bytes::from(input.to_string());
    let output = |mut value: Vec<u8>| {
        value.extend_from_slice(b"]}");
        Output {
            topic: Arc::clone(journal),
            partition: Some(partition),
            key: Some(key.clone()),
            value: Some(Bytes::from(value)),
            headers: Vec::new(),
            timestamp: None,
        }
    };
    outputs.into_iter().filter(|value| !value.is_empty()).map(output).collect()
}

fn head(run: u64) -> String {
    format!(r#"{{"v":{VERSION},"run":"{run:016x}","entries":["#)
}

/// A record's entries, each in a record of its own; none when it has but one.
pub fn apart(output: &Output) -> Option<Vec<Output>> {
    let Texts { run, entries } = serde_json::from_slice(output.value.as_ref()?).ok()?;
    let head = head(u64::from_str_radix(&run, 16).ok()?);
    let one = |text: Box<RawValue>| {
        let value = format!("{head}{}]}}", text.get());
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

/// A text in pieces of at most [`INLINE`] bytes.
fn cut(text: &str) -> impl Iterator<Item = &str> {
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
