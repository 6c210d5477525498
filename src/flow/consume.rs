//! First door: records that the log delivers become events that run, as far as there is room: permits, bytes, lanes, and
//! what the progress record can hold. What there is no room for waits, and its partition is paused; the log is still
//! polled.

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::emit::Emitted;
use super::gate::Pass;
use super::lanes::{Arrival, Lane};
use super::member::Member;
use super::notebook::Caution;
use super::partition::Pending;
use super::recover::carefully;
use super::tracker::Receive;
use crate::base::halt::Halt;
use crate::journal::Binding;
use crate::stream::{Epoch, Record, TopicPartition};

/// The part of all bytes that may wait to be started, one in so many.
const WAITING: usize = 4;

/// A record that is to be processed, under the assignment it came with.
pub struct Consumed {
    /// The record.
    pub record: Record,
    /// Of the assignment: a completion under an older one is dropped.
    pub epoch: Epoch,
    /// When it was taken in, milliseconds since the epoch.
    pub received_at: i64,
    /// The same moment, for durations.
    pub began: Instant,
    /// Where its calls are written down; none where no journal is kept.
    pub journal: Option<Binding>,
    /// What is known of it before it runs.
    pub caution: Caution,
    /// Set when its partition was given up: its result is nobody's any more.
    pub tenure: Arc<Halt>,
}

impl fmt::Debug for Consumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} of {}", self.record.offset, self.record.at)
    }
}

impl Consumed {
    /// A record of an event that is not journaled.
    pub fn new(record: Record, epoch: Epoch, received_at: i64) -> Self {
        Consumed {
            record,
            epoch,
            received_at,
            began: Instant::now(),
            journal: None,
            caution: Caution::default(),
            tenure: Arc::default(),
        }
    }

    /// Bytes it holds.
    pub fn size(&self) -> usize {
        self.record.size() + size_of::<Consumed>()
    }
}

/// An event that ended, or one whose outputs were replaced by its dead letter.
pub(super) struct Finished {
    pub(super) lane: Option<Lane>,
    pub(super) event: Emitted,
    /// Whether it was in the outbox before.
    pub(super) again: bool,
}

impl Member {
    pub(super) fn receive(&mut self, record: Record) {
        let at = record.at.clone();
        let Some(partition) = self.partitions.get_mut(&at) else { return };
        if partition.drain_by.is_some() {
            return;
        }
        let first = partition.ahead.is_empty();
        partition.ahead.push(Pending::Record(record));
        // Its journal is read back: its turn comes then.
        let restoring = partition.is_restoring();
        if !restoring {
            if first && self.start_next(&at) {
                return;
            }
            self.turns.put(at.clone());
        }
        let (bytes, partitions) = (self.bounds.bytes / WAITING, self.partitions.len());
        if self.partitions.get(&at).is_some_and(|p| p.ahead.is_full(bytes, partitions)) {
            self.pause(&at);
        }
    }

    /// Starts what waits, a record of each partition in turn, as long as there is room.
    pub(super) fn pump(&mut self) {
        self.start_held_back();
        let (bytes, partitions) = (self.bounds.bytes / WAITING, self.partitions.len());
        let mut stuck = 0;
        while stuck < self.turns.len() && self.has_room() {
            let Some(at) = self.turns.turn() else { return };
            stuck = if self.start_next(&at) { 0 } else { stuck + 1 };
            let waits = self.partitions.get_mut(&at).filter(|p| p.drain_by.is_none());
            let waits = waits.is_some_and(|partition| {
                if partition.paused && partition.ahead.is_low(bytes, partitions) {
                    partition.paused = false;
                    self.reader.pause(&at, false);
                }
                (partition.paused || !partition.ahead.is_empty()) && !partition.is_restoring()
            });
            if !waits {
                self.turns.remove(&at);
                stuck = 0;
            }
        }
    }

    /// Whether another event may start.
    fn has_room(&self) -> bool {
        !self.leaving
            && self.flying < self.bounds.permits
            && self.held_bytes < self.bounds.bytes
            && self.outbox.bytes() < self.bounds.outbox
            && self.held_back.is_empty()
            && self.keeping.as_ref().is_none_or(|k| k.writer.bytes() < self.bounds.outbox)
    }

    /// Starts the first pending record of a partition, or does what else is due with it. False when it must wait.
    fn start_next(&mut self, at: &TopicPartition) -> bool {
        let Some(line) = self.partitions.get(at).map(|partition| Arc::clone(&partition.line))
        else {
            return false;
        };
        let room = self.has_room() && !self.outages.pauses(&line.emitter.plan.name);
        let Some(partition) = self.partitions.get_mut(at) else { return false };
        let Some(pending) = partition.ahead.pop() else { return false };
        if !room || partition.is_restoring() {
            partition.ahead.put_back(pending);
            return false;
        }
        let (lane, consumed) = match pending {
            Pending::Tracked(lane, consumed) => (lane, consumed),
            Pending::Record(record) => match partition.tracker.receive(record.offset) {
                Receive::Skip => return true,
                Receive::Hold => {
                    partition.ahead.put_back(Pending::Record(record));
                    return false;
                }
                Receive::Run => {
                    let key =
                        record.key.clone().filter(|_| partition.line.emitter.plan.source.ordered);
                    let epoch = partition.tracker.epoch();
                    let received_at = self.clock.now();
                    let mut consumed = Consumed::new(record, epoch, received_at);
                    consumed.tenure = Arc::clone(&partition.tenure);
                    if let Some(notebook) = &mut partition.notebook {
                        let (binding, caution) = notebook.open(consumed.record.offset);
                        (consumed.journal, consumed.caution) = (Some(binding), caution);
                    }
                    let consumed = Arc::new(consumed);
                    self.held_bytes += consumed.size();
                    (Lane { at: at.clone(), epoch, key }, consumed)
                }
            },
        };
        match self.lanes.arrive(&lane, consumed) {
            Arrival::Start(consumed) => self.start(lane, consumed),
            Arrival::Queued => {}
            Arrival::Full(consumed) => {
                if let Some(partition) = self.partitions.get_mut(at) {
                    partition.ahead.put_back(Pending::Tracked(lane, consumed));
                }
                return false;
            }
        }
        true
    }

    pub(super) fn launch(&mut self, lane: Lane, consumed: Arc<Consumed>, pass: Pass) {
        let Some(partition) = self.partitions.get_mut(&lane.at) else { return };
        partition.flying += 1;
        self.flying += 1;
        let line = Arc::clone(&partition.line);
        self.watch.started(&line);
        let done = self.finished.0.clone();
        self.workers.pick().spawn(async move {
            let event = carefully(&line, consumed, &pass).await;
            drop(pass);
            // The member may have left: then nobody waits for it.
            drop(done.send(Finished { lane: Some(lane), event, again: false }));
        });
    }

    pub(super) fn settle(&mut self, finished: Finished) {
        let Finished { lane, mut event, again } = finished;
        self.flying -= 1;
        let next = lane.as_ref().and_then(|lane| self.lanes.finish(lane));
        let ours = self
            .partitions
            .get_mut(&event.at)
            .filter(|partition| partition.tracker.epoch() == event.epoch);
        match ours {
            Some(partition) => {
                partition.flying -= 1;
                let line = Arc::clone(&partition.line);
                if again {
                    self.outbox.fill(event, Instant::now());
                } else if partition.tracker.complete(event.epoch, event.offset) {
                    self.watch.settled(&line, &event);
                    event.lane = lane.clone().filter(|lane| lane.key.is_some());
                    self.outbox.push(event, Instant::now());
                }
            }
            None => {
                self.held_bytes -= event.consumed.size();
                self.overhear(&event);
            }
        }
        if let (Some(lane), Some(next)) = (lane, next) {
            self.start(lane, next);
        }
    }

    pub(super) fn pause(&mut self, at: &TopicPartition) {
        if let Some(partition) = self.partitions.get_mut(at).filter(|p| !p.paused) {
            partition.paused = true;
            self.reader.pause(at, true);
        }
    }
}
