//! `tail`: reads a topic without a group.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{Common, Failure, Format, Outcome, print, runtime, show};
use crate::app::connect;
use crate::base::clock::{Clock, SystemClock, parse_time};
use crate::base::quantity::Span;
use crate::codec::Codecs;
use crate::stream::{From, Log, Record, header};

/// Longest wait inside one call: how soon a timeout is seen.
const SLICE: Duration = Duration::from_millis(200);

/// Read a topic: results with their stages, costs, dead letters, or anything else.
///
/// Only committed records are shown. With --request or --event it waits for the one record and ends.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  vivremotion tail answers --from earliest\n  vivremotion tail answers --request order-17 --timeout 30s --format json"
)]
pub struct Args {
    /// The topic
    pub topic: String,
    /// Where to begin: earliest, latest, or a time such as 2026-11-22T10:00:00Z [default: latest; earliest with --request or --event]
    #[arg(long)]
    pub from: Option<String>,
    /// Wait for the answer to the request with this id
    #[arg(long, value_name = "ID")]
    pub request: Option<String>,
    /// Wait for the answer to the event with this id
    #[arg(long, value_name = "ID")]
    pub event: Option<String>,
    /// End, with exit code 1, when nothing was found in this time
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// End after this many records
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// End when everything that is there now has been shown
    #[arg(long)]
    pub once: bool,
    /// How records are shown
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// What most verbs take.
    #[command(flatten)]
    pub common: Common,
}

/// A duration as settings write it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration: write `250ms`, `30s` or `5m`");
    Span::parse(text).map(|span| span.0).ok_or_else(wrong)
}

/// Where a reader begins.
pub fn from(text: &str) -> Result<From, Failure> {
    match text {
        "earliest" => Ok(From::Earliest),
        "latest" => Ok(From::Latest),
        time => parse_time(time).map(From::Time).ok_or_else(|| {
            let usage = format!("`{time}` is no place to begin: write earliest, latest or a time");
            Failure::Usage(usage)
        }),
    }
}

/// Runs the verb.
pub fn run(args: Args) -> Outcome {
    let settings = args.common.open()?;
    let wanted = args.request.is_some() || args.event.is_some();
    let default = if wanted { "earliest" } else { "latest" };
    let from = from(args.from.as_deref().unwrap_or(default))?;
    runtime()?.block_on(async {
        let clock: std::sync::Arc<dyn Clock> = std::sync::Arc::new(SystemClock);
        let failed = |error: connect::ConnectError| Failure::Runtime(error.message);
        let log = connect::log(&settings, &clock).await.map_err(failed)?;
        let codecs = connect::codecs(&settings).map_err(failed)?;
        read(&*log, &codecs, &args, from).await
    })
}

async fn read(log: &dyn Log, codecs: &Codecs, args: &Args, from: From) -> Outcome {
    let runtime = |error: crate::stream::StreamError| Failure::Runtime(error.message);
    let mut follower = log.follow(&args.topic, from).await.map_err(runtime)?;
    let until = args.timeout.map(|timeout| Instant::now() + timeout);
    let wanted = args.request.is_some() || args.event.is_some();
    let mut shown = 0;
    loop {
        for record in follower.next(SLICE).await.map_err(runtime)? {
            if !matches(args, &record) {
                continue;
            }
            print::line(render(codecs, &record, args.format).await)?;
            shown += 1;
            if wanted || args.limit.is_some_and(|limit| shown >= limit) {
                return Ok(());
            }
        }
        if args.once && follower.caught_up() {
            return Ok(());
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            let message = format!("nothing more came to `{}` in time", args.topic);
            return Err(Failure::Runtime(message));
        }
    }
}

fn matches(args: &Args, record: &Record) -> bool {
    let is = |name: &str, wanted: &Option<String>| {
        let value = header(&record.headers, name);
        wanted.as_ref().is_none_or(|wanted| value.is_some_and(|v| **v == *wanted.as_bytes()))
    };
    is("vivremotion.request_id", &args.request) && is("vivremotion.event_id", &args.event)
}

/// A record as it is shown. A value that its codec can't read is shown as text.
pub async fn render(codecs: &Codecs, record: &Record, format: Format) -> String {
    let value = match &record.value {
        None => None,
        Some(bytes) => Some(match codecs.for_topic(&record.at.topic).decode(bytes).await {
            Ok(value) => value,
            Err(_) => Value::from(String::from_utf8_lossy(bytes).into_owned()),
        }),
    };
    match format {
        Format::Json => show::as_json(record, value).to_string(),
        Format::Text => show::as_text(record, value.as_ref()),
    }
}
