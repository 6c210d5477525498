//! The rows that need no broker, on the local log: kill -9 at each step of its commit, a full disk, copies of its files.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rand::RngExt;

use crate::checker::{Finding, Sent, judge};
use crate::embedded::{Embedded, facts, settings};
use crate::file::{self, File};
use crate::fleet::Fleet;
use crate::job::Plan;
use crate::play::Stage;
use crate::report::Outcome;
use crate::time;

/// Where in a commit it dies; the number is which commit, or which piece of one.
const STEPS: [&str; 7] = [
    "local.begun=abort@",
    "local.applied=abort@",
    "local.before-end=abort@",
    "local.before-end=abort+1ms@",
    "local.before-end=abort+3ms@",
    "local.after-end=abort@",
    "commit.before-settle=abort@",
];

fn plan(events: usize, seconds: f64) -> Plan {
    let mut plan = Plan::new(events, seconds);
    plan.latency = "50ms..500ms";
    plan
}

/// L1: dies at each step of a commit, and at random.
pub fn steps(stage: &Stage) -> Outcome {
    let rounds = stage.pick(2, 20);
    let events = stage.events(1_000, 10_000);
    let deaths = rounds * (STEPS.len() + 1);
    let mut row = Embedded::start(stage, "L1", plan(events, deaths as f64 * 1.5), None);
    row.faults =
        format!("{deaths} deaths: {rounds} at each of {} steps, {rounds} kill -9", STEPS.len());
    for round in 0..rounds {
        for step in STEPS {
            let armed = format!("{step}{}", row.draw.random_range(5..40));
            row.fleet.kill(0);
            row.fleet.start(0, Some(&armed));
            if let Err(reason) = row.fleet.end(0, Duration::from_secs(30)) {
                row.wrong.push(format!("round {round}: `{armed}` was not reached: {reason}"));
                row.fleet.kill(0);
            }
            row.fleet.start(0, None);
        }
        let wait = row.draw.random_range(300..1_500);
        time::pause(Duration::from_millis(wait));
        row.fleet.kill(0);
        row.fleet.start(0, None);
        row.fleet.ready(0);
    }
    row.end()
}

/// A file system of a few megabytes that ends with the row.
struct Small(PathBuf);

impl Small {
    fn mount(dir: &Path) -> Result<Small, String> {
        std::fs::create_dir_all(dir).unwrap();
        Self::ask(&["-t", "tmpfs", "-o", "size=3m", "none"], dir)?;
        Ok(Small(dir.to_owned()))
    }

    fn grow(&self) -> Result<(), String> {
        Self::ask(&["-o", "remount,size=256m"], &self.0)
    }

    fn ask(arguments: &[&str], dir: &Path) -> Result<(), String> {
        let asked = Command::new("mount").args(arguments).arg(dir).output();
        let asked = asked.map_err(|error| error.to_string())?;
        match asked.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&asked.stderr).trim().to_owned()),
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(&self.0).status());
    }
}

/// L2: the disk is full for a while. The engine waits, and goes on when there is room.
pub fn full_disk(stage: &Stage) -> Outcome {
    let events = stage.events(1_000, 10_000);
    let small = match Small::mount(&stage.services.dir("small-disk")) {
        Ok(small) => small,
        Err(reason) => {
            let mut outcome = Outcome::default();
            outcome.finding(format!("not played: no small file system can be made: {reason}"));
            return outcome;
        }
    };
    let mut row =
        Embedded::start(stage, "L2", plan(events, stage.pick(10.0, 60.0)), Some(&small.0));
    row.faults = "disk full for 10 s".to_owned();
    // Full is when nothing more comes although there is more to do.
    let (mut count, mut still) = (row.results(), 0);
    while still < 20 && count < events {
        time::pause(Duration::from_millis(250));
        let now = row.results();
        still = if now == count && now > 0 { still + 1 } else { 0 };
        count = now;
    }
    if count >= events {
        row.wrong.push("the disk never was full".to_owned());
    }
    if !row.fleet.runs(0) {
        row.wrong.push("the engine ended when the disk was full".to_owned());
    }
    time::pause(Duration::from_secs(5));
    let at_full = row.results();
    if let Err(reason) = small.grow() {
        row.wrong.push(reason);
    }
    let mut outcome = row.end();
    outcome.notes.push(format!("full after {at_full} results"));
    outcome
}

/// Where in a commit the files are copied.
const COPIED: [&str; 3] = ["local.begun=hold@", "local.applied=hold@", "local.before-end=hold@"];

/// L3: the files are copied in the middle of a commit, which is held there, or of whatever happens; each copy is whole, and
/// an engine goes on from it.
pub fn copies(stage: &Stage) -> Outcome {
    let rounds = stage.pick(1, 8);
    let events = stage.events(1_000, 10_000);
    let all = rounds * (COPIED.len() + 1);
    let mut row = Embedded::start(stage, "L3", plan(events, all as f64 * 2.5), None);
    row.faults = format!(
        "{all} copies of the files: {rounds} at each of {} steps of a commit, {rounds} of a frozen engine",
        COPIED.len()
    );
    let mut taken = Vec::new();
    for round in 0..rounds {
        for (at, step) in COPIED.iter().copied().map(Some).chain([None]).enumerate() {
            let home = row.dir.join(format!("copy-{round}-{at}"));
            std::fs::create_dir_all(&home).unwrap();
            match step {
                Some(step) => {
                    let armed = format!("{step}{}", row.draw.random_range(5..40));
                    row.fleet.kill(0);
                    row.fleet.start(0, Some(&armed));
                    held(&mut row, &armed);
                }
                None => time::pause(Duration::from_millis(row.draw.random_range(200..1_500))),
            }
            row.fleet.signal(0, "STOP");
            file::copy(&row.path, &home.join("log.db"));
            row.fleet.signal(0, "CONT");
            if step.is_some() {
                row.fleet.kill(0);
                row.fleet.start(0, None);
                row.fleet.ready(0);
            }
            taken.push(home);
        }
    }
    let (plan, dir) = (row.plan.clone(), row.dir.clone());
    let mut found: Vec<Finding> = Vec::new();
    for home in &taken {
        let said = File::open(&home.join("log.db")).integrity();
        if said != "ok" {
            let what = format!("{}: {said}", home.display());
            found.push(Finding { check: "row", what });
        }
    }
    // From the last copy of each kind an engine with models of its own does what is left there.
    for home in taken.iter().rev().take(COPIED.len() + 1) {
        found.extend(goes_on(stage, &plan, &dir, home));
    }
    let mut outcome = row.end();
    outcome.findings.extend(found);
    outcome
}

/// Waits until the engine is held: for a second nobody else can begin to write.
fn held(row: &mut Embedded, armed: &str) {
    let file = File::open(&row.path);
    let mut since = Instant::now();
    let end = since + Duration::from_secs(30);
    while since.elapsed() < Duration::from_secs(1) {
        if !file.is_locked() {
            since = Instant::now();
        }
        if Instant::now() > end {
            row.wrong.push(format!("`{armed}` was not reached"));
            return;
        }
        time::pause(Duration::from_millis(20));
    }
}

/// An engine on a copy answers what the copy holds: each once, in order. (What was paid before the copy is told by the
/// ledger of the other models, so money is not asked.)
fn goes_on(stage: &Stage, plan: &Plan, dir: &Path, home: &Path) -> Vec<Finding> {
    let path = home.join("log.db");
    let mock = crate::job::models(plan, home, stage.seed);
    let mut fleet = Fleet::new(home, &dir.join("job.yaml"));
    fleet.add(&settings(&path, &mock, plan));
    fleet.start_all();
    let file = File::open(&path);
    let sent: Vec<Sent> = file
        .read("in", 0)
        .into_iter()
        .zip(0..)
        .map(|(row, n)| Sent { n, key: row.key, at: (0, row.offset), kind: plan.kind(n) })
        .collect();
    let due = sent.iter().filter(|one| !one.kind.has_no_result()).count();
    let end = Instant::now() + Duration::from_secs(60);
    while file.read("out", 0).len() < due && Instant::now() < end {
        time::pause(Duration::from_millis(200));
    }
    let drained = fleet.drain(0, Duration::from_secs(30));
    let mut facts = facts(&path, &mock, sent);
    facts.live = facts.settled.clone();
    facts.ends.clear();
    let about = ["C1", "C2", "C3", "C4"];
    let (found, _) = judge(&facts, crate::checker::Terms::default());
    let mut found: Vec<Finding> =
        found.into_iter().filter(|one| about.contains(&one.check)).collect();
    if let Err(what) = drained {
        found.push(Finding { check: "row", what });
    }
    found.iter_mut().for_each(|one| one.what = format!("on a copy: {}", one.what));
    found
}
