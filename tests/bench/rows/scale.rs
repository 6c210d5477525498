//! P10: the same load over many pipelines, keys or partitions costs about what it costs over few.

use std::sync::Arc;

use super::Stage;
use crate::job::Job;
use crate::plan::Plan;
use crate::report::Goal::AtLeast;
use crate::report::Report;

/// What the engine did with one load.
struct Done {
    per_second: Vec<f64>,
    rss_mib: Vec<f64>,
}

/// P10. Models are simulated in the engine: it is the subject.
pub fn scale(stage: &Stage, report: &mut Report) {
    let plan = Plan { model: "simulated/m", ..Plan::new(&stage.kafka()) };
    let pipelines = |pipelines| Plan { pipelines, partitions: 1, ..plan.clone() };
    let keys = |keys| Plan { keys: Some(keys), ..plan.clone() };
    let partitions = |partitions| Plan { partitions, ..plan.clone() };
    let (many, more) = (stage.pick(1_000, 100), stage.pick(100_000, 1_000));
    for (what, few, many) in [
        ("pipelines", (1, pipelines(1)), (many, pipelines(many))),
        ("keys", (1, keys(1)), (more, keys(more))),
        ("partitions", (12, partitions(12)), (240, partitions(240))),
    ] {
        let both = [few, many].map(|(count, plan)| (format!("{count} {what}"), plan));
        let [few, many] = measure(stage, both.each_ref().map(|(_, plan)| plan));
        for ((name, _), done) in both.iter().zip([&few, &many]) {
            report.add("P10", format!("{name}: events per second"), "1/s", None, &done.per_second);
            report.add("P10", format!("{name}: memory at the end"), "MiB", None, &done.rss_mib);
        }
        let pairs = few.per_second.iter().zip(&many.per_second);
        let shares: Vec<f64> = pairs.map(|(few, many)| many / few * 100.0).collect();
        let name = format!("{} by one of few", both[1].0);
        report.add("P10", name, "%", Some(AtLeast(90.0)), &shares);
    }
}

/// Few and many in turns, each time a new engine.
fn measure(stage: &Stage, plans: [&Plan; 2]) -> [Done; 2] {
    let mut done = [const { Done { per_second: Vec::new(), rss_mib: Vec::new() } }; 2];
    for _ in 0..stage.runs {
        for (plan, done) in plans.into_iter().zip(&mut done) {
            let (per_second, rss) = stage.block_on(run(stage, plan));
            done.per_second.push(per_second);
            done.rss_mib.push(rss);
        }
    }
    done
}

/// The records are there when the engine starts: that their sender has more to do with many topics is not counted. Neither
/// is the first half: a broker makes room in the index files of each new partition when it is first written to, which
/// takes it milliseconds for each.
async fn run(stage: &Stage, plan: &Plan) -> (f64, f64) {
    let events = stage.pick(100_000, 2_000);
    let mut job = Job::prepare(plan, &stage.services.dir("scale")).await;
    Job::send(Arc::clone(&job.log), job.events.clone(), 0..events).await;
    job.run();
    let seen = job.wait(events).await;
    // While it is full: not the last tenth.
    let (from, to) = (events / 2, events - events / 10);
    let took = seen[to].0 - seen[from].0;
    ((to - from) as f64 / took.as_secs_f64(), job.engine().memory().0)
}
