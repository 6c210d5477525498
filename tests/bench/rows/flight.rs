//! P4, P6: many at once, and in the order of their graph.

use std::time::Instant;

use serde_json::Value;

use super::Stage;
use crate::events::seconds;
use crate::job::Job;
use crate::plan::{Place, Plan};
use crate::report::Goal::{AtLeast, AtMost};
use crate::report::Report;

/// P4: models inside the engine, and behind HTTP.
pub fn wide(stage: &Stage, report: &mut Report) {
    for (name, model, least, most) in [
        ("simulated", "simulated/m+slow-1s", 9_500.0, 250.0),
        ("over HTTP", "mock/m+slow-1s", 8_500.0, 500.0),
    ] {
        let plan = Plan { permits: 10_000, model, ..Plan::new(&stage.kafka()) };
        let (rate, cpu, peak) = stage.block_on(async {
            let events = stage.pick(60_000, 4_000);
            let mut job = Job::start(&plan, &stage.services.dir(&name.replace(' ', "-"))).await;
            job.round(0, 1_000).await;
            let before = job.engine().cpu();
            let seen = job.round(events, events).await;
            let cpu = (job.engine().cpu() - before).as_secs_f64() * 1e6 / events as f64;
            // While it is full: not the first and the last tenth.
            let (from, to) = (events / 10, events - events / 10);
            let took = seen[to].0 - seen[from].0;
            ((to - from) as f64 / took.as_secs_f64(), cpu, job.engine().memory().1)
        });
        let say = |what: &str| format!("{name}: {what}");
        report.add("P4", say("events per second"), "1/s", Some(AtLeast(least)), &[rate]);
        report.add("P4", say("engine CPU per event"), "µs", None, &[cpu]);
        report.add("P4", say("memory at most"), "MiB", Some(AtMost(most)), &[peak]);
    }
}

/// P6: four stages one after another, one beside them, and an arm of two seconds that nobody waits for.
pub fn graph(stage: &Stage, report: &mut Report) {
    let plan = Plan {
        model: "simulated/m+slow-200ms",
        stages: "stages:\n  \
            a: { generate: { model: small, prompt: a } }\n  \
            b: { needs: [a], generate: { model: small, prompt: b } }\n  \
            arm: { needs: [a], generate: { model: slow, prompt: arm } }\n  \
            c: { needs: [b], generate: { model: small, prompt: c } }\n  \
            d: { needs: [b], generate: { model: small, prompt: d } }\n  \
            e: { needs: [c, d], generate: { model: small, prompt: e } }\n",
        sink: "outputs: [e, arm]",
        ..Plan::new(&Place::Local)
    };
    let events = stage.pick(200, 20);
    let ends: Vec<f64> = stage.block_on(async {
        let mut job = Job::start(&plan, &stage.services.dir("graph")).await;
        let began = Instant::now();
        let seen = job.round(0, events).await;
        eprintln!("P6 {events} events after {:.1} s", began.elapsed().as_secs_f64());
        let mut ends = Vec::with_capacity(events);
        for (_, record) in &seen {
            ends.push(last_of_chain(&job.events.value(record).await));
        }
        ends
    });
    report.add("P6", "the last dependent stage ends", "s", Some(AtMost(0.82)), &ends);
}

/// Seconds from admission to the end of stage `e`.
fn last_of_chain(result: &Value) -> f64 {
    let runs = result["stages"].as_array().unwrap();
    let run = runs.iter().find(|run| run["name"] == "e").unwrap();
    let begin = seconds(&run["started_at"]) - seconds(&result["received_at"]);
    begin + run["duration_us"].as_f64().unwrap() / 1e6
}
