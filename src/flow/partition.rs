//! One assigned partition, as the member of the group sees it.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;

use super::Line;
use super::consume::Consumed;
use super::lanes::Lane;
use super::notebook::Notebook;
use super::tracker::Tracker;
use crate::base::halt::Halt;
use crate::stream::{Assignment, Record};

/// A record that could not be started when it came.
#[derive(Debug)]
pub enum Pending {
    /// Nothing is known of it yet.
    Record(Record),
    /// The tracker let it in; its lane was full.
    Tracked(Lane, Arc<Consumed>),
}

impl Pending {
    fn size(&self) -> usize {
        match self {
            Pending::Record(record) => record.size() + size_of::<Consumed>(),
            Pending::Tracked(_, consumed) => consumed.size(),
        }
    }
}

/// Records of a partition that wait here before the log is asked to hold its own back. Less would leave the engine idle:
/// a client that goes on after a pause has thrown away what it had, and fetches it again.
const MOST: usize = 4_096;
/// The same over all partitions, and what each of many may hold all the same.
const MOST_TOGETHER: usize = 24_576;
const LEAST: usize = 512;
/// Their bytes.
const MOST_BYTES: usize = 8 << 20;

/// What waits to be started, in order.
#[derive(Debug, Default)]
pub struct Ahead {
    waiting: VecDeque<Pending>,
    bytes: usize,
}

impl Ahead {
    /// The newest.
    pub fn push(&mut self, pending: Pending) {
        self.bytes += pending.size();
        self.waiting.push_back(pending);
    }

    /// One that could not be started after all.
    pub fn put_back(&mut self, pending: Pending) {
        self.bytes += pending.size();
        self.waiting.push_front(pending);
    }

    /// The oldest.
    pub fn pop(&mut self) -> Option<Pending> {
        let oldest = self.waiting.pop_front()?;
        self.bytes -= oldest.size();
        Some(oldest)
    }

    /// All, in order.
    pub fn take(&mut self) -> VecDeque<Pending> {
        std::mem::take(self).waiting
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether no more should come, when one partition of so many shares these bytes.
    pub fn is_full(&self, bytes: usize, partitions: usize) -> bool {
        self.waiting.len() >= most(partitions) || self.bytes >= share(bytes, partitions)
    }

    /// Whether more may come again.
    pub fn is_low(&self, bytes: usize, partitions: usize) -> bool {
        self.waiting.len() <= most(partitions) / 2 && self.bytes <= share(bytes, partitions) / 2
    }
}

fn most(partitions: usize) -> usize {
    (MOST_TOGETHER / partitions.max(1)).clamp(LEAST, MOST)
}

fn share(bytes: usize, partitions: usize) -> usize {
    MOST_BYTES.min(bytes / partitions.max(1))
}

/// See the module.
pub struct Partition {
    /// The pipeline that reads it.
    pub line: Arc<Line>,
    /// Its offsets.
    pub tracker: Tracker,
    /// What waits to be started.
    pub ahead: Ahead,
    /// Whether the log was asked to hold its records back.
    pub paused: bool,
    /// Events that run now.
    pub flying: usize,
    /// Set when it is to be given up: what has not ended by then is abandoned.
    pub drain_by: Option<Instant>,
    /// One past the newest record when it was assigned.
    pub end: i64,
    /// Its journal, where one is kept.
    pub notebook: Option<Notebook>,
    /// Set when it is somebody else's: what still runs of it starts nothing new.
    pub tenure: Arc<Halt>,
}

impl Partition {
    /// A partition that was just assigned.
    pub fn new(assignment: Assignment, line: Arc<Line>, notebook: Option<Notebook>) -> Self {
        Partition {
            line,
            end: assignment.end,
            tracker: Tracker::new(assignment.epoch, assignment.progress),
            ahead: Ahead::default(),
            paused: false,
            flying: 0,
            drain_by: None,
            notebook,
            tenure: assignment.tenure,
        }
    }

    /// Whether a drain is over: nothing runs, or its time has passed, and nothing waits for a commit.
    pub fn is_drained(&self, now: Instant) -> bool {
        self.drain_by
            .is_some_and(|by| (self.flying == 0 && self.tracker.completed() == 0) || now >= by)
    }

    /// Whether its journal is read back, and nothing may start.
    pub fn is_restoring(&self) -> bool {
        self.notebook.as_ref().is_some_and(Notebook::is_restoring)
    }

    /// Whether its drain is over, and its journal is durable or has had its time, too.
    pub fn is_over(&mut self, now: Instant) -> bool {
        if !self.is_drained(now) {
            return false;
        }
        let Some(notebook) = &mut self.notebook else { return true };
        notebook.give_up();
        notebook.is_closed() || self.drain_by.is_some_and(|by| now >= by)
    }
}
