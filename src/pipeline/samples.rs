//! Samples: the events that `dev` sends and the memory that it fills, as a file beside the pipelines lists them.
//!
//! ```yaml
//! vivremotion: 1
//! memory: { support-kb: [knowledge/support-kb.md] }
//! events: [events/tickets.ndjson]
//! ```
//! An events file has one JSON object a line: `topic`, `key`, `value` and `headers`; only `topic` and `value` must be
//! there. A null `value` is a tombstone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::base::diagnostic::{Diagnostics, Place};
use crate::base::yaml::{self, Spanned};

/// Bytes an events file may have.
const MAX_BYTES: u64 = 64 << 20;

/// What to load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// Files of events, in the order in which they are sent.
    pub events: Vec<PathBuf>,
    /// Files to import, by collection.
    pub memory: BTreeMap<Arc<str>, Vec<PathBuf>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    vivremotion: Spanned<u32>,
    #[serde(default)]
    events: Vec<Spanned<String>>,
    #[serde(default)]
    memory: BTreeMap<String, Vec<Spanned<String>>>,
}

impl Samples {
    /// Reads the list, and checks that every file on it is there.
    pub fn load(path: &Path) -> Result<Samples, Diagnostics> {
        let file: Arc<str> = path.display().to_string().into();
        let text = yaml::read(path).map_err(|why| {
            let mut found = Diagnostics::new();
            let help = "it lists events to send: `vivremotion: 1` and `events: [events.ndjson]`, one JSON object a line";
            found.error(&file, Place::default(), "unreadable-file", why, Some(help.to_owned()));
            found
        })?;
        let (written, mut found) = yaml::parse::<Written>(&file, &text);
        let Some(Written { vivremotion, events, memory }) = written else { return Err(found) };
        if vivremotion.value != 1 {
            let message = format!("version {} of the grammar, expected 1", vivremotion.value);
            found.error(&file, vivremotion.place(), "grammar-version", message, None);
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut there = |names: Vec<Spanned<String>>| {
            let each = names.into_iter().map(|name| {
                let full = folder.join(&name.value);
                if !full.is_file() {
                    let message = format!("there is no file `{}`", name.value);
                    let help = format!("paths start at the list: this is `{}`", full.display());
                    found.error(&file, name.place(), "unreadable-file", message, Some(help));
                }
                full
            });
            each.collect::<Vec<_>>()
        };
        let events = there(events);
        let memory = memory.into_iter().map(|(name, files)| (name.into(), there(files))).collect();
        match found.has_errors() {
            true => Err(found),
            false => Ok(Samples { events, memory }),
        }
    }
}

/// An event to send.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Topic.
    pub topic: Arc<str>,
    /// Key.
    #[serde(default)]
    pub key: Option<String>,
    /// Value, encoded as the topic's settings say; null is a tombstone.
    pub value: Value,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// Reads a file of events. The error names file and line.
pub fn read_events(path: &Path) -> Result<Vec<Sample>, String> {
    let file = path.display();
    let size =
        std::fs::metadata(path).map_err(|why| format!("`{file}` can't be read: {why}"))?.len();
    if size > MAX_BYTES {
        return Err(format!("`{file}` has {size} bytes, expected at most {MAX_BYTES}"));
    }
    let text =
        std::fs::read_to_string(path).map_err(|why| format!("`{file}` can't be read: {why}"))?;
    parse_events(&text).map_err(|(line, why)| format!("`{file}`, line {line}: {why}"))
}

/// Reads events, one a line; empty lines are passed over. The error says which line.
pub fn parse_events(text: &str) -> Result<Vec<Sample>, (usize, String)> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let event = |(at, line): (usize, &str)| {
        serde_json::from_str(line)
            .map_err(|why| (at + 1, format!("this is no sample event: {why}")))
    };
    lines.map(event).collect()
}

#[cfg(test)]
mod tests;
