//! F1: nothing happens, so nothing may be repaid, written twice or slow.

use crate::job::Plan;
use crate::play::{Play, Stage};
use crate::report::Outcome;

/// Ninety-nine of a hundred commits take no longer, in seconds.
const SLOW_COMMIT: f64 = 0.3;

/// Plays it.
pub fn play(stage: &Stage) -> Outcome {
    let events = stage.events(1_000, 10_000);
    let plan = Plan::new(events, stage.pick(10.0, 60.0));
    let mut play = Play::start(stage, "F1", plan);
    let sent = play.wait_for_all();
    let commits = play.fleet.quantile("vivremotion_commit_duration", 0.99);
    play.drain();
    let mut outcome = play.conclude(sent);
    let p99 = commits.unwrap_or(f64::INFINITY);
    outcome.notes.push(format!("commits: p99 {:.0} ms", 1e3 * p99));
    // The first commits over new partitions take seconds: among few they are more than one in a hundred.
    if !stage.quick && p99 >= SLOW_COMMIT {
        outcome.finding(format!("commits took {p99:.1} s at p99, not {SLOW_COMMIT} s"));
    }
    if outcome.figures.repaid > 0 {
        outcome.finding(format!("{} calls repaid", outcome.figures.repaid));
    }
    if outcome.figures.aborted > 0 {
        outcome.finding(format!("{} records were written in vain", outcome.figures.aborted));
    }
    outcome
}
