//! What an audit is about: one pipeline in one group, the part of its history that was read, and what may be missing.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::identity::Origin;
use crate::stream::Progress;

/// Events that an audit holds unless it is told otherwise. Each takes about 200 bytes, each attempt of a call 100.
pub const MOST_EVENTS: usize = 4_000_000;

/// What becomes of results.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SinkTerms {
    /// There is no sink.
    Nowhere,
    /// Results are ours, or the user's own values with failed results beside them.
    Results,
}

/// Where a group began that had committed nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Began {
    /// At the oldest record.
    Earliest,
    /// At the first record of this time, milliseconds since the epoch.
    Time(i64),
    /// At what was then the end: not known any more, so the first event that left anything is taken for it.
    Unknown,
}

/// What one audit is about.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The pipeline.
    pub pipeline: Arc<str>,
    /// Its group.
    pub group: Arc<str>,
    /// The topic that it reads.
    pub source: Arc<str>,
    /// What becomes of results.
    pub sink: SinkTerms,
    /// Whether events of a key are answered in order.
    pub ordered: bool,
    /// Where the group began.
    pub began: Began,
    /// Offsets of each partition that are read as inputs: from the first to before the second.
    pub offsets: BTreeMap<i32, (i64, i64)>,
    /// Only events whose record's time is within: from the first to before the second, milliseconds since the epoch.
    pub period: (Option<i64>, Option<i64>),
    /// Whether records of the source may be gone from the middle, as compaction does.
    pub compacted: bool,
    /// Whether everything should be done by now: then lag is a finding.
    pub finished: bool,
    /// Whether every call must have been announced in the journal before it left.
    pub strict_intents: bool,
    /// What the group had committed when the audit began.
    pub progress: BTreeMap<i32, Progress>,
    /// Bound of what is held.
    pub most_events: usize,
}

impl Terms {
    /// Everything of a topic, of which those offsets are read.
    pub fn whole(
        pipeline: &str,
        group: &str,
        source: &str,
        offsets: BTreeMap<i32, (i64, i64)>,
        progress: BTreeMap<i32, Progress>,
    ) -> Self {
        Terms {
            pipeline: pipeline.into(),
            group: group.into(),
            source: source.into(),
            sink: SinkTerms::Results,
            ordered: true,
            began: Began::Earliest,
            offsets,
            period: (None, None),
            compacted: false,
            finished: false,
            strict_intents: false,
            progress,
            most_events: MOST_EVENTS,
        }
    }

    /// Whether a time is within the period.
    pub fn is_within(&self, time: i64) -> bool {
        self.period.0.is_none_or(|from| time >= from) && self.period.1.is_none_or(|to| time < to)
    }

    /// Whether the record there should have been among the inputs.
    pub(super) fn covers(&self, origin: &Origin) -> bool {
        let offsets = self.offsets.get(&origin.partition);
        *origin.topic == *self.source
            && self.is_within(origin.timestamp)
            && offsets.is_some_and(|(from, to)| (*from..*to).contains(&origin.offset))
    }
}

/// Outputs that may have been dropped, by retention: the older ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Gone {
    /// Results.
    Answers,
    /// Dead letters.
    Letters,
    /// Cost events.
    Charges,
    /// Records of the journal.
    Calls,
}

/// Up to which time, milliseconds since the epoch, outputs may have been dropped.
#[derive(Clone, Debug)]
pub(super) struct Horizon([i64; 4]);

impl Default for Horizon {
    fn default() -> Self {
        Horizon([i64::MIN; 4])
    }
}

impl Horizon {
    pub fn set(&mut self, what: Gone, until: i64) {
        let held = &mut self.0[what as usize];
        *held = until.max(*held);
    }

    /// Whether what an input of that time left behind is still there.
    pub fn keeps(&self, what: Gone, time: i64) -> bool {
        time > self.0[what as usize]
    }
}
