//! Last door: outputs and progress, written together. What goes into a batch and what a failure means is the outbox'
//! to say; this file moves it to the log and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::time::Instant;

use super::consume::Finished;
use super::emit::Emitted;
use super::member::Member;
use super::outbox::Verdict;
use super::partition::Partition;
use super::refusal::Refusal;
use super::unwritable;
use crate::base::failpoint;
use crate::stream::{
    Batch, CommitError, CommitErrorKind, LogWriter, Output, StreamError, StreamErrorKind,
    TopicPartition,
};

/// A batch on its way, with the writer that carries it.
pub(super) type Committing = BoxFuture<'static, (Box<dyn LogWriter>, Job, Result<(), CommitError>)>;

/// A batch on its way.
pub(super) struct Job {
    events: Vec<Emitted>,
    counts: Vec<usize>,
    chosen: Vec<(TopicPartition, Vec<i64>)>,
    batch: Arc<Batch>,
    began: Instant,
}

impl Member {
    pub(super) fn start_commit(&mut self) {
        let now = Instant::now();
        let hurry = self.leaving || !self.draining.is_empty();
        let due = self.outbox.due(hurry).is_some_and(|due| due <= now);
        let look = self.looks_at_rest(now);
        if !due && !look {
            return;
        }
        let Some(mut writer) = self.writer.take() else { return };
        // The membership first, the filter after: a partition that leaves in between makes the commit fail (R5).
        let fence = writer.fence();
        let (mut gone, partitions) = (0, &self.partitions);
        let mut events = Vec::new();
        if due {
            events = self.outbox.take(
                |at, epoch| partitions.get(at).is_some_and(|p| p.tracker.epoch() == epoch),
                |event| gone += event.consumed.size(),
            );
        }
        self.held_bytes -= gone;
        let resting = if look { self.rest(now) } else { Vec::new() };
        if events.is_empty() && resting.is_empty() {
            self.writer = Some(writer);
            return;
        }
        let mut chosen: BTreeMap<TopicPartition, Vec<i64>> =
            resting.into_iter().map(|at| (at, Vec::new())).collect();
        for event in &events {
            chosen.entry(event.at.clone()).or_default().push(event.offset);
        }
        let (mut progress, nonce) = (Vec::with_capacity(chosen.len()), self.nonce);
        for (at, offsets) in &chosen {
            let Some(Partition { tracker, notebook, .. }) = self.partitions.get_mut(at) else {
                continue;
            };
            let low = notebook.as_mut().map_or(0, |notebook| notebook.low(tracker.seen()));
            progress.push((at.clone(), tracker.epoch(), tracker.progress(offsets, nonce, low)));
        }
        let counts = events.iter().map(|event| event.outputs.len()).collect();
        let outputs = events.iter_mut().flat_map(|event| event.outputs.drain(..)).collect();
        let job = Job {
            events,
            counts,
            chosen: chosen.into_iter().collect(),
            batch: Arc::new(Batch { outputs, progress }),
            began: now,
        };
        self.committing = Some(Box::pin(async move {
            let outcome = writer.commit(fence, &job.batch).await;
            (writer, job, outcome)
        }));
    }

    pub(super) fn after_commit(
        &mut self,
        job: Job,
        outcome: Result<(), CommitError>,
    ) -> Result<(), StreamError> {
        let Job { mut events, counts, chosen, batch, began } = job;
        let batch = Arc::unwrap_or_clone(batch);
        self.resting.committing.clear();
        match outcome {
            Ok(()) => {
                failpoint::reached("commit.before-settle");
                for ((at, offsets), (_, epoch, progress)) in chosen.iter().zip(batch.progress) {
                    if let Some(partition) = self.partitions.get_mut(at) {
                        partition.tracker.settle(epoch, offsets, progress);
                        if let Some(notebook) = &mut partition.notebook {
                            offsets.iter().for_each(|offset| notebook.close(*offset));
                        }
                    }
                }
                // That inputs rest says nothing of what was written, or could not be.
                if events.is_empty() {
                    return Ok(());
                }
                let bytes: usize = events.iter().map(|event| event.consumed.size()).sum();
                self.held_bytes -= bytes;
                self.outbox.succeeded();
                self.watch.committed(events.len(), batch.outputs.len(), began.elapsed());
                Ok(())
            }
            Err(CommitError { kind, message }) if events.is_empty() => match kind {
                CommitErrorKind::Fenced | CommitErrorKind::Fatal => {
                    Err(StreamError { kind: StreamErrorKind::Fatal, message })
                }
                // It is tried again at the next look.
                _ => {
                    tracing::debug!(%message, "inputs that rest were not committed");
                    Ok(())
                }
            },
            Err(error) => {
                self.watch.commit_failed(&error);
                restore(&mut events, &counts, batch.outputs);
                let now = Instant::now();
                match self.outbox.failed(events, &error, now, self.clock.draw()) {
                    Verdict::Again => Ok(()),
                    Verdict::Leave(message) => {
                        Err(StreamError { kind: StreamErrorKind::Fatal, message })
                    }
                    Verdict::Bad(event, reason, topic) => self.bury(*event, reason, topic),
                }
            }
        }
    }

    /// Replaces the outputs of an event by its dead letter, or that by one that has less of the record. Where there is no
    /// less, or another topic does not take the failed result either, the member leaves: an event is never skipped.
    fn bury(
        &mut self,
        event: Emitted,
        reason: String,
        topic: Option<Arc<str>>,
    ) -> Result<(), StreamError> {
        let partition = self.partitions.get_mut(&event.at);
        let Some(partition) = partition.filter(|p| p.tracker.epoch() == event.epoch) else {
            // It was given up since: who has it now finds out for himself.
            self.held_bytes -= event.consumed.size();
            return Ok(());
        };
        tracing::warn!(at = %event.at, offset = event.offset, %reason, "an output can't be written");
        let is_letter =
            topic.as_ref().map(|topic| *topic == partition.line.emitter.plan.dead_letters);
        let again = matches!(event.refusal, Some(Refusal::Unwritable(_)));
        // The letter is refused, or may be: it is not known which output is, and it is not the first time.
        if event.letter.is_some() && (is_letter == Some(true) || again) {
            let place = format!("{} at {}", event.at, event.offset);
            return match event.with_less().filter(|_| is_letter != Some(false)) {
                Some(event) => {
                    self.outbox.fill(event, Instant::now());
                    Ok(())
                }
                None => {
                    let message = format!("what {place} came to can't be written: {reason}");
                    Err(StreamError { kind: StreamErrorKind::Fatal, message })
                }
            };
        }
        partition.flying += 1;
        self.flying += 1;
        let line = Arc::clone(&partition.line);
        let done = self.finished.0.clone();
        self.workers.pick().spawn(async move {
            let event = unwritable(&line, &event, reason).await;
            drop(done.send(Finished { lane: None, event, again: true }));
        });
        Ok(())
    }

    /// Whether a batch with progress of that partition is on its way.
    pub(super) fn commits(&self, at: &TopicPartition) -> bool {
        let completed = |partition: &Partition| partition.tracker.completed() > 0;
        self.committing.is_some()
            && (self.partitions.get(at).is_some_and(completed)
                || self.resting.committing.contains(at))
    }
}

/// The batch on its way, when it has arrived; never, when there is none.
pub(super) async fn committed(
    committing: &mut Option<Committing>,
) -> (Box<dyn LogWriter>, Job, Result<(), CommitError>) {
    match committing {
        Some(committing) => committing.await,
        None => std::future::pending().await,
    }
}

fn restore(events: &mut [Emitted], counts: &[usize], outputs: Vec<Output>) {
    let mut outputs = outputs.into_iter();
    for (event, count) in events.iter_mut().zip(counts) {
        event.outputs.extend(outputs.by_ref().take(*count));
    }
}
