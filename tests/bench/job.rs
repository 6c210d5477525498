//! The job that is measured: an engine with its models, and both ends of the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use vivremotion::app::connect;
use vivremotion::base::clock::{Clock, SystemClock};
use vivremotion::settings::{self, Process};
use vivremotion::stream::{Follower, From, Log, Output, Record, Topic};

use crate::engine::Served;
use crate::services::free_port;

/// Bytes of an event's value.
const SIZE: usize = 1024;
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
#[derive(Clone)]
pub struct Plan {
    /// Which log.
    pub place: Place,
    /// `commit_interval`, on Kafka.
    pub commit: &'static str,
    /// `guarantee`, on Kafka.
    pub guarantee: &'static str,
    /// Partitions of the topics on Kafka.
    pub partitions: i32,
    /// Events that run at a time.
    pub permits: usize,
    /// The model `small`.
    pub model: &'static str,
    /// From `stages:` on; `MODELS` is where the models are served.
    pub stages: &'static str,
    /// Keys of the sink beside its topic, which is called `OUT`.
    pub sink: &'static str,
}

impl Plan {
    /// One model call over HTTP for each event, exactly once, 1,000 at a time.
    pub fn new(place: &Place) -> Plan {
        Plan {
            place: place.clone(),
            commit: "100ms",
            guarantee: "exactly_once",
            partitions: 12,
            permits: 1_000,
            model: "mock/small",
            stages: "stages:\n  answer:\n    generate: { model: small, prompt: \"{{ event.text }}\" }\n",
            sink: "outputs: [answer]",
        }
    }
}

/// A running engine with its models, and both ends of the log.
pub struct Job {
    /// The engine; none while it does not run.
    pub engine: Option<Served>,
    /// The log, as any other process has it.
    pub log: Arc<dyn Log>,
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
        std::fs::create_dir_all(dir).unwrap();
        let models = Served::mock_models(dir);
        let port = free_port();
        let name = format!("bench-{port}");
        let log = match &plan.place {
            Place::Local => String::new(),
            Place::Kafka { brokers } => format!(
                "log:\n  kafka:\n    brokers: \"{brokers}\"\n    group_prefix: {name}\n    create: true\n    \
                 commit_interval: {}\n    guarantee: {}\n    names: {{ costs: {name}.costs }}\n    \
                 instance: one\n    client: {{ session.timeout.ms: 6000 }}\n",
                plan.commit, plan.guarantee
            ),
        };
        let url = format!("http://127.0.0.1:{}", models.port());
        let settings = format!(
            "vivremotion: 1\n{log}\
             providers: {{ mock: {{ dialect: openai, base_url: \"{url}/v1\", max_in_flight: 20000 }} }}\n\
             models: {{ small: \"{model}\", slow: simulated/m+slow-2s }}\n\
             prices: {{ \"{model}\": [ {{ from: 2026-01-01, input: 1.00 USD, output: 2.00 USD }} ] }}\n\
             engine: {{ permits: {permits} }}\n\
             state: {state}\n\
             server: {{ listen: \"127.0.0.1:{port}\" }}\n",
            model = plan.model,
            permits = plan.permits,
            state = dir.join("state").display()
        );
        let pipeline = format!(
            "vivremotion: 1\npipeline: bench\nsource: {{ topic: {name}.in, from: earliest }}\n{stages}\
             sink: {{ topic: {name}.out, {sink} }}\n",
            stages = plan.stages.replace("MODELS", &url),
            sink = plan.sink.replace("OUT", &format!("{name}.out")),
        );
        std::fs::write(dir.join("vivremotion.yaml"), settings).unwrap();
        std::fs::write(dir.join("bench.yaml"), pipeline).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let file = dir.join("vivremotion.yaml");
        let settings = settings::load(Some(&file), &Process::beside(&file)).unwrap();
        let log = connect::log(&settings, &clock).await.map_err(|error| error.message).unwrap();
        let topic = |end: &str| Topic {
            name: format!("{name}.{end}").into(),
            partitions: if log.name() == "kafka" { plan.partitions } else { 1 },
            config: Vec::new(),
        };
        log.create(&[topic("in"), topic("out"), topic("costs")]).await.unwrap();
        let results = log.follow(&format!("{name}.out"), From::Earliest).await.unwrap();
        Job { engine: None, log, results, models, name, port, dir: dir.to_owned() }
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
        let (settings, pipeline) = (dir.join("vivremotion.yaml"), dir.join("bench.yaml"));
        self.engine = Some(Served::engine(dir, *port, &settings, &pipeline));
    }

    /// The engine that runs.
    pub fn engine(&self) -> &Served {
        self.engine.as_ref().unwrap()
    }

    /// The topic of the events.
    pub fn source(&self) -> Arc<str> {
        format!("{}.in", self.name).into()
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

    /// Sends that many events as fast as the log takes them.
    pub async fn send(log: Arc<dyn Log>, topic: Arc<str>, first: usize, events: usize) {
        for chunk in (first..first + events).collect::<Vec<_>>().chunks(1_000) {
            let outputs = chunk.iter().map(|n| event(&topic, *n, None)).collect();
            log.send(outputs).await.unwrap();
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
            let (stuck, there) = (last.elapsed() > STUCK, seen.len());
            let words = || self.engine.as_ref().map(Served::last_words).unwrap_or_default();
            assert!(!stuck, "{there} of {events} results came\n{}", words());
        }
        seen
    }

    /// Sends that many events and waits for their results.
    pub async fn round(&mut self, first: usize, events: usize) -> Vec<(Instant, Record)> {
        let sending = tokio::spawn(Job::send(Arc::clone(&self.log), self.source(), first, events));
        let seen = self.wait(events).await;
        sending.await.unwrap();
        seen
    }
}

/// A result's value.
pub fn value(record: &Record) -> Value {
    serde_json::from_slice(record.value.as_deref().unwrap_or_default()).unwrap()
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
