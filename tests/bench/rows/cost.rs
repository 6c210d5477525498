//! P1, P2, P7: what an event costs the engine.

use std::path::Path;

use super::Stage;
use crate::job::{Job, Place, Plan};
use crate::report::Goal::AtMost;
use crate::report::Report;

/// What runs cost: one figure for each.
#[derive(Default)]
struct Cost {
    cpu_us: Vec<f64>,
    models_us: Vec<f64>,
    per_second: Vec<f64>,
    rss_mib: f64,
    peak_mib: f64,
}

/// P1.
pub fn engine(stage: &Stage, report: &mut Report) {
    for (place, most) in [(stage.kafka(), 100.0), (Place::Local, 90.0)] {
        let plan = Plan::new(&place);
        let cost = stage.block_on(measure(stage, &plan, &stage.services.dir(place.word())));
        let name = |what: &str| format!("{}: {what}", place.word());
        report.add("P1", name("engine CPU per event"), "µs", Some(AtMost(most)), &cost.cpu_us);
        report.add("P1", name("  the models' beside it"), "µs", None, &cost.models_us);
        report.add("P1", name("events per second"), "1/s", None, &cost.per_second);
        report.add("P1", name("memory at the end"), "MiB", None, &[cost.rss_mib]);
        report.add("P1", name("memory at most"), "MiB", None, &[cost.peak_mib]);
    }
}

/// P2.
pub fn plain(stage: &Stage, report: &mut Report) {
    let plan = Plan {
        guarantee: "at_least_once",
        stages: "stages:\n  answer:\n    call:\n      url: \"MODELS/v1/chat/completions\"\n      method: POST\n      \
                 body: { model: small, messages: [ { role: user, content: \"{{ event.text }}\" } ] }\n",
        sink: "value: \"{{ answer.body }}\", failures: OUT.failed",
        ..Plan::new(&stage.kafka())
    };
    let cost = stage.block_on(measure(stage, &plan, &stage.services.dir("plain")));
    report.add("P2", "engine CPU per event", "µs", Some(AtMost(48.0)), &cost.cpu_us);
    report.add("P2", "events per second", "1/s", None, &cost.per_second);
    report.add("P2", "memory at the end", "MiB", None, &[cost.rss_mib]);
}

/// P7: both engines in turns, so that what else the machine does meets both.
pub fn promise(stage: &Stage, report: &mut Report) {
    for (commit, goal) in [("100ms", Some(AtMost(15.0))), ("10ms", None)] {
        let (with, without, journaled) = stage.block_on(compare(stage, commit));
        let more: Vec<f64> = with
            .iter()
            .zip(&without)
            .map(|(with, without)| (with / without - 1.0) * 100.0)
            .collect();
        let name = |what: &str| format!("at {commit}: {what}");
        report.add("P7", name("CPU per event, exactly once"), "µs", None, &with);
        report.add("P7", name("CPU per event, at least once"), "µs", None, &without);
        report.add("P7", name("more CPU"), "%", goal, &more);
        report.add("P7", name("journaled per event"), "B", None, &[journaled]);
    }
}

async fn measure(stage: &Stage, plan: &Plan, dir: &Path) -> Cost {
    let events = stage.pick(20_000, 2_000);
    let mut job = Job::start(plan, dir).await;
    // Connections, codecs and caches are there then.
    job.round(0, events / 10).await;
    let mut cost = Cost::default();
    for run in 1..=stage.runs {
        let (before, models) = (job.engine().cpu(), job.models.cpu());
        let began = std::time::Instant::now();
        job.round(run * events, events).await;
        let took = began.elapsed();
        let each = |used: std::time::Duration| used.as_secs_f64() * 1e6 / events as f64;
        cost.cpu_us.push(each(job.engine().cpu() - before));
        cost.models_us.push(each(job.models.cpu() - models));
        cost.per_second.push(events as f64 / took.as_secs_f64());
    }
    (cost.rss_mib, cost.peak_mib) = job.engine().memory();
    cost
}

async fn compare(stage: &Stage, commit: &'static str) -> (Vec<f64>, Vec<f64>, f64) {
    let events = stage.pick(20_000, 2_000);
    let plan = Plan { commit, ..Plan::new(&stage.kafka()) };
    let other = Plan { guarantee: "at_least_once", ..plan.clone() };
    let dir = |name: &str| stage.services.dir(&format!("{name}-{commit}"));
    let mut jobs =
        [Job::start(&plan, &dir("with")).await, Job::start(&other, &dir("without")).await];
    let mut cpu = [Vec::new(), Vec::new()];
    for job in &mut jobs {
        job.round(0, events / 10).await;
    }
    for run in 1..=stage.runs {
        for (job, cpu) in jobs.iter_mut().zip(&mut cpu) {
            let before = job.engine().cpu();
            job.round(run * events, events).await;
            let used = job.engine().cpu() - before;
            cpu.push(used.as_secs_f64() * 1e6 / events as f64);
        }
    }
    let [with, without] = cpu;
    let all = events / 10 + stage.runs * events;
    let journaled = jobs[0].journaled().await as f64 / all as f64;
    (with, without, journaled)
}
