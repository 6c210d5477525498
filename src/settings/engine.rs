//! `engine`: bounds of the process.

use std::time::Duration;

use serde::Deserialize;

use super::desk::Desk;
use crate::base::quantity::Span;
use crate::base::yaml::{Spanned, Tree};
use crate::stream::OnCorruptProgress;

/// Events that run at a time, at most.
const MOST_PERMITS: u64 = 1_000_000;
/// More deaths than that are no way to find out.
const MOST_DEATHS: u64 = 100;

/// Bounds of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Events that run at a time.
    pub permits: usize,
    /// Time that running events have when the process ends.
    pub drain: Duration,
    /// What to do about a progress record that can't be read.
    pub on_corrupt_progress: OnCorruptProgress,
    /// Deaths of the process while an event runs alone, before the event is dead-lettered; 0 = never.
    pub crash_loop: usize,
    /// Whether a request waits until the journal has its intent.
    pub strict_intents: bool,
}

impl Default for Engine {
    fn default() -> Self {
        Engine {
            permits: 12_000,
            drain: Duration::from_secs(10),
            on_corrupt_progress: OnCorruptProgress::Fail,
            crash_loop: 3,
            strict_intents: false,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EngineSpec {
    permits: Option<Spanned<u64>>,
    drain: Option<Span>,
    on_corrupt_progress: Option<CorruptSpec>,
    crash_loop: Option<Spanned<u64>>,
    journal: Option<JournalSpec>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JournalSpec {
    intents: IntentsSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum IntentsSpec {
    Fast,
    Strict,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum CorruptSpec {
    Fail,
    Replay,
}

pub(super) fn read(desk: &mut Desk<'_>, key: &Spanned<String>, tree: &Tree) -> Option<Engine> {
    let spec: EngineSpec = desk.under(key, tree)?;
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
    if let Some(crash_loop) =
        spec.crash_loop.and_then(|deaths| desk.bounded(&deaths, 0, MOST_DEATHS))
    {
        engine.crash_loop = usize::try_from(crash_loop).unwrap_or(engine.crash_loop);
    }
    engine.strict_intents =
        spec.journal.is_some_and(|journal| matches!(journal.intents, IntentsSpec::Strict));
    Some(engine)
}
