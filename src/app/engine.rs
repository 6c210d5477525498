//! A whole engine: from settings and checked plans to members that work.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::backlog::{self, Backlog};
use super::connect::{self, ConnectError, patiently};
use super::groups::{Working, work};
use super::instance::Instance;
use super::lines::{Shared, line};
use super::spent::{self, Spent};
use super::topics::{self, Need};
use super::{known, models};
use crate::base::clock::{Clock, SystemClock};
use crate::base::diagnostic::Diagnostics;
use crate::budget::{Account, Limits as Budgets, Wallet};
use crate::codec::Codecs;
use crate::context::memory::shelf::Collections;
use crate::event::money::Money;
use crate::flow::Line;
use crate::flow::identity::Expressions;
use crate::flow::member::Bounds;
use crate::flow::outage::Outages;
use crate::flow::outbox::Limits;
use crate::flow::workers::Workers;
use crate::model::Purse;
use crate::pipeline::load::Loaded;
use crate::pipeline::plan::Plan;
use crate::settings::{LogSettings, Settings};
use crate::stage::http::Http;
use crate::stage::{StageKind, Wiring};
use crate::stream::{Guarantee, Log};
use crate::telemetry::serve::serve;

/// What a start is asked for.
#[derive(Debug, Clone)]
pub struct Order {
    /// Pipeline files and folders.
    pub files: Vec<PathBuf>,
    /// Make topics, schemas and collections that are missing.
    pub create: bool,
    /// Leave at the end as it is now.
    pub bounded: bool,
    /// Serve metrics and probes.
    pub serve: bool,
}

/// Why an engine does not start.
#[derive(Debug)]
pub enum StartError {
    /// Pipelines do not fit the schemas of their topics.
    Checked(Diagnostics),
    /// Something is missing or refused; all of it, one a line.
    Refused(String),
}

impl std::convert::From<ConnectError> for StartError {
    fn from(error: ConnectError) -> Self {
        StartError::Refused(error.message)
    }
}

impl std::convert::From<crate::stream::StreamError> for StartError {
    fn from(error: crate::stream::StreamError) -> Self {
        StartError::Refused(error.message)
    }
}

/// An engine whose services are connected.
pub struct Engine {
    /// The settings.
    pub settings: Arc<Settings>,
    /// The log.
    pub log: Arc<dyn Log>,
    /// Codecs by topic.
    pub codecs: Arc<Codecs>,
    /// Memory.
    pub collections: Arc<Collections>,
    /// The checked plans.
    pub plans: Vec<Plan<StageKind>>,
    /// Topics that were made.
    pub made: Vec<Arc<str>>,
    /// What waits for each pipeline.
    pub backlogs: Vec<(Arc<str>, Backlog)>,
    /// What is down.
    pub outages: Outages,
    /// Where probes are served, when they are.
    pub listening: Option<std::net::SocketAddr>,
    /// The name of this instance.
    pub instance: Instance,
    lines: Vec<Arc<Line>>,
    working: Working,
    clock: Arc<dyn Clock>,
    workers: Arc<Workers>,
    ready: Arc<Mutex<bool>>,
}

/// Connects everything. Waits, with `/ready` saying for what, for services that are not reachable yet.
pub async fn start(
    settings: Arc<Settings>,
    loaded: Loaded,
    order: &Order,
    page: Option<PrometheusHandle>,
) -> Result<Engine, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let outages = Outages::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = Workers::start(threads)
        .map_err(|error| StartError::Refused(format!("can't start threads: {error}")))?;
    let workers = Arc::new(workers);
    let ready = Arc::new(Mutex::new(false));
    let listening = match order.serve {
        true => Some(probes(&settings, page, &outages, &ready, &workers).await?),
        false => None,
    };
    let named = kafka(&settings).and_then(|kafka| kafka.instance.clone());
    let instance = Instance::take(named.as_ref(), &settings.state).map_err(StartError::Refused)?;
    let (log, cluster) = patiently(&outages, &clock, log_name(&settings), async || {
        let log = connect::log(&settings, &clock).await?;
        let cluster = log.cluster().await?;
        Ok::<_, ConnectError>((log, cluster))
    })
    .await?;
    let codecs = Arc::new(connect::codecs(&settings)?);
    let plans = checked(&settings, &codecs, loaded, order, &outages, &clock).await?;
    let made = topics_there(&settings, &*log, &codecs, &plans, order, &outages, &clock).await?;
    let names: BTreeSet<Arc<str>> =
        plans.iter().flat_map(|p| &p.stages).filter_map(|s| s.kind.facts().collection).collect();
    let asked: BTreeSet<Arc<str>> =
        plans.iter().flat_map(|p| &p.stages).flat_map(|s| s.kind.facts().models).collect();
    let mut wiring = Wiring {
        models: models::build(&settings, &asked, &clock)?,
        collections: Arc::default(),
        http: Http::new(Arc::clone(&clock)),
    };
    let collections = Arc::new(connect::collections(&settings, &names, &wiring).await?);
    wiring.collections = Arc::clone(&collections);
    patiently(&outages, &clock, "memory", async || collections.ensure().await).await?;
    let mut backlogs = Vec::new();
    for plan in &plans {
        // A cluster that has never had a group answers for none until it has made its own topic.
        let backlog = patiently(&outages, &clock, log_name(&settings), async || {
            backlog::of(&*log, plan).await
        });
        backlogs.push((Arc::clone(&plan.name), backlog.await?));
    }
    let wallets = wallets(&settings, &*log, &codecs, &plans, &clock).await?;
    let shared = Shared {
        cluster,
        codecs: Arc::clone(&codecs),
        wiring,
        clock: Arc::clone(&clock),
        outages: outages.clone(),
        currency: Arc::clone(&settings.currency),
        catalogue: settings.prices.catalogue.clone(),
    };
    let mut lines = Vec::new();
    for plan in &plans {
        let wallet = wallets.get(&plan.name).cloned();
        let Some(wallet) = wallet else { continue };
        let purses = Box::new(move || Arc::new(wallet.event()) as Arc<dyn Purse>);
        let identity = expressions(&settings, &plan.source.topic);
        let line = line(&shared, plan.clone(), identity, purses)
            .map_err(|error| StartError::Refused(error.to_string()))?;
        lines.push(Arc::new(line));
    }
    let working = working(&settings, &instance, order);
    Ok(Engine {
        settings,
        log,
        codecs,
        collections,
        plans,
        made,
        backlogs,
        outages,
        listening,
        instance,
        lines,
        working,
        clock,
        workers,
        ready,
    })
}

impl Engine {
    /// Works until `stop` says so, or until the end of a bounded run.
    pub async fn work(&self, stop: watch::Receiver<bool>) -> Result<(), StartError> {
        if let Ok(mut ready) = self.ready.lock() {
            *ready = true;
        }
        let lines = self.lines.clone();
        let Engine { log, working, clock, outages, workers, .. } = self;
        Ok(work(log, lines, working, clock, outages, workers, stop).await?)
    }
}

fn kafka(settings: &Settings) -> Option<&crate::settings::Kafka> {
    match &settings.log {
        LogSettings::Kafka(kafka) => Some(kafka),
        LogSettings::Local(_) => None,
    }
}

fn log_name(settings: &Settings) -> &'static str {
    if kafka(settings).is_some() { "kafka" } else { "local log" }
}

/// Serves probes and metrics from the first moment on.
async fn probes(
    settings: &Settings,
    page: Option<PrometheusHandle>,
    outages: &Outages,
    ready: &Arc<Mutex<bool>>,
    workers: &Workers,
) -> Result<std::net::SocketAddr, StartError> {
    let refused = |error: std::io::Error| {
        let listen = &settings.listen;
        StartError::Refused(format!(
            "can't listen on `{listen}` for metrics and probes: {error}; set `server.listen` to \
             another address"
        ))
    };
    let listener = std::net::TcpListener::bind(&settings.listen).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let (outages, ready) = (outages.clone(), Arc::clone(ready));
    let unready = Arc::new(move || {
        let started = ready.lock().map(|ready| *ready).unwrap_or(false);
        let mut reasons: Vec<String> =
            outages.list().iter().map(|service| format!("waiting for {service}")).collect();
        if !started && reasons.is_empty() {
            reasons.push("starting".to_owned());
        }
        reasons
    });
    workers.pick().spawn(async move {
        let served = async { serve(TcpListener::from_std(listener)?, page, unready).await };
        if let Err(error) = served.await {
            tracing::error!(%error, "metrics and probes are no longer served");
        }
    });
    Ok(address)
}

/// The plans, checked once more with the schemas of the registry where a topic has one.
async fn checked(
    settings: &Settings,
    codecs: &Codecs,
    loaded: Loaded,
    order: &Order,
    outages: &Outages,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Plan<StageKind>>, StartError> {
    if settings.topics.values().all(|topic| topic.value != crate::codec::Format::Avro) {
        return Ok(loaded.plans);
    }
    let again = patiently(outages, clock, "schema registry", async || {
        known::with_schemas(settings, codecs, &order.files).await
    });
    match again.await? {
        Ok(loaded) => Ok(loaded.plans),
        Err(wrong) => Err(StartError::Checked(wrong)),
    }
}

/// Makes sure that every topic and schema is there; says all that is missing at once.
async fn topics_there(
    settings: &Settings,
    log: &dyn Log,
    codecs: &Codecs,
    plans: &[Plan<StageKind>],
    order: &Order,
    outages: &Outages,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Arc<str>>, StartError> {
    let needs: Vec<Need> = topics::needs(plans);
    let create = order.create || kafka(settings).is_none_or(|kafka| kafka.create);
    let made = match create {
        true => {
            let partitions =
                |name: &str| settings.topics.get(name).and_then(|topic| topic.partitions);
            let made = topics::create(log, &needs, partitions).await?;
            made.into_iter().map(|topic| topic.name).collect()
        }
        false => {
            let missing = topics::missing(log, &needs).await?;
            if !missing.is_empty() {
                return Err(StartError::Refused(absent(&missing)));
            }
            Vec::new()
        }
    };
    let wrong = patiently(outages, clock, "schema registry", async || {
        match topics::schemas(codecs, &needs, create).await {
            Ok(wrong) => Ok(wrong),
            Err(error) => Err(ConnectError::from(error)),
        }
    });
    let wrong = wrong.await?;
    match wrong.is_empty() {
        true => Ok(made),
        false => Err(StartError::Refused(wrong.join("\n"))),
    }
}

fn absent(missing: &[Need]) -> String {
    let mut text = String::from("topics are missing:\n");
    for need in missing {
        let pipelines = need.pipelines.join(", ");
        text.push_str(&format!("  {} ({} of {pipelines})\n", need.name, need.role.word()));
    }
    text.push_str("make them, or set `log.kafka.create: true`");
    text
}

/// The money of each pipeline: its own limits, and the engine's.
async fn wallets(
    settings: &Settings,
    log: &dyn Log,
    codecs: &Codecs,
    plans: &[Plan<StageKind>],
    clock: &Arc<dyn Clock>,
) -> Result<HashMap<Arc<str>, Arc<Wallet>>, StartError> {
    let now = clock.now();
    let daily = settings.per_day.is_some() || plans.iter().any(|p| p.budget.per_day.is_some());
    let total = plans.iter().any(|plan| plan.budget.total.is_some());
    let spent = match plans.first().filter(|_| daily || total) {
        Some(plan) => {
            let codec = codecs.for_topic(&plan.costs);
            spent::sum(log, &plan.costs, &*codec, spent::day_of(now), total).await?
        }
        None => Spent::default(),
    };
    let shared = |account| Arc::new(Mutex::new(account));
    let engine = settings
        .per_day
        .map(|limit| shared(Account::daily("engine.per_day", limit, spent.today(), now)));
    let wallet = |plan: &Plan<StageKind>| {
        let sums = spent.pipelines.get(&*plan.name).copied().unwrap_or_default();
        let day = |limit: Money| shared(Account::daily("per_day", limit, sums.today, now));
        let ever = |limit: Money| shared(Account::total("total", limit, sums.total));
        let accounts = plan.budget.per_day.map(day).into_iter();
        let accounts = accounts.chain(plan.budget.total.map(ever)).chain(engine.clone());
        let limits = Budgets { per_event: plan.budget.per_event, accounts: accounts.collect() };
        Arc::new(Wallet::new(limits, Arc::clone(&settings.currency), Arc::clone(clock)))
    };
    Ok(plans.iter().map(|plan| (Arc::clone(&plan.name), wallet(plan))).collect())
}

fn expressions(settings: &Settings, topic: &str) -> Expressions {
    let Some(topic) = settings.topics.get(topic) else { return Expressions::default() };
    let identity = topic.identity.clone();
    Expressions {
        request_id: identity.request_id,
        tenant: identity.tenant,
        user: identity.user,
        session: identity.session,
    }
}

fn working(settings: &Settings, instance: &Instance, order: &Order) -> Working {
    let (guarantee, interval) = match kafka(settings) {
        Some(kafka) => (kafka.guarantee, kafka.commit_interval),
        // A commit of the file costs a disk write, no round trips: little is gained by waiting for company.
        None => (Guarantee::ExactlyOnce, Duration::from_millis(2)),
    };
    Working {
        instance: Arc::clone(&instance.name),
        guarantee,
        on_corrupt_progress: settings.engine.on_corrupt_progress,
        bounds: Bounds {
            permits: settings.engine.permits,
            drain: settings.engine.drain,
            ..Bounds::default()
        },
        limits: Limits { interval, ..Limits::default() },
        bounded: order.bounded,
    }
}
