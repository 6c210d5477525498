//! From what settings say to what answers: the one place where dialects and policies are chosen by name.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::dispatch::{Health, Lane, Route};
use super::first_healthy::FirstHealthy;
use crate::base::clock::Clock;
use crate::model::Model;
use crate::model::config::{
    KNOWN, ModelEntry, ModelsConfig, ProviderConfig, SIMULATED, SingleModel, known,
};
use crate::model::dialect::{self, Wanted};
use crate::model::http::{HttpProvider, HttpTarget};
use crate::model::member::Member;
use crate::model::price::{PriceBook, Pricing};
use crate::model::simulated::Simulated;
use crate::model::simulated::behaviour::Behaviour;
use crate::model::target::Target;
use crate::model::transport::Transport;

/// What is wrong with an entry; settings know its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Which.
    pub entry: Entry,
    /// One sentence.
    pub message: String,
}

/// An entry of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Under `providers`.
    Provider(String),
    /// Under `models`.
    Model(String),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.entry {
            Entry::Provider(name) => write!(f, "provider `{name}`: {}", self.message),
            Entry::Model(name) => write!(f, "model `{name}`: {}", self.message),
        }
    }
}

impl std::error::Error for ConfigError {}

/// What answers, by the name that pipelines use.
pub type Models = HashMap<Arc<str>, Arc<dyn Model>>;

/// Every model of the settings by its name, or all that is wrong. Opens no connection. `seed` is that of the simulated
/// models' draws.
pub fn build(
    config: &ModelsConfig,
    clock: &Arc<dyn Clock>,
    seed: u64,
) -> Result<Models, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let mut providers = BTreeMap::new();
    for (name, provider) in &config.providers {
        match Provider::new(name, provider, clock) {
            Ok(provider) => {
                providers.insert(name.as_str(), provider);
            }
            Err(message) => {
                errors.push(ConfigError { entry: Entry::Provider(name.clone()), message });
            }
        }
    }
    let mut workshop = Workshop {
        config,
        providers,
        prices: &config.prices,
        health: HashMap::new(),
        permits: HashMap::new(),
        clock,
        seed,
    };
    let mut models = Models::new();
    for (name, entry) in &config.models {
        match workshop.route(name, entry) {
            Ok(route) => {
                models.insert(Arc::clone(&route.name), Arc::new(route));
            }
            Err(Some(message)) => {
                errors.push(ConfigError { entry: Entry::Model(name.clone()), message });
            }
            // Its provider is wrong, which has been said.
            Err(None) => {}
        }
    }
    if errors.is_empty() { Ok(models) } else { Err(errors) }
}

/// A simulated model under any name, free of charge: what every name stands for where there are no settings.
pub fn simulated(
    name: &str,
    usual: &Behaviour,
    clock: &Arc<dyn Clock>,
    seed: u64,
) -> Arc<dyn Model> {
    let (provider, model): (Arc<str>, Arc<str>) = (SIMULATED.into(), name.into());
    let target = Simulated::new(Arc::clone(&provider), Arc::clone(&model), usual, None, seed);
    let member = Member {
        account: Arc::clone(&provider),
        provider,
        model,
        target: Box::new(target),
        pricing: Pricing::free(),
        permits: Vec::new(),
        clock: Arc::clone(clock),
    };
    Arc::new(Route {
        name: name.into(),
        policy: Box::new(FirstHealthy),
        lanes: vec![Lane { name: format!("{SIMULATED}/{name}"), member, health: Arc::default() }],
        clock: Arc::clone(clock),
    })
}

/// What all models of a provider share.
struct Provider {
    name: Arc<str>,
    account: Arc<str>,
    dialect: String,
    config: ProviderConfig,
    http: Option<Arc<HttpProvider>>,
    permits: Option<Arc<Semaphore>>,
}

impl Provider {
    fn new(name: &str, config: &ProviderConfig, clock: &Arc<dyn Clock>) -> Result<Self, String> {
        let known = known(name);
        let dialect = config
            .dialect
            .clone()
            .or_else(|| known.map(|known| known.dialect.to_owned()))
            .ok_or_else(|| {
                let names = KNOWN.join("`, `");
                format!(
                    "it is not one of the known `{names}`, so it needs `dialect` and `base_url`"
                )
            })?;
        let own_address =
            known.filter(|known| known.dialect == dialect).and_then(|known| known.base_url);
        let http = match dialect.as_str() {
            SIMULATED => None,
            _ => {
                let base_url = config.base_url.as_deref().or(own_address);
                let base_url =
                    base_url.ok_or("it needs `base_url`, such as `http://host:8000/v1`")?;
                let spoken = dialect::build(&dialect, base_url).ok_or_else(|| {
                    let names = dialect::NAMES.join("`, `");
                    format!(
                        "there is no dialect `{dialect}`; the dialects are `{names}`, `{SIMULATED}`"
                    )
                })?;
                // Another address under a known name may well be one that wants no key.
                let at_home = own_address == Some(base_url);
                let needs_key = at_home && known.is_some_and(|known| known.wants_key);
                if needs_key && config.api_key.as_ref().is_none_or(|key| key.expose().is_empty()) {
                    return Err(
                        "it needs `api_key`, such as `\"${env:OPENAI_API_KEY}\"`".to_owned()
                    );
                }
                Some(Arc::new(HttpProvider {
                    name: name.into(),
                    dialect: spoken,
                    transport: Arc::new(Transport::new(base_url, config.max_in_flight)?),
                    clock: Arc::clone(clock),
                }))
            }
        };
        Ok(Provider {
            name: name.into(),
            account: config.account.as_deref().unwrap_or(name).into(),
            dialect,
            config: config.clone(),
            http,
            permits: permits(config.max_in_flight)?,
        })
    }

    fn target(&self, model: &SingleModel, seed: u64) -> Result<Box<dyn Target>, String> {
        let Some(http) = &self.http else {
            let usual = self.config.simulated.clone().unwrap_or_default();
            if let Some(word) = Behaviour::misread(&model.model) {
                return Err(format!(
                    "`{word}` says nothing of how the simulated model behaves; expected such as `slow-500ms`, \
                     `tokens-300`, `status-503`, `rate-0.1`"
                ));
            }
            let name = model.model.as_str().into();
            let provider = Arc::clone(&self.name);
            return Ok(Box::new(Simulated::new(provider, name, &usual, model.dimensions, seed)));
        };
        let reserved = dialect::reserved(&self.dialect);
        if let Some(name) = model.params.keys().find(|name| reserved.contains(&name.as_str())) {
            return Err(format!("`params` may not set `{name}`: the engine does"));
        }
        let wanted = Wanted {
            model: model.model.clone(),
            params: model.params.clone(),
            dimensions: model.dimensions,
        };
        let target = HttpTarget::new(Arc::clone(http), wanted, self.config.api_key.as_ref())?;
        Ok(Box::new(target))
    }
}

fn permits(most: Option<usize>) -> Result<Option<Arc<Semaphore>>, String> {
    match most {
        None => Ok(None),
        Some(0) => Err("`max_in_flight` is 0, so nothing could ever be called".to_owned()),
        Some(most) => Ok(Some(Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))))),
    }
}

struct Workshop<'a> {
    config: &'a ModelsConfig,
    providers: BTreeMap<&'a str, Provider>,
    prices: &'a PriceBook,
    /// By `provider/model`.
    health: HashMap<String, Arc<Health>>,
    /// By `provider/model` and their number: a model that is also a route's member has one set.
    permits: HashMap<(String, usize), Arc<Semaphore>>,
    clock: &'a Arc<dyn Clock>,
    seed: u64,
}

impl Workshop<'_> {
    /// `Err(None)` when it has been said already.
    fn route(&mut self, name: &str, entry: &ModelEntry) -> Result<Route, Option<String>> {
        let lanes = match entry {
            ModelEntry::Single(model) => vec![self.lane(model)?],
            ModelEntry::FirstHealthy(members) if members.is_empty() => {
                return Err(Some("`first_healthy` names no member".to_owned()));
            }
            ModelEntry::FirstHealthy(members) => {
                let lanes = members.iter().map(|member| {
                    let model = self.member(member).map_err(Some)?;
                    self.lane(&model)
                });
                lanes.collect::<Result<_, _>>()?
            }
        };
        let clock = Arc::clone(self.clock);
        Ok(Route { name: name.into(), policy: Box::new(FirstHealthy), lanes, clock })
    }

    /// A model's name, else `provider/model`.
    fn member(&self, text: &str) -> Result<SingleModel, String> {
        match self.config.models.get(text) {
            Some(ModelEntry::Single(model)) => Ok(model.clone()),
            Some(ModelEntry::FirstHealthy(_)) => {
                Err(format!("`{text}` is itself a route; name its members instead"))
            }
            None => SingleModel::parse(text).ok_or_else(|| {
                format!("`{text}` is no model of these settings, and not `provider/model` either")
            }),
        }
    }

    fn lane(&mut self, model: &SingleModel) -> Result<Lane, Option<String>> {
        let Some(provider) = self.providers.get(model.provider.as_str()) else {
            if self.config.providers.contains_key(&model.provider) {
                return Err(None);
            }
            let names: Vec<&str> = self.config.providers.keys().map(String::as_str).collect();
            let mend = match names.as_slice() {
                [] => "define it under `providers`".to_owned(),
                names => format!("the providers are `{}`", names.join("`, `")),
            };
            return Err(Some(format!("there is no provider `{}`; {mend}", model.provider)));
        };
        let name = model.full_name();
        let pricing = match model.free {
            true => Pricing::free(),
            false => self.prices.pricing(&model.provider, &model.model),
        };
        let own = permits(model.max_in_flight).map_err(Some)?.map(|fresh| {
            let key = (name.clone(), fresh.available_permits());
            Arc::clone(self.permits.entry(key).or_insert(fresh))
        });
        let member = Member {
            provider: Arc::clone(&provider.name),
            account: Arc::clone(&provider.account),
            model: model.model.as_str().into(),
            target: provider.target(model, self.seed).map_err(Some)?,
            pricing,
            permits: own.into_iter().chain(provider.permits.clone()).collect(),
            clock: Arc::clone(self.clock),
        };
        let health = Arc::clone(self.health.entry(name.clone()).or_default());
        Ok(Lane { name, member, health })
    }
}
