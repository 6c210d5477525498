//! The job that is measured, and what it costs the engine.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use vivremotion::app::connect;
use vivremotion::base::clock::{Clock, SystemClock};
use vivremotion::settings::{self, Process};
use vivremotion::stream::{Follower, From, Log, Output, Topic};

use crate::engine::Served;
use crate::services::free_port;

/// Partitions of the topics on Kafka.
const PARTITIONS: i32 = 12;
/// Bytes of an event's value.
const SIZE: usize = 1024;
/// Events before the first run: connections, codecs and caches are there then.
const WARM: usize = 2_000;
/// Without any result for that long, something is wrong.
const STUCK: Duration = Duration::from_secs(60);

/// Which log.
#[derive(Clone)]
pub enum Place {
    /// One file.
    Local,
    /// A broker.
    Kafka {
        /// `host:port`.
        brokers: String,
    },
}

impl Place {
    /// One word.
    pub fn word(&self) -> &'static str {
        match self {
            Place::Local => "local",
            Place::Kafka { .. } => "kafka",
        }
    }
}

/// What is measured.
pub struct Plan {
    /// Which log.
    pub place: Place,
    /// `commit_interval`.
    pub commit: &'static str,
    /// `guarantee`, on Kafka.
    pub guarantee: &'static str,
    /// Events of a run.
    pub events: usize,
}

/// A running engine with its models, and both ends of the log.
pub struct Job {
    /// The engine.
    pub engine: Served,
    /// The log, as any other process has it.
    pub log: Arc<dyn Log>,
    /// Reads the results.
    pub results: Box<dyn Follower>,
    _models: Served,
}

impl Job {
    /// Starts it.
    pub async fn start(plan: &Plan, dir: &Path) -> Job {
        let models = Served::mock_models(dir);
        let port = free_port();
        let name = format!("bench-{port}");
        let log = match &plan.place {
            Place::Local => String::new(),
            Place::Kafka { brokers } => format!(
                "log:\n  kafka:\n    brokers: \"{brokers}\"\n    group_prefix: {name}\n    create: true\n    \
                 commit_interval: {}\n    guarantee: {}\n    names: {{ costs: {name}.costs }}\n",
                plan.commit, plan.guarantee
            ),
        };
        let settings = format!(
            "vivremotion: 1\n{log}\
             providers: {{ mock: {{ dialect: openai, base_url: \"http://127.0.0.1:{}/v1\", max_in_flight: 2000 }} }}\n\
             models: {{ small: mock/small }}\n\
             prices: {{ mock/small: [ {{ from: 2026-01-01, input: 1.00 USD, output: 2.00 USD }} ] }}\n\
             engine: {{ permits: 1000 }}\n\
             state: {}\n\
             server: {{ listen: \"127.0.0.1:{port}\" }}\n",
            models.port(),
            dir.join("state").display()
        );
        let pipeline = format!(
            "vivremotion: 1\npipeline: bench\nsource: {{ topic: {name}.in, from: earliest }}\n\
             stages:\n  answer:\n    generate: {{ model: small, prompt: \"{{{{ event.text }}}}\" }}\n\
             sink: {{ topic: {name}.out, outputs: [answer] }}\n"
        );
        let (settings_file, pipeline_file) = (dir.join("vivremotion.yaml"), dir.join("bench.yaml"));
        std::fs::write(&settings_file, settings).unwrap();
        std::fs::write(&pipeline_file, pipeline).unwrap();

        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let settings =
            settings::load(Some(&settings_file), &Process::beside(&settings_file)).unwrap();
        let log = connect::log(&settings, &clock).await.map_err(|error| error.message).unwrap();
        let topic = |end: &str| Topic {
            name: format!("{name}.{end}").into(),
            partitions: if log.name() == "kafka" { PARTITIONS } else { 1 },
            config: Vec::new(),
        };
        log.create(&[topic("in"), topic("out"), topic("costs")]).await.unwrap();
        let results = log.follow(&format!("{name}.out"), From::Earliest).await.unwrap();
        let engine = Served::engine(dir, port, &settings_file, &pipeline_file);
        Job { engine, log, results, _models: models }
    }

    /// The topic of the events.
    pub fn source(&self) -> Arc<str> {
        format!("bench-{}.in", self.engine.port()).into()
    }

    /// Bytes of keys and values in its call journal; 0 where it keeps none.
    pub async fn journaled(&self) -> usize {
        let topic = format!("bench-{}.bench.journal", self.engine.port());
        let Ok(mut journal) = self.log.follow(&topic, From::Earliest).await else { return 0 };
        let mut bytes = 0;
        while !journal.caught_up() {
            let records = journal.next(Duration::from_secs(1)).await.unwrap();
            let size = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
            bytes += records.iter().map(|r| size(&r.key) + size(&r.value)).sum::<usize>();
        }
        bytes
    }

    /// Sends that many events and waits for their results; the time from the first to the last.
    async fn round(&mut self, first: usize, events: usize) -> Duration {
        let (log, topic) = (Arc::clone(&self.log), self.source());
        let began = Instant::now();
        let sending = tokio::spawn(async move {
            for chunk in (first..first + events).collect::<Vec<_>>().chunks(1_000) {
                let outputs = chunk.iter().map(|n| event(&topic, *n, None)).collect();
                log.send(outputs).await.unwrap();
            }
        });
        let (mut seen, mut last) = (0, Instant::now());
        while seen < events {
            let records = self.results.next(Duration::from_secs(1)).await.unwrap();
            if !records.is_empty() {
                (seen, last) = (seen + records.len(), Instant::now());
            }
            let stuck = last.elapsed() > STUCK;
            assert!(!stuck, "{seen} of {events} results came\n{}", self.engine.last_words());
        }
        sending.await.unwrap();
        began.elapsed()
    }
}

/// Event number `n`, whose key is the number.
pub fn event(topic: &Arc<str>, n: usize, timestamp: Option<i64>) -> Output {
    let text = format!("What is the number of order {n}? ");
    let fill = SIZE - text.len() - 30;
    let text: String =
        text.chars().chain("lorem ipsum dolor ".chars().cycle().take(fill)).collect();
    let value = json!({ "id": n.to_string(), "text": text });
    Output {
        topic: Arc::clone(topic),
        partition: None,
        key: Some(Bytes::from(n.to_string())),
        value: Some(Bytes::from(value.to_string())),
        headers: Vec::new(),
        timestamp,
    }
}

/// What a run costs.
pub struct Cost {
    /// Engine CPU per event, of each run.
    pub cpu_us: Vec<f64>,
    /// Events a second, of each run.
    pub per_second: Vec<f64>,
    /// Resident memory after the last.
    pub rss_mib: f64,
    /// The most it ever was.
    pub peak_mib: f64,
}

/// Measures it, in one engine.
pub async fn cost(plan: &Plan, dir: &Path, runs: usize) -> Cost {
    let mut job = Job::start(plan, dir).await;
    job.round(0, WARM.min(plan.events)).await;
    let (mut cpu_us, mut per_second) = (Vec::new(), Vec::new());
    for run in 1..=runs {
        let before = job.engine.cpu();
        let took = job.round(run * plan.events, plan.events).await;
        let used = job.engine.cpu() - before;
        cpu_us.push(used.as_secs_f64() * 1e6 / plan.events as f64);
        per_second.push(plan.events as f64 / took.as_secs_f64());
    }
    let (rss_mib, peak_mib) = job.engine.memory();
    Cost { cpu_us, per_second, rss_mib, peak_mib }
}

/// What exactly-once and the journal cost beside at-least-once without: the same load, in turns.
pub struct Promise {
    /// CPU per event with them, of each run.
    pub with: Vec<f64>,
    /// CPU per event without, of each run.
    pub without: Vec<f64>,
    /// More CPU, per cent, of each pair.
    pub more: Vec<f64>,
    /// Bytes journaled per event.
    pub journaled: f64,
}

/// Measures both engines in turns, so that what else the machine does meets both.
pub async fn promise(plan: &Plan, dir: &Path, runs: usize) -> Promise {
    let other = Plan { guarantee: "at_least_once", place: plan.place.clone(), ..*plan };
    let (here, there) = (dir.join("with"), dir.join("without"));
    for dir in [&here, &there] {
        std::fs::create_dir_all(dir).unwrap();
    }
    let mut jobs = [Job::start(plan, &here).await, Job::start(&other, &there).await];
    let mut cpu: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for job in &mut jobs {
        job.round(0, WARM.min(plan.events)).await;
    }
    for run in 1..=runs {
        for (job, cpu) in jobs.iter_mut().zip(&mut cpu) {
            let before = job.engine.cpu();
            job.round(run * plan.events, plan.events).await;
            let used = job.engine.cpu() - before;
            cpu.push(used.as_secs_f64() * 1e6 / plan.events as f64);
        }
    }
    let [with, without] = cpu;
    let more = with.iter().zip(&without).map(|(a, b)| (a / b - 1.0) * 100.0).collect();
    let events = WARM.min(plan.events) + runs * plan.events;
    let journaled = jobs[0].journaled().await as f64 / events as f64;
    Promise { with, without, more, journaled }
}
