//! What settings say of providers and models, as plain values: settings fill them, [`route::build`](crate::route::build)
//! makes of them what answers. No serde here, and nothing is checked but by `build`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::dialect;
use super::price::PriceBook;
use super::simulated::behaviour::Behaviour;
use crate::base::secret::Secret;

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct ModelsConfig {
    /// By name.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// By the name that pipelines use.
    pub models: BTreeMap<String, ModelEntry>,
    /// What they cost.
    pub prices: PriceBook,
}

/// A provider: `openai: { api_key: … }`, `vllm: { dialect: openai, base_url: … }`.
#[derive(Clone, Debug, Default)]
pub struct ProviderConfig {
    /// `openai` or `simulated`; a known name fills it.
    pub dialect: Option<String>,
    /// Where it is; a known name fills it.
    pub base_url: Option<String>,
    /// Its key, for those that want one.
    pub api_key: Option<Secret>,
    /// Name of the billed key in cost events; the provider's name when none is given.
    pub account: Option<String>,
    /// Calls at a time, over all its models.
    pub max_in_flight: Option<usize>,
    /// How its models behave, for `simulated`.
    pub simulated: Option<Behaviour>,
}

/// What a model's name stands for.
#[derive(Clone, Debug)]
pub enum ModelEntry {
    /// One model of one provider.
    Single(SingleModel),
    /// `first_healthy: […]`: each a model's name, or `provider/model`.
    FirstHealthy(Vec<String>),
}

/// One model of one provider.
#[derive(Clone, Debug, Default)]
pub struct SingleModel {
    /// The provider's name in the settings.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
    /// Parameters sent along as they are: `temperature: 0`.
    pub params: Map<String, Value>,
    /// `price: free`.
    pub free: bool,
    /// Length of vectors, for models that can choose.
    pub dimensions: Option<u32>,
    /// Calls at a time.
    pub max_in_flight: Option<usize>,
}

impl SingleModel {
    /// From `provider/model`, split at the first slash.
    pub fn parse(text: &str) -> Option<Self> {
        let (provider, model) = text.split_once('/')?;
        let known = !provider.is_empty() && !model.is_empty();
        known.then(|| SingleModel {
            provider: provider.to_owned(),
            model: model.to_owned(),
            ..SingleModel::default()
        })
    }

    /// `provider/model`: how prices and results name it.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.provider, self.model)
    }
}

/// A provider that needs no words but its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its dialect.
    pub dialect: &'static str,
    /// Its address; none for one without a network.
    pub base_url: Option<&'static str>,
    /// Whether it answers nobody without a key.
    pub wants_key: bool,
}

/// The dialect of the provider without a network.
pub const SIMULATED: &str = "simulated";

/// The names of known providers.
pub const KNOWN: &[&str] = &["openai", SIMULATED];

/// What a known provider's name stands for.
pub fn known(name: &str) -> Option<Known> {
    match name {
        "openai" => Some(Known {
            dialect: "openai",
            base_url: Some(dialect::openai::BASE_URL),
            wants_key: true,
        }),
        SIMULATED => Some(Known { dialect: SIMULATED, base_url: None, wants_key: false }),
        _ => None,
    }
}
