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

impl Member {
    /// Whether it is time to look at the inputs.
    pub(super) fn looks_at_rest(&self, now: Instant) -> bool {
        !self.leaving && now >= self.rest_seen + EVERY
    }

    /// Those whose progress is to be committed although nothing of them was done.
    pub(super) fn resting(&mut self, now: Instant) -> Vec<TopicPartition> {
        self.rest_seen = now;
        let most = self.bounds.rested;
        let stale = |(at, partition): (&TopicPartition, &mut Partition)| {
            (partition.in_vain() > most).then(|| at.clone())
        };
        self.partitions.iter_mut().filter_map(stale).collect()
    }
}

impl Partition {
    /// Records of the journal that are read back for nothing, should it start again now.
    fn in_vain(&mut self) -> i64 {
        let committed = self.tracker.committed();
        // Where nothing was committed nothing is read back.
        let rests = self.drain_by.is_none()
            && self.ahead.is_empty()
            && self.tracker.open() == 0
            && committed.sequence > 0;
        let (seen, low) = (self.tracker.seen(), committed.journal_low);
        let notebook = self.notebook.as_mut().filter(|notebook| rests && !notebook.is_restoring());
        notebook.map_or(0, |notebook| notebook.low(seen) - low)
    }
}
