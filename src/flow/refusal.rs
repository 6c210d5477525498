//! Every way an event can fail to complete, and what is done about each: the one match that decides.

use std::fmt;

use crate::codec::{CodecError, CodecErrorKind};
use crate::event::result::Failure;

/// Why an event does not complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The value can't be decoded, and never will be.
    Undecodable {
        /// The codec's word.
        code: &'static str,
        /// One sentence.
        message: String,
    },
    /// A null value, where the pipeline calls it one.
    Tombstone(TombstoneAs),
    /// `source.filter` is false.
    FilteredOut,
    /// A replay for another group that reads the same topic.
    Elsewhere(String),
    /// An expression of the source, the identity or the sink failed.
    Expression {
        /// Which: `source.filter`, `sink.when`, `identity.tenant`.
        place: &'static str,
        /// One sentence.
        message: String,
    },
    /// `expires_at` or `ce_expirytime` has passed.
    Expired,
    /// `vivremotion.hops` passed its limit: pipelines publish to each other in a circle.
    TooManyHops(u32),
    /// A stage failed and nothing recovers it.
    Stage {
        /// Its name.
        stage: String,
        /// `transient`, `permanent`, `budget`, `deadline`.
        class: &'static str,
        /// Word with dashes.
        code: String,
        /// One sentence.
        message: String,
    },
    /// A stage panicked.
    Panic {
        /// Its name.
        stage: String,
    },
    /// The process died every time it ran alone.
    CrashLoop {
        /// How often.
        deaths: usize,
    },
    /// A store will never take what the event wants remembered or forgotten.
    Memory(String),
    /// The log will never take an output of the event.
    Unwritable(String),
}

/// What a null value is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TombstoneAs {
    /// Nothing.
    Nothing,
    /// Poison.
    Poison,
}

/// What is done about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Counted; no output.
    Skip,
    /// The untouched record goes to the dead letter topic.
    DeadLetter,
    /// A failed result, and the untouched record to the dead letter topic.
    Fail,
}

impl Refusal {
    /// What is done about it.
    pub fn disposition(&self) -> Disposition {
        match self {
            Refusal::FilteredOut
            | Refusal::Elsewhere(_)
            | Refusal::Tombstone(TombstoneAs::Nothing) => Disposition::Skip,
            Refusal::Undecodable { .. } | Refusal::Tombstone(TombstoneAs::Poison) => {
                Disposition::DeadLetter
            }
            Refusal::Expression { .. }
            | Refusal::Expired
            | Refusal::TooManyHops(_)
            | Refusal::Stage { .. }
            | Refusal::Panic { .. }
            | Refusal::CrashLoop { .. }
            | Refusal::Memory(_)
            | Refusal::Unwritable(_) => Disposition::Fail,
        }
    }

    /// In words that may leave the house.
    pub fn failure(&self) -> Failure {
        let (class, code, stage, retryable) = match self {
            Refusal::Undecodable { code, .. } => ("decode", (*code).to_owned(), None, false),
            Refusal::Tombstone(_) => ("permanent", "tombstone".to_owned(), None, false),
            Refusal::FilteredOut => ("permanent", "filtered-out".to_owned(), None, false),
            Refusal::Elsewhere(_) => ("permanent", "elsewhere".to_owned(), None, false),
            Refusal::Expression { .. } => ("permanent", "expression".to_owned(), None, false),
            Refusal::Expired => ("deadline", "expired".to_owned(), None, false),
            Refusal::TooManyHops(_) => ("permanent", "too-many-hops".to_owned(), None, false),
            Refusal::Stage { stage, class, code, .. } => {
                (*class, code.clone(), Some(stage.clone()), *class != "permanent")
            }
            Refusal::Panic { stage } => ("panic", "panic".to_owned(), Some(stage.clone()), false),
            Refusal::CrashLoop { .. } => ("panic", "crash-loop".to_owned(), None, false),
            Refusal::Memory(_) => ("permanent", "memory".to_owned(), None, false),
            Refusal::Unwritable(_) => ("permanent", "unwritable-output".to_owned(), None, false),
        };
        Failure { class: class.to_owned(), code, stage, message: self.to_string(), retryable }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Undecodable { message, .. }
            | Refusal::Memory(message)
            | Refusal::Unwritable(message) => f.write_str(message),
            Refusal::Tombstone(_) => f.write_str("the record has no value (a tombstone)"),
            Refusal::FilteredOut => f.write_str("the event does not pass `source.filter`"),
            Refusal::Elsewhere(group) => write!(f, "the record is a replay for group `{group}`"),
            Refusal::Expression { place, message } => write!(f, "`{place}`: {message}"),
            Refusal::Expired => f.write_str("the event expired before it was admitted"),
            Refusal::TooManyHops(limit) => {
                write!(f, "the record went through more than {limit} pipelines in a row")
            }
            Refusal::Stage { stage, message, .. } => write!(f, "stage `{stage}`: {message}"),
            Refusal::CrashLoop { deaths } => {
                write!(
                    f,
                    "the engine's process died {deaths} times while this event ran, at last alone"
                )
            }
            Refusal::Panic { stage } => {
                write!(
                    f,
                    "stage `{stage}` panicked; this is a defect of the engine, please report it"
                )
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// A decoding that failed for good; `None` when the registry is down and decoding must wait.
pub fn undecodable(error: &CodecError) -> Option<Refusal> {
    match error.kind {
        CodecErrorKind::Unavailable => None,
        CodecErrorKind::Permanent => {
            Some(Refusal::Undecodable { code: error.code, message: error.message.clone() })
        }
    }
}
