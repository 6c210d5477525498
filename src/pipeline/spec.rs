//! What the author wrote, with places, before anything is resolved. The grammar in types: a key that is not here is
//! unknown.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use serde_json::Value as Json;

use crate::base::diagnostic::{Diagnostics, Place};
use crate::base::quantity::{Amount, Span};
use crate::base::yaml::{Spanned, Tree, TreeValue, refuse};
use crate::stage::StageSpec;

mod read;

pub use read::KEYS;

/// One pipeline file.
#[derive(Debug)]
pub struct Spec {
    /// Version of the grammar.
    pub grammar: Option<Spanned<u32>>,
    /// Name.
    pub name: Option<Spanned<String>>,
    /// The author's label.
    pub version: Option<Spanned<String>>,
    /// Consumer group, instead of `<group_prefix>.<pipeline>`.
    pub group: Option<Spanned<String>>,
    /// Time an event has.
    pub deadline: Option<Spanned<Span>>,
    /// Where events come from.
    pub source: Option<SourceSpec>,
    /// Limits.
    pub budget: BudgetSpec,
    /// Place of the key `budget`.
    pub budget_place: Place,
    /// Stages, in the author's order.
    pub stages: Vec<StageEntry>,
    /// Where results go.
    pub sink: Option<SinkSpec>,
    /// Place of the key `sink`.
    pub sink_place: Place,
}

impl Spec {
    /// Reads a file's tree section by section, so that a slip in one does not hide the others.
    pub fn read(file: &Arc<str>, tree: &Tree, found: &mut Diagnostics) -> Spec {
        read::spec(file, tree, found)
    }
}

/// `source`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSpec {
    /// Topic.
    pub topic: Spanned<String>,
    /// Where a group that never committed starts.
    pub from: Spanned<Start>,
    /// `key` or `none`.
    pub order: Option<Order>,
    /// An expression; what does not pass is counted and nothing else.
    pub filter: Option<Spanned<String>>,
    /// What a null value means.
    pub tombstones: Option<TombstonesSpec>,
}

/// `source.from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The oldest record kept.
    Earliest,
    /// Only what comes after the first start.
    Latest,
    /// Milliseconds since the epoch.
    Time(i64),
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match (text.as_str(), crate::base::clock::parse_time(&text)) {
            ("earliest", _) => Ok(Start::Earliest),
            ("latest", _) => Ok(Start::Latest),
            (_, Some(time)) => Ok(Start::Time(time)),
            (_, None) => {
                let help = "write `earliest`, `latest`, or a time such as `2026-01-31T08:00:00Z`";
                let message = format!("`{text}` is no place to start from");
                Err(refuse("bad-start", message, Some(help.into())))
            }
        }
    }
}

/// `source.order`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Events of one key run one after another.
    Key,
    /// Events run as they come.
    None,
}

/// `source.tombstones`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TombstonesSpec {
    /// Counted, nothing else.
    Skip,
    /// An event whose value is null.
    Deliver,
    /// A dead letter.
    DeadLetter,
}

/// `budget`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetSpec {
    /// Of one event.
    pub per_event: Option<Spanned<Amount>>,
    /// Of one UTC day.
    pub per_day: Option<Spanned<Amount>>,
    /// For ever.
    pub total: Option<Spanned<Amount>>,
    /// `fail` or `wait`.
    pub on_breach: Option<Spanned<Reaction>>,
}

/// One stage with its name.
#[derive(Debug)]
pub struct StageEntry {
    /// Name.
    pub name: Spanned<String>,
    /// Common keys; none when they could not be read.
    pub common: Option<Common>,
    /// The kind; none when it could not be read.
    pub kind: Option<(Place, StageSpec)>,
}

/// The keys that every stage may have.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Common {
    /// Stages that must be done.
    #[serde(default)]
    pub needs: Vec<Spanned<String>>,
    /// Stages that are waited for.
    #[serde(default)]
    pub wants: Vec<Spanned<String>>,
    /// An expression; false skips the stage.
    pub when: Option<Spanned<String>>,
    /// Fan-out.
    pub each: Option<EachSpec>,
    /// The whole stage, or item: all attempts and waits.
    pub timeout: Option<Spanned<Span>>,
    /// Attempts.
    pub retry: Option<RetrySpec>,
    /// `fail`, `skip`, `{ value: … }` or `{ model: … }`.
    pub on_error: Option<Spanned<Reaction>>,
    /// `wait`, `fail` or `{ value: … }`.
    pub on_down: Option<Spanned<Reaction>>,
}

/// `each`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EachSpec {
    /// An expression that gives a list.
    pub of: Spanned<String>,
    /// Items at a time.
    pub max_in_flight: Option<Spanned<u32>>,
    /// Longest list.
    pub max_items: Option<Spanned<u32>>,
    /// Items that must be done.
    pub min_success: Option<Spanned<Least>>,
}

/// `each.min_success`: a decimal point makes a share, an integer is a count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Least {
    /// Part of all.
    Share(f64),
    /// A number of items.
    Count(u64),
}

impl<'de> Deserialize<'de> for Least {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Least;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share such as `0.8` or a count such as `12`")
            }
            fn visit_u64<E: de::Error>(self, count: u64) -> Result<Least, E> {
                Ok(Least::Count(count))
            }
            fn visit_f64<E: de::Error>(self, share: f64) -> Result<Least, E> {
                Ok(Least::Share(share))
            }
        }
        deserializer.deserialize_any(Number)
    }
}

/// `retry`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetrySpec {
    /// Attempts in all.
    pub attempts: Spanned<u32>,
}

/// The one set of words for what happens when something is wrong; where which is allowed, a rule says.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reaction {
    /// It failed.
    Fail,
    /// As if `when` had been false.
    Skip,
    /// Intake pauses.
    Wait,
    /// This value stands in.
    Value(Tree),
    /// Another model is asked.
    Model(Spanned<String>),
}

impl Reaction {
    /// The word.
    pub fn word(&self) -> &'static str {
        match self {
            Reaction::Fail => "fail",
            Reaction::Skip => "skip",
            Reaction::Wait => "wait",
            Reaction::Value(_) => "value",
            Reaction::Model(_) => "model",
        }
    }
}

/// `sink`: `none`, or a mapping.
#[derive(Clone, Debug)]
pub enum SinkSpec {
    /// No results.
    None,
    /// Results.
    Topic(Box<TopicSink>),
}

/// `sink` with a topic.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicSink {
    /// Topic.
    pub topic: Spanned<String>,
    /// Stages whose values the result holds.
    pub outputs: Option<Spanned<Vec<Spanned<String>>>>,
    /// An expression; a completed event that does not pass yields no result.
    pub when: Option<Spanned<String>>,
    /// The user's own value, instead of our result.
    pub value: Option<Tree>,
    /// Topic of failed results, in our schema.
    pub failures: Option<Spanned<String>>,
}

impl SinkSpec {
    fn is_none(tree: &Tree) -> bool {
        matches!(&tree.value, TreeValue::Leaf(Json::String(word)) if word == "none")
    }
}
