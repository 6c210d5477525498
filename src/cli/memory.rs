//! `memory`: fill collections from files, see what there is, and try a question.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::check::PIPELINES;
use super::{Common, Failure, Format, Outcome};
use crate::app::connect::{ConnectError, collections};
use crate::app::known::known;
use crate::app::models;
use crate::base::clock::{Clock, SystemClock};
use crate::base::nearest::nearest;
use crate::context::memory::Passage;
use crate::context::memory::import::{Form, Importer, Source, Summary};
use crate::context::memory::place::EVERYBODY;
use crate::context::memory::shelf::{Ask, Collections, Shelf};
use crate::context::memory::teller::{Sum, Teller};
use crate::flow::identity::DEFAULT_TENANT;
use crate::pipeline::load::load;
use crate::stage::Wiring;
use crate::stage::http::Http;

/// Bytes of a file to import.
const MAX_FILE: u64 = 256 << 20;
/// One question takes no longer.
const SEARCH_WITHIN: Duration = Duration::from_secs(30);
/// Letters of a passage in a list for people.
const SHOWN: usize = 160;

/// Fill collections from files, list them, and try questions
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
Files are NDJSON (`.ndjson`, `.jsonl`: one object a line with `text`, an `id` if it has one, and more fields) or text \
with headings (`.md`, `.txt`), which is cut into passages of about 200 words. Importing a file again under the same \
name replaces its passages and forgets those it no longer has.

  vivremotion memory import support-kb handbook.md faq.ndjson
  vivremotion memory search support-kb \"how long does a refund take\"";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Write files into a collection
    Import {
        /// Collection
        collection: String,
        /// Files; their names as given are part of the ids of their passages
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Whose passages they are; `*` for everybody
        #[arg(long, default_value = EVERYBODY)]
        tenant: String,
    },
    /// All collections with the number of their passages
    List,
    /// Ask a collection as `retrieve` does
    Search {
        /// Collection
        collection: String,
        /// What is looked for
        query: String,
        /// Who asks
        #[arg(long, default_value = DEFAULT_TENANT)]
        tenant: String,
        /// Passages wanted
        #[arg(long, default_value_t = 5, value_name = "N")]
        limit: usize,
        /// Floor of the dense similarity, from -1 to 1
        #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
        min_score: Option<f64>,
    },
}

/// Does it on standard output, with the collections of the settings and of the pipelines beside them.
pub async fn run(args: Args) -> Outcome {
    let settings = args.common.open()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut named = BTreeSet::new();
    if let Ok(loaded) = load(&[PathBuf::from(PIPELINES)], &known(&settings)) {
        let stages = loaded.plans.iter().flat_map(|plan| &plan.stages);
        named.extend(stages.filter_map(|stage| stage.kind.facts().collection));
    }
    if let (Action::Import { collection, .. }, true) = (&args.action, settings.open) {
        named.insert(collection.as_str().into());
    }
    let failed = |error: ConnectError| Failure::Runtime(error.message);
    let wiring = Wiring {
        models: models::build(&settings, &BTreeSet::new(), &clock).map_err(failed)?,
        collections: Arc::default(),
        http: Http::new(Arc::clone(&clock)),
    };
    let collections = collections(&settings, &named, &wiring).await.map_err(failed)?;
    collections.ensure().await.map_err(|error| Failure::Runtime(error.to_string()))?;
    tell(&args, &collections, &*clock, &mut std::io::stdout()).await
}

/// Does it and tells `out`. The collections are those of the settings.
pub async fn tell(
    args: &Args,
    collections: &Collections,
    clock: &dyn Clock,
    out: &mut (dyn Write + Send),
) -> Outcome {
    let teller = Arc::new(Teller::default());
    match &args.action {
        Action::Import { collection, files, tenant } => {
            let importer = Importer {
                shelf: shelf(collections, collection)?,
                tenant: tenant.as_str().into(),
                teller: Arc::clone(&teller),
                clock,
            };
            let bar = bar();
            let mut progress = |done, all| {
                bar.set_length(all);
                bar.set_position(done);
            };
            let imported = importer.import(read(files)?, &mut progress).await;
            bar.finish_and_clear();
            let summary = imported.map_err(|error| Failure::Runtime(error.to_string()))?;
            let text = imported_as(args.format, collection, summary, teller.sum());
            print(out, &text)
        }
        Action::List => list(args.format, collections, out).await,
        Action::Search { collection, query, tenant, limit, min_score } => {
            let shelf = shelf(collections, collection)?;
            let ask = Ask {
                text: query.clone(),
                tenant: tenant.as_str().into(),
                limit: *limit,
                min_score: *min_score,
                max_tokens: None,
            };
            let call = teller.call("search", tenant, SEARCH_WITHIN);
            let found = shelf.retrieve(ask, &call).await;
            let found = found.map_err(|error| Failure::Runtime(error.to_string()))?;
            for (rank, passage) in found.iter().enumerate() {
                print(out, &found_as(args.format, rank, passage))?;
            }
            if found.is_empty() && args.format == Format::Text {
                print(out, "nothing found")?;
            }
            Ok(())
        }
    }
}

fn shelf<'c>(collections: &'c Collections, name: &str) -> Result<&'c Shelf, Failure> {
    collections.get(name).map_err(|error| {
        let known = collections.iter().map(|shelf| &*shelf.collection.name);
        let help = match nearest(name, known) {
            Some(near) => format!("; did you mean `{near}`?"),
            None => String::new(),
        };
        Failure::Usage(format!("{error}{help}"))
    })
}

async fn list(format: Format, collections: &Collections, out: &mut (dyn Write + Send)) -> Outcome {
    for shelf in collections.iter() {
        let (collection, store) = (&shelf.collection, shelf.memory.name());
        let embedder = shelf.embedder.as_ref().map(|embedder| &*embedder.name);
        // One that is not made yet has no passages; what else is wrong is told, and the others are listed.
        let count = match shelf.ensure().await {
            Ok(()) => shelf.count().await,
            Err(error) => Err(error),
        };
        let text = match format {
            Format::Json => json!({
                "collection": &*collection.name,
                "store": store,
                "embedder": embedder,
                "dimensions": collection.dimensions,
                "passages": count.as_ref().ok(),
                "error": count.as_ref().err().map(ToString::to_string),
            })
            .to_string(),
            Format::Text => {
                let by = match embedder {
                    Some(embedder) => format!("words and vectors of `{embedder}`"),
                    None => "words".to_owned(),
                };
                let count = match &count {
                    Ok(count) => format!("{count} passages"),
                    Err(error) => error.to_string(),
                };
                format!("{}  {store}  by {by}  {count}", collection.name)
            }
        };
        print(out, &text)?;
    }
    Ok(())
}

fn imported_as(format: Format, collection: &str, summary: Summary, paid: Sum) -> String {
    let Summary { files, passages, forgotten } = summary;
    match format {
        Format::Json => json!({
            "collection": collection,
            "files": files,
            "passages": passages,
            "forgotten": forgotten,
            "calls": paid.attempts,
            "amount": paid.amount.to_string(),
            "unpriced_calls": paid.unpriced,
        })
        .to_string(),
        Format::Text => {
            let mut text = format!("{passages} passages of {files} files in `{collection}`");
            if forgotten > 0 {
                text.push_str(&format!(", {forgotten} forgotten"));
            }
            if paid.attempts > 0 {
                text.push_str(&format!(", {} calls for {}", paid.attempts, paid.amount));
            }
            if paid.unpriced > 0 {
                text.push_str(&format!(" and {} without a price", paid.unpriced));
            }
            text
        }
    }
}

fn found_as(format: Format, rank: usize, passage: &Passage) -> String {
    let Passage { id, score, text, payload } = passage;
    match format {
        Format::Json => {
            json!({ "id": id, "score": score, "text": text, "payload": payload }).to_string()
        }
        Format::Text => {
            let line: Vec<&str> = text.split_whitespace().collect();
            let mut line = line.join(" ");
            if let Some((end, _)) = line.char_indices().nth(SHOWN) {
                line.truncate(end);
                line.push('…');
            }
            format!("{}. {id}  {score:.4}\n   {line}", rank + 1)
        }
    }
}

/// Reads every file, or tells of all that can't be read.
fn read(files: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let (read, failed): (Vec<_>, Vec<_>) =
        files.iter().map(|path| source(path)).partition(Result::is_ok);
    let failed: Vec<String> = failed.into_iter().filter_map(Result::err).collect();
    if failed.is_empty() {
        Ok(read.into_iter().filter_map(Result::ok).collect())
    } else {
        Err(Failure::Usage(failed.join("\n")))
    }
}

fn source(path: &Path) -> Result<Source, String> {
    let shown = path.display();
    let name = path.to_string_lossy().replace('\\', "/");
    let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
    let form = Form::of(&name).ok_or_else(|| {
        format!("`{shown}` ends in none of `.ndjson`, `.jsonl`, `.md`, `.markdown`, `.txt`")
    })?;
    let unreadable = |error: std::io::Error| format!("`{shown}` can't be read: {error}");
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE {
        return Err(format!("`{shown}` has {size} bytes, expected at most {MAX_FILE}: split it"));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    Ok(Source { name, text, form })
}

/// On standard error, and only when that is a terminal.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} passages, {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn print(out: &mut (dyn Write + Send), text: &str) -> Outcome {
    writeln!(out, "{text}").map_err(|error| Failure::unwritten(&error))
}
