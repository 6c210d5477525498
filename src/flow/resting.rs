//! Inputs that rest while others fill their partition of the journal. What such a one committed last says from where on the
//! journal is to be read for it; it is committed anew from time to time, or a restart would read all that was written of
//! the others since.

use std::time::Duration;

use tokio::time::Instant;

use super::member::Member;
use super::partition::Partition;
use crate::stream::TopicPartition;

/// Between two looks at the inputs.
const EVERY: Duration = Duration::from_secs(10);
/// Inputs of one commit, for which the log has one request: the others have their turn at the next look.
const TOGETHER: usize = 500;

/// When the inputs were looked at, and which of them are being committed for it.
pub(super) struct Resting {
    seen: Instant,
    pub(super) committing: Vec<TopicPartition>,
}

impl Default for Resting {
    fn default() -> Self {
        Resting { seen: Instant::now(), committing: Vec::new() }
    }
}

impl Member {
    /// Whether it is time to look at the inputs. While some are given up, commits are needed for them.
    pub(super) fn looks_at_rest(&self, now: Instant) -> bool {
        !self.leaving && self.draining.is_empty() && now >= self.resting.seen + EVERY
    }

    /// Those whose progress is to be committed although nothing of them was done: the worst first.
    pub(super) fn rest(&mut self, now: Instant) -> Vec<TopicPartition> {
        self.resting.seen = now;
        let most = self.bounds.rested;
        let in_vain = |(at, partition): (&TopicPartition, &mut Partition)| {
            Some((partition.in_vain(), at.clone())).filter(|(records, _)| *records > most)
        };
        let mut stale: Vec<_> = self.partitions.iter_mut().filter_map(in_vain).collect();
        stale.sort_unstable_by_key(|(records, _)| std::cmp::Reverse(*records));
        stale.truncate(TOGETHER);
        let stale: Vec<TopicPartition> = stale.into_iter().map(|(_, at)| at).collect();
        self.resting.committing.clone_from(&stale);
        stale
    }
}

impl Partition {
    /// Records of the journal that would be read back for nothing, should it start again now.
    fn in_vain(&mut self) -> i64 {
        let rests = self.drain_by.is_none() && self.tracker.open() == 0;
        let (seen, low) = (self.tracker.seen(), self.tracker.committed().journal_low);
        let notebook = self.notebook.as_mut().filter(|notebook| rests && !notebook.is_restoring());
        // Where somebody else has set the offset the journal is read from its start.
        notebook.map_or(0, |notebook| notebook.low(seen) - low.max(0))
    }
}
