//! The breaker of one model of one provider: closed it lets calls through; open it lets none; half open it lets a few
//! through to find out. Pure: time is an argument, measured from any fixed moment.
//!
//! It opens when, within the last 30 s, at least 20 calls ended and at least half of them failed. It stays open for 15 s,
//! twice as long each time it opens again, at most 2 min. Then three probes: all must succeed.

use std::collections::VecDeque;
use std::time::Duration;

/// The time that is looked at, in slices.
const SLICE: Duration = Duration::from_secs(3);
const SLICES: usize = 10;
/// Fewer ended calls say nothing.
const LEAST_CALLS: u32 = 20;
/// One failure in so many ended calls is too much.
const ONE_IN: u32 = 2;
/// Calls that may be out while it is half open, and that must succeed to close it.
const PROBES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    state: State,
    /// Counts up when the state changes: what a pass of an earlier state brings says nothing of this one.
    era: u64,
    /// Pause of the next opening.
    pause: Option<Duration>,
}

#[derive(Clone, Debug)]
enum State {
    Closed { slices: VecDeque<Slice> },
    Open { until: Duration },
    HalfOpen { out: u32, succeeded: u32 },
}

impl Default for State {
    fn default() -> Self {
        State::Closed { slices: VecDeque::new() }
    }
}

#[derive(Clone, Copy, Debug)]
struct Slice {
    number: u128,
    ended: u32,
    failed: u32,
}

/// Leave to make one call; it must be given back.
#[derive(Debug)]
#[must_use = "a pass that is not given back holds a probe's place"]
pub struct Pass {
    era: u64,
}

/// What came of a call, as far as the breaker cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The service works.
    Success,
    /// It does not.
    Failure,
    /// Says nothing: too many requests, or the caller went away.
    Neutral,
}

impl Breaker {
    /// Whether [`enter`](Self::enter) would give a pass.
    pub fn is_healthy(&self, now: Duration) -> bool {
        match &self.state {
            State::Closed { .. } => true,
            State::Open { until } => now >= *until,
            State::HalfOpen { out, succeeded } => out + succeeded < PROBES,
        }
    }

    /// When trying again makes sense, for one that is open.
    pub fn opens_again(&self) -> Option<Duration> {
        match &self.state {
            State::Open { until } => Some(*until),
            State::Closed { .. } | State::HalfOpen { .. } => None,
        }
    }

    /// A call wants to be made.
    pub fn enter(&mut self, now: Duration) -> Option<Pass> {
        if let State::Open { until } = self.state
            && now >= until
        {
            self.change(State::HalfOpen { out: 0, succeeded: 0 });
        }
        match &mut self.state {
            State::Closed { .. } => {}
            State::Open { .. } => return None,
            State::HalfOpen { out, succeeded } => {
                if *out + *succeeded >= PROBES {
                    return None;
                }
                *out += 1;
            }
        }
        Some(Pass { era: self.era })
    }

    /// A call has ended.
    pub fn leave(&mut self, pass: Pass, verdict: Verdict, now: Duration) {
        if pass.era != self.era {
            return;
        }
        match &mut self.state {
            State::Open { .. } => {}
            State::Closed { slices } => {
                if verdict != Verdict::Neutral && trips(slices, verdict, now) {
                    self.open(now);
                }
            }
            State::HalfOpen { out, succeeded } => {
                *out = out.saturating_sub(1);
                match verdict {
                    Verdict::Neutral => {}
                    Verdict::Failure => self.open(now),
                    Verdict::Success => {
                        *succeeded += 1;
                        if *succeeded == PROBES {
                            self.pause = None;
                            self.change(State::default());
                        }
                    }
                }
            }
        }
    }

    fn open(&mut self, now: Duration) {
        let pause = self.pause.unwrap_or(FIRST_PAUSE);
        self.pause = Some((pause * 2).min(LONGEST_PAUSE));
        self.change(State::Open { until: now + pause });
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.era += 1;
    }
}

/// Takes a call down; whether there are now too many failures.
fn trips(slices: &mut VecDeque<Slice>, verdict: Verdict, now: Duration) -> bool {
    let number = now.as_nanos() / SLICE.as_nanos();
    while slices.front().is_some_and(|oldest| oldest.number + (SLICES as u128) <= number) {
        slices.pop_front();
    }
    // Time may stand still, it does not go back.
    if slices.back().is_none_or(|latest| latest.number < number) {
        slices.push_back(Slice { number, ended: 0, failed: 0 });
    }
    let failure = u32::from(verdict == Verdict::Failure);
    if let Some(latest) = slices.back_mut() {
        latest.ended = latest.ended.saturating_add(1);
        latest.failed = latest.failed.saturating_add(failure);
    }
    let sum = |part: fn(&Slice) -> u32| slices.iter().map(part).fold(0, u32::saturating_add);
    let (ended, failed) = (sum(|slice| slice.ended), sum(|slice| slice.failed));
    ended >= LEAST_CALLS && failed.saturating_mul(ONE_IN) >= ended
}

#[cfg(test)]
mod tests;
