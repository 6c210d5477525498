//! The journal of one input partition: where its entries go, and how many of them are on their way. Other inputs may
//! share its partition of the journal.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::batch::Told;
use super::entry::{About, What};
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
    /// Where it stood among the inputs of a round, last time.
    pub(super) place: AtomicUsize,
}

/// Whoever tells of the same input is the same: what they tell keeps its order.
impl PartialEq for Input {
    fn eq(&self, other: &Self) -> bool {
        // What differs most often first.
        let [this, that] = [self, other].map(|it| (it.at.partition, it.home, &it.at.topic));
        this == that
    }
}

impl Book {
    /// Of that input, whose entries stand in that partition of the journal: see [`Writer::home`].
    pub fn new(writer: &Arc<Writer>, at: TopicPartition, home: i32) -> Self {
        let input = Arc::new(Input { at, home, place: AtomicUsize::default() });
        Book { writer: Arc::clone(writer), input }
    }

    /// What writes it.
    pub fn writer(&self) -> &Arc<Writer> {
        &self.writer
    }

    /// The journal's partition that tells of it.
    pub fn home(&self) -> i32 {
        self.input.home
    }

    /// Puts an entry on its way. What waits is bounded by who admits events: see [`Writer::bytes`].
    pub fn append(&self, about: About, what: What) {
        self.tell(Told::new(about, what));
    }

    /// The same of what is told in its form already.
    pub(super) fn tell(&self, told: Told) {
        self.writer.push(&self.input, told, None);
    }

    /// The same, and waits until it is durable.
    pub async fn append_durably(&self, about: About, what: What) -> Result<(), StreamError> {
        self.writer.push_durably(&self.input, Told::new(about, what)).await
    }

    /// One past the highest offset of its partition of the journal that is known to be written: whatever is appended from
    /// now on stands there or above.
    pub fn end(&self) -> i64 {
        self.writer.end(self.input.home)
    }

    /// Its entries that are on their way.
    pub fn pending(&self) -> usize {
        self.writer.pending_of(&self.input)
    }
}
