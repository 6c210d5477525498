//! `publish`: one more output record, to any topic, in the event's transaction.
//!
//! ```yaml
//! command:
//!   needs: [advice]
//!   publish:
//!     topic: press-commands
//!     key: "{{ record.key }}"
//!     value: { action: "{{ advice.action }}", expires_in: 60s }
//!     headers: { reason: "{{ advice.reason }}" }
//! ```
//! The output is `{ topic, key }`. The record is written when the event completes, and dropped when it fails. Without
//! `key` it carries the event's key, as results do. `value: null` writes a tombstone. The topic is a literal.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::base::template::{Shape, Template};
use crate::base::yaml::{Spanned, Text, Tree, place};
use crate::model::Call;

use super::desk::{Desk, optional};
use super::fields::{self, Fields};
use super::{
    BuildError, Effect, Facts, Kind, Publish, Reply, Seat, Stage, StageError, StageKind, Wiring,
};

/// Parameters.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A topic, literal.
    pub topic: Spanned<String>,
    /// Key of the record; the event's key when not written.
    pub key: Option<Text>,
    /// Value of the record, encoded as the topic's settings say.
    pub value: Tree,
    /// Headers of the record.
    #[serde(default)]
    pub headers: Fields,
}

impl super::Params for Params {
    fn verb(&self) -> &'static str {
        "publish"
    }

    fn check(&self, desk: &mut dyn Desk) -> Option<StageKind> {
        let topic = desk.topic(&self.topic);
        let key = optional(self.key.as_ref().map(|key| desk.template(key)));
        let value = desk.shape(&self.value);
        let refused = self.headers.0.iter().filter(|(name, _)| !check_header(name, desk)).count();
        let headers = self.headers.check(desk).filter(|_| refused == 0);
        Some(Arc::new(Record { topic: topic?, key: key?, value: value?, headers: headers? }))
    }
}

/// The engine itself writes some headers on every output.
fn check_header(name: &Spanned<String>, desk: &mut dyn Desk) -> bool {
    let lower = name.value.to_ascii_lowercase();
    let prefixed = ["vivremotion.", "ce_"].iter().any(|prefix| lower.starts_with(prefix));
    if !prefixed && !matches!(lower.as_str(), "traceparent" | "tracestate") {
        return true;
    }
    let message = format!("the engine itself writes the header `{}`", name.value);
    desk.error(place(name), "reserved-header", message, Some("choose another name".to_owned()));
    false
}

#[derive(Clone, Debug)]
struct Record {
    topic: Arc<str>,
    key: Option<Template>,
    value: Shape,
    headers: fields::Templates,
}

impl Kind for Record {
    fn facts(&self) -> Facts {
        Facts {
            topics: vec![self.topic.clone()],
            effect: true,
            settings: vec![("topic", self.topic.to_string())],
            ..Facts::default()
        }
    }

    fn with_model(&self, _model: Arc<str>) -> Option<StageKind> {
        None
    }

    fn build(&self, _seat: &Seat, _wiring: &Wiring) -> Result<Box<dyn Stage>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Stage for Record {
    async fn run(&self, scope: &minijinja::Value, call: &Call) -> Result<Reply, StageError> {
        let key = match &self.key {
            Some(template) => Some(template.render(scope)?),
            None => event_key(scope),
        };
        let headers = self.headers.render(scope)?;
        let publish = Publish {
            stage: call.key.stage.clone(),
            item: call.key.item,
            topic: self.topic.clone(),
            key: key.clone(),
            value: self.value.render(scope)?,
            headers: headers.into_iter().map(|(n, v)| (n, Value::String(v))).collect::<Map<_, _>>(),
        };
        Ok(Reply {
            value: json!({ "topic": &*self.topic, "key": key }),
            effects: vec![Effect::Publish(publish)],
            ..Reply::default()
        })
    }
}

/// The record's own key as text; none when it has none.
fn event_key(scope: &minijinja::Value) -> Option<String> {
    let key = scope.get_attr("record").ok()?.get_attr("key").ok()?;
    (!key.is_none() && !key.is_undefined()).then(|| key.to_string())
}
