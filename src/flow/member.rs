//! The loop around the doors: one member of a consumer group. It takes records in, starts what may run (`consume`), and
//! writes outputs and progress together (`commit`). Settled work comes before new records, else memory would grow.
//!
//! It owns the trackers, the lanes and the outbox, and decides nothing by itself: they answer, it acts.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until};

use super::Line;
use super::commit::{Committing, committed};
use super::consume::{Consumed, Finished};
use super::emit::Emitted;
use super::gate::Gate;
use super::lanes::Lanes;
use super::late::{Step, Takeover, Tenure};
use super::notebook::{Keeping, Notebook};
use super::outage::Outages;
use super::outbox::{Limits, Outbox};
use super::partition::{Partition, Pending};
use super::readings::Readings;
use super::recover::{self, HeldBack, READINGS, drop_held_back};
use super::resting::Resting;
use super::turns::Turns;
use super::workers::Workers;
use crate::base::clock::Clock;
use crate::journal::Memory;
use crate::journal::restore::Input;
use crate::stream::{
    CommitError, Delivery, Epoch, LogReader, LogWriter, Progress, StreamError, StreamErrorKind,
    TopicPartition,
};

/// Bounds of a member.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Events that run at a time.
    pub permits: usize,
    /// Bytes of records that are taken in and not committed.
    pub bytes: usize,
    /// Bytes of outputs that wait to be committed.
    pub outbox: usize,
    /// Events that wait in one lane.
    pub lane_depth: usize,
    /// Time that running events have when a partition is given up.
    pub drain: Duration,
    /// Records of the journal that a restart may read in vain for an input that rested.
    pub rested: i64,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            permits: 12_000,
            bytes: 512 << 20,
            outbox: 64 << 20,
            lane_depth: 64,
            drain: Duration::from_secs(10),
            // It takes less than a second.
            rested: 4_096,
        }
    }
}

/// Sees what happens, for counters and logs.
pub trait Watch: Send + Sync {
    /// An event was started.
    fn started(&self, line: &Line);
    /// An event ended; its outputs wait.
    fn settled(&self, line: &Line, event: &Emitted);
    /// A batch is durable.
    fn committed(&self, events: usize, outputs: usize, took: Duration);
    /// A batch was not written.
    fn commit_failed(&self, error: &CommitError);
    /// A partition was assigned, with the records it still holds.
    fn assigned(&self, at: &TopicPartition, progress: &Progress, lag: i64);
    /// What its journal tells of unfinished events was read.
    fn restored(&self, at: &TopicPartition, memory: &Memory);
    /// A partition can't be read: it stands still, and the others go on.
    fn stopped(&self, error: &StreamError);
    /// A partition was given up.
    fn released(&self, at: &TopicPartition);
}

/// Why a member left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// It was asked to.
    Asked,
    /// Everything up to the given end is committed.
    Bounded,
}

/// See the module.
pub struct Member {
    pub(super) reader: Box<dyn LogReader>,
    pub(super) writer: Option<Box<dyn LogWriter>>,
    pub(super) lines: HashMap<Arc<str>, Arc<Line>>,
    pub(super) partitions: BTreeMap<TopicPartition, Partition>,
    /// Those that have something waiting, or were asked to hold it back.
    pub(super) turns: Turns,
    /// Those that are given up.
    pub(super) draining: BTreeSet<TopicPartition>,
    pub(super) lanes: Lanes<Arc<Consumed>>,
    pub(super) outbox: Outbox,
    pub(super) committing: Option<Committing>,
    pub(super) workers: Arc<Workers>,
    pub(super) gate: Gate,
    pub(super) held_back: VecDeque<HeldBack>,
    pub(super) keeping: Option<Keeping>,
    pub(super) takeovers: HashMap<Tenure, Takeover>,
    pub(super) late: FuturesUnordered<BoxFuture<'static, Step>>,
    pub(super) looks: Readings<Tenure>,
    pub(super) restoring: FuturesUnordered<BoxFuture<'static, recover::Step>>,
    pub(super) restores: Readings<(Epoch, Input)>,
    pub(super) readings: Arc<Semaphore>,
    pub(super) finished: (mpsc::UnboundedSender<Finished>, mpsc::UnboundedReceiver<Finished>),
    pub(super) bounds: Bounds,
    pub(super) flying: usize,
    pub(super) held_bytes: usize,
    pub(super) nonce: u64,
    pub(super) resting: Resting,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) outages: Outages,
    pub(super) watch: Arc<dyn Watch>,
    pub(super) leaving: bool,
    pub(super) until: Option<HashMap<TopicPartition, i64>>,
}

/// What a member is made of.
pub struct Parts {
    /// Reading side of the log.
    pub reader: Box<dyn LogReader>,
    /// Writing side.
    pub writer: Box<dyn LogWriter>,
    /// The pipeline of each topic.
    pub lines: HashMap<Arc<str>, Arc<Line>>,
    /// Where events run.
    pub workers: Arc<Workers>,
    /// Bounds.
    pub bounds: Bounds,
    /// When to commit.
    pub limits: Limits,
    /// Time and draws.
    pub clock: Arc<dyn Clock>,
    /// What is down.
    pub outages: Outages,
    /// Who looks on.
    pub watch: Arc<dyn Watch>,
    /// How its journal is kept, if one is.
    pub keeping: Option<Keeping>,
    /// Who may run beside whom, in the whole process.
    pub gate: Gate,
    /// Leave once everything below these offsets is committed.
    pub until: Option<HashMap<TopicPartition, i64>>,
}

/// What still runs belongs to nobody: what it would journal comes after another member has read the journal.
impl Drop for Member {
    fn drop(&mut self) {
        if let Some(keeping) = &self.keeping {
            keeping.writer.stop();
        }
    }
}

impl Member {
    /// A member that has just joined.
    pub fn new(parts: Parts) -> Self {
        let Parts { reader, writer, lines, workers, bounds, limits, clock, .. } = parts;
        let Parts { outages, watch, keeping, gate, until, .. } = parts;
        Member {
            reader,
            writer: Some(writer),
            lines,
            partitions: BTreeMap::new(),
            turns: Turns::default(),
            draining: BTreeSet::new(),
            lanes: Lanes::new(bounds.lane_depth, bounds.permits),
            outbox: Outbox::new(limits),
            committing: None,
            workers,
            gate,
            held_back: VecDeque::new(),
            takeovers: HashMap::new(),
            late: FuturesUnordered::new(),
            looks: Readings::default(),
            keeping,
            restoring: FuturesUnordered::new(),
            restores: Readings::default(),
            readings: Arc::new(Semaphore::new(READINGS)),
            finished: mpsc::unbounded_channel(),
            bounds,
            flying: 0,
            held_bytes: 0,
            nonce: clock.draw() as u64,
            resting: Resting::default(),
            clock,
            outages,
            watch,
            leaving: false,
            until,
        }
    }

    /// Works until `asked` resolves, or until everything is done that was asked for, then drains and leaves the group.
    pub async fn work(mut self, asked: impl Future<Output = ()>) -> Result<Left, StreamError> {
        let mut asked = std::pin::pin!(asked);
        let mut why = Left::Asked;
        loop {
            self.start_commit();
            self.release_drained();
            if !self.leaving && self.reached_the_end() {
                why = Left::Bounded;
                self.leave();
            }
            if self.leaving && self.partitions.is_empty() && self.committing.is_none() {
                self.reader.close(self.bounds.drain).await?;
                return Ok(why);
            }
            let wake = self.wake();
            tokio::select! {
                biased;
                Some(finished) = self.finished.1.recv() => {
                    self.settle(finished);
                    while let Ok(more) = self.finished.1.try_recv() {
                        self.settle(more);
                    }
                }
                (writer, job, outcome) = committed(&mut self.committing) => {
                    self.committing = None;
                    self.writer = Some(writer);
                    self.after_commit(job, outcome)?;
                }
                Some(step) = self.restoring.next() => self.restore_on(step)?,
                Some(step) = self.late.next() => self.look(step),
                () = &mut asked, if !self.leaving => self.leave(),
                () = sleep_until(wake) => {}
                delivery = self.reader.next() => match delivery {
                    Ok(delivery) => self.deliver(delivery),
                    Err(error) if error.kind == StreamErrorKind::Unavailable => {
                        tracing::warn!(%error, "the log is not reachable");
                        sleep(Duration::from_millis(500)).await;
                    }
                    // The others go on, but whoever waits for an end would wait for ever.
                    Err(error)
                        if error.kind == StreamErrorKind::CorruptProgress
                            && self.until.is_none() =>
                    {
                        self.watch.stopped(&error);
                    }
                    Err(error) => return Err(error),
                },
            }
            self.pump();
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        if !matches!(delivery, Delivery::Records(_)) {
            self.outbox.rebalanced();
        }
        match delivery {
            Delivery::Assigned(mut assignment) => {
                let Some(line) = self.lines.get(&assignment.at.topic) else { return };
                let at = assignment.at.clone();
                let permits = self.bounds.permits;
                let notebook = self.keeping.as_ref().map(|keeping| {
                    let home = keeping.writer.home(&at, assignment.progress.journal);
                    assignment.progress.told_by(home, at.partition);
                    Notebook::new(keeping, home, &assignment, permits)
                });
                if let Some(notebook) = &notebook {
                    let home = notebook.book().home();
                    self.restore(&assignment, notebook);
                    let takeover = Takeover::new(home, assignment.progress.clone());
                    self.takeovers.insert((at.clone(), assignment.epoch), takeover);
                }
                let mut partition = Partition::new(assignment, Arc::clone(line), notebook);
                let progress = partition.tracker.committed();
                self.watch.assigned(&at, progress, partition.tracker.lag(partition.end));
                // Of an assignment before this one nothing is left.
                self.draining.remove(&at);
                if self.leaving {
                    partition.drain_by = Some(Instant::now());
                    self.draining.insert(at.clone());
                }
                self.partitions.insert(at, partition);
            }
            Delivery::Records(records) => {
                for record in records {
                    self.receive(record);
                }
            }
            Delivery::Revoked(revocation) => {
                let by = Instant::now() + self.bounds.drain;
                self.give_up(&revocation.at, by);
            }
            Delivery::Lost(at, epoch) => {
                if let Some(mut partition) = self.partitions.remove(&at) {
                    if let Some(notebook) = &mut partition.notebook {
                        notebook.give_up();
                    }
                    self.forget(&at, partition, epoch);
                }
            }
        }
    }

    /// Ends the intake of every partition; the loop goes on until they are drained.
    fn leave(&mut self) {
        self.leaving = true;
        let by = Instant::now() + self.bounds.drain;
        let all: Vec<TopicPartition> = self.partitions.keys().cloned().collect();
        for at in all {
            self.pause(&at);
            self.give_up(&at, by);
        }
    }

    fn give_up(&mut self, at: &TopicPartition, by: Instant) {
        let Some(partition) = self.partitions.get_mut(at) else { return };
        partition.drain_by.get_or_insert(by);
        self.draining.insert(at.clone());
        let epoch = partition.tracker.epoch();
        let tracked = partition.ahead.take().into_iter().filter_map(|pending| match pending {
            Pending::Tracked(_, consumed) => Some(consumed),
            Pending::Record(_) => None,
        });
        let held_back = drop_held_back(&mut self.held_back, at);
        let dropped: Vec<Arc<Consumed>> =
            tracked.chain(self.lanes.clear_waiting(at, epoch)).chain(held_back).collect();
        self.held_bytes -= dropped.iter().map(|consumed| consumed.size()).sum::<usize>();
    }

    fn release_drained(&mut self) {
        let now = Instant::now();
        let drained = |at: &&TopicPartition| {
            self.partitions.get(at).is_some_and(|p| p.is_drained(now)) && !self.commits(at)
        };
        let drained: Vec<TopicPartition> = self.draining.iter().filter(drained).cloned().collect();
        let over =
            |at: &TopicPartition| self.partitions.get_mut(at).is_some_and(|p| p.is_over(now));
        let drained: Vec<TopicPartition> = drained.into_iter().filter(over).collect();
        for at in drained {
            if let Some(partition) = self.partitions.remove(&at) {
                let epoch = partition.tracker.epoch();
                self.forget(&at, partition, epoch);
                self.reader.release(&at, epoch);
            }
        }
    }

    fn forget(&mut self, at: &TopicPartition, mut partition: Partition, epoch: Epoch) {
        self.draining.remove(at);
        self.turns.remove(at);
        partition.tenure.set();
        self.hand_over((at.clone(), epoch), partition.tracker.committed());
        let tracked = partition.ahead.take().into_iter().filter_map(|pending| match pending {
            Pending::Tracked(_, consumed) => Some(consumed),
            Pending::Record(_) => None,
        });
        let held_back = drop_held_back(&mut self.held_back, at);
        let dropped: Vec<Arc<Consumed>> =
            tracked.chain(self.lanes.drain(at, epoch)).chain(held_back).collect();
        self.held_bytes -= dropped.iter().map(|consumed| consumed.size()).sum::<usize>();
        let held_bytes = &mut self.held_bytes;
        self.outbox.give_up(at, epoch, |event| *held_bytes -= event.consumed.size());
        self.watch.released(at);
    }

    /// When to look again even if nothing happens.
    fn wake(&self) -> Instant {
        let now = Instant::now();
        let hurry = self.leaving || !self.draining.is_empty();
        let commit = self.outbox.due(hurry).filter(|_| self.writer.is_some());
        let draining = self.draining.iter().filter_map(|at| self.partitions.get(at));
        let drains = draining.filter_map(|partition| partition.drain_by);
        let look = match () {
            // The journal tells nobody that it has been written, the gate nobody that it is free.
            () if hurry || !self.held_back.is_empty() => 5,
            () if !self.turns.is_empty() || self.until.is_some() => 50,
            () => 1_000,
        };
        let look = now + Duration::from_millis(look);
        commit.into_iter().chain(drains.filter(|by| *by > now)).fold(look, Instant::min)
    }

    fn reached_the_end(&self) -> bool {
        let Some(until) = &self.until else { return false };
        until.iter().all(|(at, end)| {
            self.partitions.get(at).is_some_and(|partition| {
                let tracker = &partition.tracker;
                partition.ahead.is_empty()
                    && tracker.open() == 0
                    && tracker.committed().base >= *end
            })
        })
    }
}
