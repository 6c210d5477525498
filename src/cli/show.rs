//! Records as people read them: results with their stages, cost events, dead letters, and anything else.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::stream::{Record, header};

/// A record as one JSON object, for programs. `value` is the decoded value, or none for a tombstone.
pub fn as_json(record: &Record, value: Option<Value>) -> Value {
    let text = |bytes: &[u8]| Value::from(String::from_utf8_lossy(bytes).into_owned());
    let mut headers = Map::new();
    for (name, value) in &record.headers {
        headers.insert(name.to_string(), value.as_ref().map_or(Value::Null, |value| text(value)));
    }
    json!({
        "topic": &*record.at.topic,
        "partition": record.at.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": record.key.as_ref().map_or(Value::Null, |key| text(key)),
        "headers": headers,
        "value": value.unwrap_or(Value::Null),
    })
}

/// A record in words.
pub fn as_text(record: &Record, value: Option<&Value>) -> String {
    let kind = header(&record.headers, "ce_type").and_then(|kind| std::str::from_utf8(kind).ok());
    let dead = header(&record.headers, "vivremotion.error.code").is_some();
    match (kind, value) {
        _ if dead => dead_letter(record),
        (Some("vivremotion.result"), Some(value)) if value.get("stages").is_some() => result(value),
        (Some("vivremotion.cost"), Some(value)) => cost(value),
        (_, value) => plain(record, value),
    }
}

fn plain(record: &Record, value: Option<&Value>) -> String {
    let key = record.key.as_ref().map(|key| String::from_utf8_lossy(key).into_owned());
    let value = value.map_or_else(|| "(no value)".to_owned(), Value::to_string);
    format!("{}@{}  {}  {value}", record.at, record.offset, key.as_deref().unwrap_or("-"))
}

/// A result with its stages.
pub fn result(value: &Value) -> String {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or("-");
    let origin = |field: &str| value.pointer(&format!("/origin/{field}")).cloned();
    let whole = |field: &str| origin(field).map(|v| v.to_string()).unwrap_or_default();
    let place = format!(
        "{}/{}@{}",
        origin("topic").as_ref().and_then(Value::as_str).unwrap_or("-"),
        whole("partition"),
        whole("offset")
    );
    let mark = if text("status") == "completed" { "✓" } else { "✗" };
    let degraded = value.get("degraded").and_then(Value::as_bool).unwrap_or(false);
    let mut out = format!(
        "{mark} {}  {place}  {}{}  {}  {}",
        text("pipeline"),
        text("status"),
        if degraded { " (degraded)" } else { "" },
        seconds(value.get("duration_us")),
        money(value),
    );
    let simulated = stages(value).any(|stage| stage.get("provider") == Some(&"simulated".into()));
    if simulated {
        out.push_str("  [simulated model]");
    }
    if let Some(error) = value.get("error").filter(|error| !error.is_null()) {
        let part = |field: &str| error.get(field).and_then(Value::as_str).unwrap_or("-");
        let _ = write!(out, "\n    {}: {}", part("code"), part("message"));
    }
    for stage in stages(value) {
        let _ = write!(out, "\n    {}", stage_line(stage));
    }
    if let Some(outputs) = value.get("outputs").and_then(Value::as_object) {
        for (name, output) in outputs {
            let value = output.get("value").and_then(Value::as_str).unwrap_or("");
            let _ = write!(out, "\n  {name} = {}", one_line(value, 400));
        }
    }
    out
}

fn stages(value: &Value) -> impl Iterator<Item = &Value> {
    value.get("stages").and_then(Value::as_array).into_iter().flatten()
}

fn stage_line(stage: &Value) -> String {
    let text = |field: &str| stage.get(field).and_then(Value::as_str);
    let mut name = text("name").unwrap_or("-").to_owned();
    if let Some(item) = stage.get("item").and_then(Value::as_i64) {
        let _ = write!(name, "[{item}]");
    }
    let mut line = format!(
        "{name:<16} {:<9} {:<9} {:>9}",
        text("kind").unwrap_or("-"),
        text("status").unwrap_or("-"),
        seconds(stage.get("duration_us")),
    );
    if let (Some(provider), Some(model)) = (text("provider"), text("request_model")) {
        let _ = write!(line, "  {provider}/{model}");
    }
    let usage = |part: &str| stage.pointer(&format!("/usage/{part}")).and_then(Value::as_i64);
    if let (Some(input), output) = (usage("input_tokens"), usage("output_tokens").unwrap_or(0)) {
        let _ = write!(line, "  {input} → {output} tokens");
    }
    let passages = stage.get("passages").and_then(Value::as_array).map_or(0, Vec::len);
    if passages > 0 {
        let _ = write!(line, "  {passages} passages");
    }
    if let Some(reason) = text("reason") {
        let _ = write!(line, "  ({})", one_line(reason, 120));
    }
    line
}

fn cost(value: &Value) -> String {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or("-");
    format!(
        "{} {}  {}/{}  attempt {}  {}  {}  {}",
        text("pipeline"),
        text("stage"),
        text("provider"),
        text("request_model"),
        value.get("attempt").cloned().unwrap_or_default(),
        text("outcome"),
        seconds(value.get("duration_us")),
        money(value),
    )
}

/// A dead letter: where it came from and why it is here.
pub fn dead_letter(record: &Record) -> String {
    let text = |name: &str| {
        let value = header(&record.headers, name).and_then(|value| std::str::from_utf8(value).ok());
        value.unwrap_or("-").to_owned()
    };
    format!(
        "✗ dead letter {}@{}  from {}/{}@{}  stage {}  {}: {}",
        record.at,
        record.offset,
        text("__connect.errors.topic"),
        text("__connect.errors.partition"),
        text("__connect.errors.offset"),
        text("vivremotion.error.stage"),
        text("vivremotion.error.code"),
        text("vivremotion.error.message"),
    )
}

fn money(value: &Value) -> String {
    let unpriced = value.get("unpriced_calls").and_then(Value::as_i64).unwrap_or(0);
    let currency = value.get("currency").and_then(Value::as_str).unwrap_or("");
    match value.get("amount").and_then(Value::as_str) {
        Some(amount) if unpriced > 0 => {
            format!("{} {currency} + {unpriced} unpriced", trimmed(amount))
        }
        Some(amount) => format!("{} {currency}", trimmed(amount)),
        None => "price unknown".to_owned(),
    }
}

/// A decimal without the zeros at its end.
fn trimmed(amount: &str) -> &str {
    match amount.contains('.') {
        true => amount.trim_end_matches('0').trim_end_matches('.'),
        false => amount,
    }
}

fn seconds(micros: Option<&Value>) -> String {
    let micros = micros.and_then(Value::as_i64).unwrap_or(0);
    match micros {
        ..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!("{}.{:02} s", micros / 1_000_000, micros % 1_000_000 / 10_000),
    }
}

fn one_line(text: &str, most: usize) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > most {
        line = line.chars().take(most).chain("…".chars()).collect();
    }
    // Text of a model or a producer must not steer the terminal.
    line.chars().filter(|c| !c.is_control()).collect()
}
