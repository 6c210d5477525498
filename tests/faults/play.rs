//! How a row is played: the job is fed, faults happen, everything must come to an end, and what is left is judged.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::checker::{Death, Facts, Finding, Sent, Terms, judge, paid_again, partitions};
use crate::clients::shares;
use crate::fleet::{Fleet, product};
use crate::job::{Job, Plan, SECRETS};
use crate::report::Outcome;
use crate::services::{Services, free_port, until};
use crate::time;
use crate::watch::{Looks, Scene, Watch};

/// Without any new result for that long, nothing more will come.
const STUCK: Duration = Duration::from_secs(90);
/// A result that is seen so soon after a death was committed before it, in milliseconds.
const READING: i64 = 150;

/// What rows are given.
pub struct Stage {
    /// Brokers and directories.
    pub services: Services,
    /// Events; none means the row's own number.
    pub events: Option<usize>,
    /// Of load and faults.
    pub seed: u64,
    /// Small, for every change.
    pub quick: bool,
    /// Intents are awaited.
    pub strict: bool,
}

impl Stage {
    /// The number of events: what was asked, else the row's.
    pub fn events(&self, quick: usize, full: usize) -> usize {
        self.events.unwrap_or(if self.quick { quick } else { full })
    }

    /// One number for a quick run, another for a full one.
    pub fn pick<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }

    /// The run's broker.
    pub fn brokers(&self) -> String {
        self.services.kafka().brokers()
    }
}

/// A row under way.
pub struct Play {
    /// The job.
    pub job: Job,
    /// Its instances.
    pub fleet: Fleet,
    /// Who looks on.
    pub watch: Watch,
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
    /// When somebody stood still or was cut off.
    pub lost: Vec<Death>,
    /// Its files.
    pub dir: PathBuf,
    load: Option<JoinHandle<Vec<Sent>>>,
    /// Sent and done before what is sent now.
    earlier: Vec<Sent>,
    /// Events that must be sent.
    least: usize,
    more: Arc<AtomicBool>,
    began: Instant,
}

impl Play {
    /// Makes the job on a broker that strangers reach at `brokers` and the engines at `engines`; nothing is fed yet.
    pub fn prepare(stage: &Stage, row: &str, plan: Plan, brokers: &str, engines: &str) -> Play {
        let dir = stage.services.dir(row);
        // Several runs of a row may use one broker.
        let prefix = format!("{}-{}", row.to_lowercase(), free_port());
        let mut job = Job::new(plan, brokers, &prefix, &dir, stage.seed);
        job.strict = stage.strict;
        let mut fleet = Fleet::new(&dir, &job.pipeline);
        for index in 0..job.plan.instances {
            fleet.add(&job.settings(index, engines));
        }
        Play {
            watch: Watch::start(&job.scene),
            job,
            fleet,
            draw: StdRng::seed_from_u64(stage.seed),
            wrong: Vec::new(),
            notes: Vec::new(),
            faults: String::new(),
            terms: Terms { paid_once: true, strict: stage.strict },
            lost: Vec::new(),
            dir,
            load: None,
            earlier: Vec::new(),
            least: 0,
            more: Arc::default(),
            began: Instant::now(),
        }
    }

    /// All instances run and have partitions, and the job is fed.
    pub fn start(stage: &Stage, row: &str, plan: Plan) -> Play {
        let brokers = stage.brokers();
        let mut play = Play::prepare(stage, row, plan, &brokers, &brokers);
        play.fleet.start_all();
        play.balanced();
        play.feed(stage.seed);
        play
    }

    /// Waits until every instance that runs has its share of the partitions.
    pub fn balanced(&mut self) {
        let Scene { brokers, group, .. } = &self.job.scene;
        let running = (0..self.fleet.len()).filter(|index| self.fleet.runs(*index)).count();
        let partitions = usize::try_from(self.job.plan.partitions).unwrap();
        let fair = until(Duration::from_secs(60), || {
            let shares = shares(brokers, group);
            let whole = shares.len() == running && shares.iter().sum::<usize>() == partitions;
            let fair = shares.iter().all(|share| *share >= partitions / running.max(1));
            if whole && fair { Ok(()) } else { Err(format!("the group has {shares:?}")) }
        });
        if let Err(reason) = fair {
            self.wrong.push(reason);
        }
    }

    /// It was fed by others: these were sent.
    pub fn sent(&mut self, sent: Vec<Sent>) {
        self.load = Some(std::thread::spawn(move || sent));
    }

    /// Begins to send: the plan's events, and more until [`Play::enough`].
    pub fn feed(&mut self, seed: u64) {
        self.more.store(true, Ordering::SeqCst);
        self.least = self.job.plan.events;
        self.load = Some(self.job.feed(seed, self.earlier.len() as u64, &self.more));
    }

    /// Begins to send the rest of so many events, after these.
    pub fn feed_rest(&mut self, seed: u64, events: usize, earlier: Vec<Sent>) {
        self.earlier = earlier;
        self.job.plan.events = events;
        self.feed(seed);
        self.enough();
    }

    /// The faults are over: only what is left of the plan's events is sent.
    pub fn enough(&self) {
        self.more.store(false, Ordering::SeqCst);
    }

    /// A time between two, drawn.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        self.draw.random_range(least..=most)
    }

    /// An instance, drawn.
    pub fn any(&mut self) -> usize {
        self.draw.random_range(0..self.fleet.len())
    }

    /// Calls of an instance that are open now may be paid again: it is frozen or cut off, and does not know what it has lost.
    /// (What moves in other ways stands in the journal.)
    pub fn lost_by(&mut self, index: usize) {
        let instance = self.fleet.name(index);
        self.lost.push(Death { instance, at: time::now() });
    }

    /// Waits for a number of results; whoever ends meanwhile is started again.
    pub fn results(&mut self, least: usize, within: Duration) -> bool {
        let end = Instant::now() + within;
        while self.watch.results() < least {
            if Instant::now() >= end {
                return false;
            }
            self.fleet.look();
            time::pause(Duration::from_millis(50));
        }
        true
    }

    /// Waits until everything that is due is there, and for the progress that says so; then lets the instances drain.
    pub fn settle(&mut self) -> Vec<Sent> {
        let sent = self.wait_for_all();
        self.drain();
        sent
    }

    /// Lets the instances drain, once they have said what they count.
    pub fn drain(&mut self) {
        let pages = self.fleet.pages();
        if pages.is_empty() {
            self.wrong.push("no instance has a page of metrics".to_owned());
        }
        self.wrong.extend(told_secrets("a page of metrics", &pages));
        for index in 0..self.fleet.len() {
            if let Err(reason) = self.fleet.drain(index, Duration::from_secs(60)) {
                self.wrong.push(reason);
            }
        }
    }

    /// Waits until all is sent; how many results there are then.
    pub fn sent_all(&mut self) -> usize {
        self.enough();
        // Who dies meanwhile is seen at once: the time of a death is judged by.
        while self.load.as_ref().is_some_and(|load| !load.is_finished()) {
            self.fleet.look();
            time::pause(Duration::from_millis(20));
        }
        self.watch.results()
    }

    /// Waits until everything that is due is there, and for the progress that says so.
    pub fn wait_for_all(&mut self) -> Vec<Sent> {
        self.sent_all();
        let mut sent = std::mem::take(&mut self.earlier);
        sent.extend(self.load.take().into_iter().flat_map(|load| load.join().unwrap()));
        if sent.len() < self.least {
            self.wrong.push(format!("{} of {} events sent", sent.len(), self.job.plan.events));
        }
        let results = sent.iter().filter(|one| !one.kind.has_no_result()).count();
        let letters = sent.iter().filter(|one| one.kind.has_letter()).count();
        let (mut count, mut since) = ((0, 0), Instant::now());
        while self.watch.results() < results || self.watch.letters() < letters {
            let now = (self.watch.results(), self.watch.letters());
            if now != count {
                (count, since) = (now, Instant::now());
            }
            if since.elapsed() > STUCK {
                self.wrong.push(format!(
                    "stuck with {} of {results} results and {} of {letters} dead letters",
                    now.0, now.1
                ));
                break;
            }
            self.fleet.look();
            time::pause(Duration::from_millis(50));
        }
        self.finished(&sent);
        sent
    }

    /// Waits until the committed base of every partition is at its end; the checker says so if it never is.
    fn finished(&mut self, sent: &[Sent]) {
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            let bases = self.watch.bases();
            let open = |one: &Sent| bases.get(&one.at.0).is_none_or(|base| *base <= one.at.1);
            if !sent.iter().any(open) {
                return;
            }
            self.fleet.look();
            time::pause(Duration::from_millis(100));
        }
    }

    /// Settles, gathers and judges.
    pub fn end(mut self) -> Outcome {
        let sent = self.settle();
        self.conclude(sent)
    }

    /// Gathers and judges what was sent, and is done.
    pub fn conclude(mut self, sent: Vec<Sent>) -> Outcome {
        let facts = self.job.facts(sent);
        self.audit();
        self.judge(facts)
    }

    /// What the product's own audit finds in what is left is wrong, too.
    fn audit(&mut self) {
        let settings = self.dir.join("audit.yaml");
        std::fs::write(&settings, self.job.settings(0, &self.job.brokers)).unwrap();
        self.wrong.extend(audited(&self.dir, &settings, &self.job.pipeline));
    }

    /// Judges what was gathered, with what was seen meanwhile.
    pub fn judge(mut self, mut facts: Facts) -> Outcome {
        let said = self.fleet.said();
        self.wrong.extend(told_secrets("a log", &said));
        let doubts = said.matches("a commit was in doubt").count();
        if doubts > 0 {
            self.notes.push(format!("{doubts} commits were in doubt and decided"));
        }
        // What the last reader has not come to yet is on its way to it.
        let end = Instant::now() + Duration::from_secs(20);
        while (self.watch.results() < facts.settled.len() || self.watch.dirty() < facts.raw.len())
            && Instant::now() < end
        {
            time::pause(Duration::from_millis(50));
        }
        let Looks { live, dirty, marks, held_up } = self.watch.end();
        facts.deaths = std::mem::take(&mut self.fleet.deaths);
        facts.marks = marks;
        facts.live = live.iter().map(|(sighting, _)| *sighting).collect();
        facts.dirty = Some(dirty);
        facts.held_up = held_up;
        let recovery = recovery(&facts, &live);
        let deaths = facts.deaths.len();
        facts.deaths.append(&mut self.lost);
        let (mut findings, figures) = judge(&facts, self.terms);
        self.wrong.append(&mut self.fleet.ended);
        let wrong = self.wrong.into_iter().map(|what| Finding { check: "row", what });
        findings.extend(wrong);
        let text: String = paid_again(&facts).iter().map(|call| format!("{call:?}\n")).collect();
        let text = format!("{:?}\n{text}", facts.deaths);
        std::fs::write(self.dir.join("paid-again.txt"), text).unwrap();
        keep(&self.dir);
        Outcome {
            events: facts.sent.len(),
            instances: self.job.plan.instances,
            faults: self.faults,
            deaths,
            recovery,
            calls: facts.calls.len(),
            figures,
            findings,
            notes: self.notes,
            took: self.began.elapsed(),
        }
    }
}

/// A finding for each secret that stands in a text (C12).
pub fn told_secrets(place: &str, text: &str) -> Vec<String> {
    let told = SECRETS.iter().filter(|secret| text.contains(**secret));
    told.map(|secret| format!("C12 `{secret}` stands in {place}")).collect()
}

/// Copies what a row's processes said to `target/faults`, where it outlives the run.
pub fn keep(dir: &Path) {
    let name = dir.file_name().unwrap_or_default();
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/faults").join(name);
    drop(std::fs::remove_dir_all(&home));
    std::fs::create_dir_all(&home).unwrap();
    for file in std::fs::read_dir(dir).unwrap().filter_map(Result::ok) {
        if file.path().is_file() {
            drop(std::fs::copy(file.path(), home.join(file.file_name())));
        }
    }
}

/// What `verify` finds in what a pipeline that has ended left behind; none when it finds nothing. All that it says is kept in
/// `dir`.
pub fn audited(dir: &Path, settings: &Path, pipeline: &Path) -> Option<String> {
    let mut command = product(dir);
    command.args(["verify", "--finished", "--settings"]).arg(settings).arg(pipeline);
    let audit = command.output().unwrap();
    let said = String::from_utf8_lossy(&audit.stdout).into_owned();
    std::fs::write(dir.join("audit.txt"), [audit.stdout, audit.stderr].concat()).unwrap();
    let found: Vec<&str> = said.lines().filter(|line| !line.is_empty()).take(8).collect();
    (!audit.status.success()).then(|| format!("`verify`: {}: {}", audit.status, found.join(" / ")))
}

/// After each death: milliseconds until a result of an event was committed whose partition the dead one had. Whose it was
/// is told by the ledger: who made the partition's last call.
fn recovery(facts: &Facts, live: &[(crate::checker::Sighting, i32)]) -> Vec<i64> {
    let partitions = partitions(facts);
    let after = |death: &crate::checker::Death| {
        let mut owner = std::collections::BTreeMap::new();
        for call in facts.calls.iter().filter(|call| call.start <= death.at) {
            if let Some(partition) = partitions.get(&call.n) {
                let last = owner.entry(*partition).or_insert((call.start, call.instance));
                *last = (*last).max((call.start, call.instance));
            }
        }
        let orphaned = |partition: &i32| {
            owner.get(partition).is_some_and(|(_, instance)| *instance == death.instance)
        };
        let seen = live
            .iter()
            .filter(|(one, partition)| one.seen > death.at + READING && orphaned(partition));
        seen.map(|(one, _)| one.seen - death.at).min()
    };
    facts.deaths.iter().filter_map(after).collect()
}
