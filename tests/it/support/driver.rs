//! Drives real pipelines through the real corridor: the memory log, simulated models, a held clock.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use vivremotion::app::groups::{Working, work};
use vivremotion::app::lines::{Shared, line};
use vivremotion::app::{known::known, models, topics};
use vivremotion::base::clock::{Clock, HeldClock};
use vivremotion::budget::{Account, ENGINE_PER_DAY, Limits as Budgets, Wallet};
use vivremotion::codec::Codecs;
use vivremotion::codec::registry::embedded::Embedded;
use vivremotion::event::money::Money;
use vivremotion::flow::Line;
use vivremotion::flow::identity::Expressions;
use vivremotion::flow::member::Bounds;
use vivremotion::flow::outage::Outages;
use vivremotion::flow::outbox::Limits;
use vivremotion::flow::workers::Workers;
use vivremotion::journal::Entry;
use vivremotion::journal::record::read;
use vivremotion::model::journaled::Journaled;
use vivremotion::model::{Model, Purse};
use vivremotion::pipeline::check::check;
use vivremotion::pipeline::plan::Plan;
use vivremotion::settings::{self, Environment, Settings};
use vivremotion::stage::http::Http;
use vivremotion::stage::{StageKind, Wiring};
use vivremotion::stream::memory::Memory;
use vivremotion::stream::{
    Guarantee, Log, OnCorruptProgress, Output, Record, StreamError, Topic, TopicPartition, header,
};

use super::away::Away;

/// The held clock's start: 2026-11-22T00:00:00Z.
pub const START: i64 = 1_795_305_600_000;

/// Longest wait, by the held clock.
const LONGEST: Duration = Duration::from_secs(48 * 3_600);

/// Pipelines at work. The first is called `test`; it reads `in` and writes `out`.
pub struct Driver {
    pub log: Memory,
    pub outages: Outages,
    pub codecs: Arc<Codecs>,
    /// Joins that the log will fail, since it is away.
    pub away: Arc<AtomicUsize>,
    lines: Vec<Arc<Line>>,
    working: Working,
    clock: Arc<dyn Clock>,
    stop: watch::Sender<bool>,
    member: JoinHandle<Result<(), StreamError>>,
}

struct Nothing;

impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
    fn file(&self, path: &str) -> Result<String, String> {
        Err(format!("no file `{path}`"))
    }
}

/// Settings from a text.
pub fn settings(text: &str) -> Settings {
    settings::read("vivremotion.yaml", &format!("vivremotion: 1\n{text}"), &Nothing)
        .unwrap_or_else(|e| panic!("{e}"))
}

impl Driver {
    /// A pipeline over a topic with that many partitions. `more` are models beside those of the settings.
    pub async fn with(
        settings_text: &str,
        pipeline: &str,
        partitions: i32,
        bounds: Bounds,
        more: Vec<(&str, Arc<dyn Model>)>,
    ) -> Driver {
        Driver::many(settings_text, &[("test", pipeline)], partitions, bounds, more).await
    }

    /// Several pipelines in one engine, by name, each over topics with that many partitions.
    pub async fn many(
        settings_text: &str,
        pipelines: &[(&str, &str)],
        partitions: i32,
        bounds: Bounds,
        more: Vec<(&str, Arc<dyn Model>)>,
    ) -> Driver {
        let settings = settings(settings_text);
        let clock: Arc<dyn Clock> = Arc::new(HeldClock::new(START, 7));
        let log = Memory::new(Arc::clone(&clock));
        let mut known = known(&settings);
        for (name, _) in &more {
            known.models.insert((*name).into(), true);
        }
        let plan = |(name, pipeline): &(&str, &str)| {
            let text = format!("vivremotion: 1\npipeline: {name}\n{pipeline}");
            let (checked, found) = check(&"test.yaml".into(), PathBuf::new(), &text, &known);
            checked.unwrap_or_else(|| panic!("{found}")).plan
        };
        let plans: Vec<Plan<StageKind>> = pipelines.iter().map(plan).collect();
        let needs = topics::needs(&plans);
        let large = |plan: &Plan<StageKind>| Topic {
            name: Arc::clone(&plan.source.topic),
            partitions,
            config: vec![("max.message.bytes".to_owned(), (8 << 20).to_string())],
        };
        log.create(&plans.iter().map(large).collect::<Vec<_>>()).await.unwrap();
        // Inputs share the journal's one.
        let count = |name: &str| if name.ends_with(".journal") { 1 } else { partitions };
        topics::create(&log, &needs, |name| Some(count(name))).await.unwrap();
        let formats = settings.topics.iter().map(|(name, topic)| (Arc::clone(name), topic.value));
        let codecs = Arc::new(Codecs::new(Arc::new(Embedded::in_memory().unwrap()), formats));
        assert!(topics::schemas(&codecs, &needs, true).await.unwrap().is_empty());
        let asked: BTreeSet<Arc<str>> = plans
            .iter()
            .flat_map(|plan| &plan.stages)
            .flat_map(|stage| stage.kind.facts().models)
            .collect();
        let mut models = models::build(&settings, &asked, &clock).unwrap();
        let journaled = |model| Arc::new(Journaled(model)) as Arc<dyn Model>;
        models.extend(more.into_iter().map(|(name, model)| (name.into(), journaled(model))));
        let outages = Outages::default();
        let shared = Shared {
            cluster: "test".into(),
            codecs: Arc::clone(&codecs),
            wiring: Wiring {
                models,
                collections: Arc::default(),
                http: Http::new(Arc::clone(&clock)),
            },
            clock: Arc::clone(&clock),
            outages: outages.clone(),
            currency: "USD".into(),
            catalogue: settings.prices.catalogue.clone(),
            partitions: needs
                .iter()
                .map(|need| (Arc::clone(&need.name), count(&need.name)))
                .collect(),
        };
        let account =
            |name, limit| Arc::new(Mutex::new(Account::daily(name, limit, Money::ZERO, START)));
        let engine = settings.per_day.map(|limit| account(ENGINE_PER_DAY, limit));
        let line = |plan: Plan<StageKind>| {
            let own = plan.budget.per_day.map(|limit| account("per_day", limit));
            let accounts = own.into_iter().chain(engine.clone()).collect();
            let budgets = Budgets { per_event: plan.budget.per_event, accounts };
            let wallet = Arc::new(Wallet::new(budgets, "USD".into(), Arc::clone(&clock)));
            let purses = Box::new(move || Arc::new(wallet.event()) as Arc<dyn Purse>);
            Arc::new(line(&shared, plan, Expressions::default(), purses).unwrap())
        };
        let lines = plans.into_iter().map(line).collect();
        let working = Working {
            instance: "one".into(),
            guarantee: Guarantee::ExactlyOnce,
            on_corrupt_progress: OnCorruptProgress::Fail,
            crash_loop: settings.engine.crash_loop,
            strict_intents: settings.engine.strict_intents,
            bounds,
            limits: Limits::default(),
            bounded: false,
        };
        let (stop, _) = watch::channel(false);
        let mut driver = Driver {
            log,
            outages,
            codecs,
            away: Arc::default(),
            lines,
            working,
            clock,
            stop,
            member: tokio::spawn(async { Ok(()) }),
        };
        driver.start();
        driver
    }

    /// The usual case: one partition, default bounds.
    pub async fn new(settings: &str, pipeline: &str) -> Driver {
        Driver::with(settings, pipeline, 1, Bounds::default(), Vec::new()).await
    }

    fn start(&mut self) {
        let (stop, stopped) = watch::channel(false);
        self.stop = stop;
        let log = Away { log: self.log.clone(), joins: Arc::clone(&self.away) };
        let log: Arc<dyn Log> = Arc::new(log);
        let (lines, working) = (self.lines.clone(), self.working.clone());
        let (clock, outages) = (Arc::clone(&self.clock), self.outages.clone());
        self.member = tokio::spawn(async move {
            let workers = Arc::new(Workers::here());
            work(&log, lines, &working, &clock, &outages, &workers, stopped).await
        });
    }

    /// The process dies: nothing is finished, nothing is told. Then it starts again.
    pub async fn crash(&mut self) {
        self.member.abort();
        drop((&mut self.member).await);
        self.log.restart();
        self.start();
    }

    /// Asks it to stop, and waits until it has.
    pub async fn stop(&mut self) {
        self.stop.send_replace(true);
        (&mut self.member).await.unwrap().unwrap();
        self.member = tokio::spawn(async { Ok(()) });
    }

    /// Waits until the member has left by itself, and says why.
    pub async fn ended(&mut self) -> Result<(), StreamError> {
        (&mut self.member).await.unwrap()
    }

    /// Writes an event.
    pub async fn pipe(&self, key: Option<&str>, value: Value) {
        self.pipe_raw(key, Some(value.to_string().into_bytes()), Vec::new()).await;
    }

    /// Writes a record.
    pub async fn pipe_raw(
        &self,
        key: Option<&str>,
        value: Option<Vec<u8>>,
        headers: Vec<(&str, &str)>,
    ) {
        self.pipe_to("in", key, value, headers).await;
    }

    /// Writes a record to any topic.
    pub async fn pipe_to(
        &self,
        topic: &str,
        key: Option<&str>,
        value: Option<Vec<u8>>,
        headers: Vec<(&str, &str)>,
    ) {
        let header =
            |(name, value): (&str, &str)| (name.to_owned().into(), Some(value.to_owned().into()));
        let output = Output {
            topic: topic.into(),
            partition: None,
            key: key.map(|key| key.to_owned().into()),
            value: value.map(Into::into),
            headers: headers.into_iter().map(header).collect(),
            timestamp: None,
        };
        self.log.send(vec![output]).await.unwrap();
    }

    /// Lets time pass, by the held clock.
    pub async fn advance(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Waits, under the held clock, until a topic holds that many records.
    pub async fn read(&self, topic: &str, records: usize) -> Vec<Record> {
        let mut step = Duration::from_millis(1);
        let enough = async {
            loop {
                let found = self.log.records(topic);
                if found.len() >= records {
                    return found;
                }
                held(&mut step).await;
            }
        };
        let found = tokio::time::timeout(LONGEST, enough).await;
        found.unwrap_or_else(|_| panic!("{:?} in {topic}", self.log.records(topic)))
    }

    /// The same, as values.
    pub async fn values(&self, topic: &str, records: usize) -> Vec<Value> {
        self.read(topic, records).await.iter().map(value).collect()
    }

    /// Results.
    pub async fn results(&self, records: usize) -> Vec<Value> {
        self.values("out", records).await
    }

    /// Dead letters.
    pub async fn dead_letters(&self, records: usize) -> Vec<Record> {
        self.read("in.test.dlq", records).await
    }

    /// Cost events written so far.
    pub fn costs(&self) -> Vec<Value> {
        self.log.records("vivremotion.costs").iter().map(value).collect()
    }

    /// The journal so far.
    pub fn journal(&self) -> Vec<Entry> {
        let records = self.log.records("vivremotion.test.journal");
        records.iter().flat_map(|record| read(record).unwrap()).collect()
    }

    /// Waits until everything in the source is committed.
    pub async fn settled(&self) {
        let mut step = Duration::from_millis(1);
        let settled = async {
            loop {
                let extents = self.log.extents("in").await.unwrap();
                let committed = self.log.committed("vivremotion.test", "in").await.unwrap();
                let done: HashMap<i32, i64> =
                    committed.into_iter().map(|(partition, p)| (partition, p.base)).collect();
                let behind = |at: &TopicPartition, high: i64| {
                    high > 0 && done.get(&at.partition).copied().unwrap_or(0) < high
                };
                if !extents.iter().any(|extent| behind(&extent.at, extent.high)) {
                    return;
                }
                held(&mut step).await;
            }
        };
        tokio::time::timeout(LONGEST, settled).await.unwrap();
    }
}

/// Lets the held clock go on, in steps that grow: a wait of a day is some thousand of them.
async fn held(step: &mut Duration) {
    tokio::time::sleep(*step).await;
    *step = (*step * 11 / 10).min(Duration::from_secs(10));
}

/// A record's value as JSON.
pub fn value(record: &Record) -> Value {
    serde_json::from_slice(record.value.as_ref().unwrap()).unwrap()
}

/// A header as text.
pub fn text_header(record: &Record, name: &str) -> String {
    let value = header(&record.headers, name).unwrap_or_else(|| panic!("no header `{name}`"));
    String::from_utf8(value.to_vec()).unwrap()
}
