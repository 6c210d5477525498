//! What is known of a value before any event has come: enough to say that a template names a field that is not there.
//! What is not known is [`Fields::Any`], and nothing is said of it.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::base::template_names::Step;

/// Levels of a schema that are followed.
const MAX_DEPTH: usize = 24;
/// Parts of a schema that are followed: types may name each other so that their tree is far larger than their text.
const MAX_PARTS: usize = 20_000;

/// What is known of a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fields {
    /// Nothing.
    Any,
    /// It has no fields: a text, a number.
    Leaf(&'static str),
    /// A list.
    List(Box<Fields>),
    /// A mapping with any keys.
    Keys(Box<Fields>),
    /// A record. Open: it may have more fields than these.
    Record {
        /// Known fields.
        fields: BTreeMap<String, Fields>,
        /// Whether more may be there.
        open: bool,
    },
}

/// A step that leads nowhere.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Missing {
    /// The path up to and with the step.
    pub(super) path: String,
    /// What is there instead.
    pub(super) instead: String,
    /// Fields that are known.
    pub(super) known: Vec<String>,
    /// Whether it is certain: an open record may have it yet.
    pub(super) certain: bool,
}

impl Fields {
    /// A closed record of fields of which nothing more is known.
    pub(super) fn record(names: &[&str]) -> Fields {
        let fields = names.iter().map(|name| ((*name).to_owned(), Fields::Any)).collect();
        Fields::Record { fields, open: false }
    }

    /// What retrieval brings.
    pub(super) fn passages() -> Fields {
        Fields::List(Box::new(Fields::record(&["id", "score", "text", "payload"])))
    }

    /// Follows the steps of a name.
    pub(super) fn follow(&self, root: &str, steps: &[Step]) -> Result<(), Missing> {
        let (mut here, mut path) = (self, root.to_owned());
        for step in steps {
            match step {
                Step::Field(name) => path = format!("{path}.{name}"),
                Step::Index => path.push_str("[…]"),
            }
            let missing = |instead: &str, known: Vec<String>, certain| {
                Err(Missing { path: path.clone(), instead: instead.to_owned(), known, certain })
            };
            here = match (here, step) {
                (Fields::Any, _) => return Ok(()),
                (Fields::Record { fields, open }, Step::Field(name)) => match fields.get(name) {
                    Some(field) => field,
                    None => return missing("", fields.keys().cloned().collect(), !open),
                },
                (Fields::Keys(inner), Step::Field(_)) | (Fields::List(inner), Step::Index) => inner,
                (Fields::List(_), Step::Field(_)) => return missing("a list", Vec::new(), true),
                (Fields::Leaf(what), Step::Field(_)) => return missing(what, Vec::new(), true),
                // A text may be indexed, a record by a number is seldom meant but not wrong in YAML's eyes.
                (Fields::Leaf(_) | Fields::Record { .. } | Fields::Keys(_), Step::Index) => {
                    return Ok(());
                }
            };
        }
        Ok(())
    }

    /// From an Avro schema, as values of that schema look in a template.
    pub(super) fn from_avro(schema: &Value) -> Fields {
        let mut named = BTreeMap::new();
        collect(schema, "", &mut named, 0);
        avro(schema, "", &Types { named, parts: Cell::new(0) }, 0)
    }

    /// From a JSON schema.
    pub(super) fn from_json_schema(schema: &Value) -> Fields {
        json_schema(schema, 0)
    }

    /// From a value with templates in its leaves: `map` gives it.
    pub(super) fn from_value(value: &Value) -> Fields {
        match value {
            Value::Object(map) => {
                let field =
                    |(name, value): (&String, &Value)| (name.clone(), Self::from_value(value));
                Fields::Record { fields: map.iter().map(field).collect(), open: false }
            }
            Value::String(text) => match crate::base::template::whole_expression(text) {
                Some(_) => Fields::Any,
                None => Fields::Leaf("a text"),
            },
            Value::Number(_) => Fields::Leaf("a number"),
            Value::Null | Value::Bool(_) | Value::Array(_) => Fields::Any,
        }
    }
}

fn full_name(schema: &Map<String, Value>, namespace: &str) -> Option<(String, String)> {
    let name = schema.get("name")?.as_str()?;
    let namespace = match (name.rsplit_once('.'), schema.get("namespace")) {
        (Some((space, _)), _) => space,
        (None, Some(space)) => space.as_str().unwrap_or(namespace),
        (None, None) => namespace,
    };
    let short = name.rsplit('.').next().unwrap_or(name);
    Some((qualified(short, namespace), namespace.to_owned()))
}

fn qualified(name: &str, namespace: &str) -> String {
    match namespace.is_empty() || name.contains('.') {
        true => name.to_owned(),
        false => format!("{namespace}.{name}"),
    }
}

/// Avro names a type once and then refers to it.
fn collect<'a>(
    schema: &'a Value,
    namespace: &str,
    named: &mut BTreeMap<String, &'a Value>,
    depth: usize,
) {
    if depth > MAX_DEPTH {
        return;
    }
    match schema {
        Value::Array(union) => union.iter().for_each(|s| collect(s, namespace, named, depth + 1)),
        Value::Object(map) => {
            let name = full_name(map, namespace);
            let inner = name.as_ref().map_or(namespace, |(_, space)| space).to_owned();
            if let Some((name, _)) = name {
                named.entry(name).or_insert(schema);
            }
            let fields = map.get("fields").and_then(Value::as_array).into_iter().flatten();
            let types = fields.filter_map(|field| field.get("type"));
            let more = ["type", "items", "values"].into_iter().filter_map(|key| map.get(key));
            types
                .chain(more.filter(|value| !value.is_string()))
                .for_each(|s| collect(s, &inner, named, depth + 1));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

struct Types<'a> {
    named: BTreeMap<String, &'a Value>,
    parts: Cell<usize>,
}

impl<'a> Types<'a> {
    fn find(&self, name: &str, namespace: &str) -> Option<&'a Value> {
        self.named.get(&qualified(name, namespace)).or_else(|| self.named.get(name)).copied()
    }
}

fn avro(schema: &Value, namespace: &str, types: &Types<'_>, depth: usize) -> Fields {
    types.parts.set(types.parts.get() + 1);
    if depth > MAX_DEPTH || types.parts.get() > MAX_PARTS {
        return Fields::Any;
    }
    let deeper = |schema: &Value, space: &str| avro(schema, space, types, depth + 1);
    match schema {
        Value::String(name) => match name.as_str() {
            "string" | "bytes" => Fields::Leaf("a text"),
            "int" | "long" | "float" | "double" => Fields::Leaf("a number"),
            "boolean" => Fields::Leaf("a truth value"),
            "null" => Fields::Any,
            name => match types.find(name, namespace) {
                Some(schema) => deeper(schema, namespace),
                None => Fields::Any,
            },
        },
        // A union shows as its inner value; of several, nothing is known.
        Value::Array(union) => {
            let mut inner = union.iter().filter(|member| member.as_str() != Some("null"));
            match (inner.next(), inner.next()) {
                (Some(only), None) => deeper(only, namespace),
                _ => Fields::Any,
            }
        }
        Value::Object(map) => match map.get("type") {
            Some(Value::String(kind)) => match kind.as_str() {
                "record" | "error" => {
                    let space =
                        full_name(map, namespace).map(|(_, space)| space).unwrap_or_default();
                    let fields = map.get("fields").and_then(Value::as_array).into_iter().flatten();
                    let field = |field: &Value| {
                        let name = field.get("name")?.as_str()?.to_owned();
                        Some((name, deeper(field.get("type")?, &space)))
                    };
                    Fields::Record { fields: fields.filter_map(field).collect(), open: false }
                }
                "array" => {
                    let items = map.get("items").map(|items| deeper(items, namespace));
                    Fields::List(Box::new(items.unwrap_or(Fields::Any)))
                }
                "map" => {
                    let values = map.get("values").map(|values| deeper(values, namespace));
                    Fields::Keys(Box::new(values.unwrap_or(Fields::Any)))
                }
                "enum" | "fixed" => Fields::Leaf("a text"),
                // Decimals, timestamps and the like show as text; what is plain below them is a leaf either way.
                other => deeper(&Value::String(other.to_owned()), namespace),
            },
            Some(inner) => deeper(inner, namespace),
            None => Fields::Any,
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => Fields::Any,
    }
}

fn json_schema(schema: &Value, depth: usize) -> Fields {
    let Value::Object(map) = schema else { return Fields::Any };
    let mixed = ["$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "patternProperties"];
    if depth > MAX_DEPTH || mixed.iter().any(|key| map.contains_key(*key)) {
        return Fields::Any;
    }
    match map.get("type").and_then(Value::as_str) {
        Some("string") => Fields::Leaf("a text"),
        Some("number" | "integer") => Fields::Leaf("a number"),
        Some("boolean") => Fields::Leaf("a truth value"),
        Some("array") => {
            let items = map.get("items").map(|items| json_schema(items, depth + 1));
            Fields::List(Box::new(items.unwrap_or(Fields::Any)))
        }
        Some("object") => match map.get("properties").and_then(Value::as_object) {
            Some(properties) => {
                let field =
                    |(name, s): (&String, &Value)| (name.clone(), json_schema(s, depth + 1));
                let open = map.get("additionalProperties") != Some(&Value::Bool(false));
                Fields::Record { fields: properties.iter().map(field).collect(), open }
            }
            None => Fields::Any,
        },
        _ => Fields::Any,
    }
}

#[cfg(test)]
mod tests;
