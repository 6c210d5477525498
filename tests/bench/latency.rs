//! Added latency of an open loop: each event is timed from the moment it was due until a reader of committed records has
//! its result.

use std::time::Duration;

use crate::events::number;
use crate::job::Job;
use crate::load::Load;
use crate::report::median;

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
    let (mut times, mut parts) = (Times::default(), [const { Vec::new() }; 3]);
    for _ in 0..runs {
        let mut took = run(job, *next, rate, events).await;
        *next += events;
        took.sort_by_key(|one| one.whole);
        let at = |part: usize| took[(took.len() - 1) * part / 100].whole.as_secs_f64() * 1e3;
        times.p50.push(at(50));
        times.p99.push(at(99));
        took.iter().for_each(|one| parts.iter_mut().zip(one.parts()).for_each(|(p, d)| p.push(d)));
    }
    times.parts = PARTS.into_iter().zip(parts.map(|part| median(&part))).collect();
    times
}

/// Where the time of one event went, by its result.
struct Took {
    whole: Duration,
    queue: f64,
    run: f64,
}

const PARTS: [&str; 3] =
    ["record to admission, p50", "admission to the last stage, p50", "last stage to reader, p50"];

impl Took {
    fn parts(&self) -> [f64; 3] {
        [self.queue, self.run, self.whole.as_secs_f64() * 1e3 - self.queue - self.run]
    }
}

async fn run(job: &mut Job, first: usize, rate: f64, events: usize) -> Vec<Took> {
    let load = Load::start(job, first, rate, events);
    let seen = job.wait(events).await;
    let mut took = Vec::with_capacity(events);
    for (at, record) in &seen {
        let result = job.events.value(record).await;
        let millis = |name: &str| result[name].as_f64().unwrap() / 1e3;
        took.push(Took {
            whole: at.saturating_duration_since(load.due(number(record))),
            queue: millis("queue_us"),
            run: millis("duration_us"),
        });
    }
    load.end().await;
    took
}
