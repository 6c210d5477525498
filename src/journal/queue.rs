//! What waits to be written to the journal. Who writes is woken when the first entry comes, when one is urgent,
//! and when a batch is full: not for each.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use super::book::Input;
use super::record::Piece;
use crate::stream::StreamError;

/// Entries of one batch, and their bytes.
const TOGETHER: usize = 1_000;
const TOGETHER_BYTES: usize = 4 << 20;

/// Entries of one input partition that stand together; none for who only waits for those before.
pub(super) struct Job {
    pub(super) entries: Option<(Arc<Input>, Vec<Piece>)>,
    pub(super) durable: Option<oneshot::Sender<Result<(), StreamError>>>,
    /// Whether who waits has no time for others to come along.
    pub(super) urgent: bool,
}

impl Job {
    pub(super) fn len(&self) -> usize {
        self.entries.as_ref().map_or(0, |(_, pieces)| pieces.len())
    }

    pub(super) fn bytes(&self) -> usize {
        let pieces = self.entries.iter().flat_map(|(_, pieces)| pieces);
        pieces.map(Piece::size).sum()
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Queue {
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
    jobs: VecDeque<Job>,
    entries: usize,
    bytes: usize,
    urgent: usize,
    closed: bool,
}

impl Waiting {
    /// Whether it should not wait for more.
    fn is_urgent(&self) -> bool {
        self.urgent > 0 || self.entries >= TOGETHER || self.bytes >= TOGETHER_BYTES
    }
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest. Dropped when nobody writes any more, and with it whoever waits for it.
    pub(super) fn push(&self, job: Job) {
        let mut waiting = self.waiting();
        if waiting.closed {
            return;
        }
        let (first, urgent) = (waiting.jobs.is_empty(), waiting.is_urgent());
        waiting.entries += job.len();
        waiting.bytes += job.bytes();
        waiting.urgent += usize::from(job.urgent);
        waiting.jobs.push_back(job);
        let wake = first || (waiting.is_urgent() && !urgent);
        drop(waiting);
        if wake {
            self.changed.notify_one();
        }
    }

    /// The oldest, once there are some, and what came within `linger` of the first: one batch at most.
    pub(super) async fn next(&self, linger: Duration) -> Vec<Job> {
        while self.waiting().jobs.is_empty() {
            self.changed.notified().await;
        }
        let until = Instant::now() + linger;
        while !self.waiting().is_urgent() {
            if timeout_at(until, self.changed.notified()).await.is_err() {
                break;
            }
        }
        let mut waiting = self.waiting();
        let (mut taken, mut entries, mut bytes) = (Vec::new(), 0, 0);
        while entries < TOGETHER
            && bytes < TOGETHER_BYTES
            && let Some(job) = waiting.jobs.pop_front()
        {
            entries += job.len();
            bytes += job.bytes();
            waiting.urgent -= usize::from(job.urgent);
            taken.push(job);
        }
        waiting.entries -= entries;
        waiting.bytes -= bytes;
        taken
    }

    /// Nobody writes any more.
    pub(super) fn close(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        let jobs = std::mem::take(&mut waiting.jobs);
        drop(waiting);
        drop(jobs);
    }
}
