//! First door: a record that the tracker let in.

use tokio::time::Instant;

use crate::stream::{Epoch, Record};

/// A record that is to be processed, under the assignment it came with.
#[derive(Debug)]
pub struct Consumed {
    /// The record.
    pub record: Record,
    /// Of the assignment: a completion under an older one is dropped.
    pub epoch: Epoch,
    /// When it was taken in, milliseconds since the epoch.
    pub received_at: i64,
    /// The same moment, for durations.
    pub began: Instant,
}
