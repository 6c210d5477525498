//! P3: added latency, record in to result readable.

use std::time::Instant;

use super::Stage;
use crate::job::Job;
use crate::latency::{Times, added};
use crate::plan::{Place, Plan};
use crate::report::Goal::AtMost;
use crate::report::Report;

/// Events a second of a light load.
const LIGHT: f64 = 200.0;

/// P3.
pub fn added_latency(stage: &Stage, report: &mut Report) {
    let kafka = Plan::new(&stage.kafka());
    let rows = [
        ("kafka, 10ms", Plan { commit: "10ms", ..kafka.clone() }, 12.0, Some(40.0)),
        ("kafka, 0ms", Plan { commit: "0ms", ..kafka.clone() }, 8.0, None),
        (
            "kafka, at least once",
            Plan { guarantee: "at_least_once", commit: "0ms", ..kafka },
            5.0,
            Some(20.0),
        ),
        ("local", Plan::new(&Place::Local), 5.0, Some(20.0)),
    ];
    for (name, plan, p50, p99) in rows {
        let (light, half, rate) = stage.block_on(measure(stage, &plan, name));
        let say = |what: &str| format!("{name}: {what}");
        report.add("P3", say("light load, p50"), "ms", None, &light.p50);
        report.add("P3", say("light load, p99"), "ms", None, &light.p99);
        report.add("P3", say("half load"), "1/s", None, &[rate]);
        report.add("P3", say("half load, p50"), "ms", Some(AtMost(p50)), &half.p50);
        report.add("P3", say("half load, p99"), "ms", p99.map(AtMost), &half.p99);
        for (part, half) in half.parts {
            report.add("P3", say(&format!("  {part}")), "ms", None, &[half]);
        }
    }
}

/// At a light load, and at half of what it did as fast as it could.
async fn measure(stage: &Stage, plan: &Plan, name: &str) -> (Times, Times, f64) {
    let dir = stage.services.dir(&name.replace([',', ' '], ""));
    let mut job = Job::start(plan, &dir).await;
    let most = stage.pick(10_000, 1_000);
    job.round(0, most / 10).await;
    let began = Instant::now();
    job.round(most, most).await;
    let rate = most as f64 / began.elapsed().as_secs_f64() / 2.0;
    let mut next = 2 * most;
    let light = added(&mut job, &mut next, LIGHT, stage.pick(2_000, 200), stage.runs).await;
    let half = added(&mut job, &mut next, rate, stage.pick(10_000, 1_000), stage.runs).await;
    (light, half, rate)
}
