//! F7, F13, F14: instances that stand still, instances with one name, events that do not end.

use std::time::{Duration, Instant};

use crate::job::Plan;
use crate::play::{Play, Stage};
use crate::report::Outcome;
use crate::time;

/// What an instance says that found another one of its name.
const TAKEN: &str = "runs with this instance's name";

/// F7: frozen almost for its session, so that it has ended if the last heartbeat was a while ago; past its session; and past
/// the longest time between two polls.
pub fn frozen(stage: &Stage) -> Outcome {
    let events = stage.events(1_000, 10_000);
    let freezes = stage.pick(vec![5, 12, 5, 35, 5], vec![5, 20, 5, 60, 5, 120, 5, 20, 60, 120]);
    let total: u64 = freezes.iter().sum();
    let mut plan = Plan::new(events, total as f64 + 10.0 * freezes.len() as f64);
    plan.client = "session.timeout.ms: 6000, max.poll.interval.ms: 30000";
    let mut play = Play::start(stage, "F7", plan);
    play.faults = format!("frozen for {freezes:?} s");
    for seconds in freezes {
        time::pause(Duration::from_secs(4));
        let victim = play.any();
        play.lost_by(victim);
        play.fleet.signal(victim, "STOP");
        time::pause(Duration::from_secs(seconds));
        play.lost_by(victim);
        play.fleet.signal(victim, "CONT");
        time::pause(Duration::from_secs(4));
        play.fleet.look();
    }
    let said = play.fleet.said();
    let again = said.matches("joining anew").count();
    play.notes.push(format!("joined anew {again} times"));
    play.end()
}

/// F13: a clone is started. One of the two survives, the other says why it ends.
pub fn clones(stage: &Stage) -> Outcome {
    let events = stage.events(1_000, 10_000);
    let rounds = stage.pick(2, 10);
    let mut play = Play::start(stage, "F13", Plan::new(events, rounds as f64 * 12.0));
    play.faults = format!("{rounds} clones");
    let settings = play.job.settings(0, &play.job.brokers);
    let (mut one, mut other) = (0, play.fleet.add(&settings));
    for round in 0..rounds {
        time::pause(Duration::from_secs(3));
        play.fleet.start(other, None);
        play.fleet.alias(other, 0);
        let end = Instant::now() + Duration::from_secs(60);
        while play.fleet.runs(one) && play.fleet.runs(other) && Instant::now() < end {
            time::pause(Duration::from_millis(20));
        }
        if !play.fleet.runs(other) {
            std::mem::swap(&mut one, &mut other);
        }
        // Now `one` must have ended and `other` goes on.
        match play.fleet.end(one, Duration::from_secs(1)) {
            Ok((status, said)) => {
                let told = said.contains(TAKEN);
                if status.success() || !told {
                    play.wrong.push(format!("round {round}: ended with {status}: {said}"));
                }
            }
            Err(_) => {
                play.wrong.push(format!("round {round}: both of one name go on"));
                play.fleet.kill(one);
            }
        }
        time::pause(Duration::from_secs(2));
        if !play.fleet.runs(other) {
            play.wrong.push(format!("round {round}: the other one ended too"));
            play.fleet.start(other, None);
        }
        std::mem::swap(&mut one, &mut other);
    }
    play.end()
}

/// F14: in each partition one event is never answered; the others go on without it, twenty thousand of them. Then everybody
/// dies, and only the stuck ones are called again.
pub fn stuck(stage: &Stage) -> Outcome {
    let events = stage.events(1_000, 240_000);
    let mut plan = Plan::new(events, stage.pick(10.0, 160.0));
    plan.stuck = u64::try_from(plan.partitions).unwrap_or(0);
    if !stage.quick {
        (plan.keys, plan.latency) = (5_000, "1ms..5ms");
    }
    held(stage, "F14", plan, stage.pick(50, 20_000))
}

/// F14 and F15 on one partition: so many behind the first that the progress is as wide as it may be.
pub fn wide(stage: &Stage) -> Outcome {
    let events = stage.events(3_000, 24_000);
    let mut plan = Plan::new(events, stage.pick(10.0, 60.0));
    plan.partitions = 1;
    plan.instances = 1;
    plan.keys = 100_000;
    plan.latency = "1ms..5ms";
    plan.errors = 0.0;
    plan.poison = false;
    plan.stuck = stage.pick(300, 900);
    held(stage, "F15", plan, stage.pick(2_000, 23_900))
}

fn held(stage: &Stage, row: &str, mut plan: Plan, span: i64) -> Outcome {
    let stuck = usize::try_from(plan.stuck).unwrap_or(0);
    plan.stage = "    retry: { attempts: 8 }\n    timeout: 600s\n";
    plan.pipeline = "deadline: 20m\n";
    let events = plan.events;
    let mut play = Play::start(stage, row, plan);
    play.faults = format!("{stuck} events never answered, then kill -9 of all");
    let poison = (0..events as u64).filter(|n| play.job.plan.kind(*n).has_no_result()).count();
    play.enough();
    let others = events - stuck - poison;
    if !play.results(others, Duration::from_secs(stage.pick(120, 1_200))) {
        play.wrong.push(format!("{} of {others} others came", play.watch.results()));
    }
    // What is committed last is the progress that the restart reads.
    time::pause(Duration::from_secs(1));
    let open = play.job.mock.sum("open");
    if open != stuck as u64 {
        play.wrong.push(format!("{open} calls are open, not {stuck}"));
    }
    let widest = play.watch.widest();
    play.notes.push(format!("progress spanned {widest} offsets"));
    if widest < span {
        play.wrong.push(format!("progress spanned {widest} offsets, not {span}"));
    }
    let calls = play.job.mock.sum("calls");
    play.fleet.kill_all();
    play.fleet.start_all();
    let sent = play.settle();
    // What a start says that it found, where one partition has it all: what is done, and calls that nobody knows about.
    let said = play.fleet.said();
    if play.job.plan.partitions == 1 {
        let found = [format!("done_above={others}"), format!("unsettled={stuck}")];
        let untold = found.iter().filter(|found| !said.contains(&**found));
        play.wrong.extend(untold.map(|found| format!("no start said `{found}`")));
    }
    let mut outcome = play.conclude(sent);
    // Each stuck one: its first stage again, and its second.
    let again = outcome.calls.saturating_sub(usize::try_from(calls).unwrap_or(0));
    outcome.notes.push(format!("{again} calls after the restart"));
    if outcome.figures.repaid != stuck {
        outcome.finding(format!("{} calls repaid, not {stuck}", outcome.figures.repaid));
    }
    outcome
}
