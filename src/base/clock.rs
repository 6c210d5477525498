//! The wall clock, for the shells that do I/O; pure parts take time as an argument. Deadlines are `tokio::time::Instant`.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Now, milliseconds since the epoch.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds since the epoch as RFC 3339 in UTC; none outside the years 1 to 9999.
pub fn rfc3339(ms: i64) -> Option<String> {
    Timestamp::from_millisecond(ms).ok().map(|time| format!("{time:.3}"))
}

/// The UTC day of a time, `2026-11-22`; none outside the years 1 to 9999.
pub fn utc_day(ms: i64) -> Option<String> {
    Timestamp::from_millisecond(ms).ok().map(|time| format!("{}", time.strftime("%Y-%m-%d")))
}

/// From RFC 3339 or a bare day (its start in UTC) to milliseconds since the epoch.
pub fn parse_time(text: &str) -> Option<i64> {
    let whole = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        _ => text.to_owned(),
    };
    whole.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests;
