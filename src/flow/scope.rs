//! The names that a pipeline's templates see: `event`, `record`, `stages`, `item`, and stages by their own name. A
//! snapshot: cheap to make, since values are shared.

use std::collections::HashMap;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object};

/// Index of each stage's name.
pub type Names = Arc<HashMap<Arc<str>, usize>>;

/// What templates see of one event at one moment.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The decoded value and nothing else.
    pub event: Value,
    /// Id, key, headers, time and identity of the record.
    pub record: Value,
    /// Stage names.
    pub names: Names,
    /// By stage: its value, none when it was skipped or failed, undefined while it has not settled.
    pub values: Vec<Value>,
    /// By stage: its status in words.
    pub statuses: Vec<&'static str>,
    /// The item of an `each`.
    pub item: Option<Value>,
}

impl Scope {
    /// At the admission of an event.
    pub fn new(event: Value, record: Value, names: Names) -> Self {
        let stages = names.len();
        Scope {
            event,
            record,
            names,
            values: vec![Value::UNDEFINED; stages],
            statuses: vec!["waiting"; stages],
            item: None,
        }
    }

    /// The same with one item of an `each`.
    pub fn with_item(&self, item: Value) -> Self {
        Scope { item: Some(item), ..self.clone() }
    }

    /// Nothing is to be rendered with it any more.
    pub fn forget(&mut self) {
        (self.event, self.record, self.item) = (Value::UNDEFINED, Value::UNDEFINED, None);
        (self.values, self.statuses) = Default::default();
    }

    /// As what templates render with.
    pub fn into_value(self) -> Value {
        Value::from_object(self)
    }
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "event" => Some(self.event.clone()),
            "record" => Some(self.record.clone()),
            "stages" => Some(Value::from_object(Stages(Arc::clone(self)))),
            "item" => self.item.clone(),
            name => self.names.get(name).map(|stage| self.values[*stage].clone()),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let fixed = ["event", "record", "stages"].into_iter().map(Value::from);
        Enumerator::Values(
            fixed.chain(self.names.keys().map(|name| Value::from(&**name))).collect(),
        )
    }
}

/// `stages.<name>.status`.
#[derive(Debug)]
struct Stages(Arc<Scope>);

impl Object for Stages {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let stage = *self.0.names.get(key.as_str()?)?;
        Some(Value::from_iter([("status", Value::from(self.0.statuses[stage]))]))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.names.keys().map(|name| Value::from(&**name)).collect())
    }
}
