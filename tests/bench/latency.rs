//! Added latency, open loop: events are due at fixed moments, whether earlier ones were answered or not, and each is
//! timed from the moment it was due until a reader of committed records has its result.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use vivremotion::base::clock::{Clock, SystemClock};

use crate::work::{Job, Plan, event};

/// Events a second.
const RATE: u32 = 200;
/// Events whose times don't count: the first connections are opened by them.
const WARM: usize = 200;
const STUCK: Duration = Duration::from_secs(60);

/// What the engine itself says of its part: histograms of its page.
const PARTS: [(&str, &str); 4] = [
    ("record to admission, mean", "vivremotion_event_queue"),
    ("admission to outbox, mean", "vivremotion_event_duration"),
    ("model call, mean", "gen_ai_client_operation_duration"),
    ("commit, mean", "vivremotion_commit_duration"),
];

/// Milliseconds, of each run.
pub struct Times {
    /// Half of the events were faster.
    pub p50: Vec<f64>,
    /// All but one in a hundred were faster.
    pub p99: Vec<f64>,
    /// Where the time went, over all runs.
    pub parts: Vec<(&'static str, f64)>,
}

/// Measures it, in one engine.
pub async fn added(plan: &Plan, dir: &Path, runs: usize) -> Times {
    let mut job = Job::start(plan, dir).await;
    let mut first = 0;
    run(&mut job, first, WARM).await;
    first += WARM;
    let mut times = Times { p50: Vec::new(), p99: Vec::new(), parts: Vec::new() };
    for _ in 0..runs {
        let mut took = run(&mut job, first, plan.events).await;
        first += plan.events;
        took.sort();
        let at = |part: usize| took[(took.len() - 1) * part / 100].as_secs_f64() * 1e3;
        times.p50.push(at(50));
        times.p99.push(at(99));
    }
    let part = |(name, histogram)| Some((name, job.engine.mean(histogram)?));
    times.parts = PARTS.into_iter().filter_map(part).collect();
    times
}

async fn run(job: &mut Job, first: usize, events: usize) -> Vec<Duration> {
    let (log, topic) = (Arc::clone(&job.log), job.source());
    let start = Instant::now() + Duration::from_millis(10);
    let due = move |n: usize| start + Duration::from_secs(1) * n as u32 / RATE;
    let sending = tokio::spawn(async move {
        let mut sent = Vec::with_capacity(events);
        for n in 0..events {
            tokio::time::sleep_until(due(n).into()).await;
            let (log, output) = (log.clone(), event(&topic, first + n, Some(SystemClock.now())));
            // One that takes long holds the next one up no more than another producer would.
            sent.push(tokio::spawn(async move { log.send(vec![output]).await }));
        }
        for outcome in join_all(sent).await {
            outcome.unwrap().unwrap();
        }
    });
    let mut took = Vec::with_capacity(events);
    let mut last = Instant::now();
    while took.len() < events {
        let records = job.results.next(Duration::from_secs(1)).await.unwrap();
        let now = Instant::now();
        for record in &records {
            let key = record.key.as_ref().and_then(|key| std::str::from_utf8(key).ok());
            let n: usize = key.unwrap().parse().unwrap();
            took.push(now - due(n - first));
            last = now;
        }
        let (seen, stuck) = (took.len(), last.elapsed() > STUCK);
        assert!(!stuck, "{seen} of {events} results came\n{}", job.engine.last_words());
    }
    sending.await.unwrap();
    took
}
