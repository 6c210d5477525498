//! The fields beside a passage's text, the same from every store: in one order, and without those that the store
//! keeps for itself (`id`, `tenant` and the text).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Collection, Forget, MemoryError, MemoryErrorKind};

impl Collection {
    /// Whether a field is the store's own.
    pub(super) fn reserves(&self, field: &str) -> bool {
        field == self.text || (self.ours && (field == "id" || field == "tenant"))
    }
}

/// The author's fields in the order of their names, at every level: a store that keeps no order then answers like one
/// that does, and a prompt made of them is the same text each time.
pub(super) fn sorted(collection: &Collection, payload: Map<String, Value>) -> Map<String, Value> {
    order(payload.into_iter().filter(|(field, _)| !collection.reserves(field)))
}

fn order(fields: impl IntoIterator<Item = (String, Value)>) -> Map<String, Value> {
    let ordered: BTreeMap<String, Value> = fields.into_iter().collect();
    ordered.into_iter().map(|(field, value)| (field, ordered_value(value))).collect()
}

fn ordered_value(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(order(fields)),
        Value::Array(items) => Value::Array(items.into_iter().map(ordered_value).collect()),
        plain => plain,
    }
}

/// Whether every wanted field is there and equal; a field that is a list is equal when one of its items is.
pub(super) fn fields_equal(
    wanted: &Map<String, Value>,
    field: impl Fn(&str) -> Option<Value>,
) -> bool {
    wanted.iter().all(|(name, wanted)| match field(name) {
        Some(Value::Array(items)) => items.contains(wanted),
        Some(value) => value == *wanted,
        None => false,
    })
}

/// Checks that every store can tell what is meant: at least one field, plain names, and values that have an equal.
pub(super) fn check(collection: &Collection, what: &Forget) -> Result<(), MemoryError> {
    let refuse = |message: String| Err(MemoryError { kind: MemoryErrorKind::Invalid, message });
    let sides = match what {
        Forget::Id(_) => return Ok(()),
        Forget::Where(fields) => vec![fields],
        Forget::Outdated { of, current } => vec![of, current],
    };
    for fields in sides {
        if fields.is_empty() {
            return refuse(format!(
                "forgetting in collection `{}` needs at least one field to go by",
                collection.name
            ));
        }
        for (name, value) in fields {
            if name.contains(['.', '[', '"']) {
                return refuse(format!("field `{name}` can't be forgotten by: use a plain name"));
            }
            let whole = value.is_i64() || value.is_string() || value.is_boolean();
            if !whole {
                return refuse(format!(
                    "field `{name}` can't be forgotten by: give text, a whole number, `true` or `false`"
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
