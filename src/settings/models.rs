//! `providers` and `models`: who answers, and what pipelines ask for.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::desk::{Desk, without_later};
use crate::base::nearest::suggestion;
use crate::base::secret::Secret;
use crate::base::yaml::{Spanned, Tree, TreeValue};
use crate::model::dialect;

/// Calls of one provider or model at a time, at most.
const MOST_IN_FLIGHT: u64 = 1_000_000;
/// Length of a vector, at most.
const MOST_DIMENSIONS: u64 = 65_536;
/// Members of a route, at most.
const MOST_MEMBERS: usize = 32;
/// Routes that belong to later versions.
const LATER_ROUTES: [&str; 4] = ["weighted", "cheapest", "fastest", "adaptive"];
/// Keys of models that belong to later versions.
const LATER_KEYS: [&str; 2] = ["tier", "active"];

/// The dialect of the built-in provider that answers by itself.
pub const SIMULATED: &str = "simulated";
/// Languages that are spoken.
fn dialects() -> impl Iterator<Item = &'static str> {
    dialect::NAMES.iter().copied().chain([SIMULATED])
}

/// Providers whose name says it all: dialect and address.
const VENDORS: [(&str, &str, &str); 6] = [
    ("openai", "openai", "https://api.openai.com/v1"),
    ("groq", "openai", "https://api.groq.com/openai/v1"),
    ("mistral", "openai", "https://api.mistral.ai/v1"),
    ("openrouter", "openai", "https://openrouter.ai/api/v1"),
    ("together", "openai", "https://api.together.xyz/v1"),
    (SIMULATED, SIMULATED, ""),
];

/// A provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Name.
    pub name: Arc<str>,
    /// Its language.
    pub dialect: Arc<str>,
    /// Its address; empty for the simulated one.
    pub base_url: String,
    /// Its key.
    pub api_key: Option<Secret>,
    /// What the billed key is called in cost events; the provider's name when none is written.
    pub account: Option<String>,
    /// Calls at a time.
    pub max_in_flight: Option<usize>,
}

impl Provider {
    /// The one that answers by itself.
    pub fn simulated() -> Self {
        Provider {
            name: SIMULATED.into(),
            dialect: SIMULATED.into(),
            base_url: String::new(),
            api_key: None,
            account: None,
            max_in_flight: None,
        }
    }
}

/// What a pipeline asks for by name.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelSettings {
    /// One model.
    One(Member),
    /// The first that is healthy.
    FirstHealthy(Vec<Member>),
}

impl ModelSettings {
    /// Whoever may answer, in order.
    pub fn members(&self) -> &[Member] {
        match self {
            ModelSettings::One(member) => std::slice::from_ref(member),
            ModelSettings::FirstHealthy(members) => members,
        }
    }
}

/// One model of one provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Provider.
    pub provider: Arc<str>,
    /// The provider's name of the model.
    pub model: Arc<str>,
    /// Whether it costs nothing.
    pub free: bool,
    /// Parameters sent along as they are.
    pub params: Map<String, Json>,
    /// Length of its vectors.
    pub dimensions: Option<u32>,
    /// Calls at a time.
    pub max_in_flight: Option<usize>,
}

impl Member {
    /// `provider/model`, as prices name it.
    pub fn key(&self) -> String {
        format!("{}/{}", self.provider, self.model)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderSpec {
    dialect: Option<Spanned<String>>,
    base_url: Option<Spanned<String>>,
    api_key: Option<Spanned<String>>,
    account: Option<Spanned<String>>,
    max_in_flight: Option<Spanned<u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelSpec {
    model: Spanned<String>,
    price: Option<PriceSpec>,
    params: Option<Tree>,
    dimensions: Option<Spanned<u64>>,
    max_in_flight: Option<Spanned<u64>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum PriceSpec {
    Free,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteSpec {
    first_healthy: Spanned<Vec<Spanned<String>>>,
}

/// Reads `providers`.
pub(super) fn providers(desk: &mut Desk<'_>, tree: &Tree) -> BTreeMap<Arc<str>, Provider> {
    let mut providers = BTreeMap::new();
    for (name, tree) in desk.named("providers", tree) {
        let (Some(known), Some(spec)) = (desk.name(name), desk.under::<ProviderSpec>(name, tree))
        else {
            continue;
        };
        if let Some(provider) = provider(desk, name, Arc::clone(&known), spec) {
            providers.insert(known, provider);
        }
    }
    providers
}

fn provider(
    desk: &mut Desk<'_>,
    name: &Spanned<String>,
    known: Arc<str>,
    spec: ProviderSpec,
) -> Option<Provider> {
    let vendor = VENDORS.iter().find(|(vendor, ..)| *vendor == name.value);
    let dialect: Arc<str> = match (&spec.dialect, vendor) {
        (Some(word), _) if dialects().any(|known| known == word.value) => {
            word.value.as_str().into()
        }
        (Some(word), _) => {
            let message = format!("`{}` is no dialect", word.value);
            let help = suggestion(&word.value, "dialects are", dialects());
            desk.error(word.place(), "unknown-dialect", message, help.as_deref());
            return None;
        }
        (None, Some((_, dialect, _))) => (*dialect).into(),
        (None, None) => {
            missing(desk, name, "dialect", "`dialect: openai`");
            return None;
        }
    };
    let base_url = match (&spec.base_url, vendor) {
        (Some(url), _) if &*dialect == SIMULATED => {
            let message = "a simulated provider has no address";
            desk.error(url.place(), "bad-value", message, Some("remove `base_url`"));
            return None;
        }
        (Some(url), _) => desk.url(url)?,
        (None, _) if &*dialect == SIMULATED => String::new(),
        (None, Some((_, _, url))) if !url.is_empty() => (*url).to_owned(),
        (None, _) => {
            missing(desk, name, "base_url", "`base_url: \"http://host:port/v1\"`");
            return None;
        }
    };
    Some(Provider {
        name: known,
        dialect,
        base_url,
        // A variable that is not set on this machine.
        api_key: spec.api_key.filter(|key| !key.value.is_empty()).map(|key| Secret::new(key.value)),
        account: spec.account.and_then(|name| desk.name(&name)).map(|name| name.to_string()),
        max_in_flight: in_flight(desk, spec.max_in_flight),
    })
}

fn missing(desk: &mut Desk<'_>, name: &Spanned<String>, key: &str, example: &str) {
    let message = format!("the key `{key}` is missing in `{}`", name.value);
    let known: Vec<String> = VENDORS.iter().map(|(vendor, ..)| format!("`{vendor}`")).collect();
    let help = format!("write {example}; only {} need none", known.join(", "));
    desk.error(name.place(), "missing-key", message, Some(&help));
}

fn in_flight(desk: &mut Desk<'_>, number: Option<Spanned<u64>>) -> Option<usize> {
    let number = desk.bounded(&number?, 1, MOST_IN_FLIGHT)?;
    usize::try_from(number).ok()
}

/// Reads `models`. Members that name a provider which is simulated need no entry under `providers`.
pub(super) fn models(
    desk: &mut Desk<'_>,
    tree: &Tree,
    providers: &mut BTreeMap<Arc<str>, Provider>,
) -> BTreeMap<Arc<str>, ModelSettings> {
    let mut single: BTreeMap<Arc<str>, Member> = BTreeMap::new();
    let mut routes: Vec<(&Spanned<String>, Arc<str>, RouteSpec)> = Vec::new();
    let entries = desk.named("models", tree);
    for (name, tree) in entries {
        let Some(known) = desk.name(name) else { continue };
        match &tree.value {
            TreeValue::Leaf(Json::String(text)) => {
                let text = Spanned::new(text.clone(), tree.place());
                if let Some(member) = bare(desk, &text, providers) {
                    single.insert(known, member);
                }
            }
            TreeValue::Map(_) if tree.get("first_healthy").is_some() => {
                if let Some(route) = desk.under(name, tree) {
                    routes.push((name, known, route));
                }
            }
            _ => {
                let later = [&LATER_ROUTES[..], &LATER_KEYS[..]].concat();
                let kept = without_later(desk, &name.value, tree, &later);
                if tree.entries().len() > kept.entries().len() && kept.get("model").is_none() {
                    // A route of a later version: that was said already.
                    continue;
                }
                let Some(spec) = desk.under(name, &kept) else { continue };
                if let Some(member) = model(desk, spec, providers) {
                    single.insert(known, member);
                }
            }
        }
    }
    let mut models: BTreeMap<Arc<str>, ModelSettings> = single
        .iter()
        .map(|(name, member)| (Arc::clone(name), ModelSettings::One(member.clone())))
        .collect();
    for (name, known, route) in routes {
        let names: Vec<&str> = entries.iter().map(|(name, _)| name.value.as_str()).collect();
        let members = members(desk, name, &route.first_healthy, &single, &names, providers);
        models.insert(known, ModelSettings::FirstHealthy(members));
    }
    models
}

fn model(
    desk: &mut Desk<'_>,
    spec: ModelSpec,
    providers: &mut BTreeMap<Arc<str>, Provider>,
) -> Option<Member> {
    let member = bare(desk, &spec.model, providers);
    let dialect = member.as_ref().and_then(|member| providers.get(&member.provider));
    let params = match (&spec.params, dialect) {
        (Some(tree), Some(provider)) => params(desk, tree, &provider.dialect),
        _ => Map::new(),
    };
    let dimensions = spec.dimensions.and_then(|n| desk.bounded(&n, 1, MOST_DIMENSIONS));
    Some(Member {
        free: spec.price.is_some() || member.as_ref().is_some_and(|member| member.free),
        params,
        dimensions: dimensions.and_then(|n| u32::try_from(n).ok()),
        max_in_flight: in_flight(desk, spec.max_in_flight),
        ..member?
    })
}

/// Parameters that are sent along; those that would undo a promise are refused by their dialect.
fn params(desk: &mut Desk<'_>, tree: &Tree, dialect: &str) -> Map<String, Json> {
    for (key, _) in desk.named("params", tree) {
        if dialect::reserved(dialect).contains(&key.value.as_str()) {
            let message = format!("`{}` can't be set under `params`", key.value);
            let help = "it follows from the stage and the engine's promises";
            desk.error(key.place(), "reserved-param", message, Some(help));
        }
    }
    match tree.to_json() {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}

/// `provider/model`, split at the first slash.
fn bare(
    desk: &mut Desk<'_>,
    text: &Spanned<String>,
    providers: &mut BTreeMap<Arc<str>, Provider>,
) -> Option<Member> {
    let Some((provider, model)) = text.value.split_once('/').filter(|(_, model)| !model.is_empty())
    else {
        let message = format!("`{}` is no model of a provider", text.value);
        desk.error(text.place(), "bad-value", message, Some("write `provider/model`"));
        return None;
    };
    if provider == SIMULATED {
        providers.entry(SIMULATED.into()).or_insert_with(Provider::simulated);
    }
    let Some((provider, settings)) = providers.get_key_value(provider) else {
        let message = format!("there is no provider `{provider}`");
        let names = providers.keys().map(|name| &**name);
        let help = suggestion(provider, "providers are", names)
            .unwrap_or_else(|| format!("write `providers: {{ {provider}: {{ … }} }}`"));
        desk.error(text.place(), "unknown-provider", message, Some(&help));
        return None;
    };
    Some(Member {
        provider: Arc::clone(provider),
        model: model.into(),
        // What nobody is asked for costs nothing.
        free: &*settings.dialect == SIMULATED,
        params: Map::new(),
        dimensions: None,
        max_in_flight: None,
    })
}

fn members(
    desk: &mut Desk<'_>,
    route: &Spanned<String>,
    list: &Spanned<Vec<Spanned<String>>>,
    single: &BTreeMap<Arc<str>, Member>,
    names: &[&str],
    providers: &mut BTreeMap<Arc<str>, Provider>,
) -> Vec<Member> {
    if list.value.is_empty() || list.value.len() > MOST_MEMBERS {
        let message = format!("route `{}` needs 1 to {MOST_MEMBERS} members", route.value);
        desk.error(list.place(), "bad-value", message, None);
        return Vec::new();
    }
    let mut members: Vec<Member> = Vec::new();
    for name in &list.value {
        let member = match (single.get(name.value.as_str()), name.value.contains('/')) {
            (Some(member), _) => member.clone(),
            (None, true) => match bare(desk, name, providers) {
                Some(member) => member,
                None => continue,
            },
            // It is there and wrong, or a route.
            (None, false) if names.contains(&name.value.as_str()) => {
                let message = format!("`{}` is no single model", name.value);
                let help = "the members of a route are models, not routes";
                desk.error(name.place(), "bad-value", message, Some(help));
                continue;
            }
            (None, false) => {
                let message = format!("there is no model `{}`", name.value);
                let known = single.keys().map(|name| &**name);
                let help = suggestion(&name.value, "models are", known)
                    .unwrap_or_else(|| "name a model, or write `provider/model`".to_owned());
                desk.error(name.place(), "unknown-model", message, Some(&help));
                continue;
            }
        };
        if members.iter().any(|other| other.key() == member.key()) {
            let message = format!("`{}` stands in route `{}` twice", name.value, route.value);
            desk.error(name.place(), "bad-value", message, Some("keep one"));
            continue;
        }
        members.push(member);
    }
    members
}
