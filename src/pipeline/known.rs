//! What a check must know of the settings, and nothing more.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::event::money::DEFAULT_CURRENCY;

/// The names and words that settings define.
#[derive(Clone, Debug)]
pub struct Known {
    /// Models and routes, and whether every member has a price.
    pub models: BTreeMap<Arc<str>, bool>,
    /// Collections.
    pub collections: BTreeMap<Arc<str>, KnownCollection>,
    /// Topics that the settings list; any other has a text as its key and JSON as its value.
    pub topics: BTreeMap<Arc<str>, KnownTopic>,
    /// Start of every group's name.
    pub group_prefix: Arc<str>,
    /// Currency of prices and budgets.
    pub currency: Arc<str>,
    /// Topic of cost events.
    pub costs: Arc<str>,
    /// Name of dead letter topics, with `{topic}` and `{pipeline}`.
    pub dead_letters: Arc<str>,
    /// Name of call journals, with `{group}`; none where none is kept.
    pub journal: Option<Arc<str>>,
    /// Whether the engine as a whole has a budget: every price then matters.
    pub budgeted: bool,
    /// No settings: every model is simulated and free, every collection is local.
    pub open: bool,
}

/// A collection.
#[derive(Clone, Debug, Default)]
pub struct KnownCollection {
    /// The model that embeds its texts.
    pub embedder: Option<Arc<str>>,
    /// Whether another tool writes it: it then has no words to search, only vectors.
    pub foreign: bool,
}

/// A topic.
#[derive(Clone, Debug, Default)]
pub struct KnownTopic {
    /// Avro schema of its values, as JSON, when it is known.
    pub schema: Option<Value>,
}

/// Without any settings.
impl Default for Known {
    fn default() -> Self {
        Known {
            models: BTreeMap::new(),
            collections: BTreeMap::new(),
            topics: BTreeMap::new(),
            group_prefix: "vivremotion".into(),
            currency: DEFAULT_CURRENCY.into(),
            costs: "vivremotion.costs".into(),
            dead_letters: "{topic}.{pipeline}.dlq".into(),
            journal: Some("{group}.journal".into()),
            budgeted: false,
            open: true,
        }
    }
}

impl Known {
    /// Whether calls of a model have a price; a model that is not known has been taken down already.
    pub fn priced(&self, model: &str) -> bool {
        self.models.get(model).copied().unwrap_or(true)
    }

    /// The dead letter topic of a pipeline's input.
    pub fn dead_letter_topic(&self, topic: &str, pipeline: &str) -> Arc<str> {
        self.dead_letters.replace("{topic}", topic).replace("{pipeline}", pipeline).into()
    }

    /// The call journal of a group.
    pub fn journal_topic(&self, group: &str) -> Option<Arc<str>> {
        self.journal.as_ref().map(|journal| journal.replace("{group}", group).into())
    }
}
