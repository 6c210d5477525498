//! What goes wrong while a tree becomes a type, in our words instead of serde's.

use std::fmt;

use serde::de::{self, Unexpected};

use super::super::diagnostic::Place;
use super::super::nearest::suggestion;

/// An error for `Deserialize` implementations that carries a code and a mend through serde.
pub fn refuse<E: de::Error>(code: &'static str, message: String, help: Option<String>) -> E {
    let help = help.unwrap_or_default();
    E::custom(format_args!("{MARK}{code}{MARK}{message}{MARK}{help}"))
}

const MARK: char = '\u{1}';
/// Codes that [`refuse`] may name: a diagnostic's code is a constant.
const CODES: &[&str] = &[
    "bad-duration",
    "bad-size",
    "bad-amount",
    "wrong-type",
    "unknown-word",
    "bad-value",
    "bad-start",
];

/// What went wrong on the way; the innermost place wins.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) place: Option<Place>,
    /// The innermost entry or item that can be left out to read the rest.
    pub(super) culprit: Option<Place>,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Problem {
    pub(super) fn new(code: &'static str, message: String) -> Self {
        Problem { place: None, culprit: None, code, message, help: None }
    }

    pub(super) fn help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    pub(super) fn of(mut self, culprit: Place) -> Self {
        self.culprit.get_or_insert(culprit);
        self
    }

    pub(super) fn at(mut self, place: Place) -> Self {
        self.place.get_or_insert(place);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl de::Error for Problem {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let text = message.to_string();
        let mut parts = text.split(MARK).skip(1);
        let (Some(code), Some(said), help) = (parts.next(), parts.next(), parts.next()) else {
            return Problem::new("bad-value", text);
        };
        let code = CODES.iter().find(|known| **known == code).copied().unwrap_or("bad-value");
        let help = help.filter(|help| !help.is_empty()).map(str::to_owned);
        Problem::new(code, said.to_owned()).help(help)
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let message = format!("expected {}, found {}", plain(expected), describe(&found));
        Problem::new("wrong-type", message)
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Problem::new("bad-value", format!("expected {}", plain(expected)))
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        let message = format!("`{word}` is not a word known here");
        let help = suggestion(word, "known are", known.iter().copied());
        Problem::new("unknown-word", message).help(help)
    }

    fn missing_field(field: &'static str) -> Self {
        Problem::new("missing-key", format!("the key `{field}` is missing"))
    }
}

/// Serde's words for types, in ours.
fn plain(expected: &dyn de::Expected) -> String {
    let said = expected.to_string();
    match said.as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0".into(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        "a string" | "a character" => "a text".into(),
        "a boolean" => "`true` or `false`".into(),
        "a sequence" => "a list".into(),
        "a map" => "a mapping".into(),
        said if said.starts_with("struct ") => "a mapping".into(),
        said if said.starts_with("enum ") => "a word or a mapping with one key".into(),
        said => said.into(),
    }
}

/// What was found, without its content.
fn describe(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a truth value",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Str(_) | Unexpected::Char(_) => "a text",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a mapping",
        _ => "something else",
    }
}
