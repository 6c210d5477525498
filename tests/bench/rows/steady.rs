//! P9: nothing grows and nothing slows down while it works for long.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::Stage;
use crate::events::number;
use crate::job::{Job, STUCK};
use crate::load::Load;
use crate::plan::Plan;
use crate::report::Goal::AtMost;
use crate::report::{Report, median};

/// Parts of the time that are told apart: minutes of half an hour.
const PARTS: usize = 30;
/// How many of them are not counted at the start, and how many are compared with how many at the end.
const SOME: usize = 5;
/// Looks at the process in each part.
const LOOKS: u32 = 12;
/// Of what the engine can do.
const SHARE: f64 = 0.7;
/// Percent that is level.
const LEVEL: f64 = 5.0;

/// What is seen of one part.
struct Part {
    latency_us: Histogram<u64>,
    looks: [Vec<f64>; 3],
}

/// What is looked at.
const LOOKED_AT: [(&str, &str); 3] = [("memory", "MiB"), ("open files", ""), ("threads", "")];

/// P9.
pub fn steady(stage: &Stage, report: &mut Report) {
    // Half an hour of records is not kept: the newest are enough.
    let plan = Plan {
        topics: &[
            ("retention.bytes", "33554432"),
            ("segment.bytes", "16777216"),
            ("file.delete.delay.ms", "1000"),
        ],
        ..Plan::new(&stage.kafka())
    };
    let whole = Duration::from_secs(60 * stage.minutes);
    let (rate, parts) = stage.block_on(async {
        let mut job = Job::start(&plan, &stage.services.dir("steady")).await;
        let most = stage.pick(20_000, 2_000);
        job.round(0, most / 10).await;
        let began = Instant::now();
        job.round(most, most).await;
        let rate = most as f64 / began.elapsed().as_secs_f64() * SHARE;
        (rate, watch(&mut job, 2 * most, rate, whole).await)
    });
    report.add("P9", format!("{} minutes of load", stage.minutes), "1/s", None, &[rate]);
    let counted = &parts[SOME..];
    let (early, late) = (&counted[..SOME], &counted[counted.len() - SOME..]);
    for (at, (what, unit)) in LOOKED_AT.into_iter().enumerate() {
        let each = |parts: &[Part]| parts.iter().map(|p| median(&p.looks[at])).collect::<Vec<_>>();
        let change = (median(&each(late)) / median(&each(early)) - 1.0) * 100.0;
        report.add("P9", what, unit, None, &each(counted));
        report.add("P9", format!("{what}: change"), "%", Some(AtMost(LEVEL)), &[change.abs()]);
    }
    let each: Vec<f64> = counted.iter().map(|part| p99_ms(&part.latency_us)).collect();
    let (early, late) = (p99_ms(&sum(early)), p99_ms(&sum(late)));
    report.add("P9", "latency, p99", "ms", None, &each);
    report.add("P9", "latency, p99: the end's by the beginning's", "", None, &[late / early]);
}

/// Sends at that rate for so long, and looks at the engine meanwhile.
async fn watch(job: &mut Job, first: usize, rate: f64, whole: Duration) -> Vec<Part> {
    let part = whole / PARTS as u32;
    let events = (rate * whole.as_secs_f64()) as usize;
    let mut parts: Vec<Part> = (0..PARTS).map(|_| Part::new()).collect();
    let load = Load::start(job, first, rate, events);
    let begin = load.due(first);
    let at = |moment: Instant| {
        let passed = moment.saturating_duration_since(begin).as_secs_f64();
        ((passed / part.as_secs_f64()) as usize).min(PARTS - 1)
    };
    let (mut seen, mut told, mut last, mut look) = (0, 0, begin, begin);
    while seen < events {
        let records = job.results.next(Duration::from_millis(100)).await.unwrap();
        let now = Instant::now();
        for record in &records {
            let due = load.due(number(record));
            let took = now.saturating_duration_since(due).as_micros() as u64;
            parts[at(due)].latency_us.record(took.max(1)).unwrap();
        }
        seen += records.len();
        if !records.is_empty() {
            last = now;
        }
        assert!(last.elapsed() < STUCK, "{seen} of {events} results came\n{}", job.words());
        // What comes after the load has no part.
        if now >= look && now < begin + whole {
            parts[at(now)].look(job);
            look += part / LOOKS;
        }
        // Results of a part come until a little after its end.
        while told + 1 < at(now) {
            parts[told].tell(told);
            told += 1;
        }
    }
    load.end().await;
    (told..PARTS).for_each(|told| parts[told].tell(told));
    parts
}

impl Part {
    fn new() -> Part {
        // Three digits, as far as a number goes.
        Part { latency_us: Histogram::new(3).unwrap(), looks: [const { Vec::new() }; 3] }
    }

    fn look(&mut self, job: &Job) {
        let engine = job.engine();
        let seen = [engine.memory().0, engine.files() as f64, engine.threads() as f64];
        self.looks.iter_mut().zip(seen).for_each(|(looks, seen)| looks.push(seen));
    }

    fn tell(&self, part: usize) {
        let [memory, files, threads] = self.looks.each_ref().map(|looks| median(looks));
        eprintln!(
            "P9 part {} of {PARTS}: {} events, p99 {:.1} ms, {memory:.1} MiB, {files} open files, {threads} threads",
            part + 1,
            self.latency_us.len(),
            p99_ms(&self.latency_us),
        );
    }
}

fn sum(parts: &[Part]) -> Histogram<u64> {
    let mut sum = Part::new().latency_us;
    parts.iter().for_each(|part| sum.add(&part.latency_us).unwrap());
    sum
}

fn p99_ms(latency_us: &Histogram<u64>) -> f64 {
    latency_us.value_at_quantile(0.99) as f64 / 1e3
}
