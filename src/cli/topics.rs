//! `topics`: what is there, and making what pipelines need.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use super::{Common, Failure, Format, Outcome, print, runtime};
use crate::app::connect;
use crate::app::known::known;
use crate::app::topics::{create, needs};
use crate::base::clock::{Clock, SystemClock};
use crate::pipeline::load::load;
use crate::settings::Settings;
use crate::stream::{Log, StreamError};

/// List the topics that are there, or make those that pipelines need.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  vivremotion topics\n  vivremotion topics --create pipelines/")]
pub struct Args {
    /// Make the topics that these pipelines need and that are not there
    #[arg(long, value_name = "FILES", num_args = 1..)]
    pub create: Vec<PathBuf>,
    /// How they are shown
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// What most verbs take.
    #[command(flatten)]
    pub common: Common,
}

/// Runs the verb.
pub fn run(args: Args) -> Outcome {
    let settings = args.common.open()?;
    runtime()?.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let log = connect::log(&settings, &clock).await;
        let log = log.map_err(|error| Failure::Runtime(error.message))?;
        let stream = |error: StreamError| Failure::Runtime(error.message);
        if !args.create.is_empty() {
            make(&*log, &settings, &args.create).await?;
        }
        list(&*log, args.format).await?.map_err(stream)
    })
}

async fn make(log: &dyn Log, settings: &Settings, files: &[PathBuf]) -> Outcome {
    let loaded = load(files, &known(settings)).map_err(|wrong| print::wrong(&wrong))?;
    let partitions = |name: &str| settings.topics.get(name).and_then(|topic| topic.partitions);
    let made = create(log, &needs(&loaded.plans), partitions).await;
    for topic in made.map_err(|error| Failure::Runtime(error.message))? {
        print::note(format!("made topic {}, partitions: {}", topic.name, topic.partitions));
    }
    Ok(())
}

async fn list(log: &dyn Log, format: Format) -> Result<Result<(), StreamError>, Failure> {
    let topics = match log.topics().await {
        Ok(topics) => topics,
        Err(error) => return Ok(Err(error)),
    };
    for topic in topics {
        let extents = match log.extents(&topic.name).await {
            Ok(extents) => extents,
            Err(error) => return Ok(Err(error)),
        };
        let records: i64 = extents.iter().map(|extent| extent.high - extent.low).sum();
        print::line(match format {
            Format::Json => json!({
                "topic": &*topic.name, "partitions": topic.partitions, "records": records,
            })
            .to_string(),
            Format::Text => {
                let word = if topic.partitions == 1 { "partition " } else { "partitions" };
                format!("{:<40} {:>4} {word} {records:>10} records", topic.name, topic.partitions)
            }
        })?;
    }
    Ok(Ok(()))
}
