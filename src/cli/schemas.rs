//! `schemas`: what the registry has, and putting something in.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand};
use serde_json::{Value, json};

use super::{Common, Failure, Format, Outcome};
use crate::app::connect;
use crate::codec::CodecError;
use crate::codec::avro::shipped;
use crate::codec::registry::{Registry, Verdict, Which, value_subject};

/// Bytes of a schema file.
const MAX_SCHEMA: u64 = 1 << 20;

/// List, show, check and register the schemas of topics
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
    /// For people or for programs
    #[arg(long, global = true, value_enum, default_value_t)]
    pub format: Format,
    /// What most verbs take.
    #[command(flatten)]
    pub common: Common,
}

const EXAMPLES: &str = "\
A topic stands for the subject of its values: `answers` for `answers-value`. Shipped schemas are `request`, `sensor`, \
`result` and `cost`.

  vivremotion schemas list
  vivremotion schemas show result
  vivremotion schemas check tickets --file tickets.avsc
  vivremotion schemas register answers --schema result --settings vivremotion.yaml";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// All subjects with their versions
    List,
    /// A schema: a shipped one, or that of a topic
    Show {
        /// `request`, `sensor`, `result`, `cost`, a topic, or a subject such as `tickets-value`
        name: String,
        /// A version of the subject; the newest when left out
        #[arg(long, value_name = "N")]
        version: Option<u32>,
    },
    /// Whether the registry would take a schema for a topic; exit code 1 when not
    Check(Target),
    /// Make a schema the newest of a topic
    Register(Target),
}

/// A schema for a topic.
#[derive(Debug, Group)]
pub struct Target {
    /// Topic, or subject such as `tickets-value`
    pub topic: String,
    #[command(flatten)]
    schema: Source,
}

#[derive(Debug, Group)]
#[group(required = true, multiple = false)]
struct Source {
    /// A shipped schema
    #[arg(long, value_name = "NAME", value_parser = shipped::ALL.map(|(name, _)| name))]
    schema: Option<String>,
    /// An Avro schema of your own
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Does it on standard output.
pub async fn run(args: Args) -> Outcome {
    tell(&args, &mut std::io::stdout()).await
}

/// Does it and tells `out`.
pub async fn tell(args: &Args, out: &mut (dyn Write + Send)) -> Outcome {
    if let Action::Show { name, version: None } = &args.action {
        // What ships needs no registry.
        if let Some(text) = shipped::by_name(name) {
            return say(out, text.trim_end());
        }
    }
    let settings = args.common.open()?;
    let codecs = connect::codecs(&settings).map_err(|error| Failure::Runtime(error.message))?;
    let registry = &**codecs.registry();
    match &args.action {
        Action::List => list(registry, args.format, out).await,
        Action::Show { name, version } => show(registry, name, *version, args.format, out).await,
        Action::Check(target) => check(registry, target, args.format, out).await,
        Action::Register(target) => register(registry, target, args.format, out).await,
    }
}

async fn list(registry: &dyn Registry, format: Format, out: &mut (dyn Write + Send)) -> Outcome {
    let subjects = registry.subjects().await?;
    if subjects.is_empty() && format == Format::Text {
        return say(out, &format!("the {} registry has no subjects", registry.name()));
    }
    for subject in subjects {
        let versions = registry.versions(&subject).await?;
        let latest = registry.find(&subject, Which::Latest).await?;
        let (id, name) = match &latest {
            Some(latest) => (Some(latest.id), full_name(&latest.schema.text)),
            None => (None, None),
        };
        match format {
            Format::Json => {
                let line =
                    json!({ "subject": subject, "versions": versions, "id": id, "name": name });
                say(out, &line.to_string())?;
            }
            Format::Text => {
                let newest = versions.last().copied().unwrap_or_default();
                let id = id.map_or_else(|| "-".to_owned(), |id| id.to_string());
                let name = name.unwrap_or_else(|| "-".to_owned());
                say(out, &format!("{subject:<40} version {newest:<4} id {id:<6} {name}"))?;
            }
        }
    }
    Ok(())
}

async fn show(
    registry: &dyn Registry,
    name: &str,
    version: Option<u32>,
    format: Format,
    out: &mut (dyn Write + Send),
) -> Outcome {
    let subject = subject(name);
    let which = version.map_or(Which::Latest, Which::Number);
    let Some(found) = registry.find(&subject, which).await? else {
        let what = match version {
            Some(version) => format!("version {version} of subject `{subject}`"),
            None => format!("subject `{subject}`"),
        };
        let message = format!("the {} registry has no {what}", registry.name());
        return Err(Failure::Runtime(message));
    };
    let schema: Value = serde_json::from_str(&found.schema.text).unwrap_or_default();
    match format {
        Format::Json => {
            let line = json!({
                "subject": subject, "version": found.number, "id": found.id, "schema": schema,
            });
            say(out, &line.to_string())
        }
        Format::Text => say(out, &format!("{schema:#}")),
    }
}

async fn check(
    registry: &dyn Registry,
    target: &Target,
    format: Format,
    out: &mut (dyn Write + Send),
) -> Outcome {
    let subject = subject(&target.topic);
    let verdict = registry.check(&subject, &text(target)?).await?;
    let reason = match &verdict {
        Verdict::Compatible => None,
        Verdict::Incompatible(reason) => Some(reason.as_str()),
    };
    match (format, reason) {
        (Format::Json, _) => {
            let compatible = reason.is_none();
            let line = json!({ "subject": subject, "compatible": compatible, "reason": reason });
            say(out, &line.to_string())?;
        }
        (Format::Text, None) => say(out, &format!("subject `{subject}` takes the schema"))?,
        (Format::Text, Some(_)) => {}
    }
    match reason {
        None => Ok(()),
        Some(reason) => {
            let message = format!("subject `{subject}` does not take the schema: {reason}");
            Err(Failure::Runtime(message))
        }
    }
}

async fn register(
    registry: &dyn Registry,
    target: &Target,
    format: Format,
    out: &mut (dyn Write + Send),
) -> Outcome {
    let (subject, text) = (subject(&target.topic), text(target)?);
    let id = registry.register(&subject, &text).await?;
    let version = registry.find(&subject, Which::Text(&text)).await?.map(|found| found.number);
    match format {
        Format::Json => {
            let line = json!({ "subject": subject, "version": version, "id": id });
            say(out, &line.to_string())
        }
        Format::Text => {
            let version = version.map_or_else(String::new, |number| format!("version {number}, "));
            say(out, &format!("subject `{subject}` has the schema: {version}id {id}"))
        }
    }
}

/// A topic stands for the subject of its values.
fn subject(name: &str) -> String {
    match name.ends_with("-value") || name.ends_with("-key") {
        true => name.to_owned(),
        false => value_subject(name),
    }
}

fn text(target: &Target) -> Result<String, Failure> {
    match (&target.schema.schema, &target.schema.file) {
        (Some(name), _) => shipped::by_name(name)
            .map(str::to_owned)
            .ok_or_else(|| Failure::Usage(format!("there is no shipped schema `{name}`"))),
        (None, Some(path)) => {
            let unfit = |why: String| {
                Failure::Usage(format!("can't read the schema `{}`: {why}", path.display()))
            };
            let size = std::fs::metadata(path).map_err(|error| unfit(error.to_string()))?.len();
            if size > MAX_SCHEMA {
                return Err(unfit(format!("it is larger than {} KiB", MAX_SCHEMA >> 10)));
            }
            std::fs::read_to_string(path).map_err(|error| unfit(error.to_string()))
        }
        (None, None) => Err(Failure::Usage("name a schema with `--schema` or `--file`".to_owned())),
    }
}

fn full_name(text: &str) -> Option<String> {
    let schema: Value = serde_json::from_str(text).ok()?;
    let name = schema.get("name")?.as_str()?;
    match schema.get("namespace").and_then(Value::as_str) {
        Some(namespace) if !name.contains('.') => Some(format!("{namespace}.{name}")),
        _ => Some(name.to_owned()),
    }
}

impl From<CodecError> for Failure {
    fn from(error: CodecError) -> Self {
        Failure::Runtime(error.message)
    }
}

fn say(out: &mut (dyn Write + Send), line: &str) -> Outcome {
    writeln!(out, "{line}").map_err(|error| Failure::unwritten(&error))
}
