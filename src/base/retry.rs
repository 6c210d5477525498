//! How long to wait before another try: exponential with full jitter. Pure; the draw is an argument.

use std::time::Duration;

/// Bounds of the waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Ceiling of the first wait.
    pub base: Duration,
    /// Ceiling of every wait.
    pub cap: Duration,
}

/// The wait after `failures` + 1 failures: uniform in [0, min(cap, base · 2^failures)], but never shorter than what the
/// service asked for. (Full jitter spreads a herd of callers over the whole interval.)
pub fn pause(
    backoff: Backoff,
    failures: u32,
    draw: u128,
    retry_after: Option<Duration>,
) -> Duration {
    let ceiling = backoff.base.saturating_mul(1u32 << failures.min(20)).min(backoff.cap);
    let micros = u64::try_from(ceiling.as_micros()).unwrap_or(u64::MAX - 1);
    let drawn = Duration::from_micros((draw % (u128::from(micros) + 1)) as u64);
    drawn.max(retry_after.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { base: Duration::from_millis(500), cap: Duration::from_secs(30) };

    proptest::proptest! {
        #[test]
        fn a_pause_is_within_its_bounds(failures in 0u32..100, draw: u128, asked in 0u64..100) {
            let asked = Duration::from_secs(asked);
            proptest::prop_assert!(pause(BACKOFF, failures, draw, None) <= BACKOFF.cap);
            proptest::prop_assert!(pause(BACKOFF, 0, draw, None) <= BACKOFF.base);
            proptest::prop_assert!(pause(BACKOFF, failures, draw, Some(asked)) >= asked);
        }
    }
}
