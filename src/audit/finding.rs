//! What an audit says: a verdict for each check, and findings with their places, a bounded number of them.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde::ser::Serializer;

use super::fact::Spot;
use crate::event::ids::EventId;

/// Findings of one check that are kept with their places; the others are counted.
pub const KEPT: usize = 100;

/// The checks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub enum Check {
    /// Every event that should have a result has one, and once.
    C1,
    /// Dead letters are what failed and what could not be decoded, each once.
    C2,
    /// Results and dead letters are those of their inputs.
    C3,
    /// Events of a key were answered in their order.
    C4,
    /// Progress never goes back, and stays within what the topic holds.
    C5,
    /// Nothing is visible that is not committed; no transaction stays open.
    C6,
    /// Cost events, totals, the journal and the provider agree.
    C7,
    /// Nothing was paid twice that was finished.
    C8,
}

impl Check {
    /// All of them.
    pub const ALL: [Check; 8] =
        [Check::C1, Check::C2, Check::C3, Check::C4, Check::C5, Check::C6, Check::C7, Check::C8];

    /// Its name, two or three words.
    pub fn title(self) -> &'static str {
        match self {
            Check::C1 => "results",
            Check::C2 => "dead letters",
            Check::C3 => "content",
            Check::C4 => "order per key",
            Check::C5 => "progress",
            Check::C6 => "committed data",
            Check::C7 => "money",
            Check::C8 => "paid twice",
        }
    }
}

/// One thing that is not as it must be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Finding {
    /// Which check.
    pub check: Check,
    /// Where: of an output if it is one too many, of the input if something is missing.
    #[serde(serialize_with = "shown")]
    pub spot: Option<Spot>,
    /// Word with dashes.
    pub code: &'static str,
    /// The event.
    pub event: Option<EventId>,
    /// One sentence.
    pub message: String,
}

fn shown<S: Serializer>(spot: &Option<Spot>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Shown<'s> {
        topic: &'s str,
        partition: i32,
        offset: i64,
    }
    let shown = spot.as_ref().map(|Spot { topic, partition, offset }| Shown {
        topic,
        partition: *partition,
        offset: *offset,
    });
    shown.serialize(serializer)
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(spot) = &self.spot {
            write!(f, "{spot}  ")?;
        }
        if let Some(event) = &self.event {
            write!(f, "event {event}  ")?;
        }
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// What one check says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Verdict {
    /// Which.
    pub check: Check,
    /// Things that were looked at.
    pub judged: u64,
    /// Findings in all.
    pub found: u64,
    /// The first of them by place, at most [`KEPT`].
    pub findings: Vec<Finding>,
    /// What could not be judged, and what is good to know.
    pub notes: Vec<String>,
}

/// Collects findings: the first by place are kept, so that the same history gives the same list.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: [u64; Check::ALL.len()],
    judged: [u64; Check::ALL.len()],
    kept: [BTreeSet<Finding>; Check::ALL.len()],
    notes: [Vec<String>; Check::ALL.len()],
}

impl Findings {
    /// Something was looked at.
    pub fn judged(&mut self, check: Check, things: u64) {
        self.judged[check as usize] += things;
    }

    /// Something is wrong.
    pub fn add(
        &mut self,
        check: Check,
        code: &'static str,
        spot: Option<Spot>,
        event: Option<EventId>,
        message: impl Into<String>,
    ) {
        let kept = &mut self.kept[check as usize];
        self.found[check as usize] += 1;
        kept.insert(Finding { check, spot, code, event, message: message.into() });
        if kept.len() > KEPT {
            kept.pop_last();
        }
    }

    /// Something that is good to know.
    pub fn note(&mut self, check: Check, note: impl Into<String>) {
        self.notes[check as usize].push(note.into());
    }

    /// The verdicts, in order.
    pub fn verdicts(self) -> Vec<Verdict> {
        let Findings { found, judged, kept, notes } = self;
        let parts = kept.into_iter().zip(notes).zip(found.into_iter().zip(judged));
        Check::ALL
            .into_iter()
            .zip(parts)
            .map(|(check, ((kept, notes), (found, judged)))| Verdict {
                check,
                judged,
                found,
                findings: kept.into_iter().collect(),
                notes,
            })
            .collect()
    }
}
