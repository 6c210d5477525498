//! Import: files become passages of a collection. A passage's id is made of the file's name and the passage's place, so
//! importing a file again replaces what is there, and what the file no longer has is forgotten.
//!
//! Every file is read and understood before anything is written. A file is then written in portions; one that is cut
//! short leaves old passages beside new ones until it is imported again.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::shelf::{Draft, Shelf, ShelfError};
use super::teller::Teller;
use super::{Forget, chunk};
use crate::base::clock::Clock;
use crate::base::retry;

/// Passages embedded and written at a time.
const PORTION: usize = 64;
/// One portion takes no longer.
const PORTION_WITHIN: Duration = Duration::from_secs(120);
/// Attempts at a portion.
const ATTEMPTS: u32 = 4;
/// Field with the name of the file that a passage came from.
pub const FROM: &str = "imported_from";
/// Field with the digest of the file as it was.
pub const AS: &str = "imported_as";
/// Field with the headings over a passage of a Markdown file.
const HEADING: &str = "heading";

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON object a line: `text`, `id` if it has one, and more fields.
    Ndjson,
    /// Text with headings.
    Markdown,
}

impl Form {
    /// By the ending of a file's name.
    pub fn of(name: &str) -> Option<Form> {
        let (_, ending) = name.rsplit_once('.')?;
        match ending.to_ascii_lowercase().as_str() {
            "ndjson" | "jsonl" => Some(Form::Ndjson),
            "md" | "markdown" | "txt" => Some(Form::Markdown),
            _ => None,
        }
    }
}

/// A file that was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name: part of the ids of its passages.
    pub name: String,
    /// Its content.
    pub text: String,
    /// How it is written.
    pub form: Form,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files read.
    pub files: u64,
    /// Passages written.
    pub passages: u64,
    /// Passages that a file no longer had.
    pub forgotten: u64,
}

/// Why an import ended.
#[derive(Debug)]
pub enum ImportError {
    /// Lines that can't be read, all of them.
    Unreadable(Vec<Fault>),
    /// Memory or its embedder failed.
    Shelf(ShelfError),
}

/// A line that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// One sentence.
    pub message: String,
}

/// What an import needs.
pub struct Importer<'i> {
    /// Where the passages go.
    pub shelf: &'i Shelf,
    /// Whose they are; `*` for everybody.
    pub tenant: Arc<str>,
    /// Takes down the embedder's calls.
    pub teller: Arc<Teller>,
    /// Draws for the waits between attempts.
    pub clock: &'i dyn Clock,
}

impl Importer<'_> {
    /// Imports files. `progress` hears how many passages are written and how many there are.
    pub async fn import(
        &self,
        sources: Vec<Source>,
        progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<Summary, ImportError> {
        let files = self.read(sources)?;
        self.shelf.ensure().await?;
        let all = files.iter().map(|file| file.drafts.len() as u64).sum();
        let mut summary = Summary::default();
        progress(0, all);
        for file in files {
            let mut drafts = file.drafts;
            while !drafts.is_empty() {
                let rest = drafts.split_off(drafts.len().min(PORTION));
                summary.passages += drafts.len() as u64;
                self.write(drafts).await?;
                progress(summary.passages, all);
                drafts = rest;
            }
            summary.forgotten += self.forget(&file.name, &file.digest).await?;
            summary.files += 1;
        }
        Ok(summary)
    }

    async fn write(&self, drafts: Vec<Draft>) -> Result<(), ShelfError> {
        let mut made = 1;
        loop {
            let call = self.teller.call("import", &self.tenant, PORTION_WITHIN);
            let written = async {
                let points = self.shelf.points(drafts.clone(), &call).await?;
                self.shelf.remember(points).await
            };
            match written.await {
                Err(error) if error.is_passing() && made < ATTEMPTS => {
                    let asked = match &error {
                        ShelfError::Embedder { error, .. } => error.retry_after,
                        _ => None,
                    };
                    let wait = retry::CALLS.wait(made, self.clock.draw() as u64, asked);
                    tokio::time::sleep(wait).await;
                    made += 1;
                }
                done => return done,
            }
        }
    }

    /// Forgets what a file no longer has; how much that was.
    async fn forget(&self, name: &str, digest: &str) -> Result<u64, ShelfError> {
        let field = |name: &str, value: &str| Map::from_iter([(name.to_owned(), value.into())]);
        let outdated = Forget::Outdated { of: field(FROM, name), current: field(AS, digest) };
        let before = self.shelf.count().await?;
        self.shelf.forget(&self.tenant, outdated).await?;
        Ok(before.saturating_sub(self.shelf.count().await?))
    }

    fn read(&self, sources: Vec<Source>) -> Result<Vec<File>, ImportError> {
        let mut faults = Vec::new();
        let mut files = Vec::with_capacity(sources.len());
        for source in sources {
            let digest = blake3::hash(source.text.as_bytes()).to_hex().to_string();
            let text = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
            let mut file = File { name: source.name, digest, drafts: Vec::new() };
            match source.form {
                Form::Markdown => self.read_markdown(text, &mut file),
                Form::Ndjson => self.read_ndjson(text, &mut file, &mut faults),
            }
            files.push(file);
        }
        if faults.is_empty() { Ok(files) } else { Err(ImportError::Unreadable(faults)) }
    }

    fn read_markdown(&self, text: &str, file: &mut File) {
        for (index, chunk) in chunk::markdown(text, chunk::WORDS).into_iter().enumerate() {
            let mut payload = Map::new();
            if !chunk.headings.is_empty() {
                payload.insert(HEADING.into(), chunk.headings.join(" > ").into());
            }
            let id = format!("{}#{}", file.name, index + 1);
            file.keep(self.draft(id, chunk.text, payload));
        }
    }

    fn read_ndjson(&self, text: &str, file: &mut File, faults: &mut Vec<Fault>) {
        let mut lines = HashMap::<String, usize>::new();
        let full = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        for (record, (index, line)) in full.enumerate() {
            let read = self.record(line).and_then(|fields| {
                let Fields { id, text, payload } = fields;
                let id = id.unwrap_or_else(|| format!("{}#{}", file.name, record + 1));
                match lines.insert(id.clone(), index + 1) {
                    Some(first) => Err(format!(
                        "`id` `{id}` stands in line {first} too: each must be one passage's"
                    )),
                    None => Ok(self.draft(id, text, payload)),
                }
            });
            match read {
                Ok(draft) => file.keep(draft),
                Err(message) => {
                    faults.push(Fault { file: file.name.clone(), line: index + 1, message })
                }
            }
        }
    }

    /// One line of NDJSON.
    fn record(&self, line: &str) -> Result<Fields, String> {
        let value: Value =
            serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))?;
        let Value::Object(mut fields) = value else {
            return Err("a line must be a JSON object with `text`".into());
        };
        let text = match fields.remove("text") {
            Some(Value::String(text)) if !text.trim().is_empty() => text,
            Some(_) => return Err("`text` must be text that is not empty".into()),
            None => return Err("`text` is missing: every passage has one".into()),
        };
        let id = match fields.remove("id") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) if !id.is_empty() => Some(id),
            Some(Value::Number(id)) => Some(id.to_string()),
            Some(_) => return Err("`id` must be text or a number".into()),
        };
        for reserved in ["tenant", FROM, AS, &self.shelf.collection.text] {
            if fields.contains_key(reserved) {
                let mend = match reserved {
                    "tenant" => {
                        "import each tenant's passages by a command of their own, with `--tenant`"
                    }
                    _ => "give it another name",
                };
                return Err(format!("field `{reserved}` is kept by the store: {mend}"));
            }
        }
        Ok(Fields { id, text, payload: fields })
    }

    fn draft(&self, id: String, text: String, payload: Map<String, Value>) -> Draft {
        Draft { id, tenant: Arc::clone(&self.tenant), text, vector: None, payload }
    }
}

/// What a line says.
struct Fields {
    id: Option<String>,
    text: String,
    payload: Map<String, Value>,
}

/// A file that was understood.
struct File {
    name: String,
    digest: String,
    drafts: Vec<Draft>,
}

impl File {
    fn keep(&mut self, mut draft: Draft) {
        draft.payload.insert(FROM.into(), self.name.as_str().into());
        draft.payload.insert(AS.into(), self.digest.as_str().into());
        self.drafts.push(draft);
    }
}

impl From<ShelfError> for ImportError {
    fn from(error: ShelfError) -> Self {
        ImportError::Shelf(error)
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImportError::Shelf(error) => error.fmt(f),
            ImportError::Unreadable(faults) => {
                for (index, Fault { file, line, message }) in faults.iter().enumerate() {
                    let end = if index == 0 { "" } else { "\n" };
                    write!(f, "{end}{file}:{line}: {message}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ImportError {}
