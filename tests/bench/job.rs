//! The job that is measured: an engine with its models, and both ends of the log.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use vivremotion::app::connect;
use vivremotion::app::topics::JOURNAL;
use vivremotion::base::clock::{Clock, SystemClock};
use vivremotion::settings::{self, Process};
use vivremotion::stream::{Follower, From, Log, Record, Topic};

use crate::engine::Served;
use crate::events::Events;
use crate::plan::Plan;
use crate::services::free_port;

/// Without any result for that long, something is wrong.
pub const STUCK: Duration = Duration::from_secs(60);
/// Topics that are made with one request.
const TOGETHER: usize = 100;

/// A running engine with its models, and both ends of the log.
pub struct Job {
    /// The engine; none while it does not run.
    pub engine: Option<Served>,
    /// The log, as any other process has it.
    pub log: Arc<dyn Log>,
    /// Writes events and reads results.
    pub events: Events,
    /// Reads the results.
    pub results: Box<dyn Follower>,
    /// CPU of the models beside ours.
    pub models: Served,
    name: String,
    port: u16,
    dir: PathBuf,
}

impl Job {
    /// Everything but the engine.
    pub async fn prepare(plan: &Plan, dir: &Path) -> Job {
        let pipelines = dir.join("pipelines");
        for folder in [&pipelines, &dir.join("state")] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let models = Served::mock_models(dir);
        let port = free_port();
        let name = format!("bench-{port}");
        let url = format!("http://127.0.0.1:{}", models.port());
        let file = dir.join("vivremotion.yaml");
        std::fs::write(&file, plan.settings(&name, &url, port, &dir.join("state"))).unwrap();
        for (n, pipeline) in plan.pipelines(&name, &url).into_iter().enumerate() {
            std::fs::write(pipelines.join(format!("{n}.yaml")), pipeline).unwrap();
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let settings = settings::load(Some(&file), &Process::beside(&file)).unwrap();
        let log = connect::log(&settings, &clock).await.map_err(|error| error.message).unwrap();
        let codecs = connect::codecs(&settings).map_err(|error| error.message).unwrap();
        create(&*log, plan, &name).await;
        let events = Events::prepare(plan, &name, &codecs).await;
        let results = log.follow(&format!("{name}.out"), From::Earliest).await.unwrap();
        Job { engine: None, log, events, results, models, name, port, dir: dir.to_owned() }
    }

    /// All of it.
    pub async fn start(plan: &Plan, dir: &Path) -> Job {
        let mut job = Job::prepare(plan, dir).await;
        job.run();
        job
    }

    /// Starts the engine, and waits until it is ready.
    pub fn run(&mut self) {
        let Job { dir, port, .. } = self;
        let (settings, pipelines) = (dir.join("vivremotion.yaml"), dir.join("pipelines"));
        self.engine = Some(Served::engine(dir, *port, &settings, &pipelines));
    }

    /// The engine that runs.
    pub fn engine(&self) -> &Served {
        self.engine.as_ref().unwrap()
    }

    /// Bytes of keys and values in its call journal; 0 where it keeps none.
    pub async fn journaled(&self) -> usize {
        let topic = format!("{}.bench.journal", self.name);
        let Ok(mut journal) = self.log.follow(&topic, From::Earliest).await else { return 0 };
        let mut bytes = 0;
        while !journal.caught_up() {
            let records = journal.next(Duration::from_secs(1)).await.unwrap();
            let size = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
            bytes += records.iter().map(|r| size(&r.key) + size(&r.value)).sum::<usize>();
        }
        bytes
    }

    /// Sends these events as fast as the log takes them.
    pub async fn send(log: Arc<dyn Log>, events: Events, mut numbers: Range<usize>) {
        while !numbers.is_empty() {
            let end = numbers.end.min(numbers.start + 1_000);
            log.send(events.outputs(numbers.start..end, None).await).await.unwrap();
            numbers.start = end;
        }
    }

    /// Waits for that many results, and gives each with the moment it was seen.
    pub async fn wait(&mut self, events: usize) -> Vec<(Instant, Record)> {
        let (mut seen, mut last) = (Vec::with_capacity(events), Instant::now());
        while seen.len() < events {
            let records = self.results.next(Duration::from_secs(1)).await.unwrap();
            if !records.is_empty() {
                last = Instant::now();
                seen.extend(records.into_iter().map(|record| (last, record)));
            }
            let there = seen.len();
            assert!(last.elapsed() < STUCK, "{there} of {events} results came\n{}", self.words());
        }
        seen
    }

    /// The last of what the engine said.
    pub fn words(&self) -> String {
        self.engine.as_ref().map(Served::last_words).unwrap_or_default()
    }

    /// Sends that many events and waits for their results.
    pub async fn round(&mut self, first: usize, events: usize) -> Vec<(Instant, Record)> {
        let sending = Job::send(Arc::clone(&self.log), self.events.clone(), first..first + events);
        let sending = tokio::spawn(sending);
        let seen = self.wait(events).await;
        sending.await.unwrap();
        seen
    }
}

/// Makes the topics, so that all have what the plan says; those that are like their source are the engine's to make.
async fn create(log: &dyn Log, plan: &Plan, name: &str) {
    let (out, costs) = (format!("{name}.out"), plan.costs(name));
    let partitions = if log.name() == "kafka" { plan.partitions } else { 1 };
    // As many as the engine would give it.
    let journal = (format!("{name}.bench.journal"), partitions.min(JOURNAL));
    let named = plan.sources(name).into_iter().chain([out, costs]);
    let topics: Vec<Topic> = named
        .map(|name| (name, partitions))
        .chain([journal])
        .map(|(name, partitions)| Topic {
            name: name.into(),
            partitions,
            config: plan.topics.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        })
        .collect();
    for some in topics.chunks(TOGETHER) {
        log.create(some).await.unwrap();
    }
}
