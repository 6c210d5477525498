//! `send`: writes events, and waits for the answer when asked to.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use super::tail::{duration, render};
use super::{Common, Failure, Format, Outcome, print, runtime};
use crate::app::connect;
use crate::app::known::known;
use crate::base::clock::{Clock, SystemClock};
use crate::codec::Codecs;
use crate::pipeline::load::load;
use crate::settings::Settings;
use crate::stream::{Follower, From, Headers, Output, Record, header};

/// CloudEvents source and type of what is sent.
const SOURCE: &str = "vivremotion/send";
const KIND: &str = "vivremotion.request";

/// Write an event to a topic.
///
/// The value is JSON for topics with JSON or Avro values (it is encoded with the schema in the registry), and taken as it
/// is for text. Without VALUE and --file it is read from standard input.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  vivremotion send tickets '{\"text\": \"Where is my invoice?\"}' --key c-17 --wait\n  vivremotion send tickets --file ticket.json"
)]
pub struct Args {
    /// The topic
    pub topic: String,
    /// The value
    pub value: Option<String>,
    /// Read the value from a file
    #[arg(long, value_name = "FILE", conflicts_with = "value")]
    pub file: Option<PathBuf>,
    /// Key of the record: events of one key are processed in order
    #[arg(long)]
    pub key: Option<String>,
    /// A header, as name=value; may be given several times
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = pair)]
    pub headers: Vec<(String, String)>,
    /// Id of the request, to find its answer by; drawn when not given
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Wait for the answer and print it
    #[arg(long)]
    pub wait: bool,
    /// Where the answer comes; found out from the pipelines that read the topic when not given
    #[arg(long, value_name = "TOPIC")]
    pub answers: Vec<String>,
    /// Pipelines to find that out from
    #[arg(long, value_name = "FILES", default_value = "pipelines")]
    pub pipelines: Vec<PathBuf>,
    /// Give up waiting, with exit code 1, after this time
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub timeout: Duration,
    /// How the answer is shown
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// What most verbs take.
    #[command(flatten)]
    pub common: Common,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// Runs the verb.
pub fn run(args: Args) -> Outcome {
    let settings = args.common.open()?;
    let text = value(&args)?;
    let answers = match args.wait {
        true => answers(&args, &settings)?,
        false => Vec::new(),
    };
    runtime()?.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let failed = |error: connect::ConnectError| Failure::Runtime(error.message);
        let log = connect::log(&settings, &clock).await.map_err(failed)?;
        let codecs = connect::codecs(&settings).map_err(failed)?;
        let id = args.id.clone().unwrap_or_else(|| format!("{:032x}", clock.draw()));
        let output = output(&args, &codecs, &text, &id).await?;
        let stream = |error: crate::stream::StreamError| Failure::Runtime(error.message);
        let mut followers = Vec::new();
        for topic in &answers {
            followers.push(log.follow(topic, From::Latest).await.map_err(stream)?);
        }
        log.send(vec![output]).await.map_err(stream)?;
        if followers.is_empty() {
            let written = serde_json::json!({ "topic": args.topic, "request_id": id });
            return match args.format {
                Format::Json => print::line(written.to_string()),
                Format::Text => print::line(format!("sent to {} as request {id}", args.topic)),
            };
        }
        let answer = wait(&mut followers, &id, args.timeout).await?;
        print::line(render(&codecs, &answer, args.format).await)
    })
}

fn value(args: &Args) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::Usage(format!("can't read the value: {error}"));
    match (&args.value, &args.file) {
        (Some(value), _) => Ok(value.clone()),
        (None, Some(file)) => std::fs::read_to_string(file).map_err(failed),
        (None, None) => {
            let mut text = String::new();
            std::io::stdin().lock().read_to_string(&mut text).map_err(failed)?;
            Ok(text)
        }
    }
}

/// Where the answer will come: the sinks of the pipelines that read the topic, and their dead letters.
fn answers(args: &Args, settings: &Settings) -> Result<Vec<Arc<str>>, Failure> {
    if !args.answers.is_empty() {
        return Ok(args.answers.iter().map(|topic| topic.as_str().into()).collect());
    }
    let loaded = load(&args.pipelines, &known(settings)).map_err(|wrong| print::wrong(&wrong))?;
    let mut topics = Vec::new();
    for plan in loaded.plans.iter().filter(|plan| *plan.source.topic == *args.topic) {
        if let Some(sink) = &plan.sink {
            topics.push(Arc::clone(&sink.topic));
            topics.extend(sink.failures.clone());
        }
        topics.push(Arc::clone(&plan.dead_letters));
    }
    match topics.is_empty() {
        false => Ok(topics),
        true => Err(Failure::Usage(format!(
            "no pipeline in `{}` reads topic `{}`: name the topic of the answers with --answers",
            args.pipelines.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(" "),
            args.topic
        ))),
    }
}

async fn output(args: &Args, codecs: &Codecs, text: &str, id: &str) -> Result<Output, Failure> {
    let codec = codecs.for_topic(&args.topic);
    let value = match codec.name() {
        "text" => Value::from(text),
        _ => serde_json::from_str(text).map_err(|error| {
            let topic = &args.topic;
            Failure::Usage(format!("the value for topic `{topic}` must be JSON: {error}"))
        })?,
    };
    let bytes = match codec.encode(&value).await {
        Ok(bytes) => bytes,
        // Our own events need an identity, which this verb has to give.
        Err(error) => match codec.encode(&identified(value, id)).await {
            Ok(bytes) => bytes,
            Err(_) => return Err(Failure::Runtime(error.message)),
        },
    };
    let mut headers: Headers = vec![
        ("ce_specversion".into(), Some(Bytes::from("1.0"))),
        ("ce_id".into(), Some(Bytes::from(id.to_owned()))),
        ("ce_source".into(), Some(Bytes::from(SOURCE))),
        ("ce_type".into(), Some(Bytes::from(KIND))),
    ];
    let own = args.headers.iter().cloned();
    headers.extend(own.map(|(name, value)| (name.into(), Some(Bytes::from(value)))));
    Ok(Output {
        topic: args.topic.as_str().into(),
        partition: None,
        key: args.key.clone().map(Bytes::from),
        value: Some(bytes),
        headers,
        timestamp: None,
    })
}

/// The value with the fields that every event of ours must have, where they are missing.
fn identified(mut value: Value, id: &str) -> Value {
    if let Value::Object(fields) = &mut value {
        for (name, text) in [("id", id), ("source", SOURCE), ("type", KIND)] {
            fields.entry(name).or_insert_with(|| Value::from(text));
        }
    }
    value
}

/// The first record that answers the request.
async fn wait(
    followers: &mut [Box<dyn Follower>],
    id: &str,
    timeout: Duration,
) -> Result<Record, Failure> {
    let until = Instant::now() + timeout;
    let slice = Duration::from_millis(100);
    while Instant::now() < until {
        for follower in &mut *followers {
            let records = follower.next(slice).await.map_err(|e| Failure::Runtime(e.message))?;
            let answers = |record: &Record| {
                let request = header(&record.headers, "vivremotion.request_id");
                request.is_some_and(|request| **request == *id.as_bytes())
            };
            if let Some(record) = records.into_iter().find(answers) {
                return Ok(record);
            }
        }
    }
    Err(Failure::Runtime(format!(
        "no answer to request {id} within {timeout:?}; it may still come: \
         `vivremotion tail <topic> --request {id}`"
    )))
}
