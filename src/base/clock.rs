//! Wall time and randomness, held by whoever does I/O and handed down as values: pure parts have neither.

use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Where time and draws come from.
pub trait Clock: Send + Sync {
    /// Milliseconds since the epoch, UTC.
    fn now(&self) -> i64;
    /// 128 random bits.
    fn draw(&self) -> u128;
}

/// The machine's clock and randomness.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> i64 {
        now_ms()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that draws")]
    fn draw(&self) -> u128 {
        rand::random()
    }
}

/// A clock that tokio's (pausable) time drives, with draws under a seed: for tests and simulation.
#[derive(Debug)]
pub struct HeldClock {
    start: i64,
    began: tokio::time::Instant,
    draws: Mutex<StdRng>,
}

impl HeldClock {
    /// Starts at `start` milliseconds since the epoch.
    pub fn new(start: i64, seed: u64) -> Self {
        HeldClock {
            start,
            began: tokio::time::Instant::now(),
            draws: Mutex::new(StdRng::seed_from_u64(seed)),
        }
    }
}

impl Clock for HeldClock {
    fn now(&self) -> i64 {
        let passed = tokio::time::Instant::now().duration_since(self.began).as_millis();
        self.start.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
    }

    fn draw(&self) -> u128 {
        let mut draws = self.draws.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (u128::from(draws.next_u64()) << 64) | u128::from(draws.next_u64())
    }
}

/// Now, milliseconds since the epoch: for shells that have no [`Clock`].
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads it")]
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
