//! Entries of one input that are written together: they share records, in their order, but for intents, which may stand
//! later. What is told becomes text where it happens, and is copied once, to the end of what stands there already.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::entry::{About, Answer, Intent, Outcome, Part, What};
use super::record;
use crate::base::json::{Put, Unwritable, begin, fields, object};
use crate::event::cost::{Attempt, Word};
use crate::event::ids::{AttemptId, Digest};
use crate::stream::{Output, TopicPartition};

/// Longest answer that stands in its outcome, bytes of JSON text. A longer one is written in [`Part`]s before it, and the
/// outcome names it by its digest: a record must stay below the million bytes that brokers take by default, also when
/// every character of the text has to be escaped.
const INLINE: usize = 384 << 10;
/// Bytes that entries share a record up to.
const SHARED: usize = 64 << 10;
/// What comes around the entries of a record is less than this.
const AROUND: usize = 64;
/// What an intent takes, about.
const INTENT: usize = 384;
/// What an outcome takes without a long answer, about.
const OUTCOME: usize = 1_536;

/// What is told: text, or what is likely not to be written and becomes text only if it is.
pub enum Told {
    /// A request is about to leave: of no interest to who is told, in the same batch, how its attempt ended.
    Intent(About, Intent),
    /// How an attempt ended, or what was answered.
    Outcome {
        /// The attempt.
        attempt: Option<AttemptId>,
        /// The parts of an answer that is too long to stand in it.
        parts: Vec<Vec<u8>>,
        /// The outcome.
        text: Vec<u8>,
    },
    /// Anything else.
    Other(Vec<u8>),
}

impl Told {
    /// That this happened.
    pub fn new(about: About, what: What) -> Told {
        match what {
            What::Intent(intent) => Told::Intent(about, intent),
            What::Outcome(Outcome { attempt, answer }) => {
                let mut draft = Draft::new(attempt.as_deref());
                if let Some(answer) = answer
                    && let Some(value) = &answer.value
                {
                    draft.answer(&Question::of(&answer), value);
                }
                draft.told(about)
            }
            rare => Told::Other(text(about, &rare, INTENT)),
        }
    }

    /// Entries that it is.
    pub fn entries(&self) -> usize {
        match self {
            Told::Outcome { parts, .. } => parts.len() + 1,
            _ => 1,
        }
    }

    /// Bytes, or about so many.
    pub fn bytes(&self) -> usize {
        match self {
            Told::Intent(..) => INTENT,
            Told::Outcome { parts, text, .. } => {
                parts.iter().map(Vec::len).sum::<usize>() + text.len()
            }
            Told::Other(text) => text.len(),
        }
    }
}

fn text(about: About, what: &What, room: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(room);
    let put = |out: &mut Vec<u8>| -> Result<(), Unwritable> {
        object!(out; "what": what, "at"?: about.offset, "event"?: about.event)
    };
    // A value of plain fields always has a JSON form.
    drop(put(&mut text));
    text
}

/// What an answer is to.
pub struct Question<'a> {
    /// The stage.
    pub stage: &'a str,
    /// Item of an `each`.
    pub item: Option<u32>,
    /// GenAI operation.
    pub operation: Word,
    /// Ordinal of the success among those of the same stage, item and operation, from 0.
    pub ordinal: u32,
    /// Digest of the request as asked.
    pub digest: Digest,
}

impl<'a> Question<'a> {
    fn of(answer: &'a Answer) -> Self {
        let Answer { stage, item, operation, ordinal, digest, .. } = answer;
        let (item, operation, ordinal, digest) = (*item, *operation, *ordinal, *digest);
        Question { stage, item, operation, ordinal, digest }
    }
}

/// The text of an outcome as it comes to be: first how the attempt ended, then what it was answered.
pub struct Draft {
    attempt: Option<AttemptId>,
    text: Vec<u8>,
    /// An answer that is too long, and its digest.
    long: Option<(Digest, String)>,
}

impl Draft {
    /// Of that attempt; none for what costs nothing.
    pub fn new(attempt: Option<&Attempt>) -> Self {
        let mut text = Vec::with_capacity(OUTCOME);
        text.extend_from_slice(br#"{"what":{"outcome":{"#);
        if let Some(attempt) = attempt {
            text.extend_from_slice(br#""attempt":"#);
            // A value of plain fields always has a JSON form.
            drop(attempt.put(&mut text));
        }
        Draft { attempt: attempt.map(|attempt| attempt.id), text, long: None }
    }

    /// With that value as the answer; without, should it have no JSON form.
    pub fn answer(&mut self, question: &Question<'_>, value: &impl Serialize) {
        let before = self.text.len();
        if self.put(question, value).is_err() {
            self.text.truncate(before);
        }
    }

    fn put(&mut self, question: &Question<'_>, value: &impl Serialize) -> Result<(), Unwritable> {
        let out = &mut self.text;
        out.extend_from_slice(if self.attempt.is_some() {
            br#","answer":"#
        } else {
            br#""answer":"#
        });
        begin!(out;
            "stage": question.stage,
            "item"?: question.item,
            "operation": question.operation,
            "ordinal": question.ordinal,
            "digest": question.digest
        );
        let place = out.len();
        out.extend_from_slice(br#","value":"#);
        let at = out.len();
        serde_json::to_writer(&mut *out, value).map_err(|error| Unwritable(error.to_string()))?;
        if out.len() - at > INLINE {
            let value = String::from_utf8(out.split_off(at));
            let value = value.map_err(|error| Unwritable(error.to_string()))?;
            out.truncate(place);
            let of = Digest::of_answer(&value);
            fields!(out; "parts": of);
            self.long = Some((of, value));
        }
        self.text.push(b'}');
        Ok(())
    }

    /// That it happened.
    pub fn told(self, about: About) -> Told {
        let Draft { attempt, mut text, long } = self;
        let put = |out: &mut Vec<u8>| -> Result<(), Unwritable> {
            out.extend_from_slice(b"}}");
            fields!(out; "at"?: about.offset, "event"?: about.event);
            out.push(b'}');
            Ok(())
        };
        // Numbers have a JSON form.
        drop(put(&mut text));
        let parts = long.map(|(of, value)| parts(about, of, &value)).unwrap_or_default();
        Told::Outcome { attempt, parts, text }
    }
}

fn parts(about: About, of: Digest, value: &str) -> Vec<Vec<u8>> {
    let part = |(part, index): (&str, u32)| {
        let what = What::Part(Part { of, index, text: part.to_owned() });
        text(about, &what, part.len() + INTENT)
    };
    cut(value).zip(0..).map(part).collect()
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

/// See the module. It is used again for what is told later, of whatever input: room that is there already costs less
/// than new one, which the system has to clear.
pub struct Batch {
    run: u64,
    /// Records that have no room for more.
    full: Vec<Vec<u8>>,
    /// The one that has.
    open: Vec<u8>,
    /// Requests whose attempts may still end beside them.
    begun: Vec<(About, Intent)>,
    ended: Vec<AttemptId>,
}

impl Batch {
    /// Of what that run tells.
    pub fn new(run: u64) -> Self {
        let (full, open, begun, ended) = Default::default();
        Batch { run, full, open, begun, ended }
    }

    /// Takes in what is told next. An intent may come to stand behind outcomes of other attempts that followed it.
    pub fn push(&mut self, told: Told) {
        match told {
            Told::Intent(about, intent) => self.begun.push((about, intent)),
            Told::Outcome { attempt, parts, text } => {
                self.ended.extend(attempt);
                parts.iter().for_each(|part| self.put(part));
                self.put(&text);
            }
            // That an event has ended, say, undoes what was begun before it, and not what is begun after it.
            Told::Other(text) => {
                self.put_begun();
                self.put(&text);
            }
        }
    }

    fn put(&mut self, text: &[u8]) {
        if !self.open.is_empty() && self.open.len() + text.len() > SHARED {
            // Where one is full the next may be.
            let next = Vec::with_capacity(SHARED + AROUND);
            self.full.push(std::mem::replace(&mut self.open, next));
        }
        match self.open.is_empty() {
            true => {
                self.open.reserve(text.len() + AROUND);
                self.open.extend_from_slice(record::head(self.run).as_bytes());
            }
            false => self.open.push(b','),
        }
        self.open.extend_from_slice(text);
    }

    /// Who is told of an attempt's end need not be told that it began.
    fn put_begun(&mut self) {
        if self.begun.is_empty() {
            return;
        }
        self.ended.sort_unstable();
        let mut begun = std::mem::take(&mut self.begun);
        for (about, intent) in begun.drain(..) {
            if self.ended.binary_search(&intent.attempt).is_err() {
                self.put(&text(about, &What::Intent(intent), INTENT));
            }
        }
        self.begun = begun;
    }

    /// As records of that partition of the journal, about that input. It is empty then.
    pub fn records(&mut self, home: (&Arc<str>, i32), input: &TopicPartition) -> Vec<Output> {
        self.put_begun();
        self.ended.clear();
        let (journal, partition) = home;
        let key = Bytes::from(input.to_string());
        let output = |mut value: Vec<u8>| {
            value.extend_from_slice(record::TAIL.as_bytes());
            Output {
                topic: Arc::clone(journal),
                partition: Some(partition),
                key: Some(key.clone()),
                value: Some(Bytes::from(value)),
                headers: Vec::new(),
                timestamp: None,
            }
        };
        let (full, open) = (std::mem::take(&mut self.full), std::mem::take(&mut self.open));
        full.into_iter().chain((!open.is_empty()).then_some(open)).map(output).collect()
    }

    /// Takes back the room of a record that was written, if nobody holds it.
    pub fn reuse(&mut self, record: Output) {
        let room = record.value.and_then(|value| value.try_into_mut().ok());
        if let Some(mut room) = room
            && room.capacity() <= 2 * SHARED
        {
            room.clear();
            self.open = room.into();
        }
    }
}

#[cfg(test)]
mod tests;
