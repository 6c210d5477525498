//! Times of events: milliseconds since the epoch inside, RFC 3339 text in JSON, as an Avro timestamp is.

use jiff::Timestamp;
use serde::ser::{Error, Serializer};

/// The text of a time, such as `2026-11-22T19:07:51.5Z`; none outside the years −9999 to 9999.
pub fn text(millis: i64) -> Option<String> {
    Timestamp::from_millisecond(millis).ok().map(|time| time.to_string())
}

/// Writes a time as its text: for `#[serde(serialize_with)]`.
pub fn rfc3339<S: Serializer>(millis: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    match Timestamp::from_millisecond(*millis) {
        Ok(time) => serializer.collect_str(&time),
        Err(_) => Err(S::Error::custom(format!("{millis} ms is outside the years of RFC 3339"))),
    }
}
