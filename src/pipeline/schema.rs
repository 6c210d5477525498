//! The JSON schema of a pipeline file, for editors: `pipelines/pipeline.schema.json`. Made from one table; a test holds
//! the table against the types that read the file.

use serde_json::{Map, Value, json};

/// Keys of one mapping: name, what it holds, a sentence. A `!` ends the names of keys that must be there.
type Keys = &'static [(&'static str, Holds, &'static str)];

/// What a key holds.
#[derive(Clone, Copy, Debug)]
enum Holds {
    Text,
    Expression,
    TextOrFile,
    Prompt,
    Whole,
    Number,
    Duration,
    Amount,
    Anything,
    Schema,
    Headers,
    Names,
    Words(&'static [&'static str]),
    Reaction(&'static [&'static str]),
    Mapping(Keys),
    Stages,
    Sink,
}

use Holds::{
    Amount, Anything, Duration, Expression, Headers, Mapping, Names, Number, Prompt, Reaction,
    Schema, Sink, Stages, Text, TextOrFile, Whole, Words,
};

/// The file.
const FILE: Keys = &[
    ("vivremotion!", Whole, "Version of the grammar: 1."),
    ("pipeline!", Text, "Name: a lower-case letter, then lower-case letters, digits and `-`."),
    (
        "version",
        Text,
        "A label of your own; the true version is a digest of the file and what it includes.",
    ),
    ("group", Text, "Consumer group; `<group_prefix>.<pipeline>` when not written."),
    ("deadline", Duration, "Time an event has from its admission; 5m when not written."),
    ("source!", Mapping(SOURCE), "Where events come from."),
    ("budget", Mapping(BUDGET), "Limits of this pipeline."),
    ("stages!", Stages, "What is done with an event. A stage starts when what it needs is done."),
    ("sink!", Sink, "Where results go; `none` for no results."),
];

const SOURCE: Keys = &[
    ("topic!", Text, "Topic."),
    ("from!", Text, "Where a first start begins: `earliest`, `latest`, or a time."),
    ("order", Words(&["key", "none"]), "`key` (default): events of one key run one after another."),
    (
        "filter",
        Expression,
        "What does not pass is counted and nothing else. Sees `event` and `record`.",
    ),
    (
        "tombstones",
        Words(&["skip", "deliver", "dead_letter"]),
        "What a null value means; `skip` when not written.",
    ),
];

const BUDGET: Keys = &[
    ("per_event", Amount, "A call whose ceiling passes what is left fails the event."),
    ("per_day", Amount, "Of one UTC day."),
    ("total", Amount, "For ever."),
    (
        "on_breach",
        Reaction(&["fail", "wait"]),
        "At the day's or the total limit; `wait` when not written.",
    ),
];

const SINK: Keys = &[
    ("topic!", Text, "Topic."),
    (
        "outputs",
        Names,
        "Stages whose values the result holds. Needed when there is more than one stage.",
    ),
    ("when", Expression, "A completed event that does not pass yields no result."),
    ("value", Anything, "Your own value instead of our result; needs `failures`."),
    ("failures", Text, "Topic of failed results, in our schema."),
];

const COMMON: Keys = &[
    ("needs", Names, "Stages that must be done; one that was skipped skips this stage."),
    ("wants", Names, "Stages that are waited for; one that failed or was skipped is none."),
    ("when", Expression, "False skips the stage."),
    ("each", Mapping(EACH), "Runs the stage once for each item of a list; `item` is the item."),
    ("timeout", Duration, "The whole stage: all attempts and waits; 60s when not written."),
    ("retry", Mapping(RETRY), "Attempts."),
    (
        "on_error",
        Reaction(&["fail", "skip", "value", "model"]),
        "What a failure means; `fail` when not written.",
    ),
    (
        "on_down",
        Reaction(&["wait", "fail", "value"]),
        "What a service that is down means; `wait` when not written.",
    ),
];

const EACH: Keys = &[
    ("of!", Expression, "An expression that gives a list."),
    ("max_in_flight", Whole, "Items at a time; 8 when not written."),
    ("max_items", Whole, "Longest list; 1000 when not written."),
    (
        "min_success",
        Number,
        "Items that must be done: with a decimal point a share, else a count; 1.0 when not written.",
    ),
];

const RETRY: Keys = &[("attempts!", Whole, "Attempts in all; 3 when not written.")];

/// Kinds with their parameters and a sentence. `map` holds any value.
const KINDS: &[(&str, Option<Keys>, &str)] = &[
    ("generate", Some(GENERATE), "Text from a model."),
    ("extract", Some(EXTRACT), "JSON from a model, checked against a schema."),
    ("embed", Some(EMBED), "A vector from a model."),
    ("retrieve", Some(RETRIEVE), "Passages from memory."),
    ("remember", Some(REMEMBER), "A passage into memory, once the event has succeeded."),
    ("forget", Some(FORGET), "Passages out of memory, once the event has succeeded."),
    ("call", Some(CALL), "An HTTP service."),
    ("map", None, "A value made of other values."),
    ("publish", Some(PUBLISH), "One more output record, in the event's transaction."),
];

const GENERATE: Keys = &[
    ("model!", Text, "A model or route of the settings."),
    ("prompt!", Prompt, "One text, or a list of roles."),
    ("max_tokens", Whole, "Ceiling of the answer; 1024 when not written."),
];
const EXTRACT: Keys = &[
    ("model!", Text, "A model or route of the settings."),
    ("prompt!", Prompt, "One text, or a list of roles."),
    ("schema!", Schema, "JSON schema of the answer: inline, or `{ file: path }`."),
    ("max_tokens", Whole, "Ceiling of the answer; 1024 when not written."),
];
const EMBED: Keys =
    &[("model!", Text, "A model of the settings that embeds."), ("text!", TextOrFile, "The text.")];
const RETRIEVE: Keys = &[
    ("collection!", Text, "A collection."),
    ("query!", TextOrFile, "What is looked for."),
    ("limit", Whole, "Passages wanted; 5 when not written."),
    ("min_score", Number, "Floor of the dense similarity, from -1 to 1."),
    ("max_tokens", Whole, "Tokens that all passages together may have."),
];
const REMEMBER: Keys = &[
    ("collection!", Text, "A collection."),
    ("id", TextOrFile, "Your own id of the passage; the event's when not written."),
    ("text!", TextOrFile, "What is remembered."),
    ("vector", Anything, "Its vector; made by the collection's embedder when not written."),
    ("payload", Anything, "More fields."),
];
const FORGET: Keys = &[
    ("collection!", Text, "A collection."),
    ("id", TextOrFile, "The id of the passage."),
    ("where", Anything, "Payload fields with the values they must have."),
];
const CALL: Keys = &[
    ("url!", Text, "The address; only its path may have templates."),
    ("method", Words(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]), "POST when not written."),
    ("headers", Headers, "Request headers."),
    ("body", Anything, "Request body, sent as JSON."),
];
const PUBLISH: Keys = &[
    ("topic!", Text, "A topic."),
    ("key", TextOrFile, "Key of the record; the event's when not written."),
    ("value!", Anything, "Value of the record."),
    ("headers", Headers, "Headers of the record."),
];

/// The schema.
pub fn json_schema() -> Value {
    let mut schema = mapping(FILE);
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "vivremotion pipeline",
        "description": "One pipeline. Generated from the engine's own table of keys.",
    });
    if let (Some(schema), Some(head)) = (schema.as_object_mut(), head.as_object()) {
        let rest = std::mem::replace(schema, head.clone());
        schema.extend(rest);
    }
    schema
}

fn mapping(keys: Keys) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, holds, says) in keys {
        let bare = name.trim_end_matches('!');
        if bare.len() < name.len() {
            required.push(bare);
        }
        properties.insert(bare.to_owned(), described(value(*holds), says));
    }
    let mut schema =
        json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if let (Some(schema), false) = (schema.as_object_mut(), required.is_empty()) {
        schema.insert("required".to_owned(), required.into());
    }
    schema
}

fn described(mut schema: Value, says: &str) -> Value {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), says.into());
    }
    schema
}

fn file() -> Value {
    json!({ "type": "object", "required": ["file"], "additionalProperties": false,
            "properties": { "file": { "type": "string" } } })
}

fn text_or_file() -> Value {
    json!({ "anyOf": [{ "type": "string" }, file()] })
}

fn value(holds: Holds) -> Value {
    match holds {
        Text | Expression => json!({ "type": "string" }),
        TextOrFile => text_or_file(),
        Prompt => {
            let role = |name: &str| {
                json!({ "type": "object", "required": [name], "additionalProperties": false,
                        "properties": { name: text_or_file() } })
            };
            let roles = [role("system"), role("user"), role("assistant")];
            json!({ "anyOf": [{ "type": "string" }, file(),
                              { "type": "array", "items": { "anyOf": roles } }] })
        }
        Whole => json!({ "type": "integer", "minimum": 0 }),
        Number => json!({ "type": "number" }),
        Duration => json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" }),
        Amount => json!({ "type": "string", "pattern": "^[0-9]{1,18}(\\.[0-9]{1,9})? [A-Z]{3}$" }),
        Anything => json!({}),
        Schema => json!({ "type": "object" }),
        Headers => json!({ "type": "object", "additionalProperties": text_or_file() }),
        Names => json!({ "type": "array", "items": { "type": "string" } }),
        Words(words) => json!({ "enum": words }),
        Reaction(words) => reaction(words),
        Mapping(keys) => mapping(keys),
        Stages => stages(),
        Sink => json!({ "anyOf": [{ "const": "none" }, mapping(SINK)] }),
    }
}

fn reaction(words: &[&str]) -> Value {
    let (with_value, bare): (Vec<&str>, Vec<&str>) =
        words.iter().partition(|word| matches!(**word, "value" | "model"));
    let mut any = vec![json!({ "enum": bare })];
    any.extend(with_value.into_iter().map(|word| {
        let holds = if word == "model" { json!({ "type": "string" }) } else { json!({}) };
        json!({ "type": "object", "required": [word], "additionalProperties": false,
                "properties": { word: holds } })
    }));
    json!({ "anyOf": any })
}

fn stages() -> Value {
    let mut stage = mapping(COMMON);
    if let Some(properties) = stage.get_mut("properties").and_then(Value::as_object_mut) {
        for (kind, keys, says) in KINDS {
            properties.insert((*kind).to_owned(), described(keys.map_or(json!({}), mapping), says));
        }
    }
    let one: Vec<Value> = KINDS.iter().map(|(kind, ..)| json!({ "required": [kind] })).collect();
    if let Some(stage) = stage.as_object_mut() {
        stage.insert("oneOf".to_owned(), one.into());
    }
    json!({ "type": "object", "minProperties": 1, "additionalProperties": false,
            "patternProperties": { "^[a-z][a-z0-9_]*$": stage } })
}

#[cfg(test)]
mod tests;
