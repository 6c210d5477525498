//! `engine`: bounds of the process.

use std::time::Duration;

use serde::Deserialize;

use super::desk::{Desk, without_later};
use crate::base::quantity::Span;
use crate::base::yaml::{Spanned, Tree};
use crate::stream::OnCorruptProgress;

/// Events that run at a time, at most.
const MOST_PERMITS: u64 = 1_000_000;

/// Bounds of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Events that run at a time.
    pub permits: usize,
    /// Time that running events have when the process ends.
    pub drain: Duration,
    /// What to do about a progress record that can't be read.
    pub on_corrupt_progress: OnCorruptProgress,
}

impl Default for Engine {
    fn default() -> Self {
        Engine {
            permits: 12_000,
            drain: Duration::from_secs(10),
            on_corrupt_progress: OnCorruptProgress::Fail,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EngineSpec {
    permits: Option<Spanned<u64>>,
    drain: Option<Span>,
    on_corrupt_progress: Option<CorruptSpec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum CorruptSpec {
    Fail,
    Replay,
}

pub(super) fn read(desk: &mut Desk<'_>, key: &Spanned<String>, tree: &Tree) -> Option<Engine> {
    let kept = without_later(desk, "engine", tree, &["crash_loop", "journal"]);
    let spec: EngineSpec = desk.under(key, &kept)?;
    let mut engine = Engine::default();
    if let Some(permits) = spec.permits.and_then(|permits| desk.bounded(&permits, 1, MOST_PERMITS))
    {
        engine.permits = usize::try_from(permits).unwrap_or(engine.permits);
    }
    if let Some(drain) = spec.drain {
        engine.drain = drain.0;
    }
    if let Some(CorruptSpec::Replay) = spec.on_corrupt_progress {
        engine.on_corrupt_progress = OnCorruptProgress::Replay;
    }
    Some(engine)
}
