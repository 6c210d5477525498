//! Which events are meant.

use std::fmt;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object};
use serde_json::json;

use super::record::Candidate;
use crate::base::clock::rfc3339;
use crate::base::nearest::nearest;
use crate::base::template::{Expression, from_json};
use crate::base::template_names::of_expression;
use crate::flow::consume::Consumed;
use crate::flow::decode::Decoded;
use crate::flow::identity::{self, Expressions, RecordView};
use crate::stream::{Epoch, Headers, header};

/// What `--where` may name.
const NAMES: [&str; 3] = ["event", "record", "dead_letter"];

/// Why an event failed, as its dead letter says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failed {
    /// Class, such as `transient`.
    pub class: String,
    /// Word with dashes.
    pub code: String,
    /// The stage that failed, or `-`.
    pub stage: String,
    /// One sentence.
    pub message: String,
    /// Attempts of calls that were made.
    pub attempts: i64,
    /// What it had cost, with its currency.
    pub cost: Option<String>,
    /// When the dead letter was written, milliseconds since the epoch.
    pub time: i64,
}

impl Failed {
    /// From the headers of a dead letter that was written at that time.
    pub fn of(headers: &Headers, time: i64) -> Self {
        let text = |part: &str| {
            let value = header(headers, &format!("vivremotion.error.{part}"));
            value.map(|value| String::from_utf8_lossy(value).into_owned())
        };
        let word = |part| text(part).unwrap_or_else(|| "-".to_owned());
        Failed {
            class: word("class"),
            code: word("code"),
            stage: word("stage"),
            message: word("message"),
            attempts: text("attempts").and_then(|n| n.parse().ok()).unwrap_or(0),
            cost: text("cost"),
            time,
        }
    }
}

/// Which events are meant: what is not set takes all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Codes of failures.
    pub codes: Vec<String>,
    /// Stages that failed.
    pub stages: Vec<String>,
    /// Key of the record, as text.
    pub key: Option<String>,
    /// Time of the dead letter, or of the record: from the first to before the second, milliseconds since the epoch.
    pub period: (Option<i64>, Option<i64>),
    /// A condition.
    pub condition: Option<Expression>,
}

/// A condition that can't be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhereError(pub String);

impl fmt::Display for WhereError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WhereError {}

/// Compiles a condition; it may name `event`, `record` and `dead_letter`.
pub fn condition(text: &str) -> Result<Expression, WhereError> {
    let compiled = Expression::compile(text).map_err(|error| WhereError(error.message))?;
    let names = of_expression(text).map_err(|error| WhereError(error.message))?;
    for name in names.used {
        if !NAMES.contains(&name.root.as_str()) {
            let help = nearest(&name.root, NAMES)
                .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            let root = name.root;
            return Err(WhereError(format!(
                "`{root}` is not there: a condition sees `event`, `record` and `dead_letter`{help}"
            )));
        }
    }
    Ok(compiled)
}

impl Filter {
    /// Whether everything but the condition is so: it needs no decoding.
    pub fn takes(&self, candidate: &Candidate) -> bool {
        let Filter { codes, stages, key, period, .. } = self;
        let time = candidate.failed.as_ref().map_or(candidate.record.timestamp, |f| f.time);
        let within =
            period.0.is_none_or(|from| time >= from) && period.1.is_none_or(|to| time < to);
        let held = candidate.record.key.as_deref();
        let named = key.as_ref().is_none_or(|key| held == Some(key.as_bytes()));
        let one = |wanted: &[String], part: fn(&Failed) -> &String| {
            wanted.is_empty() || candidate.failed.as_ref().is_some_and(|f| wanted.contains(part(f)))
        };
        within && named && one(codes, |f| &f.code) && one(stages, |f| &f.stage)
    }

    /// Whether the condition is so. `event` is the decoded value, none when it can't be decoded. The error says why it
    /// can't be told.
    pub fn is_true(
        &self,
        candidate: &Candidate,
        event: Option<serde_json::Value>,
        expressions: &Expressions,
    ) -> Result<bool, String> {
        let Some(condition) = &self.condition else { return Ok(true) };
        let Candidate { event: id, origin, record, failed, .. } = candidate;
        let consumed = Consumed::new(record.clone(), Epoch(0), record.timestamp);
        let consumed = Arc::new(consumed);
        let decoded = Decoded {
            consumed: Arc::clone(&consumed),
            id: *id,
            origin: origin.clone(),
            replay_of: None,
            event: Arc::new(event.clone().unwrap_or_default()),
        };
        let view = |who| {
            let consumed = Arc::clone(&consumed);
            let time = origin.timestamp;
            Value::from_object(RecordView { consumed, id: *id, time, who })
        };
        let scope = |record| {
            Value::from_object(Names {
                event: event.as_ref().map_or(Value::UNDEFINED, from_json),
                record,
                dead_letter: failed.as_ref().map_or(Value::from(()), shown),
            })
        };
        let who = identity::identify(expressions, &decoded, &scope(view(None)));
        let who = who.map_err(|refusal| refusal.to_string())?;
        condition.test(&scope(view(Some(who)))).map_err(|error| error.message)
    }
}

fn shown(failed: &Failed) -> Value {
    let Failed { class, code, stage, message, attempts, cost, time } = failed;
    from_json(&json!({
        "class": class,
        "code": code,
        "stage": stage,
        "message": message,
        "attempts": attempts,
        "cost": cost,
        "time": rfc3339(*time),
    }))
}

/// What a condition sees.
#[derive(Debug)]
struct Names {
    event: Value,
    record: Value,
    dead_letter: Value,
}

impl Object for Names {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "event" => Some(self.event.clone()),
            "record" => Some(self.record.clone()),
            "dead_letter" => Some(self.dead_letter.clone()),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&NAMES)
    }
}
