//! P1, P2, P7: what an event costs the engine.

use std::time::{Duration, Instant};

use vivremotion::codec::Format;

use super::Stage;
use crate::job::Job;
use crate::plan::{Place, Plan};
use crate::report::Goal::AtMost;
use crate::report::Report;

/// Pairs for each run of P7: the difference of two figures varies by more than either.
const PAIRS: usize = 6;

/// What runs of one job cost: one figure for each.
struct Cost {
    job: Job,
    cpu_us: Vec<f64>,
    models_us: Vec<f64>,
    per_second: Vec<f64>,
}

/// P1.
pub fn engine(stage: &Stage, report: &mut Report) {
    let avro = Plan::new(&stage.kafka());
    let json = Plan { format: Format::Json, ..avro.clone() };
    let local = Plan::new(&Place::Local);
    let [avro, json, local] = stage.block_on(measure(stage, [avro, json, local], stage.runs));
    for (name, cost, most) in [("kafka", avro, 100.0), ("local", local, 90.0)] {
        let (rss, peak) = cost.job.engine().memory();
        let name = |what: &str| format!("{name}: {what}");
        report.add("P1", name("engine CPU per event"), "µs", Some(AtMost(most)), &cost.cpu_us);
        report.add("P1", name("  the models' beside it"), "µs", None, &cost.models_us);
        report.add("P1", name("events per second"), "1/s", None, &cost.per_second);
        report.add("P1", name("memory at the end"), "MiB", None, &[rss]);
        report.add("P1", name("memory at most"), "MiB", None, &[peak]);
    }
    report.add("P1", "kafka, JSON: engine CPU per event", "µs", None, &json.cpu_us);
}

/// P2.
pub fn plain(stage: &Stage, report: &mut Report) {
    let plan = Plan {
        format: Format::Json,
        guarantee: "at_least_once",
        stages: "stages:\n  answer:\n    call:\n      url: \"MODELS/v1/chat/completions\"\n      method: POST\n      \
                 body: { model: small, messages: [ { role: user, content: \"{{ event.input.text }}\" } ] }\n",
        sink: "value: \"{{ answer.body }}\", failures: OUT.failed",
        ..Plan::new(&stage.kafka())
    };
    let [cost] = stage.block_on(measure(stage, [plan], stage.runs));
    report.add("P2", "engine CPU per event", "µs", Some(AtMost(48.0)), &cost.cpu_us);
    report.add("P2", "events per second", "1/s", None, &cost.per_second);
    report.add("P2", "memory at the end", "MiB", None, &[cost.job.engine().memory().0]);
}

/// P7.
pub fn promise(stage: &Stage, report: &mut Report) {
    for (commit, goal) in [("100ms", Some(AtMost(15.0))), ("10ms", None)] {
        let plan = Plan { commit, ..Plan::new(&stage.kafka()) };
        let other = Plan { guarantee: "at_least_once", ..plan.clone() };
        let pairs = PAIRS * stage.runs;
        let ([with, without], journaled) = stage.block_on(async {
            let costs = measure(stage, [plan, other], pairs).await;
            let journaled = costs[0].job.journaled().await as f64;
            (costs, journaled / (load(stage) / 10 + pairs * load(stage)) as f64)
        });
        let both = with.cpu_us.iter().zip(&without.cpu_us);
        let more: Vec<f64> = both.map(|(with, without)| (with / without - 1.0) * 100.0).collect();
        let name = |what: &str| format!("at {commit}: {what}");
        report.add("P7", name("CPU per event, exactly once"), "µs", None, &with.cpu_us);
        report.add("P7", name("CPU per event, at least once"), "µs", None, &without.cpu_us);
        report.add("P7", name("more CPU"), "%", goal, &more);
        report.add("P7", name("journaled per event"), "B", None, &[journaled]);
    }
}

/// Events of a run.
fn load(stage: &Stage) -> usize {
    stage.pick(20_000, 2_000)
}

/// Runs of all plans in turns, so that what else the machine does meets each of them.
async fn measure<const N: usize>(stage: &Stage, plans: [Plan; N], runs: usize) -> [Cost; N] {
    let events = load(stage);
    let mut costs = Vec::with_capacity(N);
    for plan in plans {
        let mut job = Job::start(&plan, &stage.services.dir("cost")).await;
        // Connections, codecs and caches are there then.
        job.round(0, events / 10).await;
        let (cpu_us, models_us, per_second) = (Vec::new(), Vec::new(), Vec::new());
        costs.push(Cost { job, cpu_us, models_us, per_second });
    }
    for run in 1..=runs {
        // The other way round the next time: what grows meanwhile meets each of them first as often as last.
        costs.reverse();
        for Cost { job, cpu_us, models_us, per_second } in &mut costs {
            let (before, models) = (job.engine().cpu(), job.models.cpu());
            let began = Instant::now();
            job.round(run * events, events).await;
            let took = began.elapsed();
            let each = |used: Duration| used.as_secs_f64() * 1e6 / events as f64;
            cpu_us.push(each(job.engine().cpu() - before));
            models_us.push(each(job.models.cpu() - models));
            per_second.push(events as f64 / took.as_secs_f64());
        }
    }
    if runs % 2 == 1 {
        costs.reverse();
    }
    costs.try_into().unwrap_or_else(|_| unreachable!("as many as there are plans"))
}
