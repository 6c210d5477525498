//! The journal's writing side: entries are put on their way at once and written in batches, in order. Nobody waits,
//! unless he asks to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use super::entry::Entry;
use super::record::{self, Piece};
use crate::base::retry::Backoff;
use crate::stream::{Log, Output, StreamError, StreamErrorKind, TopicPartition};

/// Entries of one batch, and their bytes.
const TOGETHER: usize = 1_000;
const TOGETHER_BYTES: usize = 4 << 20;
/// How long an entry that nobody waits for may wait for others: a request to the log costs as much as many entries, for
/// who sends it and for who takes it. Each partition has a request of its own, so the more of them were written last time,
/// the longer: at most 2,500 requests a second, and a time that is still short beside a call.
const LINGER: Duration = Duration::from_millis(5);
const LINGER_EACH: Duration = Duration::from_micros(400);
const LINGER_MOST: Duration = Duration::from_millis(100);
/// Between two tries of a log that does not answer.
const AGAIN: Backoff = Backoff { base: Duration::from_millis(100), most: Duration::from_secs(5) };

/// Writes the journal of one group. Dropped, it stops; what is not written then was in flight.
pub struct Writer {
    shared: Arc<Shared>,
    queue: mpsc::UnboundedSender<Job>,
    task: JoinHandle<()>,
}

/// What the handle and its task have in common.
struct Shared {
    log: Arc<dyn Log>,
    topic: Arc<str>,
    run: u64,
    partitions: Mutex<HashMap<i32, Partition>>,
    bytes: AtomicUsize,
}

/// Entries of one input partition that stand together; none for who only waits for those before.
struct Job {
    entries: Option<(Input, Vec<Piece>)>,
    durable: Option<oneshot::Sender<Result<(), StreamError>>>,
}

/// Topic and partition.
type Input = (Arc<str>, i32);

#[derive(Default, Clone, Copy)]
struct Partition {
    /// One past the highest offset known to be written.
    end: i64,
    /// Entries on their way: at least as many as records.
    pending: usize,
    /// Records that were written, counted until there is more than one, and where the first may stand at the latest.
    written: usize,
    first: i64,
}

impl Shared {
    fn partitions(&self) -> MutexGuard<'_, HashMap<i32, Partition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Starts the task that writes to that topic. `run` tells this process from every other.
    pub fn start(log: Arc<dyn Log>, topic: Arc<str>, run: u64) -> Self {
        let (queue, waiting) = mpsc::unbounded_channel();
        let (partitions, bytes) = Default::default();
        let shared = Arc::new(Shared { log, topic, run, partitions, bytes });
        let task = tokio::spawn(Arc::clone(&shared).write(waiting));
        Writer { shared, queue, task }
    }

    /// The journal's topic.
    pub fn topic(&self) -> &Arc<str> {
        &self.shared.topic
    }

    /// The log it writes to.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.shared.log
    }

    /// What tells this process from every other.
    pub fn run(&self) -> u64 {
        self.shared.run
    }

    /// Puts an entry on its way. What waits is bounded by who admits events: see [`Writer::bytes`].
    pub fn append(&self, entry: Entry) {
        self.push(entry, None);
    }

    /// The same, and waits until it is durable.
    pub async fn append_durably(&self, entry: Entry) -> Result<(), StreamError> {
        let (done, durable) = oneshot::channel();
        self.push(entry, Some(done));
        durable.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Waits until all that was appended before is written, or can't be.
    pub async fn flush(&self) {
        let (durable, done) = oneshot::channel();
        drop(self.queue.send(Job { entries: None, durable: Some(durable) }));
        drop(done.await);
    }

    fn push(&self, entry: Entry, durable: Option<oneshot::Sender<Result<(), StreamError>>>) {
        let input = (Arc::clone(&entry.place.topic), entry.place.partition);
        let pieces = record::pieces(entry);
        self.shared.partitions().entry(input.1).or_default().pending += pieces.len();
        let bytes: usize = pieces.iter().map(Piece::size).sum();
        self.shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        // The task lives as long as this handle.
        drop(self.queue.send(Job { entries: Some((input, pieces)), durable }));
    }

    /// One past the highest offset of a partition that is known to be written: whatever is appended from now on stands
    /// there or above.
    pub fn end(&self, partition: i32) -> i64 {
        self.shared.partitions().get(&partition).map_or(0, |known| known.end)
    }

    /// Entries of a partition that are on their way.
    pub fn pending(&self, partition: i32) -> usize {
        self.shared.partitions().get(&partition).map_or(0, |known| known.pending)
    }

    /// Where a partition ended before this process wrote to it, if that was one record only.
    pub fn end_before(&self, partition: i32) -> Option<i64> {
        let known = self.shared.partitions().get(&partition).copied()?;
        (known.written == 1).then_some(known.first)
    }

    /// A reader has found the journal of a partition to end there.
    pub fn learn(&self, partition: i32, end: i64) {
        let mut partitions = self.shared.partitions();
        let known = partitions.entry(partition).or_default();
        known.end = known.end.max(end);
    }

    /// Bytes that wait to be written.
    pub fn bytes(&self) -> usize {
        self.shared.bytes.load(Ordering::Relaxed)
    }
}

impl Writer {
    /// Writes nothing more, also for those who still hold it: their member has left.
    pub fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn ended() -> StreamError {
    let message = "the journal is being closed".to_owned();
    StreamError { kind: StreamErrorKind::Unavailable, message }
}

impl Shared {
    async fn write(self: Arc<Self>, mut waiting: mpsc::UnboundedReceiver<Job>) {
        let mut linger = LINGER;
        while let Some(first) = waiting.recv().await {
            let (mut inputs, mut askers) = (BTreeMap::<Input, Vec<Piece>>::new(), Vec::new());
            let (mut together, mut bytes) = (0, 0);
            let mut next = Some(first);
            let until = Instant::now() + linger;
            while let Some(Job { entries, durable }) = next {
                if let Some((input, pieces)) = entries {
                    together += pieces.len();
                    bytes += pieces.iter().map(Piece::size).sum::<usize>();
                    inputs.entry(input).or_default().extend(pieces);
                }
                askers.extend(durable);
                let room = together < TOGETHER && bytes < TOGETHER_BYTES;
                next = match (room, askers.is_empty()) {
                    (false, _) => None,
                    (true, false) => waiting.try_recv().ok(),
                    (true, true) => timeout_at(until, waiting.recv()).await.unwrap_or_default(),
                };
            }
            let records = inputs.iter().flat_map(|((topic, partition), pieces)| {
                record::records(&self.topic, (topic, *partition), self.run, pieces)
            });
            let partitions: BTreeSet<i32> =
                inputs.keys().map(|(_, partition)| *partition).collect();
            linger = (LINGER_EACH * partitions.len() as u32).clamp(LINGER, LINGER_MOST);
            let outcome = self.written(records.collect()).await;
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            {
                let mut partitions = self.partitions();
                for ((_, partition), pieces) in &inputs {
                    partitions.entry(*partition).or_default().pending -= pieces.len();
                }
            }
            if let Err(error) = &outcome {
                tracing::error!(%error, "the journal lost records: their calls are paid again if this process dies");
            }
            for asker in askers {
                let outcome = match &outcome {
                    Ok(()) => Ok(()),
                    Err(StreamError { kind, message }) => {
                        Err(StreamError { kind: *kind, message: message.clone() })
                    }
                };
                drop(asker.send(outcome));
            }
        }
    }

    /// Tries as long as the log may come back. A record that was sent twice is read as one.
    async fn written(&self, outputs: Vec<Output>) -> Result<(), StreamError> {
        if outputs.is_empty() {
            return Ok(());
        }
        let mut tries = 0;
        loop {
            match self.log.send(outputs.clone()).await {
                Ok(ends) => {
                    let mut partitions = self.partitions();
                    for (TopicPartition { partition, .. }, end) in ends {
                        let known = partitions.entry(partition).or_default();
                        // More than one is not told apart.
                        if known.written < 2 {
                            let theirs = |o: &&Output| o.partition == Some(partition);
                            let records = outputs.iter().filter(theirs).count();
                            if known.written == 0 {
                                known.first = end - records as i64;
                            }
                            known.written += records;
                        }
                        known.end = known.end.max(end);
                    }
                    return Ok(());
                }
                Err(error) if error.kind == StreamErrorKind::Unavailable => {
                    tries += 1;
                    if tries == 1 {
                        tracing::warn!(%error, "the journal can't be written, trying again");
                    }
                    sleep(AGAIN.wait(tries, u64::MAX, None)).await;
                }
                // One that can never be written must not take the others along.
                Err(error) => {
                    let apart = match outputs.as_slice() {
                        [one] => record::apart(one).ok_or(error)?,
                        _ => outputs,
                    };
                    let mut first = Ok(());
                    for output in apart {
                        let one = Box::pin(self.written(vec![output])).await;
                        first = first.and(one);
                    }
                    return first;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
