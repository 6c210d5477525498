//! What a group has finished of a partition: the watermark and the finished offsets above it, small enough for the
//! metadata of a Kafka offset. (The text form, its proofs and its tests are in `progress/`.)

/// Finished work of one partition. Offsets below `base` are done; of those in `[base, high)` all but `incomplete` are.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Progress {
    /// First offset that is not done: what Kafka calls the committed offset.
    pub base: i64,
    /// One past the highest done offset; equals `base` when nothing above it is done.
    pub high: i64,
    /// Received offsets in `[base, high)` that are not done, ascending. The first is `base` when it was received.
    pub incomplete: Vec<i64>,
    /// Drawn by each writer at its start; with `sequence` it tells one commit from every other.
    pub nonce: u64,
    /// Grows by one with each commit of the partition.
    pub sequence: u64,
    /// Where a restore of the call journal starts.
    pub journal_low: i64,
}

impl Progress {
    /// Nothing done; the next record to read is `base`.
    pub fn starting_at(base: i64) -> Self {
        Progress { base, high: base, ..Progress::default() }
    }

    /// Whether that offset is done.
    pub fn is_done(&self, offset: i64) -> bool {
        offset < self.base
            || (offset < self.high && self.incomplete.binary_search(&offset).is_err())
    }
}
