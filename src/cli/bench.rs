//! `bench`: what a pipeline costs and how fast it is.

use std::ffi::OsString;
use std::io::Read;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::run::{failure, print_warnings};
use super::tail::duration;
use super::verify::{bar, telling};
use super::{Common, Failure, Format, Outcome, print, runtime};
use crate::app::bench::process::Process;
use crate::app::bench::rehearsal::{apart, lend_schemas, rename, simulate};
use crate::app::bench::{Desk, Order, measure};
use crate::app::connect::{self, ConnectError};
use crate::app::engine::{self, start};
use crate::app::known::known;
use crate::base::clock::{Clock, SystemClock};
use crate::pipeline::load::{Loaded, load};
use crate::pipeline::plan::Plan;
use crate::pipeline::samples::{Sample, Samples, read_events};
use crate::settings::{LogSettings, Settings};
use crate::stage::StageKind;
use crate::telemetry::init::metrics;

/// Measure what a pipeline costs and how fast it is, on its own log.
///
/// Runs the pipeline in a process of its own over topics and a group of its own (their names end in `.bench`), sends it
/// events at fixed moments, and reports events a second, latency from the moment an event was due until its result is
/// readable, CPU and memory of the engine, commits, bytes and where the time went. Models are simulated and free unless
/// --real. Stages that write elsewhere (`call`, `publish`, `remember`, `forget`) do so: measure them with settings of a
/// test environment.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  vivremotion bench pipelines/support-triage.yaml --rate 200 --duration 30s\n  vivremotion bench pipelines/support-triage.yaml --in-flight 1000 --format json"
)]
pub struct Args {
    /// The pipeline
    pub pipeline: PathBuf,
    /// Events to send again and again, each time under keys of its own: one JSON object a line with topic, value, and
    /// perhaps key and headers; those of samples.yaml beside the pipeline when not given
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Events a second; as many as are answered when not given
    #[arg(long, value_name = "N", conflicts_with = "in_flight")]
    pub rate: Option<f64>,
    /// Events that wait for their answer at a time, without --rate
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub in_flight: usize,
    /// How long to measure
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    pub duration: Duration,
    /// How long to run before that
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s")]
    pub warm_up: Duration,
    /// What a call of a simulated model takes
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "200ms")]
    pub takes: Duration,
    /// Ask the models of the settings, and pay them
    #[arg(long, conflicts_with = "takes")]
    pub real: bool,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// The engine's side of it: serves its metrics there, and ends when its standard input does.
    #[arg(long, hide = true, value_name = "ADDRESS")]
    pub engine_at: Option<String>,
    /// What most verbs take.
    #[command(flatten)]
    pub common: Common,
}

/// Runs the verb.
pub fn run(args: Args) -> Outcome {
    if args.rate.is_some_and(|rate| rate.is_nan() || rate <= 0.0) || args.in_flight == 0 {
        return Err(Failure::Usage("`--rate` and `--in-flight` are more than 0".to_owned()));
    }
    let mut settings = args.common.open()?;
    let files = vec![args.pipeline.clone()];
    let loaded = load(&files, &known(&settings)).map_err(|wrong| print::wrong(&wrong))?;
    let [plan] = loaded.plans.as_slice() else {
        let pipelines = loaded.plans.len();
        let message =
            format!("`{}` holds {pipelines} pipelines, name one", args.pipeline.display());
        return Err(Failure::Usage(message));
    };
    apart(&mut settings, plan);
    if !args.real {
        simulate(&mut settings, plan, args.takes);
    }
    match args.engine_at.clone() {
        Some(address) => {
            settings.listen = address;
            runtime()?.block_on(serve(Arc::new(settings), loaded, files))
        }
        None => {
            print_warnings(&settings.warnings);
            let events = events(&args, &plan.source.topic)?;
            let mut plan = plan.clone();
            rename(&mut plan);
            runtime()?.block_on(compare(&args, &settings, &plan, &events))
        }
    }
}

/// The events of a file, whichever topic they name, or those of the samples that are for the pipeline.
fn events(args: &Args, topic: &str) -> Result<Vec<Sample>, Failure> {
    if let Some(file) = &args.events {
        let events = read_events(file).map_err(Failure::Usage)?;
        let empty = || Failure::Usage(format!("`{}` holds no events", file.display()));
        return if events.is_empty() { Err(empty()) } else { Ok(events) };
    }
    let list = args.pipeline.with_file_name("samples.yaml");
    let mut events = Vec::new();
    if list.exists() {
        let samples = Samples::load(&list).map_err(|wrong| print::wrong(&wrong))?;
        for file in &samples.events {
            events.extend(read_events(file).map_err(Failure::Usage)?);
        }
    }
    events.retain(|event| *event.topic == *topic);
    match events.is_empty() {
        false => Ok(events),
        true => Err(Failure::Usage(format!(
            "no samples for topic `{topic}` beside the pipeline: give a file of events with `--events`"
        ))),
    }
}

/// The engine's side.
async fn serve(settings: Arc<Settings>, loaded: Loaded, files: Vec<PathBuf>) -> Outcome {
    let page = metrics().map_err(Failure::Runtime)?;
    let order = engine::Order { files, create: true, bounded: false, serve: true, apart: true };
    let engine = start(settings, loaded, &order, Some(page)).await.map_err(|e| failure(&e))?;
    let (leave, left) = watch::channel(false);
    // It ends with the process, if not before.
    let _asked = std::thread::spawn(move || {
        let mut nothing = [0_u8; 64];
        let mut input = std::io::stdin();
        while input.read(&mut nothing).is_ok_and(|read| read > 0) {}
        leave.send_replace(true);
    });
    engine.work(left).await.map_err(|error| failure(&error))
}

/// The side that sends and reads.
async fn compare(
    args: &Args,
    settings: &Settings,
    plan: &Plan<StageKind>,
    events: &[Sample],
) -> Outcome {
    if let LogSettings::Local(_) = &settings.log {
        // Of an earlier measurement.
        drop(std::fs::remove_dir_all(&settings.state));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let failed = |error: ConnectError| Failure::Runtime(error.message);
    let codecs = connect::codecs(settings).map_err(failed)?;
    let lent = lend_schemas(&codecs, plan).await;
    lent.map_err(|error| Failure::Runtime(error.message))?;
    let mut process = engine().await?;
    // Now the topics are there.
    let log = connect::log(settings, &clock).await.map_err(failed)?;
    let order = Order {
        rate: args.rate,
        duration: args.duration,
        warm_up: args.warm_up,
        in_flight: args.in_flight,
    };
    let bar = bar("seconds");
    let desk = Desk { log: &log, codecs: &codecs, clock: &clock, plan };
    let report = measure(&desk, &mut process, &order, events, telling(&bar)).await;
    bar.finish_and_clear();
    process.leave().await;
    let report = report.map_err(Failure::Runtime)?;
    print::line(match args.format {
        Format::Json => serde_json::to_string(&report).unwrap_or_default(),
        Format::Text => report.to_string(),
    })
}

/// This program again, as the engine.
async fn engine() -> Result<Process, Failure> {
    let trouble = |error: std::io::Error| Failure::Runtime(error.to_string());
    let program = std::env::current_exe().map_err(trouble)?;
    let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let address = address.map_err(trouble)?.to_string();
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    arguments.extend(["--engine-at".into(), address.clone().into()]);
    Process::start(&program, arguments, address).await.map_err(Failure::Runtime)
}
