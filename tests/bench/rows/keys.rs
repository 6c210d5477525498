//! P5: many events of one partition, in the order of their keys, beside a library that does no more than that.

use std::sync::Arc;

use super::Stage;
use crate::events::seconds;
use crate::job::Job;
use crate::parallel::Parallel;
use crate::plan::{Place, Plan};
use crate::report::Goal::AtMost;
use crate::report::Report;

/// Events at a time.
const FLIGHT: usize = 100;

/// Of each run.
#[derive(Default)]
struct Runs {
    /// Seconds from the first event to the end of the last one's work.
    seconds: Vec<f64>,
    /// Milliseconds of one event's work, on average: a timer is late.
    work_ms: Vec<f64>,
}

/// P5: the records are there at the start; from the first admission to the last completion. In turns, over the same
/// records.
pub fn keys(stage: &Stage, report: &mut Report) {
    let events = stage.pick(10_000, 1_000);
    let place = stage.kafka();
    let plan = Plan {
        permits: FLIGHT,
        partitions: 1,
        keys: Some(1_000),
        model: "simulated/m+slow-2ms",
        ..Plan::new(&place)
    };
    let library = Parallel::obtain();
    let (mut ours, mut cold, mut warm) = (Runs::default(), Runs::default(), Runs::default());
    let mut trouble = library.as_ref().err().cloned();
    for _ in 0..stage.runs {
        let dir = stage.services.dir("keys");
        let (source, (took, work)) = stage.block_on(async {
            let mut job = Job::prepare(&plan, &dir).await;
            Job::send(Arc::clone(&job.log), job.events.clone(), 0..events).await;
            job.run();
            let span = span(&mut job, events).await;
            (Arc::clone(job.events.source()), span)
        });
        ours.seconds.push(took);
        ours.work_ms.push(work);
        let (Ok(library), Place::Kafka { brokers, .. }) = (&library, &place) else { continue };
        // Its compilers are warm the second time only.
        match library.run(&dir, brokers, &source, events, FLIGHT, 2) {
            Ok(rounds) => {
                for (runs, round) in [&mut cold, &mut warm].into_iter().zip(rounds) {
                    runs.seconds.push(round.seconds);
                    runs.work_ms.push(round.work_ms);
                }
            }
            Err(reason) => trouble = Some(reason),
        }
    }
    report.add("P5", "to the last completion", "s", Some(AtMost(0.40)), &ours.seconds);
    report.add("P5", "  one event's work, mean", "ms", None, &ours.work_ms);
    if let Some(reason) = trouble {
        report.absent("P5", format!("{}: {reason}", Parallel::NAME));
    }
    let says = |what: &str| format!("{}: {what}", Parallel::NAME);
    if !warm.seconds.is_empty() {
        report.add("P5", says("to the last completion"), "s", None, &warm.seconds);
        report.add("P5", says("  one event's work, mean"), "ms", None, &warm.work_ms);
        report.add("P5", says("  in a process just started"), "s", None, &cold.seconds);
    }
}

/// Seconds from the first admission to the end of the last stage, and milliseconds of one stage.
async fn span(job: &mut Job, events: usize) -> (f64, f64) {
    let (mut first, mut last, mut work) = (f64::MAX, 0.0_f64, 0.0);
    for (_, record) in job.wait(events).await {
        let value = job.events.value(&record).await;
        let begin = seconds(&value["received_at"]);
        first = first.min(begin);
        last = last.max(begin + value["duration_us"].as_f64().unwrap() / 1e6);
        work += value["stages"][0]["duration_us"].as_f64().unwrap() / 1e3;
    }
    (last - first, work / events as f64)
}
