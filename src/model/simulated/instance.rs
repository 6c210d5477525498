//! A valid instance of a JSON schema, made from a text: the enum value that stands in the text, else one by its hash;
//! numbers within their range; strings of the text's own words. Keywords that can't be met by construction (`pattern`,
//! `not`, `if`) are not looked at.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value, json};

use super::answer::{last_paragraph, words};
use super::mix;

/// Deeper than this, optional parts are left out.
const DEEP: usize = 6;
/// Deeper than this, null stands in: the schema requires itself.
const DEEPEST: usize = 24;

/// See the module.
pub fn of(schema: &Value, asked: &str, digest: u64) -> Value {
    Maker { root: schema, asked, words: words(last_paragraph(asked)).take(64).collect() }
        .value(schema, digest, "", 0)
}

struct Maker<'a> {
    root: &'a Value,
    asked: &'a str,
    words: Vec<&'a str>,
}

impl<'a> Maker<'a> {
    /// `draw` decides every choice, `name` is the property's.
    fn value(&self, schema: &'a Value, draw: u64, name: &str, depth: usize) -> Value {
        let Some(object) = schema.as_object().filter(|_| depth <= DEEPEST) else {
            return Value::Null;
        };
        if let Some(fixed) = object.get("const") {
            return fixed.clone();
        }
        if let Some(choices) = object.get("enum").and_then(Value::as_array) {
            return self.choice(choices, draw).cloned().unwrap_or(Value::Null);
        }
        if let Some(target) = object.get("$ref").and_then(Value::as_str) {
            let target = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return target.map_or(Value::Null, |target| self.value(target, draw, name, depth + 1));
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(parts) = object.get(key).and_then(Value::as_array) {
                let part = self.part(parts, draw, depth);
                return part.map_or(Value::Null, |part| self.value(part, draw, name, depth + 1));
            }
        }
        if let Some(parts) = object.get("allOf").and_then(Value::as_array) {
            return self.all_of(object, parts, draw, name, depth);
        }
        match self.kind(object, draw, depth) {
            "object" => self.object(object, draw, depth),
            "array" => self.array(object, draw, name, depth),
            "integer" => number(object, draw, true),
            "number" => number(object, draw, false),
            "boolean" => Value::Bool(draw & 1 == 1),
            "null" => Value::Null,
            _ => self.string(object, draw),
        }
    }

    fn kind(&self, object: &'a Map<String, Value>, draw: u64, depth: usize) -> &'a str {
        match object.get("type") {
            Some(Value::String(kind)) => kind,
            Some(Value::Array(kinds)) => {
                // Null only where nothing else is allowed, or where it ends a recursion.
                let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
                if depth > DEEP && kinds.contains(&"null") {
                    return "null";
                }
                let real: Vec<&str> =
                    kinds.iter().copied().filter(|kind| *kind != "null").collect();
                pick(&real, draw).copied().unwrap_or("null")
            }
            _ if object.contains_key("properties") => "object",
            _ if object.contains_key("items") => "array",
            _ if object.contains_key("minimum") || object.contains_key("maximum") => "number",
            _ => "string",
        }
    }

    /// The one value that stands in the text as a word, else one by the draw.
    fn choice(&self, choices: &'a [Value], draw: u64) -> Option<&'a Value> {
        let text = last_paragraph(self.asked).to_lowercase();
        let stands = |value: &&Value| {
            value.as_str().is_some_and(|word| {
                let word = word.to_lowercase();
                text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-')
                    .any(|part| part == word)
            })
        };
        let named: Vec<&Value> = choices.iter().filter(stands).collect();
        match named.as_slice() {
            [one] => Some(one),
            _ => pick(choices, draw),
        }
    }

    fn part(&self, parts: &'a [Value], draw: u64, depth: usize) -> Option<&'a Value> {
        let is_null = |part: &&Value| part.get("type").and_then(Value::as_str) == Some("null");
        if depth > DEEP
            && let Some(null) = parts.iter().find(is_null)
        {
            return Some(null);
        }
        let real: Vec<&Value> = parts.iter().filter(|part| !is_null(part)).collect();
        pick(&real, draw).copied().or(parts.first())
    }

    /// The instances of all parts, merged where they are objects.
    fn all_of(
        &self,
        object: &'a Map<String, Value>,
        parts: &'a [Value],
        draw: u64,
        name: &str,
        depth: usize,
    ) -> Value {
        let mut merged = match object.contains_key("properties") {
            true => self.object(object, draw, depth),
            false => Value::Null,
        };
        for part in parts {
            match (&mut merged, self.value(part, draw, name, depth + 1)) {
                (Value::Object(all), Value::Object(more)) => all.extend(more),
                (merged, other) => *merged = other,
            }
        }
        merged
    }

    fn object(&self, object: &'a Map<String, Value>, draw: u64, depth: usize) -> Value {
        let required: Vec<&str> = object
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let mut made = Map::new();
        let properties = object.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            if depth <= DEEP || required.contains(&name.as_str()) {
                let draw = mix(draw ^ hash(name));
                made.insert(name.clone(), self.value(schema, draw, name, depth + 1));
            }
        }
        for name in required {
            if !made.contains_key(name) {
                made.insert(name.to_owned(), self.string(&Map::new(), mix(draw ^ hash(name))));
            }
        }
        Value::Object(made)
    }

    fn array(&self, object: &'a Map<String, Value>, draw: u64, name: &str, depth: usize) -> Value {
        let least = count(object, "minItems").unwrap_or(1);
        let most = count(object, "maxItems").unwrap_or(least.max(3)).max(least);
        let least = if depth > DEEP && !object.contains_key("minItems") { 0 } else { least };
        let wanted = match depth > DEEP {
            true => least,
            false => (least + mix(draw) % (most - least + 1)).min(least.max(4)),
        };
        let any = json!({ "type": "string" });
        let unique = object.get("uniqueItems") == Some(&Value::Bool(true));
        let mut items: Vec<Value> = Vec::new();
        for index in 0..wanted.min(64) {
            // A few more draws where items must differ.
            for again in 0..8 {
                let draw = mix(draw ^ (index << 8) ^ again);
                let item = match object.get("items") {
                    Some(schema) => self.value(schema, draw, name, depth + 1),
                    None => Maker { root: &any, asked: self.asked, words: self.words.clone() }
                        .value(&any, draw, name, depth + 1),
                };
                if !unique || !items.contains(&item) {
                    items.push(item);
                    break;
                }
            }
        }
        Value::Array(items)
    }

    /// Some words of the text in their order, or what the format asks for.
    fn string(&self, object: &Map<String, Value>, draw: u64) -> Value {
        let day = 1 + draw % 28;
        let mut text = match object.get("format").and_then(Value::as_str) {
            Some("date-time") => format!("2026-01-{day:02}T12:00:00Z"),
            Some("date") => format!("2026-01-{day:02}"),
            Some("time") => "12:00:00Z".to_owned(),
            Some("duration") => format!("P{day}D"),
            Some("email") => format!("someone{}@example.com", draw % 1000),
            Some("hostname") => "example.com".to_owned(),
            Some("ipv4") => format!("192.0.2.{}", draw % 256),
            Some("uri" | "url") => format!("https://example.com/{}", draw % 1000),
            Some("uuid") => {
                let b = mix(draw);
                format!("{:08x}-0000-4000-8000-{:012x}", draw & 0xffff_ffff, b & 0xffff_ffff_ffff)
            }
            _ => self.some_words(draw),
        };
        if let Some(least) = count(object, "minLength") {
            while (text.chars().count() as u64) < least.min(100_000) {
                text.push_str(" …");
            }
        }
        if let Some(most) = count(object, "maxLength") {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            if let Some((end, _)) = text.char_indices().nth(most) {
                text.truncate(end);
            }
        }
        Value::String(text)
    }

    fn some_words(&self, draw: u64) -> String {
        let wanted = 4 + draw % 6;
        let room = (self.words.len() as u64).saturating_sub(wanted);
        let start = if room == 0 { 0 } else { mix(draw) % (room + 1) };
        let mut text = String::new();
        for word in
            self.words.iter().skip(usize::try_from(start).unwrap_or(0)).take(wanted as usize)
        {
            let joint = if text.is_empty() { "" } else { " " };
            // A String takes everything.
            let _ = write!(text, "{joint}{word}");
        }
        if text.is_empty() { "simulated".to_owned() } else { text }
    }
}

fn number(object: &Map<String, Value>, draw: u64, whole: bool) -> Value {
    let bound = |key: &str| object.get(key).and_then(Value::as_f64);
    let step = bound("multipleOf").filter(|step| *step > 0.0);
    let grain = step.unwrap_or(if whole { 1.0 } else { 0.01 });
    let above = bound("exclusiveMinimum").map(|bound| bound + grain);
    let below = bound("exclusiveMaximum").map(|bound| bound - grain);
    let low = bound("minimum").into_iter().chain(above).reduce(f64::max);
    let high = bound("maximum").into_iter().chain(below).reduce(f64::min);
    let width: f64 = if whole { 100.0 } else { 1.0 };
    let (low, high) = match (low, high) {
        (Some(low), Some(high)) => (low, high),
        (Some(low), None) => (low, low + width.max(grain)),
        (None, Some(high)) => (high.min(0.0), high),
        (None, None) => (0.0, width.max(grain)),
    };
    let first = (low / grain).ceil();
    let steps = ((high / grain).floor() - first).clamp(0.0, 1e9) as u64;
    let value = (first + (mix(draw) % (steps + 1)) as f64) * grain;
    if whole || (step.is_some() && value.fract() == 0.0) {
        return Value::Number(Number::from(value as i64));
    }
    let rounded = if step.is_none() { (value * 100.0).round() / 100.0 } else { value };
    Number::from_f64(rounded).map_or(Value::Null, Value::Number)
}

fn count(object: &Map<String, Value>, key: &str) -> Option<u64> {
    object.get(key).and_then(Value::as_u64)
}

fn pick<T>(choices: &[T], draw: u64) -> Option<&T> {
    let length = (choices.len() as u64).max(1);
    choices.get(usize::try_from(mix(draw) % length).unwrap_or(0))
}

/// FNV-1a: names are short.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
