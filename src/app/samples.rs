//! The samples of a folder of pipelines: passages that fill memory, and events as records.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::clock::{Clock, SystemClock};
use crate::codec::{CodecError, Codecs};
use crate::context::memory::import::{Form, Importer, Source};
use crate::context::memory::shelf::Collections;
use crate::context::memory::teller::Teller;
use crate::pipeline::samples::{Sample, Samples};
use crate::stream::Output;

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

/// An event as it is written to that topic, its value encoded as the topic's settings say.
pub async fn output(
    codecs: &Codecs,
    topic: &Arc<str>,
    event: &Sample,
) -> Result<Output, CodecError> {
    let value = match event.value.is_null() {
        true => None,
        false => Some(codecs.for_topic(topic).encode(&event.value).await?),
    };
    let header =
        |(name, value): (&String, &String)| (name.clone().into(), Some(Bytes::from(value.clone())));
    Ok(Output {
        topic: Arc::clone(topic),
        partition: None,
        key: event.key.clone().map(Bytes::from),
        value,
        headers: event.headers.iter().map(header).collect(),
        timestamp: None,
    })
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
