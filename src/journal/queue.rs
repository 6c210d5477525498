//! What waits to be written to the journal. Who writes is woken when the first entry comes, when one is urgent,
//! and when a round is full: not for each.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use super::batch::{Batch, Told};
use super::book::Input;
use crate::stream::StreamError;

/// Entries of one round, and their bytes.
const TOGETHER: usize = 1_000;
const TOGETHER_BYTES: usize = 4 << 20;
/// Batches that are kept to be used again.
const SPARE: usize = 64;

/// Who waits until what was told before is durable, or can't be.
pub(super) type Asker = oneshot::Sender<Result<(), StreamError>>;

/// What is written together.
#[derive(Default)]
pub(super) struct Round {
    /// One for each input, whoever tells of it.
    pub(super) batches: Vec<Gathered>,
    pub(super) askers: Vec<Asker>,
    entries: usize,
    pub(super) bytes: usize,
    /// Whether somebody waits who has no time for others to come along.
    urgent: bool,
}

/// Entries of one input.
pub(super) struct Gathered {
    pub(super) input: Arc<Input>,
    pub(super) batch: Batch,
    /// Who told of it, and how many entries: mostly one, and two while a partition comes back.
    told: Vec<(Arc<Input>, usize)>,
}

impl Round {
    fn is_full(&self) -> bool {
        self.entries >= TOGETHER || self.bytes >= TOGETHER_BYTES
    }

    /// Names who told of it there.
    fn leave(&mut self, leaving: &mut Vec<(Arc<Input>, usize)>) {
        self.batches.iter_mut().for_each(|gathered| leaving.append(&mut gathered.told));
    }

    fn take(&mut self, input: &Arc<Input>, told: Told, room: impl FnOnce() -> Batch) {
        let entries = told.entries();
        self.entries += entries;
        self.bytes += told.bytes();
        let gathered = self.of(input, room);
        gathered.batch.push(told);
        count(&mut gathered.told, input, entries);
    }

    /// What is gathered of an input; nothing yet if it is the first time.
    fn of(&mut self, input: &Arc<Input>, room: impl FnOnce() -> Batch) -> &mut Gathered {
        let last = input.place.load(Ordering::Relaxed);
        let at = match self.batches.get(last) {
            Some(there) if Arc::ptr_eq(&there.input, input) => last,
            _ => self.place(input, room),
        };
        &mut self.batches[at]
    }

    /// Where that is, which is remembered.
    fn place(&mut self, input: &Arc<Input>, room: impl FnOnce() -> Batch) -> usize {
        let there = self.batches.iter().position(|gathered| gathered.input == *input);
        let at = there.unwrap_or_else(|| {
            let (input, batch, told) = (Arc::clone(input), room(), Vec::with_capacity(1));
            self.batches.push(Gathered { input, batch, told });
            self.batches.len() - 1
        });
        input.place.store(at, Ordering::Relaxed);
        at
    }
}

/// So many more that were told with that handle.
fn count(told: &mut Vec<(Arc<Input>, usize)>, input: &Arc<Input>, entries: usize) {
    match told.iter_mut().find(|(known, _)| Arc::ptr_eq(known, input)) {
        Some((_, count)) => *count += entries,
        None => told.push((Arc::clone(input), entries)),
    }
}

/// See the module.
pub(super) struct Queue {
    run: u64,
    waiting: Mutex<Waiting>,
    /// Bytes that are not known to be written. Changed under the lock alone: who tells of a call has one place to change.
    bytes: AtomicUsize,
    changed: Notify,
}

/// Closes it, at the latest when who writes has ended.
pub(super) struct Closes<'q>(pub(super) &'q Queue);

impl Drop for Closes<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[derive(Default)]
struct Waiting {
    /// All but the newest are full.
    rounds: VecDeque<Round>,
    /// What has left the queue and is not known to be written: who told of it, and how many entries.
    leaving: Vec<(Arc<Input>, usize)>,
    /// What never will be: it came when nobody wrote any more, or waited then.
    lost: Vec<(Arc<Input>, usize)>,
    /// Empty ones, to be used again.
    spare: Vec<Batch>,
    closed: bool,
}

impl Waiting {
    /// Whether it should not wait for more.
    fn is_urgent(&self) -> bool {
        self.rounds.len() > 1 || self.rounds.back().is_some_and(|it| it.urgent || it.is_full())
    }

    /// The newest, which has room, and the spare ones.
    fn open(&mut self) -> (&mut Round, &mut Vec<Batch>) {
        if self.rounds.back().is_none_or(Round::is_full) {
            self.rounds.push_back(Round::default());
        }
        let newest = self.rounds.len() - 1;
        (&mut self.rounds[newest], &mut self.spare)
    }

    /// What was told, by whom, and how many entries.
    fn told(&self) -> impl Iterator<Item = &(Arc<Input>, usize)> {
        let rounds = self.rounds.iter().flat_map(|round| &round.batches);
        rounds.flat_map(|gathered| &gathered.told).chain(&self.leaving).chain(&self.lost)
    }
}

impl Queue {
    /// Of what that run tells.
    pub(super) fn new(run: u64) -> Self {
        let (waiting, bytes) = Default::default();
        Queue { run, waiting, bytes, changed: Notify::new() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest entry. Who waits for it has no time for others to come along.
    pub(super) fn push(&self, input: &Arc<Input>, told: Told, asker: Option<Asker>) {
        let entries = told.entries();
        let waits = self.change(|round, spare| {
            round.take(input, told, || spare.pop().unwrap_or_else(|| Batch::new(self.run)));
            round.urgent |= asker.is_some();
            round.askers.extend(asker);
        });
        if !waits {
            count(&mut self.waiting().lost, input, entries);
        }
    }

    /// Somebody waits for what was told so far.
    pub(super) fn ask(&self, asker: Asker, urgent: bool) {
        self.change(|round, _| {
            round.urgent |= urgent;
            round.askers.push(asker);
        });
    }

    /// Not when nobody writes any more: it is dropped then, and with it whoever waits.
    fn change(&self, change: impl FnOnce(&mut Round, &mut Vec<Batch>)) -> bool {
        let mut waiting = self.waiting();
        if waiting.closed {
            return false;
        }
        let (first, urgent) = (waiting.rounds.is_empty(), waiting.is_urgent());
        let (round, spare) = waiting.open();
        let before = round.bytes;
        change(round, spare);
        let bytes = self.bytes() + (round.bytes - before);
        self.bytes.store(bytes, Ordering::Relaxed);
        let wake = first || (waiting.is_urgent() && !urgent);
        drop(waiting);
        if wake {
            self.changed.notify_one();
        }
        true
    }

    /// The oldest round, once there is one, with what comes within `linger` if it has room and nobody is in a hurry.
    pub(super) async fn next(&self, linger: Duration) -> Round {
        while self.waiting().rounds.is_empty() {
            self.changed.notified().await;
        }
        let until = Instant::now() + linger;
        while !self.waiting().is_urgent() {
            if timeout_at(until, self.changed.notified()).await.is_err() {
                break;
            }
        }
        let mut waiting = self.waiting();
        let mut round = waiting.rounds.pop_front().unwrap_or_default();
        round.leave(&mut waiting.leaving);
        round
    }

    /// What [`next`](Queue::next) gave, of so many bytes, is written, or never will be. Its batches are empty.
    pub(super) fn written(&self, bytes: usize, emptied: Vec<Batch>) {
        let mut waiting = self.waiting();
        waiting.leaving.clear();
        let room = SPARE.saturating_sub(waiting.spare.len());
        waiting.spare.extend(emptied.into_iter().take(room));
        self.bytes.store(self.bytes().saturating_sub(bytes), Ordering::Relaxed);
    }

    /// Entries that are not known to be written.
    pub(super) fn pending(&self) -> usize {
        self.waiting().told().map(|(_, entries)| entries).sum()
    }

    /// Those that were told with that handle.
    pub(super) fn pending_of(&self, input: &Arc<Input>) -> usize {
        let waiting = self.waiting();
        let of = waiting.told().filter(|(teller, _)| Arc::ptr_eq(teller, input));
        of.map(|(_, entries)| entries).sum()
    }

    /// Bytes that are not known to be written.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Nobody writes any more.
    pub(super) fn close(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        let mut rounds = std::mem::take(&mut waiting.rounds);
        rounds.iter_mut().for_each(|round| round.leave(&mut waiting.lost));
        drop(waiting);
        drop(rounds);
    }
}

#[cfg(test)]
mod tests;
