//! The journal's writing side: entries are put on their way at once and written in batches, in order. Nobody waits,
//! unless he asks to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::entry::Entry;
use crate::base::retry::Backoff;
use crate::stream::{Log, Output, StreamError, StreamErrorKind, TopicPartition};

/// Records of one batch, and their bytes.
const TOGETHER: usize = 1_000;
const TOGETHER_BYTES: usize = 4 << 20;
/// Between two tries of a log that does not answer.
const AGAIN: Backoff = Backoff { base: Duration::from_millis(100), most: Duration::from_secs(5) };

/// Writes the journal of one group. Dropped, it stops; what is not written then was in flight.
pub struct Writer {
    topic: Arc<str>,
    run: u64,
    queue: mpsc::UnboundedSender<Job>,
    state: Arc<State>,
    log: Arc<dyn Log>,
    task: JoinHandle<()>,
}

/// Records of one partition that stand together.
struct Job {
    partition: i32,
    bytes: usize,
    outputs: Vec<Output>,
    durable: Option<oneshot::Sender<Result<(), StreamError>>>,
}

#[derive(Default)]
struct State {
    partitions: Mutex<HashMap<i32, Partition>>,
    bytes: AtomicUsize,
}

#[derive(Default, Clone, Copy)]
struct Partition {
    /// One past the highest offset known to be written.
    end: i64,
    /// Records on their way.
    pending: usize,
}

impl State {
    fn partitions(&self) -> MutexGuard<'_, HashMap<i32, Partition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Starts the task that writes to that topic. `run` tells this process from every other.
    pub fn start(log: Arc<dyn Log>, topic: Arc<str>, run: u64) -> Self {
        let (queue, waiting) = mpsc::unbounded_channel();
        let state = Arc::<State>::default();
        let task = tokio::spawn(write(Arc::clone(&log), waiting, Arc::clone(&state)));
        Writer { topic, run, queue, state, log, task }
    }

    /// The journal's topic.
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// The log it writes to.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// What tells this process from every other.
    pub fn run(&self) -> u64 {
        self.run
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

    fn push(&self, entry: Entry, durable: Option<oneshot::Sender<Result<(), StreamError>>>) {
        let partition = entry.place.partition;
        let outputs = entry.encode(&self.topic);
        self.state.partitions().entry(partition).or_default().pending += outputs.len();
        let bytes: usize = outputs.iter().map(Output::size).sum();
        self.state.bytes.fetch_add(bytes, Ordering::Relaxed);
        // The task lives as long as this handle.
        drop(self.queue.send(Job { partition, bytes, outputs, durable }));
    }

    /// One past the highest offset of a partition that is known to be written: whatever is appended from now on stands
    /// there or above.
    pub fn end(&self, partition: i32) -> i64 {
        self.state.partitions().get(&partition).map_or(0, |known| known.end)
    }

    /// Records of a partition that are on their way.
    pub fn pending(&self, partition: i32) -> usize {
        self.state.partitions().get(&partition).map_or(0, |known| known.pending)
    }

    /// A reader has found the journal of a partition to end there.
    pub fn learn(&self, partition: i32, end: i64) {
        let mut partitions = self.state.partitions();
        let known = partitions.entry(partition).or_default();
        known.end = known.end.max(end);
    }

    /// Bytes that wait to be written.
    pub fn bytes(&self) -> usize {
        self.state.bytes.load(Ordering::Relaxed)
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

async fn write(log: Arc<dyn Log>, mut waiting: mpsc::UnboundedReceiver<Job>, state: Arc<State>) {
    while let Some(first) = waiting.recv().await {
        let (mut outputs, mut askers) = (Vec::new(), Vec::new());
        let (mut counts, mut bytes) = (HashMap::new(), 0);
        let mut next = Some(first);
        while let Some(job) = next {
            *counts.entry(job.partition).or_insert(0) += job.outputs.len();
            bytes += job.bytes;
            outputs.extend(job.outputs);
            askers.extend(job.durable);
            let room = outputs.len() < TOGETHER && bytes < TOGETHER_BYTES;
            next = if room { waiting.try_recv().ok() } else { None };
        }
        let outcome = written(&*log, outputs, &state).await;
        state.bytes.fetch_sub(bytes, Ordering::Relaxed);
        {
            let mut partitions = state.partitions();
            for (partition, count) in counts {
                partitions.entry(partition).or_default().pending -= count;
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
async fn written(log: &dyn Log, outputs: Vec<Output>, state: &State) -> Result<(), StreamError> {
    let mut tries = 0;
    loop {
        match log.send(outputs.clone()).await {
            Ok(ends) => {
                let mut partitions = state.partitions();
                for (TopicPartition { partition, .. }, end) in ends {
                    let known = partitions.entry(partition).or_default();
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
            Err(_) if outputs.len() > 1 => {
                let mut first = Ok(());
                for output in outputs {
                    let one = Box::pin(written(log, vec![output], state)).await;
                    first = first.and(one);
                }
                return first;
            }
            Err(error) => return Err(error),
        }
    }
}
