//! The journal of one input partition: where its entries go, and how many of them are on their way. Other inputs may
//! share its partition of the journal.

use std::cmp::Ordering as Order;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    /// Entries on their way: at least as many as records.
    pub(super) pending: AtomicUsize,
    /// Bytes that were written of it together, last time.
    pub(super) usual: AtomicUsize,
}

impl Input {
    fn order(&self) -> (i32, &TopicPartition) {
        (self.home, &self.at)
    }
}

/// Whoever tells of the same input is the same: what they tell keeps its order.
impl PartialEq for Input {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Input {}

impl PartialOrd for Input {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for Input {
    fn cmp(&self, other: &Self) -> Order {
        self.order().cmp(&other.order())
    }
}

impl Book {
    /// Of that input, whose entries stand in that partition of the journal: see [`Writer::home`].
    pub fn new(writer: &Arc<Writer>, at: TopicPartition, home: i32) -> Self {
        let (pending, usual) = Default::default();
        let input = Arc::new(Input { at, home, pending, usual });
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
        self.input.pending.load(Ordering::Acquire)
    }
}
