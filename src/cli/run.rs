//! `run`: pipelines until told to stop, or to the end as it is now.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Common, Failure, Outcome, print, runtime, signals};
use crate::app::engine::{Engine, Order, StartError, start};
use crate::app::known::known;
use crate::pipeline::load::{Loaded, load};
use crate::settings::Settings;
use crate::telemetry::init::metrics;

/// Run pipelines until told to stop.
///
/// The first SIGINT or SIGTERM lets running events finish (`engine.drain`), a second one stops at once. To scale out,
/// start more instances with the same settings.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  vivremotion run --settings vivremotion.yaml pipelines/")]
pub struct Args {
    /// Pipeline files, or folders of them
    #[arg(default_value = "pipelines")]
    pub files: Vec<PathBuf>,
    /// Stop, with exit code 0, at the end of the topics as it is now
    #[arg(long)]
    pub bounded: bool,
    /// What most verbs take.
    #[command(flatten)]
    pub common: Common,
}

/// Runs the verb.
pub fn run(args: Args) -> Outcome {
    let settings = Arc::new(args.common.open()?);
    print_warnings(&settings.warnings);
    let loaded = load(&args.files, &known(&settings)).map_err(|wrong| print::wrong(&wrong))?;
    print_warnings(&loaded.warnings);
    let order = Order {
        files: args.files,
        create: false,
        bounded: args.bounded,
        serve: true,
        apart: false,
    };
    runtime()?.block_on(work(settings, loaded, order))
}

async fn work(settings: Arc<Settings>, loaded: Loaded, order: Order) -> Outcome {
    let trouble = |error: std::io::Error| Failure::Runtime(error.to_string());
    let mut stop = signals::stop().map_err(trouble)?;
    let page = metrics().map_err(Failure::Runtime)?;
    let mut asked = stop.clone();
    let engine = tokio::select! {
        engine = start(settings, loaded, &order, Some(page)) => engine.map_err(|e| failure(&e))?,
        _ = asked.wait_for(|stop| *stop) => return Ok(()),
    };
    tell(&engine);
    stop.mark_unchanged();
    engine.work(stop).await.map_err(|error| failure(&error))
}

/// What a start found: who it is, what waits, where to look.
fn tell(engine: &Engine) {
    let name = &engine.instance.name;
    print::note(format!("instance {name} on the {} log", engine.log.name()));
    if let Some(address) = engine.listening {
        print::note(format!("metrics and probes on http://{address}"));
    }
    for topic in &engine.made {
        print::note(format!("made topic {topic}"));
    }
    for (plan, (pipeline, backlog)) in engine.plans.iter().zip(&engine.backlogs) {
        print::note(format!("{pipeline}: {backlog}"));
        if plan.budget.per_day.is_none() && engine.settings.per_day.is_none() {
            print::note(format!("{pipeline}: no `budget.per_day` limits what it may spend"));
        }
    }
}

/// As the failure of a verb.
pub fn failure(error: &StartError) -> Failure {
    match error {
        StartError::Checked(wrong) => print::wrong(wrong),
        StartError::Refused(message) => Failure::Runtime(message.clone()),
    }
}

/// Warnings of files, if there are any.
pub fn print_warnings(warnings: &crate::base::diagnostic::Diagnostics) {
    let text = warnings.to_string();
    if !text.trim().is_empty() {
        print::note(text.trim_end());
    }
}
