//! From a file to [`Settings`]: parse, refuse what is written out, resolve references, read section by section, then
//! check what the sections say of each other.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::desk::Desk;
use super::environment::Environment;
use super::{
    Local, LogSettings, ModelSettings, Prices, Settings, engine, log, memory, models, prices,
    registry, secrets, topics,
};
use crate::base::diagnostic::{Diagnostics, Place};
use crate::base::nearest::{nearest, suggestion};
use crate::base::quantity::Amount;
use crate::base::yaml::{self, Spanned, Tree, TreeValue};
use crate::event::money::Money;

/// The file that is read when none is named, if it is there.
pub const DEFAULT_FILE: &str = "vivremotion.yaml";
/// Version of the grammar.
const GRAMMAR: u64 = 1;
/// The sections of the file.
const KEYS: [&str; 12] = [
    "vivremotion",
    "log",
    "registry",
    "memory",
    "providers",
    "models",
    "budget",
    "engine",
    "topics",
    "prices",
    "state",
    "server",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BudgetSpec {
    per_day: Option<Spanned<Amount>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerSpec {
    listen: Option<Spanned<String>>,
}

/// Reads the settings of a file; without one everything is embedded.
pub fn load(path: Option<&Path>, environment: &dyn Environment) -> Result<Settings, Diagnostics> {
    let Some(path) = path else { return Ok(Settings::default()) };
    let file = path.display().to_string();
    match yaml::read(path) {
        Ok(text) => read(&file, &text, environment),
        Err(why) => {
            let mut found = Diagnostics::new();
            let message = format!("can't read the settings: {why}");
            let help = "name another file with `--settings`".to_owned();
            found.error(&file.into(), Place::default(), "unreadable-file", message, Some(help));
            Err(found)
        }
    }
}

/// Reads the settings of a text.
pub fn read(
    file: &str,
    text: &str,
    environment: &dyn Environment,
) -> Result<Settings, Diagnostics> {
    let file: Arc<str> = file.into();
    let (tree, found) = yaml::load(&file, text);
    let Some(mut tree) = tree else { return Err(found) };
    let mut desk = Desk { file: &file, environment, found, currency: None };
    secrets::inline(&file, &tree, &mut desk.found);
    let resolved = secrets::resolve(&file, &mut tree, environment, &mut desk.found);
    let mut settings = sections(&mut desk, &tree);
    let mut found = Diagnostics::new();
    found.source(&file, text);
    secrets::conceal(&desk.found, &resolved).into_iter().for_each(|item| found.push(item));
    match found.has_errors() {
        true => Err(found),
        false => {
            settings.warnings = found;
            Ok(settings)
        }
    }
}

fn sections(desk: &mut Desk<'_>, tree: &Tree) -> Settings {
    let mut settings = Settings { open: false, ..Settings::default() };
    if !matches!(tree.value, TreeValue::Map(_)) {
        let help = "start with `vivremotion: 1`";
        desk.error(tree.place(), "wrong-type", "a settings file is a mapping", Some(help));
        return settings;
    }
    keys(desk, tree);
    let section = |name: &str| tree.entries().iter().find(|(key, _)| key.value == name);
    if let Some((key, tree)) = section("state") {
        settings.state = state(desk, key, tree).unwrap_or(settings.state);
        settings.log = LogSettings::Local(Local::in_folder(&settings.state));
    }
    if let Some((key, tree)) = section("log") {
        let read = log::read(desk, key, tree, &settings.state);
        settings.log = read.unwrap_or(settings.log);
    }
    if let Some((key, tree)) = section("registry") {
        settings.registry = registry::read(desk, key, tree).unwrap_or(settings.registry);
    }
    if let Some((_, tree)) = section("providers") {
        settings.providers = models::providers(desk, tree);
    }
    if let Some((_, tree)) = section("models") {
        settings.models = models::models(desk, tree, &mut settings.providers);
    }
    if let Some((key, tree)) = section("memory")
        && let Some((memory, embedders)) = memory::read(desk, key, tree)
    {
        settings.memory = memory;
        embedders.iter().for_each(|embedder| check_embedder(desk, &settings, embedder));
    }
    if let Some((_, tree)) = section("prices") {
        let (prices, names) = prices::read(desk, tree);
        settings.prices = prices;
        check_prices(desk, &settings, &names);
    }
    if let Some((key, tree)) = section("budget") {
        settings.per_day = budget(desk, key, tree);
    }
    if let Some((key, tree)) = section("engine") {
        settings.engine = engine::read(desk, key, tree).unwrap_or(settings.engine);
    }
    if let Some((_, tree)) = section("topics") {
        settings.topics = topics::read(desk, tree);
    }
    if let Some((key, tree)) = section("server") {
        settings.listen = listen(desk, key, tree).unwrap_or(settings.listen);
    }
    if let Some(currency) = desk.currency.take() {
        settings.currency = currency;
    }
    settings
}

fn keys(desk: &mut Desk<'_>, tree: &Tree) {
    for (key, _) in tree.entries() {
        if !KEYS.contains(&key.value.as_str()) {
            let free = KEYS.iter().copied().filter(|known| tree.get(known).is_none());
            let help = suggestion(&key.value, "keys that can stand here are", free);
            let message = format!("`{}` is not a key known in a settings file", key.value);
            desk.error(key.place(), "unknown-key", message, help.as_deref());
        }
    }
    let write = Some("write `vivremotion: 1`, the version of the grammar");
    match tree.entries().iter().find(|(key, _)| key.value == "vivremotion") {
        None => {
            let message = "the key `vivremotion` is missing";
            desk.error(tree.place(), "missing-key", message, write);
        }
        Some((key, version)) => {
            if desk.under::<u64>(key, version).is_some_and(|version| version != GRAMMAR) {
                let message = format!("expected `{GRAMMAR}`, the version of the grammar");
                desk.error(version.place(), "unknown-version", message, write);
            }
        }
    }
}

fn state(desk: &mut Desk<'_>, key: &Spanned<String>, tree: &Tree) -> Option<PathBuf> {
    let path: Spanned<String> = desk.under(key, tree)?;
    if path.value.is_empty() {
        desk.error(path.place(), "bad-value", "expected the path of a folder", None);
        return None;
    }
    Some(path.value.into())
}

fn budget(desk: &mut Desk<'_>, key: &Spanned<String>, tree: &Tree) -> Option<Money> {
    let spec: BudgetSpec = desk.under(key, tree)?;
    desk.money(&spec.per_day?)
}

fn listen(desk: &mut Desk<'_>, key: &Spanned<String>, tree: &Tree) -> Option<String> {
    let spec: ServerSpec = desk.under(key, tree)?;
    let address = spec.listen?;
    let fits = address
        .value
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !fits {
        let message = format!("`{}` is no address to listen at", address.value);
        desk.error(address.place(), "bad-value", message, Some("write `127.0.0.1:9464`"));
        return None;
    }
    Some(address.value)
}

/// Vectors of two models do not compare: a collection has one embedder, whose vectors have one known length.
fn check_embedder(desk: &mut Desk<'_>, settings: &Settings, embedder: &Spanned<String>) {
    let name = &embedder.value;
    match settings.models.get(name.as_str()) {
        None => {
            let message = format!("there is no model `{name}`");
            let known = settings.models.keys().map(|name| &**name);
            let help = suggestion(name, "models are", known)
                .unwrap_or_else(|| format!("define it under `models: {{ {name}: … }}`"));
            desk.error(embedder.place(), "unknown-model", message, Some(&help));
        }
        Some(ModelSettings::FirstHealthy(_)) => {
            let message = format!("`{name}` is a route: vectors of two models do not compare");
            desk.error(embedder.place(), "bad-embedder", message, Some("name a single model"));
        }
        Some(ModelSettings::One(member)) if member.dimensions.is_none() => {
            let message = format!("model `{name}` embeds and has no `dimensions`");
            let help = format!(
                "write `{name}: {{ model: {}, dimensions: … }}`, the length of its vectors",
                member.key()
            );
            desk.error(embedder.place(), "bad-embedder", message, Some(&help));
        }
        Some(ModelSettings::One(_)) => {}
    }
}

/// A price that nothing uses is most often a name that was mistyped.
fn check_prices(desk: &mut Desk<'_>, settings: &Settings, names: &[Spanned<String>]) {
    let used: Vec<String> =
        settings.models.values().flat_map(ModelSettings::members).map(|m| m.key()).collect();
    let without = |prices: &Prices| -> Vec<String> {
        used.iter().filter(|key| !prices.has(key)).cloned().collect()
    };
    let unpriced = without(&settings.prices);
    for name in names.iter().filter(|name| !used.contains(&name.value)) {
        if let Some(near) = nearest(&name.value, unpriced.iter().map(String::as_str)) {
            let message = format!("no model is `{}`, and `{near}` has no price", name.value);
            let help = format!("did you mean `{near}`?");
            desk.found.warning(desk.file, name.place(), "unused-price", message, Some(help));
        }
    }
}
