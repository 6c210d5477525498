//! Fills memory with the samples of a folder of pipelines.

use std::path::Path;
use std::sync::Arc;

use crate::base::clock::{Clock, SystemClock};
use crate::context::memory::import::{Form, Importer, Source};
use crate::context::memory::shelf::Collections;
use crate::context::memory::teller::Teller;
use crate::pipeline::samples::Samples;

/// Passages of samples are everybody's.
const EVERYBODY: &str = "*";

/// Imports what the samples list, again each time: an import replaces itself. What went wrong comes back in words.
pub async fn fill(collections: &Collections, samples: &Samples) -> Result<u64, String> {
    let clock: &dyn Clock = &SystemClock;
    let mut passages = 0;
    for (name, files) in &samples.memory {
        // Collections that no pipeline asks for stay empty.
        let Ok(shelf) = collections.get(name) else { continue };
        let sources = files.iter().map(|file| source(file)).collect::<Result<Vec<_>, _>>()?;
        let teller = Arc::new(Teller::default());
        let importer = Importer { shelf, tenant: EVERYBODY.into(), teller, clock };
        let imported = importer.import(sources, &mut |_, _| {}).await;
        passages += imported.map_err(|error| format!("collection `{name}`: {error}"))?.passages;
    }
    Ok(passages)
}

fn source(path: &Path) -> Result<Source, String> {
    let shown = path.display();
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let form = Form::of(&name).ok_or_else(|| {
        format!("`{shown}` is neither NDJSON (.ndjson, .jsonl) nor text with headings (.md, .txt)")
    })?;
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("can't read `{shown}`: {error}"))?;
    Ok(Source { name, text, form })
}
