//! How long to wait before another attempt: exponential, full jitter, never shorter than what the service asked for.
//! Pure: the draw and the time are arguments, and nobody sleeps here.

use std::time::Duration;

/// The shape of the waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Ceiling of the first wait; it doubles with each attempt.
    pub base: Duration,
    /// No drawn wait is longer.
    pub most: Duration,
}

/// Between the attempts of a stage.
pub const CALLS: Backoff =
    Backoff { base: Duration::from_millis(500), most: Duration::from_secs(30) };

impl Backoff {
    /// The wait after attempt `made` (from 1). `draw` is random bits; `asked` is what the service asked for, to which
    /// up to one `base` of jitter is added, so that all who were refused together do not come back together.
    pub fn wait(&self, made: u32, draw: u64, asked: Option<Duration>) -> Duration {
        let doubled = 2u32.checked_pow(made.saturating_sub(1)).unwrap_or(u32::MAX);
        let ceiling = self.base.saturating_mul(doubled).min(self.most);
        match asked {
            Some(asked) => asked.saturating_add(part(self.base, draw)),
            None => part(ceiling, draw),
        }
    }
}

/// `whole` times a number in [0, 1] given by the draw.
fn part(whole: Duration, draw: u64) -> Duration {
    let nanos = whole.as_nanos().saturating_mul(u128::from(draw)) / u128::from(u64::MAX);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The longest wait a service can ask of us; what is beyond is taken for this.
const LONGEST_ASKED: Duration = Duration::from_secs(24 * 3600);

/// A `Retry-After` header: seconds (whole or not) or an HTTP date. `now` in milliseconds since the epoch.
pub fn retry_after(text: &str, now: i64) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        let asked = Duration::try_from_secs_f64(seconds).ok()?;
        return Some(asked.min(LONGEST_ASKED));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let ms = u64::try_from(date.as_millisecond().saturating_sub(now)).unwrap_or(0);
    Some(Duration::from_millis(ms).min(LONGEST_ASKED))
}

#[cfg(test)]
mod tests;
