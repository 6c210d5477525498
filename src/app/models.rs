//! From the settings' providers, models and prices to what answers. Without settings every name is a simulated model
//! that costs nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::connect::ConnectError;
use crate::base::clock::Clock;
use crate::model::Model;
use crate::model::config::{ModelEntry, ModelsConfig, ProviderConfig, SIMULATED, SingleModel};
use crate::model::journaled::Journaled;
use crate::route;
use crate::settings::{Member, ModelSettings, Settings};

/// The seed of simulated models: the same answers in every run.
const SEED: u64 = 1;

/// Everything that a pipeline may ask for by name. Opens no connection.
pub fn build(
    settings: &Settings,
    asked: &BTreeSet<Arc<str>>,
    clock: &Arc<dyn Clock>,
) -> Result<HashMap<Arc<str>, Arc<dyn Model>>, ConnectError> {
    let mut config = ModelsConfig { prices: settings.prices.book(), ..ModelsConfig::default() };
    for (name, provider) in &settings.providers {
        let told = ProviderConfig {
            dialect: Some(provider.dialect.to_string()),
            base_url: (!provider.base_url.is_empty()).then(|| provider.base_url.clone()),
            api_key: provider.api_key.clone(),
            account: provider.account.clone(),
            max_in_flight: provider.max_in_flight,
            simulated: None,
        };
        config.providers.insert(name.to_string(), told);
    }
    for (name, model) in &settings.models {
        let entry = match model {
            ModelSettings::One(member) => ModelEntry::Single(single(settings, member)),
            ModelSettings::FirstHealthy(members) => {
                let names = members.iter().enumerate().map(|(index, member)| {
                    // A member has parameters of its own, so it needs an entry of its own.
                    let of = format!("{name}#{index}");
                    let single = ModelEntry::Single(single(settings, member));
                    config.models.insert(of.clone(), single);
                    of
                });
                ModelEntry::FirstHealthy(names.collect())
            }
        };
        config.models.insert(name.to_string(), entry);
    }
    let simulated = |name: &Arc<str>| SingleModel {
        provider: SIMULATED.to_owned(),
        model: name.to_string(),
        free: true,
        ..SingleModel::default()
    };
    let unnamed = asked.iter().filter(|name| settings.open && !settings.models.contains_key(*name));
    for name in unnamed {
        config.models.insert(name.to_string(), ModelEntry::Single(simulated(name)));
    }
    let members = config.models.values().filter_map(|entry| match entry {
        ModelEntry::Single(model) => Some(model.provider.clone()),
        ModelEntry::FirstHealthy(_) => None,
    });
    let known: BTreeSet<String> = members.collect();
    for provider in known {
        config.providers.entry(provider).or_default();
    }
    let built = route::build::build(&config, clock, SEED).map_err(|errors| {
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        ConnectError::wrong(all.join("\n"))
    })?;
    let journaled = |model| Arc::new(Journaled(model)) as Arc<dyn Model>;
    Ok(built.into_iter().map(|(name, model)| (name, journaled(model))).collect())
}

/// A simulated model is free, unless it has a price: then budgets can be tried with it.
fn single(settings: &Settings, member: &Member) -> SingleModel {
    SingleModel {
        provider: member.provider.to_string(),
        model: member.model.to_string(),
        params: member.params.clone(),
        free: member.free && !settings.prices.has(&member.key()),
        dimensions: member.dimensions,
        max_in_flight: member.max_in_flight,
    }
}
