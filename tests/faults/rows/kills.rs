//! F2, F3, F4: instances die.

use std::time::Duration;

use crate::job::Plan;
use crate::play::{Play, Stage};
use crate::report::Outcome;
use crate::time;

/// Longest time from a death to the next commit of what the dead one had, in milliseconds.
const RECOVERY: i64 = 15_000;
/// Where in a commit an instance dies; the number is which commit, or which record.
const STEPS: [&str; 8] = [
    "commit.before-begin=abort@",
    "commit.sent=abort@",
    "commit.delivered=abort@",
    "commit.offsets-sent=abort@",
    "commit.before-end=abort@",
    "commit.before-end=abort+2ms@",
    "commit.after-end=abort@",
    "commit.before-settle=abort@",
];

/// F2: one after the other, at random.
pub fn random(stage: &Stage) -> Outcome {
    let kills = stage.pick(10, 50);
    let events = stage.events(1_000, 10_000);
    // Load for as long as there are kills: every 2 to 6 s.
    let mut play = Play::start(stage, "F2", Plan::new(events, f64::from(kills) * 4.0));
    play.faults = format!("{kills} × kill -9");
    let mut down: Vec<(usize, std::time::Instant)> = Vec::new();
    let mut next = std::time::Instant::now() + Duration::from_secs(3);
    let mut done = 0;
    while done < kills || !down.is_empty() {
        let now = std::time::Instant::now();
        if done < kills && now >= next {
            let victim = play.any();
            if play.fleet.runs(victim) {
                play.fleet.kill(victim);
                let back = now + play.between(Duration::ZERO, Duration::from_secs(5));
                down.push((victim, back));
                done += 1;
            }
            next = now + play.between(Duration::from_secs(2), Duration::from_secs(6));
        }
        let (back, still): (Vec<_>, Vec<_>) = down.into_iter().partition(|(_, at)| *at <= now);
        back.iter().for_each(|(index, _)| play.fleet.start(*index, None));
        down = still;
        play.fleet.look();
        time::pause(Duration::from_millis(50));
    }
    swift(play.end())
}

/// F3: at each step of a commit.
pub fn steps(stage: &Stage) -> Outcome {
    let rounds = stage.pick(2, 20);
    let events = stage.events(1_000, 10_000);
    let deaths = rounds * STEPS.len();
    let mut plan = Plan::new(events, deaths as f64 * 4.0);
    plan.latency = "100ms..1s";
    let brokers = stage.brokers();
    let mut play = Play::prepare(stage, "F3", plan, &brokers, &brokers);
    play.faults = format!("{deaths} deaths, {rounds} at each of {} steps", STEPS.len());
    (1..play.fleet.len()).for_each(|index| play.fleet.start(index, None));
    play.feed(stage.seed);
    for round in 0..rounds {
        for step in STEPS {
            let nth = play.between(Duration::from_millis(2), Duration::from_millis(12)).as_millis();
            let armed = format!("{step}{nth}");
            // The one that dies is another one each time.
            let victim = play.any();
            if play.fleet.runs(victim) {
                play.fleet.kill(victim);
            }
            play.fleet.start(victim, Some(&armed));
            if let Err(reason) = play.fleet.end(victim, Duration::from_secs(60)) {
                play.wrong.push(format!("round {round}: `{armed}` was not reached: {reason}"));
                play.fleet.kill(victim);
            }
            play.fleet.start(victim, None);
            play.fleet.look();
        }
    }
    swift(play.end())
}

/// F4: all at the same time.
pub fn all(stage: &Stage) -> Outcome {
    let rounds = 10;
    let events = stage.events(1_000, 10_000);
    let mut play = Play::start(stage, "F4", Plan::new(events, stage.pick(50.0, 80.0)));
    play.faults = format!("{rounds} × kill -9 of all");
    for _ in 0..rounds {
        let wait = play.between(Duration::from_secs(2), Duration::from_secs(6));
        time::pause(wait);
        play.fleet.kill_all();
        play.fleet.start_all();
    }
    swift(play.end())
}

fn swift(mut outcome: Outcome) -> Outcome {
    let slow = outcome.recovery.iter().filter(|ms| **ms > RECOVERY).count();
    if slow > 0 {
        outcome.finding(format!("{slow} recoveries took longer than {RECOVERY} ms"));
    }
    outcome
}
