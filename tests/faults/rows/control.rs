//! F1: nothing happens, so nothing may be repaid, written twice or slow.

use crate::job::Plan;
use crate::play::{Play, Stage};
use crate::report::Outcome;

/// Plays it.
pub fn play(stage: &Stage) -> Outcome {
    let events = stage.events(1_000, 10_000);
    let plan = Plan::new(events, stage.pick(10.0, 60.0));
    let mut outcome = Play::start(stage, "F1", plan).end();
    if outcome.figures.aborted > 0 {
        outcome.finding(format!("{} records were written in vain", outcome.figures.aborted));
    }
    outcome
}
