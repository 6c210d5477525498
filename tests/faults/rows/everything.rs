//! F24, F26: more than can be done, and everything at random.

use std::time::{Duration, Instant};

use rand::RngExt;

use super::network::behind;
use crate::checker::Figures;
use crate::job::Plan;
use crate::play::{Play, Stage};
use crate::proxy::Weather;
use crate::report::Outcome;
use crate::time;

/// Most memory of an instance under load, in MiB.
const MEMORY: f64 = 500.0;

/// F24: ten times what the models can answer comes for a while. Memory stays bounded, the lag grows, nobody loses a
/// partition; then others come to help, and it is all done.
pub fn overload(stage: &Stage) -> Outcome {
    let seconds = stage.pick(20, 300);
    // Forty calls at a time, two of some half a second for each event, are some 45 a second.
    let events = stage.events(9_000, 135_000);
    let mut plan = Plan::new(events, f64::from(seconds));
    plan.keys = 5_000;
    plan.latency = "200ms..1s";
    plan.instances = 2;
    plan.engine = "drain: 10s, crash_loop: 0, permits: 20";
    let mut play = Play::start(stage, "F24", plan);
    play.faults = format!("{events} events within {seconds} s, 2 × 20 at a time");
    // Everybody is at work: all partitions are open.
    if !play.results(200, Duration::from_secs(60)) {
        play.wrong.push("no 200 results came".to_owned());
    }
    let given = play.job.openings();
    let behind = play.sent_all();
    play.notes.push(format!("{behind} of {events} results when all was sent"));
    if behind > events / 5 {
        play.wrong.push(format!("{behind} results of {events} events: it was no overload"));
    }
    let moved = play.job.openings() - given;
    if moved > 0 {
        play.wrong.push(format!("{moved} partitions moved under load"));
    }
    play.job.plan.engine = "drain: 10s, crash_loop: 0, permits: 600";
    for helper in 2..4 {
        let settings = play.job.settings(helper, &play.job.brokers);
        play.fleet.add(&settings);
        play.fleet.start(helper, None);
    }
    let sent = play.wait_for_all();
    let peaks = play.fleet.peaks();
    let most = peaks.iter().copied().fold(0.0, f64::max);
    play.notes.push(format!("at most {most:.0} MiB resident"));
    if peaks.is_empty() || most > MEMORY {
        play.wrong.push(format!("{most:.0} MiB resident, more than {MEMORY:.0}"));
    }
    play.drain();
    let mut outcome = play.conclude(sent);
    // Partitions move to those that help, and whoever gives them up has the time to finish.
    let Figures { repaid, uncharged, .. } = outcome.figures;
    if repaid + uncharged > 0 {
        outcome.finding(format!("{repaid} calls repaid, {uncharged} uncharged"));
    }
    outcome
}

/// F26: one thing after the other goes wrong, drawn from the seed.
pub fn everything(stage: &Stage) -> Outcome {
    let lasts = Duration::from_secs(stage.pick(90, 30 * 60));
    let events = stage.events(1_500, 30_000);
    let mut plan = Plan::new(events, lasts.as_secs_f64());
    plan.client = "session.timeout.ms: 10000, reconnect.backoff.max.ms: 500";
    let (kafka, proxy, mut play) = behind(stage, "F26", plan);
    let end = Instant::now() + lasts;
    let mut done = [0; 8];
    while Instant::now() < end {
        let wait = play.between(Duration::from_secs(1), Duration::from_secs(8));
        time::pause(wait);
        let (kind, victim) = (play.draw.random_range(0..done.len()), play.any());
        let lasts = play.between(Duration::from_millis(500), Duration::from_secs(12));
        done[kind] += 1;
        // As long as nothing gets through, no intent does.
        let cut_off = matches!(kind, 3..=6);
        if cut_off {
            (0..play.fleet.len()).for_each(|index| play.lost_by(index));
        }
        match kind {
            0 => {
                play.fleet.kill(victim);
                play.fleet.start(victim, None);
            }
            1 => {
                play.fleet.kill_all();
                (0..play.fleet.len()).for_each(|index| play.fleet.start(index, None));
            }
            2 => {
                play.lost_by(victim);
                play.fleet.signal(victim, "STOP");
                time::pause(lasts);
                play.lost_by(victim);
                play.fleet.signal(victim, "CONT");
            }
            3 => {
                proxy.set(Weather::Silent);
                time::pause(lasts);
            }
            4 => {
                proxy.set(Weather::Cut);
                time::pause(lasts);
            }
            5 => proxy.reset(),
            6 => kafka.restart(),
            _ => {
                if let Err(reason) = play.fleet.drain(victim, Duration::from_secs(60)) {
                    play.notes.push(reason);
                }
                play.fleet.start(victim, None);
            }
        }
        proxy.set(Weather::Fair);
        if cut_off {
            (0..play.fleet.len()).for_each(|index| play.lost_by(index));
        }
        play.fleet.look();
    }
    let words = [
        "kills",
        "kills of all",
        "freezes",
        "silences",
        "cuts",
        "resets",
        "broker kills",
        "drains",
    ];
    let said: Vec<String> = words.iter().zip(done).map(|(word, n)| format!("{n} {word}")).collect();
    play.faults = said.join(", ");
    // Whoever gives up after too many new producers is started again by whoever runs it: that is no failure here.
    let mut outcome = play.end();
    let left = |what: &str| what.contains("new producers within a minute");
    let (gave_up, found) = std::mem::take(&mut outcome.findings)
        .into_iter()
        .partition::<Vec<_>, _>(|one| one.check == "row" && left(&one.what));
    outcome.findings = found;
    outcome.notes.extend(gave_up.into_iter().map(|one| one.what));
    outcome
}
