//! What a partition's journal says of the events that are not committed: pure, a fold over entries in their order.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::value::RawValue;

use super::entry::{Answer, Entry, Intent, Outcome, Part, What};
use crate::event::cost::Attempt;
use crate::event::ids::{Digest, EventId};
use crate::event::usage::Usage;

/// Bytes of answers that one partition's memory may hold. Far above what an engine has in flight; a group whose offsets
/// an operator has set back meets it.
const MAX_BYTES: usize = 256 << 20;
/// Long answers whose outcome has not come yet.
const MAX_OPEN_PARTS: usize = 1_024;

/// The place of an answer, and what was asked there.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Slot {
    stage: Arc<str>,
    item: Option<u32>,
    operation: &'static str,
    ordinal: u32,
    digest: Digest,
}

/// What is known of one event.
#[derive(Clone, Debug)]
pub struct Recalled {
    /// The event: an input topic that was made again has other events at the same offsets.
    pub event: EventId,
    answers: HashMap<Slot, Arc<RawValue>>,
    ended: Vec<Attempt>,
    open: Vec<Intent>,
    begun: BTreeSet<u64>,
    alone: BTreeSet<u64>,
}

impl Recalled {
    fn new(event: EventId) -> Self {
        Recalled {
            event,
            answers: HashMap::new(),
            ended: Vec::new(),
            open: Vec::new(),
            begun: BTreeSet::new(),
            alone: BTreeSet::new(),
        }
    }

    /// The answer to that question, if it was given.
    pub fn answer(
        &self,
        stage: &Arc<str>,
        item: Option<u32>,
        operation: &'static str,
        ordinal: u32,
        digest: Digest,
    ) -> Option<&Arc<RawValue>> {
        let stage = Arc::clone(stage);
        self.answers.get(&Slot { stage, item, operation, ordinal, digest })
    }

    /// Every attempt that was begun, those without a known outcome as charges of their ceiling.
    pub fn attempts(&self) -> Vec<Attempt> {
        let open = self.open.iter().map(unsettled);
        self.ended.iter().cloned().chain(open).collect()
    }

    /// Processes that died while it ran, as far as they got to write it down.
    pub fn deaths(&self) -> usize {
        self.begun.len()
    }

    /// Processes that died while it ran alone.
    pub fn alone(&self) -> usize {
        self.alone.len()
    }

    /// Calls that were answered, and attempts without a known outcome.
    pub fn counts(&self) -> (usize, usize) {
        (self.answers.len(), self.open.len())
    }
}

/// A call of which nobody knows whether it was answered: charged at its ceiling, to be corrected later.
fn unsettled(intent: &Intent) -> Attempt {
    Attempt {
        id: intent.attempt,
        stage: Arc::clone(&intent.stage),
        item: intent.item,
        number: 0,
        operation: intent.operation,
        provider: Arc::clone(&intent.provider),
        account: Arc::clone(&intent.account),
        request_model: Arc::clone(&intent.model),
        response_model: None,
        provider_request_id: None,
        batch_id: None,
        usage: Usage::default(),
        amount: intent.ceiling,
        lines: Vec::new(),
        price_status: if intent.ceiling.is_some() { "unsettled" } else { "unpriced" },
        catalogue: intent.catalogue.clone(),
        outcome: "unknown".into(),
        finish_reason: None,
        started_at: intent.started_at,
        duration_us: 0,
        ttfc_us: None,
        decision: None,
    }
}

/// What a partition's journal says of its unfinished events, by the offset of their records.
#[derive(Debug, Default)]
pub struct Memory {
    events: BTreeMap<i64, Recalled>,
    parts: HashMap<Digest, Parts>,
    bytes: usize,
    closed: bool,
    forgone: usize,
    answers_only: bool,
}

impl Memory {
    /// For events that may have been committed before: their costs are told already, and nobody died of them.
    pub fn of_answers() -> Self {
        Memory { answers_only: true, ..Memory::default() }
    }

    /// Takes the next entry in. `done` says which offsets need no memory.
    pub fn take(&mut self, entry: Entry, done: impl Fn(i64) -> bool) {
        let Entry { place, event, run, what } = entry;
        self.closed = matches!(what, What::Closed);
        let Some((offset, event)) = place.offset.zip(event) else {
            if self.closed {
                self.forgive(run);
            }
            return;
        };
        if done(offset) {
            return;
        }
        let recalled = self.events.entry(offset).or_insert_with(|| Recalled::new(event));
        if recalled.event != event {
            *recalled = Recalled::new(event);
        }
        match what {
            What::Intent(intent) => {
                recalled.begun.insert(run);
                recalled.open.push(intent);
            }
            What::Start { cohort } => {
                recalled.begun.insert(run);
                if cohort == 1 {
                    recalled.alone.insert(run);
                }
            }
            What::Ended => {
                recalled.begun.remove(&run);
                recalled.alone.remove(&run);
            }
            What::Outcome(Outcome { attempt, answer }) => {
                if let Some(attempt) = attempt {
                    // Its intent is left out where both were written together.
                    recalled.begun.insert(run);
                    recalled.open.retain(|intent| intent.attempt != attempt.id);
                    // A record that was sent twice tells of the same attempt.
                    if recalled.ended.iter().all(|ended| ended.id != attempt.id) {
                        recalled.ended.push(*attempt);
                    }
                }
                let answer = answer.and_then(|answer| answered(answer, &mut self.parts));
                if let Some((slot, value)) = answer {
                    match self.bytes + value.get().len() <= MAX_BYTES {
                        true => {
                            self.bytes += value.get().len();
                            recalled.answers.insert(slot, value);
                        }
                        false => self.forgone += 1,
                    }
                }
            }
            What::Withdrawn { attempt } => {
                recalled.open.retain(|intent| intent.attempt != attempt);
            }
            What::Part(part) => {
                if self.parts.len() >= MAX_OPEN_PARTS {
                    // Of processes that died between a part and its outcome.
                    self.parts.clear();
                }
                self.parts.entry(part.of).or_default().take(&part);
            }
            What::Opened | What::Closed => {}
        }
    }

    /// What a process had begun did not kill it.
    fn forgive(&mut self, run: u64) {
        for recalled in self.events.values_mut() {
            recalled.begun.remove(&run);
            recalled.alone.remove(&run);
        }
    }

    /// What is known of the event at that offset; it is asked once.
    pub fn recall(&mut self, offset: i64) -> Option<Arc<Recalled>> {
        let mut recalled = self.events.remove(&offset)?;
        if self.answers_only {
            recalled = Recalled { answers: recalled.answers, ..Recalled::new(recalled.event) };
        }
        Some(Arc::new(recalled))
    }

    /// Every attempt that it tells of, those without a known outcome as charges of their ceiling.
    pub fn attempts(&self) -> impl Iterator<Item = Attempt> {
        self.events.values().flat_map(Recalled::attempts)
    }

    /// What is known of each event, by the offset of its record.
    pub fn events(&self) -> impl Iterator<Item = (i64, &Recalled)> {
        self.events.iter().map(|(offset, recalled)| (*offset, recalled))
    }

    /// Forgets events.
    pub fn forget(&mut self, which: impl Fn(i64) -> bool) {
        self.events.retain(|offset, _| !which(*offset));
    }

    /// Forgets events below an offset that will not come any more.
    pub fn forget_below(&mut self, offset: i64) {
        if self.events.first_key_value().is_some_and(|(first, _)| *first < offset) {
            self.events = self.events.split_off(&offset);
        }
    }

    /// Whether there is nothing left to recall.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Whether who had the partition last gave it up in order.
    pub fn closed(&self) -> bool {
        self.closed
    }

    /// Answers that were too much to hold: their calls will be paid again.
    pub fn forgone(&self) -> usize {
        self.forgone
    }

    /// Unfinished events, answers, and attempts without a known outcome.
    pub fn counts(&self) -> (usize, usize, usize) {
        let each = self.events.values().map(Recalled::counts);
        each.fold((self.events.len(), 0, 0), |(events, answers, open), (a, o)| {
            (events, answers + a, open + o)
        })
    }
}

/// The text of a long answer, as far as it has come.
#[derive(Debug, Default)]
struct Parts {
    text: String,
    next: u32,
}

impl Parts {
    fn take(&mut self, part: &Part) {
        if part.index == 0 {
            *self = Parts::default();
        }
        if part.index == self.next && self.text.len() + part.text.len() <= MAX_BYTES {
            self.text.push_str(&part.text);
            self.next += 1;
        }
    }
}

/// The answer with its value, also when that stands in parts; none when some of them are missing.
fn answered(answer: Answer, parts: &mut HashMap<Digest, Parts>) -> Option<(Slot, Arc<RawValue>)> {
    let Answer { stage, item, operation, ordinal, digest, value, parts: of } = answer;
    let value = match (value, of) {
        (Some(value), _) => value,
        (None, Some(of)) => {
            let Parts { text, .. } = parts.remove(&of)?;
            let whole = Digest::of_answer(&text) == of;
            Arc::from(RawValue::from_string(text).ok().filter(|_| whole)?)
        }
        (None, None) => return None,
    };
    Some((Slot { stage, item, operation, ordinal, digest }, value))
}
