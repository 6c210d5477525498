//! A JSON value as templates see it, read where it lies: an event has dozens of fields, a template asks for a few.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::Value;
use minijinja::value::{Enumerator, Object};
use serde_json::{Map, Value as Json};

use super::from_json;

/// The same as [`from_json`] makes of it, but made only where it is asked for.
pub fn shared(value: &Arc<Json>) -> Value {
    match **value {
        Json::Object(_) => Part::value(value, Vec::new()),
        _ => from_json(value),
    }
}

/// An object within a JSON value, and what was asked for of it: each field is made once. It holds no part above it, which
/// holds this one.
#[derive(Debug)]
struct Part {
    whole: Arc<Json>,
    path: Vec<Box<str>>,
    made: Mutex<HashMap<Box<str>, Value>>,
}

impl Part {
    fn value(whole: &Arc<Json>, path: Vec<Box<str>>) -> Value {
        Value::from_object(Part { whole: Arc::clone(whole), path, made: Mutex::default() })
    }

    fn fields(&self) -> Option<&Map<String, Json>> {
        let mut part = &*self.whole;
        for name in &self.path {
            part = part.get(&**name)?;
        }
        part.as_object()
    }
}

impl Object for Part {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        let field = self.fields()?.get(name)?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = made.get(name) {
            return Some(value.clone());
        }
        let value = match field {
            Json::Object(_) => {
                let path = self.path.iter().cloned().chain([name.into()]).collect();
                Part::value(&self.whole, path)
            }
            plain => from_json(plain),
        };
        made.insert(name.into(), value.clone());
        Some(value)
    }

    /// In the order of MiniJinja's own maps.
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let mut names: Vec<&str> = self
            .fields()
            .into_iter()
            .flat_map(|fields| fields.keys().map(String::as_str))
            .collect();
        names.sort_unstable();
        Enumerator::Values(names.into_iter().map(Value::from).collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        self.fields().map(Map::len)
    }
}
