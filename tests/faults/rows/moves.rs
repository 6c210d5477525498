//! F11, F12: instances come and go in peace.

use std::time::{Duration, Instant};

use crate::clients::owners;
use crate::job::Plan;
use crate::play::{Play, Stage};
use crate::report::Outcome;
use crate::time;

/// Of the partitions that move, at least this share has no call cut off.
const DRAINED: f64 = 0.8;

/// F11: the number of instances changes all the time. Whoever goes drains; calls that it cancels may be paid again.
pub fn storm(stage: &Stage) -> Outcome {
    let storm = [1, 4, 2].into_iter().chain([6, 2, 5, 1].repeat(stage.pick(0, 9)));
    let steps: Vec<usize> = storm.collect();
    let every = Duration::from_secs(5);
    let events = stage.events(1_000, 10_000);
    let mut plan = Plan::new(events, every.as_secs_f64() * (steps.len() + 1) as f64);
    let most = *steps.iter().max().unwrap_or(&1);
    plan.instances = most;
    let brokers = stage.brokers();
    let mut play = Play::prepare(stage, "F11", plan, &brokers, &brokers);
    play.fleet.start(0, None);
    play.fleet.ready(0);
    play.feed(stage.seed);
    let mut kept = 0;
    let mut went = 0;
    for wanted in &steps {
        for index in 0..most {
            match (index < *wanted, play.fleet.runs(index)) {
                (true, false) => play.fleet.start(index, None),
                (false, true) => {
                    went += 1;
                    let calls = play.job.mock.open_of(index);
                    if let Err(reason) = play.fleet.drain(index, Duration::from_secs(60)) {
                        play.wrong.push(reason);
                    }
                    kept += usize::from(calls > 0);
                }
                _ => {}
            }
        }
        let end = Instant::now() + every;
        while Instant::now() < end {
            play.fleet.look();
            time::pause(Duration::from_millis(100));
        }
    }
    play.faults = format!("{} instances, {went} drained", say(&steps));
    play.notes.push(format!("{kept} of {went} had calls open when they were asked to go"));
    let mut outcome = play.end();
    let (moves, cut_short) = (outcome.figures.moves, outcome.figures.cut_short);
    let drained = 1.0 - cut_short as f64 / moves as f64;
    outcome.notes.push(format!("{moves} moves of partitions, {cut_short} cut calls off"));
    // None at all would be no number, and no storm.
    if drained.is_nan() || drained < DRAINED {
        outcome.finding(format!("{:.0} % of the moves were drained", 100.0 * drained));
    }
    outcome
}

fn say(steps: &[usize]) -> String {
    let shown: Vec<String> = steps.iter().take(7).map(usize::to_string).collect();
    let more = if steps.len() > 7 { " …" } else { "" };
    format!("{}{more}", shown.join(" → "))
}

/// F12: one after the other is restarted. Nothing moves, nothing is paid again.
pub fn rolling(stage: &Stage) -> Outcome {
    let events = stage.events(1_000, 10_000);
    let rounds = stage.pick(1, 3);
    let mut plan = Plan::new(events, stage.pick(20.0, 90.0));
    plan.engine = "drain: 30s, crash_loop: 0";
    plan.client = "session.timeout.ms: 60000";
    plan.latency = "300ms..3s";
    let mut play = Play::start(stage, "F12", plan);
    play.faults = format!("{rounds} × SIGTERM and restart of each");
    let before = owners(&play.job.brokers, &play.job.scene.group);
    for _ in 0..rounds {
        for index in 0..play.fleet.len() {
            time::pause(Duration::from_secs(2));
            if let Err(reason) = play.fleet.drain(index, Duration::from_secs(60)) {
                play.wrong.push(reason);
            }
            play.fleet.start(index, None);
            play.fleet.ready(index);
            time::pause(Duration::from_secs(1));
            let after = owners(&play.job.brokers, &play.job.scene.group);
            if before.is_empty() || after != before {
                play.wrong.push(format!("partitions moved: {before:?} to {after:?}"));
            }
        }
    }
    let mut outcome = play.end();
    if outcome.figures.repaid > 0 {
        outcome.finding(format!("{} calls repaid", outcome.figures.repaid));
    }
    outcome
}
