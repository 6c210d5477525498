//! Added latency, open loop: events are due at fixed moments, whether earlier ones were answered or not, and each is
//! timed from the moment it was due until a reader of committed records has its result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use vivremotion::base::clock::{Clock, SystemClock};

use crate::job::{Job, event};

/// Events that are sent together, at most: a timer is no finer.
const TICK: Duration = Duration::from_millis(2);

/// What the engine itself says of its part: histograms of its page.
const PARTS: [(&str, &str); 4] = [
    ("record to admission, mean", "vivremotion_event_queue"),
    ("admission to outbox, mean", "vivremotion_event_duration"),
    ("model call, mean", "gen_ai_client_operation_duration"),
    ("commit, mean", "vivremotion_commit_duration"),
];

/// Milliseconds, of each run.
#[derive(Default)]
pub struct Times {
    /// Half of the events were faster.
    pub p50: Vec<f64>,
    /// All but one in a hundred were faster.
    pub p99: Vec<f64>,
    /// Where the time went, over all runs.
    pub parts: Vec<(&'static str, f64)>,
}

/// Measures it in a running engine, at so many events a second; `next` counts the events.
pub async fn added(
    job: &mut Job,
    next: &mut usize,
    rate: f64,
    events: usize,
    runs: usize,
) -> Times {
    // The first connections at this rate are not counted.
    run(job, *next, rate, events / 10).await;
    *next += events / 10;
    let mut times = Times::default();
    for _ in 0..runs {
        let mut took = run(job, *next, rate, events).await;
        *next += events;
        took.sort();
        let at = |part: usize| took[(took.len() - 1) * part / 100].as_secs_f64() * 1e3;
        times.p50.push(at(50));
        times.p99.push(at(99));
    }
    let part = |(name, histogram)| Some((name, job.engine().mean(histogram)?));
    times.parts = PARTS.into_iter().filter_map(part).collect();
    times
}

async fn run(job: &mut Job, first: usize, rate: f64, events: usize) -> Vec<Duration> {
    let (log, topic) = (Arc::clone(&job.log), job.source());
    let start = Instant::now() + Duration::from_millis(10);
    let due = move |n: usize| start + Duration::from_secs_f64(n as f64 / rate);
    let sending = tokio::spawn(async move {
        let (mut sent, mut n) = (Vec::new(), 0);
        while n < events {
            tokio::time::sleep_until(due(n).into()).await;
            let now = Instant::now() + TICK;
            let together = (n..events).take_while(|n| due(*n) < now).count().max(1);
            let time = SystemClock.now();
            let outputs = (n..n + together).map(|n| event(&topic, first + n, Some(time))).collect();
            n += together;
            let log = log.clone();
            // One that takes long holds the next one up no more than another producer would.
            sent.push(tokio::spawn(async move { log.send(outputs).await }));
        }
        for outcome in join_all(sent).await {
            outcome.unwrap().unwrap();
        }
    });
    let seen = job.wait(events).await;
    sending.await.unwrap();
    let took = seen.iter().map(|(at, record)| {
        let key = record.key.as_ref().and_then(|key| std::str::from_utf8(key).ok());
        let n: usize = key.unwrap().parse().unwrap();
        at.saturating_duration_since(due(n - first))
    });
    took.collect()
}
