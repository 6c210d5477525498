//! A whole engine: from settings and checked plans to members that work.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::backlog::{self, Backlog};
use super::bench::rehearsal::rename;
use super::connect::{self, ConnectError, patiently};
use super::groups::{Working, work};
use super::instance::Instance;
use super::lines::{Shared, line};
use super::promises::{self, Site};
use super::{models, money};
use crate::base::clock::{Clock, SystemClock};
use crate::base::diagnostic::Diagnostics;
use crate::codec::Codecs;
use crate::context::memory::shelf::Collections;
use crate::flow::Line;
use crate::flow::identity::Expressions;
use crate::flow::member::Bounds;
use crate::flow::outage::Outages;
use crate::flow::outbox::Limits;
use crate::flow::workers::Workers;
use crate::model::Purse;
use crate::pipeline::load::Loaded;
use crate::pipeline::plan::Plan;
use crate::settings::Settings;
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
    /// Run them over topics and groups of their own, to be measured.
    pub apart: bool,
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
    let named = settings.kafka().and_then(|kafka| kafka.instance.clone());
    let instance = Instance::take(named.as_ref(), &settings.state).map_err(StartError::Refused)?;
    let (log, cluster) = patiently(&outages, &clock, log_name(&settings), async || {
        let log = connect::log(&settings, &clock).await?;
        let cluster = log.cluster().await?;
        Ok::<_, ConnectError>((log, cluster))
    })
    .await?;
    let codecs = Arc::new(connect::codecs(&settings)?);
    let site = Site { settings: &settings, codecs: &codecs, outages: &outages, clock: &clock };
    let mut plans = promises::checked(&site, loaded, &order.files).await?;
    if order.apart {
        plans.iter_mut().for_each(rename);
    }
    let topics = promises::there(&site, &log, &plans, order.create).await?;
    promises::kept(&settings, &cluster).await?;
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
    // A cluster that has never had a group answers for none until it has made its own topic.
    let backlogs = patiently(&outages, &clock, log_name(&settings), async || {
        backlog::of_all(&*log, &plans, &settings, clock.now()).await
    });
    let backlogs = backlogs.await?;
    let wallets = patiently(&outages, &clock, log_name(&settings), async || {
        money::wallets(&site, &*log, &plans).await
    });
    let wallets = wallets.await?;
    let shared = Shared {
        cluster,
        codecs: Arc::clone(&codecs),
        wiring,
        clock: Arc::clone(&clock),
        outages: outages.clone(),
        currency: Arc::clone(&settings.currency),
        catalogue: settings.prices.catalogue.clone(),
        partitions: topics.partitions,
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
        made: topics.made,
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

fn log_name(settings: &Settings) -> &'static str {
    if settings.kafka().is_some() { "kafka" } else { "local log" }
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
        let mut reasons: Vec<String> = outages.list().iter().map(ToString::to_string).collect();
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

/// The identity expressions of a topic.
pub(super) fn expressions(settings: &Settings, topic: &str) -> Expressions {
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
    let guarantee = settings.kafka().map_or(Guarantee::ExactlyOnce, |kafka| kafka.guarantee);
    Working {
        instance: Arc::clone(&instance.name),
        guarantee,
        on_corrupt_progress: settings.engine.on_corrupt_progress,
        crash_loop: settings.engine.crash_loop,
        strict_intents: settings.engine.strict_intents,
        bounds: Bounds {
            permits: settings.engine.permits,
            drain: settings.engine.drain,
            ..Bounds::default()
        },
        limits: Limits { interval: settings.commit_interval(), ..Limits::default() },
        bounded: order.bounded,
    }
}
