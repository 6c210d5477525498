//! What waits to be written to the journal. Who writes is woken when the first entry comes, when one is urgent,
//! and when a round is full: not for each.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
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

/// Who waits until what was told before is durable, or can't be.
pub(super) type Asker = oneshot::Sender<Result<(), StreamError>>;

/// What is written together.
#[derive(Default)]
pub(super) struct Round {
    /// By partition of the journal and input, whoever tells of it.
    pub(super) batches: BTreeMap<Arc<Input>, Gathered>,
    pub(super) askers: Vec<Asker>,
    pub(super) entries: usize,
    pub(super) bytes: usize,
    /// Whether somebody waits who has no time for others to come along.
    urgent: bool,
}

/// Entries of one input.
pub(super) struct Gathered {
    pub(super) batch: Batch,
    /// Who told of it, and how many entries: mostly one, and two while a partition comes back.
    pub(super) told: Vec<(Arc<Input>, usize)>,
}

impl Round {
    fn is_full(&self) -> bool {
        self.entries >= TOGETHER || self.bytes >= TOGETHER_BYTES
    }

    fn take(&mut self, run: u64, input: &Arc<Input>, told: Told) {
        let entries = told.entries();
        self.entries += entries;
        self.bytes += told.bytes();
        let gathered = match self.batches.get_mut(input) {
            Some(gathered) => gathered,
            None => {
                let usual = input.usual.load(Ordering::Relaxed);
                // A quarter more, so that it rarely has to move.
                let batch = Batch::new(run, usual + usual / 4);
                let gathered = Gathered { batch, told: Vec::with_capacity(1) };
                self.batches.entry(Arc::clone(input)).or_insert(gathered)
            }
        };
        gathered.batch.push(told);
        match gathered.told.iter_mut().find(|(known, _)| Arc::ptr_eq(known, input)) {
            Some((_, count)) => *count += entries,
            None => gathered.told.push((Arc::clone(input), entries)),
        }
    }
}

/// See the module.
pub(super) struct Queue {
    run: u64,
    waiting: Mutex<Waiting>,
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
    closed: bool,
}

impl Waiting {
    /// Whether it should not wait for more.
    fn is_urgent(&self) -> bool {
        self.rounds.len() > 1 || self.rounds.back().is_some_and(|it| it.urgent || it.is_full())
    }

    /// The newest, which has room.
    fn open(&mut self) -> &mut Round {
        if self.rounds.back().is_none_or(Round::is_full) {
            self.rounds.push_back(Round::default());
        }
        let newest = self.rounds.len() - 1;
        &mut self.rounds[newest]
    }
}

impl Queue {
    /// Of what that run tells.
    pub(super) fn new(run: u64) -> Self {
        Queue { run, waiting: Mutex::default(), changed: Notify::new() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest entry. Who waits for it has no time for others to come along.
    pub(super) fn push(&self, input: &Arc<Input>, told: Told, asker: Option<Asker>) {
        self.change(|round| {
            round.take(self.run, input, told);
            round.urgent |= asker.is_some();
            round.askers.extend(asker);
        });
    }

    /// Somebody waits for what was told so far.
    pub(super) fn ask(&self, asker: Asker, urgent: bool) {
        self.change(|round| {
            round.urgent |= urgent;
            round.askers.push(asker);
        });
    }

    /// Dropped when nobody writes any more, and with it whoever waits.
    fn change(&self, change: impl FnOnce(&mut Round)) {
        let mut waiting = self.waiting();
        if waiting.closed {
            return;
        }
        let (first, urgent) = (waiting.rounds.is_empty(), waiting.is_urgent());
        change(waiting.open());
        let wake = first || (waiting.is_urgent() && !urgent);
        drop(waiting);
        if wake {
            self.changed.notify_one();
        }
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
        self.waiting().rounds.pop_front().unwrap_or_default()
    }

    /// Nobody writes any more.
    pub(super) fn close(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        let rounds = std::mem::take(&mut waiting.rounds);
        drop(waiting);
        drop(rounds);
    }
}
