//! The job of the other rows on the local log: one file, one instance.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::checker::{Facts, Finding, Mark, Sent, Sighting, Terms, judge};
use crate::file::File;
use crate::fleet::{Fleet, product};
use crate::job::{Page, Plan, answer, charge, expected, journaled, models, pipeline, value};
use crate::mock::Mock;
use crate::play::{Stage, audited, keep, told_secrets};
use crate::report::Outcome;
use crate::time;

const SOURCE: &str = "in";
const SINK: &str = "out";
const LETTERS: &str = "in.job.dlq";
const COSTS: &str = "vivremotion.costs";
const JOURNAL: &str = "vivremotion.job.journal";
const GROUP: &str = "vivremotion.job";
/// Without any new result for that long, nothing more will come.
const STUCK: Duration = Duration::from_secs(60);
/// Records that the sender writes at once.
const TOGETHER: usize = 5;

/// A row on the local log under way.
pub struct Embedded {
    /// What was wanted.
    pub plan: Plan,
    /// Its one instance.
    pub fleet: Fleet,
    /// The file of the log.
    pub path: PathBuf,
    /// Its models.
    pub mock: Mock,
    /// Of the faults.
    pub draw: StdRng,
    /// What went wrong beside what the checker finds.
    pub wrong: Vec<String>,
    /// Worth telling.
    pub notes: Vec<String>,
    /// What was done to it.
    pub faults: String,
    /// What is asked of it.
    pub terms: Terms,
    /// Its files.
    pub dir: PathBuf,
    pipeline: PathBuf,
    settings: PathBuf,
    seen: Arc<Seen>,
    watcher: Option<JoinHandle<()>>,
    load: Option<JoinHandle<Vec<Sent>>>,
    more: Arc<AtomicBool>,
    began: Instant,
}

#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    results: AtomicUsize,
    live: Mutex<Vec<Sighting>>,
    marks: Mutex<Vec<Mark>>,
}

impl Embedded {
    /// Makes file, topics and models and starts the engine; `home` is where the file lies.
    pub fn start(stage: &Stage, row: &str, plan: Plan, home: Option<&Path>) -> Embedded {
        let dir = stage.services.dir(row);
        let home = home.unwrap_or(&dir);
        let path = home.join("log.db");
        let mock = models(&plan, &dir, stage.seed);
        let pipeline = pipeline(&plan, &dir, SOURCE, SINK);
        let settings = settings(&path, &mock, &plan);
        let file = dir.join("topics.yaml");
        std::fs::write(&file, format!("{settings}state: {}\n", dir.join("state").display()))
            .unwrap();
        let mut make = product(&dir);
        make.args(["topics", "--create"]).arg(&pipeline).arg("--settings").arg(&file);
        let made = make.output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut fleet = Fleet::new(&dir, &pipeline);
        fleet.add(&settings);
        fleet.start_all();
        let (seen, more) = (Arc::<Seen>::default(), Arc::new(AtomicBool::new(true)));
        let watcher = {
            let (seen, path) = (Arc::clone(&seen), path.clone());
            std::thread::spawn(move || watch(&seen, &path))
        };
        let load = {
            let (plan, path, more) = (plan.clone(), path.clone(), Arc::clone(&more));
            let seed = stage.seed;
            std::thread::spawn(move || feed(&plan, &path, &more, seed))
        };
        Embedded {
            draw: StdRng::seed_from_u64(stage.seed),
            plan,
            fleet,
            path,
            mock,
            wrong: Vec::new(),
            notes: Vec::new(),
            faults: String::new(),
            terms: Terms { paid_once: true, strict: false },
            dir,
            pipeline,
            settings: file,
            seen,
            watcher: Some(watcher),
            load: Some(load),
            more,
            began: Instant::now(),
        }
    }

    /// Results seen.
    pub fn results(&self) -> usize {
        self.seen.results.load(Ordering::SeqCst)
    }

    /// Waits for everything, lets the engine drain, gathers and judges.
    pub fn end(mut self) -> Outcome {
        self.more.store(false, Ordering::SeqCst);
        while self.load.as_ref().is_some_and(|load| !load.is_finished()) {
            self.fleet.look();
            time::pause(Duration::from_millis(20));
        }
        let sent = self.load.take().map(|load| load.join().unwrap()).unwrap_or_default();
        let due = sent.iter().filter(|one| !one.kind.has_no_result()).count();
        let (mut count, mut since) = (0, Instant::now());
        while self.results() < due {
            if self.results() != count {
                (count, since) = (self.results(), Instant::now());
            }
            if since.elapsed() > STUCK {
                self.wrong.push(format!("stuck with {count} of {due} results"));
                break;
            }
            self.fleet.look();
            time::pause(Duration::from_millis(50));
        }
        self.wrong.extend(told_secrets("a page of metrics", &self.fleet.pages()));
        if let Err(reason) = self.fleet.drain(0, Duration::from_secs(60)) {
            self.wrong.push(reason);
        }
        self.wrong.extend(told_secrets("a log", &self.fleet.said()));
        self.wrong.extend(audited(&self.dir, &self.settings, &self.pipeline));
        let mut facts = facts(&self.path, &self.mock, sent);
        // Once more after the last commit.
        time::pause(Duration::from_millis(300));
        self.seen.stop.store(true, Ordering::SeqCst);
        if let Some(watcher) = self.watcher.take() {
            watcher.join().unwrap();
        }
        facts.live = std::mem::take(&mut *self.seen.live.lock().unwrap());
        facts.marks = std::mem::take(&mut *self.seen.marks.lock().unwrap());
        facts.deaths = std::mem::take(&mut self.fleet.deaths);
        keep(&self.dir);
        let (mut findings, figures) = judge(&facts, self.terms);
        self.wrong.append(&mut self.fleet.ended);
        findings.extend(self.wrong.into_iter().map(|what| Finding { check: "row", what }));
        let after =
            |at: i64| facts.live.iter().find(|one| one.seen > at + 20).map(|one| one.seen - at);
        Outcome {
            events: facts.sent.len(),
            instances: 1,
            faults: self.faults,
            deaths: facts.deaths.len(),
            recovery: facts.deaths.iter().filter_map(|death| after(death.at)).collect(),
            calls: facts.calls.len(),
            figures,
            findings,
            notes: self.notes,
            took: self.began.elapsed(),
        }
    }
}

/// Settings of the instance.
pub fn settings(path: &Path, mock: &Mock, plan: &Plan) -> String {
    format!(
        "vivremotion: 1\nlog: {{ local: {{ path: {} }} }}\n\
         providers: {{ mock: {{ dialect: openai, base_url: \"{}\", api_key: \"${{env:MOCK_KEY}}\", max_in_flight: 12000 }} }}\n\
         models: {{ small: \"mock/gpt+i0\" }}\n\
         prices: {{ \"mock/gpt+i0\": [ {{ from: 2026-01-01, input: 1.00 USD, output: 2.00 USD }} ] }}\n\
         engine: {{ {} }}\n",
        path.display(),
        mock.base_url(),
        plan.engine
    )
}

/// What is there once all is quiet.
pub fn facts(path: &Path, mock: &Mock, sent: Vec<Sent>) -> Facts {
    let file = File::open(path);
    let settled = file.read(SINK, 0);
    let pages = file.read(JOURNAL, 0);
    let (journal, openings) = journaled(pages.iter().map(|row| Page {
        key: &row.key,
        value: &row.value,
        offset: row.offset,
        at: row.timestamp,
    }));
    let sighted: Vec<Sighting> = settled
        .iter()
        .map(|row| Sighting { at: (0, row.offset), seen: 0, digest: digest(&row.value) })
        .collect();
    let end = sent.iter().map(|one| one.at.1 + 1).max().unwrap_or(0);
    Facts {
        ends: [(0, end)].into(),
        answers: settled.iter().map(|row| answer((0, row.offset), &row.key, &row.value)).collect(),
        expected: expected(mock, &sent),
        letters: file.read(LETTERS, 0).iter().map(|row| (0, origin(&row.headers))).collect(),
        charges: file.read(COSTS, 0).iter().map(|row| charge(&row.value)).collect(),
        calls: mock.calls(),
        journal,
        openings,
        settled: sighted.clone(),
        raw: sighted,
        sent,
        ..Facts::default()
    }
}

/// The offset in `cluster/topic/partition/offset/timestamp`, found in headers as they lie in the file.
fn origin(headers: &[u8]) -> i64 {
    let text = String::from_utf8_lossy(headers);
    let value = text.split("vivremotion.origin").nth(1).unwrap_or_default();
    value.split('/').nth(3).and_then(|offset| offset.parse().ok()).unwrap_or(-1)
}

fn digest(value: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn watch(seen: &Seen, path: &Path) {
    let file = File::open(path);
    let (mut next, mut last) = (0, None);
    while !seen.stop.load(Ordering::SeqCst) {
        for row in file.read(SINK, next) {
            next = row.offset + 1;
            let sighting =
                Sighting { at: (0, row.offset), seen: time::now(), digest: digest(&row.value) };
            seen.live.lock().unwrap().push(sighting);
            seen.results.fetch_add(1, Ordering::SeqCst);
        }
        if let Some((base, metadata)) = file.committed(GROUP, SOURCE)
            && last.replace((base, metadata)) != Some((base, metadata))
        {
            seen.marks.lock().unwrap().push(Mark { partition: 0, base, metadata });
        }
        time::pause(Duration::from_millis(10));
    }
}

fn feed(plan: &Plan, path: &Path, more: &AtomicBool, seed: u64) -> Vec<Sent> {
    let mut file = File::open(path);
    let mut draw = StdRng::seed_from_u64(seed);
    let began = Instant::now();
    let mut sent = Vec::new();
    while sent.len() < plan.events || more.load(Ordering::SeqCst) {
        let due = Duration::from_secs_f64(sent.len() as f64 / plan.rate);
        if let Some(early) = due.checked_sub(began.elapsed()) {
            time::pause(early);
        }
        let first = sent.len() as u64;
        let numbers = first..first + TOGETHER as u64;
        let records: Vec<(String, Vec<u8>)> = numbers
            .clone()
            .map(|n| (format!("key-{}", draw.random_range(0..plan.keys)), value(n, plan.kind(n))))
            .collect();
        let offsets = file.append(SOURCE, &records);
        for ((n, (key, _)), offset) in numbers.zip(records).zip(offsets) {
            sent.push(Sent { n, key, at: (0, offset), kind: plan.kind(n) });
        }
    }
    sent
}
