//! P8, P11: how soon it works.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Stage;
use crate::engine::{Served, product};
use crate::job::Job;
use crate::plan::Plan;
use crate::report::Goal::AtMost;
use crate::report::Report;
use crate::services::free_port;

/// P8: an engine alone, started again at once under the same name. Kafka's fencing is in the figure: the client may only
/// begin when the dead one's transaction is ended.
pub fn killed(stage: &Stage, report: &mut Report) {
    let plan = Plan { commit: "10ms", ..Plan::new(&stage.kafka()) };
    let seconds: Vec<f64> = stage.block_on(async {
        let mut job = Job::start(&plan, &stage.services.dir("killed")).await;
        job.round(0, stage.pick(2_000, 200)).await;
        let (log, events) = (Arc::clone(&job.log), job.events.clone());
        let done = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&done);
        let load = tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(10));
            for n in 1_000_000.. {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                tick.tick().await;
                log.send(events.outputs(n..n + 1, None).await).await.unwrap();
            }
        });
        let mut seconds = Vec::new();
        for _ in 0..stage.pick(5, 1) {
            job.wait(200).await;
            job.engine = None;
            let died = Instant::now();
            // What was committed before is read first.
            while !job.results.next(Duration::from_millis(100)).await.unwrap().is_empty() {}
            job.run();
            job.wait(1).await;
            seconds.push(died.elapsed().as_secs_f64());
        }
        done.store(true, Ordering::SeqCst);
        load.await.unwrap();
        seconds
    });
    report.add("P8", "kill -9 to the next commit", "s", Some(AtMost(5.0)), &seconds);
}

/// P11: from the start of the process, with an empty file for a log.
pub fn ready(stage: &Stage, report: &mut Report) {
    let folder = stage.services.dir("start");
    let seconds: Vec<f64> = (0..stage.runs)
        .map(|run| {
            let (dir, port) = (folder.join(run.to_string()), free_port());
            pipelines(&dir.join("pipelines"), 20);
            let settings = dir.join("vivremotion.yaml");
            let text = format!(
                "vivremotion: 1\nmodels: {{ small: simulated/small }}\nstate: {}\nserver: {{ listen: \"127.0.0.1:{port}\" }}\n",
                dir.join("state").display()
            );
            std::fs::write(&settings, text).unwrap();
            let began = Instant::now();
            let engine = Served::engine(&dir, port, &settings, &dir.join("pipelines"));
            let took = began.elapsed().as_secs_f64();
            drop(engine);
            took
        })
        .collect();
    report.add("P11", "ready with 20 pipelines", "s", Some(AtMost(0.5)), &seconds);
    let many = folder.join("many");
    pipelines(&many, stage.pick(1_000, 50));
    let settings = folder.join("check.yaml");
    std::fs::write(&settings, "vivremotion: 1\nmodels: { small: simulated/small }\n").unwrap();
    let seconds: Vec<f64> = (0..stage.runs)
        .map(|_| {
            let mut check: Command = product(&folder);
            let began = Instant::now();
            let checked =
                check.arg("check").arg("--settings").arg(&settings).arg(&many).output().unwrap();
            assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
            began.elapsed().as_secs_f64()
        })
        .collect();
    report.add("P11", "check of 1,000 pipelines", "s", Some(AtMost(1.0)), &seconds);
}

fn pipelines(dir: &Path, count: usize) {
    std::fs::create_dir_all(dir).unwrap();
    for n in 0..count {
        let text = format!(
            "vivremotion: 1\npipeline: p{n}\nsource: {{ topic: in-{n}, from: earliest }}\nstages:\n  \
             first:\n    when: event.text != \"\"\n    \
             generate: {{ model: small, prompt: \"Tell me of {{{{ event.text }}}}\" }}\n  \
             second:\n    needs: [first]\n    \
             generate: {{ model: small, prompt: \"And of {{{{ first }}}}\" }}\n\
             sink: {{ topic: out-{n}, outputs: [first, second] }}\n"
        );
        std::fs::write(dir.join(format!("p{n}.yaml")), text).unwrap();
    }
}
