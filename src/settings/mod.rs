//! Settings: connections, providers, models, prices and topics, by name. One file, `vivremotion.yaml`; without it
//! everything is embedded.
//!
//! **What it promises.** Every problem of the file is taken down at once, with its place and its mend, before any
//! connection is made. A key that is not here is refused. References (`${env:NAME}`, `${env:NAME:-default}`,
//! `${file:path}`) are resolved after parsing; only this room reads the environment, and it is an argument.
//!
//! **What it does not do.** Connect, look whether a name exists elsewhere, start anything.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::base::diagnostic::Diagnostics;
pub use crate::base::sqlite::Synchronous;
use crate::event::money::{DEFAULT_CURRENCY, Money};

mod desk;
mod engine;
mod environment;
mod load;
mod log;
mod memory;
mod models;
mod prices;
mod registry;
mod secrets;
mod topics;

pub use engine::Engine;
pub use environment::{Environment, Process};
pub use load::{DEFAULT_FILE, load, read};
pub use log::{Kafka, Local, LogSettings, Names};
pub use memory::{CollectionSettings, MemorySettings, Store};
pub use models::{Member, ModelSettings, Provider, SIMULATED};
pub use prices::Prices;
pub use registry::RegistrySettings;
pub use topics::{Identity, TopicSettings};

/// The whole file, resolved and checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether there was no file: models and collections need not be declared then.
    pub open: bool,
    /// The log.
    pub log: LogSettings,
    /// Where schemas are.
    pub registry: RegistrySettings,
    /// Vector memory.
    pub memory: MemorySettings,
    /// Who answers.
    pub providers: BTreeMap<Arc<str>, Provider>,
    /// What pipelines ask for.
    pub models: BTreeMap<Arc<str>, ModelSettings>,
    /// What it costs.
    pub prices: Prices,
    /// Currency of every amount.
    pub currency: Arc<str>,
    /// What the whole engine may spend in a UTC day.
    pub per_day: Option<Money>,
    /// Bounds.
    pub engine: Engine,
    /// Topics that are not plain JSON.
    pub topics: BTreeMap<Arc<str>, TopicSettings>,
    /// Lock files, probe verdict, local log.
    pub state: PathBuf,
    /// Where metrics and probes are served.
    pub listen: String,
    /// What is odd and no error.
    pub warnings: Diagnostics,
}

/// Folder of lock files and the local log.
const STATE: &str = ".vivremotion";
/// Where metrics and probes are served.
const LISTEN: &str = "127.0.0.1:9464";

impl Default for Settings {
    fn default() -> Self {
        let state = PathBuf::from(STATE);
        Settings {
            open: true,
            log: LogSettings::Local(Local::in_folder(&state)),
            registry: RegistrySettings::Embedded,
            memory: MemorySettings::default(),
            providers: BTreeMap::new(),
            models: BTreeMap::new(),
            prices: Prices::default(),
            currency: DEFAULT_CURRENCY.into(),
            per_day: None,
            engine: Engine::default(),
            topics: BTreeMap::new(),
            state,
            listen: LISTEN.to_owned(),
            warnings: Diagnostics::new(),
        }
    }
}

impl Settings {
    /// Whether every call of a model or route has a price; none when there is no such model.
    pub fn priced(&self, model: &str) -> Option<bool> {
        let members = self.models.get(model)?.members();
        Some(members.iter().all(|member| member.free || self.prices.has(&member.key())))
    }

    /// How long finished events wait for company before they are committed.
    pub fn commit_interval(&self) -> Duration {
        match &self.log {
            LogSettings::Local(local) => local.commit_interval,
            LogSettings::Kafka(kafka) => kafka.commit_interval,
        }
    }

    /// The cluster, if the log is one.
    pub fn kafka(&self) -> Option<&Kafka> {
        match &self.log {
            LogSettings::Kafka(kafka) => Some(kafka),
            LogSettings::Local(_) => None,
        }
    }

    /// Whether calls are journaled: not where outputs may be doubled anyway.
    pub fn journaled(&self) -> bool {
        self.kafka().is_none_or(|kafka| kafka.guarantee == crate::stream::Guarantee::ExactlyOnce)
    }

    /// First part of every group's name.
    pub fn group_prefix(&self) -> &str {
        match &self.log {
            LogSettings::Local(_) => log::GROUP_PREFIX,
            LogSettings::Kafka(kafka) => &kafka.group_prefix,
        }
    }

    /// Names of the topics that are the engine's own.
    pub fn names(&self) -> Names {
        match &self.log {
            LogSettings::Local(_) => Names::default(),
            LogSettings::Kafka(kafka) => kafka.names.clone(),
        }
    }

    /// The file of what is embedded: log, schemas, memory.
    pub fn embedded_file(&self) -> PathBuf {
        match &self.log {
            LogSettings::Local(local) => local.path.clone(),
            LogSettings::Kafka(_) => self.state.join(log::FILE),
        }
    }
}

#[cfg(test)]
mod tests;
