//! Times of events: milliseconds since the epoch inside, RFC 3339 text in JSON, as an Avro timestamp is.

use jiff::Timestamp;
use serde::ser::{Error, Serializer};

/// Writes a time as its text: for `#[serde(serialize_with)]`.
pub fn rfc3339<S: Serializer>(millis: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    match Timestamp::from_millisecond(*millis) {
        Ok(time) => serializer.collect_str(&time),
        Err(_) => Err(S::Error::custom(format!("{millis} ms is outside the years of RFC 3339"))),
    }
}
