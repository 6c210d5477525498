//! What the check of pipelines must know of the settings, and of the schemas in the registry once it is reachable.

use std::path::PathBuf;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};

use super::connect::ConnectError;
use crate::base::diagnostic::Diagnostics;
use crate::codec::registry::{Which, value_subject};
use crate::codec::{CodecError, Codecs, Format};
use crate::pipeline::known::{Known, KnownCollection, KnownTopic};
use crate::pipeline::load::{Loaded, load};
use crate::settings::Settings;

/// Topics that the registry is asked about at a time.
const AT_ONCE: usize = 16;

/// From the settings alone: no connection is made.
pub fn known(settings: &Settings) -> Known {
    let names = settings.names();
    let models = settings.models.keys();
    let collections = settings.memory.collections.iter().map(|(name, collection)| {
        let (embedder, foreign) = (collection.embedder.clone(), !collection.tenants);
        (Arc::clone(name), KnownCollection { embedder, foreign })
    });
    Known {
        models: models
            .map(|name| (Arc::clone(name), settings.priced(name).unwrap_or(false)))
            .collect(),
        collections: collections.collect(),
        topics: settings
            .topics
            .keys()
            .map(|name| (Arc::clone(name), KnownTopic::default()))
            .collect(),
        group_prefix: settings.group_prefix().into(),
        currency: Arc::clone(&settings.currency),
        costs: names.costs,
        dead_letters: names.dead_letters,
        journal: settings.journaled().then_some(names.journal),
        budgeted: settings.per_day.is_some(),
        open: settings.open,
    }
}

/// From the settings, and the schemas that the registry has for their topics.
pub async fn known_with_schemas(
    settings: &Settings,
    codecs: &Codecs,
) -> Result<Known, ConnectError> {
    let mut known = known(settings);
    let avro = settings.topics.iter().filter(|(_, topic)| topic.value == Format::Avro);
    let asked = avro.map(async |(name, _)| {
        let found = codecs.registry().find(&value_subject(name), Which::Latest).await?;
        let schema = found.and_then(|version| serde_json::from_str(&version.schema.text).ok());
        Ok::<_, CodecError>((Arc::clone(name), KnownTopic { schema }))
    });
    let schemas: Vec<_> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
    known.topics.extend(schemas);
    Ok(known)
}

/// Checks the pipelines again with the schemas that the registry has for their topics.
pub async fn with_schemas(
    settings: &Settings,
    codecs: &Codecs,
    files: &[PathBuf],
) -> Result<Result<Loaded, Diagnostics>, ConnectError> {
    Ok(load(files, &known_with_schemas(settings, codecs).await?))
}
