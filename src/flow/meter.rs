//! What an event's calls used: every attempt is taken down here, and the time in which a call was open is measured.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::event::cost::Attempt;
use crate::event::money::Money;
use crate::event::usage::Usage;
use crate::model::Meter;

/// One event's attempts, in the order they ended.
#[derive(Debug, Default)]
pub struct EventMeter(Mutex<Vec<Taken>>);

/// One attempt, as it was taken down.
#[derive(Debug)]
struct Taken {
    /// When it ended; none when that was in an earlier run of the event.
    ended: Option<Instant>,
    attempt: Arc<Attempt>,
}

impl Meter for EventMeter {
    /// Gives the attempt its ordinal in its stage (and item): repairs and calls to a service that was down count too.
    fn record(&self, attempt: Attempt) {
        self.take(Some(Instant::now()), attempt);
    }
}

/// What the attempts of one stage (and item) come to.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// How many.
    pub attempts: usize,
    /// The last one.
    pub last: Option<Arc<Attempt>>,
    /// Tokens of all.
    pub usage: Usage,
    /// Money of all; none when no call was priced.
    pub amount: Option<Money>,
    /// Calls whose price is not known.
    pub unpriced: usize,
}

impl EventMeter {
    /// An attempt of an earlier run of the event: it is billed with this one, and took none of its time.
    pub fn recover(&self, attempt: Attempt) {
        self.take(None, attempt);
    }

    fn take(&self, ended: Option<Instant>, mut attempt: Attempt) {
        let mut attempts = self.lock();
        let same = |taken: &&Taken| {
            taken.attempt.stage == attempt.stage && taken.attempt.item == attempt.item
        };
        let before = attempts.iter().filter(same).count();
        attempt.number = u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1);
        attempts.push(Taken { ended, attempt: Arc::new(attempt) });
    }

    /// Attempts of a stage (and item) that failed in earlier runs of the event.
    pub fn failed_before(&self, stage: &Arc<str>, item: Option<u32>) -> u32 {
        let failed = |taken: &&Taken| {
            let Taken { ended, attempt } = taken;
            let known = !matches!(&*attempt.outcome, "ok" | "unknown" | "cancelled");
            ended.is_none() && known && attempt.stage == *stage && attempt.item == item
        };
        u32::try_from(self.lock().iter().filter(failed).count()).unwrap_or(u32::MAX)
    }

    /// The tally of the attempts that `of` picks.
    pub fn tally(&self, of: impl Fn(&Attempt) -> bool) -> Tally {
        let mut tally = Tally::default();
        for Taken { attempt, .. } in self.lock().iter().filter(|taken| of(&taken.attempt)) {
            tally.attempts += 1;
            tally.usage += attempt.usage;
            match attempt.amount {
                Some(amount) => tally.amount = Some(tally.amount.unwrap_or(Money::ZERO) + amount),
                None => tally.unpriced += 1,
            }
            tally.last = Some(Arc::clone(attempt));
        }
        tally
    }

    /// All attempts, and the time in which at least one call was open.
    pub fn finish(&self) -> (Vec<Attempt>, Duration) {
        let attempts = std::mem::take(&mut *self.lock());
        let mut open: Vec<(Instant, Instant)> = attempts
            .iter()
            .filter_map(|Taken { ended, attempt }| {
                let lasted = Duration::from_micros(attempt.duration_us.unsigned_abs());
                Some(((*ended)?.checked_sub(lasted).unwrap_or((*ended)?), (*ended)?))
            })
            .collect();
        open.sort();
        let (mut busy, mut until) = (Duration::ZERO, None::<Instant>);
        for (from, to) in open {
            let from = until.map_or(from, |until| until.max(from));
            busy += to.saturating_duration_since(from);
            until = Some(until.map_or(to, |until| until.max(to)));
        }
        (attempts.into_iter().map(|taken| Arc::unwrap_or_clone(taken.attempt)).collect(), busy)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Taken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shared by the calls of one event.
pub type SharedMeter = Arc<EventMeter>;
