//! The journal as one event sees it: what was answered before, and where its own calls are written down.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::batch::{Draft, Question};
use super::book::Book;
use super::entry::{About, Intent, What};
use super::memory::Recalled;
use crate::event::cost::Attempt;
use crate::event::ids::{AttemptId, Digest, EventId, StageKey};
use crate::stream::StreamError;

/// How long a dead letter waits for the journal.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);
/// Records that may come to stand between those of an event that wait to be written.
const GENEROUS: i64 = 1_000;

/// What the events of a partition share of the journal.
#[derive(Clone)]
pub struct Binding {
    /// Where entries are written.
    pub book: Book,
    /// Whether a request waits until its intent is durable.
    pub strict: bool,
    /// Offset of the input record.
    pub offset: i64,
    /// Where the first entry of this run may stand in the journal.
    pub from: i64,
    /// What the journal says of it.
    pub recalled: Option<Arc<Recalled>>,
}

impl Binding {
    /// Where everything stands that was written of the event until now, for a replay. Where some of it is on its way it
    /// waits until that is written; of a journal that takes longer than that the end is a guess, and a generous one.
    pub async fn range(&self) -> Range {
        let (book, writer) = (&self.book, self.book.writer());
        let known = book.pending() == 0 || timeout(WRITTEN_WITHIN, writer.settled()).await.is_ok();
        let unknown = match known {
            true => 0,
            false => GENEROUS + i64::try_from(writer.pending()).unwrap_or(0),
        };
        let until = (book.end() + unknown).max(self.from);
        Range { partition: book.home(), from: self.from, until }
    }
}

/// A part of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Partition.
    pub partition: i32,
    /// First offset.
    pub from: i64,
    /// One past the last offset.
    pub until: i64,
}

/// `<partition>/<from>-<until>`, as in the header of dead letters and replays.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}-{}", self.partition, self.from, self.until)
    }
}

impl FromStr for Range {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "expected `<partition>/<from>-<until>`";
        let (partition, range) = text.split_once('/').ok_or(wrong)?;
        let (from, until) = range.split_once('-').ok_or(wrong)?;
        let partition = partition.parse().map_err(|_| wrong)?;
        let (from, until) = (from.parse().map_err(|_| wrong)?, until.parse().map_err(|_| wrong)?);
        let sound = partition >= 0 && (0..=until).contains(&from);
        sound.then_some(Range { partition, from, until }).ok_or(wrong)
    }
}

/// The journal of one event; without a binding it remembers nothing and writes nothing.
#[derive(Default)]
pub struct Pages {
    bound: Option<(Binding, EventId)>,
    open: Mutex<Open>,
}

/// What has been done of the event so far.
#[derive(Default)]
struct Open {
    /// How many successes there were at each place.
    successes: BTreeMap<Slot, u32>,
    /// Successful attempts whose answers are about to be kept: one entry tells of both.
    ended: Vec<Kept>,
}

impl Open {
    /// How many successes there were at that place.
    fn successes(&mut self, slot: Slot) -> &mut u32 {
        self.successes.entry(slot).or_insert(0)
    }
}

/// Where a call stands in its event.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    item: Option<u32>,
    operation: &'static str,
    stage: Arc<str>,
}

impl Slot {
    fn of(key: &StageKey, operation: &'static str) -> Self {
        Slot { item: key.item, operation, stage: Arc::clone(&key.stage) }
    }
}

/// What is told of a success until its answer is kept.
struct Kept {
    slot: Slot,
    draft: Draft,
}

impl Pages {
    /// Of an event that is not journaled.
    pub fn none() -> Self {
        Pages::default()
    }

    /// Of that event. What was recalled counts only if it is of the same one.
    pub fn new(mut binding: Binding, event: EventId) -> Self {
        binding.recalled = binding.recalled.filter(|recalled| recalled.event == event);
        Pages { bound: Some((binding, event)), open: Mutex::default() }
    }

    /// Attempts of earlier runs of the event: they are billed with it.
    pub fn recovered(&self) -> Vec<Attempt> {
        let recalled = self.bound.as_ref().and_then(|(binding, _)| binding.recalled.as_ref());
        recalled.map(|recalled| recalled.attempts()).unwrap_or_default()
    }

    /// The answer that was given to that question at that place; where there is none asks, and keeps what is answered.
    /// `ask` should be small or boxed: it is part of the future twice.
    pub async fn once<T: Serialize + DeserializeOwned, E>(
        &self,
        key: &StageKey,
        operation: &'static str,
        digest: Digest,
        ask: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        if self.bound.is_none() {
            return ask.await;
        }
        if let Some(answer) = self.recall(key, operation, digest) {
            return Ok(answer);
        }
        let answer = ask.await?;
        self.keep(key, operation, digest, &answer);
        Ok(answer)
    }

    /// The answer that was given to that question at that place, if it was.
    fn recall<T: DeserializeOwned>(
        &self,
        key: &StageKey,
        operation: &'static str,
        digest: Digest,
    ) -> Option<T> {
        let recalled = self.bound.as_ref()?.0.recalled.as_ref()?;
        let mut open = self.open();
        let ordinal = open.successes(Slot::of(key, operation));
        let value = recalled.answer(&key.stage, key.item, operation, *ordinal, digest)?;
        // What can't be read any more is asked again.
        let value = serde_json::from_str(value.get()).ok()?;
        *ordinal += 1;
        Some(value)
    }

    /// Keeps an answer.
    fn keep<T: Serialize>(
        &self,
        key: &StageKey,
        operation: &'static str,
        digest: Digest,
        value: &T,
    ) {
        let Some((binding, about)) = self.bound() else { return };
        let (ordinal, draft) = {
            let mut open = self.open();
            let slot = Slot::of(key, operation);
            let at = open.ended.iter().position(|kept| kept.slot == slot);
            let draft = at.map(|at| open.ended.swap_remove(at).draft);
            let next = open.successes(slot);
            let ordinal = *next;
            *next += 1;
            (ordinal, draft)
        };
        let question = Question { stage: &key.stage, item: key.item, operation, ordinal, digest };
        let mut draft = draft.unwrap_or_else(|| Draft::new(None));
        draft.answer(&question, value);
        binding.book.tell(draft.told(about));
    }

    /// Tells that a request is about to leave; when intents are strict, returns once that is durable.
    pub async fn intend(&self, intent: Intent) -> Result<(), StreamError> {
        let Some((binding, about)) = self.bound() else { return Ok(()) };
        let intent = What::Intent(intent);
        match binding.strict {
            true => binding.book.append_durably(about, intent).await,
            false => {
                binding.book.append(about, intent);
                Ok(())
            }
        }
    }

    /// Tells how an attempt ended. A success waits for its answer to be kept.
    pub fn ended(&self, attempt: &Attempt) {
        let Some((binding, about)) = self.bound() else { return };
        let draft = Draft::new(Some(attempt));
        if attempt.outcome != "ok" {
            return binding.book.tell(draft.told(about));
        }
        let Attempt { stage, item, operation, .. } = attempt;
        let slot = Slot { item: *item, operation, stage: Arc::clone(stage) };
        self.open().ended.push(Kept { slot, draft });
    }

    /// Tells that a request did not leave after all.
    pub fn withdraw(&self, attempt: AttemptId) {
        if let Some((binding, about)) = self.bound() {
            binding.book.append(about, What::Withdrawn { attempt });
        }
    }

    /// The event has run: successes whose answers nobody kept are told, too.
    pub fn close(&self) {
        let Some((binding, about)) = self.bound() else { return };
        let left = std::mem::take(&mut self.open().ended);
        left.into_iter().for_each(|kept| binding.book.tell(kept.draft.told(about)));
    }

    fn bound(&self) -> Option<(&Binding, About)> {
        let (binding, event) = self.bound.as_ref()?;
        Some((binding, About::event(binding.offset, *event)))
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
