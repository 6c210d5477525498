//! Times of events: milliseconds since the epoch inside, RFC 3339 text in JSON, as an Avro timestamp is.

use jiff::Timestamp;
use serde::ser::{Error, Serializer};

/// The moment, which shows itself as its text; the reason when it has none.
pub(super) fn moment(millis: i64) -> Result<Timestamp, String> {
    Timestamp::from_millisecond(millis)
        .map_err(|_| format!("{millis} ms is outside the years of RFC 3339"))
}

/// Writes a time as its text: for `#[serde(serialize_with)]`.
pub fn rfc3339<S: Serializer>(millis: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&moment(*millis).map_err(S::Error::custom)?)
}
