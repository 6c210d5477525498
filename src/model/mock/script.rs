//! Rules for certain calls, in YAML or JSON: the first that matches says how the call goes.
//!
//! ```yaml
//! rules:
//!   - match: { model: writer, prompt: "order 17" }    # parts of the model's name and of the prompt; both may be left out
//!     times: 2                                        # the first two calls that match; all without it
//!     do: { latency: 200ms..2s, status: 503, retry_after: 2s }
//!   - match: { prompt: refund }
//!     do: { answer: "We will refund it.", output_tokens: 300, input_tokens: 900, cached: 80, reasoning: 40 }
//!   - do: { fault: cut, rate: 0.1 }                   # hang, cut, garbage, error-body, huge
//! ```

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use crate::base::quantity::Span;
use crate::base::yaml;
use crate::model::simulated::behaviour::{Behaviour, Fault};
use crate::model::simulated::spread::Spread;

/// The rules.
#[derive(Debug, Default)]
pub struct Script {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    model: String,
    prompt: String,
    times: Option<u32>,
    made: AtomicU32,
    act: Act,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptText {
    rules: Vec<RuleText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    #[serde(rename = "match", default)]
    on: MatchText,
    times: Option<u32>,
    #[serde(rename = "do")]
    act: Act,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct MatchText {
    #[serde(default)]
    model: String,
    #[serde(default)]
    prompt: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Act {
    latency: Option<Latency>,
    status: Option<u16>,
    retry_after: Option<Span>,
    fault: Option<FaultText>,
    rate: Option<f64>,
    answer: Option<String>,
    output_tokens: Option<Count>,
    input_tokens: Option<u32>,
    cached: Option<u32>,
    reasoning: Option<u32>,
}

impl Script {
    /// From its text; the error lists all that is wrong.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let file: Arc<str> = name.into();
        let (script, found) = yaml::parse::<ScriptText>(&file, text);
        let said = || {
            let lines: Vec<String> = found
                .sorted()
                .iter()
                .map(|one| {
                    format!("{}:{}:{}: {}", one.file, one.place.line, one.place.column, one.message)
                })
                .collect();
            lines.join("\n")
        };
        let script = script.filter(|_| !found.has_errors()).ok_or_else(said)?;
        let rule = |rule: RuleText| Rule {
            model: rule.on.model,
            prompt: rule.on.prompt,
            times: rule.times,
            made: AtomicU32::new(0),
            act: rule.act,
        };
        Ok(Script { rules: script.rules.into_iter().map(rule).collect() })
    }

    /// From a file.
    pub fn load(path: &Path) -> Result<Self, String> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("the script `{name}` can't be read: {error}"))?;
        Script::parse(&name, &text)
    }

    /// How this call goes.
    pub(super) fn apply(&self, usual: Behaviour, model: &str, prompt: &str) -> Behaviour {
        let rule = self.rules.iter().find(|rule| {
            let fits = model.contains(&rule.model) && prompt.contains(&rule.prompt);
            fits && rule.times.is_none_or(|times| rule.made.fetch_add(1, Ordering::Relaxed) < times)
        });
        rule.map_or(usual.clone(), |rule| rule.act.over(usual))
    }
}

impl Act {
    fn over(&self, mut usual: Behaviour) -> Behaviour {
        if let Some(Latency(latency)) = self.latency {
            usual.latency = latency;
        }
        if let Some(FaultText(fault)) = self.fault {
            usual.fault = Some(fault);
        }
        if let Some(code) = self.status {
            usual.fault = Some(Fault::status(code));
        }
        if let (Some(Fault::Status { retry_after, .. }), Some(Span(asked))) =
            (&mut usual.fault, self.retry_after)
        {
            *retry_after = Some(asked);
        }
        usual.error_rate = self.rate.or(usual.error_rate);
        usual.answer = self.answer.clone().or(usual.answer);
        usual.output_tokens =
            self.output_tokens.as_ref().map(|count| count.0).or(usual.output_tokens);
        usual.input_tokens = self.input_tokens.map(u64::from).or(usual.input_tokens);
        usual.cached = self.cached.map_or(usual.cached, u64::from);
        usual.reasoning = self.reasoning.map_or(usual.reasoning, u64::from);
        usual
    }
}

#[derive(Clone, Copy, Debug)]
struct Latency(Spread);
#[derive(Clone, Copy, Debug)]
struct Count(Spread);
#[derive(Clone, Copy, Debug)]
struct FaultText(Fault);

/// Reads a text or a whole number by its text.
struct Written<T>(fn(&str) -> Option<T>, &'static str);

impl<T> Visitor<'_> for Written<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).ok_or_else(|| E::custom(format!("`{text}` is not {}", self.1)))
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written(Spread::parse_latency, "a latency such as `500ms` or `200ms..2s`");
        deserializer.deserialize_any(written).map(Latency)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written =
            Written(Spread::parse_count, "a number of tokens such as `300` or `100..900`");
        deserializer.deserialize_any(written).map(Count)
    }
}

impl<'de> Deserialize<'de> for FaultText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written(Fault::by_word, "one of `hang cut garbage error-body huge`");
        deserializer.deserialize_any(written).map(FaultText)
    }
}

#[cfg(test)]
mod tests;
