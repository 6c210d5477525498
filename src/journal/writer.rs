//! The journal's writing side: entries are put on their way at once and written in batches, in order. Nobody waits,
//! unless he asks to.

use std::collections::BTreeSet;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::batch::Told;
use super::book::Input;
use super::queue::{Asker, Closes, Gathered, Queue, Round};
use super::record;
use crate::base::retry::Backoff;
use crate::stream::{Log, Output, StreamError, StreamErrorKind, TopicPartition};

/// How long an entry that nobody waits for may wait for others: a request to the log costs as much as many entries, for
/// who sends it and for who takes it. Each partition has a request of its own, so the more of them were written last time,
/// the longer: at most 1,000 requests a second up to a hundred partitions, and a time that is still short beside a call.
const LINGER: Duration = Duration::from_millis(10);
const LINGER_EACH: Duration = Duration::from_millis(1);
const LINGER_MOST: Duration = Duration::from_millis(100);
/// Between two looks at where the journal ends. Other processes write to it, too, and an input that rests does not learn of
/// it by what is written of itself.
const LOOK: Duration = Duration::from_secs(60);
/// Between two tries of a log that does not answer.
const AGAIN: Backoff = Backoff { base: Duration::from_millis(100), most: Duration::from_secs(5) };

/// Writes the journal of one group. Dropped, it stops; what is not written then was in flight.
pub struct Writer {
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

/// What the handle and its task have in common.
struct Shared {
    log: Arc<dyn Log>,
    topic: Arc<str>,
    run: u64,
    /// One past the highest offset of each partition that is known to be written.
    ends: Vec<AtomicI64>,
    queue: Queue,
}

impl Writer {
    /// Starts the tasks that write to that topic of so many partitions. `run` tells this process from every other.
    pub fn start(log: Arc<dyn Log>, topic: Arc<str>, partitions: i32, run: u64) -> Self {
        let queue = Queue::new(run);
        let ends = (0..partitions.max(1)).map(|_| AtomicI64::new(0)).collect();
        let shared = Arc::new(Shared { log, topic, run, ends, queue });
        let writing = tokio::spawn(Arc::clone(&shared).write());
        let looking = tokio::spawn(Arc::clone(&shared).look());
        Writer { shared, tasks: [writing, looking] }
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

    /// The partition that tells of an input: the one that has told of it so far, else the one of its number, or, where the
    /// journal has fewer than the input, one that it shares.
    pub fn home(&self, input: &TopicPartition, so_far: Option<i32>) -> i32 {
        let partitions = self.shared.ends.len() as i32;
        let there = so_far.filter(|home| (0..partitions).contains(home));
        there.unwrap_or(input.partition % partitions)
    }

    pub(super) async fn push_durably(
        &self,
        input: &Arc<Input>,
        told: Told,
    ) -> Result<(), StreamError> {
        let (done, durable) = oneshot::channel();
        self.push(input, told, Some(done));
        durable.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Waits until all that was appended before is written, or can't be.
    pub async fn flush(&self) {
        self.written(true).await;
    }

    /// The same, in its time.
    pub async fn settled(&self) {
        self.written(false).await;
    }

    async fn written(&self, urgent: bool) {
        let (durable, done) = oneshot::channel();
        self.shared.queue.ask(durable, urgent);
        drop(done.await);
    }

    pub(super) fn push(&self, input: &Arc<Input>, told: Told, asker: Option<Asker>) {
        self.shared.queue.push(input, told, asker);
    }

    /// One past the highest offset of a partition that is known to be written: whatever is appended from now on stands
    /// there or above.
    pub fn end(&self, partition: i32) -> i64 {
        self.shared.end(partition).map_or(0, |end| end.load(Ordering::Acquire))
    }

    /// Entries that are on their way.
    pub fn pending(&self) -> usize {
        self.shared.queue.pending()
    }

    /// Those of that input.
    pub(super) fn pending_of(&self, input: &Arc<Input>) -> usize {
        self.shared.queue.pending_of(input)
    }

    /// A reader has found a partition to end there.
    pub fn learn(&self, partition: i32, end: i64) {
        self.shared.learn(partition, end);
    }

    /// Bytes that wait to be written.
    pub fn bytes(&self) -> usize {
        self.shared.queue.bytes()
    }
}

impl Writer {
    /// Writes nothing more, also for those who still hold it: their member has left.
    pub fn stop(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.shared.queue.close();
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
    async fn write(self: Arc<Self>) {
        // However it ends, nobody waits for it then.
        let _closes = Closes(&self.queue);
        let mut linger = LINGER;
        loop {
            let Round { batches, askers, bytes, .. } = self.queue.next(linger).await;
            let homes: BTreeSet<i32> = batches.iter().map(|gathered| gathered.input.home).collect();
            let (mut records, mut emptied) = (Vec::new(), Vec::with_capacity(batches.len()));
            for Gathered { input, mut batch, .. } in batches {
                records.extend(batch.records((&self.topic, input.home), &input.at));
                emptied.push(batch);
            }
            linger = (LINGER_EACH * homes.len() as u32).clamp(LINGER, LINGER_MOST);
            let outcome = self.written(&records).await;
            emptied.iter_mut().zip(records).for_each(|(batch, record)| batch.reuse(record));
            self.queue.written(bytes, emptied);
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

    async fn look(self: Arc<Self>) {
        loop {
            sleep(LOOK).await;
            match self.log.extents(&self.topic).await {
                Ok(extents) => {
                    for extent in extents {
                        self.learn(extent.at.partition, extent.high);
                    }
                }
                Err(error) => tracing::debug!(%error, "where the journal ends is not known"),
            }
        }
    }

    fn end(&self, partition: i32) -> Option<&AtomicI64> {
        self.ends.get(usize::try_from(partition).ok()?)
    }

    /// Of a partition that came after the start nothing is asked.
    fn learn(&self, partition: i32, end: i64) {
        if let Some(known) = self.end(partition) {
            known.fetch_max(end, Ordering::AcqRel);
        }
    }

    /// Tries as long as the log may come back. A record that was sent twice is read as one.
    async fn written(&self, outputs: &[Output]) -> Result<(), StreamError> {
        if outputs.is_empty() {
            return Ok(());
        }
        let mut tries = 0;
        loop {
            match self.log.send(outputs.to_vec()).await {
                Ok(ends) => {
                    for (TopicPartition { partition, .. }, end) in ends {
                        self.learn(partition, end);
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
                    let apart = match outputs {
                        [one] => record::apart(one).ok_or(error)?,
                        _ => outputs.to_vec(),
                    };
                    let mut first = Ok(());
                    for output in &apart {
                        let one = Box::pin(self.written(slice::from_ref(output))).await;
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
