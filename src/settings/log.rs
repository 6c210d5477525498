//! `log`: Kafka, or one local file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value as Json;

use super::desk::Desk;
use crate::base::quantity::Span;
use crate::base::secret::Secret;
use crate::base::sqlite::Synchronous;
use crate::base::yaml::{Spanned, Tree, TreeValue};
use crate::stream::Guarantee;
use crate::stream::kafka::{KafkaConfig, refusal};

/// File of the local log in the state folder.
pub(super) const FILE: &str = "log.db";
/// First part of every group's name.
pub(super) const GROUP_PREFIX: &str = "vivremotion";
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
/// A commit of the file costs a disk write, no round trips: little is gained by waiting for company.
const LOCAL_INTERVAL: Duration = Duration::from_millis(2);
/// Longer, and results would wait for nothing.
const LONGEST_INTERVAL: Duration = Duration::from_secs(10);

/// The log.
#[derive(Clone, Debug)]
pub enum LogSettings {
    /// One file.
    Local(Local),
    /// A cluster.
    Kafka(Box<Kafka>),
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The file.
    pub path: PathBuf,
    /// When a commit counts as done.
    pub synchronous: Synchronous,
    /// How long finished events wait for company.
    pub commit_interval: Duration,
}

impl Local {
    pub(super) fn in_folder(state: &Path) -> Self {
        Local {
            path: state.join(FILE),
            synchronous: Synchronous::Full,
            commit_interval: LOCAL_INTERVAL,
        }
    }
}

/// A cluster.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    /// First part of every group's name.
    pub group_prefix: Arc<str>,
    /// Whether outputs and progress are one transaction.
    pub guarantee: Guarantee,
    /// How long finished events wait for company.
    pub commit_interval: Duration,
    /// Name of this instance; none lets the engine choose.
    pub instance: Option<Arc<str>>,
    /// Whether topics and schemas are made when they are missing.
    pub create: bool,
    /// Client settings by their librdkafka names. Any of them may be a secret.
    pub client: Vec<(String, Secret)>,
    /// Names of the engine's own topics.
    pub names: Names,
}

impl Kafka {
    /// How the client reaches the cluster.
    pub fn config(&self) -> KafkaConfig {
        let exposed = |(name, value): &(String, Secret)| (name.clone(), value.expose().to_owned());
        KafkaConfig {
            brokers: self.brokers.clone(),
            client: self.client.iter().map(exposed).collect(),
            group_prefix: self.group_prefix.to_string(),
        }
    }
}

/// Names of the engine's own topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Cost events.
    pub costs: Arc<str>,
    /// Dead letters, with `{topic}` and `{pipeline}`.
    pub dead_letters: Arc<str>,
    /// Call journals, with `{group}`.
    pub journal: Arc<str>,
}

impl Default for Names {
    fn default() -> Self {
        Names {
            costs: "vivremotion.costs".into(),
            dead_letters: "{topic}.{pipeline}.dlq".into(),
            journal: "{group}.journal".into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum LogSpec {
    Local(LocalSpec),
    Kafka(Box<KafkaSpec>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LocalSpec {
    path: Option<Spanned<String>>,
    #[serde(default)]
    synchronous: SynchronousSpec,
    commit_interval: Option<Spanned<Span>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum SynchronousSpec {
    #[default]
    Full,
    Normal,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KafkaSpec {
    brokers: Spanned<String>,
    group_prefix: Option<Spanned<String>>,
    #[serde(default)]
    guarantee: GuaranteeSpec,
    commit_interval: Option<Spanned<Span>>,
    instance: Option<Spanned<String>>,
    #[serde(default)]
    create: bool,
    client: Option<Tree>,
    names: Option<Tree>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "snake_case")]
enum GuaranteeSpec {
    #[default]
    ExactlyOnce,
    AtLeastOnce,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamesSpec {
    costs: Option<Spanned<String>>,
    dead_letters: Option<Spanned<String>>,
    journal: Option<Spanned<String>>,
}

pub(super) fn read(
    desk: &mut Desk<'_>,
    key: &Spanned<String>,
    tree: &Tree,
    state: &Path,
) -> Option<LogSettings> {
    match desk.under(key, tree)? {
        LogSpec::Local(LocalSpec { path, synchronous, commit_interval }) => {
            let mut local = Local::in_folder(state);
            local.commit_interval = interval(desk, commit_interval.as_ref(), LOCAL_INTERVAL);
            if let SynchronousSpec::Normal = synchronous {
                local.synchronous = Synchronous::Normal;
            }
            if let Some(path) = path {
                if path.value.is_empty() {
                    desk.error(path.place(), "bad-value", "expected the path of a file", None);
                }
                local.path = path.value.into();
            }
            Some(LogSettings::Local(local))
        }
        LogSpec::Kafka(spec) => Some(LogSettings::Kafka(Box::new(kafka(desk, *spec)))),
    }
}

fn kafka(desk: &mut Desk<'_>, spec: KafkaSpec) -> Kafka {
    brokers(desk, &spec.brokers);
    let group_prefix = spec.group_prefix.and_then(|prefix| desk.name(&prefix));
    // Empty is a variable that is not set on this machine.
    let instance = spec.instance.filter(|name| !name.value.is_empty());
    let commit_interval = interval(desk, spec.commit_interval.as_ref(), COMMIT_INTERVAL);
    Kafka {
        brokers: spec.brokers.value,
        group_prefix: group_prefix.unwrap_or_else(|| GROUP_PREFIX.into()),
        guarantee: match spec.guarantee {
            GuaranteeSpec::ExactlyOnce => Guarantee::ExactlyOnce,
            GuaranteeSpec::AtLeastOnce => Guarantee::AtLeastOnce,
        },
        commit_interval,
        instance: instance.and_then(|name| desk.name(&name)),
        create: spec.create,
        client: spec.client.as_ref().map(|tree| client(desk, tree)).unwrap_or_default(),
        names: spec.names.as_ref().map(|tree| names(desk, tree)).unwrap_or_default(),
    }
}

fn interval(desk: &mut Desk<'_>, written: Option<&Spanned<Span>>, usual: Duration) -> Duration {
    match written {
        Some(interval) if interval.value.0 > LONGEST_INTERVAL => {
            let message = format!("expected at most {}", Span(LONGEST_INTERVAL));
            desk.error(interval.place(), "bad-value", message, None);
            usual
        }
        Some(interval) => interval.value.0,
        None => usual,
    }
}

fn brokers(desk: &mut Desk<'_>, brokers: &Spanned<String>) {
    let address = |address: &str| {
        let (host, port) = address.trim().rsplit_once(':')?;
        (!host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)).then_some(())
    };
    if brokers.value.split(',').any(|part| address(part).is_none()) {
        let message = format!("`{}` is no list of brokers", brokers.value);
        let help = "write `host:port`, several separated by commas";
        desk.error(brokers.place(), "bad-value", message, Some(help));
    }
}

fn client(desk: &mut Desk<'_>, tree: &Tree) -> Vec<(String, Secret)> {
    let mut client = Vec::new();
    for (key, inner) in desk.named("client", tree) {
        if let Some(reason) = refusal(&key.value) {
            let message = format!("`{}` can't be set under `client`", key.value);
            desk.error(key.place(), "owned-setting", message, Some(reason));
            continue;
        }
        let value = match &inner.value {
            TreeValue::Leaf(Json::String(text)) => text.clone(),
            TreeValue::Leaf(leaf @ (Json::Number(_) | Json::Bool(_))) => leaf.to_string(),
            TreeValue::Leaf(_) | TreeValue::List(_) | TreeValue::Map(_) => {
                let message = format!("expected a text or a number under `{}`", key.value);
                desk.error(inner.place(), "wrong-type", message, None);
                continue;
            }
        };
        client.push((key.value.clone(), Secret::new(value)));
    }
    client
}

fn names(desk: &mut Desk<'_>, tree: &Tree) -> Names {
    let mut names = Names::default();
    let under = Spanned::new("names".to_owned(), tree.place());
    let Some(spec) = desk.under::<NamesSpec>(&under, tree) else { return names };
    if let Some(costs) = spec.costs.and_then(|costs| desk.name(&costs)) {
        names.costs = costs;
    }
    if let Some(pattern) = spec.dead_letters {
        let holes = ["{topic}", "{pipeline}"];
        match is_pattern(&pattern.value, &holes) {
            true => names.dead_letters = pattern.value.into(),
            false => bad_pattern(
                desk,
                &pattern,
                "use letters, digits, `. _ -`, `{topic}` and `{pipeline}`",
            ),
        }
    }
    if let Some(pattern) = spec.journal {
        // Two groups can't share a journal: each finds the other's offsets in it.
        match is_pattern(&pattern.value, &["{group}"]) && pattern.value.contains("{group}") {
            true => names.journal = pattern.value.into(),
            false => {
                bad_pattern(desk, &pattern, "use letters, digits, `. _ -`, and `{group}` once")
            }
        }
    }
    names
}

fn is_pattern(pattern: &str, holes: &[&str]) -> bool {
    let rest = holes.iter().fold(pattern.to_owned(), |rest, hole| rest.replace(hole, ""));
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !pattern.is_empty() && rest.chars().all(fits)
}

fn bad_pattern(desk: &mut Desk<'_>, pattern: &Spanned<String>, help: &str) {
    let message = format!("`{}` can't be the name of a topic", pattern.value);
    desk.error(pattern.place(), "bad-name", message, Some(help));
}
