//! What a JSON value can be taken for, and what is said of one that fits nowhere.

use std::borrow::Cow;

use serde_json::Value;

use crate::codec::CodecError;

/// Choices that an error lists.
const SHOWN: usize = 12;

/// Why a value does not fit, with the path to it, innermost step first.
pub(super) struct Misfit {
    pub code: &'static str,
    path: Vec<String>,
    message: String,
}

impl Misfit {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Misfit { code, path: Vec::new(), message: message.into() }
    }

    pub fn expected(what: impl std::fmt::Display, value: &Value) -> Self {
        Misfit::new("schema-mismatch", format!("expected {what}, got {}", kind(value)))
    }

    pub fn at(mut self, step: impl Into<String>) -> Self {
        self.path.push(step.into());
        self
    }

    pub fn error(self) -> CodecError {
        let mut path = String::new();
        for step in self.path.iter().rev() {
            if !path.is_empty() && !step.starts_with('[') {
                path.push('.');
            }
            path.push_str(step);
        }
        let place =
            if path.is_empty() { "the value".to_owned() } else { format!("field `{path}`") };
        CodecError::permanent(
            self.code,
            format!("{place} does not fit the schema: {}", self.message),
        )
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// A whole number within limits. A number with a fraction of zero counts as whole while it is exact.
pub(super) fn whole(value: &Value, least: i64, most: i64) -> Result<i64, Misfit> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let number = match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < EXACT).map(|f| f as i64)
        }),
        _ => None,
    };
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| Misfit::expected(format!("a whole number from {least} to {most}"), value))
}

pub(super) fn float(value: &Value) -> Result<f64, Misfit> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    };
    number.ok_or_else(|| Misfit::expected("a number", value))
}

pub(super) fn text<'v>(value: &'v Value, what: &str) -> Result<&'v str, Misfit> {
    value.as_str().ok_or_else(|| Misfit::expected(what, value))
}

/// A float's shortest text is what its author wrote; JSON would give it an exponent, which no decimal has.
pub(super) fn decimal_text(value: &Value) -> Result<Cow<'_, str>, Misfit> {
    match value {
        Value::String(text) => Ok(text.into()),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => Ok(float.to_string().into()),
            _ => Ok(number.to_string().into()),
        },
        other => Err(Misfit::expected("a decimal as text", other)),
    }
}

pub(super) fn parsed<T>(
    value: &Value,
    what: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, Misfit> {
    value.as_str().and_then(parse).ok_or_else(|| Misfit::expected(what, value))
}

pub(super) fn list<T: AsRef<str>>(before: &str, words: &[T]) -> String {
    let shown: Vec<String> =
        words.iter().take(SHOWN).map(|word| format!("`{}`", word.as_ref())).collect();
    let more = if words.len() > SHOWN { " and more" } else { "" };
    format!("{before} {}{more}", shown.join(", "))
}
