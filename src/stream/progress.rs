//! What a group has finished of a partition: the watermark and the finished offsets above it, small enough for the
//! metadata of a Kafka offset. (The text form is in `progress/text.rs`, its proofs and tests beside it.)

mod text;

#[cfg(test)]
mod tests;

pub use text::ProgressError;

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
    /// Where a restore of the call journal starts; [`Progress::NO_JOURNAL`] when somebody else set the offset.
    pub journal_low: i64,
    /// The partition of the call journal that this is an offset of, and that goes on to tell of this input; none where it
    /// has the input's own number.
    pub journal: Option<i32>,
}

impl Progress {
    /// The journal is not known to belong to this offset.
    pub const NO_JOURNAL: i64 = -1;
    /// Bytes of metadata that a Kafka broker takes by default (`offset.metadata.max.bytes`).
    pub const MAX_TEXT: usize = 4_096;
    /// Any pattern within this many offsets fits into [`Progress::MAX_TEXT`], as a bitmap.
    pub const DENSE_SPAN: i64 = 24_000;
    /// This many unfinished offsets fit as gaps …
    pub const SPARSE_OFFSETS: usize = 1_000;
    /// … if they lie within this many offsets.
    pub const SPARSE_SPAN: i64 = 32_000_000;

    /// Nothing done; the next record to read is `base`.
    pub fn starting_at(base: i64) -> Self {
        Progress { base, high: base, ..Progress::default() }
    }

    /// The offset counts, and nothing else is known: an operator set it, or what was committed with it can't be read.
    pub fn known_by_offset(base: i64) -> Self {
        Progress { journal_low: Progress::NO_JOURNAL, ..Progress::starting_at(base) }
    }

    /// That partition of the journal tells of the input partition `own` from now on. Where it was another one, its offset
    /// means nothing here.
    pub fn told_by(&mut self, journal: i32, own: i32) {
        if self.journal.unwrap_or(own) != journal && self.journal_low != Self::NO_JOURNAL {
            self.journal_low = 0;
        }
        self.journal = (journal != own).then_some(journal);
    }

    /// Whether that offset is done.
    pub fn is_done(&self, offset: i64) -> bool {
        offset < self.base
            || (offset < self.high && self.incomplete.binary_search(&offset).is_err())
    }

    /// Admission rule A: whether any state with `unfinished` offsets within `span` has a text of at most
    /// [`Progress::MAX_TEXT`] bytes. Both are known before work starts, so a map that does not fit never comes to be.
    pub fn fits(span: i64, unfinished: usize) -> bool {
        span <= Self::DENSE_SPAN
            || (unfinished <= Self::SPARSE_OFFSETS && span <= Self::SPARSE_SPAN)
    }

    /// Whether the fields keep what they promise: ascending unfinished offsets within `[base, high)`.
    pub fn is_sound(&self) -> bool {
        self.base <= self.high
            && self.incomplete.is_sorted_by(|a, b| a < b)
            && self.incomplete.first().is_none_or(|first| *first >= self.base)
            && self.incomplete.last().is_none_or(|last| *last < self.high)
    }
}
