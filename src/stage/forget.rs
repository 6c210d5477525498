//! `forget`: passages out of memory.
//!
//! ```yaml
//! drop:
//!   when: record.tombstone
//!   forget: { collection: products, id: "{{ record.key }}" }
//! ```
//! By `id`, or `where: { field: value }`: every passage of the event's tenant whose payload fields equal these. The
//! output is `{ id }`, null with `where`. The deletion is done after the event's last stage, and dropped when the event
//! fails.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::base::template::{Shape, Template};
use crate::base::yaml::{Spanned, Text, Tree, TreeValue, place};
use crate::context::memory;
use crate::model::Call;

use super::desk::Desk;
use super::{BuildError, Effect, Facts, Kind, Reply, Seat, Stage, StageError, StageKind, Wiring};

/// Parameters.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A collection, literal.
    pub collection: Spanned<String>,
    /// The author's id of the passage.
    pub id: Option<Text>,
    /// Payload fields with the values they must have.
    #[serde(rename = "where")]
    pub fields: Option<Tree>,
}

impl super::Params for Params {
    fn verb(&self) -> &'static str {
        "forget"
    }

    fn check(&self, desk: &mut dyn Desk) -> Option<StageKind> {
        let collection = desk.collection(&self.collection);
        let what = self.check_what(desk);
        Some(Arc::new(Forget { collection: collection?, what: what? }))
    }
}

impl Params {
    fn check_what(&self, desk: &mut dyn Desk) -> Option<What> {
        match (&self.id, &self.fields) {
            (Some(id), None) => desk.template(id).map(What::Id),
            (None, Some(fields)) => match &fields.value {
                TreeValue::Map(entries) if !entries.is_empty() => {
                    desk.shape(fields).map(What::Where)
                }
                TreeValue::Map(_) | TreeValue::Leaf(_) | TreeValue::List(_) => {
                    let message = "`where` names no field, so it would forget everything";
                    let help =
                        "name at least one, such as `where: { ticket: \"{{ record.key }}\" }`";
                    desk.error(fields.place(), "empty-where", message.into(), Some(help.into()));
                    None
                }
            },
            (None, None) | (Some(_), Some(_)) => {
                let message = "`forget` takes exactly one of `id` and `where`".to_owned();
                desk.error(place(&self.collection), "forget-what", message, None);
                None
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Forget {
    collection: Arc<str>,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Id(Template),
    Where(Shape),
}

impl Kind for Forget {
    fn facts(&self) -> Facts {
        Facts {
            collection: Some(self.collection.clone()),
            effect: true,
            settings: vec![("collection", self.collection.to_string())],
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
impl Stage for Forget {
    async fn run(&self, scope: &minijinja::Value, call: &Call) -> Result<Reply, StageError> {
        let (id, what) = match &self.what {
            What::Id(template) => {
                let id = super::remember::non_empty(template.render(scope)?)?;
                (Value::String(id.clone()), memory::Forget::Id(id))
            }
            What::Where(shape) => (Value::Null, memory::Forget::Where(fields(shape, scope)?)),
        };
        let effect = Effect::Forget {
            collection: self.collection.clone(),
            tenant: call.tenant.clone(),
            what,
        };
        Ok(Reply { value: json!({ "id": id }), effects: vec![effect], ..Reply::default() })
    }
}

/// A field must equal a text, a number or a truth value: a null is rather a field the event did not have.
fn fields(
    shape: &Shape,
    scope: &minijinja::Value,
) -> Result<serde_json::Map<String, Value>, StageError> {
    let Value::Object(fields) = shape.render(scope)? else {
        return Err(StageError::permanent("not-a-mapping", "`where` gives no mapping"));
    };
    match fields.iter().find(|(_, value)| value.is_null() || value.is_object() || value.is_array())
    {
        None => Ok(fields),
        Some((name, _)) => Err(StageError::permanent(
            "not-a-plain-value",
            format!("`where.{name}` gives neither a text nor a number nor a truth value"),
        )),
    }
}
