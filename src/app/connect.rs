//! From settings to connections. What is not reachable yet is waited for where waiting makes sense.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::Clock;
use crate::base::retry::Backoff;
use crate::base::sqlite;
use crate::codec::registry::Registry;
use crate::codec::registry::embedded::Embedded;
use crate::codec::registry::http::Http;
use crate::codec::{CodecErrorKind, Codecs};
use crate::context::memory::batch::Batched;
use crate::context::memory::local::Local as LocalMemory;
use crate::context::memory::qdrant::{Options, Qdrant};
use crate::context::memory::shelf::{Collections, Embedder, Shelf, ShelfError};
use crate::context::memory::words::Language;
use crate::context::memory::{Collection, Memory, MemoryErrorKind};
use crate::flow::outage::Outages;
use crate::settings::{
    CollectionSettings, LogSettings, RegistrySettings, Settings, Store, Synchronous,
};
use crate::stage::Wiring;
use crate::stream::kafka::KafkaLog;
use crate::stream::local;
use crate::stream::{Log, StreamError, StreamErrorKind};

/// Between two questions to a service that is not there yet.
pub(super) const PAUSES: Backoff =
    Backoff { base: Duration::from_millis(500), most: Duration::from_secs(10) };

/// Why something could not be connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectError {
    /// Whether waiting may help.
    pub unreachable: bool,
    /// One sentence.
    pub message: String,
}

impl ConnectError {
    /// One that waiting does not mend.
    pub fn wrong(message: impl Into<String>) -> Self {
        ConnectError { unreachable: false, message: message.into() }
    }
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConnectError {}

impl From<StreamError> for ConnectError {
    fn from(error: StreamError) -> Self {
        let unreachable = error.kind == StreamErrorKind::Unavailable;
        ConnectError { unreachable, message: error.message }
    }
}

impl From<crate::codec::CodecError> for ConnectError {
    fn from(error: crate::codec::CodecError) -> Self {
        let unreachable = error.kind == CodecErrorKind::Unavailable;
        ConnectError { unreachable, message: error.message }
    }
}

impl From<ShelfError> for ConnectError {
    fn from(error: ShelfError) -> Self {
        let unreachable = matches!(
            &error,
            ShelfError::Memory { error, .. } if error.kind != MemoryErrorKind::Invalid
        );
        ConnectError { unreachable, message: error.to_string() }
    }
}

/// Tries until it works, as long as what is missing may still come; meanwhile `/ready` names it.
pub async fn patiently<T, E: Into<ConnectError>>(
    outages: &Outages,
    clock: &Arc<dyn Clock>,
    service: &str,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, ConnectError> {
    let service: Arc<str> = service.into();
    let mut patience = outages.patience();
    loop {
        let error: ConnectError = match attempt().await {
            Ok(there) => {
                patience.answered();
                return Ok(there);
            }
            Err(error) => error.into(),
        };
        if !error.unreachable {
            return Err(error);
        }
        patience.turn(&service, &error, &PAUSES, clock.draw() as u64).await;
    }
}

/// The log of the settings.
pub async fn log(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Log>, ConnectError> {
    match &settings.log {
        LogSettings::Local(local) => {
            if let Some(folder) = local.path.parent() {
                std::fs::create_dir_all(folder).map_err(|error| {
                    ConnectError::wrong(format!("can't make `{}`: {error}", folder.display()))
                })?;
            }
            let synchronous = match local.synchronous {
                Synchronous::Full => sqlite::Synchronous::Full,
                Synchronous::Normal => sqlite::Synchronous::Normal,
            };
            let file = local::Settings { path: local.path.clone(), synchronous };
            Ok(Arc::new(local::Local::open(file, Arc::clone(clock)).await?))
        }
        LogSettings::Kafka(kafka) => Ok(Arc::new(KafkaLog::new(kafka.config())?)),
    }
}

/// The codecs of the settings' topics, over their registry.
pub fn codecs(settings: &Settings) -> Result<Codecs, ConnectError> {
    let registry: Arc<dyn Registry> = match &settings.registry {
        RegistrySettings::Http(config) => Arc::new(Http::new(config)?),
        RegistrySettings::Embedded => {
            let path = settings.embedded_file();
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(|error| {
                    ConnectError::wrong(format!("can't make `{}`: {error}", folder.display()))
                })?;
            }
            Arc::new(Embedded::open(&path)?)
        }
    };
    let topics = settings.topics.iter().map(|(name, topic)| (Arc::clone(name), topic.value));
    Ok(Codecs::new(registry, topics))
}

/// The collections of the settings, and those that the pipelines name when there are no settings.
pub async fn collections(
    settings: &Settings,
    named: &BTreeSet<Arc<str>>,
    models: &Wiring,
) -> Result<Collections, ConnectError> {
    let declared = &settings.memory.collections;
    if declared.is_empty() && named.is_empty() {
        return Ok(Collections::default());
    }
    let memory: Arc<dyn Memory> = match &settings.memory.store {
        Store::Local => {
            let path = settings.embedded_file();
            let local = LocalMemory::open(&path).await;
            Arc::new(local.map_err(|error| ConnectError::wrong(error.message))?)
        }
        Store::Qdrant { url, api_key } => {
            let api_key = api_key.as_ref().map(|key| key.expose().to_owned());
            let options = Options { api_key, ..Options::new(url.clone()) };
            let qdrant = Qdrant::new(options);
            let qdrant = qdrant.map_err(|error| ConnectError::wrong(error.message))?;
            // Questions of many events share a round trip.
            Arc::new(Batched::new(Arc::new(qdrant)))
        }
    };
    let bare = CollectionSettings {
        embedder: None,
        text: "text".into(),
        language: Language::default(),
        tenants: true,
    };
    let undeclared = named.iter().filter(|name| !declared.contains_key(*name));
    let all = declared.iter().chain(undeclared.map(|name| (name, &bare)));
    let mut shelves = Vec::new();
    for (name, collection) in all {
        let embedder = match &collection.embedder {
            None => None,
            Some(name) => {
                let model = models.model(name).map_err(|error| ConnectError::wrong(error.0))?;
                Some(Embedder { model, name: Arc::clone(name) })
            }
        };
        let dimensions = collection
            .embedder
            .as_ref()
            .and_then(|embedder| settings.models.get(embedder)?.members().first()?.dimensions);
        shelves.push(Shelf {
            collection: Arc::new(Collection {
                name: Arc::clone(name),
                dimensions: dimensions.and_then(|d| usize::try_from(d).ok()),
                text: collection.text.to_string(),
                ours: collection.tenants,
                tenants: collection.tenants,
                language: collection.language,
            }),
            memory: Arc::clone(&memory),
            embedder,
        });
    }
    Ok(Collections::new(shelves))
}
