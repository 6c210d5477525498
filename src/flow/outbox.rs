//! What waits to be committed, and which of it goes into the next batch. Pure: takes events and time, gives batches and
//! verdicts; it writes nothing.
//!
//! Events leave in the order they completed, so the outputs of a key keep the order of its events (R11); a batch that
//! failed goes back to the front. A batch that the log will never take is halved until the one bad event stands alone.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::emit::Emitted;
use crate::base::retry::Backoff;
use crate::stream::{CommitError, CommitErrorKind};

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
        Limits { interval: Duration::from_millis(100), events: 2_000, bytes: 8 << 20 }
    }
}

const BACKOFF: Backoff = Backoff { base: Duration::from_millis(20), most: Duration::from_secs(2) };
/// A rebalance that was seen by a commit is delivered within moments.
const STALE_PAUSE: Duration = Duration::from_millis(20);

/// What a failed batch calls for.
#[derive(Debug)]
pub enum Verdict {
    /// It went back; it is tried again in its time.
    Again,
    /// This event can't be written: it must become a dead letter. The others went back.
    Bad(Box<Emitted>, String),
    /// Leave, with the reason.
    Leave(String),
}

/// See the module.
#[derive(Debug)]
pub struct Outbox {
    limits: Limits,
    waiting: VecDeque<Emitted>,
    bytes: usize,
    since: Option<Instant>,
    /// Events a batch may hold: halved while a bad one is looked for.
    width: usize,
    failures: u32,
    not_before: Option<Instant>,
}

impl Outbox {
    /// Empty.
    pub fn new(limits: Limits) -> Self {
        Outbox {
            limits,
            waiting: VecDeque::new(),
            bytes: 0,
            since: None,
            width: limits.events.max(1),
            failures: 0,
            not_before: None,
        }
    }

    /// An event completed.
    pub fn push(&mut self, event: Emitted, now: Instant) {
        self.bytes += event.bytes;
        self.since.get_or_insert(now);
        self.waiting.push_back(event);
    }

    /// Events that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
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
        let full = self.waiting.len() >= self.limits.events || self.bytes >= self.limits.bytes;
        let at = if hurry || full { since } else { since + self.limits.interval };
        Some(self.not_before.map_or(at, |pause| pause.max(at)))
    }

    /// The next batch, in order: of what still is ours. What is not is dropped (R4).
    pub fn take(&mut self, mut ours: impl FnMut(&Emitted) -> bool) -> Vec<Emitted> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(next) = self.waiting.front() {
            let full = batch.len() >= self.width || bytes + next.bytes > self.limits.bytes;
            if full && !batch.is_empty() {
                break;
            }
            let Some(next) = self.waiting.pop_front() else { break };
            self.bytes -= next.bytes;
            if ours(&next) {
                bytes += next.bytes;
                batch.push(next);
            }
        }
        if self.waiting.is_empty() {
            self.since = None;
        }
        batch
    }

    /// The batch is durable.
    pub fn succeeded(&mut self) {
        self.failures = 0;
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
            CommitErrorKind::Stale => self.not_before = Some(now + STALE_PAUSE),
            CommitErrorKind::Transient => {
                self.failures += 1;
                self.not_before = Some(now + BACKOFF.wait(self.failures, draw as u64, None));
            }
            CommitErrorKind::Unwritable(index) => {
                let bad = match (index.and_then(|index| owner(&batch, index)), batch.len()) {
                    (Some(event), _) => Some(event),
                    (None, 1) => Some(0),
                    (None, _) => None,
                };
                match bad {
                    Some(event) => {
                        let bad = batch.remove(event);
                        self.put_back(batch, now);
                        return Verdict::Bad(Box::new(bad), error.message.clone());
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
            self.waiting.push_front(event);
        }
        if !self.waiting.is_empty() {
            self.since = Some(now);
        }
    }
}

/// The event that an output of the batch belongs to.
fn owner(batch: &[Emitted], output: usize) -> Option<usize> {
    let mut first = 0;
    for (event, emitted) in batch.iter().enumerate() {
        first += emitted.outputs.len();
        if output < first {
            return Some(event);
        }
    }
    None
}

#[cfg(test)]
mod tests;
