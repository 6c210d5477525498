//! F8, F9, R8: what the network does between engines and broker.

use std::time::{Duration, Instant};

use crate::job::Plan;
use crate::play::{Play, Stage};
use crate::proxy::{Proxy, Weather};
use crate::report::Outcome;
use crate::services::{BRIEF, Kafka, free_port, until};
use crate::time;

/// Error codes of a broker that refuses an end from an older producer of the same name.
const REFUSALS: [i16; 2] = [47, 90];

/// A row whose engines reach a broker of their own through a proxy.
pub fn behind(stage: &Stage, row: &str, plan: Plan) -> (Kafka, Proxy, Play) {
    let (door, port) = (free_port(), free_port());
    let proxy = Proxy::start(port, door);
    let kafka = Kafka::start(&stage.services.dir("kafka"), Some((door, port)), BRIEF);
    let kafka = kafka.unwrap_or_else(|missing| panic!("{missing}"));
    let engines = format!("127.0.0.1:{port}");
    let mut play = Play::prepare(stage, row, plan, &kafka.brokers(), &engines);
    play.fleet.start_all();
    play.balanced();
    play.feed(stage.seed);
    (kafka, proxy, play)
}

/// F8: connections are reset, refused, or fall silent for a while.
pub fn cuts(stage: &Stage) -> Outcome {
    let cuts = stage.pick(6, 30);
    let events = stage.events(1_000, 10_000);
    let longest = Duration::from_secs(stage.pick(15, 60));
    let mut plan = Plan::new(events, f64::from(cuts) * stage.pick(8.0, 25.0));
    plan.client = "session.timeout.ms: 10000, reconnect.backoff.max.ms: 500";
    let (_kafka, proxy, mut play) = behind(stage, "F8", plan);
    let mut kinds = [0; 3];
    for cut in 0..cuts {
        let wait = play.between(Duration::from_secs(2), Duration::from_secs(5));
        time::pause(wait);
        // Short ones are as telling as long ones: most are short.
        let most = if cut % 3 == 0 { longest } else { Duration::from_secs(4) };
        let lasts = play.between(Duration::from_secs(1), most);
        let kind = usize::try_from(cut % 3).unwrap_or(0);
        kinds[kind] += 1;
        match kind {
            0 => proxy.set(Weather::Silent),
            1 => proxy.set(Weather::Cut),
            _ => proxy.reset(),
        }
        let end = Instant::now() + lasts;
        while Instant::now() < end {
            play.fleet.look();
            time::pause(Duration::from_millis(100));
        }
        proxy.set(Weather::Fair);
    }
    play.faults = format!("{} silences, {} cuts, {} resets", kinds[0], kinds[1], kinds[2]);
    play.end()
}

/// F9: the end of a transaction arrives in the middle of a later one.
pub fn late_ends(stage: &Stage) -> Outcome {
    let holds = stage.pick(5, 20);
    let events = stage.events(1_000, 10_000);
    let mut plan = Plan::new(events, holds as f64 * 5.0);
    plan.instances = 1;
    let (_kafka, proxy, mut play) = behind(stage, "F9", plan);
    play.faults = format!("{holds} late ends of transactions");
    for held in 1..=holds {
        proxy.hold_next_end();
        let arrived = until(Duration::from_secs(60), || match proxy.settled().len() {
            n if n >= held => Ok(()),
            n => Err(format!("{n} of {held} late ends arrived")),
        });
        play.fleet.look();
        if let Err(reason) = arrived {
            play.wrong.push(reason);
            break;
        }
        // Each costs a producer, and an engine that needs more than five within a minute gives up.
        let (least, most) = stage.pick((200, 2_000), (16_000, 20_000));
        let wait = play.between(Duration::from_millis(least), Duration::from_millis(most));
        time::pause(wait);
    }
    for held in proxy.settled() {
        match held.late {
            Some(code) if REFUSALS.contains(&code) => {}
            Some(0) => play.wrong.push("a late end was applied to a later transaction".to_owned()),
            other => play.wrong.push(format!("a late end was answered with {other:?}")),
        }
    }
    play.notes.push(format!("late ends were answered with {:?}", proxy.settled()));
    play.end()
}

/// R8: ends of transactions are lost, after the broker got them or before, and every repetition too: the engine can't know
/// what became of the batch, gives the producer up and decides by what is committed.
pub fn doubts(stage: &Stage) -> Outcome {
    let doubts = stage.pick(8, 100);
    let events = stage.events(1_000, 10_000);
    // Each takes as long as an end is repeated, 7.5 s.
    let plan = Plan::new(events, doubts as f64 * 3.0);
    let (_kafka, proxy, mut play) = behind(stage, "R8", plan);
    let most = play.fleet.len();
    let (mut wanted, mut since) = (0, Instant::now());
    let lost = || proxy.lost().0 + proxy.lost().1;
    while lost() < doubts {
        if wanted < doubts && proxy.losing() < most {
            proxy.lose_next_end(wanted % 2 == 0);
            (wanted, since) = (wanted + 1, Instant::now());
        }
        if since.elapsed() > Duration::from_secs(120) {
            play.wrong.push(format!("{} of {doubts} ends were lost", lost()));
            break;
        }
        play.fleet.look();
        time::pause(Duration::from_millis(50));
    }
    let (applied, vain) = proxy.lost();
    play.faults = format!("{applied} ends lost that the broker got, {vain} that it did not");
    let sent = play.settle();
    let said = play.fleet.said();
    for (decision, lost) in [("Decided(Committed)", applied), ("Decided(NotCommitted)", vain)] {
        let decided = said.matches(decision).count();
        if decided < lost || lost < doubts / 2 {
            let what = format!("{lost} ends lost, {decided} times `{decision}`, of {}", doubts / 2);
            play.wrong.push(what);
        }
    }
    play.conclude(sent)
}
