//! Values that Avro writes as bytes or numbers and JSON as text: decimals, times, durations. Both directions, and
//! nothing of the wire.

use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Timestamp};

use super::layout::Unit;

/// Digits that an i128 holds for certain.
const MAX_DIGITS: usize = 38;

/// A two's complement number, most significant byte first.
pub(super) fn integer(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let sign = if negative { 0xff } else { 0 };
    let excess = bytes.len().saturating_sub(16);
    let (padding, rest) = bytes.split_at(excess);
    let fits = padding.iter().all(|byte| *byte == sign)
        && (excess == 0 || rest.first().is_none_or(|first| (first & 0x80 != 0) == negative));
    let mut wide = [sign; 16];
    wide[16 - rest.len()..].copy_from_slice(rest);
    fits.then(|| i128::from_be_bytes(wide))
}

/// The shortest two's complement form of a number.
pub(super) fn integer_bytes(number: i128) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let sign = if number < 0 { 0xff } else { 0 };
    let mut start = 0;
    while start < 15 && bytes[start] == sign && (bytes[start + 1] & 0x80 != 0) == (number < 0) {
        start += 1;
    }
    bytes[start..].to_vec()
}

/// `unscaled` × 10^−`scale` as plain decimal text without trailing zeros.
pub(super) fn decimal_text(unscaled: i128, scale: usize) -> String {
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

/// The unscaled number of a plain decimal text; none when it is no decimal, or has more places than `scale`.
pub(super) fn decimal(text: &str, scale: usize) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let fraction = fraction.trim_end_matches('0');
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let whole = if whole.len() > 1 { whole.trim_start_matches('0') } else { whole };
    if digits.is_empty()
        || !plain(whole)
        || !plain(fraction)
        || fraction.len() > scale
        || whole.len() + scale > MAX_DIGITS
        || text.ends_with('.')
        || digits.starts_with('.')
    {
        return None;
    }
    let number: i128 = format!("0{whole}{fraction:0<scale$}").parse().ok()?;
    Some(if negative { -number } else { number })
}

/// Nanoseconds of one unit.
fn nanos_per(unit: Unit) -> i128 {
    match unit {
        Unit::Millis => 1_000_000,
        Unit::Micros => 1_000,
        Unit::Nanos => 1,
    }
}

/// RFC 3339, in UTC.
pub(super) fn timestamp_text(count: i64, unit: Unit) -> Option<String> {
    let nanos = i128::from(count) * nanos_per(unit);
    Timestamp::from_nanosecond(nanos).ok().map(|time| time.to_string())
}

/// From RFC 3339; what is finer than the unit is dropped.
pub(super) fn timestamp(text: &str, unit: Unit) -> Option<i64> {
    let time: Timestamp = text.parse().ok()?;
    i64::try_from(time.as_nanosecond().div_euclid(nanos_per(unit))).ok()
}

/// ISO 8601 date and time without an offset.
pub(super) fn local_text(count: i64, unit: Unit) -> Option<String> {
    let nanos = i128::from(count) * nanos_per(unit);
    let time = Timestamp::from_nanosecond(nanos).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).datetime().to_string())
}

/// From ISO 8601 date and time without an offset.
pub(super) fn local(text: &str, unit: Unit) -> Option<i64> {
    let time: DateTime = text.parse().ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    i64::try_from(time.as_nanosecond().div_euclid(nanos_per(unit))).ok()
}

const EPOCH: Date = jiff::civil::date(1970, 1, 1);

/// `2026-11-22`.
pub(super) fn date_text(days: i32) -> Option<String> {
    let date = EPOCH.checked_add(SignedDuration::from_hours(i64::from(days) * 24)).ok()?;
    Some(date.to_string())
}

/// Days since the epoch.
pub(super) fn date(text: &str) -> Option<i32> {
    let date: Date = text.parse().ok()?;
    let span = EPOCH.until(date).ok()?;
    Some(span.get_days())
}

/// `19:07:51.5`; none beyond a day.
pub(super) fn time_text(count: i64, unit: Unit) -> Option<String> {
    let nanos = i64::try_from(i128::from(count) * nanos_per(unit)).ok()?;
    if !(0..86_400_000_000_000).contains(&nanos) {
        return None;
    }
    let time = Time::midnight().checked_add(SignedDuration::from_nanos(nanos)).ok()?;
    Some(time.to_string())
}

/// Since midnight; what is finer than the unit is dropped.
pub(super) fn time(text: &str, unit: Unit) -> Option<i64> {
    let time: Time = text.parse().ok()?;
    let nanos = time.duration_since(Time::midnight()).as_nanos();
    i64::try_from(nanos / nanos_per(unit)).ok()
}

/// Months, days and milliseconds, little-endian, as ISO 8601: `P1M2DT0.003S`.
pub(super) fn duration_text(bytes: [u8; 12]) -> String {
    let part = |at: usize| {
        let mut part = [0; 4];
        part.copy_from_slice(&bytes[at..at + 4]);
        u32::from_le_bytes(part)
    };
    let (months, days, millis) = (part(0), part(4), part(8));
    format!("P{months}M{days}DT{}.{:03}S", millis / 1000, millis % 1000)
}

/// From the form that [`duration_text`] writes.
pub(super) fn duration(text: &str) -> Option<[u8; 12]> {
    let (months, rest) = text.strip_prefix('P')?.split_once('M')?;
    let (days, rest) = rest.split_once("DT")?;
    let (seconds, millis) = rest.strip_suffix('S')?.split_once('.')?;
    if millis.len() != 3 {
        return None;
    }
    let seconds: u32 = seconds.parse().ok()?;
    let millis = seconds.checked_mul(1000)?.checked_add(millis.parse().ok()?)?;
    let mut bytes = [0; 12];
    for (at, part) in [months.parse().ok()?, days.parse().ok()?, millis].into_iter().enumerate() {
        let part: u32 = part;
        bytes[at * 4..at * 4 + 4].copy_from_slice(&part.to_le_bytes());
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
