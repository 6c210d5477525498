//! The journal of one input partition: where its entries go, and how many of them are on their way. Other inputs may
//! share its partition of the journal.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::entry::{Entry, Place};
use super::writer::Writer;
use crate::stream::{StreamError, TopicPartition};

/// See the module. A clone is the same book.
#[derive(Clone)]
pub struct Book {
    writer: Arc<Writer>,
    input: Arc<Input>,
}

/// What the writer keeps of an input partition.
pub(super) struct Input {
    /// The partition.
    pub(super) at: TopicPartition,
    /// The journal's partition that tells of it.
    pub(super) home: i32,
    /// Entries on their way: at least as many as records.
    pub(super) pending: AtomicUsize,
}

impl Book {
    /// Of that input, whose entries stand in that partition of the journal: see [`Writer::home`].
    pub fn new(writer: &Arc<Writer>, at: TopicPartition, home: i32) -> Self {
        let input = Arc::new(Input { at, home, pending: AtomicUsize::new(0) });
        Book { writer: Arc::clone(writer), input }
    }

    /// What writes it.
    pub fn writer(&self) -> &Arc<Writer> {
        &self.writer
    }

    /// What tells this process from every other.
    pub fn run(&self) -> u64 {
        self.writer.run()
    }

    /// The journal's partition that tells of it.
    pub fn home(&self) -> i32 {
        self.input.home
    }

    /// That record of the input, or all of it.
    pub fn place(&self, offset: Option<i64>) -> Place {
        let TopicPartition { topic, partition } = &self.input.at;
        Place { topic: Arc::clone(topic), partition: *partition, offset }
    }

    /// Puts an entry on its way. What waits is bounded by who admits events: see [`Writer::bytes`].
    pub fn append(&self, entry: Entry) {
        self.writer.push(&self.input, entry, None);
    }

    /// The same, and waits until it is durable.
    pub async fn append_durably(&self, entry: Entry) -> Result<(), StreamError> {
        self.writer.push_durably(&self.input, entry).await
    }

    /// One past the highest offset of its partition of the journal that is known to be written: whatever is appended from
    /// now on stands there or above.
    pub fn end(&self) -> i64 {
        self.writer.end(self.input.home)
    }

    /// Its entries that are on their way.
    pub fn pending(&self) -> usize {
        self.input.pending.load(Ordering::Acquire)
    }
}
