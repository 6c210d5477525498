//! Whether a schema may be sent with `strict: true`. Strict asks that every object closes itself and requires all it
//! names, and knows only some keywords; a schema outside of that is refused with 400, so it is sent as a hint instead
//! (the stage checks the answer against the schema either way).

use serde_json::Value;

/// Keywords that strict takes.
const KNOWN: &[&str] = &[
    "$schema",
    "$id",
    "$ref",
    "$defs",
    "definitions",
    "title",
    "description",
    "type",
    "enum",
    "const",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "anyOf",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
];
/// Deeper schemas are not looked into.
const DEEPEST: usize = 10;

/// See the module.
pub(super) fn fits(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("object") && part_fits(schema, 0)
}

fn part_fits(schema: &Value, depth: usize) -> bool {
    let Some(object) = schema.as_object() else { return false };
    if depth > DEEPEST || !object.keys().all(|key| KNOWN.contains(&key.as_str())) {
        return false;
    }
    let closed = match object.get("properties").and_then(Value::as_object) {
        Some(properties) => {
            let required = object.get("required").and_then(Value::as_array);
            object.get("additionalProperties") == Some(&Value::Bool(false))
                && properties.keys().all(|name| {
                    required.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(name)))
                })
        }
        None => object.get("type").and_then(Value::as_str) != Some("object"),
    };
    let all_fit = |key: &str| {
        object
            .get(key)
            .and_then(Value::as_object)
            .is_none_or(|parts| parts.values().all(|part| part_fits(part, depth + 1)))
    };
    closed
        && all_fit("properties")
        && all_fit("$defs")
        && all_fit("definitions")
        && object.get("items").is_none_or(|items| part_fits(items, depth + 1))
        && object
            .get("anyOf")
            .and_then(Value::as_array)
            .is_none_or(|parts| parts.iter().all(|part| part_fits(part, depth + 1)))
}
