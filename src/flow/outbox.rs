//! What waits to be committed, and which of it goes into the next batch. Pure: takes events and time, gives batches and
//! verdicts; it writes nothing.
//!
//! Events leave in the order they completed, so the outputs of a key keep the order of its events (R11); a batch that
//! failed goes back to the front. A batch that the log will never take is halved until the one bad event stands alone.
//! The bad one leaves a gap in its place: later events of its key stay behind it until its dead letter fills it, all
//! others pass.
//!
//! Nothing that the bad event left behind is taken back: what `remember` wrote stays, so the later events of its key read
//! what is there and need not run again. State that is committed with its event would be another matter: whoever brings it
//! takes the events behind a gap out of here, turns them back in the tracker (`reopen`) and runs them again in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::emit::Emitted;
use super::lanes::Lane;
use crate::base::retry::Backoff;
use crate::stream::{CommitError, CommitErrorKind, Epoch, TopicPartition};

/// Bounds of one batch, and when it is due.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Since the first event that waits.
    pub interval: Duration,
    /// Events.
    pub events: usize,
    /// Bytes of outputs.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { interval: Duration::from_millis(100), events: 10_000, bytes: 16 << 20 }
    }
}

const BACKOFF: Backoff = Backoff { base: Duration::from_millis(20), most: Duration::from_secs(2) };
/// A rebalance that was seen by a commit is delivered within moments; every try before that writes the whole batch in vain.
const STALE: Backoff = Backoff { base: Duration::from_millis(20), most: Duration::from_secs(1) };

/// What a failed batch calls for.
#[derive(Debug)]
pub enum Verdict {
    /// It went back; it is tried again in its time.
    Again,
    /// This event can't be written: it must become a dead letter, and [`Outbox::fill`] its gap. The others went back. The
    /// topic that did not take it is named where it is known.
    Bad(Box<Emitted>, String, Option<Arc<str>>),
    /// Leave, with the reason.
    Leave(String),
}

#[derive(Debug)]
enum Place {
    Filled(Emitted),
    /// Of an event that is being made a dead letter.
    Gap {
        at: TopicPartition,
        epoch: Epoch,
        offset: i64,
        lane: Option<Lane>,
    },
}

/// See the module.
#[derive(Debug)]
pub struct Outbox {
    limits: Limits,
    waiting: VecDeque<Place>,
    /// Places that are filled.
    events: usize,
    bytes: usize,
    /// When the first that could leave began to wait.
    since: Option<Instant>,
    /// Events a batch may hold: halved while a bad one is looked for.
    width: usize,
    failures: u32,
    /// Failures in a row for which a rebalance is to blame.
    stale: u32,
    not_before: Option<Instant>,
}

impl Outbox {
    /// Empty.
    pub fn new(limits: Limits) -> Self {
        Outbox {
            limits,
            waiting: VecDeque::new(),
            events: 0,
            bytes: 0,
            since: None,
            width: limits.events.max(1),
            failures: 0,
            stale: 0,
            not_before: None,
        }
    }

    /// An event completed.
    pub fn push(&mut self, event: Emitted, now: Instant) {
        self.bytes += event.bytes;
        self.events += 1;
        self.since.get_or_insert(now);
        self.waiting.push_back(Place::Filled(event));
    }

    /// The dead letter of an event whose outputs the log would not take. It takes the event's place.
    pub fn fill(&mut self, event: Emitted, now: Instant) {
        let gap = self.waiting.iter_mut().find(|place| {
            matches!(place, Place::Gap { at, epoch, offset, .. }
                if (at, *epoch, *offset) == (&event.at, event.epoch, event.offset))
        });
        let Some(gap) = gap else { return self.push(event, now) };
        self.bytes += event.bytes;
        self.events += 1;
        self.since.get_or_insert(now);
        let lane = match gap {
            Place::Gap { lane, .. } => lane.take(),
            Place::Filled(_) => None,
        };
        *gap = Place::Filled(Emitted { lane, ..event });
    }

    /// Events that wait.
    pub fn len(&self) -> usize {
        self.events
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the next batch is due; none when nothing waits. `hurry` skips the interval, never a pause after a failure.
    pub fn due(&self, hurry: bool) -> Option<Instant> {
        let since = self.since?;
        let full = self.events >= self.limits.events || self.bytes >= self.limits.bytes;
        let at = if hurry || full { since } else { since + self.limits.interval };
        Some(self.not_before.map_or(at, |pause| pause.max(at)))
    }

    /// The next batch, in order: of what still is ours, told by partition and epoch. What is not is dropped (R4).
    pub fn take(
        &mut self,
        mut ours: impl FnMut(&TopicPartition, Epoch) -> bool,
        mut dropped: impl FnMut(&Emitted),
    ) -> Vec<Emitted> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let mut behind: Vec<Place> = Vec::new();
        let mut held: Vec<Lane> = Vec::new();
        let mut more = false;
        while let Some(place) = self.waiting.pop_front() {
            let event = match place {
                Place::Gap { at, epoch, offset, lane } => {
                    if ours(&at, epoch) {
                        held.extend(lane.clone());
                        behind.push(Place::Gap { at, epoch, offset, lane });
                    }
                    continue;
                }
                Place::Filled(event) => event,
            };
            if !ours(&event.at, event.epoch) {
                self.leaves(&event);
                dropped(&event);
                continue;
            }
            if event.lane.as_ref().is_some_and(|lane| held.contains(lane)) {
                behind.push(Place::Filled(event));
                continue;
            }
            let full = batch.len() >= self.width || bytes + event.bytes > self.limits.bytes;
            if full && !batch.is_empty() {
                self.waiting.push_front(Place::Filled(event));
                more = true;
                break;
            }
            self.leaves(&event);
            bytes += event.bytes;
            batch.push(event);
        }
        for place in behind.into_iter().rev() {
            self.waiting.push_front(place);
        }
        // What stays behind a gap waits for that, not for time.
        if !more {
            self.since = None;
        }
        batch
    }

    /// A partition was given up: what waits of it is dropped at once. What stands behind a gap that will never be filled
    /// would hold its bytes for ever.
    pub fn give_up(
        &mut self,
        from: &TopicPartition,
        under: Epoch,
        mut dropped: impl FnMut(&Emitted),
    ) {
        let theirs = |at: &TopicPartition, epoch| at == from && epoch == under;
        let (mut bytes, mut events) = (0, 0);
        self.waiting.retain(|place| match place {
            Place::Gap { at, epoch, .. } => !theirs(at, *epoch),
            Place::Filled(event) if theirs(&event.at, event.epoch) => {
                bytes += event.bytes;
                events += 1;
                dropped(event);
                false
            }
            Place::Filled(_) => true,
        });
        self.bytes -= bytes;
        self.events -= events;
    }

    fn leaves(&mut self, event: &Emitted) {
        self.bytes -= event.bytes;
        self.events -= 1;
    }

    /// The log told of a change of the membership: what was refused for it may be tried again.
    pub fn rebalanced(&mut self) {
        if std::mem::take(&mut self.stale) > 0 {
            self.not_before = None;
        }
    }

    /// The batch is durable.
    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.stale = 0;
        self.not_before = None;
        self.width = (self.width.saturating_mul(2)).min(self.limits.events.max(1));
    }

    /// The batch was not written.
    pub fn failed(
        &mut self,
        mut batch: Vec<Emitted>,
        error: &CommitError,
        now: Instant,
        draw: u128,
    ) -> Verdict {
        match error.kind {
            CommitErrorKind::Fenced | CommitErrorKind::Fatal => {
                return Verdict::Leave(error.message.clone());
            }
            CommitErrorKind::Stale => {
                self.stale += 1;
                self.not_before = Some(now + STALE.wait(self.stale, draw as u64, None));
            }
            CommitErrorKind::Transient => {
                self.failures += 1;
                self.not_before = Some(now + BACKOFF.wait(self.failures, draw as u64, None));
            }
            CommitErrorKind::Unwritable(index) => {
                let owned = index.and_then(|index| owner(&batch, index));
                let bad = match (owned, batch.len()) {
                    (Some((event, topic)), _) => Some((event, Some(topic))),
                    (None, 1) => Some((0, None)),
                    (None, _) => None,
                };
                match bad {
                    Some((event, topic)) => {
                        let after = batch.split_off(event + 1);
                        self.put_back(after, now);
                        let Some(bad) = batch.pop() else { return Verdict::Again };
                        self.waiting.push_front(Place::Gap {
                            at: bad.at.clone(),
                            epoch: bad.epoch,
                            offset: bad.offset,
                            lane: bad.lane.clone(),
                        });
                        self.put_back(batch, now);
                        return Verdict::Bad(Box::new(bad), error.message.clone(), topic);
                    }
                    None => self.width = (batch.len() / 2).max(1),
                }
            }
        }
        self.put_back(batch, now);
        Verdict::Again
    }

    fn put_back(&mut self, batch: Vec<Emitted>, now: Instant) {
        for event in batch.into_iter().rev() {
            self.bytes += event.bytes;
            self.events += 1;
            self.waiting.push_front(Place::Filled(event));
        }
        if self.events > 0 {
            self.since = Some(now);
        }
    }
}

/// The event that an output of the batch belongs to, and the topic that the output is for.
fn owner(batch: &[Emitted], output: usize) -> Option<(usize, Arc<str>)> {
    let events = batch.iter().enumerate();
    let mut outputs =
        events.flat_map(|(event, emitted)| emitted.outputs.iter().map(move |one| (event, one)));
    outputs.nth(output).map(|(event, output)| (event, Arc::clone(&output.topic)))
}

#[cfg(test)]
mod tests;
