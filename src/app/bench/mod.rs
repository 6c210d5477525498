//! What a pipeline costs and how fast it is, on its own log: events arrive at fixed moments whether earlier ones were
//! answered or not, and each is timed from the moment it was due, so that a slow engine can't slow its own load down. The
//! engine runs in a process of its own; its CPU and memory are what the system says of that process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use hdrhistogram::Histogram;
use tokio::time::{Instant, sleep, sleep_until};

use super::samples::output;
use super::topics;
use crate::base::clock::Clock;
use crate::codec::Codecs;
use crate::event::identity::Origin;
use crate::pipeline::plan::Plan;
use crate::pipeline::samples::Sample;
use crate::stage::StageKind;
use crate::stream::{Follower, From, Log, Output, Record, StreamError, StreamErrorKind, header};

pub mod process;
pub mod rehearsal;
pub mod report;

use process::{Doors, Process};
use report::{Latency, Report};

/// Events that are sent together, at most: a timer is no finer.
const TICK: Duration = Duration::from_millis(2);
/// Batches on their way to the log.
const SENDING: usize = 256;
/// Between two looks at the process.
const LOOK: Duration = Duration::from_secs(1);
/// Without any answer for that long nothing more is waited for.
const QUIET: Duration = Duration::from_secs(10);
/// How long a topic that was just made may be unknown, and how often it is asked for.
const KNOWN: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(200);
/// The longest latency that is told apart.
const LONGEST_MS: u64 = 3_600_000;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Events a second; without it as many as are answered.
    pub rate: Option<f64>,
    /// How long it is measured.
    pub duration: Duration,
    /// How long it runs before.
    pub warm_up: Duration,
    /// Events that wait for their answer at a time, when there is no rate.
    pub in_flight: usize,
}

/// What a measurement works with.
pub struct Desk<'a> {
    /// The log.
    pub log: &'a Arc<dyn Log>,
    /// Codecs by topic.
    pub codecs: &'a Codecs,
    /// Wall time: events carry the moment they were due.
    pub clock: &'a Arc<dyn Clock>,
    /// The pipeline under its own names of topics.
    pub plan: &'a Plan<StageKind>,
}

/// Measures. `tell` is called every second with the seconds that have passed, of all.
pub async fn measure(
    desk: &Desk<'_>,
    process: &mut Process,
    order: &Order,
    events: &[Sample],
    mut tell: impl FnMut(u64, u64),
) -> Result<Report, String> {
    let mut values = Vec::with_capacity(events.len());
    for event in events {
        let output = output(desk.codecs, &desk.plan.source.topic, event).await;
        values.push(output.map_err(|error| error.message)?);
    }
    let mut seen = Seen::open(desk).await.map_err(|error| error.message)?;
    let all = order.warm_up + order.duration;
    let (began, epoch) = (Instant::now(), desk.clock.now());
    // Wall time, as the events carry it.
    let from = epoch + millis(order.warm_up);
    let (sent, measured, sending) = (0, 0, Sends::new());
    let mut load =
        Load { desk, values, order: *order, began, epoch, from, sent, measured, sending };
    let (mut look, mut first) = (began, None::<Snapshot>);
    let (mut last_answer, mut peak) = (began, 0.0_f64);
    let mut ended = None;
    loop {
        let now = Instant::now();
        if first.is_none() && now >= began + order.warm_up {
            first = Some(Snapshot::take(process).await?);
            seen.window = Some(from);
            seen.bytes.clear();
        }
        if now >= look {
            look = now + LOOK;
            peak = peak.max(process.memory().map_or(0.0, |(now, _)| now));
            tell(now.duration_since(began).as_secs().min(all.as_secs()), all.as_secs());
            if process.has_ended() {
                return Err(
                    "the engine ended before its time; what it said stands above".to_owned()
                );
            }
        }
        let over = now >= began + all;
        if over && ended.is_none() {
            if order.rate.is_some() {
                load.send(seen.answered);
            }
            ended = Some(Snapshot::take(process).await?);
            last_answer = now;
        }
        if over && (seen.answered >= load.sent || now >= last_answer + QUIET) {
            break;
        }
        let due = if over { now + TICK } else { load.next(seen.answered) };
        tokio::select! {
            () = sleep_until(due.min(look)) => if !over { load.send(seen.answered) },
            Some(outcome) = load.sending.next() => {
                outcome.map_err(|error| error.message)?;
            }
            new = seen.next(desk.clock) => if new.map_err(|error| error.message)? > 0 {
                last_answer = Instant::now();
            },
        }
    }
    let (Some(first), Some(ended)) = (first, ended) else {
        return Err("nothing was measured".to_owned());
    };
    Ok(report(order, desk, &seen, load.measured, &first, &ended, peak))
}

fn report(
    order: &Order,
    desk: &Desk<'_>,
    seen: &Seen,
    sent: usize,
    first: &Snapshot,
    ended: &Snapshot,
    peak: f64,
) -> Report {
    let answered = seen.took.len() as usize;
    let events = answered.max(1) as f64;
    let at = |percent: f64| seen.took.value_at_percentile(percent);
    let commits = ended.doors.commits.since(&first.doors.commits);
    let cpu = ended.cpu.zip(first.cpu).map(|(end, start)| (end - start).as_secs_f64() * 1e6);
    let ended_memory = ended.memory.map(|(now, _)| now);
    Report {
        log: desk.log.name().to_owned(),
        rate: order.rate,
        seconds: order.duration.as_secs_f64(),
        sent,
        answered,
        per_second: answered as f64 / order.duration.as_secs_f64(),
        latency_ms: (answered > 0).then(|| Latency {
            p50: at(50.0),
            p90: at(90.0),
            p99: at(99.0),
            p999: at(99.9),
            most: seen.took.max(),
        }),
        cpu_us: cpu.map(|cpu| cpu / events),
        memory_mib: ended_memory,
        memory_most_mib: ended_memory.map(|now| now.max(peak)),
        memory_grown_mib: ended_memory.zip(first.memory).map(|(end, (start, _))| end - start),
        commits_per_second: commits.count / order.duration.as_secs_f64(),
        doors_ms: ended.doors.since(&first.doors),
        bytes: seen
            .bytes
            .iter()
            .map(|(topic, bytes)| (topic.to_string(), *bytes as f64 / events))
            .collect(),
    }
}

/// What the system and the engine say at one moment.
struct Snapshot {
    cpu: Option<Duration>,
    memory: Option<(f64, f64)>,
    doors: Doors,
}

impl Snapshot {
    async fn take(process: &Process) -> Result<Self, String> {
        let doors = process.doors().await?;
        Ok(Snapshot { cpu: process.cpu(), memory: process.memory(), doors })
    }
}

type Sends<'a> = FuturesUnordered<futures::future::BoxFuture<'a, Result<(), StreamError>>>;

/// Who sends.
struct Load<'a> {
    desk: &'a Desk<'a>,
    values: Vec<Output>,
    order: Order,
    began: Instant,
    /// Wall time of `began`.
    epoch: i64,
    /// Wall time from which on events are measured.
    from: i64,
    sent: usize,
    /// Those that were due since then.
    measured: usize,
    sending: Sends<'a>,
}

impl Load<'_> {
    /// When the next event is due.
    fn next(&self, answered: usize) -> Instant {
        match self.order.rate {
            Some(rate) => self.began + Duration::from_secs_f64(self.sent as f64 / rate),
            None if self.sent - answered.min(self.sent) < self.order.in_flight => Instant::now(),
            None => Instant::now() + TICK,
        }
    }

    /// Sends what is due, without waiting for the log: it is not the log's pace that is asked for.
    fn send(&mut self, answered: usize) {
        let all = self.order.warm_up + self.order.duration;
        let passed = (self.began.elapsed() + TICK).min(all);
        let due = match self.order.rate {
            Some(rate) => (passed.as_secs_f64() * rate) as usize,
            None => answered + self.order.in_flight,
        };
        if due <= self.sent || self.sending.len() >= SENDING {
            return;
        }
        let outputs: Vec<Output> = (self.sent..due).map(|n| self.output(n)).collect();
        self.sent = due;
        let log = Arc::clone(self.desk.log);
        self.sending.push(Box::pin(async move { log.send(outputs).await.map(drop) }));
    }

    fn output(&mut self, at: usize) -> Output {
        let (round, n) = (at / self.values.len(), at % self.values.len());
        let mut output = self.values[n].clone();
        // Events of a key wait for each other: a sample that is sent again is another customer's.
        let another = |key: Bytes| [&*key, b"-", round.to_string().as_bytes()].concat().into();
        output.key = output.key.map(another);
        let due = match self.order.rate {
            Some(rate) => self.epoch + (at as f64 / rate * 1e3) as i64,
            None => self.desk.clock.now(),
        };
        self.measured += usize::from(due >= self.from);
        output.timestamp = Some(due);
        output
    }
}

/// What comes out.
struct Seen {
    results: Arc<str>,
    followers: Vec<(Arc<str>, Box<dyn Follower>)>,
    answered: usize,
    /// Events that were due before are not measured.
    window: Option<i64>,
    began: i64,
    took: Histogram<u64>,
    bytes: BTreeMap<Arc<str>, usize>,
}

impl Seen {
    async fn open(desk: &Desk<'_>) -> Result<Self, StreamError> {
        let plan = desk.plan;
        let Some(sink) = &plan.sink else { return Err(no_sink()) };
        let mut followers = Vec::new();
        for need in topics::needs(std::slice::from_ref(plan)) {
            if need.name != plan.source.topic {
                let follower = follow(desk.log, &need.name).await?;
                followers.push((need.name, follower));
            }
        }
        let took = Histogram::new_with_max(LONGEST_MS, 3).map_err(|_| no_sink())?;
        let (results, began) = (Arc::clone(&sink.topic), desk.clock.now());
        let bytes = BTreeMap::new();
        Ok(Seen { results, followers, answered: 0, window: None, began, took, bytes })
    }

    /// Waits for the next records of any topic. How many of them are answers.
    async fn next(&mut self, clock: &Arc<dyn Clock>) -> Result<usize, StreamError> {
        let reads = self.followers.iter_mut().map(|(topic, follower)| {
            Box::pin(async move { (Arc::clone(topic), follower.next(LOOK).await) })
        });
        let ((topic, records), ..) = futures::future::select_all(reads).await;
        let records = records?;
        let (now, before) = (clock.now(), self.answered);
        *self.bytes.entry(Arc::clone(&topic)).or_default() +=
            records.iter().map(Record::size).sum::<usize>();
        if topic == self.results {
            for due in records.iter().filter_map(due).filter(|due| *due >= self.began) {
                self.answered += 1;
                if self.window.is_some_and(|from| due >= from) {
                    self.took.saturating_record((now - due).max(0).unsigned_abs());
                }
            }
        }
        Ok(self.answered - before)
    }
}

/// A topic that was made a moment ago may not be known to every broker yet.
async fn follow(log: &Arc<dyn Log>, topic: &str) -> Result<Box<dyn Follower>, StreamError> {
    let until = Instant::now() + KNOWN;
    loop {
        match log.follow(topic, From::Latest).await {
            Err(error) if error.kind == StreamErrorKind::UnknownTopic && Instant::now() < until => {
                sleep(AGAIN).await;
            }
            outcome => return outcome,
        }
    }
}

fn no_sink() -> StreamError {
    StreamError {
        kind: StreamErrorKind::Setting,
        message: "the pipeline has no `sink`: it gives no results that could be timed".to_owned(),
    }
}

/// When the event of a result was due: its record's time.
fn due(record: &Record) -> Option<i64> {
    let origin = header(&record.headers, "vivremotion.origin")?;
    let origin: Origin = std::str::from_utf8(origin).ok()?.parse().ok()?;
    Some(origin.timestamp)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
