//! Reads a topic without a group.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::log::Shared;
use crate::stream::{Follower, Record, StreamError, TopicPartition};

/// Records of one partition in one answer.
const RECORDS: usize = 500;

/// See the module.
pub(super) struct Tail {
    shared: Arc<Shared>,
    /// Each partition with the next offset, and one past the last that stood there at first.
    places: Vec<(TopicPartition, i64, i64)>,
}

impl Tail {
    /// Reads on from these places.
    pub fn new(shared: Arc<Shared>, places: Vec<(TopicPartition, i64, i64)>) -> Tail {
        Tail { shared, places }
    }

    fn look(&mut self) -> Vec<Record> {
        let state = self.shared.state();
        let mut records = Vec::new();
        for (at, next, end) in &mut self.places {
            let Some(partition) = state.partition(at) else { continue };
            let found = partition.read(*next, RECORDS);
            match found.last() {
                Some(last) => *next = last.offset + 1,
                // What is not there will not come: a gap.
                None => *next = (*next).max(*end),
            }
            records.extend(found);
        }
        records
    }
}

#[async_trait]
impl Follower for Tail {
    async fn next(&mut self, wait: Duration) -> Result<Vec<Record>, StreamError> {
        let shared = self.shared.clone();
        let until = tokio::time::Instant::now() + wait;
        loop {
            let changed = shared.changed.notified();
            let mut changed = std::pin::pin!(changed);
            // Before the look, so that a change in between is not missed.
            changed.as_mut().enable();
            let records = self.look();
            if !records.is_empty() || tokio::time::timeout_at(until, changed).await.is_err() {
                return Ok(records);
            }
        }
    }

    fn caught_up(&self) -> bool {
        self.places.iter().all(|(_, next, end)| next >= end)
    }
}
